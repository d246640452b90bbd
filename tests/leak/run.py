#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""leak/run.py FRAMES: so many random frames from each side of a gateway, in each state that it can be in. None may go in clear where a policy
protects it, and none from one VPN into another. At the end one lock is opened on purpose, which must be seen.

The kernel of the gateway's machine forwards all the while, so that only the locks stand between the sides."""

import contextlib
import ipaddress
import random
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.leak.frames import Maker, marks  # noqa: E402
from tests.rig import esp, packets  # noqa: E402
from tests.rig.daemon import BIN  # noqa: E402
from tests.rig.net import RigError  # noqa: E402
from tests.rig.topology import Single  # noqa: E402

BURST = 64  # frames between two looks at what came out
BYPASS = {4: "198.51.100.0/24", 6: "2001:db8:b::/64"}  # goes in clear by a policy, in the VPN of the first red port only

# The sides, by the letters of their marks.
FIRST, SECOND = "A", "B"           # in clear from the red ports, two VPNs with equal addresses
WAN = "W"                          # in clear from the black port
SEALED_FIRST, SEALED_SECOND = "S", "T"  # from the peer, sealed for one VPN and for the other
OWN = "G"                          # of the gateway's own kernel, to protected networks


def first(network):
    return ipaddress.ip_network(network).network_address.packed


@dataclass
class Seen:
    frames: int = 0
    clear: int = 0
    crossed: int = 0
    sealed: int = 0  # ESP of ours on the wan
    opened: int = 0  # marks of sealed packets on the red ports
    examples: list = field(default_factory=list)

    def note(self, what, frame):
        setattr(self, what, getattr(self, what) + 1)
        if len(self.examples) < 5:
            self.examples.append(f"{what}: {sorted(marks(frame))} {frame.hex()}")


