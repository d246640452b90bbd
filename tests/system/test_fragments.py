# SPDX-License-Identifier: Apache-2.0
"""Fragments: of sealed packets, inside tunnels, and those that the gateway itself makes."""

import random
import struct

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.topology import Pair
from tests.rig.wire import Recorder, ethernet

START = {"policies": {"bypass-ntp": {"action": "bypass", "priority": 10, "remote-networks": ["203.0.113.0/24"], "protocol": "udp",
                                     "remote-ports": 123}}}


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection("over4", 4, 1, remote_networks=["10.2.0.0/24", "2001:db8:2::/64"]),
            rig.connection("over6", 6, 2, remote_networks=["10.2.1.0/24", "2001:db8:2:1::/64"]),
            rig.connection("dns", 4, 3, remote_networks=["10.2.2.0/24", "2001:db8:2:2::/64"],
                           more={"protocol": "udp", "remote-ports": 53})]


NUMBERS = iter(range(1, 1000))


def fragments_of(packet, octets):
    """As Scapy cuts it, each with at most so many octets of payload."""
    from scapy.layers.inet import IP, fragment
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
    from scapy.packet import Raw

    read = packets.Read(packet)
    if read.version == 4:
        whole = IP(src=read.source, dst=read.destination, proto=read.protocol, ttl=read.ttl, id=random.randrange(65536))
        return [bytes(piece) for piece in fragment(whole / Raw(read.payload), octets)]
    whole = IPv6(src=read.source, dst=read.destination, hlim=read.ttl, nh=44)
    header = IPv6ExtHdrFragment(nh=read.protocol, id=random.randrange(1 << 32))
    return [bytes(piece) for piece in fragment6(whole / header / Raw(read.payload), octets + 48)]


def payload_of(pieces):
    """What a host makes of IPv4 fragments that came in any order, none of them missing."""
    read = sorted((packets.Read(piece) for piece in pieces), key=lambda piece: piece.offset)
    joined = b""
    for piece in read:
        assert piece.offset == len(joined) and piece.checksum_good
        joined += piece.payload
    assert [piece.flags & 1 for piece in read] == [1] * (len(read) - 1) + [0]
    return joined


@pytest.mark.parametrize("order", ["in order", "reversed", "mixed", "doubled"])
@pytest.mark.parametrize("outer", [4, 6])
def test_sealed_packets_in_fragments(single, outer, order):
    sa = single.connections[f"over{outer}"].taken()
    far = "10.2.0.2" if outer == 4 else "10.2.1.2"
    for octets in (60, 600, 1480):
        inner = packets.sized(far, single.HOST[4], octets)
        number = next(NUMBERS)
        pieces = fragments_of(sa.seal(inner, number), 24 if octets == 60 else octets // 4)
        assert len(pieces) > 2
        wanted = {}
        if order == "reversed":
            pieces.reverse()
        elif order == "mixed":
            random.shuffle(pieces)
        elif order == "doubled":
            pieces.insert(1, pieces[0])
            wanted = {"fragment_overlap": 1}
        with Change(single.daemon) as change:
            for piece in pieces:
                single.from_black(piece)
            frame = single.red.receive(packets.is_ip_to(single.HOST[4]))
            change.expect(wanted)
        assert frame is not None
        assert packets.Read(packets.packet_of(frame)).payload == packets.Read(inner).payload


@pytest.mark.parametrize("outer", [4, 6])
def test_overlaps_take_the_packet_with_them(single, outer):
    sa = single.connections[f"over{outer}"].taken()
    sealed = sa.seal(packets.sized("10.2.0.2" if outer == 4 else "10.2.1.2", single.HOST[4], 600), next(NUMBERS))
    pieces = fragments_of(sealed, 240)
    longer = fragments_of(sealed, 248)
    for piece, other in zip(pieces, longer, strict=True):  # of one packet
        at, size = (4, 2) if outer == 4 else (44, 4)
        longer[longer.index(other)] = other[:at] + piece[at : at + size] + other[at + size :]
    if outer == 4:
        longer = [packet[:10] + b"\0\0" + packet[12:] for packet in longer]
        longer = [packet[:10] + struct.pack("!H", packets.checksum(packet[:20])) + packet[12:] for packet in longer]
    with Change(single.daemon) as change:
        for piece in (pieces[0], longer[1], pieces[1], longer[0], pieces[2]):
            single.from_black(piece)
        change.expect([{"fragment_overlap": 5}, {"fragment_overlap": 4}])
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.1) is None


def test_fragments_that_stay_alone(single):
    """After two seconds they are gone, with a reason for each side."""
    with Change(single.daemon) as change:
        single.from_black(packets.ipv4(single.PEER[4], single.LOCAL[4], 50, bytes(64), flags=1))
        single.from_red(packets.ipv4(single.HOST[4], "10.2.2.9", packets.UDP, bytes(64), offset=64))
        single.from_black(single.connections["dns"].taken().seal(
            packets.ipv4("10.2.2.9", single.HOST[4], packets.UDP, bytes(64), offset=64, identification=9), next(NUMBERS)))
        until(lambda: single.daemon.counters().waiting == 3, what="all three wait")
        change.expect({"fragment_outer": 1, "fragment_inner": 2}, timeout=6)
    assert single.daemon.counters().waiting == 0


