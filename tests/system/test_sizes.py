# SPDX-License-Identifier: Apache-2.0
"""Every size of packet, from the smallest to the MTU, and one octet too big; families in families."""

import struct

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.topology import Single

KINDS = [(inner, outer) for inner in (4, 6) for outer in (4, 6)]
ALGORITHMS = ("aes-128-gcm", "aes-128-cbc-hmac-sha2-256")


def far_network(inner, outer, algorithm):
    number = outer * 10 + ALGORITHMS.index(algorithm)
    return f"10.2.{number}.0/24" if inner == 4 else f"2001:db8:2:{number}::/64"


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection(f"{algorithm}-{outer}", outer, outer * 10 + number, algorithm=algorithm,
                           remote_networks=[far_network(inner, outer, algorithm) for inner in (4, 6)])
            for number, algorithm in enumerate(ALGORITHMS) for outer in (4, 6)]


def host_of(network):
    return network.split("/")[0].removesuffix("0") + "9" if "." in network else network.split("/")[0] + "9"


def largest(algorithm, outer, mtu=1500):
    """The sheet's formula: what fits is a multiple of the block, less the two octets of the trailer."""
    iv, icv, block = (8, 16, 4) if algorithm == ALGORITHMS[0] else (16, 16, 16)
    room = mtu - (20 if outer == 4 else 40) - 8 - iv - icv
    return room - room % block - 2


def sizes(inner, top):
    least = 20 if inner == 4 else 40
    return [*range(least, least + 70), *range(120, top - 20, 61), *range(top - 19, top + 1)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("inner", "outer"), KINDS)
def test_sizes_out(single, inner, outer, algorithm):
    """Sealed by the gateway, opened by the test: the same octets, one hop less."""
    sa = single.connections[f"{algorithm}-{outer}"].sent()
    far = host_of(far_network(inner, outer, algorithm))
    top = largest(algorithm, outer)
    for octets in sizes(inner, top):
        packet = packets.sized(single.HOST[inner], far, octets)
        single.from_red(packet)
        frame = single.black.receive(packets.is_esp)
        assert frame is not None, f"nothing of {octets} octets"
        outer_packet = packets.packet_of(frame)
        assert len(outer_packet) <= 1500
        opened, _, _, padding = sa.open(outer_packet)
        assert len(opened) == octets
        assert packets.Read(opened).payload == packets.Read(packet).payload
        assert padding < sa.algorithm.block


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("inner", "outer"), KINDS)
def test_sizes_in(single, inner, outer, algorithm):
    sa = single.connections[f"{algorithm}-{outer}"].taken()
    far = host_of(far_network(inner, outer, algorithm))
    wanted = packets.is_ip_to(single.HOST[inner])
    first = 1 if inner == 4 else 1001
    for number, octets in enumerate(sizes(inner, largest(algorithm, outer)), first):
        packet = packets.sized(far, single.HOST[inner], octets)
        single.from_black(sa.seal(packet, number))
        frame = single.red.receive(wanted)
        assert frame is not None, f"nothing of {octets} octets"
        opened = packets.packet_of(frame)
        assert len(opened) == octets
        assert packets.Read(opened).payload == packets.Read(packet).payload


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("inner", "outer"), KINDS)
def test_one_octet_too_big(single, inner, outer, algorithm):
    far = host_of(far_network(inner, outer, algorithm))
    single.black.drain()
    with Change(single.daemon) as change:
        single.from_red(packets.sized(single.HOST[inner], far, largest(algorithm, outer) + 1, **({"flags": 2} if inner == 4 else {})))
        change.expect({"too_big": 1})
    assert single.black.receive(packets.is_esp, timeout=0.1) is None


def test_ethernet_padding_on_the_red_side(single):
    """A small packet in a frame of 60 octets: the padding is not sealed."""
    sa = single.connections["aes-128-gcm-4"].sent()
    packet = packets.sized(single.HOST[4], host_of(far_network(4, 4, "aes-128-gcm")), 21)
    single.from_red(packet + bytes(25))
    opened = sa.open(packets.packet_of(single.black.receive(packets.is_esp)))[0]
    assert len(opened) == 21


def test_the_outer_header(single):
    """TTL 64, DF copied, protocol 50, the flow label unset, the total length right."""
    far = host_of(far_network(4, 4, "aes-128-gcm"))
    for flags in (0, 2):
        single.from_red(packets.udp(single.HOST[4], far, b"x", flags=flags))
        outer = packets.Read(packets.packet_of(single.black.receive(packets.is_esp)))
        assert (outer.ttl, outer.flags, outer.offset, outer.source, outer.destination) == (64, flags, 0, single.LOCAL[4], single.PEER[4])
    single.from_red(packets.udp(single.HOST[4], host_of(far_network(4, 6, "aes-128-gcm")), b"x"))
    outer = packets.Read(packets.packet_of(single.black.receive(packets.is_esp)))
    assert (outer.ttl, outer.source, outer.destination) == (64, single.LOCAL[6], single.PEER[6])


def test_numbers_count_up_by_one(single):
    far = host_of(far_network(4, 4, "aes-128-gcm"))
    for _ in range(100):
        single.from_red(packets.udp(single.HOST[4], far, b"x"))
    frames = single.black.collect(100, packets.is_esp)
    numbers = [struct.unpack("!I", packets.Read(packets.packet_of(frame)).payload[4:8])[0] for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 100))


def test_a_black_link_with_a_smaller_mtu():
    """What fits into 1400 octets passes, one octet more does not."""
    with Single(black_mtu=1400) as rig:
        rig.start([rig.connection()])
        top = largest("aes-128-gcm", 4, 1400)
        rig.from_red(packets.sized(rig.HOST[4], rig.FAR[4], top, flags=2))
        assert len(packets.packet_of(rig.black.receive(packets.is_esp))) <= 1400
        with Change(rig.daemon) as change:
            rig.from_red(packets.sized(rig.HOST[4], rig.FAR[4], top + 1, flags=2))
            change.expect({"too_big": 1})
