# SPDX-License-Identifier: Apache-2.0
"""What the gateway says of itself: explain against what really happens to the same frame, watch, and the lines of the journal."""

import itertools
import json
import subprocess
import time

import pytest

from tests.rig import packets
from tests.rig.daemon import BIN
from tests.rig.net import until
from tests.rig.wire import ethernet

HOST, FAR, LOCAL, PEER = "10.1.0.2", "10.2.0.2", "192.0.2.1", "192.0.2.2"
START = {"policies": {
    "bypass-ntp": {"action": "bypass", "priority": 10, "remote-networks": ["203.0.113.0/24"], "protocol": "udp", "remote-ports": 123},
    "discard-lab": {"action": "discard", "priority": 20, "remote-networks": ["10.2.99.0/24"]},
}}
_numbers = itertools.count(1000)


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection(), rig.connection("cbc", 4, 2, algorithm="aes-128-cbc-hmac-sha2-256", remote_networks=["10.4.0.0/16"])]


def seal(rig, inner=None, name="tunnel", number=None, **more):
    far = "10.4.0.2" if name == "cbc" else FAR
    return rig.connections[name].taken().seal(packets.udp(far, HOST, b"payload") if inner is None else inner, number or next(_numbers), **more)


def flipped(octets, position):
    return octets[:position] + bytes([octets[position] ^ 1]) + octets[position + 1 :]


RED = {
    "protected": lambda: packets.udp(HOST, FAR, b"secret"),
    "protected, by another connection": lambda: packets.udp(HOST, "10.4.0.9", b"secret"),
    "protected, IPv6": lambda: packets.udp("2001:db8:1::2", "2001:db8:2::2", b"secret"),
    "its last hop": lambda: packets.udp(HOST, FAR, b"secret", ttl=1),
    "no policy": lambda: packets.udp(HOST, "10.9.0.1", b"secret"),
    "a policy that discards": lambda: packets.udp(HOST, "10.2.99.7", b"secret"),
    "a policy that lets it pass": lambda: packets.udp(HOST, "203.0.113.5", b"time?", dport=123),
    "beside that policy": lambda: packets.udp(HOST, "203.0.113.5", b"time?", dport=124),
}

BLACK = {
    "good": lambda rig: seal(rig),
    "good, CBC": lambda rig: seal(rig, name="cbc"),
    "bad ICV": lambda rig: flipped(seal(rig), -1),
    "bad ICV, CBC": lambda rig: flipped(seal(rig, name="cbc"), -1),
    "unknown SPI": lambda rig: flipped(seal(rig), 20),
    "left of the window": lambda rig: seal(rig, name="cbc", number=1),
    "not of its SA": lambda rig: seal(rig, packets.udp("10.9.0.1", HOST, b"payload")),
    "its last hop": lambda rig: seal(rig, packets.udp(FAR, HOST, b"payload", ttl=1)),
    "wrong outer source": lambda rig: packets.ipv4("192.0.2.99", LOCAL, packets.ESP, seal(rig)[20:]),
    "too short for ESP": lambda rig: packets.ipv4(PEER, LOCAL, packets.ESP, seal(rig)[20:40]),
    "clear from a protected network": lambda rig: packets.udp(FAR, HOST, b"clear"),
    "clear transit": lambda rig: packets.udp("198.18.0.1", HOST, b"clear"),
    "clear, as a policy allows": lambda rig: packets.udp("203.0.113.5", HOST, b"now", sport=123),
    "IKE while nobody serves it": lambda rig: packets.udp(PEER, LOCAL, bytes(28), sport=500, dport=500),
}


def explained(rig, port, octets):
    answer = rig.daemon.ask("explain", port, octets.hex())["explanations"]
    assert len(answer) == 1
    return answer[0]


def agrees(rig, port, frame, tap):
    """What explain says of a frame, twice, against what happens to it then; gives what it said."""
    before = rig.daemon.counters()
    said = explained(rig, port, frame)
    assert explained(rig, port, frame) == said
    between = rig.daemon.counters()
    assert not between.drops_since(before), "asking is not counted"
    assert (between.sealed, between.opened, between.bypassed) == (before.sealed, before.opened, before.bypassed)
    tap.send(frame)

    def outcome():
        now = rig.daemon.counters()
        carried = now.sealed + now.opened + now.bypassed - between.sealed - between.opened - between.bypassed
        drops = now.drops_since(between)
        return (drops, carried) if (drops if said["ending"] == "dropped" else carried) else None

    drops, carried = until(outcome, what="an outcome")
    if said["ending"] == "dropped":
        assert drops == {said["counter"]: 1}, said
    else:
        assert (said["ending"], drops, carried) == ("sent", {}, 1), said
    return said


