# SPDX-License-Identifier: Apache-2.0
"""Lifetimes in packets, octets and seconds (RFC 4301 4.4.2.1): no packet passes a hard one, and whoever watches is told of both."""

import dataclasses
import os
import time

import pytest

from tests.rig import esp, packets, records
from tests.rig.change import Change
from tests.rig.config import Connection
from tests.rig.net import until
from tests.rig.topology import Single
from tests.rig.watch import Watch

FAR = "10.7.0.1"


@pytest.fixture(scope="module")
def single():
    with Single() as rig:
        rig.start([])
        yield rig


@pytest.fixture
def door(single):
    with records.Door(single.daemon.control) as opened:
        yield opened


def install(rig, door, name, **more):
    """A child of which the outbound and the inbound SA have these lifetimes; its SAs and the peer's view."""
    connection = Connection(name, rig.LOCAL[4], rig.PEER[4], [rig.RED_NETWORK[4]], ["10.7.0.0/16"], door.reserve()[0], 0x5000)
    sas = records.pair(connection, 1, connection.spi_in, 0x5000, seed=os.urandom(8).hex())
    sas = [dataclasses.replace(sa, more={**sa.more, **more}) for sa in sas]
    door.install(install=sas, policies=[records.Policy(name, sas[0].selectors, sa=name)])
    return sas


def remove(door, name):
    door.install(remove=[records.Removal(name, direction) for direction in (0, 1)], remove_policies=[name])


def out(rig, octets=100):
    """Does a packet leave sealed?"""
    rig.black.drain()
    rig.from_red(packets.sized(rig.HOST[4], FAR, octets))
    return rig.black.receive(packets.is_esp, timeout=0.5) is not None


def test_packets(single, door):
    watch = Watch(single, "sa_soft_end", "sa_hard_end")
    install(single, door, "packets", soft=(3, 0, 0), hard=(5, 0, 0))
    with Change(single.daemon) as change:
        assert [out(single) for _ in range(7)] == [True] * 5 + [False] * 2
        change.expect({"lifetime_over": 2})
    told = [(event["kind"], event["connection"], event["direction"]) for event in watch.stop()]
    assert told == [("sa_soft_end", "packets", "outbound"), ("sa_hard_end", "packets", "outbound")]
    remove(door, "packets")


def test_octets(single, door):
    watch = Watch(single, "sa_soft_end", "sa_hard_end")
    install(single, door, "octets", soft=(0, 400, 0), hard=(0, 1000, 0))
    with Change(single.daemon) as change:
        assert [out(single, octets) for octets in (300, 300, 500, 100, 50)] == [True, True, False, False, False]
        change.expect({"lifetime_over": 3})
    assert [event["kind"] for event in watch.stop()] == ["sa_soft_end", "sa_hard_end"]
    remove(door, "octets")


def test_what_comes_in_has_a_life_too(single, door):
    sas = install(single, door, "inbound", hard=(2, 0, 0))
    inbound = sas[0]
    peer = esp.Sa(inbound.spi, inbound.remote, inbound.local, esp.ALGORITHMS[inbound.algorithm], inbound.key, inbound.esn)
    with Change(single.daemon) as change:
        for number in (1, 2, 3):
            single.from_black(peer.seal(packets.udp(FAR, single.HOST[4], b"in"), number))
        assert [single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.5) is not None for _ in range(3)] == [True, True, False]
        change.expect({"lifetime_over": 1})
    remove(door, "inbound")


def test_time(single, door):
    watch = Watch(single, "sa_soft_end", "sa_hard_end")
    start = time.monotonic()
    install(single, door, "seconds", soft=(0, 0, 2), hard=(0, 0, 4))
    assert out(single)
    until(lambda: not out(single), 6, "its time is over")
    assert 2 < time.monotonic() - start < 4.6
    told = [(event["kind"], event["direction"]) for event in watch.stop()]
    assert sorted(told) == [("sa_hard_end", "inbound"), ("sa_hard_end", "outbound"), ("sa_soft_end", "inbound"), ("sa_soft_end", "outbound")]
    remove(door, "seconds")


def test_what_contradicts_itself_is_refused(single, door):
    with pytest.raises(records.Failed) as failed:
        install(single, door, "wrong", soft=(0, 20, 0), hard=(0, 10, 0))
    assert failed.value.place == "install[0] soft"


def killed_and_started(rig):
    rig.daemon.kill()
    time.sleep(1)
    rig.daemon.start()
    rig.from_red(packets.udp(rig.HOST[4], "10.9.0.1", b"nobody protects it"))  # the neighbour's address is looked for


def test_packets_count_on_over_a_kill():
    with Single() as rig:
        rig.start([], holder=True)
        with records.Door(rig.daemon.control) as door:
            install(rig, door, "kept", hard=(4, 0, 0))
        assert out(rig)
        killed_and_started(rig)
        assert [out(rig) for _ in range(5)].count(True) == 3
        assert rig.daemon.counters().drops["lifetime_over"] == 2


def test_time_goes_on_over_a_kill():
    """The next gateway counts from when the SA was installed."""
    with Single() as rig:
        rig.start([], holder=True)
        start = time.monotonic()
        with records.Door(rig.daemon.control) as door:
            install(rig, door, "kept", hard=(0, 0, 6))
        assert out(rig)
        killed_and_started(rig)
        until(lambda: out(rig), 3, "it goes on")
        until(lambda: not out(rig), 6, "it ends")
        assert 3.9 < time.monotonic() - start < 6.6
