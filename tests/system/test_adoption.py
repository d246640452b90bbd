# SPDX-License-Identifier: Apache-2.0
"""A gateway dies, and the next takes over its sockets and packet memory, which a holder kept in place of systemd: no frame is lost that came
while no process lived, and every chunk of the memory is found again, once."""

import collections
import random
import struct
import threading
import time

from tests.rig import packets
from tests.rig.net import until, veth
from tests.rig.topology import Pair, Single
from tests.rig.wire import Recorder, mac_octets

RING = 2048  # entries of a socket's rings
ADOPTED, AFRESH = "are taken over, with the frames that waited", "bound afresh"


def tunnel(rig, **options):
    rig.connections = {"tunnel": rig.connection()}
    rig.start(list(rig.connections.values()), holder=True, **options)
    return rig.connections["tunnel"]


def numbered(number):
    return struct.pack("!I", number) + b"in the clear"


def number_of(packet):
    """Of the UDP packet that carries it."""
    return struct.unpack_from("!I", packet, (20 if packet[0] >> 4 == 4 else 40) + 8)[0]


def accounted(daemon):
    """Every chunk is in one of its places, and none in anybody's hand; for a gateway through which nothing goes at the moment."""

    def all_there():
        chunks = daemon.ask("status")["chunks"]
        places = sum(count for place, count in chunks.items() if place != "all")
        return places == chunks["all"] and chunks["inHand"] == chunks["kept"] == chunks["transmitting"] == 0

    until(all_there, 5, "every chunk in its place")


def after(daemon, what, before=None):
    """Starts it again; what it said shows that it took over (or not)."""
    offset = len(daemon.said()) if before is None else before
    daemon.start()
    said = daemon.said()[offset:]
    assert said.count(what) == 1, said
    assert said.count(AFRESH if what == ADOPTED else ADOPTED) == 0, said
    return said


def passes(rig, sa, number):
    """A red packet leaves sealed."""
    rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], numbered(number)))
    frame = rig.black.receive(packets.is_esp)
    assert frame is not None and number_of(sa.open(packets.packet_of(frame))[0]) == number


def lost(daemon):
    """Frames that the kernel could not give to a socket."""
    values = daemon.counters().values
    return sum(value for (group, _, name), value in values.items() if group == "socket" and name in ("ring_full", "fill_empty"))


def test_no_frame_is_lost_while_no_process_lives():
    count = 2000
    with Single() as rig:
        sa = tunnel(rig, settings={"frames": 16384}).sent()
        passes(rig, sa, 7)
        rig.daemon.kill()
        for number in range(count):
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], numbered(number)))
        assert rig.black.receive(packets.is_esp, timeout=0.1) is None
        after(rig.daemon, ADOPTED)
        opened = [sa.open(packets.packet_of(frame)) for frame in rig.black.collect(count, packets.is_esp)]
        assert [number_of(inner) for inner, *_ in opened] == list(range(count))
        assert lost(rig.daemon) == 0
        accounted(rig.daemon)


def test_what_overflows_the_ring_is_counted():
    with Single() as rig:
        sa = tunnel(rig, settings={"frames": 16384}).taken()
        rig.daemon.kill()
        for number in range(1, RING + 101):
            rig.from_black(sa.seal(packets.udp(rig.FAR[4], rig.HOST[4], numbered(number)), number))
        after(rig.daemon, ADOPTED)
        frames = rig.red.collect(RING + 100, packets.is_ip_to(rig.HOST[4]), timeout=1)
        assert [number_of(packets.packet_of(frame)) for frame in frames] == list(range(1, RING + 1))
        assert lost(rig.daemon) == 100
        accounted(rig.daemon)


def test_a_stop_in_order_leaves_the_same():
    with Single() as rig:
        sa = tunnel(rig).sent()
        assert rig.daemon.stop() == 0
        for number in range(100):
            rig.from_red(packets.udp(rig.HOST[6], rig.FAR[6], numbered(number)))
        after(rig.daemon, ADOPTED)
        frames = rig.black.collect(100, packets.is_esp)
        assert [number_of(sa.open(packets.packet_of(frame))[0]) for frame in frames] == list(range(100))
        accounted(rig.daemon)


class Burst:
    """Packets from both sides as fast as they go, in the tunnel and in clear, by a thread."""

    def __init__(self, rig, number):
        opened = rig.connections["tunnel"].taken()
        self.rig, self.stopping = rig, threading.Event()
        self.sealed = [opened.seal(packets.udp(rig.FAR[4], rig.HOST[4], numbered(number + i)), number + i) for i in range(200)]
        self.clear = packets.udp(rig.FAR[4], rig.HOST[4], b"in the clear")
        self.red = packets.udp(rig.HOST[4], rig.FAR[4], b"in the clear")
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.stopping.is_set():
            for sealed in self.sealed:
                self.rig.from_red(self.red)
                self.rig.from_black(sealed)
            self.rig.from_black(self.clear)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def test_killed_again_and_again():
    moments = random.Random(3)
    with Single() as rig:
        sa = tunnel(rig).sent()
        rig.gw.forward()  # even a kernel that would forward must not get at the packets
        with Recorder(rig.beyond, "black") as black, Recorder(rig.beyond, "red") as red:
            for kill in range(10):
                with Burst(rig, 1000 * kill + 1):
                    time.sleep(0.02 + moments.random() * 0.05)
                    rig.daemon.kill()
                after(rig.daemon, ADOPTED)
                accounted(rig.daemon)
                rig.black.drain()
                passes(rig, sa, kill)
        ours = mac_octets(rig.gw_black_mac)
        left = [frame for frame in black.frames if frame.frame[6:12] == ours]
        assert not [frame for frame in left if frame.clear()]
        twice = [number for number, count in collections.Counter(frame.esp()[3] for frame in left if frame.esp()).items() if count > 1]
        assert not twice
        assert len(left) > 1000
        came = collections.Counter(number_of(frame.packet) for frame in red.frames
                                   if frame.kind == 0x0800 and frame.packet[9] == packets.UDP and frame.frame[:6] == mac_octets(rig.red.mac))
        assert came and max(came.values()) == 1, "a packet was accepted twice"


