# SPDX-License-Identifier: Apache-2.0
"""Transport and BEET mode, and AH, on the wire: what the gateway itself says to its peer, and what hosts say, held against Scapy."""

import logging
import struct
import subprocess

import pytest

from tests.rig import config, packets
from tests.rig.change import Change
from tests.rig.config import Connection
from tests.rig.topology import Single

logging.getLogger("scapy").setLevel(logging.ERROR)

TRANSPORT = {"mode": "transport"}
AH = {"security-protocol": "ah"}
HOSTS = {"beet4": ("10.1.0.2", "10.2.8.9"), "beet6": ("2001:db8:1::2", "2001:db8:2:8::9")}
ALGORITHM = {"esp": "aes-256-cbc-hmac-sha2-256", "ah": "null-hmac-sha2-384", "cmac": "null-aes-cmac"}


def connections(rig):
    """A connection in transport mode takes all that goes to its peer, so each has a peer of its own."""
    made = []

    def add(name, remote, near, far, algorithm="esp", more=None):
        number = len(made) + 1
        made.append(Connection(name, "2001:db8:a::1" if ":" in remote else "192.0.2.1", remote, near, far, 0x1000 + number, 0x2000 + number,
                               ALGORITHM[algorithm], more=more or {}))

    for number, (name, algorithm, more) in enumerate((("esp", "esp", {}), ("ah", "ah", AH), ("cmac", "cmac", AH)), 3):
        for family, here, there in ((4, "192.0.2.1", f"192.0.2.{number}"), (6, "2001:db8:a::1", f"2001:db8:a::{number}")):
            add(f"{name}{family}", there, [here], [there], algorithm, TRANSPORT | more)
    for name, (near, far) in HOSTS.items():
        add(name, "192.0.2.2", [near], [far], more={"mode": "beet"})
    add("tunnel4", "192.0.2.2", ["10.1.0.0/24"], ["10.2.0.0/24"], "ah", AH)
    add("tunnel6", "2001:db8:a::2", ["10.1.0.0/24"], ["10.2.1.0/24"], "cmac", AH)
    return made


CONNECTIONS = connections
TRANSPORTS = ("esp4", "esp6", "ah4", "ah6", "cmac4", "cmac6")


@pytest.fixture(scope="module", autouse=True)
def neighbours(single):
    for number in (3, 4, 5):
        single.gw.neighbour("black", f"192.0.2.{number}", single.black.mac)
        single.gw.neighbour("black", f"2001:db8:a::{number}", single.black.mac)


def scapy_sa(connection, outwards, tunnel=False):
    """The same SA in Scapy."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import AH as ScapyAH, ESP, SecurityAssociation

    key = connection.key_out if outwards else connection.key_in
    spi = connection.spi_out if outwards else connection.spi_in
    ends = (connection.local, connection.remote) if outwards else (connection.remote, connection.local)
    more = {"tunnel_header": (IPv6 if ":" in ends[0] else IP)(src=ends[0], dst=ends[1])} if tunnel else {}
    more |= {"spi": spi, "esn_en": True, "esn": 0}
    row = connection.row
    auth = {"auth_algo": row.scapy_auth, "auth_key": key[row.key :]}
    if connection.more.get("security-protocol") == "ah":
        return SecurityAssociation(ScapyAH, **auth, **more)
    return SecurityAssociation(ESP, crypt_algo="AES-CBC", crypt_key=key[: row.key], **auth, **more)


def opened_by_scapy(connection, packet, tunnel=False):
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    return bytes(scapy_sa(connection, True, tunnel).decrypt((IPv6 if packet[0] >> 4 == 6 else IP)(packet)))


def sealed_by_scapy(connection, packet, number, tunnel=False):
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    return bytes(scapy_sa(connection, False, tunnel).encrypt((IPv6 if packet[0] >> 4 == 6 else IP)(packet), seq_num=number))


ECHO = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
link = socket.socket(family, socket.SOCK_DGRAM)
link.bind((sys.argv[1], 7000))
print("ready", flush=True)
while True:
    data, peer = link.recvfrom(65536)
    link.sendto(data[::-1], peer)
"""


