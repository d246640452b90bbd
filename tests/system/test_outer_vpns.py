# SPDX-License-Identifier: Apache-2.0
"""Two VPNs, each with a black and a red port of its own, and everything in them equal: outer addresses, SPIs, inner addresses, clear hosts.
What comes in on the ports of one leaves by the ports of that one alone."""

import os

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.wire import Recorded

RIG = {"reds": 2, "blacks": 2}
CLEAR = "203.0.113.5"
# In the VPN of black2 clear packets may only come in: from "wan" they would have two VPNs to go to, which the configuration warns of.
BYPASS = {"action": "bypass", "priority": 10, "remote-networks": ["203.0.113.0/24"]}
START = {"policies": {"clear1": BYPASS, "clear2": {**BYPASS, "vpn": "vpn2"}}}
PORTS = {"first": ("black", "red"), "second": ("black2", "red2")}


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection("first", 4, 1), rig.connection("second", 4, 1, more={"vpn": "vpn2", "outer-vpn": "vpn2"}),
            rig.connection("first6", 6, 2, remote_networks=["10.6.0.0/16"]),
            rig.connection("second6", 6, 2, remote_networks=["10.6.0.0/16"], more={"vpn": "vpn2", "outer-vpn": "vpn2"})]


def drain(rig):
    for tap in (*rig.blacks.values(), *rig.reds.values()):
        tap.drain()


def nothing_elsewhere(rig, used):
    """No ESP and no clear packet on any other tap than those in `used`."""
    for name, tap in (*rig.blacks.items(), *rig.reds.items()):
        if name not in used:
            assert tap.receive(lambda frame: packets.is_esp(frame) or Recorded(0, frame).clear(), timeout=0.05) is None, name


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("family", [4, 6])
def test_out(single, name, family):
    black, red = PORTS[name]
    drain(single)
    packet = packets.udp(single.HOST[family], single.FAR[family], name.encode())
    single.from_red(packet, red)
    frame = single.blacks[black].receive(packets.is_esp)
    assert packets.Read(single.connections[name].sent().open(packets.packet_of(frame))[0]).payload == packets.Read(packet).payload
    nothing_elsewhere(single, {black, red})


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("outer", [4, 6])
def test_in(single, name, outer):
    black, red = PORTS[name]
    drain(single)
    contents = os.urandom(20)
    far = single.FAR[4] if outer == 4 else "10.6.0.2"
    connection = single.connections[name if outer == 4 else f"{name}6"]
    single.from_black(connection.taken().seal(packets.udp(far, single.HOST[4], contents), 10 + outer), black)
    frame = single.reds[red].receive(packets.is_ip_to(single.HOST[4]))
    assert frame is not None
    assert frame.endswith(contents)
    nothing_elsewhere(single, {black, red})


@pytest.mark.parametrize(("name", "other", "number"), [("first", "second", 98), ("second", "first", 99)])
def test_the_same_spi_on_the_other_black_port(single, name, other, number):
    """It is another SA, with another key and another window."""
    drain(single)
    sealed = single.connections[name].taken().seal(packets.udp(single.FAR[4], single.HOST[4], b"x"), number)
    with Change(single.daemon) as change:
        single.from_black(sealed, PORTS[other][0])
        change.expect({"bad_icv": 1})
    nothing_elsewhere(single, {PORTS[other][0]})
    single.from_black(sealed, PORTS[name][0])  # no window took the number
    assert single.reds[PORTS[name][1]].receive(packets.is_ip_to(single.HOST[4])) is not None


@pytest.mark.parametrize("name", PORTS)
def test_clear_packets_of_a_bypass(single, name):
    black, red = PORTS[name]
    drain(single)
    single.from_black(packets.udp(CLEAR, single.HOST[4], b"in"), black)
    assert single.reds[red].receive(packets.is_ip_to(single.HOST[4])) is not None
    single.from_red(packets.udp(single.HOST[4], CLEAR, b"out"), red)
    assert single.blacks[black].receive(packets.is_ip_to(CLEAR)) is not None
    nothing_elsewhere(single, {black, red})


@pytest.mark.parametrize("name", PORTS)
def test_clear_packets_from_the_protected_networks(single, name):
    drain(single)
    with Change(single.daemon) as change:
        single.from_black(packets.udp(single.FAR[4], single.HOST[4], b"forged"), PORTS[name][0])
        change.expect([{f"{PORTS[name][0]}.protected_source": 1}, {"should_be_protected": 1}])
    nothing_elsewhere(single, {PORTS[name][0]})


def test_a_clear_packet_of_a_vpn_that_has_no_such_policy(single):
    with Change(single.daemon) as change:
        single.from_black(packets.udp("198.51.100.5", single.HOST[4], b"x"), "black2")
        change.expect([{"black2.transit": 1}, {"transit_from_black": 1}])
