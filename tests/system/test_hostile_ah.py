# SPDX-License-Identifier: Apache-2.0
"""Frames with AH that nobody honest sends: rows 15 and 66 to 78 of the list that test_hostile.py works from, by the writer of
tests/rig/ah.py."""

import itertools
import os
import struct

import pytest

from tests.rig import ah, packets
from tests.rig.change import Change
from tests.rig.config import Connection

HOST = "10.1.0.2"
# name -> (outer family, algorithm, mode); tunnels have a network each behind the peer, the other modes a peer each.
SAS = {"hmac4": (4, "null-hmac-sha2-256", "tunnel"), "hmac6": (6, "null-hmac-sha2-256", "tunnel"),
       "sha512-6": (6, "null-hmac-sha2-512", "tunnel"), "cmac4": (4, "null-aes-cmac", "tunnel"), "cmac6": (6, "null-aes-cmac", "tunnel"),
       "gmac4": (4, "null-aes-128-gmac", "tunnel"), "gmac6": (6, "null-aes-256-gmac", "tunnel"),
       "short": (4, "null-hmac-sha2-384", "tunnel"),
       "own4": (4, "null-hmac-sha2-256", "transport"), "own6": (6, "null-hmac-sha2-256", "transport")}
TUNNELS = [name for name, row in SAS.items() if row[2] == "tunnel"]
PLACE = {name: place for place, name in enumerate(SAS, 1)}
FAR = {name: f"10.2.{PLACE[name]}.9" for name in TUNNELS}
LOCAL = {4: "192.0.2.1", 6: "2001:db8:a::1"}
_numbers = {name: itertools.count(1000) for name in SAS}


def connection(name):
    outer, algorithm, mode = SAS[name]
    place = PLACE[name]
    near, peer = LOCAL[outer], ("192.0.2." if outer == 4 else "2001:db8:a::") + ("2" if mode == "tunnel" else str(place))
    networks = ([near], [peer]) if mode == "transport" else (["10.1.0.0/24"], [f"10.2.{place}.0/24"])
    return Connection(name, near, peer, *networks, 0x1000 + place, 0x2000 + place, algorithm, name != "short",
                      more={"security-protocol": "ah", "mode": mode, "replay-window": 64})


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [*map(connection, SAS), rig.connection("esp", 4, 90, remote_networks=["10.2.90.0/24"])]


@pytest.fixture(scope="module", autouse=True)
def neighbours(single):
    for name, (_, _, mode) in SAS.items():
        if mode == "transport":
            single.gw.neighbour("black", connection(name).remote, single.black.mac)


class Peer:
    def __init__(self, rig):
        self.rig = rig

    def sa(self, name="hmac4"):
        made = self.rig.connections[name]
        return ah.Sa(made.spi_in, made.remote, made.local, made.row, made.key_in, made.esn)

    def number(self, name="hmac4"):
        return next(_numbers[name])

    def inner(self, name="hmac4"):
        """What this SA carries, with its Next Header."""
        if name in FAR:
            return packets.udp(FAR[name], HOST, b"payload"), 4
        made = self.rig.connections[name]
        return packets.Read(packets.udp(made.remote, made.local, b"payload", dport=7007)).payload, packets.UDP

    def seal(self, name="hmac4", inner=None, number=None, **more):
        payload, next_header = self.inner(name) if inner is None else inner
        return self.sa(name).seal(payload, number or self.number(name), **{"next_header": next_header, **more})


@pytest.fixture
def peer(single):
    single.red.drain()
    return Peer(single)


def at_ah(packet):
    """Where the AH begins, behind an IP header without anything between."""
    return 20 if packet[0] >> 4 == 4 else 40


def put(packet, position, octets):
    """Other octets, and in IPv4 the header's checksum made right again."""
    packet = packet[:position] + octets + packet[position + len(octets) :]
    if packet[0] >> 4 == 6:
        return packet
    header = (packet[0] & 15) * 4
    head = packet[:10] + b"\0\0" + packet[12:header]
    return packet[:10] + struct.pack("!H", packets.checksum(head)) + packet[12:]


def in_ah(packet, position, octets):
    return put(packet, at_ah(packet) + position, octets)


def arrives(rig, payload):
    frame = rig.red.receive(packets.is_ip_to(HOST), timeout=3)
    assert frame is not None, f"nothing came out of the red port: {rig.daemon.counters().drops}"
    assert packets.Read(packets.packet_of(frame)).payload == payload


