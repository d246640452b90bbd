#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Linux kernel's own ESP as the peer of a gateway: each algorithm, with 32-bit and with extended numbers, outside in both families, from
number 1 and across 2^32. The gateway seals and the kernel opens, the kernel seals and the gateway opens; each packet is compared octet by
octet at the far end, and both sides count no error.

    red host -- gateway -- black, a bridge, wan -- Linux in qemu -- inside host

Called by ./dev test kernel-esp, which lays the unpacked kernel under /run/roots. Both hosts are this test, by raw frames."""

import hashlib
import ipaddress
import itertools
import random
import struct
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kernel_esp.peer import Peer  # noqa: E402
from tests.kernel_esp.transforms import ROWS, offered, words_of  # noqa: E402
from tests.rig import packets, records  # noqa: E402
from tests.rig.change import Change  # noqa: E402
from tests.rig.guest import ROOTS  # noqa: E402
from tests.rig.topology import Single  # noqa: E402
from tests.rig.wire import ethernet  # noqa: E402

COUNT = 24  # packets of a case each way; the latter half lies beyond 2^32 in a case that begins before it
SHORT_END = (1 << 32) - 1
LATE = SHORT_END - COUNT // 2  # the number that counts as the last one before such a case
WINDOW = 128  # the kernel's
SIZES = [*range(90, 106), 46, 576, 1000, 1280, 1388, 1389]  # octets inside: every length of padding; all fit
INSIDE = {4: "10.99.0.1", 6: "2001:db8:99::1"}  # of the guest, towards the host behind it
INSIDE_HOST = {4: "10.99.0.2", 6: "2001:db8:99::2"}
PEER_MACS = {"wan": "02:00:00:00:00:11", "inside": "02:00:00:00:00:12"}


@dataclass(frozen=True)
class Case:
    number: int
    algorithm: str
    extended: bool
    outer: int
    late: bool

    @property
    def name(self):
        return f"{self.algorithm}-{'esn' if self.extended else '32'}-over{self.outer}{'-late' if self.late else ''}"

    @property
    def first(self):
        """The number before the first packet's."""
        return LATE if self.late else 0

    @property
    def passing(self):
        """Packets of COUNT that get a number: a sender of 32 bits must stop at the end (RFC 4303 3.3.3)."""
        return COUNT if self.extended or not self.late else SHORT_END - LATE

    def networks(self):
        return [f"10.2.{self.number // 16}.{self.number % 16 * 16}/28", f"2001:db8:2:{self.number:x}::/64"]

    def far(self, family):
        """The host behind the kernel in this case's network."""
        return str(ipaddress.ip_network(self.networks()[family == 6])[9])


def cases():
    known = [name for name in offered() if ROWS.get(name)]
    product = itertools.product(known, (False, True), (4, 6), (False, True))
    return [Case(number, *row) for number, row in enumerate(product, 1)]


