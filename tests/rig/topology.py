# SPDX-License-Identifier: Apache-2.0
"""The two rigs. Pair: hostA - gwA - wan - gwB - hostB, all real. Single: one gateway, and the test itself plays everybody else."""

import contextlib
import itertools
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from . import config
from .daemon import Gateway
from .net import Namespace, RigError, run, veth
from .wire import Tap, ethernet

_numbers = itertools.count(1)


TCP_SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 9000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
connection, _ = server.accept()
while piece := connection.recv(65536):
    connection.sendall(piece)
connection.close()
"""

TCP_CLIENT = """
import hashlib, os, socket, sys, threading, time
data = os.urandom(int(sys.argv[3]))
for _ in range(200):
    try:
        connection = socket.create_connection((sys.argv[1], 9000), 10, (sys.argv[2], 0))
        break
    except ConnectionRefusedError:
        time.sleep(0.02)
def send():
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
back = hashlib.sha256()
while piece := connection.recv(65536):
    back.update(piece)
print("whole" if back.digest() == hashlib.sha256(data).digest() else "damaged")
"""


class Rig:
    """Namespaces and gateways that are removed together, gateways first."""

    living = []  # for the reports of failures

    def __init__(self, prefix):
        """`prefix` of the names of namespaces; it gets a number, so that rigs can live side by side. None: no prefix."""
        self.prefix = "" if prefix is None else f"{prefix}{next(_numbers)}-"
        self.directory = Path(tempfile.mkdtemp(prefix=f"rig-{self.prefix}", dir="/run"))
        self.spaces, self.gateways, self.taps = [], [], []
        Rig.living.append(self)

    def space(self, name, **options):
        made = Namespace(f"{self.prefix}{name}", **options)
        self.spaces.append(made)
        return made

    def gateway(self, space, name, text, **options):
        made = Gateway(space, self.directory / name, text, **options)
        self.gateways.append(made)
        return made

    def tap(self, space, interface):
        made = Tap(space, interface)
        self.taps.append(made)
        return made

    @contextlib.contextmanager
    def program(self, source, kind, scratch):
        """Path of a pinned BPF program (`kind`: xdp, tc) made of C, for as long as the block runs; attached it stays longer."""
        (scratch / "program.c").write_text(source)
        run("clang-19", "-target", "bpf", "-O2", "-g", "-c", scratch / "program.c", "-o", scratch / "program.o", timeout=30)
        pins = self.directory / "programs"
        pins.mkdir()
        run("mount", "-t", "bpf", "bpf", pins)
        try:
            run("bpftool", "prog", "load", scratch / "program.o", pins / "program", "type", kind)
            yield pins / "program"
        finally:
            run("umount", pins)
            pins.rmdir()

    def close(self):
        faults = []
        if self in Rig.living:
            Rig.living.remove(self)
        for thing in [*self.taps, *(gateway for gateway in self.gateways)]:
            try:
                thing.close() if isinstance(thing, Tap) else thing.remove()
            except (RigError, OSError) as fault:
                faults.append(fault)
        for space in self.spaces:
            try:
                space.delete()
            except RigError as fault:
                faults.append(fault)
        with contextlib.suppress(OSError):
            self.directory.rmdir()
        if faults:
            raise RigError("; ".join(map(str, faults)))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
            return
        with contextlib.suppress(RigError):  # the first fault is the one to tell
            self.close()


class Single(Rig):
    """red -- gw -- black. The far ends have no addresses and no kernel noise: what is sent and received there, the test sends and receives.

    The gateway: black 192.0.2.1 and 2001:db8:a::1, the peer beyond at .2 (its MAC is known), red 10.1.0.1 and 2001:db8:1::1, the host
    there at .2. `reds` > 1: further red ports red2, red3, ... with the same addresses, each in the VPN vpn2, vpn3, ... (table 102, ...).
    `blacks` > 1: likewise black2, ..., each in the VPN of the red port with that number.
    `pid`: the gateway's namespace is that of this process."""

    LOCAL, PEER = {4: "192.0.2.1", 6: "2001:db8:a::1"}, {4: "192.0.2.2", 6: "2001:db8:a::2"}
    RED, HOST = {4: "10.1.0.1", 6: "2001:db8:1::1"}, {4: "10.1.0.2", 6: "2001:db8:1::2"}
    RED_NETWORK, FAR_NETWORK = {4: "10.1.0.0/24", 6: "2001:db8:1::/64"}, {4: "10.2.0.0/16", 6: "2001:db8:2::/48"}
    FAR = {4: "10.2.0.2", 6: "2001:db8:2::2"}  # a host behind the peer

    def __init__(self, queues=1, mtu=1500, reds=1, black_mtu=None, known=True, blacks=1, pid=None):
        super().__init__("s")
        self.queues = queues
        self.gw = self.space("gw", pid=pid)
        self.beyond = self.space("beyond", ipv6=False)
        self.gw.forward(False)
        with contextlib.ExitStack() as undo:
            undo.callback(self._abandon)
            veth(self.gw, "black", self.beyond, "black", queues, black_mtu or mtu)
            self.gw.address("black", "192.0.2.1/24", "2001:db8:a::1/64")
            self.gw.ip("route", "add", "default", "via", "192.0.2.2")
            self.gw.ip("route", "add", "default", "via", "2001:db8:a::2")
            self.black = self.tap(self.beyond, "black")
            self.blacks = {"black": self.black}
            self.reds = {}
            for number in range(1, reds + 1):
                self._red(number, queues, mtu)
            self.red = self.reds["red"]
            for number in range(2, blacks + 1):
                self._black(number, queues, black_mtu or mtu)
            if known:
                for family in (4, 6):
                    for name, tap in self.blacks.items():
                        self.gw.neighbour(name, self.PEER[family], tap.mac)
            undo.pop_all()
        self.gw_black_mac, self.gw_red_mac = self.gw.mac("black"), self.gw.mac("red")

    def _red(self, number, queues, mtu):
        name = "red" if number == 1 else f"red{number}"
        veth(self.gw, name, self.beyond, name, queues, mtu)
        self.gw.address(name, "10.1.0.1/24", "2001:db8:1::1/64")
        self.reds[name] = self.tap(self.beyond, name)
        for family in (4, 6):
            self.gw.neighbour(name, self.HOST[family], self.reds[name].mac)
            if number > 1:
                self.gw.ip(f"-{family}", "route", "add", self.RED_NETWORK[family], "dev", name, "table", 100 + number)

    def _black(self, number, queues, mtu):
        name = f"black{number}"
        veth(self.gw, name, self.beyond, name, queues, mtu)
        self.gw.address(name, "192.0.2.1/24", "2001:db8:a::1/64")
        self.blacks[name] = self.tap(self.beyond, name)
        for family, network in ((4, "192.0.2.0/24"), (6, "2001:db8:a::/64")):
            self.gw.ip(f"-{family}", "route", "add", network, "dev", name, "table", 100 + number)
            self.gw.ip(f"-{family}", "route", "add", "default", "via", self.PEER[family], "dev", name, "table", 100 + number)

    def _abandon(self):
        with contextlib.suppress(RigError):
            self.close()

    def connection(self, name="tunnel", outer=4, number=1, **options):
        """A connection between the networks of the rig; `number` sets its SPIs."""
        far = options.pop("remote_networks", list(self.FAR_NETWORK.values()))
        near = [network for network in self.RED_NETWORK.values() if any((":" in network) == (":" in other) for other in far)]
        values = {"local": self.LOCAL[outer], "remote": self.PEER[outer], "local_networks": near, "remote_networks": far,
                  "spi_in": 0x1000 + number, "spi_out": 0x2000 + number, **options}
        return config.Connection(name, **values)

    def start(self, connections, *, start=True, ports=None, settings=None, vpns=None, policies=None, holder=False, **more):
        """Makes the gateway and starts it. `ports` adds keys to the ports by name; `holder` as in Gateway."""
        ports = ports or {}
        table = {"black": {"role": "black", **ports.get("black", {})}}
        vpns = dict(vpns or {})
        for number, name in enumerate(self.blacks, 1):
            if number > 1:
                table[name] = {"role": "black", "vpn": f"vpn{number}", **ports.get(name, {})}
        for number, name in enumerate(self.reds, 1):
            keys = {"role": "red"}
            if number > 1:
                keys["vpn"] = f"vpn{number}"
                vpns.setdefault(f"vpn{number}", {"table": 100 + number})
            table[name] = {**keys, **ports.get(name, {})}

        def text(gateway):
            return config.render(gateway.settings(queues=self.queues, **(settings or {})), table, connections, vpns=vpns, policies=policies,
                                 **more)

        self.daemon = self.gateway(self.gw, "gw", text, holder=holder)
        if start:
            self.daemon.first_start()
        return self.daemon

    # Frames, as the neighbours send them

    def from_red(self, packet, red="red"):
        tap = self.reds[red]
        tap.send(ethernet(self.gw.mac(red) if red != "red" else self.gw_red_mac, tap.mac, packet))

    def from_black(self, packet, black="black"):
        tap = self.blacks[black]
        tap.send(ethernet(self.gw.mac(black) if black != "black" else self.gw_black_mac, tap.mac, packet))


