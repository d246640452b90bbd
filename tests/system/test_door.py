# SPDX-License-Identifier: Apache-2.0
"""The door of those who negotiate keys: SAs and policies by records beside Varlink calls, as the key exchange brings them."""

import fcntl
import os
import struct
import subprocess
import time

import pytest

from tests.rig import packets, records
from tests.rig.config import Connection
from tests.rig.net import until
from tests.rig.topology import Pair

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def child(rig, door, number, name="keyed", spi_out=0x5000, remote="10.7.0.0/16"):
    """Inbound and outbound SA of a child with an SPI that the gateway chose, and their Connection for the peer's side."""
    connection = Connection(name, rig.LOCAL[4], rig.PEER[4], [rig.RED_NETWORK[4]], [remote], door.reserve()[0], spi_out)
    return records.pair(connection, number, connection.spi_in, spi_out, seed=os.urandom(8).hex())  # no key seals twice


def policy(sas, name="keyed", **more):
    return records.Policy(name, sas[0].selectors, sa=sas[0].name, **more)


def rows(rig, name="keyed"):
    return {(row["direction"], row["child"]): row for row in rig.daemon.ask("sa")["sas"] if row["name"] == name}


def sealed(rig, far="10.7.0.1", timeout=2.0):
    """SPI and number of what leaves for it; nothing within the time: None."""
    rig.black.drain()
    rig.from_red(packets.udp(rig.HOST[4], far, b"x"))
    frame = rig.black.receive(packets.is_esp, timeout=timeout)
    return frame and struct.unpack("!II", packets.Read(packets.packet_of(frame)).payload[:8])


def remove_all(door, name="keyed", children=(1,), policies=("keyed",)):
    door.install(remove=[records.Removal(name, direction, number) for number in children for direction in (0, 1)],
                 remove_policies=policies)


def test_a_child_comes_and_goes(single, door):
    sas = child(single, door, 1)
    door.install(install=sas, policies=[policy(sas)])
    assert sealed(single) == (0x5000, 1)
    assert sealed(single) == (0x5000, 2)
    found = rows(single)
    assert {row["state"] for row in found.values()} == {"outbound-switched"}
    assert {row["generation"] for row in found.values()} == {door.generation} == {single.daemon.ask("status")["keyGeneration"]}
    assert found[("inbound", 1)]["spi"] == sas[0].spi
    assert [row["name"] for row in single.daemon.ask("policy")["policies"] if row.get("sa") == "keyed"] == [policy(sas).name]
    remove_all(door)
    assert rows(single) == {}
    assert sealed(single, timeout=0.2) is None
    assert sealed(single, "10.2.0.1")[0] == 0x2001, "the connection of the configuration goes on"


def test_what_is_wrong_is_named_and_changes_nothing(single, door):
    sas = [*child(single, door, 1), *child(single, door, 2)]
    good = records.call(install=sas, policies=[policy(sas)])
    before = single.daemon.ask("sa")["sas"]
    at = 64 + 3 * struct.calcsize(records.SA)  # of the last SA
    cases = [
        (good[:at + 72 + 4] + struct.pack("I", 255) + good[at + 80:], "install[3] spi"),
        (good[:at + 137] + b"\x02" + good[at + 138:], "install[3] direction"),
        (good[:-1], "header size"),
        (good[:8] + struct.pack("I", 9) + good[12:], "header version"),
        (records.call(install=[*sas[:2], sas[3]]), "install[2] child"),
        (records.call(install=sas[:2], policies=[policy(sas, vpn=77)]), "policy[0] vpn"),
        (records.call(install=[records.Sa("tunnel", 1, sas[0].spi, "192.0.2.1", "192.0.2.2", bytes(20), sas[0].selectors)]), "install[0] name"),
        (records.call(install=[records.Sa("new", 1, 0x1001, "192.0.2.1", "192.0.2.2", bytes(20), sas[0].selectors)]), "install[0] spi"),
        (records.call(remove=[records.Removal("nobody", 1)]), "remove[0] child"),
        (records.call(remove_policies=["nobody"]), "remove-policy[0] name"),
    ]
    for octets, place in cases:
        door.begin()
        door.send_install(octets)
        with pytest.raises(records.Failed) as failed:
            door.receive()
        assert failed.value.place == place, failed.value
    after = single.daemon.ask("sa")["sas"]
    assert [(row["name"], row["spi"]) for row in after] == [(row["name"], row["spi"]) for row in before]
    assert "keyed" not in {row["name"] for row in single.daemon.ask("policy")["policies"]}