def test_two_gateways_killed_under_pings():
    with Pair(queues=2) as rig:
        rig.start(holder=True)
        rig.pings(count=5)
        for side in "AB":
            rig.daemon[side].kill()
            sent, before = 20, rig.answers()
            process = rig.host["A"].start("ping", "-n", "-q", "-c", sent, "-i", "0.01", "-W", "5", "-I", rig.HOSTS["A"]["4in4"],
                                          rig.HOSTS["B"]["4in4"])
            time.sleep(0.5)  # all are under way
            after(rig.daemon[side], ADOPTED)
            assert rig.answered(before, sent) == sent, "pings waited in the rings"
            process.wait(10)
            accounted(rig.daemon[side])


def of_layout_1(octets):
    """The inventory as the layout before had it, without identities of sockets and memory."""
    ports, queues = struct.unpack_from("=II", octets, 36)[::-1]
    body = bytearray(octets[: 44 + 20 * ports])
    assert len(octets) == len(body) + 8 + 8 * ports * queues + 8
    struct.pack_into("=II", body, 8, 1, len(body) + 8)
    return bytes(body) + fnv1a(body)


def fnv1a(octets):
    value = 0xCBF29CE484222325
    for octet in octets:
        value = (value ^ octet) * 0x100000001B3 % 2**64
    return struct.pack("=Q", value)


def other_layout(octets):
    body = octets[:8] + struct.pack("=I", 99) + octets[12:-8]
    return body + fnv1a(body)


def rewrite(daemon, change):
    with open(daemon.holder.kept()["xsk-inventory"], "r+b") as file:
        octets = file.read()
        file.seek(0)
        file.truncate()
        file.write(change(octets))


def test_the_layout_before_is_taken_over():
    with Single() as rig:
        sa = tunnel(rig).sent()
        rig.daemon.kill()
        rewrite(rig.daemon, of_layout_1)
        for number in range(50):
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], numbered(number)))
        after(rig.daemon, ADOPTED)
        assert len(rig.black.collect(50, packets.is_esp)) == 50
        passes(rig, sa, 51)


def remade(rig):
    """The red port is another device under the same name."""
    rig.gw.ip("link", "delete", "red")
    veth(rig.gw, "red", rig.beyond, "red")
    rig.gw.address("red", "10.1.0.1/24", "2001:db8:1::1/64")
    rig.reds["red"] = rig.red = rig.tap(rig.beyond, "red")
    rig.gw_red_mac = rig.gw.mac("red")
    rig.gw.neighbour("red", rig.HOST[4], rig.red.mac)


def test_what_does_not_fit_is_bound_afresh():
    """With one line in the journal; nothing is sealed twice, and traffic goes on."""
    frames = {"frames": 4096}
    with Single() as rig:
        sa = tunnel(rig, settings=frames).sent()
        daemon = rig.daemon
        cases = {"checksum": lambda: rewrite(daemon, lambda octets: octets[:-9] + bytes([octets[-9] ^ 1]) + octets[-8:]),
                 "cut": lambda: rewrite(daemon, lambda octets: octets[:40]),
                 "its layout is 99": lambda: rewrite(daemon, other_layout),
                 "no inventory": lambda: rewrite(daemon, lambda octets: b""),
                 "a socket is missing": lambda: daemon.holder.forget("xsk-1-0"),
                 "memory is missing": lambda: daemon.holder.forget("xsk-memory"),
                 "had other ports, queues or frames": lambda: (frames.update(frames=8192), daemon.configure(daemon.text),
                                                               daemon.options.append("--fresh")),
                 "other ports": lambda: remade(rig)}
        numbers = []
        for step, (why, damage) in enumerate(cases.items()):
            daemon.kill()
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"waits in vain"))
            damage()
            assert why in after(daemon, AFRESH)
            passes(rig, sa, step)
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
            numbers.append(sa.open(packets.packet_of(rig.black.receive(packets.is_esp)))[1])
            accounted(daemon)
        assert numbers == sorted(set(numbers))
        daemon.kill()
        after(daemon, ADOPTED)  # what was bound afresh was left anew
        passes(rig, sa, 99)


def test_detach_leaves_nothing_behind():
    with Single() as rig:
        tunnel(rig)
        assert any(name.startswith("xsk-") for name in rig.daemon.holder.kept())
        rig.daemon.sallyport("detach", "--socket", rig.daemon.control)
        until(lambda: not rig.daemon.alive, what="the gateway ends")
        rig.daemon.process = None
        assert not any(name.startswith("xsk-") for name in rig.daemon.holder.kept())
        assert not rig.gw.xdp()