class Pair(Rig):
    """hostA - gwA - wan - gwB - hostB, five namespaces with the kernel's own stacks at the ends and a router in the middle.

    Networks of A: 10.1.0.0/24, 2001:db8:1::/64 (carried over outer IPv4), 10.1.6.0/24, 2001:db8:16::/64 (carried over outer IPv6); B has 2
    where A has 1 (10.2.0.0/24, 2001:db8:2::/64, 10.2.6.0/24, 2001:db8:26::/64). Hosts end in 2, gateways in 1.
    wan: toA 192.0.2.1, 2001:db8:a::1; toB 198.51.100.1, 2001:db8:b::1. gwA 192.0.2.2, gwB 198.51.100.2.
    With `narrow` there are two routers, wan (toA) and mid (toB), and between them a link of that MTU."""

    NETWORKS = {side: {"4in4": f"10.{n}.0.0/24", "6in4": f"2001:db8:{n}::/64", "4in6": f"10.{n}.6.0/24", "6in6": f"2001:db8:{n}6::/64"}
                for side, n in (("A", 1), ("B", 2))}
    HOSTS = {side: {"4in4": f"10.{n}.0.2", "6in4": f"2001:db8:{n}::2", "4in6": f"10.{n}.6.2", "6in6": f"2001:db8:{n}6::2"}
             for side, n in (("A", 1), ("B", 2))}
    BLACK = {"A": {4: "192.0.2.2", 6: "2001:db8:a::2"}, "B": {4: "198.51.100.2", 6: "2001:db8:b::2"}}
    ROUTER = {"A": {4: "192.0.2.1", 6: "2001:db8:a::1"}, "B": {4: "198.51.100.1", 6: "2001:db8:b::1"}}
    FAMILIES = ("4in4", "6in4", "4in6", "6in6")

    def __init__(self, queues=1, mtu=1500, wan_mtu=1500, path_mtu=1400, prefix="p", narrow=None):
        """`path_mtu`: what the hosts believe of the way to the other side (room for ESP on the wan)."""
        super().__init__(prefix)
        self.path_mtu = path_mtu
        self.narrow = narrow
        self.queues = queues
        self.host, self.gw, self.daemon = {}, {}, {}
        try:
            self._build(mtu, wan_mtu)
        except BaseException:
            with contextlib.suppress(RigError):
                self.close()
            raise

    def _build(self, mtu, wan_mtu):
        self.wan = self.space("wan")
        self.wan.forward()
        routers = {"A": self.wan, "B": self._mid() if self.narrow else self.wan}
        for side in "AB":
            host, gateway = self.space(f"host{side}"), self.space(f"gw{side}")
            self.host[side], self.gw[side] = host, gateway
            veth(gateway, "red", host, "net", self.queues, mtu)
            veth(gateway, "black", routers[side], f"to{side}", self.queues, wan_mtu)
            for kind in self.FAMILIES:
                bits = self.NETWORKS[side][kind].split("/")[1]
                near = self.HOSTS[side][kind][:-1] + "1"
                host.address("net", f"{self.HOSTS[side][kind]}/{bits}")
                gateway.address("red", f"{near}/{bits}")
            for family, bits in ((4, 24), (6, 64)):
                gateway.address("black", f"{self.BLACK[side][family]}/{bits}")
                routers[side].address(f"to{side}", f"{self.ROUTER[side][family]}/{bits}")
                gateway.ip("route", "add", "default", "via", self.ROUTER[side][family])
            far = "B" if side == "A" else "A"
            for kind in self.FAMILIES:
                host.ip("route", "add", self.NETWORKS[far][kind], "via", self.HOSTS[side][kind][:-1] + "1", "src", self.HOSTS[side][kind],
                        "mtu", self.path_mtu)

    def _mid(self):
        mid = self.space("mid")
        mid.forward()
        veth(self.wan, "middle", mid, "middle", 1, self.narrow)
        self.wan.address("middle", "203.0.113.1/24", "2001:db8:c::1/64")
        mid.address("middle", "203.0.113.2/24", "2001:db8:c::2/64")
        for space, far, family in ((self.wan, "198.51.100.0/24", 4), (self.wan, "2001:db8:b::/64", 6),
                                   (mid, "192.0.2.0/24", 4), (mid, "2001:db8:a::/64", 6)):
            next_hop = ("203.0.113." if family == 4 else "2001:db8:c::") + ("2" if space is self.wan else "1")
            space.ip("route", "add", far, "via", next_hop)
        return mid

    def connections(self, **options):
        """A's view: one connection over outer IPv4, one over outer IPv6, each with networks of both families."""
        made = []
        for number, outer in enumerate((4, 6), 1):
            kinds = [f"4in{outer}", f"6in{outer}"]
            made.append(config.Connection(f"over{outer}", self.BLACK["A"][outer], self.BLACK["B"][outer],
                                          [self.NETWORKS["A"][kind] for kind in kinds], [self.NETWORKS["B"][kind] for kind in kinds],
                                          0x1000 + number, 0x2000 + number, **options))
        return made

    def start(self, connections=None, *, start=True, settings=None, changes=None, holder=False, **more):
        """Makes both gateways and starts them; `connections` is A's view, `changes` are fields that B has otherwise; `holder` as in Gateway."""
        connections = self.connections() if connections is None else connections
        for side in "AB":
            seen = connections if side == "A" else [replace(connection.mirrored(), **(changes or {})) for connection in connections]

            def text(gateway, seen=seen):
                return config.render(gateway.settings(queues=self.queues, **(settings or {})),
                                     {"black": {"role": "black"}, "red": {"role": "red"}}, seen, **more)

            self.daemon[side] = self.gateway(self.gw[side], f"gw{side}", text, holder=holder)
            if start:
                self.daemon[side].first_start()

    def bare(self, on=True):
        """Without gateways: the kernels forward in clear, for comparison."""
        for side in "AB":
            self.gw[side].forward(on)
            for kind in self.FAMILIES:
                self.wan.ip("route", "replace" if on else "delete", self.NETWORKS[side][kind], "via", self.BLACK[side][6 if kind[0] == "6" else 4])

    def ping(self, kind="4in4", count=5, interval=0.01, size=56, source="A", timeout=10, *options):
        """(sent, received) of pings between the hosts."""
        far = "B" if source == "A" else "A"
        result = self.host[source].run("ping", "-n", "-q", "-c", count, "-i", interval, "-W", 2, "-s", size, *options, "-I",
                                       self.HOSTS[source][kind], self.HOSTS[far][kind], check=False, timeout=timeout + count * interval)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", result.stdout)
        if not found:
            raise RigError(f"ping: {result.stdout} {result.stderr}")
        return int(found[1]), int(found[2])

    def answers(self, kind="4in4", source="A"):
        """Echo replies that the kernel of this host ever got. ping itself ends two round trips after its last request, so on a busy machine
        it may not see the last reply."""
        if kind[0] == "6":
            return int(re.search(r"^Icmp6InEchoReplies\s+(\d+)", self.host[source].run("cat", "/proc/net/snmp6").stdout, re.M)[1])
        names, values = re.findall(r"^Icmp: (.*)", self.host[source].run("cat", "/proc/net/snmp").stdout, re.M)
        return int(values.split()[names.split().index("InEchoReps")])

    def answered(self, before, count, kind="4in4", source="A"):
        """How many replies came since answers() was `before`; for the last of `count` it waits two seconds."""
        end = time.monotonic() + 2
        while (come := self.answers(kind, source) - before) < count and time.monotonic() < end:
            time.sleep(0.02)
        return come

    def tcp(self, kind, octets, timeout=30):
        """So many random octets from A to B, which sends them back: "whole" or "damaged"."""
        near, far = self.HOSTS["A"][kind], self.HOSTS["B"][kind]
        server = self.host["B"].start("python3", "-c", TCP_SERVER, far)
        try:
            return self.host["A"].run("python3", "-c", TCP_CLIENT, far, near, octets, timeout=timeout).stdout.strip()
        finally:
            server.kill()
            server.wait()

    def pings(self, kind="4in4", count=5, interval=0.01, size=56, source="A", timeout=10, *options):
        """Pings of which each must be answered; what the gateways counted meanwhile stands in the complaint."""
        before = {side: daemon.counters() for side, daemon in self.daemon.items()}
        answers = self.answers(kind, source)
        sent, _ = self.ping(kind, count, interval, size, source, timeout, *options)
        found = sent, self.answered(answers, count, kind, source)
        if found != (count, count):
            counted = {side: daemon.counters().since(before[side]) for side, daemon in self.daemon.items()}
            raise AssertionError(f"{found[1]} of {count} pings answered ({kind} from {source}); the gateways counted {counted}")