@pytest.fixture(scope="module")
def echo(single):
    """A program on the gateway that answers datagrams, at its addresses on the black side."""
    servers = []
    for address in ("192.0.2.1", "2001:db8:a::1"):
        servers.append(subprocess.Popen(single.gw.command("python3", "-c", ECHO, address), stdout=subprocess.PIPE, text=True))
        assert servers[-1].stdout.readline() == "ready\n"
    yield
    for server in servers:
        server.kill()
        server.communicate()


def ipsec_to(single, address, timeout=5):
    def wanted(frame):
        packet = packets.packet_of(frame)
        return packet is not None and packets.Read(packet).destination == address and packets.Read(packet).protocol not in (packets.UDP, packets.ICMP6)

    return packets.packet_of(single.black.receive(wanted, timeout=timeout) or b"\0" * 14) or None


@pytest.mark.parametrize("name", TRANSPORTS)
def test_the_gateway_itself_talks_to_its_peer(single, echo, name):
    connection = single.connections[name]
    payload = f"in transport mode, {name}".encode()
    request = packets.udp(connection.remote, connection.local, payload, sport=4000, dport=7000)
    single.from_black(sealed_by_scapy(connection, request, 1))
    answer = ipsec_to(single, connection.remote)
    assert answer is not None, f"no answer: {single.daemon.counters().drops}"
    outer = packets.Read(answer)
    assert (outer.source, outer.protocol) == (connection.local, packets.ESP if name.startswith("esp") else packets.AH)
    assert outer.checksum_good
    inner = packets.Read(opened_by_scapy(connection, answer))
    assert (inner.source, inner.destination, inner.protocol) == (connection.local, connection.remote, packets.UDP)
    assert inner.payload[8:] == payload[::-1]
    assert packets.checksum(packets.pseudo(inner.source, inner.destination, packets.UDP, len(inner.payload)) + inner.payload) == 0


@pytest.mark.parametrize("name", ["esp4", "esp6", "ah4"])
def test_a_large_datagram_goes_whole_in_pieces(single, echo, name):
    """The kernel cuts what it sends; the SA seals it whole, and the sealed packet is cut (RFC 4303 3.3.4)."""
    connection = single.connections[name]
    contents = bytes(i % 251 for i in range(2500))
    inner = packets.udp(connection.remote, connection.local, contents, sport=4000, dport=7000)
    sealed = sealed_by_scapy(connection, inner, 2)
    for piece in pieces_of(sealed, 1200):
        single.from_black(piece)
    frames = single.black.collect(2, lambda frame: packets.packet_of(frame) is not None and
                                  packets.Read(packets.packet_of(frame)).destination == connection.remote, timeout=5)
    assert len(frames) == 2, f"{len(frames)} pieces: {single.daemon.counters().drops}"
    whole = joined([packets.packet_of(frame) for frame in frames])
    assert packets.Read(opened_by_scapy(connection, whole)).payload[8:] == contents[::-1]


def pieces_of(packet, size):
    read = packets.Read(packet)
    for at in range(0, len(read.payload), size):
        more = at + size < len(read.payload)
        part = read.payload[at : at + size]
        if read.version == 4:
            yield packets.ipv4(read.source, read.destination, read.protocol, part, flags=int(more), offset=at, identification=read.identification)
        else:
            yield packets.ipv6(read.source, read.destination, 44, struct.pack("!BBHI", read.protocol, 0, at | more, 99) + part)


