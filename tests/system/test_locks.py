# SPDX-License-Identifier: Apache-2.0
"""The locks against clear text, one by one: each is seen to hold while the others cannot help, and to be open when it is opened.

Elsewhere: a red packet that no policy matches (test_policy.py); red packets while no worker reads, and clear packets from the black side
(test_restart.py, test_policy.py)."""

import json
import threading
import time

import pytest

from tests.rig import packets
from tests.rig.daemon import BIN
from tests.rig.net import until, veth
from tests.rig.topology import Single
from tests.rig.wire import Recorder, Tap

CLEAR = b"in the clear"


def clear(frame):
    return CLEAR in frame


def guard(rig, file):
    """What the guard unit runs, before the gateway has ever run; what it said."""
    result = rig.gw.run(BIN / "sallyport-gateway", "--guard", "--config", file, check=False, timeout=20)
    assert result.returncode == 0, result.stderr
    return result.stderr


def rules(rig):
    tables = json.loads(rig.gw.run("nft", "-j", "list", "tables").stdout)["nftables"]
    return [entry["table"]["name"] for entry in tables if "table" in entry]


def both_ways(rig):
    """Of 'out' and 'in', and of both families, what the kernel forwards in clear between the ports."""
    passed = []
    rig.black.drain()
    rig.red.drain()
    for family in (4, 6):
        rig.from_red(packets.udp(rig.HOST[family], rig.FAR[family], CLEAR))
        rig.from_black(packets.udp(rig.FAR[family], rig.HOST[family], CLEAR))
    end = time.monotonic() + 0.2
    while (left := end - time.monotonic()) > 0:
        for name, tap in (("out", rig.black), ("in", rig.red)):
            if frame := tap.receive(clear, min(left, 0.05)):
                passed.append(f"{name}{packets.packet_of(frame)[0] >> 4}")
    return sorted(passed)


EVERYTHING = ["in4", "in6", "out4", "out6"]


def sends(rig, destination, source=None):
    """Does the gateway's own packet leave in clear by the black port?"""
    rig.black.drain()
    rig.gw.run("ping", "-n", "-c", 1, "-W", 0.05, "-p", CLEAR.hex(), "-s", 64, *(["-I", source] if source else []), destination, check=False)
    return rig.black.receive(clear, timeout=0.1) is not None


def takes(rig, source, destination, family=4):
    """Does the gateway itself answer a clear packet from the black side?"""
    rig.black.drain()
    rig.from_black(packets.echo(source, destination, CLEAR))
    return rig.black.receive(clear, timeout=0.1) is not None


def devices(rig):
    return {link["ifname"] for link in rig.gw.json("link", "show")}


@pytest.fixture(scope="module")
def never():
    """A machine whose kernel forwards, and on which the gateway has never run."""
    with Single() as rig:
        daemon = rig.start([rig.connection()], start=False)
        rig.gw.forward()
        yield rig
        rig.gw.run("nft", "flush", "ruleset")
        assert daemon.process is None


def test_the_rig_would_show_a_leak(never):
    never.gw.run("nft", "flush", "ruleset")
    assert both_ways(never) == EVERYTHING
    assert sends(never, never.FAR[4]) and sends(never, never.FAR[6])
    assert takes(never, never.FAR[4], never.LOCAL[4])


def test_boot(never):
    """From the configuration alone, whatever ports exist."""
    assert "The guard stands" in guard(never, never.daemon.file)
    assert both_ways(never) == []
    assert not sends(never, never.FAR[4]) and not sends(never, never.FAR[6])
    assert not takes(never, never.FAR[4], never.LOCAL[4])
    assert takes(never, "198.51.100.7", never.LOCAL[4]), "what no policy protects reaches the machine"
    assert sends(never, "198.51.100.7")


def test_a_port_that_appears_late(never):
    """Under another number than any that the guard has seen."""
    guard(never, never.daemon.file)
    never.gw.ip("link", "delete", "red")
    veth(never.gw, "red", never.beyond, "red")
    never.gw.address("red", "10.1.0.1/24", "2001:db8:1::1/64")
    with Tap(never.beyond, "red") as late:
        never.red, never.reds["red"], never.gw_red_mac = late, late, never.gw.mac("red")
        for family in (4, 6):
            never.gw.neighbour("red", never.HOST[family], late.mac)
        assert both_ways(never) == []
        never.gw.run("nft", "flush", "ruleset")
        assert both_ways(never) == EVERYTHING
    never.red = never.reds["red"] = never.tap(never.beyond, "red")


def test_a_damaged_configuration(never, tmp_path):
    """It does not know the ports, so it lets nothing be forwarded."""
    file = tmp_path / "sallyport.toml"
    file.write_text(never.daemon.file.read_text().replace("role", "rule", 1))
    file.chmod(0o600)
    said = guard(never, file)
    assert "No configuration can be read" in said and "rule" in said
    assert both_ways(never) == []


