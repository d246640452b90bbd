# SPDX-License-Identifier: Apache-2.0
"""The command `sallyport` against a running gateway: for people, and with --json for programs."""

import json

import pytest

from tests.rig import packets
from tests.rig.net import until

KEYS = "key_in", "key_out"


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    return [rig.connection("branch", 4, 1), rig.connection("other", 6, 2, algorithm="aes-256-cbc-hmac-sha2-256", esn=False,
                                                            remote_networks=["10.3.0.0/16"])]


COMMANDS = ["status", "sa", "policy", "counters"]


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_whole_and_holds_no_key(single, command):
    text = single.daemon.sallyport(command, "--json", "--socket", single.daemon.control).stdout
    assert isinstance(json.loads(text), (dict, list))
    for connection in single.connections.values():
        for name in KEYS:
            key = getattr(connection, name).hex()
            assert key not in text.lower()
            assert key[:16] not in text.lower()


@pytest.mark.parametrize("command", COMMANDS)
def test_text_for_people(single, command):
    text = single.daemon.sallyport(command, "--socket", single.daemon.control).stdout
    assert text.strip()
    for connection in single.connections.values():
        assert connection.key_in.hex()[:16] not in text.lower()
    if command in ("sa", "policy"):
        assert "branch" in text
        assert "other" in text


def test_status_names_ports_and_workers(single):
    text = json.dumps(single.daemon.ask("status"))
    for word in ("black", "red", "worker"):
        assert word in text


def test_sa_shows_both_directions(single):
    text = json.dumps(single.daemon.ask("sa"))
    for word in ("branch", "aes-128-gcm", "aes-256-cbc-hmac-sha2-256", '"inbound"', '"outbound"'):
        assert word in text


def test_policy_ends_with_discard(single):
    assert "discard" in json.dumps(single.daemon.ask("policy"))


def test_counters_count(single):
    before = single.daemon.counters()
    for _ in range(7):
        single.from_red(packets.udp(single.HOST[4], single.FAR[4], b"x"))
    for _ in range(3):
        single.from_red(packets.udp(single.HOST[4], "10.99.0.1", b"x"))
    until(lambda: single.daemon.counters().drops_since(before) == {"no_policy": 3}, 3, "three drops")
    until(lambda: single.daemon.counters().sealed - before.sealed == 7, 3, "seven sealed")
    text = single.daemon.sallyport("counters", "--socket", single.daemon.control).stdout
    assert "no_policy" in text


def test_counters_show_what_the_kernel_lost(single):
    """XDP_STATISTICS are among them."""
    text = json.dumps(single.daemon.ask("counters"))
    assert "ring_full" in text or "rx_ring_full" in text or "receive_ring_full" in text, text[:3000]


def test_no_gateway_there(single, tmp_path):
    result = single.daemon.sallyport("status", "--socket", tmp_path / "nothing", check=False)
    assert result.returncode != 0
    assert "nothing" in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_command(single):
    result = single.daemon.sallyport("stauts", check=False)
    assert result.returncode not in (0, -6, -11)
    assert result.stderr


def test_help_names_every_command(single):
    text = single.daemon.sallyport("--help").stdout
    for command in (*COMMANDS, "check"):
        assert command in text
