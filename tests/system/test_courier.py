# SPDX-License-Identifier: Apache-2.0
"""IKE messages between the wire and sallyport-ike's two sockets: this test is the process at their other end."""

import ipaddress
import socket
import struct

import pytest

from tests.rig import packets, records
from tests.rig.change import Change
from tests.rig.net import until

START = {"start": False}
HEADER = struct.Struct("=IBBBBHHHHII16s16sQ")
LIMIT = 3.0


def message(spi_i, spi_r=0, initiator=True, size=60):
    return struct.pack("!QQBBBBII", spi_i, spi_r, 33, 0x20, 34, 0x08 if initiator else 0x20, 0, size) + bytes(size - 28)


def octets(address):
    return ipaddress.ip_address(address).packed.ljust(16, b"\0")


def record(local, remote, body, *, local_port=500, remote_port=500):
    version = ipaddress.ip_address(local).version
    return HEADER.pack(1, 1, 0, version, 0, 0, 0xFFFF, local_port, remote_port, 0, 0, octets(local), octets(remote), 0) + body


def counted(rig, name):
    return rig.daemon.counters().values[("packets", None, name)]


class Ike:
    """The two lines of sallyport-ike."""

    def __init__(self, directory):
        self.lines = {}
        for name in ("known", "first"):
            self.lines[name] = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.lines[name].connect(str(directory / f"ike-{name}"))
            self.lines[name].settimeout(LIMIT)

    def receive(self, line="first"):
        data = self.lines[line].recv(70000)
        fields = HEADER.unpack_from(data)
        version = fields[3]
        address = [str(ipaddress.ip_address(one[: 4 if version == 4 else 16])) for one in fields[11:13]]
        return {"local": (address[0], fields[7]), "remote": (address[1], fields[8]), "ecn": fields[2], "vpn": fields[5], "body": data[HEADER.size :]}

    def close(self):
        for line in self.lines.values():
            line.close()


@pytest.fixture(scope="module")
def rig(single):
    single.daemon.options = ["--ike-user", "root"]
    single.daemon.first_start()
    return single


def connected(rig):
    """The gateway has let it in as soon as a message comes through; what comes before that is dropped."""
    made = Ike(rig.daemon.run_directory)
    first = made.lines["first"]

    def through():
        rig.from_black(packets.udp(rig.PEER[4], rig.LOCAL[4], message(1), sport=500, dport=500))
        first.settimeout(0.05)
        try:
            return made.receive()
        except TimeoutError:
            return None

    until(through, timeout=5)
    try:
        while True:
            made.receive()  # what was sent once more
    except TimeoutError:
        first.settimeout(LIMIT)
    return made


@pytest.fixture
def ike(rig):
    made = connected(rig)
    yield made
    made.close()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [500, 4500])
def test_a_message_from_the_wire_comes_with_all_that_is_known_about_it(rig, ike, family, port):
    body = message(7, size=100)
    marker = bytes(4) if port == 4500 else b""
    rig.from_black(packets.udp(rig.PEER[family], rig.LOCAL[family], marker + body, sport=31000, dport=port, tos=3))
    came = ike.receive()
    assert came == {"local": (rig.LOCAL[family], port), "remote": (rig.PEER[family], 31000), "ecn": 3, "vpn": 0, "body": body}


def test_a_message_in_fragments_comes_whole(rig, ike):
    body = message(7, size=2500)
    whole = packets.udp(rig.PEER[4], rig.LOCAL[4], body, sport=500, dport=500)
    payload = packets.Read(whole).payload
    for offset in range(0, len(payload), 1400):
        more = offset + 1400 < len(payload)
        rig.from_black(packets.ipv4(rig.PEER[4], rig.LOCAL[4], packets.UDP, payload[offset : offset + 1400], flags=int(more), offset=offset,
                                    identification=77))
    assert ike.receive()["body"] == body


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("port", [500, 4500])
def test_a_message_of_ike_leaves_as_a_right_packet(rig, ike, family, port):
    body = message(7, 8, size=200)
    ike.lines["known"].send(record(rig.LOCAL[family], rig.PEER[family], body, local_port=port, remote_port=31000))
    frame = rig.black.receive(lambda frame: (packet := packets.packet_of(frame)) is not None and packets.Read(packet).protocol == packets.UDP)
    assert frame is not None, "nothing came out of the black port"
    outer = packets.Read(packets.packet_of(frame))
    assert (outer.source, outer.destination) == (rig.LOCAL[family], rig.PEER[family])
    assert struct.unpack_from("!HHH", outer.payload) == (port, 31000, len(outer.payload))
    assert packets.checksum(packets.pseudo(outer.source, outer.destination, packets.UDP, len(outer.payload)) + outer.payload) == 0
    assert outer.payload[8:] == (bytes(4) if port == 4500 else b"") + body


@pytest.mark.usefixtures("ike")
def test_an_unknown_spi_is_told_of_once_a_second(rig):
    with Change(rig.daemon) as change:
        for number in range(5):
            rig.from_black(packets.udp(rig.PEER[4], rig.LOCAL[4], message(7, 100 + number), sport=500, dport=500))
        change.expect([{"ike_unknown_spi": 4}, {"ike_unknown_spi": 5}])  # another test's may have been in this second


def test_what_it_has_told_goes_by_a_line_of_its_own(rig, ike):
    spis = [f"{0x77:016x}"]
    with records.Door(rig.daemon.control) as door:
        before = counted(rig, "ike_known")
        door.ask("AddIkeSpis", spis=spis, generation=1)
        rig.from_black(packets.udp(rig.PEER[4], rig.LOCAL[4], message(5, 0x77), sport=500, dport=500))
        assert ike.receive("known")["body"] == message(5, 0x77)
        assert counted(rig, "ike_known") == before + 1
        assert door.ask("RemoveIkeSpis", spis=spis)["removed"] == 1


def test_when_nobody_takes_them_they_are_dropped(rig):
    connected(rig).close()

    def dropped():
        with Change(rig.daemon) as change:
            rig.from_black(packets.udp(rig.PEER[4], rig.LOCAL[4], message(9), sport=500, dport=500))
            change.expect([{"ike_nobody_listening": 1}, {}], 0.5)
            return change.drops() == {"ike_nobody_listening": 1}

    until(dropped, timeout=5)


def test_what_it_must_not_send_does_not_leave(rig, ike):
    bad = [record("192.0.2.77", rig.PEER[4], message(7)), record(rig.LOCAL[4], rig.PEER[4], message(7), local_port=53), b"nonsense", bytes(5000)]
    for one in bad:
        ike.lines["first"].send(one)
    ike.lines["first"].send(record(rig.LOCAL[4], rig.PEER[4], message(42, 1)))
    frame = rig.black.receive(lambda frame: (packet := packets.packet_of(frame)) is not None and packets.Read(packet).protocol == packets.UDP)
    assert frame is not None and packets.packet_of(frame).endswith(message(42, 1))
    assert {name: counted(rig, f"ike_refused_{name}") for name in ("malformed", "source")} == {"malformed": 2, "source": 2}


def test_a_killed_gateway_is_found_again(rig):
    rig.daemon.kill()
    rig.daemon.start()
    again = connected(rig)
    rig.from_black(packets.udp(rig.PEER[4], rig.LOCAL[4], message(11), sport=500, dport=500))
    assert again.receive()["body"] == message(11)
    again.close()
