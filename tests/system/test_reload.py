# SPDX-License-Identifier: Apache-2.0
"""Reload by command and by signal, and detach: what changes, what goes on, what a mistake leaves alone."""

import signal

import pytest

from tests.rig import packets
from tests.rig.net import until
from tests.rig.topology import Single


@pytest.fixture
def rig():
    """A gateway with one tunnel; the durable marks of a second one are there too."""
    with Single() as made:
        made.both = [made.connection("first", 4, 1), made.connection("second", 4, 2, remote_networks=["10.3.0.0/16"])]
        made.start(made.both, start=False)
        made.daemon.create_marks()
        made.whole = made.daemon.file.read_text()
        made.half = made.whole[:made.whole.index("[connection.second]")]
        write(made, made.half)
        made.daemon.start()
        yield made


def write(rig, text):
    rig.daemon.file.write_text(text)
    rig.daemon.file.chmod(0o600)


def carries(rig, far):
    """Does a packet to `far` leave as ESP?"""
    rig.from_red(packets.udp(rig.HOST[4], far, b"x"))
    return rig.black.receive(packets.is_esp, timeout=1.0) is not None


def generation(rig):
    return rig.daemon.ask("status")["generation"]


def reload(rig, *words, check=True):
    return rig.daemon.sallyport("reload", "--socket", rig.daemon.control, *words, check=check)


def sequence(rig, name):
    return next(sa["sequence"] for sa in rig.daemon.ask("sa", name)["sas"] if sa["direction"] == "outbound")


def test_a_connection_comes_and_goes_and_the_other_does_not_notice(rig):
    assert carries(rig, rig.FAR[4])
    assert not carries(rig, "10.3.0.2")
    before = sequence(rig, "first")
    write(rig, rig.whole)
    reload(rig)
    assert generation(rig) == 2
    assert carries(rig, "10.3.0.2")
    assert carries(rig, rig.FAR[4])
    assert sequence(rig, "first") == before + 1, "the numbers of a connection that is the same go on"
    write(rig, rig.half)
    reload(rig)
    assert not carries(rig, "10.3.0.2")
    assert carries(rig, rig.FAR[4])
    assert {sa["name"] for sa in rig.daemon.ask("sa")["sas"]} == {"first"}


def test_a_mistake_changes_nothing(rig):
    write(rig, rig.whole.replace("spi-in = 4098", "spi-in = 98"))
    refused = reload(rig, check=False)
    assert refused.returncode == 1
    assert "second.spi-in: expected an integer from 256" in refused.stderr
    assert generation(rig) == 1
    assert carries(rig, rig.FAR[4])
    rig.daemon.process.send_signal(signal.SIGHUP)
    until(lambda: rig.daemon.said().count("second.spi-in: expected") == 2, 5, "both mistakes in the journal")
    assert generation(rig) == 1
    assert carries(rig, rig.FAR[4])


def test_hangup_reloads(rig):
    write(rig, rig.whole)
    rig.daemon.process.send_signal(signal.SIGHUP)
    until(lambda: generation(rig) == 2, 5, "the new generation")
    assert carries(rig, "10.3.0.2")


def test_another_file(rig, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(rig.whole)
    other.chmod(0o600)
    reload(rig, other)
    assert rig.daemon.ask("status")["configuration"] == str(other)
    assert carries(rig, "10.3.0.2")


def test_what_needs_a_restart_says_so(rig):
    write(rig, rig.half.replace("frames = 4096", "frames = 8192"))
    refused = reload(rig, check=False)
    assert refused.returncode == 1
    assert "restart" in refused.stderr
    assert generation(rig) == 1
    assert carries(rig, rig.FAR[4])


def test_detach_opens_the_ports_and_ends_the_gateway(rig):
    said = rig.daemon.sallyport("detach", "--socket", rig.daemon.control).stdout
    assert "open" in said
    until(lambda: not rig.daemon.alive, 5, "the end of the gateway")
    assert rig.daemon.process.returncode == 0
    rig.daemon.process = None
    assert rig.gw.xdp() == {}
    rig.daemon.start()
    assert carries(rig, rig.FAR[4])


def test_detach_after_a_crash(rig):
    rig.daemon.kill()
    assert rig.gw.xdp()
    said = rig.daemon.sallyport("detach", "--run-directory", rig.daemon.run_directory).stdout
    assert "black" in said
    assert "red" in said
    assert rig.gw.xdp() == {}