@pytest.mark.parametrize("name", RED)
def test_explain_agrees_on_the_red_side(single, name):
    agrees(single, "red", ethernet(single.gw_red_mac, single.red.mac, RED[name]()), single.red)


@pytest.mark.parametrize("name", BLACK)
def test_explain_agrees_on_the_black_side(single, name):
    if name == "left of the window":
        single.from_black(seal(single, name="cbc", number=4000))  # less ahead than the durable mark
        until(lambda: any(sa["sequence"] == 4000 for sa in single.daemon.ask("sa", "cbc")["sas"]), what="a window that has moved")
    agrees(single, "black", ethernet(single.gw_black_mac, single.black.mac, BLACK[name](single)), single.black)


def test_explain_agrees_on_a_replay(single):
    frame = ethernet(single.gw_black_mac, single.black.mac, seal(single))
    assert agrees(single, "black", frame, single.black)["ending"] == "sent"
    assert agrees(single, "black", frame, single.black)["counter"] == "replayed"


def test_each_decision_names_its_rule_and_line(single):
    lines = single.daemon.file.read_text().splitlines()

    def headed(place):
        file, line = place.rsplit(":", 1)
        assert file == str(single.daemon.file)
        return lines[int(line) - 1]

    said = single.daemon.ask("explain", "red", "--from", HOST, "--to", FAR, "--protocol", "tcp", "--destination-port", 443)["explanations"][0]
    policy = next(one for one in said["decisions"] if one["stage"] == "policy")
    assert policy["rule"] == "tunnel" and headed(policy["place"]) == "[connection.tunnel]"
    assert next(one for one in said["decisions"] if one["stage"] == "seal")["rule"] == "tunnel"
    said = single.daemon.ask("explain", "red", "--from", HOST, "--to", "10.2.99.1")["explanations"][0]
    policy = next(one for one in said["decisions"] if one["stage"] == "policy")
    assert policy["rule"] == "discard-lab" and headed(policy["place"]) == "[policy.discard-lab]"
    assert said["counter"] == "policy_discard" and said["remedy"]


def test_a_made_packet_at_the_black_port_is_taken_both_ways(single):
    opened, clear = single.daemon.ask("explain", "black", "--from", FAR, "--to", HOST)["explanations"]
    assert (opened["ending"], opened["port"]) == ("sent", "red")
    assert (clear["ending"], clear["counter"]) == ("dropped", "black.protected_source")
    text = single.daemon.sallyport("explain", "black", "--from", FAR, "--to", HOST, "--socket", single.daemon.control).stdout
    assert "It would be sent by red." in text and "counted as black.protected_source" in text


def test_watch_and_journal_tell_of_a_bad_icv(single):
    watch = subprocess.Popen(single.gw.command(BIN / "sallyport", "watch", "--json", "--count", "1", "--kind", "dropped", "--connection", "tunnel",
                                               "--socket", single.daemon.control), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 10
    sent = []
    while watch.poll() is None and time.monotonic() < end:  # it may not watch yet
        sent.append(400000 + len(sent))
        single.from_black(flipped(seal(single, name="cbc", number=300000), -1))  # another connection's are not shown
        single.from_black(flipped(seal(single, number=sent[-1]), -1))
        time.sleep(0.3)
    watch.kill()
    event = json.loads(watch.communicate()[0])
    assert (event["kind"], event["reason"], event["connection"], event["direction"]) == ("dropped", "bad_icv", "tunnel", "inbound")
    assert (event["source"], event["destination"], event["peer"], event["port"]) == (PEER, LOCAL, PEER, "black")
    assert event["sequence"] in sent
    assert event["spi"] == single.connections["tunnel"].spi_in
    line = until(lambda: next((one for one in single.daemon.said().splitlines() if "Dropped a packet (bad_icv)" in one), None), what="a line")
    assert f"{PEER} to {LOCAL}" in line and "SPI 0x" in line


def test_watch_tells_of_a_new_generation(single):
    watch = subprocess.Popen(single.gw.command(BIN / "sallyport", "watch", "--count", "1", "--kind", "committed", "--socket",
                                               single.daemon.control), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 10
    while watch.poll() is None and time.monotonic() < end:
        single.daemon.sallyport("reload", "--socket", single.daemon.control)
        time.sleep(0.3)
    watch.kill()
    assert " committed generation " in watch.communicate()[0]
