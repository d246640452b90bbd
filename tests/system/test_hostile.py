# SPDX-License-Identifier: Apache-2.0
"""Frames that nobody honest sends, each with the counter it must raise, and no other. The numbers are those of the list of 84 in the sheet
of ESP and AH that the project works from. Where another file has the row:

17 after the hard lifetime                    test_lifetimes.py
29 a resynchronisation                        none is built: 64 bad ICVs are 64 bad ICVs, here
46 selectors OPAQUE                           none are built: fragments follow their first one, test_fragments.py
53, 55 overlaps, 10,000 first fragments       test_fragments.py
15, 66 to 78 AH                               test_hostile_ah.py
79, 80 ICMP that says the path is narrower    test_path_mtu.py; the value is believed within bounds until there is probing (80)
81 one octet over the limit                   test_path_mtu.py, test_sizes.py; the two pieces: test_fragments.py
83 no durable mark (the IV is the number)     gateway/worker/worker_test.cpp, gateway/sequence/space_test.cpp, test_restart.py
cut at every octet                            test_truncated.py
"""

import hashlib
import itertools
import os
import struct
import time

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.topology import Single
from tests.rig.wire import ethernet

WINDOW = 64


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    window = {"replay-window": WINDOW}
    return [
        rig.connection("esn", 4, 1, more=window),
        rig.connection("short", 4, 2, esn=False, more=window, remote_networks=["10.3.0.0/16"]),
        rig.connection("cbc", 4, 3, algorithm="aes-128-cbc-hmac-sha2-256", remote_networks=["10.4.0.0/16"], more=window),
        rig.connection("over6", 6, 4, remote_networks=["10.5.0.0/16", "2001:db8:5::/48"], more=window),
        rig.connection("udp", 4, 5, remote_networks=["10.6.0.0/16"], more={**window, "protocol": "udp"}),
        rig.connection("fresh", 4, 6, remote_networks=["10.7.0.0/16"], more=window),
        rig.connection("ports", 4, 7, remote_networks=["10.8.0.0/16"], more={**window, "protocol": "udp", "remote-ports": "1000-2000"}),
        rig.connection("nat4", 4, 8, remote_networks=["10.9.0.0/16"], more={**window, **NAT}),
        rig.connection("nat6", 6, 9, remote_networks=["10.10.0.0/16"], more={**window, **NAT}),
        rig.connection("open", 4, 10, local_networks=["0.0.0.0/0"], remote_networks=["10.11.0.0/16"], more=window),
    ]


NAT = {"udp-port": 4501, "nat-keepalive": 0}  # as a NAT on the way maps the peer's port
FAR = {"esn": "10.2.0.2", "short": "10.3.0.2", "cbc": "10.4.0.2", "over6": "10.5.0.2", "udp": "10.6.0.2", "fresh": "10.7.0.2",
       "ports": "10.8.0.2", "nat4": "10.9.0.2", "nat6": "10.10.0.2", "open": "10.11.0.2"}
HOST, LOCAL, PEER = "10.1.0.2", "192.0.2.1", "192.0.2.2"
_numbers = {name: itertools.count(1000) for name in FAR}


class Peer:
    """What the far gateway, or somebody who has its keys, or somebody who has not, sends."""

    def __init__(self, rig):
        self.rig = rig

    def sa(self, name="esn"):
        return self.rig.connections[name].taken()

    def number(self, name="esn"):
        return next(_numbers[name])

    def inner(self, name="esn", **more):
        return packets.udp(FAR[name], HOST, b"payload", **more)

    def seal(self, inner=None, name="esn", number=None, **more):
        return self.sa(name).seal(self.inner(name) if inner is None else inner, number or self.number(name), **more)

    def esp(self, inner=None, name="esn", number=None, **more):
        return self.sa(name).esp(self.inner(name) if inner is None else inner, number or self.number(name), **more)

    def in_udp(self, name, sport=61000, number=None, checksum=None, esp=None):
        """ESP in UDP from any port; over IPv6 with a right checksum unless one is given."""
        sa = self.sa(name)
        packet = packets.udp(sa.source, sa.destination, esp or self.esp(name=name, number=number), sport=sport, dport=4500)
        at = packets.Read(packet).header + 6
        return packet if checksum is None else packet[:at] + struct.pack("!H", checksum) + packet[at + 2 :]

    def outer(self, payload, **more):
        return packets.ipv4(PEER, LOCAL, packets.ESP, payload, **more)