def one_hop_less(packet):
    """The packet as a router leaves it."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    header = packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + b"\0\0" + packet[12:20]
    return header[:10] + struct.pack("!H", packets.checksum(header)) + header[12:] + packet[20:]


def esp_number(frame, spi):
    """The sequence number of an ESP frame of this SPI, else None."""
    packet = packets.packet_of(frame)
    if packet is None or packets.Read(packet).protocol != packets.ESP:
        return None
    found, number = struct.unpack("!II", packets.Read(packet).payload[:8])
    return number if found == spi else None


class World(Single):
    """A Single, whose peer is the guest: its black port is bridged to one link of it, and the test holds the other."""

    def __init__(self, wanted):
        super().__init__(known=False)
        self.cases = wanted
        self.peer = None
        self.places = {}  # (name, direction) -> which of the gateway's SAs
        self.captured = {}  # (case, outwards) -> its frames on the wan
        self.connections = {case: self.connection(case.name, case.outer, case.number, algorithm=case.algorithm, esn=case.extended,
                                                  remote_networks=case.networks()) for case in wanted}
        for name in ("wan", "inside"):
            self.beyond.ip("tuntap", "add", name, "mode", "tap")
            self.beyond.ip("link", "set", name, "up")
        self.beyond.ip("link", "add", "bridge", "type", "bridge")
        for name in ("black", "wan"):
            self.beyond.ip("link", "set", name, "master", "bridge")
        self.beyond.ip("link", "set", "bridge", "up")
        self.wan, self.inside = self.tap(self.beyond, "wan"), self.tap(self.beyond, "inside")
        for family in (4, 6):
            self.gw.neighbour("black", self.PEER[family], PEER_MACS["wan"])

    def begin(self, root):
        self.start(list(self.connections.values()), start=False)
        self.daemon.create_marks()
        self._late_marks()
        self.daemon.start()
        self.door = records.Door(self.daemon.control)
        self.peer = Peer(self.beyond, root, [(PEER_MACS[name], name) for name in ("wan", "inside")],
                         {"links": "\n".join(self._links()), "xfrm": "\n".join(itertools.chain(*map(self._xfrm, self.cases)))})
        self.peer.run("for file in all default; do echo 0 >/proc/sys/net/ipv4/conf/$file/rp_filter; done; "
                      "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        self.peer.run("ip -batch /etc/links && ip -batch /etc/xfrm")

    def _late_marks(self):
        """As if all numbers up to LATE had been used before a reboot: sending and receiving go on behind them."""
        path = self.daemon.state_directory / "marks"
        lines = path.read_text().splitlines()[:-1]
        for case in filter(lambda one: one.late, self.cases):
            for direction in ("inbound", "outbound"):
                place, = (i for i, line in enumerate(lines) if line.startswith(f"{direction} ") and line.endswith(f" {case.name}"))
                lines[place] = f"{direction} {LATE} {lines[place].split(' ', 2)[2]}"
        text = "\n".join(lines) + "\n"
        path.write_text(f"{text}sha256 {hashlib.sha256(text.encode()).hexdigest()}\n")

    def _links(self):
        for device, addresses, tap in (("eth0", self.PEER, None), ("eth1", INSIDE, self.inside)):
            yield f"link set {device} up"
            for family in (4, 6):
                yield f"address add {addresses[family]}/{24 if family == 4 else 64} dev {device}{' nodad' if family == 6 else ''}"
                neighbour = self.LOCAL[family] if tap is None else INSIDE_HOST[family]
                yield f"neighbour replace {neighbour} lladdr {self.gw_black_mac if tap is None else tap.mac} nud permanent dev {device}"
        for family in (4, 6):
            yield f"route add {self.FAR_NETWORK[family]} via {INSIDE_HOST[family]}"
            yield f"route add {self.RED_NETWORK[family]} via {self.LOCAL[family]}"

    def _xfrm(self, case):
        """The kernel's SAs and policies of a case."""
        connection = self.connections[case]
        here, there = self.PEER[case.outer], self.LOCAL[case.outer]
        flags = f"flag af-unspec{' esn' if case.extended else ''}"
        for source, destination, spi, key in ((here, there, connection.spi_in, connection.key_in), (there, here, connection.spi_out, connection.key_out)):
            yield (f"xfrm state add src {source} dst {destination} proto esp spi {spi:#x} reqid {case.number} mode tunnel replay-window {WINDOW} "
                   f"{flags} replay-seq {case.first} replay-oseq {case.first} {words_of(connection.row, key)}")
        for family, network in zip((4, 6), case.networks()):
            near = self.RED_NETWORK[family]
            template = f"proto esp reqid {case.number} mode tunnel"
            yield f"xfrm policy add src {network} dst {near} dir out tmpl src {here} dst {there} {template}"
            for direction in ("in", "fwd"):
                yield f"xfrm policy add src {near} dst {network} dir {direction} tmpl src {there} dst {here} {template}"

    # Packets

    def inner(self, case, outwards):
        """COUNT packets of both families and many sizes, no two equal."""
        for number in range(COUNT):
            family = (4, 6)[number % 2]
            ends = (self.HOST[family], case.far(family)) if outwards else (case.far(family), self.HOST[family])
            octets = max(SIZES[(number + case.number) % len(SIZES)], 50 if family == 6 else 30) - (28 if family == 4 else 48)
            contents = random.Random(f"{case.name} {outwards} {number}").randbytes(octets)
            yield packets.udp(*ends, contents, ttl=64, tos=number << 2)

    def send(self, packet, outwards):
        if outwards:
            self.from_red(packet)
        else:
            self.inside.send(ethernet(PEER_MACS["inside"], self.inside.mac, packet))

    def come(self, case, outwards):
        """Packets of a case at the far end: as many as should come, and what comes within a moment after them."""
        tap, ends = (self.inside, {case.far(family) for family in (4, 6)}) if outwards else (self.red, set(self.HOST.values()))

        def wanted(frame):
            packet = packets.packet_of(frame)
            return packet is not None and packets.Read(packet).destination in ends

        found = tap.collect(case.passing, wanted, timeout=20)
        return [packets.packet_of(frame) for frame in found + tap.collect(1, wanted, timeout=0.05)]

    def on_the_wire(self, case, outwards):
        """Sequence numbers of the case's ESP frames that passed the wan."""
        connection = self.connections[case]
        tap, spi = (self.black, connection.spi_out) if outwards else (self.wan, connection.spi_in)
        frames = tap.collect(2 * COUNT, lambda frame: esp_number(frame, spi) is not None, timeout=0)
        self.captured[case, outwards] = frames
        return [esp_number(frame, spi) for frame in frames]

    def row(self, case, direction):
        """What the gateway says of an SA."""
        if not self.places:
            self.places = {(row["name"], row["direction"]): place for place, row in enumerate(self.daemon.ask("sa")["sas"])}
        return self.door.ask("Sas", first=self.places[case.name, direction])["sas"][0]

    def drain(self):
        for tap in self.taps:
            tap.drain()

    def close(self):
        if self.peer:
            self.peer.close()
        super().close()