def joined(pieces):
    reads = sorted((packets.Read(piece) for piece in pieces), key=lambda read: read.offset if read.version == 4 else
                   struct.unpack_from("!H", read.payload, 2)[0])
    first = reads[0]
    if first.version == 4:
        # The identification is part of what AH covers.
        return packets.ipv4(first.source, first.destination, first.protocol, b"".join(read.payload for read in reads),
                            identification=first.identification)
    return packets.ipv6(first.source, first.destination, first.payload[0], b"".join(read.payload[8:] for read in reads))


@pytest.mark.parametrize("name", TRANSPORTS)
def test_what_was_changed_or_replayed_is_refused(single, echo, name):
    connection = single.connections[name]
    request = packets.udp(connection.remote, connection.local, b"once", sport=4000, dport=7000)
    sealed = sealed_by_scapy(connection, request, 10)
    single.from_black(sealed)
    assert ipsec_to(single, connection.remote) is not None
    with Change(single.daemon) as change:
        single.from_black(sealed)
        change.expect({"replayed": 1})
    with Change(single.daemon) as change:
        single.from_black(sealed_by_scapy(connection, request, 11)[:-1] + b"\xff")
        change.expect({"bad_icv": 1})


def test_the_peer_in_clear_is_refused(single):
    """RFC 4301 5.2: what a policy wants protected is not taken in clear, from the peer itself either."""
    with Change(single.daemon) as change:
        single.from_black(packets.udp("192.0.2.3", "192.0.2.1", b"in clear", dport=7000))
        change.expect({"black.protected_source": 1})


def esp_of(packet):
    return packets.Read(packet).payload


@pytest.mark.parametrize("name", HOSTS)
def test_beet_leaves_the_inner_header_at_home(single, name):
    near, far = HOSTS[name]
    connection = single.connections[name]
    inner = packets.udp(near, far, b"bound end to end", tos=0x28, ttl=44)
    single.from_red(inner)
    outer = ipsec_to(single, connection.remote)
    assert outer is not None, single.daemon.counters().drops
    read = packets.Read(outer)
    assert (read.protocol, read.ttl, read.tos) == (packets.ESP, 43, 0x28)
    text, _, following, _ = connection.sent().open(outer)
    assert following == packets.UDP
    assert text == packets.Read(inner).payload

    answer = packets.udp(far, near, b"and back")
    esp = connection.taken().esp(packets.Read(answer).payload, 1, next_header=packets.UDP)
    single.from_black(packets.ipv4(connection.remote, connection.local, packets.ESP, esp, ttl=50, tos=0x2B, identification=77))
    frame = single.red.receive(packets.is_ip_to(near))
    assert frame is not None, single.daemon.counters().drops
    opened = packets.Read(packets.packet_of(frame))
    assert (opened.source, opened.destination, opened.protocol) == (far, near, packets.UDP)
    assert (opened.ttl, opened.tos) == (49, 0x2B)
    assert opened.checksum_good
    assert opened.payload == packets.Read(answer).payload


def test_beet_carries_options_of_ipv4(single):
    """RFC 7402 B.3: the pseudo header, padded in front of the options."""
    near, far = HOSTS["beet4"]
    connection = single.connections["beet4"]
    options = bytes([148, 4, 0, 0])
    whole = packets.udp(near, far, b"with options")
    single.from_red(packets.ipv4(near, far, packets.UDP, packets.Read(whole).payload, options=options))
    text, _, following, _ = connection.sent().open(ipsec_to(single, connection.remote))
    assert following == 94
    assert text[:8] == bytes([packets.UDP, 0, 0, 0]) + options
    assert text[8:] == packets.Read(whole).payload

    longer = bytes([148, 4, 0, 0, 1, 1, 1, 1])
    pseudo = bytes([packets.UDP, 1, 4, 0, 1, 1, 1, 1]) + longer
    back = packets.udp(far, near, b"options back")
    esp = connection.taken().esp(pseudo + packets.Read(back).payload, 20, next_header=94)
    single.from_black(packets.ipv4(connection.remote, connection.local, packets.ESP, esp))
    opened = packets.packet_of(single.red.receive(packets.is_ip_to(near)))
    assert opened[20:28] == longer
    assert packets.Read(opened).payload == packets.Read(back).payload