@pytest.fixture
def peer(single):
    single.red.drain()
    return Peer(single)


def arrives(rig, packet=None):
    """The next packet that comes out for the host (the one given, if one is), as octets."""
    frame = rig.red.receive(packets.is_ip_to(HOST), timeout=3)
    assert frame is not None, "nothing came out of the red port"
    got = packets.packet_of(frame)
    if packet is not None:
        assert packets.Read(got).payload == packets.Read(packet).payload
    return got


def nothing_arrives(rig):
    """A good packet sent behind the bad one is the next that comes out."""
    marker = packets.udp(FAR["esn"], HOST, os.urandom(16))
    rig.from_black(rig.connections["esn"].taken().seal(marker, next(_numbers["esn"])))
    arrives(rig, marker)


def flipped(octets, position, bit=1):
    return octets[:position] + bytes([octets[position] ^ bit]) + octets[position + 1 :]


def patched(packet, position, octets):
    """An IPv4 packet with other octets in its header and the checksum made right again."""
    packet = packet[:position] + octets + packet[position + len(octets) :]
    length = (packet[0] & 15) * 4
    head = packet[:10] + b"\0\0" + packet[12:length]
    return packet[:10] + struct.pack("!H", packets.checksum(head)) + packet[12:]


BAD_IP = {"black.bad_ip": 1}


def inner_with(peer, name="esn", **fields):
    """An inner IPv4 packet whose header says something that is not so."""
    return packets.ipv4(FAR[name], HOST, packets.UDP, struct.pack("!HHHH", 4000, 5000, 15, 0) + b"payload", **fields)


def trailer(octets, length, next_header=4):
    return octets + bytes([length, next_header])