def test_red_fragments_follow_their_first(single):
    """A policy for port 53: fragments are held until their first one shows the port (RFC 4301 7.3)."""
    sa = single.connections["dns"].sent()
    query = packets.udp(single.HOST[4], "10.2.2.9", bytes(i & 255 for i in range(1000)), dport=53)
    for turn in range(3):
        pieces = fragments_of(query, 304)
        random.Random(turn).shuffle(pieces)
        for piece in pieces:
            single.from_red(piece)
        sealed = single.black.collect(len(pieces), packets.is_esp)
        opened = [sa.open(packets.packet_of(frame))[0] for frame in sealed]
        assert payload_of(opened) == query[20:]
    with Change(single.daemon) as change:
        for piece in reversed(fragments_of(packets.udp(single.HOST[4], "10.2.2.9", bytes(1000), dport=54), 304)):
            single.from_red(piece)
        change.expect({"no_policy": 4})
    assert single.black.receive(packets.is_esp, timeout=0.1) is None


def test_opened_fragments_follow_their_first(single):
    sa = single.connections["dns"].taken()
    answer = packets.udp("10.2.2.9", single.HOST[4], bytes(i & 255 for i in range(1000)), sport=53)
    pieces = fragments_of(answer, 304)
    for piece in reversed(pieces):
        single.from_black(sa.seal(piece, next(NUMBERS)))
    arrived = [packets.packet_of(frame) for frame in single.red.collect(len(pieces), packets.is_ip_to(single.HOST[4]))]
    assert payload_of(arrived) == answer[20:]
    with Change(single.daemon) as change:
        single.from_black(sa.seal(fragments_of(packets.udp("10.2.2.9", single.HOST[4], bytes(1000), sport=54), 304)[0], next(NUMBERS)))
        change.expect({"selector_mismatch": 1})
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.1) is None


def test_bypassed_fragments_follow_their_first(single):
    request = packets.udp(single.HOST[4], "203.0.113.5", bytes(1000), dport=123)
    for piece in reversed(fragments_of(request, 304)):
        single.from_red(piece)
    left = [packets.packet_of(frame) for frame in single.black.collect(4, packets.is_ip_to("203.0.113.5"))]
    assert payload_of(left) == request[20:]


@pytest.mark.parametrize("kind", ["outer", "inner"])
def test_floods_are_bounded(single, kind):
    """10,000 fragments without the rest: no more wait than may, the others have a reason, and everything else goes on."""
    sa = single.connections["over4"]
    with Change(single.daemon) as change:
        for number in range(10000):
            if kind == "outer":
                source = f"198.51.{number >> 6 & 255}.{number & 63}"
                packet = packets.ipv4(source, single.LOCAL[4], 50, bytes(64), flags=1, identification=number)
                single.black.send(ethernet(single.gw_black_mac, single.black.mac, packet))
            else:
                single.from_red(packets.ipv4(single.HOST[4], "10.2.2.9", packets.UDP, bytes(64), offset=64, identification=number))
            if number % 1000 == 500:
                assert single.daemon.counters().waiting <= 256
                single.from_red(packets.udp(single.HOST[4], "10.2.0.2", b"on it goes"))
                assert single.black.receive(packets.is_esp) is not None
                single.from_black(sa.taken().seal(packets.udp("10.2.0.2", single.HOST[4], b"and back"), next(NUMBERS)))
                assert single.red.receive(packets.is_ip_to(single.HOST[4])) is not None
        own = "fragment_outer" if kind == "outer" else "fragment_inner"
        until(lambda: sum(change.drops().values()) == 10000, timeout=6, what="all are counted")
        assert set(change.drops()) <= {own, "fragment_limit", "exception_full"}
        assert change.drops()["fragment_limit"] > 1000
    assert single.daemon.counters().waiting == 0


@pytest.mark.parametrize("where", ["before", "after"])
def test_large_packets_through_a_narrow_way(where):
    """The way between the gateways carries 1280 octets, the hosts send as much inside: IPv4 is cut as the connection says, IPv6 after
    sealing, since every link must carry 1280 octets. Pings of 8,000 octets come as seven fragments, each of them cut again."""
    with Pair(wan_mtu=1280, path_mtu=1280) as pair:
        pair.start(pair.connections(more={"fragment": where}))
        before = {side: pair.daemon[side].counters() for side in "AB"}
        with Recorder(pair.wan, "toA") as record:
            for kind in Pair.FAMILIES:
                for size in (1200, 8000):
                    pair.pings(kind, 2, 0.02, size, "A", 10, *(["-M", "dont"] if kind[0] == "4" else []))
        assert {frame.what() for frame in record.frames} <= {"esp", "arp", "nd", "ipv6 protocol 44"}
        assert max(len(frame.packet) for frame in record.frames) <= 1280
        for side in "AB":
            assert pair.daemon[side].counters().drops_since(before[side]) == {}
        with Recorder(pair.wan, "toA") as record:
            pair.pings("4in4", 3, 0.02, 3000, "A", 10, "-M", "dont")
        fragments = [frame for frame in record.frames if frame.what() == "esp" and packets.Read(frame.packet).flags & 1]
        assert bool(fragments) == (where == "after")