@pytest.mark.parametrize("name", ["tunnel4", "tunnel6"])
def test_ah_in_tunnel_mode(single, name):
    connection = single.connections[name]
    far = "10.2.0.9" if name == "tunnel4" else "10.2.1.9"
    inner = packets.udp("10.1.0.2", far, b"authentic, and for all to read")
    single.from_red(inner)
    outer = ipsec_to(single, connection.remote)
    assert outer is not None, single.daemon.counters().drops
    opened = packets.Read(opened_by_scapy(connection, outer, tunnel=True))
    assert opened.payload == packets.Read(inner).payload
    assert opened.ttl == 63

    back = packets.udp(far, "10.1.0.2", b"so is the answer")
    single.from_black(sealed_by_scapy(connection, back, 5, tunnel=True))
    frame = single.red.receive(packets.is_ip_to("10.1.0.2"))
    assert frame is not None, single.daemon.counters().drops
    assert packets.Read(packets.packet_of(frame)).payload == packets.Read(back).payload


def test_ah_passes_routers_and_no_nat(single):
    connection = single.connections["tunnel4"]
    sealed = sealed_by_scapy(connection, packets.udp("10.2.0.9", "10.1.0.2", b"by many routers"), 30, tunnel=True)

    def header(packet, **fields):
        read = packets.Read(packet)
        return packets.ipv4(fields.get("source", read.source), read.destination, read.protocol, read.payload, ttl=fields.get("ttl", 64),
                            tos=fields.get("tos", 0), identification=fields.get("identification", read.identification))

    single.from_black(header(sealed, ttl=3, tos=0x48))
    assert single.red.receive(packets.is_ip_to("10.1.0.2")) is not None, single.daemon.counters().drops
    sealed = sealed_by_scapy(connection, packets.udp("10.2.0.9", "10.1.0.2", b"changed"), 31, tunnel=True)
    with Change(single.daemon) as change:
        single.from_black(header(sealed, identification=packets.Read(sealed).identification ^ 1))
        change.expect({"bad_icv": 1})
    with Change(single.daemon) as change:
        single.from_black(header(sealed, source="192.0.2.77"))
        change.expect({"wrong_outer_address": 1})


def test_sa_says_what_it_is(single):
    rows = {row["name"]: row for row in single.daemon.ask("sa")["sas"] if row["direction"] == "outbound"}
    assert (rows["ah6"]["protocol"], rows["ah6"]["mode"]) == ("ah", "transport")
    assert (rows["beet4"]["protocol"], rows["beet4"]["mode"]) == ("esp", "beet")
    assert (rows["tunnel4"]["protocol"], rows["tunnel4"]["mode"]) == ("ah", "tunnel")


@pytest.mark.parametrize("more, sentence", [
    ({"mode": "transport"}, "Transport mode carries what goes between the two outer addresses, nothing else"),
    ({"mode": "beet"}, "BEET mode carries what goes between one local and one remote address"),
    ({"security-protocol": "ah"}, "AH encrypts nothing: its algorithm is one without a cipher"),
    ({"security-protocol": "ah", "algorithm": "null-aes-cmac", "udp-port": 4500}, "AH does not go in UDP: a NAT would break its ICV"),
])
def test_what_contradicts_itself_is_refused(single, tmp_path, more, sentence):
    more = dict(more)
    connection = single.connection("wrong", number=90, algorithm=more.pop("algorithm", "aes-256-cbc-hmac-sha2-256"), more=more)
    path = tmp_path / "sallyport.toml"
    path.write_text(config.render({}, {"black": {"role": "black"}, "red": {"role": "red"}}, [connection]))
    path.chmod(0o600)
    result = single.daemon.sallyport("check", path, check=False)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "connection.wrong" in result.stderr
