# SPDX-License-Identifier: Apache-2.0
"""The repeat test (`./dev test repeat`): gateways are killed at random moments under traffic, with a holder that keeps what they leave and
without one, and in the end the machine reboots. From the record of the wan no (key, IV) pair is seen twice; what was opened once is never
opened again; no good packet is refused but those that were in hand."""

import collections
import os
import random
import struct
import threading
import time

from tests.rig import packets, records
from tests.rig.net import until
from tests.rig.topology import Single
from tests.rig.wire import Recorder, mac_octets

KILLS = int(os.environ.get("SALLYPORT_REPEAT_KILLS", 20))
SEED = int(os.environ.get("SALLYPORT_REPEAT_SEED", 0)) or random.randrange(1, 1 << 32)
IN_HAND = 64  # packets of a batch
SHORT_LOSS = 100  # numbers that a 32-bit SA may lose with a kill: 20,000 in 200


class Flow:
    """Both directions of one connection: clear packets of the host, and sealed ones of the peer, each with a number of its own inside."""

    def __init__(self, rig, connection, far):
        self.rig, self.far, self.sa = rig, far, connection.taken()
        self.spi = connection.spi_out
        self.number = 0
        self.sealed = []

    def step(self, count):
        for _ in range(count):
            self.number += 1
            self.rig.from_red(packets.udp(self.rig.HOST[4], self.far, struct.pack("!I", self.number)))
            self.sealed.append(self.sa.seal(packets.udp(self.far, self.rig.HOST[4], struct.pack("!II", self.spi, self.number)), self.number))
            self.rig.from_black(self.sealed[-1])


class Traffic:
    """All flows by a thread, as fast as it can, and slowly while nobody reads: what waits must fit the rings."""

    def __init__(self, rig, flows):
        self.rig, self.flows = rig, flows
        self.stopping, self.slow = threading.Event(), threading.Event()
        self.fault = None
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.stopping.is_set():
                for flow in self.flows:
                    flow.step(1 if self.slow.is_set() else 8)
                if self.slow.is_set():
                    time.sleep(0.01)
        except Exception as fault:  # told by the test, which would else go on without traffic
            self.fault = fault

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        if self.fault:
            raise self.fault


class Opened(threading.Thread):
    """Counts how often each inner packet came out on the red side."""

    def __init__(self, rig):
        super().__init__()
        self.rig, self.stopping = rig, threading.Event()
        self.seen = collections.Counter()

    def run(self):
        while not self.stopping.is_set():
            self.take(0.05)

    def take(self, timeout):
        frame = self.rig.red.receive(packets.is_ip_to(self.rig.HOST[4]), timeout=timeout)
        while frame is not None:
            self.seen[struct.unpack_from("!II", packets.packet_of(frame), 28)] += 1
            frame = self.rig.red.receive(packets.is_ip_to(self.rig.HOST[4]), timeout=0)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()
        self.take(0.2)

    def twice(self):
        return [key for key, count in self.seen.items() if count > 1]


def connections_of(rig):
    return [rig.connection("long"), rig.connection("short", number=2, esn=False, remote_networks=["10.3.0.0/16"])]


def negotiated(rig):
    """The flow of a connection whose keys came by the door: no durable marks, it lives by what the holder keeps."""
    connection = rig.connection("negotiated", number=3, remote_networks=["10.4.0.0/16"])
    with records.Door(rig.daemon.control) as door:
        connection.spi_in = door.reserve()[0]
        inbound, outbound = records.pair(connection, 1, connection.spi_in, connection.spi_out)
        door.install(install=[inbound, outbound],
                     policies=[records.Policy("negotiated", inbound.selectors, 50, records.PROTECT, "negotiated")])
    flow = Flow(rig, connection, "10.4.0.2")
    flow.sa.key = inbound.key
    return flow


def replay(rig, flows, chance):
    """Captured packets of any time, again."""
    for flow in flows:
        for sealed in chance.sample(flow.sealed, min(len(flow.sealed), 40)):
            rig.from_black(sealed)


