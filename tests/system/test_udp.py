# SPDX-License-Identifier: Apache-2.0
"""ESP in UDP (RFC 3948): sent where the connection says so, taken in both forms at any time (RFC 7296 2.23), kept alive through a NAT."""

import logging
import struct
import time

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.topology import Pair, Single

logging.getLogger("scapy").setLevel(logging.ERROR)

PORT = 4501  # as a NAT may map it


def connections(rig):
    """In UDP and not, over both families, each with a network of its own behind the peer."""
    made = []
    for number, (name, outer) in enumerate((("udp4", 4), ("udp6", 6), ("bare4", 4), ("bare6", 6)), 1):
        more = {"udp-port": PORT, "nat-keepalive": 0} if name.startswith("udp") else {}
        made.append(rig.connection(name, outer, number, remote_networks=[f"10.2.{number}.0/24"], more=more))
    return made


CONNECTIONS = connections
NAMES = ("udp4", "udp6", "bare4", "bare6")


def far(name):
    return f"10.2.{NAMES.index(name) + 1}.9"


def is_udp_to_port(frame, port=PORT):
    packet = packets.packet_of(frame)
    return packet is not None and packets.Read(packet).protocol == packets.UDP and struct.unpack_from("!H", packets.Read(packet).payload, 2)[0] == port


def in_udp(sa, esp, *, sport=61000, checksum=None):
    """An ESP packet as the peer behind a NAT sends it."""
    packet = packets.udp(sa.source, sa.destination, esp, sport=sport, dport=4500)
    if checksum is None:
        return packet
    at = packets.Read(packet).header + 6
    return packet[:at] + struct.pack("!H", checksum) + packet[at + 2 :]


def counted(rig, name):
    return rig.daemon.counters().values[("packets", None, name)]


def arrives(rig, outer):
    with Change(rig.daemon) as change:
        rig.from_black(outer)
        frame = rig.red.receive(packets.is_ip_to(rig.HOST[4]))
        assert frame is not None, f"nothing came out of the red port: {change.drops()}"


@pytest.mark.parametrize("name", ["udp4", "udp6"])
def test_it_is_sent_in_udp(single, name):
    sa = single.connections[name].sent()
    packet = packets.udp(single.HOST[4], far(name), b"through the NAT")
    single.from_red(packet)
    frame = single.black.receive(is_udp_to_port)
    assert frame is not None, "nothing came out of the black port"
    outer = packets.Read(packets.packet_of(frame))
    sport, dport, length, checksum = struct.unpack_from("!HHHH", outer.payload)
    assert (sport, dport, length) == (4500, PORT, len(outer.payload))
    if name == "udp4":
        assert checksum == 0  # RFC 3948 2.1
        assert outer.checksum_good
    else:
        assert checksum != 0
        assert packets.checksum(packets.pseudo(outer.source, outer.destination, packets.UDP, length) + outer.payload) == 0
    inner, _, following, _ = sa.open(packets.ip(outer.source, outer.destination, packets.ESP, outer.payload[8:]))
    assert following == 4
    assert packets.Read(inner).payload == packets.Read(packet).payload


def test_scapy_opens_it(single):
    from scapy.layers.inet import IP, UDP
    from scapy.layers.ipsec import ESP, SecurityAssociation

    sa = single.connections["udp4"].sent()
    packet = packets.udp(single.HOST[4], far("udp4"), b"to Scapy")
    single.from_red(packet)
    outer = packets.packet_of(single.black.receive(is_udp_to_port))
    other = SecurityAssociation(ESP, spi=sa.spi, crypt_algo="AES-GCM", crypt_key=sa.key, esn_en=True, esn=0,
                                tunnel_header=IP(src=sa.source, dst=sa.destination), nat_t_header=UDP(sport=4500, dport=PORT))
    outer = outer[:22] + struct.pack("!H", 4500) + outer[24:]  # Scapy looks for ESP behind port 4500 only
    opened = bytes(other.decrypt(IP(outer)))
    assert packets.Read(opened).payload == packets.Read(packet).payload


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_are_taken(single, name):
    sa = single.connections[name].taken()
    inner = packets.udp(far(name), single.HOST[4], b"either way")
    before = counted(single, "other_form")
    arrives(single, sa.seal(inner, 1))
    arrives(single, in_udp(sa, sa.esp(inner, 2)))
    arrives(single, in_udp(sa, sa.esp(inner, 3), sport=4500) + b"behind the packet")
    with Change(single.daemon) as change:
        single.from_black(in_udp(sa, sa.esp(inner, 3), sport=62000))
        change.expect({"replayed": 1})
    expected = 1 if name.startswith("udp") else 3
    assert counted(single, "other_form") - before == expected