# name -> (what makes the packet, what must be counted). A list: one of these.
DROPPED = {
    "01 cut inside the IPv4 header": (lambda p: p.seal()[:12], BAD_IP),
    "02 header length 4 words": (lambda p: packets.ipv4(PEER, LOCAL, 50, p.esp(), ihl=4), BAD_IP),
    "02 header length 15 words in 40 octets": (lambda p: packets.ipv4(PEER, LOCAL, 50, p.esp()[:20], ihl=15), BAD_IP),
    "03 total length beyond the frame": (lambda p: packets.ipv4(PEER, LOCAL, 50, p.esp(), total=1000), BAD_IP),
    "03 total length below the header": (lambda p: packets.ipv4(PEER, LOCAL, 50, p.esp(), total=19), BAD_IP),
    "05 header checksum": (lambda p: p.outer(p.esp(), wrong_checksum=True), [BAD_IP, {"bad_header_checksum": 1}]),
    "06 version 6 in an IPv4 frame": (lambda p: ("0800", packets.ipv4(PEER, LOCAL, 50, p.esp(), version=6)), BAD_IP),
    "07 ESP of 0 octets": (lambda p: p.outer(b""), [{"malformed_esp": 1}, BAD_IP]),
    "07 ESP of 3 octets": (lambda p: p.outer(p.esp()[:3]), [{"malformed_esp": 1}, BAD_IP]),
    "07 ESP of 7 octets": (lambda p: p.outer(p.esp()[:7]), [{"malformed_esp": 1}, BAD_IP]),
    "08 ESP of 8 octets": (lambda p: p.outer(p.esp()[:8]), {"malformed_esp": 1}),
    "09 ESP one octet below the least": (lambda p: p.outer(p.esp()[:35]), {"malformed_esp": 1}),
    "10 CBC with 15 octets": (lambda p: p.outer(p.esp(name="cbc")[: 8 + 16 + 15 + 16]), {"malformed_esp": 1}),
    "10 CBC with 17 octets": (lambda p: p.outer(p.esp(name="cbc")[: 8 + 16 + 17 + 16]), {"malformed_esp": 1}),
    "10 CBC with nothing": (lambda p: p.outer(p.esp(name="cbc")[: 8 + 16 + 16]), {"malformed_esp": 1}),
    "11 SPI 0": (lambda p: p.outer(bytes(4) + p.esp()[4:]), {"reserved_spi": 1}),
    "12 SPI 1": (lambda p: p.outer(struct.pack("!I", 1) + p.esp()[4:]), {"reserved_spi": 1}),
    "12 SPI 255": (lambda p: p.outer(struct.pack("!I", 255) + p.esp()[4:]), {"reserved_spi": 1}),
    "13 unknown SPI": (lambda p: p.outer(struct.pack("!I", 0x7654321) + p.esp()[4:]), {"unknown_spi": 1}),
    "14 SPI of an outbound SA": (lambda p: p.outer(struct.pack("!I", 0x2001) + p.esp()[4:]), {"unknown_spi": 1}),
    "16 another outer source": (lambda p: packets.ipv4("192.0.2.77", LOCAL, 50, p.esp()), {"wrong_outer_address": 1}),
    "16 the SPI of an SA over IPv6 on IPv4": (lambda p: p.outer(p.esp(name="over6")), [{"unknown_spi": 1}, {"wrong_outer_address": 1}]),
    "20 number 0": (lambda p: p.outer(flipped_number(p, 0)), [{"sequence_zero": 1}, {"bad_icv": 1}]),
    "21 below the first subspace": (lambda p: p.outer(p.esp(name="fresh", number=0xFFFFFFFF)), {"too_old": 1}),
    "24 far to the right, garbage": (lambda p: p.outer(struct.pack("!II", 0x1001, 0xF0000000) + os.urandom(60)), {"bad_icv": 1}),
    "25 a bit of the ICV": (lambda p: p.outer(flipped(p.esp(), -1 % len(p.esp()))), {"bad_icv": 1}),
    "25 a bit of the ciphertext": (lambda p: p.outer(flipped(p.esp(), 20)), {"bad_icv": 1}),
    "25 a bit of the IV": (lambda p: p.outer(flipped(p.esp(), 9)), {"bad_icv": 1}),
    "25 a bit of the IV, CBC": (lambda p: p.outer(flipped(p.esp(name="cbc"), 9)), {"bad_icv": 1}),
    "25 the SPI of another SA": (lambda p: p.outer(struct.pack("!I", 0x1005) + p.esp()[4:]), {"bad_icv": 1}),
    "25 the number": (lambda p: p.outer(flipped(p.esp(), 5)), {"bad_icv": 1}),
    "26 the wrong high half": (lambda p: p.outer(p.esp(number=p.number() | 1 << 32)), {"bad_icv": 1}),
    "27 eight octets more": (lambda p: p.outer(p.esp() + bytes(8)), {"bad_icv": 1}),
    "28 four octets of the ICV less": (lambda p: p.outer(p.esp()[:-4]), [{"bad_icv": 1}, {"malformed_esp": 1}]),
    "30 dummy": (lambda p: p.seal(os.urandom(50), next_header=59), {"dummy": 1}),
    "31 dummy with a pad length past its start": (
        lambda p: p.seal(b"", trailer=trailer(b"\1\2", 255, 59)), [{"dummy": 1}, {"bad_padding": 1}]),
    "32 padding eats everything": (lambda p: p.seal(b"", trailer=trailer(bytes(30), 31)), {"bad_padding": 1}),
    "32 pad length past the start": (lambda p: p.seal(b"", trailer=trailer(bytes(30), 255)), {"bad_padding": 1}),
    "32 pad length past the start, CBC": (lambda p: p.seal(b"", name="cbc", trailer=trailer(bytes(30), 255)), {"bad_padding": 1}),
    "33 padding 01 02 04": (lambda p: p.seal(p.inner()[:-1] + b"xx", trailer=trailer(b"\1\2\4", 3)), {"bad_padding": 1}),
    "35 next header TCP": (lambda p: p.seal(p.inner(), next_header=6), {"bad_next_header": 1}),
    "35 next header 144": (lambda p: p.seal(p.inner(), next_header=144), {"bad_next_header": 1}),
    "36 next header 4, inner version 6": (lambda p: p.seal(inner_with(p, version=6), next_header=4), {"malformed_inner": 1}),
    "36 next header 41, inner version 4": (lambda p: p.seal(p.inner(), next_header=41), {"malformed_inner": 1}),
    "37 inner longer than the plain text": (lambda p: p.seal(inner_with(p, total=200)), {"malformed_inner": 1}),
    "38 inner total length 19": (lambda p: p.seal(inner_with(p, total=19)), {"malformed_inner": 1}),
    "38 inner header length 3": (lambda p: p.seal(inner_with(p, ihl=3)), {"malformed_inner": 1}),
    "38 inner header past the end": (lambda p: p.seal(inner_with(p, ihl=15)), {"malformed_inner": 1}),
    "38 inner IPv6 longer than the plain text": (
        lambda p: p.seal(packets.ipv6("2001:db8:5::2", "2001:db8:1::2", 17, bytes(16), length=100), "over6"), {"malformed_inner": 1}),
    "39 nothing but padding": (lambda p: p.seal(b"", next_header=4), {"malformed_inner": 1}),
    "41 inner source outside the selectors": (
        lambda p: p.seal(packets.udp("192.168.0.1", HOST, b"x")), {"selector_mismatch": 1}),
    "41 inner destination outside the selectors": (
        lambda p: p.seal(packets.udp(FAR["esn"], "10.9.0.2", b"x")), {"selector_mismatch": 1}),
    "41 the SA of other networks": (lambda p: p.seal(packets.udp(FAR["short"], HOST, b"x")), {"selector_mismatch": 1}),
    "42 ICMP on an SA for UDP": (lambda p: p.seal(packets.echo(FAR["udp"], HOST), "udp"), {"selector_mismatch": 1}),
    "42 a port outside": (
        lambda p: p.seal(packets.udp(FAR["ports"], HOST, b"x", sport=999), "ports"), {"selector_mismatch": 1}),
    "43 ICMP error on an SA for UDP, its quote fits": (
        lambda p: p.seal(packets.icmp_error(FAR["udp"], HOST, 3, 3, packets.udp(HOST, FAR["udp"], b"x")), "udp"), {"selector_mismatch": 1}),
    "44 ICMP error with a quote of 8 octets": (
        lambda p: p.seal(packets.icmp_error(FAR["udp"], HOST, 3, 3, packets.udp(HOST, FAR["udp"])[:8]), "udp"), {"selector_mismatch": 1}),
    "44 ICMP error with a quote of 20 octets": (
        lambda p: p.seal(packets.icmp_error(FAR["udp"], HOST, 3, 3, packets.udp(HOST, FAR["udp"])[:20]), "udp"), {"selector_mismatch": 1}),
    "44 ICMP error about an ICMP error": (
        lambda p: p.seal(packets.icmp_error(FAR["udp"], HOST, 3, 3, packets.icmp_error(HOST, FAR["udp"], 3, 3, p.inner("udp"))), "udp"),
        {"selector_mismatch": 1}),
    "44 ICMP error with a quoted header of 15 words cut short": (
        lambda p: p.seal(packets.icmp_error(FAR["udp"], HOST, 3, 3, packets.ipv4(HOST, FAR["udp"], 17, bytes(8), ihl=15)), "udp"),
        {"selector_mismatch": 1}),
    "45 inner fragment, not the first": (
        lambda p: p.seal(packets.ipv4(FAR["ports"], HOST, 17, bytes(24), offset=64), "ports"), {"fragment_inner": 1}),
    "45 inner fragment, the first, of another port": (
        lambda p: p.seal(packets.ipv4(FAR["ports"], HOST, 17, bytes(24), flags=1), "ports"), {"selector_mismatch": 1}),
    "45 inner fragment, the first, without the ports": (
        lambda p: p.seal(packets.ipv4(FAR["ports"], HOST, 17, b"", flags=1), "ports"), {"fragment_tiny": 1}),
    "46 inner fragment at octet 8": (
        lambda p: p.seal(packets.ipv4(FAR["ports"], HOST, 17, bytes(24), offset=8, identification=46), "ports"), {"fragment_inner": 1}),
    "46 inner fragment of no multiple of eight": (
        lambda p: p.seal(packets.ipv4(FAR["ports"], HOST, 17, bytes(25), offset=8, flags=1), "ports"), {"fragment_inner": 1}),
    "47 a hop-by-hop header in second place": (
        lambda p: p.seal(packets.ipv6("2001:db8:5::2", "2001:db8:1::2", 60, bytes([0, 0, 1, 4, 0, 0, 0, 0]) + bytes([59, 0, 1, 4, 0, 0, 0, 0])),
                         "over6"),
        [{"malformed_inner": 1}, {"malformed_extension": 1}]),
    "47 64 extension headers": (
        lambda p: p.seal(packets.ipv6("2001:db8:5::2", "2001:db8:1::2", 60, bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 64), "over6"),
        [{"malformed_inner": 1}, {"malformed_extension": 1}]),
    "47 an extension header past the end": (
        lambda p: p.seal(packets.ipv6("2001:db8:5::2", "2001:db8:1::2", 60, bytes([17, 9, 1, 4, 0, 0, 0, 0])), "over6"),
        [{"malformed_inner": 1}, {"malformed_extension": 1}]),
    "48 inner TTL 1": (lambda p: p.seal(p.inner(ttl=1)), {"ttl_expired": 1}),
    "48 inner TTL 0": (lambda p: p.seal(p.inner(ttl=0)), {"ttl_expired": 1}),
    "49 congestion outside, no ECN inside": (lambda p: p.seal(p.inner(tos=0), tos=3), {"ecn_illegal": 1}),
    "51 for 127.0.0.1": (lambda p: p.seal(packets.udp(FAR["esn"], "127.0.0.1")), {"selector_mismatch": 1}),
    "51 from 127.0.0.1": (
        lambda p: p.seal(packets.udp("127.0.0.1", HOST)), [{"selector_mismatch": 1}, {"martian_source": 1}]),
    "51 for a group": (lambda p: p.seal(packets.udp(FAR["esn"], "224.0.0.5")), {"selector_mismatch": 1}),
    "51 for a group, where all addresses are the SA's": (
        lambda p: p.seal(packets.udp(FAR["open"], "224.9.9.9"), "open"), {"route_refused": 1}),
    "51 for our outer address, ESP again": (
        lambda p: p.seal(packets.ipv4(PEER, LOCAL, 50, p.esp()), "esn"), {"selector_mismatch": 1}),
    "52 outer fragment, the first": (lambda p: p.outer(p.esp(), flags=1), {"fragment_outer": 1}),
    "52 outer fragment of no multiple of eight": (lambda p: p.outer(p.esp()[:67], flags=1), {"fragment_outer": 1}),
    "54 outer fragment that ends beyond 65535": (lambda p: p.outer(p.esp(), offset=65528), [{"fragment_outer": 1}, {"malformed_ip": 1}, BAD_IP]),
    "57 UDP 4500 of 8 octets": (lambda p: packets.udp(PEER, LOCAL, b"", sport=4500, dport=4500), {"black.udp_short": 1}),
    "57 UDP 4500, length 7": (
        lambda p: packets.ipv4(PEER, LOCAL, 17, struct.pack("!HHHH", 4500, 4500, 7, 0)), {"black.bad_udp": 1}),
    "57 UDP 4500, length beyond the packet": (
        lambda p: packets.ipv4(PEER, LOCAL, 17, struct.pack("!HHHH", 4500, 4500, 100, 0) + bytes(8)), {"black.bad_udp": 1}),
    "58 NAT keepalive": (lambda p: packets.udp(PEER, LOCAL, b"\xff", sport=4500, dport=4500), {"black.nat_keepalive": 1}),
    "58 one octet 00": (lambda p: packets.udp(PEER, LOCAL, b"\0", sport=4500, dport=4500), {"black.udp_short": 1}),
    "58 two octets FF": (lambda p: packets.udp(PEER, LOCAL, b"\xff\xff", sport=4500, dport=4500), {"black.udp_short": 1}),
    # IKE, and nobody listens: the program of the port says so before a worker would (ike_nobody_listening).
    "59 four zero octets": (lambda p: packets.udp(PEER, LOCAL, bytes(4), sport=4500, dport=4500), {"black.bad_ike": 1}),
    "60 ESP behind a marker of IKE": (
        lambda p: packets.udp(PEER, LOCAL, bytes(4) + p.esp(), sport=4500, dport=4500), {"black.ike_unserved": 1}),
    "61 ESP to port 500": (lambda p: packets.udp(PEER, LOCAL, p.esp(), sport=500, dport=500), {"black.ike_unserved": 1}),
    "65 IPv6 without a UDP checksum": (lambda p: p.in_udp("nat6", checksum=0), {"udp_no_checksum": 1}),
    "65 IPv6, a wrong UDP checksum and a bad ICV": (
        lambda p: p.in_udp("nat6", checksum=0x1234, esp=flipped(p.esp(name="nat6"), 20)), {"bad_icv": 1}),
    "65 IPv4, no UDP checksum and a bad ICV": (
        lambda p: p.in_udp("nat4", checksum=0, esp=flipped(p.esp(name="nat4"), 20)), {"bad_icv": 1}),
    "79 ICMP error that quotes our ESP": (
        lambda p: packets.icmp_error(PEER, LOCAL, 3, 4, packets.ipv4(LOCAL, PEER, 50, struct.pack("!II", 0x2001, 1) + bytes(8))),
        {"icmp_mtu_unproven": 1}),
}


