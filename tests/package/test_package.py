# SPDX-License-Identifier: Apache-2.0
"""The packages in a Debian that has nothing of ours: installed by apt, booted, started, killed under traffic, upgraded, removed, purged.

The tests are one story and run in the order of the file. The Debian runs in a container that is driven from outside (tests/rig/container.py);
its network namespace is the gateway of a Single rig, and the test itself is the host behind it and the peer."""

import json
import os
import re
import shutil
import signal
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rig import config, packets, stopped
from tests.rig.container import Container
from tests.rig.net import run, until
from tests.rig.topology import Single

TOP = Path(__file__).resolve().parents[2]
CLEAN = Path("/run/roots/clean")
GATEWAY, GUARD = "sallyport-gateway.service", "sallyport-guard.service"
FILE = "/etc/sallyport/sallyport.toml"
PAUSE = 0.002  # seconds between packets: the rings hold those of four seconds
IN_HAND = 64  # frames that a worker may have in hand when it is killed
# What apt, dpkg and systemd write whenever a package comes or goes.
OF_DEBIAN = re.compile(r"var/(lib/(dpkg|apt|systemd/catalog|systemd/deb-systemd)|cache|log|tmp)/|tmp/|root/|run/|dev/|proc/|sys/|"
                       r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|etc/\.(pwd\.lock|updated)$|etc/ld\.so\.cache$|var/\.updated$|"
                       r"etc/(resolv\.conf|hostname)$|var/lib/systemd/(timers|random-seed|linger|timesync)|var/lib/private|var/lib/dbus/")


class Machine(Container):
    """The container with the words that these tests use."""

    def apt(self, *words):
        return self.run("apt-get", "-y", "--no-install-recommends", *words, timeout=180).stdout

    def systemctl(self, *words, check=True):
        return self.run("systemctl", *words, timeout=60, check=check).stdout.strip()

    def shown(self, name, unit=GATEWAY):
        return self.systemctl("show", unit, "--property", name, "--value")

    def state(self, unit=GATEWAY):
        return self.shown("ActiveState", unit)

    def ready(self):
        until(lambda: self.state() == "active" and self.shown("SubState") == "running", 20, "the gateway runs")

    def pid(self):
        """As the container counts."""
        return int(self.shown("MainPID"))

    def write(self, path, text, mask="022"):
        """As an operator would, in the container's shell."""
        self.run("sh", "-c", f"umask {mask}; cat >{path}", input=text)

    def journal(self, *which, since=None):
        """The entries that journalctl finds with these words, oldest first."""
        after = ["--after-cursor", since] if since else []
        lines = self.run("journalctl", "--output", "json", *which, *after, timeout=30).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def told(self, event, since=None):
        """The first entry of the event, when the journal has it. Not asked by unit: of a process that ends at once the journal may not learn
        which it was."""
        return until(lambda: self.journal(f"EVENT={event}", since=since), 20, f"{event} in the journal")[0]

    def said(self, words, since):
        """The journal has a message of the gateway's unit, its own or systemd's, with these words."""
        until(lambda: [entry for entry in self.journal("--unit", GATEWAY, since=since) if words in entry["MESSAGE"]], 20, f"'{words}' in the journal")

    def cursor(self):
        return re.search(r"-- cursor: (.*)", self.run("journalctl", "--lines", 0, "--show-cursor").stdout)[1]

    def open_ports(self):
        """Whatever a failed test left: no program stays on an interface that goes with its namespace."""
        self.systemctl("stop", GATEWAY, check=False)
        self.run("sallyport", "detach", check=False)
        self.run("find", "/run/sallyport/bpf", "-mindepth", 1, "!", "-name", "*.debug", "-delete", check=False)

    def files(self):
        """Every path, without those of file systems in memory."""
        listed = self.run("find", "/", "-xdev", "-printf", "%P\n", timeout=60).stdout.splitlines()
        return {path for path in listed if path and not OF_DEBIAN.match(path + ("/" if path in ("tmp", "run") else ""))}


def built():
    (deb,) = (TOP / "dist").glob("sallyport_*.deb")
    return deb


@pytest.fixture(scope="module")
def machine(request):
    made = Machine(CLEAN, "/run/package")
    shutil.copy(built(), made.root / "root/sallyport.deb")
    made.boot()
    made.before = made.files()
    try:
        yield made
        assert made.state() != "failed"
    finally:
        if request.session.testsfailed:
            print("--- the end of the journal", made.run("journalctl", "--no-pager", "--lines", 300, check=False).stdout, sep="\n")
        made.close()


