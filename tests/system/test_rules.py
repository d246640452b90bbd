# SPDX-License-Identifier: Apache-2.0
"""RFC 4301's rules beyond addresses and ports: ICMP types and codes, one direction, opaque ports, the order for what comes out of a tunnel,
and what the journal is told."""

import os
import struct

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.wire import Recorded

CLEAR = "203.0.113.5"
CLEAR_NET = ["203.0.113.0/24"]
POLICIES = {
    # A host of the far network that must not speak to us, although the connection has its whole network.
    "mute": {"action": "discard", "priority": 5, "remote-networks": ["10.2.66.0/24"]},
    "unreachable-out": {"action": "bypass", "priority": 10, "direction": "out", "remote-networks": CLEAR_NET, "protocol": "icmp", "icmp-type": 3,
                        "icmp-code": "0-3"},
    "ping": {"action": "bypass", "priority": 11, "remote-networks": CLEAR_NET, "protocol": "icmp", "icmp-type": "8-9"},
    "pong": {"action": "bypass", "priority": 12, "direction": "in", "remote-networks": CLEAR_NET, "protocol": "icmp", "icmp-type": 0},
    "fragments": {"action": "discard", "priority": 13, "remote-networks": CLEAR_NET, "protocol": "udp", "local-ports": "opaque",
                  "remote-ports": "opaque"},
    "dns": {"action": "bypass", "priority": 14, "remote-networks": CLEAR_NET, "protocol": "udp", "remote-ports": 53},
}
START = {"policies": POLICIES}


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection()]


def icmp(source, destination, kind, code):
    message = struct.pack("!BBHI", kind, code, 0, 0) + bytes(8)
    return packets.ip(source, destination, packets.ICMP, message[:2] + struct.pack("!H", packets.checksum(message)) + message[4:])


def clear_out(single, timeout=0.1):
    return single.black.receive(lambda frame: Recorded(0, frame).clear(), timeout)


@pytest.mark.parametrize(("kind", "code", "passes"), [(3, 0, True), (3, 3, True), (3, 4, False), (8, 0, True), (9, 255, True), (10, 0, False),
                                                      (0, 0, False)])
def test_types_and_codes_out(single, kind, code, passes):
    with Change(single.daemon) as change:
        single.from_red(icmp(single.HOST[4], CLEAR, kind, code))
        if passes:
            assert single.black.receive(packets.is_ip_to(CLEAR)) is not None
        else:
            change.expect({"no_policy": 1})
    assert clear_out(single) is None


@pytest.mark.parametrize(("kind", "code", "passes"), [(0, 0, True), (8, 0, True), (3, 0, False), (5, 0, False)])
def test_types_and_directions_in(single, kind, code, passes):
    with Change(single.daemon) as change:
        single.from_black(icmp(CLEAR, single.HOST[4], kind, code))
        if passes:
            assert single.red.receive(packets.is_ip_to(single.HOST[4])) is not None
        else:
            change.expect({"transit_from_black": 1})
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.05) is None


def test_opaque_is_for_fragments_alone(single):
    single.from_red(packets.udp(single.HOST[4], CLEAR, b"?", dport=53))
    assert single.black.receive(packets.is_ip_to(CLEAR)) is not None
    with Change(single.daemon) as change:
        single.from_red(packets.ipv4(single.HOST[4], CLEAR, packets.UDP, bytes(24), offset=24))
        change.expect({"policy_discard": 1})


def test_the_order_counts_for_what_comes_out_of_the_tunnel(single):
    """RFC 4301 4.4.1: 10.2.66.0/24 lies inside the connection's networks, and an entry before it discards."""
    taken = single.connections["tunnel"].taken()
    contents = os.urandom(16)
    single.from_black(taken.seal(packets.udp(single.FAR[4], single.HOST[4], contents), 1))
    assert single.red.receive(packets.is_ip_to(single.HOST[4])).endswith(contents)
    with Change(single.daemon) as change:
        single.from_black(taken.seal(packets.udp("10.2.66.1", single.HOST[4], contents), 2))
        change.expect({"policy_mismatch": 1})
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.05) is None


def test_policies_are_shown_as_they_are(single):
    shown = {policy["name"]: policy for policy in single.daemon.ask("policy")["policies"]}
    assert shown["unreachable-out"]["selectors"] == ["0.0.0.0/0 <-> 203.0.113.0/24 icmp type 3 code 0-3"]
    assert shown["unreachable-out"]["direction"] == "outbound"
    assert shown["ping"]["selectors"] == ["0.0.0.0/0 <-> 203.0.113.0/24 icmp type 8-9"]
    assert shown["fragments"]["selectors"] == ["0.0.0.0/0 port opaque <-> 203.0.113.0/24 port opaque udp"]


def test_a_clear_packet_that_should_be_protected_is_audited(single):
    """RFC 4301 5.2. The kernel's program drops it, and the journal has all of it that can be seen."""
    with Change(single.daemon) as change:
        single.from_black(packets.udp(single.FAR[4], single.HOST[4], b"forged", sport=4242, dport=53))
        change.expect({"black.protected_source": 1})
    line = "Dropped a packet (should_be_protected): clear, and a policy wants it protected (RFC 4301 5.2); 10.2.0.2 to 10.1.0.2, protocol 17, ports 4242 and 53"
    until(lambda: line in single.daemon.said(), 3, "the audit is in the journal")
    with Change(single.daemon) as change:
        single.from_black(packets.udp("198.51.100.9", single.HOST[4], b"transit"))
        change.expect({"black.transit": 1})
    until(lambda: "(transit_from_black)" in single.daemon.said() and "198.51.100.9 to 10.1.0.2" in single.daemon.said(), 3, "and transit")


def test_a_route_to_the_peer_that_goes_is_seen(single):
    def state():
        return single.daemon.ask("status")["connections"][0]

    assert state()["up"]
    single.gw.ip("route", "replace", "prohibit", "192.0.2.2/32")
    until(lambda: not state()["up"], 3, "the connection is down")
    assert state()["reason"] == "the route to the peer says unreachable, prohibit or blackhole: 192.0.2.2"
    single.gw.ip("route", "delete", "192.0.2.2/32")
    until(lambda: state()["up"], 3, "the connection is up")
