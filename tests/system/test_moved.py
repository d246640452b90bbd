# SPDX-License-Identifier: Apache-2.0
"""A peer behind a NAT that gets another address or UDP port (RFC 7296 2.23, RFC 3948): an SA that follows it takes its packets from there,
whoever watches is told, and the pair is updated under the same keys. Copies and forgeries move nobody."""

import dataclasses
import os
import struct

import pytest

from tests.rig import esp, packets, records
from tests.rig.change import Change
from tests.rig.config import Connection
from tests.rig.topology import Single
from tests.rig.watch import Watch

FAR = "10.7.0.1"
OLD, ELSEWHERE = 4500, ("203.0.113.9", 61000)


class Nomad:
    """A connection whose peer is behind a NAT, and that peer."""

    def __init__(self, rig, door, follow=True):
        self.rig, self.door = rig, door
        connection = Connection("nomad", rig.LOCAL[4], rig.PEER[4], [rig.RED_NETWORK[4]], ["10.7.0.0/16"], door.reserve()[0], 0x5000)
        sas = records.pair(connection, 1, connection.spi_in, 0x5000, seed=os.urandom(8).hex())
        self.sas = [dataclasses.replace(sa, more={"udp_port": OLD, "follow": follow and sa.direction == records.INBOUND}) for sa in sas]
        door.install(install=self.sas, policies=[records.Policy("nomad", sas[0].selectors, sa="nomad")])
        inbound = sas[0]
        self.peer = esp.Sa(inbound.spi, inbound.remote, inbound.local, esp.ALGORITHMS[inbound.algorithm], inbound.key, inbound.esn)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.door.install(remove=[records.Removal("nomad", direction) for direction in (records.OUTBOUND, records.INBOUND)],
                          remove_policies=["nomad"])

    def sealed(self, number):
        return self.peer.esp(packets.udp(FAR, self.rig.HOST[4], b"from somewhere"), number)

    def send(self, octets, source, port):
        self.rig.red.drain()
        self.rig.from_black(packets.udp(source, self.rig.LOCAL[4], octets, sport=port, dport=4500))

    def arrives(self, number, source, port):
        self.send(self.sealed(number), source, port)
        return self.rig.red.receive(packets.is_ip_to(self.rig.HOST[4]), timeout=1) is not None

    def answer(self):
        """(address, UDP port, number) of what the gateway sends."""
        self.rig.black.drain()
        self.rig.from_red(packets.udp(self.rig.HOST[4], FAR, b"back"))
        frame = self.rig.black.receive(lambda one: packets.packet_of(one) and packets.Read(packets.packet_of(one)).protocol == packets.UDP)
        outer = packets.Read(packets.packet_of(frame))
        return outer.destination, struct.unpack_from("!H", outer.payload, 2)[0], struct.unpack_from("!I", outer.payload, 12)[0]

    def move(self, address, port):
        self.sas = [dataclasses.replace(sa, remote=address, more={**sa.more, "udp_port": port}) for sa in self.sas]
        self.door.install(update=self.sas)


@pytest.mark.parametrize("address, port", [ELSEWHERE, (Single.PEER[4], 61000), ("203.0.113.9", OLD)])
def test_a_peer_that_moves_is_followed(single, door, address, port):
    with Nomad(single, door) as nomad, Watch(single, "address_changed") as watch:
        assert nomad.arrives(1, single.PEER[4], OLD)
        assert nomad.answer() == (single.PEER[4], OLD, 1)
        assert watch.next(0.3) is None
        with Change(single.daemon) as change:
            assert nomad.arrives(5, address, port)
            told = watch.next()
            assert (told["connection"], told["direction"], told["spi"], told["sequence"]) == ("nomad", "inbound", nomad.peer.spi, 5)
            assert (told["peer"], told["udpPort"], told["newPeer"], told["newUdpPort"]) == (single.PEER[4], OLD, address, port)
            assert nomad.answer() == (single.PEER[4], OLD, 2), "until the door says otherwise"
            for number in range(6, 30):
                assert nomad.arrives(number, address, port)
            change.expect({})
        assert watch.next(0.5) is None, "one event in five seconds"

        nomad.move(address, port)
        assert nomad.answer() == (address, port, 3), "the numbers go on"
        assert nomad.arrives(30, address, port)
        with Change(single.daemon) as change:
            nomad.send(nomad.sealed(29), address, port)
            change.expect({"replayed": 1})
        assert nomad.arrives(31, single.PEER[4], OLD), "one that was on its way longer"
        rows = {row["direction"]: row for row in single.daemon.ask("sa")["sas"] if row["name"] == "nomad"}
        for row in rows.values():
            assert (row["remote"], row["udpPort"]) == (address, port)
        assert (rows["outbound"]["packets"], rows["inbound"]["packets"]) == (3, 28)


def test_copies_and_forgeries_move_nobody(single, door):
    with Nomad(single, door) as nomad, Watch(single, "address_changed") as watch:
        assert nomad.arrives(10, single.PEER[4], OLD)
        for place in (ELSEWHERE, (single.PEER[4], 61000)):
            with Change(single.daemon) as change:
                nomad.send(nomad.sealed(10), *place)
                change.expect({"replayed": 1})
            with Change(single.daemon) as change:
                forged = bytearray(nomad.sealed(1000))
                forged[-1] ^= 1
                nomad.send(bytes(forged), *place)
                change.expect({"bad_icv": 1})
        assert nomad.arrives(8, *ELSEWHERE), "authentic, but somebody may have held it back"
        assert nomad.arrives(9, single.PEER[4], 61000)
        with Change(single.daemon) as change:
            single.from_black(packets.ip(ELSEWHERE[0], single.LOCAL[4], packets.ESP, nomad.sealed(11)))
            change.expect({"wrong_outer_address": 1})
        assert watch.stop() == []


def test_who_does_not_follow_goes_on_as_before(single, door):
    with Nomad(single, door, follow=False) as nomad, Watch(single, "address_changed") as watch:
        with Change(single.daemon) as change:
            nomad.send(nomad.sealed(1), *ELSEWHERE)
            change.expect({"wrong_outer_address": 1})
        assert nomad.arrives(2, single.PEER[4], 61000), "the port was never compared"
        assert watch.stop() == []


def test_only_behind_a_nat(single, door):
    connection = Connection("bare", single.LOCAL[4], single.PEER[4], [single.RED_NETWORK[4]], ["10.7.0.0/16"], door.reserve()[0], 0x5000)
    sa = dataclasses.replace(records.pair(connection, 1, connection.spi_in, 0x5000)[0], more={"follow": True})
    with pytest.raises(records.Failed) as failed:
        door.install(install=[sa])
    assert failed.value.place == "install[0] follow"


def test_the_next_process_knows_where_the_peer_is():
    with Single() as rig:
        rig.start([], holder=True)
        with records.Door(rig.daemon.control) as door:
            nomad = Nomad(rig, door)
            assert nomad.arrives(1, *ELSEWHERE)
            assert nomad.answer()[2] == 1
            nomad.move(*ELSEWHERE)
        rig.daemon.kill()
        rig.daemon.start()
        assert nomad.arrives(2, *ELSEWHERE)
        assert nomad.answer() == (*ELSEWHERE, 2)
        with Watch(rig, "address_changed") as watch:
            assert nomad.arrives(100, "198.51.100.7", 4999), "it follows still"
            told = watch.next()
        assert (told["peer"], told["newPeer"]) == (ELSEWHERE[0], "198.51.100.7")