def nothing_arrives(rig, peer):
    """A good packet sent behind the bad one is the next that comes out."""
    marker = packets.udp(FAR["gmac4"], HOST, os.urandom(16))
    rig.from_black(peer.seal("gmac4", (marker, 4)))
    arrives(rig, packets.Read(marker).payload)


@pytest.mark.parametrize("name", SAS)
def test_good_ones_pass(single, peer, name):
    """By every algorithm, family and mode, so that what is dropped below is dropped for its fault."""
    with Change(single.daemon) as change:
        single.from_black(peer.seal(name))
        change.opened(1)
        if name in FAR:
            arrives(single, packets.Read(peer.inner(name)[0]).payload)
        change.expect({})


HOP_BY_HOP = bytes([packets.AH, 0, 1, 4, 0, 0, 0, 0])  # PadN of four octets
ROUTING = {"0": bytes([packets.AH, 2, 0, 1, 0, 0, 0, 0]) + packets.address("2001:db8:a::1"),
           "4": bytes([packets.AH, 2, 4, 1, 0, 0, 0, 0]) + packets.address("2001:db8:a::1")}
MALFORMED, BEFORE = {"malformed_ah": 1}, {"header_before_ah": 1}

# name -> (what makes the packet, what must be counted). A list: one of these.
DROPPED = {
    "15 ESP with the SPI of an SA of AH": (
        lambda p: packets.ipv4("192.0.2.2", LOCAL[4], packets.ESP, struct.pack("!II", 0x1001, 9) + bytes(60)), {"unknown_spi": 1}),
    "15 AH with the SPI of an SA of ESP": (
        lambda p: packets.ipv4("192.0.2.2", LOCAL[4], packets.AH, struct.pack("!BBHII", 4, 5, 0, 0x105A, 9) + bytes(60)), {"unknown_spi": 1}),
    **{f"66 Payload Len {size}, {name}": (lambda p, size=size, name=name: in_ah(p.seal(name), 1, bytes([size])), MALFORMED)
       for size in (0, 1, 255) for name in ("hmac4", "hmac6", "gmac4", "own4")},
    **{f"66 Payload Len past the packet, {name}": (lambda p, name=name: p.seal(name, (b"", 4), size=40), MALFORMED) for name in ("hmac4", "hmac6")},
    "66 shorter than its fixed part": (
        lambda p: packets.ipv4("192.0.2.2", LOCAL[4], packets.AH, p.seal()[20:31]), [MALFORMED, {"black.bad_ip": 1}]),
    "66 shorter than its ICV": (lambda p: packets.ipv4("192.0.2.2", LOCAL[4], packets.AH, p.seal()[20:47]), MALFORMED),
    "67 IPv4 padded to eight octets": (lambda p: p.seal(padding=bytes(4)), MALFORMED),
    "68 IPv6 not padded to eight octets": (lambda p: p.seal("hmac6", padding=b""), MALFORMED),
    "68 IPv6 padded by more than needed": (lambda p: p.seal("cmac6", padding=bytes(8)), MALFORMED),
    "69 the padding altered": (lambda p: in_ah(p.seal("hmac6"), 28, b"\1"), {"bad_icv": 1}),
    "69 the padding altered, GMAC": (lambda p: in_ah(p.seal("gmac6"), 36, b"\1"), {"bad_icv": 1}),
    "71 identification changed": (lambda p: put(p.seal(), 4, b"\xab\xcd"), {"bad_icv": 1}),
    "71 an octet behind the packet, told by the length": (
        lambda p: put(p.seal() + b"\0", 2, struct.pack("!H", len(p.seal()) + 1)), {"bad_icv": 1}),
    "71 payload length of IPv6 changed": (lambda p: put(p.seal("hmac6") + b"\0", 4, struct.pack("!H", len(p.seal("hmac6")) - 39)),
                                          {"bad_icv": 1}),
    "71 source changed": (lambda p: put(p.seal(), 12, packets.address("192.0.2.77")), {"wrong_outer_address": 1}),
    "71 source changed, IPv6": (lambda p: put(p.seal("hmac6"), 8, packets.address("2001:db8:a::77")), {"wrong_outer_address": 1}),
    **{f"72 an IPv4 option {what}": (lambda p, octets=octets: p.seal(before=octets), BEFORE)
       for what, octets in (("of length 0", bytes([7, 0, 0, 0])), ("of length 1", bytes([68, 1, 0, 0])),
                            ("past the header", bytes([7, 5, 0, 0])), ("without a length", bytes([1, 1, 1, 7])))},
    "72 a loose source route": (lambda p: p.seal(before=bytes([131, 7, 8, 192, 0, 2, 2, 0])), BEFORE),
    "74 an option longer than its hop-by-hop header": (
        lambda p: p.seal("hmac6", before=bytes([packets.AH, 0, 0x3E, 5, 0, 0, 0, 0]), first=0), BEFORE),
    "74 a hop-by-hop header past the packet": (
        lambda p: packets.ipv6("2001:db8:a::2", LOCAL[6], 0, bytes([packets.AH, 200, 1, 4, 0, 0, 0, 0])),
        [{"black.bad_extension": 1}, {"malformed_extension": 1}]),
    **{f"75 a routing header of type {kind}, no segments left": (
        lambda p, octets=octets: p.seal("hmac6", before=octets[:3] + b"\0" + octets[4:], first=43), BEFORE) for kind, octets in ROUTING.items()},
    "76 AH in AH in a tunnel": (lambda p: nested(p, "hmac4", p.seal("cmac4")), {"selector_mismatch": 1}),
    "78 nothing behind the AH, tunnel": (lambda p: p.seal(inner=(os.urandom(40), 59)), {"bad_next_header": 1}),
    "78 nothing behind the AH, tunnel over IPv6": (lambda p: p.seal("gmac6", (os.urandom(40), 59)), {"bad_next_header": 1}),
    "78 nothing behind the AH, transport": (lambda p: p.seal("own4", (os.urandom(40), 59)), {"bad_next_header": 1}),
    "78 nothing behind the AH, transport over IPv6": (lambda p: p.seal("own6", (b"", 59)), {"bad_next_header": 1}),
    "a tunnel's packet in transport mode": (lambda p: p.seal("own4", p.inner("hmac4")), {"bad_next_header": 1}),
    "a datagram in a tunnel": (lambda p: p.seal("hmac4", p.inner("own4")), {"bad_next_header": 1}),
    "version 6 behind next header 4": (lambda p: p.seal(inner=(packets.udp("2001:db8::1", "2001:db8::2"), 4)), {"malformed_inner": 1}),
    "an inner packet longer than what is there": (lambda p: p.seal(inner=(p.inner()[0][:-1], 4)), {"malformed_inner": 1}),
    "an inner source outside the selectors": (lambda p: p.seal(inner=(packets.udp("10.66.0.1", HOST), 4)), {"selector_mismatch": 1}),
    "the SA of another network": (lambda p: p.seal(inner=p.inner("cmac4")), {"selector_mismatch": 1}),
    "number 0": (lambda p: in_ah(p.seal("short"), 8, bytes(4)), {"sequence_zero": 1}),
    "the wrong high half": (lambda p: p.seal(number=p.number() | 1 << 32), {"bad_icv": 1}),
    "in UDP": (lambda p: packets.udp("192.0.2.2", LOCAL[4], p.seal()[20:], sport=4500, dport=4500), {"unknown_spi": 1}),
    "SPI 0": (lambda p: in_ah(p.seal(), 4, bytes(4)), {"reserved_spi": 1}),
}