def flipped_number(peer, number):
    esp = peer.esp()
    return esp[:4] + struct.pack("!I", number) + esp[8:]


@pytest.mark.parametrize("name", DROPPED)
def test_dropped(single, peer, name):
    make, wanted = DROPPED[name]
    with Change(single.daemon) as change:
        packet = make(peer)
        if isinstance(packet, tuple):
            single.black.send(ethernet(single.gw_black_mac, single.black.mac, packet[1], int(packet[0], 16)))
        else:
            single.from_black(packet)
        change.expect(wanted)
    nothing_arrives(single)


ACCEPTED = {
    "04 Ethernet padding behind the packet": lambda p: (p.seal() + bytes(20), p.inner()),
    "34 the most padding": lambda p: (p.seal(p.inner() + b"x", trailer=trailer(bytes(range(1, 256)), 255)), p.inner()),
    "40 600 octets of TFC padding": lambda p: (p.seal(p.inner(), tfc=os.urandom(600)), p.inner()),
    "the IV is not the number": lambda p: (p.seal(p.inner(), iv=os.urandom(8)), p.inner()),
    "outer options": lambda p: (packets.ipv4(PEER, LOCAL, 50, p.esp(), options=bytes([148, 4, 0, 0])), p.inner()),
    "56 IPv6 with an atomic fragment header": lambda p: (
        packets.ipv6("2001:db8:a::2", "2001:db8:a::1", 44, struct.pack("!BBHI", 50, 0, 0, 9) + p.esp(name="over6")), p.inner("over6")),
    "outer TTL 1": lambda p: (p.seal(ttl=1), p.inner()),
    "62 bare, on an SA in UDP": lambda p: (p.seal(name="nat4"), p.inner("nat4")),
    "62 in UDP, on a bare SA": lambda p: (p.in_udp("esn"), p.inner()),
    "65 IPv6, a wrong UDP checksum": lambda p: (p.in_udp("nat6", checksum=0x1234), p.inner("nat6")),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(single, peer, name):
    packet, wanted = ACCEPTED[name](peer)
    with Change(single.daemon) as change:
        single.from_black(packet)
        arrives(single, wanted)
        change.expect({})


def test_congestion_outside_reaches_the_inner_packet(single, peer):
    """RFC 6040 4.2, figure 4; row 50 of the list among them. (inner, outer) -> what leaves."""
    for inside, outside, result in ((1, 0, 1), (2, 0, 2), (3, 0, 3), (0, 1, 0), (2, 1, 1), (1, 3, 3), (2, 3, 3), (0, 2, 0), (1, 2, 1), (3, 2, 3)):
        single.from_black(peer.seal(peer.inner(tos=0xB8 | inside), tos=0x28 | outside))
        got = packets.Read(arrives(single))
        assert (got.tos & 3, got.tos >> 2) == (result, 0x2E), (inside, outside)
        assert got.checksum_good


def test_dscp_and_congestion_go_outside(single, peer):
    """RFC 6040 4.1, normal mode: copied; the outer checksum is right."""
    while single.black.receive(timeout=0.1) is not None:  # ICMP errors about what was sent before
        pass
    for tos in (0, 1, 2, 3, 0xB8, 0xFF):
        single.from_red(packets.udp(HOST, FAR["esn"], b"x", tos=tos))
        outer = packets.Read(packets.packet_of(single.black.receive(packets.is_esp)))
        assert outer.tos == tos
        assert outer.checksum_good


def test_replays(single, peer):
    """18: twice, apart. 19: twice in one batch. 22: left of a 32-bit window. 23: left of an ESN window, one subspace too high."""
    first = peer.seal()
    single.from_black(first)
    arrives(single)
    with Change(single.daemon) as change:
        single.from_black(first)
        change.expect({"replayed": 1})
    with Change(single.daemon) as change:
        for _ in range(20):
            twice = peer.seal()
            single.from_black(twice)
            single.from_black(twice)
        change.expect({"replayed": 20})
    assert len(single.red.collect(20, packets.is_ip_to(HOST))) == 20
    for name, reason in (("short", "too_old"), ("esn", "bad_icv")):
        top = peer.number(name) + 1000
        _numbers[name] = itertools.count(top + 1)
        single.from_black(peer.seal(name=name, number=top))
        arrives(single)
        with Change(single.daemon) as change:
            single.from_black(peer.seal(name=name, number=top - WINDOW))
            change.expect({reason: 1})
            single.from_black(peer.seal(name=name, number=top - WINDOW + 1))
            arrives(single)
            change.expect({reason: 1})


def test_bad_icvs_move_nothing(single, peer):
    """24, 29: many forgeries to the right, then the next good packet is taken."""
    with Change(single.daemon) as change:
        for number in range(64):
            single.from_black(peer.outer(struct.pack("!II", 0x1001, 0x70000000 + number) + os.urandom(60)))
        change.expect({"bad_icv": 64})
    nothing_arrives(single)


def test_every_octet_of_a_packet_counts(single, peer):
    """One bit wrong anywhere behind the SPI and the number."""
    for name in ("esn", "short", "cbc"):
        good = peer.esp(name=name)
        with Change(single.daemon) as change:
            for position in range(8, len(good)):
                single.from_black(peer.outer(flipped(good, position, 1 << position % 8)))
            change.expect({"bad_icv": len(good) - 8})
    nothing_arrives(single)


def counted(rig, name):
    return rig.daemon.counters().values[("packets", None, name)]


def sent_to(single, name):
    """Source and destination port of what the gateway sends by this SA, None: it is bare."""
    single.black.drain()
    single.from_red(packets.udp(HOST, FAR[name], b"where to"))

    def wanted(frame):
        packet = packets.packet_of(frame)
        return packet is not None and packets.Read(packet).protocol in (packets.ESP, packets.UDP)

    read = packets.Read(packets.packet_of(single.black.receive(wanted)))
    return struct.unpack_from("!HH", read.payload) if read.protocol == packets.UDP else None


@pytest.mark.parametrize("name", ["nat4", "nat6"])
def test_no_packet_moves_the_peer(single, peer, name):
    """62 to 64: bare, late, or from another port, good or seen before: what is sent goes where it went."""
    top = peer.number(name) + 100
    _numbers[name] = itertools.count(top + 1)
    single.from_black(peer.in_udp(name, 4501, top))
    arrives(single)
    assert sent_to(single, name) == (4500, 4501)
    with Change(single.daemon) as change:
        single.from_black(peer.in_udp(name, 62000, top))
        change.expect({"replayed": 1})
    single.from_black(peer.in_udp(name, 62000, top - 9))  # late, inside the window
    arrives(single)
    single.from_black(peer.in_udp(name, 62001))  # new: a later issue may follow it (RFC 7296 2.23), this one does not
    arrives(single)
    before = counted(single, "other_form")
    single.from_black(peer.seal(name=name))
    arrives(single)
    assert counted(single, "other_form") == before + 1
    assert sent_to(single, name) == (4500, 4501)
    single.from_black(peer.in_udp("esn"))
    arrives(single)
    assert sent_to(single, "esn") is None


def test_quotes_that_fit(single, peer):
    """43: the error itself fits the SA, which takes any protocol; what it quotes is then its sender's matter."""
    for quote in (packets.udp(HOST, FAR["esn"], b"x"), packets.udp("10.77.0.1", "10.77.0.2", b"x"), b""):
        error = packets.icmp_error(FAR["esn"], HOST, 3, 3, quote)
        single.from_black(peer.seal(error))
        arrives(single, error)


def test_an_expired_packet_is_told_of(single, peer):
    """48: the answer about a TTL of 1 goes back through the tunnel; 0 and what is itself an error are not answered."""
    single.black.drain()
    sa = single.connections["esn"].sent()
    with Change(single.daemon) as change:
        single.from_black(peer.seal(peer.inner(ttl=1)))
        change.expect({"ttl_expired": 1})
    frame = single.black.receive(packets.is_esp)
    assert frame is not None, "no answer"
    told = packets.Read(sa.open(packets.packet_of(frame))[0])
    assert (told.destination, told.protocol, told.payload[0]) == (FAR["esn"], packets.ICMP, 11)
    with Change(single.daemon) as change:
        single.from_black(peer.seal(packets.icmp_error(FAR["esn"], HOST, 3, 3, packets.udp(HOST, FAR["esn"]), ttl=1)))
        change.expect({"ttl_expired": 1})
    assert single.black.receive(packets.is_esp, timeout=0.1) is None


def test_the_gateways_own_red_address(single, peer):
    """51: the kernel has the packet, and what it answers to an echo goes back through the tunnel."""
    single.black.drain()
    with Change(single.daemon) as change:
        single.from_black(peer.seal(packets.echo(FAR["esn"], single.RED[4], b"from afar", sequence=9)))
        frame = single.black.receive(packets.is_esp)
        assert frame is not None, f"no answer: {change.drops()}"
        change.expect({})
    answer = packets.Read(single.connections["esn"].sent().open(packets.packet_of(frame))[0])
    assert (answer.source, answer.destination, answer.payload[0]) == (single.RED[4], FAR["esn"], 0)
    assert answer.payload[8:] == b"from afar"


def used_up(daemon, number):
    """As if all numbers up to this one had been used before a reboot."""
    path = daemon.state_directory / "marks"
    lines = path.read_text().splitlines()[:-1]
    for place, line in enumerate(lines):
        if line.startswith("outbound "):
            lines[place] = f"outbound {number} {line.split(' ', 2)[2]}"
    text = "\n".join(lines) + "\n"
    path.write_text(f"{text}sha256 {hashlib.sha256(text.encode()).hexdigest()}\n")


def test_the_last_number():
    """82: 32-bit numbers end at 2^32 - 1, and none of them comes twice, 0 neither."""
    with Single() as rig:
        rig.start([rig.connection(esn=False)], start=False)
        rig.daemon.create_marks()
        used_up(rig.daemon, 2**32 - 4)
        rig.daemon.start()
        with Change(rig.daemon) as change:
            for _ in range(10):
                rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
            change.expect({"sequence_exhausted": 7})
        frames = rig.black.collect(10, packets.is_esp, timeout=0.3)
        numbers = [struct.unpack_from("!I", packets.Read(packets.packet_of(frame)).payload, 4)[0] for frame in frames]
        assert numbers == [2**32 - 3, 2**32 - 2, 2**32 - 1]


def test_floods_by_forged_sources_are_answered_slowly():
    """84: every packet is counted, few are answered, whatever source they claim."""
    with Single() as rig:
        rig.start([rig.connection()], settings={"icmp-prohibited": True},
                  policies={"never": {"action": "discard", "remote-networks": ["10.66.0.0/16"]}})
        began = time.monotonic()
        with Change(rig.daemon) as change:
            for number in range(1000):
                rig.from_red(packets.udp(f"10.1.0.{number % 200 + 2}", "10.66.0.1", b"x"))
            change.expect({"policy_discard": 1000}, ignore=("neighbour_unresolved", "neighbour_queue_full"), timeout=10)
        took = time.monotonic() - began

        def is_answer(frame):
            packet = packets.packet_of(frame)
            return packet is not None and packets.Read(packet).protocol == packets.ICMP

        answers = len(rig.red.collect(1000, is_answer, timeout=0.5))
        assert answers <= 200 + 100 * (took + 1), "icmp-error-rate is 100 a second"


def test_a_gateway_that_saw_all_this_still_works(single, peer):
    with Change(single.daemon) as change:
        for name in ("esn", "short", "cbc", "udp"):
            wanted = peer.inner(name)
            single.from_black(peer.seal(wanted, name))
            arrives(single, wanted)
        change.expect({})
