# SPDX-License-Identifier: Apache-2.0
"""Dummy packets (RFC 4303 2.6): sent at their rate, told from nothing by their looks, and dropped without a word by the receiver."""

import time

from tests.rig import packets
from tests.rig.net import until
from tests.rig.topology import Pair, Single

RATE = 100


def test_dummies_are_sent():
    with Single() as rig:
        connection = rig.connection(more={"dummies": RATE})
        rig.start([connection])
        rig.black.drain()
        start = time.monotonic()
        frames = rig.black.collect(RATE, packets.is_esp, timeout=10)
        seconds = time.monotonic() - start
        assert len(frames) == RATE
        assert 0.5 < seconds < 4, f"{RATE} dummies in {seconds:.1f} s"
        sa = connection.sent()
        opened = [sa.open(packets.packet_of(frame)) for frame in frames]
        assert {following for _, _, following, _ in opened} == {59}
        numbers = [number for _, number, _, _ in opened]
        assert numbers == sorted(set(numbers))
        assert all(inner for inner, _, _, _ in opened), "a dummy has a payload: some receivers refuse an empty one"
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"real"))
        real = rig.black.receive(lambda frame: packets.is_esp(frame) and sa.open(packets.packet_of(frame))[2] == 4)
        assert real is not None, "real packets pass between dummies"


def test_dummies_arrive_and_disturb_nothing():
    with Pair() as rig:
        rig.start(rig.connections(more={"dummies": RATE}))
        rig.pings(count=50)
        for side in "AB":
            daemon = rig.daemon[side]
            until(lambda d=daemon: d.counters().drops.get("dummy", 0) >= 20, what="dummies are counted")
            # What comes before the gateway is whole: a kernel answers it by an ICMP error, or the program drops it.
            assert set(daemon.counters().drops) <= {"dummy", "icmp_other", "unsupported_protocol", "black.no_worker", "black.transit"}
