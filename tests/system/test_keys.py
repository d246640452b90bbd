# SPDX-License-Identifier: Apache-2.0
"""Where keys are in the memory of a running gateway, and where they are not: heap, stacks, logs, what it tells, core files."""

import itertools
import resource
import signal
from pathlib import Path

from tests.rig import memory, packets
from tests.rig.net import run
from tests.rig.topology import Single

NUMBERS = itertools.count(1)

# Takes away what keeps the gateway from writing a core file, so that one can be looked at.
DUMPABLE = r"""
#define _GNU_SOURCE
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
int prctl(int option, ...) {
    __builtin_va_list words;
    __builtin_va_start(words, option);
    long w[4];
    for (int i = 0; i < 4; ++i) w[i] = __builtin_va_arg(words, long);
    return option == PR_SET_DUMPABLE ? 0 : (int)syscall(SYS_prctl, option, w[0], w[1], w[2], w[3]);
}
int setrlimit(__rlimit_resource_t resource, const struct rlimit* limit) {
    return resource == RLIMIT_CORE ? 0 : (int)syscall(SYS_setrlimit, resource, limit);
}
"""


def keys_of(connections):
    return {f"{connection.name} {way}": key for connection in connections for way, key in (("in", connection.key_in), ("out", connection.key_out))}


def start(rig, **options):
    """An AEAD, and CBC with HMAC, whose integrity key is the tail of the material."""
    made = [rig.connection("gcm", algorithm="aes-256-gcm"),
            rig.connection("cbc", number=2, algorithm="aes-128-cbc-hmac-sha2-256", remote_networks=["10.3.0.0/16"])]
    rig.connections = {connection.name: connection for connection in made}
    rig.start(made, **options)
    return memory.needles(keys_of(made))


def traffic(rig):
    for name, far in (("gcm", "10.2.0.2"), ("cbc", "10.3.0.2")):
        rig.from_red(packets.udp(rig.HOST[4], far, b"x"))
        assert rig.black.receive(packets.is_esp) is not None
        rig.from_black(rig.connections[name].taken().seal(packets.udp(far, rig.HOST[4], b"y"), next(NUMBERS)))
        assert rig.red.receive(packets.is_ip_to(rig.HOST[4])) is not None


def reload(rig, **changes):
    """With these keys added to each connection, behind the key material."""
    for connection in rig.connections.values():
        connection.more = changes
    rig.daemon.configure(rig.daemon.text)
    return rig.daemon.sallyport("reload", "--socket", rig.daemon.control, check=False).returncode


def not_ours(area):
    """All but what is left out of core files on purpose: locked memory of keys, the secret table, OpenSSL's heap."""
    return "dd" not in area.flags


def test_no_key_is_in_ordinary_memory():
    """After start, traffic and reloads, one of them refused, neither the octets nor the digits of a key are anywhere but in locked memory
    that is left out of core files, nor in anything that the gateway wrote or says."""
    with Single() as rig:
        sought = start(rig, holder=True)
        traffic(rig)
        assert reload(rig, mtu=1400) == 0
        assert reload(rig, mtu="no number") != 0  # a mistake behind the keys
        assert reload(rig, mtu='"=') != 0  # no TOML
        assert reload(rig, mtu=1401) == 0
        traffic(rig)
        pid = rig.daemon.ask("status")["pid"]
        found = memory.search(pid, sought, lambda area: not_ours(area) and area.rights[1] == "w")
        assert not found, "\n".join(map(str, found[:40]))
        ours = memory.search(pid, sought, lambda area: not not_ours(area) and area.last - area.first < 64 << 20)
        assert any(name == "octets of gcm out" for name, *_ in ours), "the first round keys of AES are the key itself: it must be found there"
        loose = [area for area in memory.areas(pid) if area.rights == "rw-p" and not area.flags & {"lo", "dp"}]
        assert not loose, f"not locked: {loose}"
        # The next process, which found keys in the table.
        rig.daemon.kill()
        rig.daemon.start()
        assert "SAs of the gateway before this one go on" in rig.daemon.said()
        traffic(rig)
        pid = rig.daemon.ask("status")["pid"]
        found = memory.search(pid, sought, lambda area: not_ours(area) and area.rights[1] == "w")
        assert not found, "\n".join(map(str, found[:40]))
        rig.daemon.stop()
        told = rig.daemon.said().encode()
        assert not [name for name, octets in sought.items() if octets in told]


def test_no_key_is_told():
    with Single() as rig:
        sought = start(rig)
        traffic(rig)
        for command in ("status", "sa", "policy", "counters"):
            for form in ([], ["--json"]):
                text = rig.daemon.sallyport(command, *form, "--socket", rig.daemon.control).stdout.encode()
                assert not [name for name, octets in sought.items() if octets in text], command


def allow_core_files():
    """As large as they may be, for all that this process starts. False: the login's hard limit lets the kernel write none, or none whole."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    return most == resource.RLIM_INFINITY


def core_pattern_is_a_name():
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    return not pattern.startswith(("|", "/"))


def test_no_key_is_in_a_core_file(tmp_path):
    """A gateway writes none. One that is made to write one, by the kernel itself where it may write core files into the working directory, else
    by what the kernel would write: no key is in it."""
    (tmp_path / "dumpable.c").write_text(DUMPABLE)
    run("gcc-14", "-shared", "-fPIC", "-O1", "-o", tmp_path / "dumpable.so", tmp_path / "dumpable.c")
    whole = allow_core_files()
    with Single() as rig:
        sought = start(rig, start=False)
        rig.daemon.create_marks()
        rig.daemon.prefix = ["env", "-C", str(tmp_path)]
        rig.daemon.start()
        traffic(rig)
        pid = rig.daemon.ask("status")["pid"]
        rig.daemon._end(signal.SIGABRT)
        assert not list(tmp_path.glob("core*"))

        rig.daemon.prefix += [f"LD_PRELOAD={tmp_path / 'dumpable.so'}"]
        rig.daemon.start()
        traffic(rig)
        pid = rig.daemon.ask("status")["pid"]
        found = memory.search(pid, sought, lambda area: area.dumped)
        assert not found, found[:20]
        assert memory.search(pid, {"a name": b"cbc"}, lambda area: area.dumped), "the rest of the heap is seen"
        rig.daemon._end(signal.SIGABRT)
        if not core_pattern_is_a_name() or not whole:
            return
        core, = tmp_path.glob("core*")
        octets = core.read_bytes()
        assert b"10.3.0.0" in octets or b"cbc" in octets, "it has the heap"
        assert not [name for name, needle in sought.items() if needle in octets]