def test_the_memfd_is_wiped_and_must_be_sealed_in_size_only(single, door):
    sas = child(single, door, 1)
    octets = records.call(install=sas[:1])
    for seals, part in ((0, "size is not sealed"), (fcntl.F_SEAL_GROW, "size is not sealed"), (SEALS | fcntl.F_SEAL_WRITE, "could not be wiped")):
        memfd = records.sealed(octets, seals)
        door.begin()
        door.send_install(octets, descriptor=memfd)
        with pytest.raises(records.Failed, match=part):
            door.receive()
        os.close(memfd)
    for wrong in (octets, octets[:-1]):  # taken, refused: wiped
        memfd = records.sealed(wrong)
        door.begin()
        door.send_install(wrong, descriptor=memfd)
        if wrong == octets:
            door.receive()
        else:
            with pytest.raises(records.Failed):
                door.receive()
        assert os.pread(memfd, len(wrong), 0) == bytes(len(wrong))
        os.close(memfd)
    door.begin()
    door.send("Install", {"version": 1, "generation": door.generation, "count": 1})
    with pytest.raises(records.Failed, match="no memfd"):
        door.receive()
    door.install(remove=[records.Removal("keyed", records.INBOUND)])


def test_calls_of_one_generation_are_committed_together(single, door):
    first, second = child(single, door, 1), child(single, door, 1, "other", 0x6000, "10.8.0.0/16")
    door.begin()
    door.send_install(records.call(install=first), hold=True)
    door.send_install(records.call(install=second, policies=[policy(first), policy(second, "other")]), hold=True)
    assert door.receive() == door.receive() == {"generation": door.generation}
    assert rows(single) == {}
    assert door.ask("Commit", generation=door.generation) == {"generation": door.generation}
    assert sealed(single) == (0x5000, 1)
    assert sealed(single, "10.8.0.1") == (0x6000, 1)
    remove_all(door)
    remove_all(door, "other", policies=("other",))
    with pytest.raises(records.Failed, match="nothing of this generation"):
        door.ask("Commit", generation=door.generation)
    # One that is refused ends its generation, though the commit was already on its way.
    door.begin()
    sas = child(single, door, 1)
    door.send_install(records.call(install=sas[:1]), hold=True)
    door.send_install(records.call(install=sas[1:])[:-1], hold=True)
    door.send("Commit", {"generation": door.generation})
    door.receive()
    for _ in range(2):
        with pytest.raises(records.Failed):
            door.receive()
    assert rows(single) == {}


def test_what_is_held_dies_with_its_connection(single, door):
    sas = child(single, door, 1)
    with records.Door(single.daemon.control) as other:
        generation = other.begin()
        other.send_install(records.call(install=sas), hold=True)
        other.receive()
    with pytest.raises(records.Failed, match="nothing of this generation"):
        door.ask("Commit", generation=generation)
    door.install(install=sas)  # the same SPIs and number
    remove_all(door, policies=())


def test_calls_are_pipelined(single, door):
    door.begin()
    sas = [child(single, door, number, spi_out=0x5000 + number) for number in range(1, 9)]
    for pair in sas:
        door.send_install(records.call(install=pair))
        door.generation += 1
    answers = [door.receive()["generation"] for _ in sas]
    assert answers == list(range(answers[0], answers[0] + 8))
    assert rows(single)[("outbound", 7)]["state"] == "outbound-retired"
    remove_all(door, children=range(1, 9), policies=())


def test_a_packet_on_a_reserved_spi_is_an_event(single, door):
    before = single.daemon.counters()
    spi = door.reserve(4, 16)
    assert all(first % 16 == 0 and 256 <= first < 1 << 31 for first in spi)
    single.from_black(packets.ip(single.PEER[4], single.LOCAL[4], 50, struct.pack("!II", spi[2] + 7, 1) + bytes(64)))
    until(lambda: single.daemon.counters().drops_since(before) == {"reserved_spi": 1}, what="the packet is counted")
    until(lambda: f"{spi[2] + 7:#010x}, which is reserved" in single.daemon.said(), what="it is told")
    assert door.ask("ReleaseSpis", spis=[first + i for first in spi for i in range(16)]) == {"released": 64}
    single.from_black(packets.ip(single.PEER[4], single.LOCAL[4], 50, struct.pack("!II", spi[2] + 7, 1) + bytes(64)))
    until(lambda: single.daemon.counters().drops_since(before) == {"reserved_spi": 1, "unknown_spi": 1}, what="it is unknown again")


