# SPDX-License-Identifier: Apache-2.0
"""What a key exchange waits for: a policy whose SA is not there asks for it (RFC 4301 5.1.1), an inbound SA receives for the first time
(RFC 7296 2.8) or falls silent, a path MTU changes. And nothing leaves in clear meanwhile."""

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

FAR, FAR_NETWORK = {4: "10.7.0.1", 6: "2001:db8:7::1"}, {4: "10.7.0.0/16", 6: "2001:db8:7::/48"}


def child(rig, door, number=1, name="asked", family=4, **more):
    connection = Connection(name, rig.LOCAL[4], rig.PEER[4], [rig.RED_NETWORK[family]], [FAR_NETWORK[family]], door.reserve()[0],
                            0x5000 + number)
    sas = records.pair(connection, number, connection.spi_in, connection.spi_out, seed=os.urandom(8).hex())
    return [dataclasses.replace(sa, more={**sa.more, **more}) for sa in sas]


def policy(sas, **more):
    return records.Policy(sas[0].name, sas[0].selectors, sa=sas[0].name, **more)


def removals(name, number=1):
    return [records.Removal(name, direction, number) for direction in (records.OUTBOUND, records.INBOUND)]


def peer(sa):
    """The far end of an inbound SA."""
    return esp.Sa(sa.spi, sa.remote, sa.local, esp.ALGORITHMS[sa.algorithm], sa.key, sa.esn)


def leaves(rig, family=4, timeout=0.5):
    """What comes out of the black port for a packet to the far network: "sealed", "clear", or None."""
    rig.black.drain()
    rig.from_red(packets.udp(rig.HOST[family], FAR[family], b"who carries it?", sport=1234, dport=53))
    frame = rig.black.receive(lambda one: packets.is_esp(one) or packets.is_ip_to(FAR[family])(one), timeout=timeout)
    return frame and ("sealed" if packets.is_esp(frame) else "clear")


@pytest.mark.parametrize("family", [4, 6])
def test_a_policy_asks_for_its_sa(single, door, family):
    sas = child(single, door, family=family)
    with Watch(single, "acquire") as watch:
        door.install(policies=[policy(sas, vpn=0)])
        with Change(single.daemon) as change:
            assert leaves(single, family) is None
            change.expect({"no_sa": 1})
        asked = watch.next(1.5)
        assert (asked["policy"], asked["connection"], asked["vpn"]) == ("asked", "asked", "wan")
        assert (asked["source"], asked["destination"]) == (single.HOST[family], FAR[family])
        assert (asked["protocol"], asked["sourcePort"], asked["destinationPort"]) == (17, 1234, 53)
        assert leaves(single, family) is None

        door.install(install=sas[:1])
        assert leaves(single, family) is None, "an SA that only receives carries nothing"
        door.install(install=sas[1:])
        assert leaves(single, family) == "sealed"
        time.sleep(1.2)
        while watch.next(0.1):
            pass
        assert leaves(single, family) == "sealed"
        assert watch.next(1.2) is None, "it has what it asked for"
        door.install(remove=removals("asked"))
        assert leaves(single, family) is None
        assert watch.next(1)["policy"] == "asked"
    door.install(remove_policies=["asked"])


def test_it_asks_once_a_second_and_names_what_it_knows(single, door):
    other = dataclasses.replace(child(single, door, name="other")[0],
                                selectors=[records.Selector(single.RED_NETWORK[4], "10.8.0.0/16")])
    sas = child(single, door)
    door.install(policies=[policy(sas), policy([other])])
    with Watch(single, "acquire") as watch:
        start = time.monotonic()
        while time.monotonic() < start + 3:
            single.from_red(packets.echo(single.HOST[4], FAR[4], b"many"))
            single.from_red(packets.udp(single.HOST[4], "10.8.0.1", b"many"))
            time.sleep(0.01)
        told = watch.stop()
    by_policy = {name: [event for event in told if event["policy"] == name] for name in ("asked", "other")}
    for name, events in by_policy.items():
        assert 2 <= len(events) <= 5, (name, len(events))
    assert {(event["type"], event["code"]) for event in by_policy["asked"]} == {(8, 0)}
    assert {event["destinationPort"] for event in by_policy["other"]} == {5000}
    door.install(remove_policies=["asked", "other"])


