# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and the veth pairs between them."""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

PATIENCE = 10.0  # seconds that anything may take unless a caller says otherwise


class RigError(Exception):
    """Something of the rig, not of the product, went wrong or took too long."""


def run(*command, timeout=PATIENCE, check=True, **options):
    """Runs a command to its end; its output is text. Over its time it is killed and RigError raised."""
    words = [str(word) for word in command]
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=timeout, **options)
    except subprocess.TimeoutExpired as late:
        raise RigError(f"not done after {timeout} s: {' '.join(words)}") from late
    if check and result.returncode != 0:
        raise RigError(f"{' '.join(words)}: exit status {result.returncode}: {result.stderr.strip() or result.stdout.strip()}")
    return result


def until(true, timeout=PATIENCE, what="", step=0.01):
    """Calls `true` until it gives something true, which is returned; RigError after the time."""
    end = time.monotonic() + timeout
    while True:
        value = true()
        if value:
            return value
        if time.monotonic() > end:
            raise RigError(f"not within {timeout} s: {what or getattr(true, '__name__', true)}")
        time.sleep(step)


class Namespace:
    """A network namespace by the name that `ip netns` knows. Quiet: no router solicitations, no duplicate address detection."""

    def __init__(self, name, ipv6=True, pid=None):
        """A new one; with `pid` that of a process which stands in one already."""
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", *(["attach", name, pid] if pid else ["add", name]))
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.dad_transmits", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.accept_ra", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.router_solicitations", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 0 if ipv6 else 1)
            self.sysctl(f"net.ipv4.conf.{scope}.rp_filter", 0)
        self.ip("link", "set", "lo", "up")

    def command(self, *words):
        """The words of a command that runs `words` in here (with a sysfs of this namespace)."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

    def start(self, *words):
        """A process in here that the caller ends."""
        return subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ip(self, *words, **options):
        return run("ip", "-n", self.name, *words, **options)

    def json(self, *words):
        return json.loads(run("ip", "-n", self.name, "-j", *words).stdout or "[]")

    def sysctl(self, key, value):
        with self.entered():
            Path("/proc/sys", *key.split(".")).write_text(f"{value}\n")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread stands in this namespace inside the block: for sockets, which stay where they were made."""
        with open("/proc/thread-self/ns/net") as before, open(self.path) as here:
            os.setns(here.fileno(), os.CLONE_NEWNET)
            try:
                yield
            finally:
                os.setns(before.fileno(), os.CLONE_NEWNET)

    def mac(self, interface):
        return self.json("link", "show", "dev", interface)[0]["address"]

    def index(self, interface):
        return self.json("link", "show", "dev", interface)[0]["ifindex"]

    def address(self, interface, *addresses):
        for address in addresses:
            self.ip("address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def link_local(self, interface):
        def look():
            for info in self.json("-6", "address", "show", "dev", interface, "scope", "link"):
                for address in info.get("addr_info", []):
                    return address.get("local")

        return until(look, what=f"link-local address of {interface} in {self.name}")

    def forward(self, on=True):
        self.sysctl("net.ipv4.ip_forward", int(on))
        self.sysctl("net.ipv6.conf.all.forwarding", int(on))

    def neighbour(self, interface, address, mac):
        self.ip("neighbour", "replace", address, "lladdr", mac, "nud", "permanent", "dev", interface)

    def xdp(self):
        """Interfaces in here that carry an XDP program: name -> id of the program."""
        found = {}
        for link in self.json("-d", "link", "show"):
            program = link.get("xdp", {}).get("prog") or next(iter(link.get("xdp", {}).get("attached", [])), {}).get("prog")
            if program:
                found[link["ifname"]] = program.get("id", 0)
        return found

    def delete(self):
        """Deletes it when no XDP program is left on its interfaces, as a kernel may block for ever otherwise."""
        until(lambda: not self.xdp(), what=f"namespace {self.name} without XDP programs")
        run("ip", "netns", "delete", self.name)


def veth(left, left_name, right, right_name, queues=1, mtu=1500):
    """A pair of veth devices, up, without the offloads that leave packets half made."""
    many = ["numtxqueues", queues, "numrxqueues", queues]
    left.ip("link", "add", left_name, *many, "type", "veth", "peer", "name", right_name, *many, "netns", right.name)
    for space, name in ((left, left_name), (right, right_name)):
        space.run("ethtool", "-K", name, "tx", "off", "gso", "off", "tso", "off", "gro", "off", "txvlan", "off")
        space.ip("link", "set", name, "mtu", mtu, "up")
    for space, name in ((left, left_name), (right, right_name)):
        until(lambda s=space, n=name: "LOWER_UP" in s.json("link", "show", "dev", n)[0]["flags"], what=f"{name} has a carrier")


def steer(space, interface, queue, queues):
    """Everything that the kernel of `space` sends on `interface` leaves by one queue (and so arrives on the peer's queue of that number)."""
    everything = format((1 << (os.cpu_count() or 1)) - 1, "x")
    for number in range(queues):
        cpus = everything if number == queue else "0"
        space.run("sh", "-c", f"echo {cpus} >/sys/class/net/{interface}/queues/tx-{number}/xps_cpus")
