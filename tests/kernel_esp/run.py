#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Linux kernel's own ESP and AH as the peer of a gateway: each algorithm, with 32-bit and with extended numbers, outside in both
families, from number 1 and across 2^32; BEET and transport mode with some. The gateway seals and the kernel opens, the kernel seals and the
gateway opens; each packet is compared octet by octet at the far end, and both sides count no error. In transport mode the two kernels ping
each other.

    red host -- gateway -- black, a bridge, wan -- Linux in qemu -- inside host

Called by ./dev test kernel-esp, which lays the unpacked kernel under /run/roots. Both hosts are this test, by raw frames."""

import hashlib
import itertools
import random
import struct
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kernel_esp.cases import COUNT, LATE, SHORT_END, cases  # noqa: E402
from tests.kernel_esp.peer import Peer  # noqa: E402
from tests.kernel_esp.transforms import ROWS, offered, words_of  # noqa: E402
from tests.rig import packets, records  # noqa: E402
from tests.rig.change import Change  # noqa: E402
from tests.rig.guest import ROOTS  # noqa: E402
from tests.rig.topology import Single  # noqa: E402
from tests.rig.wire import ethernet  # noqa: E402

WINDOW = 128  # the kernel's
SIZES = [*range(90, 106), 46, 576, 1000, 1280, 1388, 1389]  # octets inside: every length of padding; all fit
INSIDE = {4: "10.99.0.1", 6: "2001:db8:99::1"}  # of the guest, towards the host behind it
INSIDE_HOST = {4: "10.99.0.2", 6: "2001:db8:99::2"}
PEER_MACS = {"wan": "02:00:00:00:00:11", "inside": "02:00:00:00:00:12"}


# ping(8) waits for its last answers twice as long as the slowest took so far, which is not long enough beside other work.
PING = """
import os, socket, struct, sys, time
there, count, octets, patience = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
ipv6 = ":" in there
line = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_RAW, socket.getprotobyname("ipv6-icmp" if ipv6 else "icmp"))
line.connect((there, 0))
mark = os.getpid() & 0xffff
for number in range(count):
    message = struct.pack("!BBHHH", 128 if ipv6 else 8, 0, 0, mark, number) + bytes(octets)
    words = sum(struct.unpack(f"!{len(message) // 2}H", message[:len(message) // 2 * 2])) + (message[-1] << 8 if len(message) % 2 else 0)
    words = (words & 0xffff) + (words >> 16)
    line.send(message[:2] + struct.pack("!H", ~(words + (words >> 16)) & 0xffff) + message[4:])
    time.sleep(0.002)
answers, end = set(), time.monotonic() + patience
while len(answers) < count and (left := end - time.monotonic()) > 0:
    line.settimeout(left)
    try:
        packet = line.recv(65536)
    except TimeoutError:
        break
    kind, _, _, whose, number = struct.unpack_from("!BBHHH", packet, 0 if ipv6 else 20)
    if kind == (129 if ipv6 else 0) and whose == mark:
        answers.add(number)
print(len(answers))
"""


def one_hop_less(packet):
    """The packet as a router leaves it."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    header = packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + b"\0\0" + packet[12:20]
    return header[:10] + struct.pack("!H", packets.checksum(header)) + header[12:] + packet[20:]


def number_of(frame, spi):
    """The sequence number of a frame with ESP or AH of this SPI, else None."""
    packet = packets.packet_of(frame)
    if packet is None or (protocol := packets.Read(packet).protocol) not in (packets.ESP, packets.AH):
        return None
    found, number = struct.unpack_from("!II", packets.Read(packet).payload, 4 if protocol == packets.AH else 0)
    return number if found == spi else None


def comparable(case, packet):
    """What of a packet must come over: BEET leaves the flow label, and between families what only one of them has."""
    if case.mode != "beet":
        return packet
    if packet[0] >> 4 == 6:
        return struct.pack("!I", struct.unpack_from("!I", packet)[0] & 0xFFF00000) + packet[4:7] + packet[7 if case.outer == 6 else 8 :]
    return packet if case.outer == 4 else packet[:4] + packet[9:10] + packet[12:]


class World(Single):
    """A Single, whose peer is the guest: its black port is bridged to one link of it, and the test holds the other."""

    def __init__(self, wanted):
        super().__init__(known=False)
        self.cases = wanted
        self.peer = None
        self.places = {}  # (name, direction) -> which of the gateway's SAs
        self.captured = {}  # (case, outwards) -> its frames on the wan
        self.connections = {case: self.connection(case.name, case.outer, case.number, algorithm=case.algorithm, esn=case.extended,
                                                  remote=self.peer_end(case), local_networks=self.near(case), remote_networks=self.beyond_peer(case),
                                                  more={"mode": case.mode, "security-protocol": case.protocol}) for case in wanted}
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
        self.gw.ip("address", "add", "192.0.3.1/24", "dev", "black")  # the way to the own peers beyond 192.0.2.255
        for case in self.talkers():
            self.gw.neighbour("black", case.own_peer(), PEER_MACS["wan"])

    def talkers(self):
        return [case for case in self.cases if case.mode == "transport"]

    def peer_end(self, case):
        return case.own_peer() if case.mode == "transport" else self.PEER[case.outer]

    def near(self, case):
        """What a connection protects on our side, and on the kernel's."""
        if case.mode == "transport":
            return [self.LOCAL[case.outer]]
        return [self.HOST[case.inner]] if case.inner else list(self.RED_NETWORK.values())

    def beyond_peer(self, case):
        if case.mode == "transport":
            return [case.own_peer()]
        return [case.far(case.inner)] if case.inner else list(case.networks().values())

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
        for case in self.talkers():
            yield f"address add {case.own_peer()}/{32 if case.outer == 4 else 128} dev eth0{' nodad' if case.outer == 6 else ''}"
        for family in (4, 6):
            yield f"route add {self.FAR_NETWORK[family]} via {INSIDE_HOST[family]}"
            yield f"route add {self.RED_NETWORK[family]} via {self.LOCAL[family]}"

    def _xfrm(self, case):
        """The kernel's SAs and policies of a case."""
        connection = self.connections[case]
        here, there = self.peer_end(case), self.LOCAL[case.outer]
        flags = f"flag af-unspec{' esn' if case.extended else ''}{' align4' if case.protocol == 'ah' else ''}"
        near, far = self.near(case), self.beyond_peer(case)
        for source, destination, spi, key, inside in ((here, there, connection.spi_in, connection.key_in, (far, near)),
                                                      (there, here, connection.spi_out, connection.key_out, (near, far))):
            ends = f" sel src {inside[0][0]} dst {inside[1][0]}" if case.mode == "beet" else ""
            yield (f"xfrm state add src {source} dst {destination} proto {case.protocol} spi {spi:#x} reqid {case.number} mode {case.mode} "
                   f"replay-window {WINDOW} {flags} replay-seq {case.first} replay-oseq {case.first} "
                   f"{words_of(connection.row, key, case.protocol)}{ends}")
        template = f"proto {case.protocol} reqid {case.number} mode {case.mode}"
        for ours, theirs in zip(near, far):
            yield f"xfrm policy add src {theirs} dst {ours} dir out tmpl src {here} dst {there} {template}"
            for direction in ("in", "fwd"):
                yield f"xfrm policy add src {ours} dst {theirs} dir {direction} tmpl src {there} dst {here} {template}"

    # Packets

    def inner(self, case, outwards):
        """COUNT packets of both families and many sizes, no two equal."""
        for number in range(COUNT):
            family = case.families[number % len(case.families)]
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
        tap, ends = (self.inside, {case.far(family) for family in case.families}) if outwards else (self.red, set(self.HOST.values()))

        def wanted(frame):
            packet = packets.packet_of(frame)
            return packet is not None and packets.Read(packet).destination in ends

        found = tap.collect(case.passing, wanted, timeout=20)
        return [packets.packet_of(frame) for frame in found + tap.collect(1, wanted, timeout=0.05)]

    def on_the_wire(self, case, outwards):
        """Sequence numbers of the case's ESP frames that passed the wan."""
        connection = self.connections[case]
        tap, spi = (self.black, connection.spi_out) if outwards else (self.wan, connection.spi_in)
        frames = tap.collect(2 * COUNT, lambda frame: number_of(frame, spi) is not None, timeout=0)
        self.captured[case, outwards] = frames
        return [number_of(frame, spi) for frame in frames]

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


def talk(world, case):
    """Transport mode: our kernel pings the other, in three sizes."""
    world.drain()
    answered, each, missing = 0, COUNT // 3, COUNT - case.passing
    patience = 0.5 if missing else 10  # for the last answer, where one must come
    with Change(world.daemon) as change:
        for size in (16, 100 + case.number % 16, 1300):
            answered += int(world.gw.run("python3", "-c", PING, case.own_peer(), each, size, patience, timeout=30).stdout)
        faults = {outwards: [] for outwards in (True, False)}
        try:
            change.expect({"sequence_exhausted": missing} if missing else {})
        except AssertionError as wrong:
            faults[True].append(str(wrong))
    for outwards in (True, False):
        if answered != case.passing:
            faults[outwards].append(f"{answered} of {case.passing} pings were answered")
        faults[outwards] += numbered(world, case, outwards)
        faults[outwards] += counted(world, case, outwards)
    if risen := world.peer.errors_since():
        faults[False].append(f"the kernel counted {risen}")
    return faults


def compared(case, sent, come):
    wanted = [comparable(case, one_hop_less(one_hop_less(packet))) for packet in sent[: case.passing]]
    come = [comparable(case, packet) for packet in come]
    if sorted(come) != sorted(wanted):
        yield f"{len(come)} packets came, {len([packet for packet in come if packet in wanted])} of {len(wanted)} as they should be"


def numbered(world, case, outwards):
    numbers = world.on_the_wire(case, outwards)
    if sorted(numbers) != sorted((case.first + 1 + i) & SHORT_END for i in range(case.passing)):
        yield f"the numbers on the wire are {numbers}"


def counted(world, case, outwards):
    """What both sides' SAs say of themselves after a case."""
    connection = world.connections[case]
    here, there = world.peer_end(case), world.LOCAL[case.outer]
    last = case.first + case.passing
    ends = (there, here, connection.spi_out) if outwards else (here, there, connection.spi_in)
    theirs, accepted, given = world.peer.sa(*ends, case.protocol)
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
        for group, its in itertools.groupby(wanted, lambda case: case.group):
            before = len(score.failed)
            for case in its:
                for outwards, faults in (talk if case.mode == "transport" else both_ways)(world, case).items():
                    score(f"{case.name}: {'we seal' if outwards else 'we open'}", faults)
            print(f"  {'FAIL' if len(score.failed) > before else 'ok  '} {group}", flush=True)
        for name, faults in controls(world):
            score(name, faults)
    for name in score.failed:
        print(f"failed: {name}")
    print(f"  {time.monotonic() - start:.0f} s")
    print(f"{score.passed} passed, {len(score.failed)} failed")
    return 1 if score.failed else 0


if __name__ == "__main__":
    sys.exit(main())
