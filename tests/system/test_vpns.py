# SPDX-License-Identifier: Apache-2.0
"""Two VPNs with the same addresses, each on a red port of its own: what belongs to one never reaches the other."""

import os

import pytest

from tests.rig import packets
from tests.rig.change import Change

RIG = {"reds": 2}


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection("first", 4, 1), rig.connection("second", 4, 2, more={"vpn": "vpn2"})]


PORTS = {"first": "red", "second": "red2"}


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("family", [4, 6])
def test_out(single, name, family):
    """The same packet goes into the SA of the VPN of its port."""
    packet = packets.udp(single.HOST[family], single.FAR[family], name.encode())
    single.from_red(packet, PORTS[name])
    outer = packets.packet_of(single.black.receive(packets.is_esp))
    opened = single.connections[name].sent().open(outer)[0]
    assert packets.Read(opened).payload == packets.Read(packet).payload


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("family", [4, 6])
def test_in(single, name, family):
    """And what is opened comes out on that port alone."""
    contents = os.urandom(20)
    packet = packets.udp(single.FAR[family], single.HOST[family], contents)
    for tap in single.reds.values():
        tap.drain()
    single.from_black(single.connections[name].taken().seal(packet, family))
    frame = single.reds[PORTS[name]].receive(packets.is_ip_to(single.HOST[family]))
    assert frame is not None
    assert frame.endswith(contents)
    other = next(tap for port, tap in single.reds.items() if port != PORTS[name])
    assert other.receive(packets.is_ip_to(single.HOST[family]), timeout=0.1) is None


def test_the_key_of_the_other_vpn(single):
    """A peer of one VPN cannot seal for the other."""
    packet = packets.udp(single.FAR[4], single.HOST[4], b"x")
    first, second = (single.connections[name].taken() for name in PORTS)
    forged = first.seal(packet, 99)
    with Change(single.daemon) as change:
        single.from_black(forged[:20] + second.seal(packet, 99)[20:24] + forged[24:])
        change.expect({"bad_icv": 1})


def test_no_policy_in_one_vpn_is_not_helped_by_the_other(single):
    with Change(single.daemon) as change:
        single.from_red(packets.udp(single.HOST[4], "10.77.0.1", b"x"), "red2")
        change.expect({"no_policy": 1})


def test_between_the_red_ports_nothing_passes(single):
    """The far network's addresses as source on the other red port are no way in."""
    with Change(single.daemon) as change:
        single.from_red(packets.udp(single.FAR[4], single.HOST[4], b"x"), "red2")
        change.expect([{"no_policy": 1}, {"martian_source": 1}])
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.1) is None
