# SPDX-License-Identifier: Apache-2.0
"""Two gateways back to back, and soak-traffic in place of the hosts and of the link between the gateways."""

import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.rig import config, records
from tests.rig.daemon import BIN
from tests.rig.net import RigError, until, veth
from tests.rig.topology import Rig

WINDOW = 512  # packets of a direction that may be on their way
FRAMES = 16384  # chunks of a gateway's packet memory
KINDS = (("gcm", "aes-128-gcm", 4), ("strong", "aes-256-gcm", 6), ("chacha", "chacha20-poly1305", 6), ("cbc", "aes-128-cbc-hmac-sha2-256", 4))
GARBAGE = ("unknown_spi", "bad_icv", "replayed", "too_old")  # reasons by which it is dropped


class Traffic:
    """The process, and what it says."""

    def __init__(self, links):
        self.process = subprocess.Popen([BIN / "soak-traffic", str(WINDOW), *links], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def report(self):
        self.tell("report")
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise RigError("soak-traffic says nothing")
        return {name: int(value) for name, value in (word.split("=") for word in line.split())}

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Seen:
    """A gateway's process, looked at from outside."""

    resident: int  # KiB
    descriptors: int


class World(Rig):
    """hostA - gwA - wan - gwB - hostB; host and wan namespaces hold only the far ends of links."""

    BLACK = {"A": {4: "192.0.2.1", 6: "2001:db8:a::1"}, "B": {4: "192.0.2.2", 6: "2001:db8:a::2"}}

    def __init__(self):
        super().__init__("soak")
        self.gw, self.host, self.daemon, self.doors = {}, {}, {}, {}
        self.traffic = None
        self.child = 0
        self.wan = self.space("wan", ipv6=False)
        for side in "AB":
            self.gw[side], self.host[side] = self.space(f"gw{side}"), self.space(f"host{side}", ipv6=False)
            veth(self.gw[side], "red", self.host[side], "net")
            veth(self.gw[side], "black", self.wan, f"to{side}")
            self._addresses(side)
        self.connections = {side: [self._connection(side, number, *kind) for number, kind in enumerate(KINDS, 1)] for side in "AB"}

    def _network(self, side, number, family):
        here = 1 if side == "A" else 2
        return f"10.{here}.{number}.0/24" if family == 4 else f"2001:db8:{here}{number}::/64"

    def _host(self, side, number, family):
        return self._network(side, number, family).split("/")[0].removesuffix(".0").removesuffix("::") + (".2" if family == 4 else "::2")

    def _addresses(self, side):
        gateway, other = self.gw[side], "B" if side == "A" else "A"
        gateway.address("black", f"{self.BLACK[side][4]}/24", f"{self.BLACK[side][6]}/64")
        far = self.host[side].mac("net")
        for number in range(1, len(KINDS) + 1):
            for family in (4, 6):
                bits = 24 if family == 4 else 64
                own = self._host(side, number, family)[:-1] + "1"
                gateway.address("red", f"{own}/{bits}")
                gateway.neighbour("red", self._host(side, number, family), far)
        for family in (4, 6):
            gateway.ip("route", "add", "default", "via", self.BLACK[other][family])

    def _connection(self, side, number, name, algorithm, outer):
        far = "B" if side == "A" else "A"
        made = config.Connection(name, self.BLACK["A"][outer], self.BLACK["B"][outer], [self._network("A", number, family) for family in (4, 6)],
                                 [self._network("B", number, family) for family in (4, 6)], 0, 0, algorithm=algorithm)
        return made if far == "B" else made.mirrored()

    def begin(self):
        for side in "AB":
            gateway = self.gateway(self.gw[side], f"gw{side}", self._text(0))
            self.daemon[side] = gateway.first_start()
            self.doors[side] = records.Door(gateway.control)
        self.rekey()
        links = [f"{space.path}:{name}" for space, name in ((self.host["A"], "net"), (self.wan, "toA"), (self.wan, "toB"), (self.host["B"], "net"))]
        self.traffic = Traffic(links)
        for direction, (near, far) in enumerate(("AB", "BA")):
            for number in range(1, len(KINDS) + 1):
                for family in (4, 6):
                    ends = (self._host(side, number, family) for side in (near, far))
                    self.traffic.tell(f"flow {direction} {' '.join(ends)} {self.gw[near].mac('red')}")

    # What is done to the gateways

    def _text(self, turn):
        """The configuration; with every turn other policies, none of which speaks of what is sent."""
        others = {f"other{number}": {"action": ("bypass", "discard")[(turn + number) % 2], "local-networks": [f"10.200.{turn % 200}.0/24"],
                                     "remote-networks": [f"10.201.{number}.0/24"], "priority": 1 + number} for number in range(1 + turn % 5)}
        return lambda gateway: config.render(gateway.settings(frames=FRAMES), {"black": {"role": "black"}, "red": {"role": "red"}}, policies=others)

    def reload(self, turn):
        for gateway in self.daemon.values():
            gateway.configure(self._text(turn))
            gateway.sallyport("reload", "--socket", gateway.control, timeout=30)

    def rekey(self):
        """New SAs for all connections on both sides: first all that receive, then all that send, then those before drain away."""
        self.child += 1
        spis = {side: door.reserve(len(KINDS)) for side, door in self.doors.items()}
        made = {}
        for side, other in ("AB", "BA"):
            made[side] = [records.pair(connection, self.child, spis[side][i], spis[other][i], seed=f"{connection.label or connection.name} {self.seed}")
                          for i, connection in enumerate(self.connections[side])]
        first = self.child == 1
        for side, door in self.doors.items():
            policies = [records.Policy(sas[0].name, sas[0].selectors, sa=sas[0].name) for sas in made[side]] if first else []
            door.install(install=[one for sas in made[side] for one in (sas if first else sas[:1])], policies=policies)
        if first:
            return
        for side, door in self.doors.items():
            door.install(install=[sas[1] for sas in made[side]])
        for side, door in self.doors.items():
            door.install(remove=[records.Removal(connection.name, records.INBOUND, self.child - 1, drain=2000) for connection in self.connections[side]])

    seed = os.urandom(8).hex()  # no key seals twice

    def links(self):
        return [(self.wan, "toA"), (self.host["B"], "net"), (self.wan, "toB"), (self.host["A"], "net")]

    def link(self, which, up):
        space, name = self.links()[which % 4]
        space.ip("link", "set", name, "up" if up else "down")

    # What is seen

    def seen(self, side):
        pid = self.daemon[side].process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        return Seen(int(status.split("VmRSS:")[1].split()[0]), len(os.listdir(f"/proc/{pid}/fd")))

    def refused(self, side, port):
        """Frames that the interface of a port did not send."""
        return self.gw[side].json("-s", "link", "show", "dev", port)[0]["stats64"]["tx"]["dropped"]

    def settled(self):
        """Waits until nothing is on its way; the last report."""
        self.traffic.tell("pause")
        until(lambda: not (report := self.traffic.report())["ab.outstanding"] and not report["ba.outstanding"], 30, "all packets have come or are lost", 0.2)
        time.sleep(1)
        return self.traffic.report()

    def close(self):
        if self.traffic:
            self.traffic.close()
        for door in self.doors.values():
            door.close()
        super().close()
