# SPDX-License-Identifier: Apache-2.0
"""What may pass and what may not: the policies, and clear packets where only ESP is allowed."""

import os

import pytest

from tests.rig import config, packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.wire import Recorded

POLICIES = {
    "bypass-ntp": {"action": "bypass", "priority": 10, "remote-networks": ["203.0.113.0/24"], "protocol": "udp", "remote-ports": 123},
    "discard-lab": {"action": "discard", "priority": 20, "remote-networks": ["10.2.99.0/24"]},
}
START = {"policies": POLICIES}


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection()]


def clear_out(rig, timeout=0.3):
    """A frame that left by the black port and is neither ESP nor housekeeping."""
    return rig.black.receive(lambda frame: Recorded(0, frame).clear(), timeout)


@pytest.mark.parametrize("destination", ["10.9.0.1", "8.8.8.8", "192.0.2.2", "2001:db8:9::1", "2001:db8:a::2"])
def test_red_packets_outside_every_policy(single, destination):
    source = single.HOST[6 if ":" in destination else 4]
    with Change(single.daemon) as change:
        single.from_red(packets.udp(source, destination, b"secret"))
        change.expect({"no_policy": 1})
    assert clear_out(single) is None


@pytest.mark.parametrize("source", ["10.1.1.2", "192.0.2.77", "10.2.0.2"])
def test_red_packets_from_outside_the_protected_networks(single, source):
    with Change(single.daemon) as change:
        single.from_red(packets.udp(source, single.FAR[4], b"secret"))
        change.expect([{"no_policy": 1}, {"martian_source": 1}])
    assert clear_out(single) is None


def test_discard_by_policy_before_the_tunnel(single):
    with Change(single.daemon) as change:
        single.from_red(packets.udp(single.HOST[4], "10.2.99.7", b"secret"))
        change.expect({"policy_discard": 1})
    assert single.black.receive(packets.is_esp, timeout=0.1) is None


def test_bypass_both_ways_and_nothing_beside_it(single):
    request = packets.udp(single.HOST[4], "203.0.113.5", b"time?", sport=5555, dport=123)
    single.from_red(request)
    frame = single.black.receive(packets.is_ip_to("203.0.113.5"))
    assert frame is not None
    assert packets.packet_of(frame)[20:] == request[20:]
    single.from_black(packets.udp("203.0.113.5", single.HOST[4], b"now", sport=123, dport=5555))
    assert single.red.receive(packets.is_ip_to(single.HOST[4])) is not None
    with Change(single.daemon) as change:
        single.from_red(packets.udp(single.HOST[4], "203.0.113.5", b"?", dport=124))
        change.expect({"no_policy": 1})
    with Change(single.daemon) as change:
        single.from_black(packets.udp("203.0.113.5", single.HOST[4], b"?", sport=124))
        change.expect([{"transit_from_black": 1}, {"no_policy": 1}, {"black.transit": 1}])
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.2) is None


@pytest.mark.parametrize(("source", "destination"), [("203.0.113.9", "10.1.0.2"), ("192.0.2.2", "10.1.0.2"), ("10.2.0.2", "10.1.0.2"),
                                                     ("10.1.0.9", "10.1.0.2"), ("10.2.0.2", "192.0.2.1"), ("2001:db8:9::1", "2001:db8:1::2"),
                                                     ("2001:db8:2::2", "2001:db8:1::2"), ("10.2.0.2", "203.0.113.1")])
def test_clear_packets_from_the_wan(single, source, destination):
    """None of them comes out on the red side, none reaches the gateway's own stack from a protected network."""
    with Change(single.daemon) as change:
        for make in (packets.udp, packets.echo):
            single.from_black(make(source, destination, b"forged"))
        found = change.drops
        until(lambda: sum(found().values()) >= 2, 3, "both are counted")
        assert set(found()) <= {"black.transit", "black.protected_source", "should_be_protected", "transit_from_black"}, found()
        assert sum(found().values()) == 2
    assert single.red.receive(packets.is_ip_to(destination), timeout=0.1) is None
    assert clear_out(single, 0.1) is None  # no answer either


def test_the_gateway_itself_answers_on_the_black_side(single):
    single.from_black(packets.echo(single.PEER[4], single.LOCAL[4], b"hello"))
    assert single.black.receive(packets.is_ip_to(single.PEER[4])) is not None
    single.from_black(packets.echo(single.PEER[6], single.LOCAL[6], b"hello"))
    assert single.black.receive(packets.is_ip_to(single.PEER[6])) is not None


def test_the_gateway_itself_answers_on_the_red_side(single):
    for family in (4, 6):
        single.from_red(packets.echo(single.HOST[family], single.RED[family], b"hello"))
        assert single.red.receive(packets.is_ip_to(single.HOST[family])) is not None


def test_esp_on_the_red_side_is_a_packet_like_any_other(single):
    """It meets the policy, whatever its SPI: sealed once more towards the far network, dropped towards others."""
    inner = single.connections["tunnel"].taken().esp(packets.udp(single.FAR[4], single.HOST[4]), 77)
    single.from_red(packets.ipv4(single.HOST[4], single.FAR[4], packets.ESP, inner))
    outer = packets.packet_of(single.black.receive(packets.is_esp))
    assert single.connections["tunnel"].sent().open(outer)[0].endswith(inner)
    with Change(single.daemon) as change:
        single.from_red(packets.ipv4(single.HOST[4], "10.9.0.1", packets.ESP, inner))
        change.expect({"no_policy": 1})


def test_esp_for_somebody_else_is_transit(single):
    sa = config.Connection("x", "192.0.2.2", "192.0.2.200", [], [], 1, 2, label="tunnel").sent()
    with Change(single.daemon) as change:
        single.from_black(sa.seal(os.urandom(40), 1, next_header=4))
        change.expect({"black.transit": 1})


@pytest.mark.parametrize("source", ["224.0.0.5", "127.0.0.1", "0.0.0.0", "255.255.255.255", "ff02::1", "::1", "::"])
def test_sources_that_cannot_be(single, source):
    family = 6 if ":" in source else 4
    with Change(single.daemon) as change:
        single.from_red(packets.udp(source, single.FAR[family], b"x"))
        change.expect([{"martian_source": 1}, {"no_policy": 1}])


def test_fragments_on_the_red_side(single):
    """Carried where the policy does not ask for ports (RFC 4301 7.1). Where it does they wait for the first: test_fragments.py."""
    for fields in ({"flags": 1}, {"offset": 24}):
        fragment = packets.ipv4(single.HOST[4], single.FAR[4], packets.UDP, bytes(24), **fields)
        single.from_red(fragment)
        outer = packets.packet_of(single.black.receive(packets.is_esp))
        assert packets.Read(single.connections["tunnel"].sent().open(outer)[0]).payload == bytes(24)