class World(Single):
    """Two connections, one for each red port, with the same networks; one bypass entry."""

    def __init__(self, seed):
        super().__init__(reds=2)
        self.detached = False  # then the kernel, which knows of no VPNs, sends errors where a forged source says
        self.gw.forward()
        self.random = random.Random(seed)
        self.maker = Maker(self.random)
        self.peers = {}
        self.next_number = {}
        self.addresses = {}
        for family in (4, 6):
            self.addresses[family] = {"red": first(self.RED_NETWORK[family]), "far": first(self.FAR_NETWORK[family]),
                                      "bypass": first(BYPASS[family]), "black": packets.address(self.LOCAL[family])[:-1] + b"\0"}
        self.bypass = {family: ipaddress.ip_network(BYPASS[family]) for family in (4, 6)}
        self.own = {*self.LOCAL.values(), *self.RED.values()}
        self.inside = {family: ipaddress.ip_network(self.RED_NETWORK[family]) for family in (4, 6)}
        self.senders = self._own_sockets()

    def _own_sockets(self):
        """Of the gateway's machine itself: with the source that the kernel chooses, and from the red address."""
        made = {4: [], 6: []}
        with self.gw.entered():
            for family, kind in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                for source in (None, self.RED[family]):
                    one = socket.socket(kind, socket.SOCK_DGRAM)
                    one.setblocking(False)
                    if source:
                        one.bind((source, 0))
                    made[family].append(one)
        return made

    def begin(self, **more):
        made = [self.connection("first", 4, 1), self.connection("second", 4, 2, more={"vpn": "vpn2"})]
        policies = {"past": {"action": "bypass", "local-networks": list(self.RED_NETWORK.values()), "remote-networks": list(BYPASS.values()),
                             "priority": 1}}
        self.peers = {SEALED_FIRST: made[0].taken(), SEALED_SECOND: made[1].taken()}
        self.sent = {made[0].spi_out: (made[0].sent(), {FIRST, OWN}), made[1].spi_out: (made[1].sent(), {SECOND, OWN})}
        self.next_number = dict.fromkeys(self.peers, 1)
        return self.start(made, policies=policies, **more)

    # What goes in

    def one(self, side):
        """Sends one random frame from that side."""
        family = self.random.choice((4, 6))
        if side == OWN:
            return self._own(family)
        if side in self.peers:
            return self._sealed(side, family)
        places = self.addresses[family]
        here, there = (("red", "far"), ("far", "red"))[side == WAN]
        source = self._address(family, here, places)
        destination = self._address(family, there, places)
        packet = self.maker.packet(family, source, destination, side)
        if side == WAN:
            self.black.send(self.maker.frame(self.gw_black_mac, self.black.mac, packet))
        else:
            name = "red" if side == FIRST else "red2"
            self.reds[name].send(self.maker.frame(self.macs[name], self.reds[name].mac, packet))

    def _address(self, family, usual, places):
        chance = self.random.random()
        if chance < 0.75:
            return self.maker.near(places[usual], family)
        if chance < 0.95:
            return self.maker.near(places[self.random.choice(tuple(places))], family)
        return self.maker.any(family)

    def _sealed(self, side, family):
        places = self.addresses[family]
        inner = self.maker.packet(family, self._address(family, "far", places), self._address(family, "red", places), side)
        number = self.next_number[side]
        self.next_number[side] += 1
        packet = self.peers[side].seal(inner, number)
        self.black.send(self.maker.frame(self.gw_black_mac, self.black.mac, packet))

    def _own(self, family):
        with contextlib.suppress(OSError):  # no route, a firewall, a full queue: nothing is sent, then
            self.random.choice(self.senders[family]).sendto(self.maker.mark(OWN), (self.FAR[family], 5000))

    # What comes out

    def look(self, seen):
        while (frame := self.black._next()) is not None:
            self._on_wan(frame, seen)
        for name, tap in self.reds.items():
            while (frame := tap._next()) is not None:
                self._on_red(name, frame, seen)

    def _allowed(self, packet, inwards):
        """Does the bypass entry speak of it?"""
        read = packets.Read(packet)
        ends = [ipaddress.ip_address(end) for end in (read.source, read.destination)]
        far, near = ends if inwards else ends[::-1]
        return far in self.bypass[read.version] and near in self.inside[read.version]

    def _error(self, packet):
        """Is it an ICMP error of the gateway's own kernel, with the packet that it is about?"""
        read = packets.Read(packet)
        errors = {packets.ICMP: (3, 4, 5, 11, 12), packets.ICMP6: range(1, 128)}
        return read.source in self.own and len(read.payload) >= 28 and read.payload[0] in errors.get(read.protocol, ())

    def _answer(self, packet):
        """Is it such an error about a packet that was sent to the gateway itself, or of a kernel that is left to itself? It goes to whom the
        packet named as its source, and that may be forged."""
        if not self._error(packet):
            return False
        return self.detached or packets.Read(packets.Read(packet).payload[8:].ljust(40, b"\0")).destination in self.own

    def _on_wan(self, frame, seen):
        packet = packets.packet_of(frame)
        found = marks(frame)
        if found & {FIRST, SECOND, OWN}:
            if packet is not None and self._answer(packet):
                return
            if found != {FIRST} or packet is None or not self._allowed(packet, inwards=False):
                seen.note("clear", frame)
        elif packet is not None and packets.Read(packet).protocol == packets.ESP and packets.Read(packet).source in self.LOCAL.values():
            self._judge_sealed(frame, packet, seen)

    def _judge_sealed(self, frame, packet, seen):
        spi = int.from_bytes(packets.Read(packet).payload[:4], "big")
        sa, theirs = self.sent.get(spi, (None, set()))
        if sa is None:
            return
        seen.sealed += 1
        with contextlib.suppress(esp.BadIcv):  # a fragment of one
            if marks(sa.open(packet)[0]) - theirs - ({SEALED_FIRST} if FIRST in theirs else {SEALED_SECOND}):  # an ICMP error quotes
                seen.note("crossed", frame)

    def _on_red(self, name, frame, seen):
        found = marks(frame)
        own = {FIRST, SEALED_FIRST} if name == "red" else {SECOND, SEALED_SECOND}
        if WAN in found:
            packet = packets.packet_of(frame)
            if packet is not None and self._answer(packet):  # the source was forged; nothing is carried
                return
            if name != "red" or packet is None or not self._allowed(packet, inwards=True):
                seen.note("clear", frame)
        elif found - own - {OWN} and not (self.detached and self._answer(packets.packet_of(frame) or bytes(40))):
            seen.note("crossed", frame)
        seen.opened += bool(found & {SEALED_FIRST, SEALED_SECOND})

    def traffic(self, frames, seen, sides=(FIRST, SECOND, WAN, SEALED_FIRST, SEALED_SECOND, OWN)):
        self.macs = {name: self.gw.mac(name) for name in self.reds}
        for number in range(frames):
            self.one(sides[number % len(sides)])
            if number % BURST == BURST - 1:
                self.look(seen)
        seen.frames += frames
        self.settle(seen)

    def settle(self, seen):
        """Until nothing comes any more."""
        for tap in (self.black, *self.reds.values()):
            while (frame := tap.receive(lambda _: True, timeout=0.1)) is not None:
                (self._on_wan(frame, seen) if tap is self.black else self._on_red(tap.interface, frame, seen))
        self.look(seen)

    def guard(self):
        self.gw.run(BIN / "sallyport-gateway", "--guard", "--config", self.daemon.file, timeout=20)

    def detach(self):
        self.detached = True
        self.daemon.sallyport("detach", "--socket", self.daemon.control)
        self.daemon.process.wait(10)
        self.daemon.process = None

    def close(self):
        for sockets in self.senders.values():
            for one in sockets:
                one.close()
        super().close()