@pytest.fixture(scope="module")
def rig(machine):
    """Networks at both sides of the machine, and a configuration for them with keys in files."""
    with Single(pid=machine.first) as made:
        made.connections = {"tunnel": made.connection()}
        table = made.connections["tunnel"].table()
        for key in ("key-in", "key-out"):
            machine.write(f"/etc/sallyport/keys/{key}", table.pop(key), mask="027")
            table[f"{key}-file"] = f"keys/{key}"
        machine.write(FILE, config.render({"queues": 1}, {"black": {"role": "black"}, "red": {"role": "red"}}, [("tunnel", table)]))
        try:
            yield made
        finally:
            machine.open_ports()


class Stream:
    """Numbered packets from the host behind the gateway, one every PAUSE, and what the peer gets of them."""

    def __init__(self, rig):
        self.rig, self.sa = rig, rig.connections["tunnel"].sent()
        self.sent, self.frames, self.going = 0, [], True
        self.threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]

    def _send(self):
        while self.going:
            self.rig.from_red(packets.udp(self.rig.HOST[4], self.rig.FAR[4], struct.pack("!I", self.sent)))
            self.sent += 1
            time.sleep(PAUSE)

    def _receive(self):
        quiet = 0
        while self.going or quiet < 20:
            frame = self.rig.black.receive(packets.is_esp, 0.1)
            quiet = 0 if frame else quiet + 1
            if frame:
                self.frames.append((time.monotonic(), frame))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        time.sleep(0.5)
        self.going = False
        for thread in self.threads:
            thread.join()

    def lost(self, what):
        """How many did not come; no sequence number was used twice, and nothing came twice."""
        opened = [self.sa.open(packets.packet_of(frame)) for _, frame in self.frames]
        came = [struct.unpack_from("!I", inner, 28)[0] for inner, *_ in opened]
        numbers = [number for _, number, *_ in opened]
        assert came == sorted(set(came)) and numbers == sorted(set(numbers)), "in order, none twice"
        silence = max(late - early for (early, _), (late, _) in zip(self.frames, self.frames[1:]))
        lost = self.sent - len(came)
        print(f"{what}: {lost} of {self.sent} packets lost, longest silence {silence * 1000:.0f} ms")
        return lost


def passes(rig, count=50):
    """Out and in."""
    tunnel = rig.connections["tunnel"]
    rig.black.drain()
    for number in range(count):
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], struct.pack("!I", number)))
    opened = [tunnel.sent().open(packets.packet_of(frame)) for frame in rig.black.collect(count, packets.is_esp, timeout=10)]
    assert [struct.unpack_from("!I", inner, 28)[0] for inner, *_ in opened] == list(range(count))
    rig.received = getattr(rig, "received", 0) + 1
    inner = packets.udp(rig.FAR[4], rig.HOST[4], b"back")
    rig.from_black(tunnel.taken().seal(inner, rig.received))
    assert rig.red.receive(lambda frame: b"back" in frame, 5), "what comes out of the tunnel"
    return opened[-1][1]


# What is installed


def test_apt_installs_it_and_nothing_happens(machine):
    assert machine.run("dpkg-query", "--show", "libxdp1", check=False).returncode != 0, "the machine knew nothing of it before"
    machine.apt("install", "/root/sallyport.deb")
    assert "ok installed" in machine.run("dpkg-query", "--show", "--showformat", "${Status}", "sallyport").stdout
    for unit in (GATEWAY, GUARD):
        assert machine.state(unit) == "inactive" and machine.systemctl("is-enabled", unit, check=False) == "disabled", unit
    assert machine.journal("--unit", GATEWAY) == []
    assert "sallyport" in machine.run("getent", "passwd", "sallyport").stdout
    listed = machine.run("stat", "--format", "%n %a %U %G", "/etc/sallyport/keys", "/etc/sallyport/conf.d", "/var/lib/sallyport", FILE).stdout
    assert listed.splitlines() == ["/etc/sallyport/keys 2750 root sallyport", "/etc/sallyport/conf.d 2750 root sallyport",
                                   "/var/lib/sallyport 700 sallyport sallyport", f"{FILE} 644 root root"]


def test_versions_agree(machine):
    version = machine.run("dpkg-query", "--show", "--showformat", "${Version}", "sallyport").stdout
    assert machine.run("sallyport", "--version").stdout.split()[-1] == version
    assert machine.run("sallyport-gateway", "--version").stdout.split()[-1] == version


@pytest.mark.parametrize("page", ["man1/sallyport.1", "man5/sallyport.toml.5", "man7/sallyport-drops.7", "man8/sallyport-gateway.8"])
def test_manual_pages(machine, page):
    file = machine.root / f"usr/share/man/{page}.gz"
    text = run("sh", "-c", f"zcat {file} | mandoc -T ascii | col -b").stdout
    assert "NAME" in text and page.split("/")[1].rsplit(".", 1)[0] in text