def test_no_configuration(never, tmp_path):
    never.gw.run("nft", "flush", "ruleset")
    assert "nothing is locked" in guard(never, tmp_path / "sallyport.toml")
    assert rules(never) == []


def test_the_gateway_takes_over_from_the_guard():
    """It puts rules of its own in the guard's place, under which it works; they stay when it is dead, and detach takes away all."""
    with Single() as rig:
        rig.start([rig.connection()], start=False)
        rig.gw.forward()
        guard(rig, rig.daemon.file)
        rig.daemon.first_start()
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], CLEAR))
        assert rig.black.receive(packets.is_esp) is not None
        assert rules(rig) == ["sallyport_guard"]
        assert "saddr" not in rig.gw.run("nft", "list", "table", "inet", "sallyport_guard").stdout, "only the rules that stay"
        rig.daemon.kill()
        assert both_ways(rig) == []
        rig.gw.run("nft", "flush", "ruleset")
        assert both_ways(rig) == [], "the programs of the ports hold alone"
        rig.daemon.start()
        assert rules(rig) == ["sallyport_guard"]
        said = rig.daemon.sallyport("detach", "--socket", rig.daemon.control).stdout
        assert rig.daemon.process.wait(10) == 0
        rig.daemon.process = None
        assert "port black" in said and "port red" in said and "sp-wan" in said and "guard" in said
        assert rules(rig) == [] and rig.gw.xdp() == {}
        assert "sp-wan" not in devices(rig)
        assert rig.gw.run("tc", "filter", "show", "dev", "black", "egress").stdout == ""
        assert both_ways(rig) == EVERYTHING and sends(rig, rig.FAR[4])


def test_what_the_machine_itself_sends():
    """The TUN is gone, then the daemon, then the guard's rules: the lock on the way out holds alone. The gateway's own frames pass below it."""
    with Single() as rig:
        rig.start([rig.connection()])
        assert not sends(rig, rig.FAR[4])
        rig.gw.ip("link", "delete", "sp-wan")
        until(lambda: "sp-wan" in devices(rig), what="the TUN is made again")
        rig.daemon.kill()
        rig.gw.ip("link", "delete", "sp-wan")
        rig.gw.run("nft", "flush", "ruleset")
        for family in (4, 6):
            assert not sends(rig, rig.FAR[family])
            assert not sends(rig, rig.FAR[family], rig.LOCAL[family]), "whatever the source"
        assert sends(rig, "198.51.100.7"), "what no policy protects leaves"
        rig.gw.run("tc", "qdisc", "delete", "dev", "black", "clsact")
        assert sends(rig, rig.FAR[4]), "opened on purpose it would be seen"
        rig.daemon.start()
        assert not sends(rig, rig.FAR[4]) and "sp-wan" in devices(rig)
        counted = rig.daemon.counters().values
        assert counted[("kernel", "black", "egress_protected")] >= 4
        assert counted[("kernel", "black", "egress_ipsec")] == 0 < rig.daemon.counters().sealed
        rig.gw.run("tc", "qdisc", "delete", "dev", "black", "clsact")
        until(lambda: "on again" in rig.daemon.said(), what="the lock is put on again")


@pytest.mark.parametrize("dead", [False, True])
def test_a_port_that_is_made_anew(dead):
    """Under traffic, while the kernel would forward: an interface without any program of ours carries nothing either way."""
    with Single() as rig:
        rig.start([rig.connection()])
        rig.gw.forward()
        if dead:
            rig.daemon.kill()
        stopping = threading.Event()

        def send():
            while not stopping.is_set():
                for family in (4, 6):
                    rig.from_black(packets.udp(rig.FAR[family], rig.HOST[family], CLEAR))
                    try:
                        rig.from_red(packets.udp(rig.HOST[family], rig.FAR[family], CLEAR))
                    except OSError:
                        pass  # while there is no such interface
                time.sleep(0.0005)

        with Recorder(rig.beyond, "black", only=f"ether src {rig.gw_black_mac}") as record:
            sender = threading.Thread(target=send)
            sender.start()
            try:
                rig.gw.ip("link", "delete", "red")
                veth(rig.gw, "red", rig.beyond, "red")
                rig.gw.address("red", "10.1.0.1/24", "2001:db8:1::1/64")
                with Tap(rig.beyond, "red") as anew:
                    for family in (4, 6):
                        rig.gw.neighbour("red", rig.HOST[family], anew.mac)
                    rig.reds["red"], rig.gw_red_mac = anew, rig.gw.mac("red")
                    time.sleep(0.3)
                    assert anew.receive(clear, timeout=0) is None
                if not dead:
                    until(lambda: "red" in rig.gw.xdp(), what="closed again")
            finally:
                stopping.set()
                sender.join()
        assert not [frame.what() for frame in record.frames if CLEAR in frame.frame]
        if dead:
            rig.gw.ip("link", "set", "dev", "red", "down")
