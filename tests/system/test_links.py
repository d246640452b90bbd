# SPDX-License-Identifier: Apache-2.0
"""Links, neighbours, routes and addresses change under a running gateway; it follows the kernel."""

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.topology import Single
from tests.rig.wire import mac_octets


def start(rig):
    rig.connections = {"tunnel": rig.connection()}
    rig.start(list(rig.connections.values()))


@pytest.fixture
def own():
    """A Single of the test's own, since it changes it."""
    with Single() as rig:
        start(rig)
        yield rig


def sealed(rig, **more):
    rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
    return rig.black.receive(packets.is_esp, **more)


def works(rig, timeout=5.0):
    """Packets pass again, sooner or later."""
    return until(lambda: sealed(rig, timeout=0.05), timeout, "packets pass")


@pytest.mark.parametrize("port", ["black", "red"])
def test_link_down_and_up(own, port):
    assert sealed(own)
    own.beyond.ip("link", "set", port, "down")
    until(lambda: "LOWER_UP" not in own.gw.json("link", "show", "dev", port)[0]["flags"], what="carrier lost")
    if port == "black":
        with Change(own.daemon) as change:
            own.from_red(packets.udp(own.HOST[4], own.FAR[4], b"x"))
            change.expect([{"link_down": 1}, {"no_route": 1}, {"transmit_full": 1}])
    own.beyond.ip("link", "set", port, "up")
    works(own)
    assert own.daemon.alive


def test_link_taken_down_by_the_operator(own):
    """The kernel forgets its routes then; the operator sets them again."""
    assert sealed(own)
    own.gw.ip("link", "set", "black", "down")
    with Change(own.daemon) as change:
        own.from_red(packets.udp(own.HOST[4], own.FAR[4], b"x"))
        change.expect([{"link_down": 1}, {"no_route": 1}])
    own.gw.ip("link", "set", "black", "up")
    own.gw.ip("route", "replace", "default", "via", "192.0.2.2")
    own.gw.neighbour("black", own.PEER[4], own.black.mac)
    works(own)


def test_neighbour_change(own):
    """Frames go to the neighbour's new address at once."""
    assert sealed(own)[:6] == mac_octets(own.black.mac)
    for last in (0x11, 0x22, 0x33):
        mac = f"02:00:00:00:00:{last:02x}"
        own.gw.neighbour("black", own.PEER[4], mac)
        until(lambda m=mac: (sealed(own) or b"")[:6] == mac_octets(m), 3, "frames go to the new address")


def test_own_address_change(own):
    """Frames come from the port's new MAC address."""
    assert sealed(own)
    own.gw.ip("link", "set", "black", "address", "02:00:00:00:0a:0a")
    own.gw_black_mac = "02:00:00:00:0a:0a"
    own.gw.neighbour("black", own.PEER[4], own.black.mac)  # the kernel forgets all of them
    until(lambda: (sealed(own) or bytes(12))[6:12] == mac_octets("02:00:00:00:0a:0a"), 3, "frames come from the new address")
    packet = packets.udp(own.FAR[4], own.HOST[4], b"in")
    own.from_black(own.connections["tunnel"].taken().seal(packet, 5))
    assert own.red.receive(packets.is_ip_to(own.HOST[4])) is not None


def test_route_change(own):
    """The way to the peer moves to another next hop, is refused, is gone, and comes back."""
    assert sealed(own)
    own.gw.neighbour("black", "192.0.2.50", "02:00:00:00:00:50")
    own.gw.ip("route", "replace", "192.0.2.2/32", "via", "192.0.2.50", "dev", "black")
    until(lambda: (sealed(own) or b"")[:6] == mac_octets("02:00:00:00:00:50"), 3, "frames go by the new next hop")
    own.gw.ip("route", "replace", "blackhole", "192.0.2.2/32")

    def refused():
        with Change(own.daemon) as change:
            own.from_red(packets.udp(own.HOST[4], own.FAR[4], b"x"))
            return until(change.drops, 2) == {"route_refused": 1}

    until(refused, 3, "route_refused")
    own.gw.ip("route", "delete", "blackhole", "192.0.2.2/32")
    until(lambda: (sealed(own, timeout=0.1) or b"")[:6] == mac_octets(own.black.mac), 3, "frames go straight again")


