# SPDX-License-Identifier: Apache-2.0
"""Two queues a port, frames that arrive at the wrong worker, workers that sleep and are woken."""

import os
import struct
import time

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.net import steer, until
from tests.rig.topology import Pair, Single

RIG = {"queues": 2}
TUNNELS = 4


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection(f"t{number}", 4 if number % 2 else 6, number, remote_networks=[f"10.2.{number}.0/24"])
            for number in range(1, TUNNELS + 1)]


def exchange(rig, number, sequence):
    """One packet each way through tunnel `number`."""
    connection = rig.connections[f"t{number}"]
    far = f"10.2.{number}.2"
    contents = os.urandom(16)
    rig.from_red(packets.udp(rig.HOST[4], far, contents))
    frame = rig.black.receive(packets.is_esp)
    assert frame is not None, f"tunnel {number} out"
    assert connection.sent().open(packets.packet_of(frame))[0].endswith(contents)
    rig.from_black(connection.taken().seal(packets.udp(far, rig.HOST[4], contents), sequence))
    frame = rig.red.receive(packets.is_ip_to(rig.HOST[4]))
    assert frame is not None, f"tunnel {number} in"
    assert frame.endswith(contents)


@pytest.mark.parametrize("red", [0, 1])
@pytest.mark.parametrize("black", [0, 1])
def test_wrong_steering(single, red, black):
    """Whatever queue a frame comes by, the owner of its SA does the work; with both queues tried, frames are handed over."""
    steer(single.beyond, "red", red, 2)
    steer(single.beyond, "black", black, 2)
    before = single.daemon.counters()
    for number in range(1, TUNNELS + 1):
        for turn in range(5):
            exchange(single, number, 1 + (red * 2 + black) * 10 + turn)
    after = single.daemon.counters()
    assert after.drops_since(before) == {}
    assert after.handed_over > before.handed_over, "SAs of both workers by one queue: some frames have to change hands"


def test_order_and_numbers_under_wrong_steering(single):
    """Frames of one SA by both queues: each number once, each packet once."""
    single.black.drain()
    before = single.daemon.counters()
    count = 300
    for number in range(count):
        if number % 50 == 0:
            steer(single.beyond, "red", number // 50 % 2, 2)
        single.from_red(packets.udp(single.HOST[4], "10.2.1.2", struct.pack("!I", number)))
    frames = single.black.collect(count, packets.is_esp, timeout=5)
    sa = single.connections["t1"].sent()
    opened = [sa.open(packets.packet_of(frame)) for frame in frames]
    assert len(opened) == count, single.daemon.counters().drops_since(before)
    assert len({number for _, number, _, _ in opened}) == count
    assert sorted(struct.unpack("!I", inner[-4:])[0] for inner, _, _, _ in opened) == list(range(count))


def test_replays_by_the_other_queue(single):
    """The second copy comes by the other queue at once: one is accepted."""
    sa = single.connections["t1"].taken()
    with Change(single.daemon) as change:
        for number in range(1001, 1031):
            sealed = sa.seal(packets.udp("10.2.1.2", single.HOST[4], b"x"), number)
            steer(single.beyond, "black", 0, 2)
            single.from_black(sealed)
            steer(single.beyond, "black", 1, 2)
            single.from_black(sealed)
        change.expect({"replayed": 30})
    assert len(single.red.collect(31, packets.is_ip_to(single.HOST[4]), timeout=0.5)) == 30


def test_workers_sleep_and_wake(single):
    """In silence the workers sleep in poll(): the process takes no processor time. The first frame wakes them without being lost."""
    def cpu():
        fields = open(f"/proc/{single.daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(0.2)  # until they sleep
    before, start = cpu(), time.monotonic()
    time.sleep(1)
    used = (cpu() - before) / (time.monotonic() - start)
    assert used < 0.2, f"{used:.0%} of a core in silence"
    for turn in range(3):
        for number in range(1, TUNNELS + 1):
            exchange(single, number, 2000 + turn)
        time.sleep(0.15)
    after = single.daemon.counters()
    assert after.sleeps > 0


def test_spinning_is_a_setting():
    with Single() as rig:
        rig.connections = {"t": rig.connection()}
        rig.start(list(rig.connections.values()), settings={"spin": True})
        for _ in range(3):
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
            assert rig.black.receive(packets.is_esp) is not None
            time.sleep(0.05)
        before = rig.daemon.counters()
        time.sleep(0.2)
        after = rig.daemon.counters()
        assert after.rounds - before.rounds > 1000
        assert after.sleeps == before.sleeps


def test_hosts_over_two_queues():
    """Many flows between real hosts, with two queues everywhere and the kernel's own choice of queues."""
    with Pair(queues=2) as rig:
        rig.start()
        for kind in rig.FAMILIES:
            rig.pings(kind, 50, 0.005)
        until(lambda: rig.daemon["A"].counters().sealed >= 200, what="all are counted")
        assert rig.daemon["A"].counters().drops == {}
        assert rig.daemon["B"].counters().drops == {}