# The states: each gives what was seen, and whether traffic had to be carried.


def never_started(frames, seed):
    """Only the guard unit has run, since the machine booted."""
    with World(seed) as world:
        seen = Seen()
        world.begin(start=False)
        world.guard()
        world.traffic(frames, seen)
        return seen, False


def running(frames, seed):
    with World(seed) as world:
        seen = Seen()
        world.begin()
        world.traffic(frames, seen)
        return seen, True


def killed(frames, seed):
    with World(seed) as world:
        seen = Seen()
        world.begin()
        world.daemon.kill()
        world.traffic(frames, seen)
        return seen, False


def reloading(frames, seed):
    """The second connection comes and goes all the while."""
    with World(seed) as world:
        seen = Seen()
        world.begin()
        whole = world.daemon.file.read_text()
        sections = whole.split("[connection.")
        without = "[connection.".join(part for part in sections if not part.startswith("second")) + whole[whole.index("[policy."):]
        over, faults = threading.Event(), []

        def reload():
            texts = (without, whole)
            turn = 0
            while not over.is_set():
                world.daemon.file.write_text(texts[turn % 2])
                done = world.daemon.sallyport("reload", "--socket", world.daemon.control, check=False)
                if done.returncode != 0:
                    faults.append(done.stderr)
                turn += 1
            world.daemon.file.write_text(whole)

        thread = threading.Thread(target=reload)
        thread.start()
        try:
            world.traffic(frames, seen)
        finally:
            over.set()
            thread.join()
        if faults:
            raise RigError(f"reload: {faults[0]}")
        return seen, True


def adopted(frames, seed):
    """Killed under traffic, and taken over by the next, four times."""
    with World(seed) as world:
        seen = Seen()
        world.begin(holder=True)
        for _ in range(4):
            world.traffic(frames // 12, seen)
            world.daemon.kill()
            world.traffic(frames // 12, seen)
            world.daemon.start()
            world.traffic(frames // 4 - 2 * (frames // 12), seen)
        world.traffic(frames - seen.frames, seen)
        return seen, True


def detached(frames, seed):
    """The locks are open, and the machine, as is its default, forwards nothing. What it sends itself is its own affair then."""
    with World(seed) as world:
        seen = Seen()
        world.begin()
        world.gw.forward(False)
        world.detach()
        world.traffic(frames, seen, sides=(FIRST, SECOND, WAN, SEALED_FIRST, SEALED_SECOND))
        return seen, False


def opened(frames, seed):
    """On purpose: detached, and the kernel forwards."""
    with World(seed) as world:
        seen = Seen()
        world.begin()
        world.detach()
        world.traffic(min(frames, 2000), seen)
        return seen, False


STATES = {"never-started": never_started, "running": running, "killed": killed, "reloading": reloading, "adopted": adopted, "detached": detached}


def main():
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    passed, failed = 0, []
    for name, state in STATES.items():
        seen, carries = state(frames, seed)
        print(f"leak {name} frames={seen.frames} clear={seen.clear} crossed={seen.crossed}", flush=True)
        good = not seen.clear and not seen.crossed and seen.frames >= frames
        if carries and not (seen.sealed and seen.opened):
            good = False
            print(f"  nothing was carried: sealed={seen.sealed} opened={seen.opened}")
        for example in seen.examples:
            print(f"  {example}")
        passed, failed = passed + good, failed + ([] if good else [f"{name} (seed {seed})"])
    seen, _ = opened(frames, seed)
    print(f"opened on purpose frames={seen.frames} clear={seen.clear} crossed={seen.crossed}: {'seen' if seen.clear else 'NOT SEEN'}")
    passed, failed = passed + bool(seen.clear), failed + ([] if seen.clear else ["a lock opened on purpose was not seen"])
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
