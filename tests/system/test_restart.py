# SPDX-License-Identifier: Apache-2.0
"""A gateway dies and comes back: meanwhile nothing passes in clear, and no number of an SA is ever used twice."""

import collections
import threading
import time

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.daemon import BIN, Refused
from tests.rig.net import run, until
from tests.rig.topology import Pair, Single
from tests.rig.wire import Recorder, mac_octets


class Traffic:
    """Packets of the red host and clear ones of the wan, without a pause, by a thread."""

    def __init__(self, rig):
        self.rig = rig
        self.sent = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        rig = self.rig
        while not self.stopping.is_set():
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"in the clear"))
            rig.from_red(packets.udp(rig.HOST[6], rig.FAR[6], b"in the clear"))
            rig.from_black(packets.udp(rig.FAR[4], rig.HOST[4], b"in the clear"))
            rig.from_black(packets.udp(rig.FAR[6], rig.HOST[6], b"in the clear"))
            self.sent += 4
            time.sleep(0.0005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def tunnels(rig, **options):
    rig.connections = {"tunnel": rig.connection(**options)}
    return list(rig.connections.values())


def no_number_twice(frames):
    seen = collections.Counter((frame.esp()[2], frame.esp()[3]) for frame in frames if frame.esp())
    twice = [number for number, count in seen.items() if count > 1]
    assert not twice, f"{len(twice)} of {len(seen)} numbers were used twice: {twice[:5]}"
    return len(seen)


def nothing_clear(rig, frames):
    """Of what left the gateway by the black port."""
    ours = mac_octets(rig.gw_black_mac)
    clear = collections.Counter(frame.what() for frame in frames if frame.frame[6:12] == ours and frame.clear())
    assert not clear, clear


@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("algorithm", ["aes-128-gcm", "aes-256-cbc-hmac-sha2-256"])
def test_death_under_traffic(how, algorithm):
    with Single() as rig:
        rig.start(tunnels(rig, algorithm=algorithm))
        rig.gw.forward()  # even a kernel that would forward must not get at the packets
        red = rig.tap(rig.beyond, "red")
        with Recorder(rig.beyond, "black") as record, Traffic(rig):
            for _ in range(3):
                before = rig.daemon.counters().sealed
                until(lambda b=before: rig.daemon.counters().sealed > b + 50, what="packets pass")
                getattr(rig.daemon, how)()
                time.sleep(0.3)
                rig.daemon.start()
            before = rig.daemon.counters().sealed
            until(lambda b=before: rig.daemon.counters().sealed > b + 50, what="packets pass again")
        nothing_clear(rig, record.frames)
        assert no_number_twice(record.frames) > 100
        assert red.receive(lambda frame: b"in the clear" in frame, timeout=0.1) is None


def test_nothing_passes_while_it_is_dead():
    """The program stays under its pin and drops; with forwarding on in the kernel it still drops."""
    with Single() as rig:
        rig.start(tunnels(rig))
        rig.gw.forward()
        rig.daemon.kill()
        assert set(rig.gw.xdp()) == {"black", "red"}
        rig.black.drain()
        rig.red.drain()
        for family in (4, 6):
            rig.from_red(packets.udp(rig.HOST[family], rig.FAR[family], b"x"))
            rig.from_red(packets.udp(rig.HOST[family], "8.8.8.8" if family == 4 else "2001:db8:9::9", b"x"))
            rig.from_black(packets.udp(rig.FAR[family], rig.HOST[family], b"x"))
            rig.from_black(packets.udp("203.0.113.9" if family == 4 else "2001:db8:9::9", rig.HOST[family], b"x"))
            rig.from_black(rig.connections["tunnel"].taken().seal(packets.udp(rig.FAR[4], rig.HOST[4]), family))

        def udp_or_esp(frame):
            packet = packets.packet_of(frame)
            return packet is not None and packets.Read(packet).protocol in (packets.UDP, packets.ESP)

        assert rig.black.receive(udp_or_esp, timeout=0.3) is None
        assert rig.red.receive(udp_or_esp, timeout=0.1) is None


def test_the_gateway_stays_reachable_while_it_is_dead():
    """For the operator: what is for the gateway itself still goes to its kernel."""
    with Single() as rig:
        rig.start(tunnels(rig))
        rig.daemon.kill()
        rig.from_red(packets.echo(rig.HOST[4], rig.RED[4], b"hello"))
        assert rig.red.receive(packets.is_ip_to(rig.HOST[4])) is not None


def test_windows_survive():
    """What was accepted before the death is a replay after it."""
    with Single() as rig:
        rig.start(tunnels(rig))
        sa = rig.connections["tunnel"].taken()
        old = [sa.seal(packets.udp(rig.FAR[4], rig.HOST[4], b"x"), number) for number in range(1000, 1010)]
        for sealed in old:
            rig.from_black(sealed)
        assert len(rig.red.collect(10, packets.is_ip_to(rig.HOST[4]))) == 10
        rig.daemon.kill()
        rig.daemon.start()
        with Change(rig.daemon) as change:
            for sealed in old:
                rig.from_black(sealed)
            found = until(lambda: change.drops() if sum(change.drops().values()) == 10 else None, 3, "ten drops")
            assert set(found) <= {"replayed", "too_old", "bad_icv"}, found
        assert rig.red.receive(packets.is_ip_to(rig.HOST[4]), timeout=0.1) is None
        rig.from_black(sa.seal(packets.udp(rig.FAR[4], rig.HOST[4], b"new"), 1010))
        assert rig.red.receive(packets.is_ip_to(rig.HOST[4])) is not None


def reboot(rig):
    """What a reboot takes: everything but the state directory."""
    rig.daemon.stop()
    rig.daemon.unpin()


def test_numbers_go_on_after_a_reboot():
    """From the durable mark, above everything that was sent."""
    with Single() as rig:
        rig.start(tunnels(rig))
        sa = rig.connections["tunnel"].sent()

        def send(count):
            for _ in range(count):
                rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
            return [sa.open(packets.packet_of(frame))[1] for frame in rig.black.collect(count, packets.is_esp)]

        seen = send(100)
        for _ in range(2):
            reboot(rig)
            rig.daemon.start()
            more = send(100)
            assert len(more) == 100
            assert min(more) > max(seen)
            seen += more


def test_replays_after_a_reboot():
    with Single() as rig:
        rig.start(tunnels(rig))
        sa = rig.connections["tunnel"].taken()
        old = [sa.seal(packets.udp(rig.FAR[4], rig.HOST[4], b"x"), number) for number in range(1, 101)]
        for sealed in old:
            rig.from_black(sealed)
        assert len(rig.red.collect(100, packets.is_ip_to(rig.HOST[4]))) == 100
        reboot(rig)
        rig.daemon.start()
        with Change(rig.daemon) as change:
            for sealed in old:
                rig.from_black(sealed)
            found = until(lambda: change.drops() if sum(change.drops().values()) == 100 else None, 3, "a hundred drops")
            assert set(found) <= {"replayed", "too_old", "bad_icv"}, found


def test_no_marks_no_start_of_the_sa():
    """Without marks nobody knows which numbers were used: the SA is refused and the message says what to do."""
    with Single() as rig:
        rig.start(tunnels(rig), start=False)
        text = refused_or_said(rig.daemon)
        assert "marks" in text
        rig.daemon.stop()
        rig.daemon.first_start()
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        assert rig.black.receive(packets.is_esp) is not None


def refused_or_said(daemon):
    """What a start that cannot have this SA says, whether the daemon ends over it or goes on without the SA."""
    before = len(daemon.said())
    try:
        daemon.start()
    except Refused as refused:
        return refused.text
    text = daemon.said()[before:]
    return text + daemon.sallyport("sa", "--socket", daemon.control).stdout


def marks_of(rig):
    files = [path for path in rig.daemon.state_directory.rglob("*") if path.is_file() and path.stat().st_size]
    assert files, "no marks in the state directory"
    return files


@pytest.mark.parametrize("damage", ["emptied", "cut", "flipped", "removed", "of another key"])
def test_damaged_marks(damage):
    """After a reboot with marks that cannot be trusted not one packet is sealed with that key."""
    with Single() as rig:
        rig.start(tunnels(rig))
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        assert rig.black.receive(packets.is_esp) is not None
        reboot(rig)
        for path in marks_of(rig):
            data = path.read_bytes()
            if damage == "emptied":
                path.write_bytes(b"")
            elif damage == "cut":
                path.write_bytes(data[: len(data) // 2])
            elif damage == "flipped":
                path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
            elif damage == "removed":
                path.unlink()
        if damage == "of another key":
            rig.connections["tunnel"].label = "other keys"
            rig.daemon.configure(rig.daemon.text)
        text = refused_or_said(rig.daemon)
        assert "marks" in text
        if rig.daemon.alive:
            rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        assert rig.black.receive(packets.is_esp, timeout=0.3) is None


def test_marks_that_cannot_be_written():
    """The state directory's disk is full or gone: sending stops before a number goes out that no mark covers."""
    with Single() as rig:
        rig.start(tunnels(rig))
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        assert rig.black.receive(packets.is_esp) is not None
        run("mount", "--bind", rig.daemon.state_directory, rig.daemon.state_directory)
        try:
            rig.daemon.stop()
            run("mount", "-o", "remount,bind,ro", rig.daemon.state_directory)
            text = refused_or_said(rig.daemon)
            assert "marks" in text or str(rig.daemon.state_directory) in text
            if rig.daemon.alive:
                rig.daemon.stop()
        finally:
            run("umount", rig.daemon.state_directory)


def test_a_foreign_program_is_refused(tmp_path):
    """A program that is not under our pin stays where it is; the message names it and its id."""
    source = ('__attribute__((section("xdp"), used)) int foreign(void *c) { return 2; }\n'
              'char terms[] __attribute__((section("license"), used)) = "GPL";\n')
    with Single() as rig:
        with rig.program(source, "xdp", tmp_path) as program:
            rig.gw.ip("link", "set", "dev", "red", "xdp", "pinned", program)
        number = rig.gw.xdp()["red"]
        try:
            with pytest.raises(Refused) as refused:
                rig.start(tunnels(rig))
            assert "foreign" in refused.value.text
            assert f"(id {number}" in refused.value.text
            assert rig.gw.xdp().get("red") == number, "the foreign program stays"
        finally:
            rig.gw.ip("link", "set", "dev", "red", "xdp", "off")
        rig.daemon.start()
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        assert rig.black.receive(packets.is_esp) is not None


def test_a_second_gateway_is_refused():
    """Two processes with one run directory: the second ends and the first goes on."""
    with Single() as rig:
        rig.start(tunnels(rig))
        second = rig.gw.run(BIN / "sallyport-gateway", "--config", rig.daemon.file, check=False, timeout=20)
        assert second.returncode != 0
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        assert rig.black.receive(packets.is_esp) is not None


def test_both_gateways_of_a_pair_die_in_turn():
    """Pings go on by themselves after each restart."""
    with Pair() as rig:
        rig.start()
        rig.pings(count=5)
        with Recorder(rig.wan, "toA") as record:
            for side in "AB":
                rig.daemon[side].kill()
                assert rig.ping(count=3, interval=0.05, timeout=8)[1] == 0
                rig.daemon[side].start()
                rig.pings(count=5)
        assert {frame.what() for frame in record.frames} <= {"esp", "arp", "nd"}
        no_number_twice(record.frames)