# What is tested: each gives a sentence for what is wrong.


def both_ways(world, case):
    """A case, both directions at once: outwards -> what is wrong."""
    world.drain()
    sent = {outwards: list(world.inner(case, outwards)) for outwards in (True, False)}
    with Change(world.daemon) as change:
        for one, other in zip(sent[True], sent[False]):
            world.send(one, True)
            world.send(other, False)
        faults = {outwards: list(compared(case, sent[outwards], world.come(case, outwards))) for outwards in (True, False)}
        missing = COUNT - case.passing
        try:
            change.expect({"sequence_exhausted": missing} if missing else {})
        except AssertionError as wrong:
            faults[True].append(str(wrong))
    for outwards in (True, False):
        faults[outwards] += numbered(world, case, outwards)
        faults[outwards] += counted(world, case, outwards)
    refused = {"XfrmOutStateSeqError": missing} if missing else {}
    if (risen := world.peer.errors_since()) != refused:
        faults[False].append(f"the kernel counted {risen} instead of {refused}")
    return faults


def compared(case, sent, come):
    wanted = [one_hop_less(one_hop_less(packet)) for packet in sent[: case.passing]]
    if sorted(come) != sorted(wanted):
        yield f"{len(come)} packets came, {len([packet for packet in come if packet in wanted])} of {len(wanted)} as they should be"


def numbered(world, case, outwards):
    numbers = world.on_the_wire(case, outwards)
    if sorted(numbers) != sorted((case.first + 1 + i) & SHORT_END for i in range(case.passing)):
        yield f"the numbers on the wire are {numbers}"


