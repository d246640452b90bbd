# SPDX-License-Identifier: Apache-2.0
"""The size of the path: learned from the ICMP errors of a real router, told to the hosts inside, and never from a forged one."""

import re
import struct
import time

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.topology import Pair, Single

NARROW = 1400
RIG = {"black_mtu": 1500}


def largest(outer, mtu):
    """What AES-GCM leaves of an outer packet: a multiple of 4, less the two octets of the trailer."""
    room = mtu - (20 if outer == 4 else 40) - 8 - 8 - 16
    return room - room % 4 - 2


@pytest.fixture(scope="module")
def narrow():
    """Two gateways, and between their routers a link of 1400 octets that neither knows of; segments are left alone."""
    with Pair(path_mtu=1500, narrow=NARROW) as rig:
        rig.start(rig.connections(more={"clamp-mss": False}))
        yield rig


def path_mtus(daemon):
    return {sa["name"]: sa["pathMtu"] for sa in daemon.ask("sa")["sas"] if sa["direction"] == "outbound"}


def shout(rig, kind, octets):
    """Answers to one packet of so many octets that may not be fragmented."""
    size = octets - (48 if kind[0] == "6" else 28)
    said = rig.host["A"].run("ping", "-n", "-M", "do", "-c", 1, "-W", 1, "-s", size, rig.HOSTS["B"][kind], check=False).stdout
    return int(re.search(r"(\d+) received", said)[1])


@pytest.mark.parametrize("kind", Pair.FAMILIES)
def test_a_narrow_link_is_found(narrow, kind):
    """The first packet that is too large is lost on the way, and its router says so; the next one's sender is told the size, exactly."""
    outer, fits = int(kind[-1]), largest(int(kind[-1]), NARROW)
    host, far_host = narrow.host["A"], narrow.HOSTS["B"][kind]
    shout(narrow, kind, fits + 1)
    assert path_mtus(narrow.daemon["A"])[f"over{outer}"] == NARROW
    shout(narrow, kind, fits + 1)
    believed = re.search(r"\bmtu (\d+)", host.ip("route", "get", far_host).stdout)
    assert believed and int(believed[1]) == fits
    assert shout(narrow, kind, fits) == 1


def test_no_black_hole_for_tcp(narrow):
    """Segments of hosts that believe in 1500 octets get through, both ways, in all four combinations."""
    for kind in Pair.FAMILIES:
        assert narrow.tcp(kind, 300_000) == "whole", kind


@pytest.mark.parametrize("kind", Pair.FAMILIES)
def test_traceroute_sees_both_gateways(narrow, kind):
    for limit, side in ((1, "A"), (2, "B")):
        said = narrow.host["A"].run("ping", "-n", "-c", 2, "-i", 0.1, "-W", 1, "-t", limit, narrow.HOSTS["B"][kind], check=False).stdout
        gateway = narrow.HOSTS[side][kind][:-1] + "1"
        assert re.search(rf"From {re.escape(gateway)}:? icmp_seq=\d+ Time", said), said


def test_the_mtu_of_the_own_link_is_followed():
    with Single() as rig:
        rig.start([rig.connection()])
        assert path_mtus(rig.daemon) == {"tunnel": 1500}
        rig.gw.ip("link", "set", "black", "mtu", 1400)
        end = time.monotonic() + 3
        while path_mtus(rig.daemon) != {"tunnel": 1400} and time.monotonic() < end:
            time.sleep(0.02)
        fits = largest(4, 1400)
        rig.from_red(packets.sized(rig.HOST[4], rig.FAR[4], fits + 1, flags=2))
        told = packets.Read(packets.packet_of(rig.red.receive(packets.is_ip_to(rig.HOST[4]))))
        assert (told.source, told.payload[:2]) == (rig.RED[4], b"\x03\x04")
        assert struct.unpack_from("!H", told.payload, 6)[0] == fits
        rig.from_red(packets.sized(rig.HOST[4], rig.FAR[4], fits, flags=2))
        assert len(packets.packet_of(rig.black.receive(packets.is_esp))) <= 1400


# From here on the test is the network.


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection(f"over{outer}", outer, outer, remote_networks=[f"10.2.{outer}.0/24", f"2001:db8:2:{outer}::/64"])
            for outer in (4, 6)]


START = {"settings": {"icmp-prohibited": True},
         "policies": {"never": {"action": "discard", "remote-networks": ["10.66.0.0/16", "2001:db8:66::/48"]}}}


def far(inner, outer):
    return f"10.2.{outer}.9" if inner == 4 else f"2001:db8:2:{outer}::9"


def sealed_one(single, outer):
    """The gateway seals a packet: the outer one, as the wire carried it."""
    single.black.drain()
    single.from_red(packets.udp(single.HOST[4], far(4, outer), bytes(100)))
    return packets.packet_of(single.black.receive(packets.is_esp))


ROUTER = {4: "203.0.113.7", 6: "2001:db8:77::7"}


def too_big(outer, quote, mtu, destination, kind=None):
    kind = kind or ((3, 4) if outer == 4 else (2, 0))
    return packets.icmp_error(ROUTER[outer], destination, *kind, quote, mtu)


