# SPDX-License-Identifier: Apache-2.0
"""Where keys are in the memory of a running gateway, and where they are not: heap, stacks, logs, what it tells, core files."""

import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.rig import memory, packets
from tests.rig.net import until
from tests.rig.topology import Single


def keys_of(connections):
    return {f"{connection.name} {way}": key for connection in connections
            for way, key in (("in", connection.key_in), ("out", connection.key_out))}


def connections_of(rig):
    """An AEAD and a CBC with HMAC, whose integrity key is the tail of the material."""
    return [rig.connection("gcm", algorithm="aes-256-gcm"),
            rig.connection("cbc", number=2, algorithm="aes-128-cbc-hmac-sha2-256", remote_networks=["10.3.0.0/16"])]


def traffic(rig):
    for connection, far in (("gcm", "10.2.0.2"), ("cbc", "10.3.0.2")):
        rig.from_red(packets.udp(rig.HOST[4], far, b"x"))
        assert rig.black.receive(packets.is_esp) is not None
        rig.from_black(rig.connections[connection].taken().seal(packets.udp(far, rig.HOST[4], b"y"), 1))
        assert rig.red.receive(packets.is_ip_to(rig.HOST[4])) is not None


def start(rig, **options):
    made = connections_of(rig)
    rig.connections = {connection.name: connection for connection in made}
    rig.start(made, **options)
    return made


def pid_of(rig):
    """Of the gateway itself, below what started it."""
    return rig.daemon.ask("status")["pid"]


def test_no_key_is_in_ordinary_memory():
    """After install, traffic and a reload with new keys neither the octets nor the digits of a key, old or new, are anywhere but in the
    areas that are locked and left out of core files."""
    with Single() as rig:
        made = start(rig)
        traffic(rig)
        sought = memory.needles(keys_of(made))
        made[0].label = "new"
        sought |= memory.needles({f"new {name}": key for name, key in keys_of(made[:1]).items()})
        rig.daemon.configure(rig.daemon.text)
        rig.daemon.create_marks_of_running() if hasattr(rig.daemon, "create_marks_of_running") else None
        rig.daemon.sallyport("reload", "--socket", rig.daemon.control, check=False)
        pid = pid_of(rig)
        found = memory.search(pid, sought, lambda area: "dd" not in area.flags)
        assert not found, "\n".join(map(str, found[:40]))