def counted(world, case, outwards):
    """What both sides' SAs say of themselves after a case."""
    connection = world.connections[case]
    here, there = world.PEER[case.outer], world.LOCAL[case.outer]
    last = case.first + case.passing
    ends = (there, here, connection.spi_out) if outwards else (here, there, connection.spi_in)
    theirs, accepted, given = world.peer.sa(*ends)
    if (theirs, accepted if outwards else given) != (case.passing, last):
        yield f"the kernel's SA counts {theirs} packets, number {accepted if outwards else given:#x} instead of {case.passing}, {last:#x}"
    row = world.row(case, "outbound" if outwards else "inbound")
    ours = {name: row[name] for name in ("packets", "sequence", "errors")}
    wanted = {"packets": case.passing, "sequence": last, "errors": COUNT - case.passing if outwards else 0}
    if ours != wanted:
        yield f"the gateway's SA counts {ours} instead of {wanted}"


def controls(world):
    """The test must see what is wrong: replays and a wrong key are refused by both, with the counters that say so."""
    case = next(one for one in world.cases if one.extended and not one.late)
    connection = world.connections[case]
    for outwards, ours, theirs in ((True, {}, {"XfrmInStateSeqError": COUNT}), (False, {"replayed": COUNT}, {})):
        yield f"replays {'to the kernel' if outwards else 'to the gateway'}", refused(world, world.captured[case, outwards], outwards, ours, theirs)
    for outwards, sa in ((True, connection.sent()), (False, connection.taken())):
        forged = replace(sa, key=bytes(len(sa.key))).seal(next(world.inner(case, outwards)), COUNT + 1)
        macs = (PEER_MACS["wan"], world.gw_black_mac) if outwards else (world.gw_black_mac, PEER_MACS["wan"])
        ours, theirs = ({}, {"XfrmInStateProtoError": 1}) if outwards else ({"bad_icv": 1}, {})
        yield f"a wrong key {'to the kernel' if outwards else 'to the gateway'}", refused(world, [ethernet(*macs, forged)], outwards, ours, theirs)


def refused(world, frames, outwards, ours, theirs):
    """Frames on the wan of which nothing may come out."""
    world.drain()
    with Change(world.daemon) as change:
        for frame in frames:
            (world.wan if outwards else world.black).send(frame)
        if come := (world.inside if outwards else world.red).collect(1, lambda frame: packets.packet_of(frame) and b"\x0f\xa0\x13\x88" in frame, timeout=0.5):
            yield f"opened: {come[0].hex()}"
        change.expect(ours)
    if (risen := world.peer.errors_since()) != theirs:
        yield f"the kernel counted {risen} instead of {theirs}"


class Score:
    """Counts cases, and says one line for each algorithm."""

    def __init__(self):
        self.passed, self.failed = 0, []

    def __call__(self, name, faults):
        try:
            found = list(faults)
        except AssertionError as wrong:  # of Change
            found = [str(wrong)]
        if found:
            self.failed.append(name)
            print(f"  FAIL {name}: " + "; ".join(found), flush=True)
        else:
            self.passed += 1


def main():
    start = time.monotonic()
    score = Score()
    unknown = [name for name in offered() if name not in ROWS]
    score("the kernel's name of every algorithm is known", [f"tests/kernel_esp/transforms.py has no row for {', '.join(unknown)}"] if unknown else [])
    root, = ROOTS.iterdir()
    wanted = cases()
    with World(wanted) as world:
        world.begin(root)
        print(f"  {world.peer.run('uname -r').strip()} is up after {time.monotonic() - start:.0f} s, {len(wanted)} SA pairs", flush=True)
        for algorithm, its in itertools.groupby(wanted, lambda case: case.algorithm):
            before = len(score.failed)
            for case in its:
                for outwards, faults in both_ways(world, case).items():
                    score(f"{case.name}: {'we seal' if outwards else 'we open'}", faults)
            print(f"  {'FAIL' if len(score.failed) > before else 'ok  '} {algorithm}", flush=True)
        for name, faults in controls(world):
            score(name, faults)
    for name in score.failed:
        print(f"failed: {name}")
    print(f"  {time.monotonic() - start:.0f} s")
    print(f"{score.passed} passed, {len(score.failed)} failed")
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main())