def test_completion(machine):
    script = "source /usr/share/bash-completion/completions/sallyport; COMP_WORDS=(sallyport re); COMP_CWORD=1; _sallyport; echo ${COMPREPLY[@]}"
    assert machine.run("bash", "-c", script).stdout.split() == ["reload"]


def test_the_journal_explains(machine):
    assert "The guard's rules stand" in machine.run("journalctl", "--dump-catalog", "84fdd4526342410e80fd34a56ff7f92b").stdout


def test_without_a_configuration_nothing_is_locked_and_nothing_goes_round(machine):
    machine.systemctl("start", GUARD)
    machine.told("guard-empty")
    machine.systemctl("stop", GUARD)
    assert machine.systemctl("start", GATEWAY, check=False) == ""
    until(lambda: machine.state() == "failed", 10, "the gateway ends")
    time.sleep(3)
    assert machine.state() == "failed" and machine.shown("NRestarts") == "0" and machine.shown("ExecMainStatus") == "2"
    assert "add [port.NAME]" in machine.told("configuration-refused")["MESSAGE"]
    assert len(machine.journal("EVENT=configuration-refused")) == 2, "no black port, no red one, and not once more"
    assert machine.run("sallyport", "check", FILE, check=False).returncode == 1
    machine.systemctl("reset-failed", GATEWAY)


# At work


def test_what_cannot_start_tries_again_without_hurry(machine, rig):
    text = (machine.root / FILE[1:]).read_text()
    machine.write(FILE, text.replace("[port.red]", '[port.red]\ninterface = "nosuch"'))
    machine.systemctl("start", "--no-block", GATEWAY)
    time.sleep(7)
    assert 1 <= int(machine.shown("NRestarts")) <= 4
    machine.systemctl("stop", GATEWAY)
    machine.systemctl("reset-failed", GATEWAY, check=False)
    machine.write(FILE, text)


def test_the_guard_stands_before_the_gateway(machine, rig):
    machine.systemctl("start", GUARD)
    machine.told("guard-raised")
    assert "sallyport_guard" in rig.gw.run("nft", "list", "tables").stdout


def test_it_carries_packets(machine, rig):
    assert "is good" in machine.run("sallyport", "check", FILE).stdout
    machine.run("sallyport", "marks", "--create", FILE)
    machine.systemctl("enable", "--now", GATEWAY)
    assert machine.systemctl("is-enabled", GUARD) == "enabled", "who wants the one at boot wants the other"
    machine.ready()
    passes(rig)
    status = json.loads(machine.run("sallyport", "status", "--json").stdout)
    assert [connection["up"] for connection in status["connections"]] == [True]


def test_the_process_has_what_it_needs_and_no_more(machine, rig):
    status = Path(f"/proc/{machine.outer_pid(machine.pid())}/status").read_text()
    four = 1 << 12 | 1 << 13 | 1 << 14 | 1 << 39  # CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_BPF
    for which in ("CapPrm", "CapEff", "CapBnd"):
        assert int(re.search(rf"^{which}:\s+(\w+)", status, re.M)[1], 16) == four, which
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert re.search(r"^Uid:\s+0\s", status, re.M) is None
    assert int(machine.shown("NFileDescriptorStore")) >= 4


@pytest.mark.parametrize("unit, most", [(GATEWAY, 2.0), (GUARD, 1.2)])
def test_exposure(machine, unit, most):
    text = machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
    print("", *[line for line in text.splitlines() if line.startswith(("✗", "→"))], sep="\n")
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", text)[1]) <= most


def test_journal_fields(machine, rig):
    installed = machine.told("sa-installed")
    assert installed["CONNECTION"] == "tunnel" and installed["PEER"] == rig.PEER[4] and installed["SPI"].startswith("0x0000")
    assert machine.told("connection-up")["CONNECTION"] == "tunnel" and machine.told("port-up")["PORT"] in ("red", "black")
    since = machine.cursor()
    stranger = replace(rig.connections["tunnel"].taken(), spi=0xBAD0BAD)
    rig.from_black(stranger.seal(packets.udp(rig.FAR[4], rig.HOST[4], b"x"), 1))
    dropped = machine.told("packet-dropped", since=since)
    assert dropped["SPI"] == "0x0bad0bad" and dropped["SOURCE"] == rig.PEER[4] and dropped["DESTINATION"] == rig.LOCAL[4]
    assert dropped["REASON"] and dropped["MESSAGE_ID"] and dropped["_SYSTEMD_UNIT"] == GATEWAY