def test_a_datagram_says_how_long_it_is(single):
    """What lies between the end of the datagram and that of the IP packet is no part of ESP."""
    sa = single.connections["udp4"].taken()
    esp = sa.esp(packets.udp(far("udp4"), single.HOST[4], b"shorter"), 10)
    datagram = struct.pack("!HHHH", 61000, 4500, 8 + len(esp), 0) + esp
    arrives(single, packets.ip(sa.source, sa.destination, packets.UDP, datagram + bytes(9)))


def test_checksums_over_ipv6(single):
    """None at all is refused (RFC 8200 8.1); a wrong one proves nothing, the ICV does."""
    sa = single.connections["udp6"].taken()
    inner = packets.udp(far("udp6"), single.HOST[4], b"sum")
    with Change(single.daemon) as change:
        single.from_black(in_udp(sa, sa.esp(inner, 10), checksum=0))
        change.expect({"udp_no_checksum": 1})
    arrives(single, in_udp(sa, sa.esp(inner, 11), checksum=0x1234))
    arrives(single, in_udp(single.connections["udp4"].taken(), single.connections["udp4"].taken().esp(
        packets.udp(far("udp4"), single.HOST[4], b"sum"), 20), checksum=0))


def test_it_fits_the_link(single):
    """Eight octets less: the largest packet goes through, one octet more is told its sender."""
    room = 1500 - 20 - 8 - 8 - 8 - 16
    largest = room - room % 4 - 2
    sas = {sa["name"]: sa for sa in single.daemon.ask("sa")["sas"] if sa["direction"] == "outbound"}
    assert sas["udp4"]["largestInner"] == largest
    assert (sas["udp4"]["udpPort"], sas["bare4"]["udpPort"]) == (PORT, 0)
    single.from_red(packets.sized(single.HOST[4], far("udp4"), largest, flags=2))
    frame = single.black.receive(is_udp_to_port)
    assert frame is not None
    assert len(packets.packet_of(frame)) <= 1500
    with Change(single.daemon) as change:
        single.from_red(packets.sized(single.HOST[4], far("udp4"), largest + 1, flags=2))
        change.expect({"too_big": 1})


def test_keepalives_go_in_silence():
    def is_keepalive(frame):
        return is_udp_to_port(frame) and packets.Read(packets.packet_of(frame)).payload[8:] == b"\xff"

    with Single() as rig:
        connections = [rig.connection(more={"udp-port": PORT, "nat-keepalive": 1}),
                       rig.connection("second", 4, 2, remote_networks=["10.7.0.0/16"], more={"udp-port": PORT, "nat-keepalive": 3600})]
        rig.start(connections)
        rig.black.drain()
        start = time.monotonic()
        assert len(rig.black.collect(3, is_keepalive, timeout=10)) == 3, "one for both connections, as often as the first one wants"
        assert 1.5 < time.monotonic() - start < 5
        assert counted(rig, "keepalives") >= 3
        end = time.monotonic() + 2.5
        sent = counted(rig, "keepalives")
        while time.monotonic() < end:
            rig.from_red(packets.udp(rig.HOST[4], "10.7.0.1", b"not silent"))
            time.sleep(0.1)
        assert counted(rig, "keepalives") - sent <= 1, "what the second connection sends is enough"


def test_two_gateways_and_a_narrow_link():
    """Traffic of all four kinds, and the path MTU from errors that quote ESP in UDP."""
    with Pair(path_mtu=1500, narrow=1400) as rig:
        rig.start(rig.connections(more={"udp-port": 4500}))
        rig.pings(count=5)
        for kind in Pair.FAMILIES:
            assert rig.tcp(kind, 200_000) == "whole", kind
        size = 1440 - 28
        rig.host["A"].run("ping", "-n", "-M", "do", "-c", 1, "-W", 1, "-s", size, rig.HOSTS["B"]["4in4"], check=False)
        until(lambda: any(sa["pathMtu"] == 1400 for sa in rig.daemon["A"].ask("sa")["sas"] if sa["direction"] == "outbound"), 5,
              "the path MTU is learned")