def test_route_to_no_port(own):
    """An opened packet whose route leads back to the black side is dropped."""
    own.gw.ip("route", "replace", "10.1.0.128/25", "via", "192.0.2.2")

    def dropped():
        with Change(own.daemon) as change:
            own.number = getattr(own, "number", 100) + 1
            own.from_black(own.connections["tunnel"].taken().seal(packets.udp(own.FAR[4], "10.1.0.200"), own.number))
            return until(change.drops, 2) == {"route_not_ours": 1}

    until(dropped, 3, "route_not_ours")


def test_unknown_neighbour_is_resolved():
    """The first frames wait until the kernel has resolved the next hop; none is lost."""
    with Single(known=False) as rig:
        rig.connections = {"tunnel": rig.connection()}
        rig.start(list(rig.connections.values()))
        for _ in range(5):
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        question = rig.black.receive(lambda frame: frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1", timeout=5)
        assert question is not None, "no ARP request"
        answer = (question[6:12] + mac_octets(rig.black.mac) + b"\x08\x06" + question[14:20] + b"\0\2" + mac_octets(rig.black.mac)
                  + packets.address(rig.PEER[4]) + question[22:32])
        rig.black.send(answer)
        frames = rig.black.collect(5, packets.is_esp, timeout=5)
        assert len(frames) == 5
        assert {frame[:6] for frame in frames} == {mac_octets(rig.black.mac)}


def test_neighbour_that_never_answers():
    """The queue is bounded, the drops are counted, and other traffic goes on."""
    with Single(known=False) as rig:
        over6 = rig.connection("six", 6, 2, remote_networks=["10.3.0.0/16"])
        rig.start([rig.connection(), over6])
        rig.gw.neighbour("black", rig.PEER[6], rig.black.mac)
        with Change(rig.daemon) as change:
            for _ in range(300):
                rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))

            def all_counted():
                found = change.drops()
                return found if sum(found.values()) == 300 else None

            found = until(all_counted, 15, "every frame that waited is dropped")
            assert set(found) <= {"neighbour_unresolved", "neighbour_queue_full", "exception_full"}, found
        rig.from_red(packets.udp(rig.HOST[4], "10.3.0.2", b"x"))
        assert rig.black.receive(packets.is_esp) is not None


def test_address_removed_and_added(own):
    """ESP to an address that is gone is not ours; when it is back it is."""
    packet = packets.udp(own.FAR[4], own.HOST[4], b"in")
    sa = own.connections["tunnel"].taken()
    own.from_black(sa.seal(packet, 1))
    assert own.red.receive(packets.is_ip_to(own.HOST[4])) is not None
    own.gw.ip("address", "delete", "192.0.2.1/24", "dev", "black")
    number = iter(range(2, 1000))
    until(lambda: (own.from_black(sa.seal(packet, next(number))), own.red.receive(packets.is_ip_to(own.HOST[4]), 0.05))[1] is None, 3, "it is gone")
    own.gw.ip("address", "add", "192.0.2.1/24", "dev", "black")
    until(lambda: (own.from_black(sa.seal(packet, next(number))), own.red.receive(packets.is_ip_to(own.HOST[4]), 0.05))[1], 3, "it is back")


def test_a_smaller_mtu_on_the_way(own):
    """A route with an MTU: what does not fit is dropped with its reason; what fits passes."""
    assert sealed(own)
    own.gw.ip("route", "replace", "192.0.2.2/32", "dev", "black", "mtu", "1300")

    def too_big():
        with Change(own.daemon) as change:
            own.from_red(packets.sized(own.HOST[4], own.FAR[4], 1400, flags=2))
            until(lambda: change.drops() or own.black.receive(packets.is_esp, timeout=0.05), 2)
            return change.drops() == {"too_big": 1}

    until(too_big, 3, "too_big")
    own.from_red(packets.sized(own.HOST[4], own.FAR[4], 1200, flags=2))
    assert own.black.receive(packets.is_esp) is not None