def test_the_machine_itself_asks(single, door):
    sas = child(single, door)
    door.install(policies=[policy(sas)])
    single.black.drain()
    with Watch(single, "acquire") as watch:
        def asks():
            single.gw.run("ping", "-c", 1, "-W", 1, "-I", single.RED[4], FAR[4], check=False)
            return watch.next(0.1)

        asked = until(asks, 6, "what it sends goes the same way")
    assert (asked["source"], asked["destination"], asked["type"]) == (single.RED[4], FAR[4], 8)
    assert single.black.receive(packets.is_ip_to(FAR[4]), timeout=0.2) is None, "in clear"
    door.install(remove_policies=["asked"])


def test_the_next_process_asks_too():
    with Single() as rig:
        rig.start([], holder=True)
        with records.Door(rig.daemon.control) as door:
            sas = child(rig, door)
            door.install(policies=[policy(sas)])
        assert leaves(rig) is None
        rig.daemon.kill()
        assert leaves(rig) is None
        rig.daemon.start()
        with Watch(rig, "acquire") as watch, records.Door(rig.daemon.control) as door:
            def asks():
                assert leaves(rig, timeout=0.2) is None
                return watch.next(0.1)

            assert until(asks, 3, "once a second: what waited at the port has asked before")["policy"] == "asked"
            door.install(install=child(rig, door))
            assert leaves(rig) == "sealed"


def test_the_first_packet_of_an_sa_is_told(single, door):
    """As the responder of a rekey waits for it: the new SA receives, and the old one sends still."""
    old, new = child(single, door), child(single, door, 2)
    door.install(install=old, policies=[policy(old)])
    with Watch(single, "sa_traffic", "sa_idle") as watch:
        for sas in (old, new):
            if sas is new:
                door.install(install=new[:1])
            inbound = peer(sas[0])
            for packet in (1, 2, 3):
                single.from_black(inbound.seal(packets.udp(FAR[4], single.HOST[4], b"first"), packet))
            event = watch.next()
            assert event is not None
            assert (event["kind"], event["connection"], event["direction"], event["spi"]) == ("sa_traffic", "asked", "inbound", sas[0].spi)
            assert 1 <= event["sequence"] <= 3
        assert watch.stop() == [], "each once, and without an idle time silence says nothing"
    door.install(remove=[*removals("asked"), records.Removal("asked", records.INBOUND, 2)], remove_policies=["asked"])


def test_silence_is_told(single, door):
    sas = child(single, door, idle=2)
    with Watch(single, "sa_traffic", "sa_idle") as watch:
        door.install(install=sas)
        start = time.monotonic()
        assert watch.next(5)["kind"] == "sa_idle", "nothing has ever come"
        assert 1 < time.monotonic() - start < 4.5
        inbound = peer(sas[0])
        for number in (1, 2):
            single.from_black(inbound.seal(packets.udp(FAR[4], single.HOST[4], b"here"), number))
            assert watch.next(3)["kind"] == "sa_traffic"
            silent = watch.next(5)
            assert (silent["kind"], silent["sequence"]) == ("sa_idle", number)
        assert watch.stop() == []
    door.install(remove=removals("asked"))


def test_a_path_mtu_that_changes_is_told():
    with Single() as rig:
        rig.start([])
        with records.Door(rig.daemon.control) as door, Watch(rig, "path_mtu") as watch:
            sas = child(rig, door)
            door.install(install=sas, policies=[policy(sas)])
            rig.gw.ip("link", "set", "black", "mtu", 1400)
            told = watch.next()
            assert (told["connection"], told["direction"], told["spi"]) == ("asked", "outbound", sas[1].spi)
            assert (told["oldPathMtu"], told["pathMtu"]) == (1500, 1400)
            room = 1400 - 20 - 8 - 8 - 16
            assert told["largestInner"] == room - room % 4 - 2
            rig.gw.ip("link", "set", "black", "mtu", 1500)
            told = watch.next()
            assert (told["oldPathMtu"], told["pathMtu"]) == (1400, 1500)
            assert watch.stop() == []