def test_ike_spis_are_kept(single, door):
    door.ask("AddIkeSpis", spis=[f"{number:016x}" for number in range(1, 1001)], generation=3)
    answer = door.ask("IkeSpis", first=990)
    assert answer["total"] == 1000 and [entry["spi"] for entry in answer["spis"]] == [f"{number:016x}" for number in range(991, 1001)]
    assert door.ask("RemoveIkeSpis", spis=[f"{number:016x}" for number in range(1, 1001)]) == {"removed": 1000}


def test_a_reload_leaves_keyed_children_alone(single, door):
    sas = child(single, door, 1)
    door.install(install=sas, policies=[policy(sas)])
    assert sealed(single) == (0x5000, 1)
    single.daemon.sallyport("reload", "--socket", single.daemon.control)
    assert sealed(single) == (0x5000, 2)
    remove_all(door)


TALK = """
import socket, struct, sys, threading, time
near, far, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
link.bind((near, 7000))
link.settimeout(0.5)
seen, sent, silent, done = [], 0, 0, threading.Event()
def hear():
    global silent
    while not done.is_set() or silent < 3:
        try:
            seen.append(struct.unpack("!I", link.recv(64))[0])
            silent = 0
        except TimeoutError:
            silent += done.is_set()
listener = threading.Thread(target=hear)
listener.start()
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + seconds
while time.monotonic() < end:
    sent += 1
    link.sendto(struct.pack("!I", sent), (far, 7000))
    time.sleep(0.001)
done.set()
listener.join()
print(sent, len(seen), len(set(seen)), max(seen, default=0), flush=True)
"""


def test_new_keys_under_traffic_lose_no_packet():
    """Both hosts count aloud while both gateways get new keys eight times, each side when it comes to it."""
    with Pair() as rig:
        near = rig.connections()[0]
        rig.start([])
        doors = {side: records.Door(rig.daemon[side].control) for side in "AB"}
        sides = {"A": near, "B": near.mirrored()}

        def sas(number):
            spi = {side: door.reserve()[0] for side, door in doors.items()}
            return {side: records.pair(sides[side], number, spi[side], spi["B" if side == "A" else "A"]) for side in "AB"}

        now = sas(1)
        for side, door in doors.items():
            door.install(install=now[side], policies=[policy(now[side])])
        rig.pings("4in4", 3)  # neighbours are known
        hosts = {side: subprocess.Popen(rig.host[side].command("python3", "-c", TALK, rig.HOSTS[side]["4in4"],
                                                               rig.HOSTS["B" if side == "A" else "A"]["4in4"], 3),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for side in "AB"}
        for host in hosts.values():
            assert host.stdout.readline().strip() == "ready"
        for host in hosts.values():
            host.stdin.write("go\n")
            host.stdin.flush()
        name = near.name
        for number in range(2, 10):
            then = sas(number)
            for side in "BA":
                doors[side].install(install=then[side][:1])
            for side in "AB":
                doors[side].install(install=then[side][1:])
                states = {row["child"]: row["state"] for row in rig.daemon[side].ask("sa")["sas"]}
                assert states[number] == "outbound-switched" and states[number - 1] == "outbound-retired"
                time.sleep(0.05)
            for side in "AB":
                doors[side].install(remove=[records.Removal(name, records.INBOUND, number - 1, drain=500)])
        said = {side: [int(word) for word in host.communicate(timeout=20)[0].split()] for side, host in hosts.items()}
        for side, other in ("AB", "BA"):
            sent, (_, come, different, last) = said[side][0], said[other]
            assert sent > 500
            assert (come, different, last) == (sent, sent, sent), (said, {one: rig.daemon[one].counters().drops for one in "AB"})
        for side in "AB":
            assert rig.daemon[side].counters().drops == {}
            until(lambda side=side: {row["child"] for row in rig.daemon[side].ask("sa")["sas"]} == {9}, what="the old children are gone")
            doors[side].close()