def test_killed_under_traffic_it_goes_on(machine, rig):
    for _ in range(8):
        before, restarts = machine.pid(), int(machine.shown("NRestarts"))
        with Stream(rig) as stream:
            os.kill(machine.outer_pid(before), signal.SIGKILL)
            until(lambda b=before: machine.pid() not in (0, b), 20, "systemd starts it again")
            machine.ready()
        assert stream.lost("killed") <= IN_HAND
        assert int(machine.shown("NRestarts")) == restarts + 1
    passes(rig)


def test_a_worker_that_stands_still_is_noticed(machine, rig):
    """A tracer holds one thread; the others go on. The watchdog ends the process, and the next one takes over."""
    before, since = machine.pid(), machine.cursor()
    process = machine.outer_pid(before)
    (worker,) = [int(task.name) for task in Path(f"/proc/{process}/task").iterdir() if (task / "comm").read_text() == "sp-worker-0\n"]
    with stopped.thread(worker):
        until(lambda: machine.pid() not in (0, before), 30, "the watchdog ends it")
    machine.ready()
    machine.said("worker 0 stands still", since)
    machine.said("Watchdog timeout", since)
    passes(rig)


# Upgrade, removal


def upgraded(machine, version):
    """The same package under a higher version, as a file of the machine."""
    tree = machine.root / "root/upgraded"
    run("dpkg-deb", "--raw-extract", built(), tree, timeout=60)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*", f"Version: {version}", control.read_text(), flags=re.M))
    run("dpkg-deb", "--build", "-Zgzip", "-z1", tree, machine.root / "root/upgraded.deb", timeout=60)
    shutil.rmtree(tree)
    return "/root/upgraded.deb"


def test_upgraded_under_traffic_it_goes_on(machine, rig):
    before, since = machine.pid(), machine.cursor()
    old = machine.run("dpkg-query", "--show", "--showformat", "${Version}", "sallyport").stdout
    deb = upgraded(machine, f"{old}+next")
    with Stream(rig) as stream:
        machine.apt("install", deb)
        machine.ready()
    assert stream.lost("upgraded") == 0
    assert machine.run("dpkg-query", "--show", "--showformat", "${Version}", "sallyport").stdout == f"{old}+next"
    assert machine.pid() != before and machine.systemctl("is-enabled", GATEWAY) == "enabled"
    machine.said("are taken over, with the frames that waited", since)
    passes(rig)


def test_removed_it_opens_the_ports_and_keeps_what_is_the_operators(machine, rig):
    rig.last = passes(rig)
    said = machine.apt("remove", "sallyport")
    assert "port black: programs off" in said and "port red: programs off" in said
    assert not rig.gw.xdp() and "sallyport" not in rig.gw.run("nft", "list", "tables").stdout
    assert not [link["ifname"] for link in rig.gw.json("link", "show") if link["ifname"].startswith("sp-")]
    assert rig.gw.run("tc", "filter", "show", "dev", "black", "egress").stdout == ""
    assert machine.run("test", "-e", "/run/sallyport", check=False).returncode == 1
    assert "sallyport" not in machine.run("sh", "-c", "cat /proc/[0-9]*/comm").stdout
    for path in (FILE, "/etc/sallyport/keys/key-in", "/var/lib/sallyport/marks"):
        machine.run("test", "-s", path)
    for path in ("/usr/sbin/sallyport-gateway", "/usr/bin/sallyport", f"/usr/lib/systemd/system/{GATEWAY}"):
        assert machine.run("test", "-e", path, check=False).returncode == 1, path


def test_installed_again_its_numbers_go_on(machine, rig):
    """The marks outlive a removal: no number is used twice."""
    machine.apt("install", "/root/sallyport.deb")
    if machine.state() != "active":
        machine.systemctl("start", GATEWAY)
    machine.ready()
    tunnel = rig.connections["tunnel"]
    rig.black.drain()
    rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"again"))
    _, number, *_ = tunnel.sent().open(packets.packet_of(rig.black.receive(packets.is_esp, 10)))
    assert number > rig.last


def test_purged_it_leaves_nothing(machine, rig):
    machine.apt("purge", "sallyport")
    of_others = machine.run("sh", "-c", "cat /var/lib/dpkg/info/*.list").stdout  # what it depended on is still there
    left = machine.files() - machine.before - {path[1:] for path in of_others.splitlines()}
    assert sorted(left) == []
    assert not rig.gw.xdp() and "sallyport" not in rig.gw.run("nft", "list", "tables").stdout
    assert "sallyport" in machine.run("getent", "passwd", "sallyport").stdout, "users stay, lest another gets the number with the files"
