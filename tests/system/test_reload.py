# SPDX-License-Identifier: Apache-2.0
"""`sallyport reload` applies the difference and leaves everything else alone; `sallyport detach` opens the locks; four capabilities are enough."""

import os
import struct

import pytest

from tests.rig import config, packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.topology import Single


def text(gateway, connections, policies=None, ports=None):
    return config.render(gateway.settings(queues=1), ports or {"black": {"role": "black"}, "red": {"role": "red"}}, connections, policies=policies)


@pytest.fixture
def own():
    with Single() as rig:
        rig.connections = {"tunnel": rig.connection(), "other": rig.connection("other", 6, 2, remote_networks=["10.3.0.0/16"])}
        rig.start(list(rig.connections.values()))
        yield rig


def reload(rig, *words, check=True, **changes):
    rig.daemon.configure(text(rig.daemon, **{"connections": list(rig.connections.values()), **changes}))
    return rig.daemon.sallyport("reload", "--socket", rig.daemon.control, *words, check=check)


def sealed(rig, far, **more):
    rig.from_red(packets.udp(rig.HOST[4], far, b"x"))
    frame = rig.black.receive(packets.is_esp, **more)
    return frame and packets.Read(packets.packet_of(frame)).payload


def test_a_policy_is_added_and_taken_away(own):
    assert sealed(own, "10.2.7.1")
    reload(own, policies={"no-lab": {"action": "discard", "priority": 1, "remote-networks": ["10.2.7.0/24"]}})
    with Change(own.daemon) as change:
        assert sealed(own, "10.2.7.1", timeout=0.1) is None
        change.expect({"policy_discard": 1})
    assert sealed(own, "10.2.8.1")
    reload(own)
    assert sealed(own, "10.2.7.1")


def test_a_connection_is_taken_away_and_the_other_goes_on(own):
    """Not one number of the other SA is lost, and its window stays."""
    before = struct.unpack("!I", sealed(own, "10.2.0.1")[4:8])[0]
    packet = packets.udp(own.FAR[4], own.HOST[4], b"x")
    old = own.connections["tunnel"].taken().seal(packet, 5)
    own.from_black(old)
    assert own.red.receive(packets.is_ip_to(own.HOST[4])) is not None
    assert sealed(own, "10.3.0.1")
    reload(own, connections=[own.connections["tunnel"]])
    with Change(own.daemon) as change:
        assert sealed(own, "10.3.0.1", timeout=0.1) is None
        own.from_black(own.connections["other"].taken().seal(packets.udp("10.3.0.1", own.HOST[4], b"x"), 5))
        own.from_black(old)
        change.expect({"no_policy": 1, "unknown_spi": 1, "replayed": 1})
    assert struct.unpack("!I", sealed(own, "10.2.0.1")[4:8])[0] == before + 1


def test_a_bad_file_changes_nothing(own):
    own.daemon.configure(text(own.daemon, [own.connections["tunnel"]]).replace("spi-in = ", "spi-inn = "))
    result = own.daemon.sallyport("reload", "--socket", own.daemon.control, check=False)
    assert result.returncode == 1
    assert "spi-inn" in result.stderr
    assert sealed(own, "10.2.0.1")
    assert sealed(own, "10.3.0.1")


def test_what_needs_a_restart_is_said_and_changes_nothing(own):
    result = reload(own, check=False, ports={"black": {"role": "red"}, "red": {"role": "black"}})
    assert result.returncode == 1
    assert "restart" in result.stderr
    assert sealed(own, "10.2.0.1")


def test_nothing_is_lost_while_the_file_is_read_again(own):
    """Twenty reloads under traffic that change another connection each time."""
    own.black.drain()
    count = 0
    for turn in range(20):
        reload(own, policies={"turn": {"action": "discard", "priority": 1 + turn, "remote-networks": [f"10.99.{turn}.0/24"]}})
        for _ in range(20):
            own.from_red(packets.udp(own.HOST[4], "10.2.0.1", b"x"))
            count += 1
    frames = own.black.collect(count, packets.is_esp)
    numbers = [struct.unpack("!I", packets.Read(packets.packet_of(frame)).payload[4:8])[0] for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + count))
    assert own.daemon.counters().drops == {}


def test_detach_opens_the_locks_and_says_so():
    """Of a gateway that runs: it ends, and the kernel has its ports back."""
    with Single() as rig:
        rig.start([rig.connection()])
        result = rig.daemon.sallyport("detach", "--socket", rig.daemon.control)
        assert "open" in result.stdout
        assert rig.daemon.process.wait(10) == 0
        rig.daemon.process = None
        assert rig.gw.xdp() == {}
        rig.daemon.start()
        assert sealed(rig, "10.2.0.1")


def test_detach_after_a_death():
    with Single() as rig:
        rig.start([rig.connection()])
        rig.daemon.kill()
        assert set(rig.gw.xdp()) == {"black", "red"}
        rig.daemon.sallyport("detach", "--run-directory", rig.daemon.run_directory)
        assert rig.gw.xdp() == {}


CAPABILITIES = "+net_admin,+net_raw,+bpf,+ipc_lock"


def test_four_capabilities_are_enough():
    """A user of its own with CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK, and nothing else."""
    with Single() as rig:
        rig.start([rig.connection()], start=False)
        rig.daemon.create_marks()
        pins = rig.daemon.run_directory / "bpf"
        for folder in (rig.daemon.directory, rig.daemon.run_directory, rig.daemon.state_directory, pins, *rig.daemon.state_directory.iterdir()):
            os.chown(folder, 65534, 65534)
        os.chown(rig.daemon.file, 65534, 65534)
        rig.directory.chmod(0o755)
        rig.daemon.prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", f"-all,{CAPABILITIES}",
                             "--ambient-caps", f"-all,{CAPABILITIES}", "--bounding-set", f"-all,{CAPABILITIES}", "--no-new-privs"]
        rig.daemon.start()
        status = open(f"/proc/{rig.daemon.process.pid}/status").read()
        effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
        assert effective == 1 << 12 | 1 << 13 | 1 << 14 | 1 << 39
        assert "65534" in next(line for line in status.splitlines() if line.startswith("Uid"))
        assert sealed(rig, "10.2.0.1")
        rig.daemon.kill()
        rig.daemon.start()
        until(lambda: sealed(rig, "10.2.0.1", timeout=0.1), what="packets pass after a restart")


def test_root_gives_up_what_it_does_not_need(own):
    status = open(f"/proc/{own.daemon.process.pid}/status").read()
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        value = int(next(line.split()[1] for line in status.splitlines() if line.startswith(name)), 16)
        assert value & ~(1 << 12 | 1 << 13 | 1 << 14 | 1 << 39) == 0, name