def pairs_of(record, rig):
    """(addresses, SPI, IV) of everything that the gateway sealed: how often."""
    ours = mac_octets(rig.gw_black_mac)
    pairs = collections.Counter()
    for frame in record.frames:
        found = frame.esp() if frame.frame[6:12] == ours else None
        if found:
            source, destination, spi, number = found
            pairs[(source, destination, spi, frame.packet[28:36])] += 1
    return pairs


def lost_of(pairs, spi):
    """Numbers of an SA that never left."""
    numbers = [struct.unpack("!Q", iv)[0] for _, _, which, iv in pairs if which == spi]
    return max(numbers) - len(numbers)


def killed_again_and_again(rig, flows, kills, chance, held):
    """What was sealed, by Recorder; the gateway lives at the end."""
    with Opened(rig) as opened, Recorder(rig.beyond, "black", octets=80) as record:
        with Traffic(rig, flows) as traffic:
            for _ in range(kills):
                time.sleep(chance.uniform(0.005, 0.12))
                traffic.slow.set()
                rig.daemon.kill()
                rig.daemon.start()
                replay(rig, flows, chance)
                traffic.slow.clear()
            until(lambda: rig.daemon.counters().sealed > 100, what="packets are sealed after the last kill")
        time.sleep(0.3)
    assert not opened.twice(), f"seed {SEED}: opened twice: {opened.twice()[:5]}"
    for flow in flows:
        missing = flow.number - sum(spi == flow.spi for spi, _ in opened.seen)
        if held:
            assert missing <= kills * IN_HAND, f"seed {SEED}: {missing} good packets of {flow.number} did not come through"
        assert max(number for spi, number in opened.seen if spi == flow.spi) == flow.number, f"seed {SEED}: the last good packet was refused"
    return record, opened


def reboot(rig, flows, opened):
    """Everything is gone but the durable marks: whatever was opened before is not opened again, and numbers go on behind all that were used."""
    rig.daemon.kill()
    rig.daemon.unpin()
    rig.daemon.start()
    with Opened(rig) as again, Recorder(rig.beyond, "black", octets=80) as record:
        for flow in flows:
            for sealed in flow.sealed[-500:]:
                rig.from_black(sealed)
            for number in range(1, 51):
                rig.from_red(packets.udp(rig.HOST[4], flow.far, struct.pack("!I", number)))
        until(lambda: rig.daemon.counters().sealed >= 50 * len(flows), what="packets are sealed after the reboot")
        time.sleep(0.2)
    twice = [key for key in again.seen if opened.seen[key]]
    assert not twice, f"seed {SEED}: opened before and after the reboot: {twice[:5]}"
    return record


def run(kills, held, chance):
    """How many packets were sealed, pairs seen twice, numbers that the 32-bit SA lost."""
    with Single() as rig:
        made = connections_of(rig)
        rig.start(made, holder=held, settings={"frames": 16384})
        flows = [Flow(rig, made[0], "10.2.0.2"), Flow(rig, made[1], "10.3.0.2")]
        if held:
            flows.append(negotiated(rig))
        record, opened = killed_again_and_again(rig, flows, kills, chance, held)
        pairs = pairs_of(record, rig)
        lost = lost_of(pairs, made[1].spi_out)
        assert lost < SHORT_LOSS * kills, f"seed {SEED}: the 32-bit SA has lost {lost} numbers in {kills} kills"
        pairs += pairs_of(reboot(rig, flows[:2], opened), rig)
        return sum(pairs.values()), sum(count > 1 for count in pairs.values()), lost


def test_nothing_repeats(capsys):
    chance = random.Random(SEED)
    without = max(1, KILLS // 4)
    total = twice = 0
    for kills, held in ((KILLS - without, True), (without, False)):
        sealed, again, lost = run(kills, held, chance)
        total, twice = total + sealed, twice + again
        with capsys.disabled():
            print(f"\nrepeat {'with' if held else 'without'} a holder: kills={kills} packets={sealed} numbers-lost-of-32-bit={lost}", end="")
    with capsys.disabled():
        print(f"\nrepeat kills={KILLS} packets={total} pairs-twice={twice}", flush=True)
    assert twice == 0, f"seed {SEED}"