def nested(peer, name, packet):
    return peer.seal(name, (packet, 4))


@pytest.mark.parametrize("name", DROPPED)
def test_dropped(single, peer, name):
    make, wanted = DROPPED[name]
    with Change(single.daemon) as change:
        single.from_black(make(peer))
        change.expect(wanted)
    nothing_arrives(single, peer)


RECORD_ROUTE = bytes([7, 11, 4, *bytes(8), 0])
TRACEROUTE = bytes([82, 12, 0, 1, 0, 0, 0, 0, 192, 0, 2, 9])
CHANGING = bytes([packets.AH, 1, 0x3E, 4, 1, 2, 3, 4, 1, 4, 0, 0, 0, 0, 0, 0])  # an option whose data may change, and padding

ACCEPTED = {
    "70 DSCP and ECN": lambda p: ("hmac4", put(p.seal(), 1, b"\x2a")),
    "70 TTL": lambda p: ("hmac4", put(p.seal(), 8, b"\3")),
    "70 DF": lambda p: ("hmac4", put(p.seal(flags=2), 6, b"\0")),
    "70 traffic class, flow label and hop limit": lambda p: ("gmac6", put(put(p.seal("gmac6"), 0, b"\x62\xa1\x23\x45"), 7, b"\2")),
    "73 Record Route filled in by routers": lambda p: (
        "hmac4", put(p.seal(before=RECORD_ROUTE), 22, bytes([12, 198, 51, 100, 1, 198, 51, 100, 2]))),
    "73 an unknown option, counted up on the way": lambda p: ("gmac4", put(p.seal("gmac4", before=TRACEROUTE), 24, b"\0\2\0\3")),
    "Router Alert, which nobody changes": lambda p: ("cmac4", p.seal("cmac4", before=bytes([148, 4, 0, 0]))),
    "an option of IPv6 that may change, changed": lambda p: ("hmac6", put(p.seal("hmac6", before=CHANGING, first=60), 44, b"\7\7\7\7")),
    "a hop-by-hop header": lambda p: ("cmac6", p.seal("cmac6", before=HOP_BY_HOP, first=0)),
    "77 Reserved is 0xffff": lambda p: ("hmac4", p.seal(reserved=0xFFFF)),
    "77 Reserved is 0xffff, IPv6": lambda p: ("gmac6", p.seal("gmac6", reserved=0xFFFF)),
    "an IV that is not the number": lambda p: ("gmac4", p.seal("gmac4", iv=os.urandom(8))),
    "padding that is not zero, sealed": lambda p: ("hmac6", p.seal("hmac6", padding=b"\1\2\3\4")),
    "octets behind the inner packet": lambda p: ("hmac4", p.seal(inner=(p.inner()[0] + bytes(9), 4))),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(single, peer, name):
    sa, packet = ACCEPTED[name](peer)
    with Change(single.daemon) as change:
        single.from_black(packet)
        arrives(single, packets.Read(peer.inner(sa)[0]).payload)
        change.expect({})


def test_a_kept_option_changed(single, peer):
    """The other half of 73: what no router may change is covered."""
    for name, before, first, at in (("hmac4", bytes([148, 4, 0, 0]), None, 23), ("hmac6", HOP_BY_HOP, 0, 44)):
        packet = peer.seal(name, before=before, **({} if first is None else {"first": first}))
        with Change(single.daemon) as change:
            single.from_black(put(packet, at, b"\1"))
            change.expect({"bad_icv": 1})


@pytest.mark.parametrize("kind", ROUTING)
def test_segments_left(single, peer, kind):
    """75: a packet that is not yet at its last node is none of IPsec's; the kernel, whose it is, sends nothing on."""
    single.black.drain()
    with Change(single.daemon) as change:
        single.from_black(peer.seal("hmac6", before=ROUTING[kind], first=43))
        change.expect([{}, {"header_before_ah": 1}])
    nothing_arrives(single, peer)
    frame = single.black.receive(lambda one: packets.packet_of(one) is not None and packets.Read(packets.packet_of(one)).protocol in (43, packets.AH),
                                 timeout=0.1)
    assert frame is None


@pytest.mark.parametrize("depth", [2, 10])
def test_ah_in_ah(single, peer, depth):
    """76: one AH is taken off. What is inside is for the gateway itself, whose kernel has no SA for it."""
    payload, next_header = peer.inner("own4")
    for _ in range(depth):
        payload, next_header = packets.Read(peer.seal("own4", (payload, next_header))).payload, packets.AH
    outer = peer.sa("own4")
    with Change(single.daemon) as change:
        single.from_black(outer.seal(payload, peer.number("own4"), next_header=next_header))
        change.opened(1)
        change.expect({})
    nothing_arrives(single, peer)


def test_replays(single, peer):
    for name in ("hmac4", "gmac6", "own4"):
        twice = peer.seal(name)
        with Change(single.daemon) as change:
            single.from_black(twice)
            single.from_black(twice)
            change.opened(1)
            change.expect({"replayed": 1})
    top = peer.number("short") + 1000
    _numbers["short"] = itertools.count(top + 1)
    with Change(single.daemon) as change:
        single.from_black(peer.seal("short", number=top))
        change.opened(1)
        single.from_black(peer.seal("short", number=top - 64))
        change.expect({"too_old": 1})


@pytest.mark.parametrize("name", ["hmac4", "hmac6", "cmac6", "gmac4", "gmac6", "own4", "own6"])
def test_every_octet_behind_the_number_counts(single, peer, name):
    """One bit wrong anywhere: Next Header, Reserved, IV, ICV, padding, payload."""
    good = peer.seal(name)
    first = at_ah(good)
    places = [0, 2, 3, *range(12, len(good) - first)]
    with Change(single.daemon) as change:
        for place in places:
            single.from_black(in_ah(good, place, bytes([good[first + place] ^ 1 << place % 8])))
        change.expect({"bad_icv": len(places)})
    with Change(single.daemon) as change:
        single.from_black(good)
        change.opened(1)
