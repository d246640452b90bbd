# SPDX-License-Identifier: Apache-2.0
"""The unit of the package under a real systemd, in a container: the gateway is killed, stopped and restarted, and goes on with the sockets
that systemd kept. Pytest runs it there; see run.py."""

import os
import re
import signal
import struct
import time
from pathlib import Path

import pytest

from tests.rig import config, packets
from tests.rig.net import run, until
from tests.rig.topology import Single

UNIT = "sallyport-gateway.service"
FILE = Path("/etc/sallyport/sallyport.toml")
FRAMES = 500


def systemctl(*words):
    return run("systemctl", *words, timeout=30).stdout


def shown(name):
    return systemctl("show", UNIT, "--property", name, "--value").strip()


def journal(since):
    return run("journalctl", "--unit", UNIT, "--output", "cat", "--after-cursor", since).stdout


def cursor():
    return re.search(r"-- cursor: (.*)", run("journalctl", "--lines", 0, "--show-cursor").stdout)[1]


@pytest.fixture(scope="module")
def rig():
    """A gateway between two networks, in a namespace that its unit is told of."""
    with Single() as made:
        made.connections = {"tunnel": made.connection()}
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(config.render({"queues": 1}, {"black": {"role": "black"}, "red": {"role": "red"}}, made.connections.values()))
        run("systemd-sysusers")
        run("chown", "sallyport:", FILE)
        FILE.chmod(0o600)
        dropin = Path(f"/etc/systemd/system/{UNIT}.d/namespace.conf")
        dropin.parent.mkdir()
        dropin.write_text(f"[Service]\nNetworkNamespacePath={made.gw.path}\n")
        systemctl("daemon-reload")
        Path("/var/lib/sallyport").mkdir(mode=0o700, exist_ok=True)
        run("chown", "sallyport:", "/var/lib/sallyport")
        run("setpriv", "--reuid", "sallyport", "--regid", "sallyport", "--clear-groups", "sallyport", "marks", "--create", FILE)
        systemctl("enable", UNIT)
        systemctl("start", UNIT)
        yield made
        systemctl("stop", UNIT)
        systemctl("clean", "--what=fdstore", UNIT)
        run("find", "/run/sallyport/bpf", "-mindepth", 1, "!", "-name", "*.debug", "-delete")
        until(lambda: not made.gw.xdp(), what="no programs on the ports")


def pid():
    return int(shown("MainPID"))


def send(rig, count):
    for number in range(count):
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], struct.pack("!I", number)))


def all_come(rig, count):
    """Sealed, in order, none twice."""
    sa = rig.connections["tunnel"].sent()
    opened = [sa.open(packets.packet_of(frame))[0] for frame in rig.black.collect(count, packets.is_esp, timeout=10)]
    assert [struct.unpack_from("!I", inner, 28)[0] for inner in opened] == list(range(count))


def ready():
    until(lambda: shown("ActiveState") == "active" and shown("SubState") == "running", 20, "the unit runs")


def test_it_runs_with_four_capabilities_and_leaves_descriptors(rig):
    ready()
    status = Path(f"/proc/{pid()}/status").read_text()
    four = 1 << 12 | 1 << 13 | 1 << 14 | 1 << 39  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF
    for which in ("CapPrm", "CapEff", "CapBnd"):
        assert int(re.search(rf"^{which}:\s+(\w+)", status, re.M)[1], 16) == four, which
    assert re.search(r"^Uid:\s+0\s", status, re.M) is None
    assert int(shown("NFileDescriptorStore")) >= 4
    send(rig, 10)
    all_come(rig, 10)


def test_killed_it_comes_back_and_takes_over(rig):
    for _ in range(3):
        before, since, restarts = pid(), cursor(), int(shown("NRestarts"))
        os.kill(before, signal.SIGKILL)
        send(rig, FRAMES)
        until(lambda b=before: pid() not in (0, b), 20, "systemd starts it again")
        ready()
        all_come(rig, FRAMES)
        assert int(shown("NRestarts")) == restarts + 1
        assert "are taken over, with the frames that waited" in journal(since)


def test_stopped_and_started_it_takes_over(rig):
    since = cursor()
    systemctl("stop", UNIT)
    assert pid() == 0
    send(rig, FRAMES)
    time.sleep(0.5)
    systemctl("start", UNIT)
    all_come(rig, FRAMES)
    assert "are taken over, with the frames that waited" in journal(since)


def test_restarted_it_takes_over(rig):
    since = cursor()
    systemctl("restart", UNIT)
    send(rig, FRAMES)
    all_come(rig, FRAMES)
    assert "are taken over, with the frames that waited" in journal(since)


def test_when_systemd_has_lost_the_descriptors_it_binds_afresh(rig):
    since = cursor()
    systemctl("stop", UNIT)
    systemctl("clean", "--what=fdstore", UNIT)
    systemctl("start", UNIT)
    send(rig, FRAMES)
    all_come(rig, FRAMES)
    assert "are taken over, with the frames that waited" not in journal(since)
    assert int(shown("NFileDescriptorStore")) >= 4


def test_reload_is_told(rig):
    before = pid()
    systemctl("reload", UNIT)
    ready()
    assert pid() == before
    send(rig, 10)
    all_come(rig, 10)


def test_detached_it_stays_away(rig):
    """Nobody starts it again behind the operator's back, and no socket of it is left."""
    run("sallyport", "detach", timeout=20)
    until(lambda: shown("ActiveState") == "inactive", 20, "the unit ends")
    time.sleep(0.5)
    assert shown("ActiveState") == "inactive"
    assert not rig.gw.xdp()
    assert "xsk-" not in run("systemd-analyze", "fdstore", UNIT).stdout