@pytest.mark.parametrize("outer", (4, 6))
def test_forged_errors_change_nothing(single, outer):
    ours = single.LOCAL[outer]
    real = sealed_one(single, outer)
    header = 20 if outer == 4 else 40
    spi, number = struct.unpack_from("!II", real, header)

    def quote(new_spi=spi, new_number=number, source=ours, destination=single.PEER[outer], octets=64, protocol=packets.ESP):
        return packets.ip(source, destination, protocol, struct.pack("!II", new_spi, new_number) + bytes(40))[:octets]

    floor = 576 if outer == 4 else 1280
    unproven = [(quote(spi ^ 1), 1300), (quote(0x1000 + outer), 1300), (quote(new_number=number + 1), 1300), (quote(new_number=0), 1300),
                (quote(destination=ROUTER[outer]), 1300), (quote(octets=header + 4), 1300), (quote(), floor - 1), (quote(), 0), (quote(), 68)]
    with Change(single.daemon) as change:
        for octets, mtu in unproven:
            single.from_black(too_big(outer, octets, mtu, ours))
        change.expect({"icmp_mtu_unproven": len(unproven)})
    with Change(single.daemon) as change:
        single.from_black(too_big(outer, quote(), 1500, ours))
        single.from_black(too_big(outer, quote(), 9000, ours))
        change.expect({"icmp_mtu_known": 2})
    with Change(single.daemon) as change:
        single.from_black(too_big(outer, quote(), 0, ours, (3, 1) if outer == 4 else (1, 3)))
        broken = bytearray(too_big(outer, quote(), 1300, ours))
        broken[header + 2] ^= 1
        single.from_black(bytes(broken))
        change.expect({"icmp_other": 1, "icmp_malformed": 1})
    assert path_mtus(single.daemon)[f"over{outer}"] == 1500


@pytest.mark.parametrize("inner", (4, 6))
@pytest.mark.parametrize("outer", (4, 6))
def test_a_true_error_is_taken_and_passed_on(single, outer, inner):
    """Row 80 of the hostile frames, but that the value is taken until probing exists."""
    mtu = 1420 if inner == 4 else 1410
    with Change(single.daemon) as change:
        single.from_black(too_big(outer, sealed_one(single, outer)[:68], mtu, single.LOCAL[outer]))
        change.expect([{"icmp_mtu_taken": 1}])
    assert path_mtus(single.daemon)[f"over{outer}"] == mtu
    fits = largest(outer, mtu)
    single.red.drain()
    with Change(single.daemon) as change:
        large = packets.sized(single.HOST[inner], far(inner, outer), fits + 1, **({"flags": 2} if inner == 4 else {}))
        single.from_red(large)
        change.expect({"too_big": 1})
    told = packets.Read(packets.packet_of(single.red.receive(packets.is_ip_to(single.HOST[inner]))))
    assert told.source == single.RED[inner]
    assert told.checksum_good
    assert tuple(told.payload[:2]) == ((3, 4) if inner == 4 else (2, 0))
    assert struct.unpack_from("!I", told.payload, 4)[0] == fits
    assert told.payload[8:] == large[: len(told.payload) - 8]
    assert told.length == (576 if inner == 4 else 1280)
    if inner == 4:
        assert packets.checksum(told.payload) == 0
    else:
        assert packets.checksum(packets.pseudo(told.source, told.destination, packets.ICMP6, len(told.payload)) + told.payload) == 0


def test_the_policy_tells_that_it_discards(single):
    for inner, there in ((4, "10.66.0.1"), (6, "2001:db8:66::1")):
        single.red.drain()
        single.from_red(packets.udp(single.HOST[inner], there))
        told = packets.Read(packets.packet_of(single.red.receive(packets.is_ip_to(single.HOST[inner]))))
        assert tuple(told.payload[:2]) == ((3, 13) if inner == 4 else (1, 1))


def test_errors_are_limited(single):
    """A flood of packets without a hop left: all are counted, few are answered."""
    single.red.drain()
    with Change(single.daemon) as change:
        for _ in range(400):
            single.from_red(packets.udp(single.HOST[4], far(4, 4), ttl=1))
        change.expect({"ttl_expired": 400})
    assert 10 <= len(single.red.collect(400, packets.is_ip_to(single.HOST[4]), timeout=0.5)) <= 200


def mss_of(packet):
    read = packets.Read(packet)
    segment = read.payload
    assert packets.checksum(packets.pseudo(read.source, read.destination, packets.TCP, len(segment)) + segment) == 0
    assert segment[20:22] == b"\x02\x04"
    return struct.unpack_from("!H", segment, 22)[0]


@pytest.mark.parametrize("inner", (4, 6))
def test_segments_are_clamped_both_ways(single, inner):
    def syn(source, destination, mss, flags=0x02):
        return packets.tcp(source, destination, flags=flags, options=struct.pack("!BBH", 2, 4, mss) + b"\x01\x01\x04\x02")

    here, there = single.HOST[inner], far(inner, 4)
    fits = largest(4, path_mtus(single.daemon)["over4"]) - (40 if inner == 4 else 60)
    sa = single.connections["over4"]
    for mss, flags in ((1460, 0x02), (fits + 1, 0x12), (fits, 0x02), (536, 0x12)):
        single.black.drain()
        single.from_red(syn(here, there, mss, flags))
        assert mss_of(sa.sent().open(packets.packet_of(single.black.receive(packets.is_esp)))[0]) == min(mss, fits)
        single.red.drain()
        test_segments_are_clamped_both_ways.number += 1
        single.from_black(sa.taken().seal(syn(there, here, mss, flags), test_segments_are_clamped_both_ways.number))
        assert mss_of(packets.packet_of(single.red.receive(packets.is_ip_to(here)))) == min(mss, fits)


test_segments_are_clamped_both_ways.number = 0
