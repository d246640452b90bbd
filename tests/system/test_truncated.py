# SPDX-License-Identifier: Apache-2.0
"""Every kind of packet, on both sides, cut at every octet: as a broken sender leaves it, with lengths that say more than there is, and as an
attacker makes it, with lengths that fit. Each frame ends in one counter, and nothing of it comes out."""

import itertools
import os
import struct

import pytest

from tests.rig import ah, packets
from tests.rig.change import Change
from tests.rig.config import Connection
from tests.rig.net import RigError, until
from tests.rig.wire import ethernet

HOST, HOST6 = "10.1.0.2", "2001:db8:1::2"
LOCAL = {4: "192.0.2.1", 6: "2001:db8:a::1"}
PEER = {4: "192.0.2.2", 6: "2001:db8:a::2"}

GCM, CBC, GMAC, HMAC = "aes-128-gcm", "aes-128-cbc-hmac-sha2-256", "null-aes-128-gmac", "null-hmac-sha2-256"
IN_UDP = {"udp-port": 4500, "nat-keepalive": 0}
AH = {"security-protocol": "ah"}
# name -> (outer family, algorithm, mode, further keys)
SAS = {"esp4": (4, GCM, "tunnel", {}), "esp6": (6, GCM, "tunnel", {}), "cbc4": (4, CBC, "tunnel", {}),
       "udp4": (4, GCM, "tunnel", IN_UDP), "udp6": (6, CBC, "tunnel", IN_UDP),
       "ah4": (4, HMAC, "tunnel", AH), "ah6": (6, HMAC, "tunnel", AH), "gmac4": (4, GMAC, "tunnel", AH), "gmac6": (6, GMAC, "tunnel", AH),
       "beet4": (4, GCM, "beet", {}), "beet6": (6, CBC, "beet", {}),
       "own4": (4, CBC, "transport", {}), "own6": (6, GCM, "transport", {}),
       "own-ah4": (4, HMAC, "transport", AH), "own-ah6": (6, GMAC, "transport", AH)}
PLACE = {name: place for place, name in enumerate(SAS, 1)}
_numbers = itertools.count(1000)


def far(name):
    """A host behind the peer; in transport mode the peer itself."""
    outer, _, mode, _ = SAS[name]
    if mode == "transport":
        return ("192.0.2." if outer == 4 else "2001:db8:a::") + str(PLACE[name] + 10)
    return f"2001:db8:2:{PLACE[name]}::9" if name == "beet6" else f"10.2.{PLACE[name]}.9"


def near(name):
    outer, _, mode, _ = SAS[name]
    return LOCAL[outer] if mode == "transport" else HOST6 if name == "beet6" else HOST


def connection(name):
    outer, algorithm, mode, more = SAS[name]
    place = PLACE[name]
    networks = (["10.1.0.0/24"], [f"10.2.{place}.0/24"]) if mode == "tunnel" else ([near(name)], [far(name)])
    return Connection(name, LOCAL[outer], far(name) if mode == "transport" else PEER[outer], *networks, 0x1000 + place, 0x2000 + place, algorithm,
                      more={"mode": mode, **more})


def CONNECTIONS(rig):  # noqa: N802  (a hook of conftest)
    ports = rig.connection("dns", 4, 90, remote_networks=["10.2.90.0/24", "2001:db8:2:90::/64"], more={"protocol": "udp", "remote-ports": 53})
    any6 = rig.connection("any6", 6, 91, remote_networks=["2001:db8:2:91::/64"])
    return [*map(connection, SAS), ports, any6]


def whole(single, name, *, options=b"", extensions=b"", first=None):
    """A good packet of this SA as it is on the wire; `options` of IPv4 or `extensions` of IPv6 stand before the header of IPsec."""
    made = single.connections[name]
    outer, _, mode, more = SAS[name]
    inner = packets.udp(far(name), near(name), b"payload", dport=7007)
    payload, following = (inner, 4) if mode == "tunnel" else (packets.Read(inner).payload, packets.UDP)
    number = next(_numbers)
    ends = (made.remote, made.local)
    if more is AH:
        sa = ah.Sa(made.spi_in, *ends, made.row, made.key_in, made.esn)
        return sa.seal(payload, number, next_header=following, before=options + extensions, **({} if first is None else {"first": first}))
    esp = made.taken().esp(payload, number, next_header=following)
    if more is IN_UDP:
        return packets.udp(*ends, esp, sport=4500, dport=4500)
    if outer == 4:
        return packets.ipv4(*ends, packets.ESP, esp, options=options)
    return packets.ipv6(*ends, packets.ESP if first is None else first, extensions + esp)


def fitted(packet):
    """The packet with lengths and checksum of its IP header true to what is there; None where no header is left."""
    if len(packet) < (20 if packet[:1] < b"\x50" else 40):
        return None
    if packet[0] >> 4 == 6:
        return packet[:4] + struct.pack("!H", len(packet) - 40) + packet[6:]
    header = (packet[0] & 15) * 4
    if len(packet) < header:
        return None
    head = packet[:2] + struct.pack("!H", len(packet)) + packet[4:10] + b"\0\0" + packet[12:header]
    return head[:10] + struct.pack("!H", packets.checksum(head)) + head[12:] + packet[header:]


def cut_everywhere(single, packet, lengths, side="black", stop=None):
    """Sends every beginning of the frame around a packet, with its lengths as they were or made to fit; gives how many. `stop`: octets of the
    packet from which on it is one."""
    tap, mac = (single.black, single.gw_black_mac) if side == "black" else (single.red, single.gw_red_mac)
    frame = ethernet(mac, tap.mac, packet)
    pieces = [frame[:length] for length in range(14, 14 + (stop or len(packet)))]
    if lengths:
        cut = [fitted(piece[14:]) if len(piece) > 14 else None for piece in pieces]
        pieces = [frame[:14] + piece for piece in cut if piece is not None]
    for piece in pieces:
        tap.send(piece)
    return len(pieces)


def all_dropped(change, sent, allowed):
    """Every frame ended in exactly one counter, one of those."""

    def look():
        found = change.drops()
        return sum(found.values()), found

    try:
        until(lambda: look()[0] >= sent, 6)
    except RigError:
        raise AssertionError(f"{sent} frames were sent, dropped are {look()[1]}") from None
    count, found = look()
    assert count == sent, found
    assert set(found) <= set(allowed), found


@pytest.fixture(autouse=True)
def still_works(single):
    """After each test a good packet passes, and it is the next that does."""
    for name in SAS:
        if SAS[name][2] == "transport":
            single.gw.neighbour("black", far(name), single.black.mac)
    single.red.drain()
    single.black.drain()
    yield
    made = single.connections["esp4"]
    marker = packets.udp(far("esp4"), HOST, os.urandom(16))
    single.from_black(made.taken().seal(marker, next(_numbers)))
    frame = single.red.receive(packets.is_ip_to(HOST), timeout=3)
    assert frame is not None, "nothing came out of the red port"
    assert packets.Read(packets.packet_of(frame)).payload == packets.Read(marker).payload
    assert single.black.receive(packets.is_esp, timeout=0.02) is None


both = pytest.mark.parametrize("lengths", [False, True], ids=["as they were", "made to fit"])
LINK = {"black.bad_ip", "black.bad_link"}
SEALED = {"malformed_esp", "malformed_ah", "bad_icv"}


@both
@pytest.mark.parametrize("name", SAS)
def test_sealed(single, name, lengths):
    packet = whole(single, name)
    with Change(single.daemon) as change:
        sent = cut_everywhere(single, packet, lengths)
        all_dropped(change, sent, LINK | SEALED | {"black.bad_udp", "black.udp_short"})


ROUTER_ALERT = bytes([148, 4, 0, 0, 1, 1, 1, 1])


def headers(following):
    """Hop-by-hop options, then destination options."""
    return bytes([60, 0, 5, 2, 0, 0, 1, 0]) + bytes([following, 1, 1, 12, *bytes(12)])


@both
@pytest.mark.parametrize("name", ["esp4", "esp6", "ah4", "ah6", "gmac6", "beet4", "own4", "own6", "own-ah4", "own-ah6"])
def test_sealed_behind_options(single, name, lengths):
    more = {"options": ROUTER_ALERT}
    if SAS[name][0] == 6:
        more = {"extensions": headers(packets.AH if SAS[name][3] is AH else packets.ESP), "first": 0}
    packet = whole(single, name, **more)
    with Change(single.daemon) as change:
        sent = cut_everywhere(single, packet, lengths)
        all_dropped(change, sent, LINK | SEALED | {"black.bad_extension", "malformed_extension"})
    with Change(single.daemon) as change:
        single.from_black(packet)  # whole it was good
        change.opened(1)
    if SAS[name][2] == "transport":
        single.black.receive(packets.is_esp, timeout=0.3)  # our kernel has nobody at that port
    single.red.drain()


@both
@pytest.mark.parametrize("outer", [4, 6])
def test_ike(single, outer, lengths):
    for port, contents in ((4500, bytes(4) + bytes(28)), (500, bytes(28))):
        packet = packets.udp(PEER[outer], LOCAL[outer], contents, sport=port, dport=port)
        with Change(single.daemon) as change:
            sent = cut_everywhere(single, packet, lengths)
            all_dropped(change, sent, LINK | {"black.bad_udp", "black.udp_short", "black.bad_ike", "black.ike_unserved"})


@both
@pytest.mark.parametrize("name", ["esp4", "esp6", "udp4", "ah4", "ah6", "own6"])
def test_fragments(single, name, lengths):
    """The first fragment of a packet, and a later one: none of them ever becomes whole."""
    read = packets.Read(whole(single, name))
    for offset, more in ((0, 1), (64, 0)):
        if read.version == 4:
            packet = packets.ipv4(read.source, read.destination, read.protocol, read.payload[:64], flags=more, offset=offset, identification=offset)
        else:
            header = struct.pack("!BBHI", read.protocol, 0, offset | more, offset)
            packet = packets.ipv6(read.source, read.destination, 44, header + read.payload[:64])
        with Change(single.daemon) as change:
            sent = cut_everywhere(single, packet, lengths)
            all_dropped(change, sent, LINK | {"black.bad_extension", "black.bad_udp", "malformed_extension", "malformed_ip", "fragment_outer",
                                              "fragment_overlap", "fragment_limit", "fragment_tiny"})


@pytest.mark.parametrize("name, hidden, short, reason", [
    ("esp4", 0, 8, "icmp_mtu_unproven"), ("esp6", 0, 8, "icmp_mtu_unproven"), ("ah4", 0, 12, "icmp_mtu_unproven"),
    ("gmac6", 0, 12, "icmp_mtu_unproven"), ("udp4", 2, 16, "icmp_other"), ("udp6", 2, 16, "icmp_other")])
def test_quotes(single, name, hidden, short, reason):
    """ICMP errors that quote what was sent, the quote cut everywhere: with less than a whole IP header, or without a UDP port, they are no
    matter of IPsec; below `short` octets they show no SPI and number."""
    single.from_red(packets.udp(HOST, far(name), bytes(40)))
    outer = SAS[name][0]
    frame = single.black.receive(lambda one: packets.packet_of(one) is not None and packets.Read(packets.packet_of(one)).destination == PEER[outer])
    quote = packets.packet_of(frame)
    header = 20 if outer == 4 else 40
    with Change(single.daemon) as change:
        for length in range(len(quote) + 1):
            single.from_black(packets.icmp_error(PEER[outer], LOCAL[outer], *((3, 4) if outer == 4 else (2, 0)), quote[:length], 1500))
        all_dropped(change, len(quote) + 1 - header - hidden, {reason, "icmp_mtu_known"})
    assert change.drops()[reason] == short - hidden


@pytest.mark.parametrize("outer", [4, 6])
def test_icmp_errors(single, outer):
    """The whole message cut, its lengths made to fit: the checksum is then wrong."""
    quote = packets.ip(LOCAL[outer], PEER[outer], packets.ESP, struct.pack("!II", 0x2001, 1) + bytes(range(1, 41)))
    message = packets.icmp_error(PEER[outer], LOCAL[outer], *((3, 4) if outer == 4 else (2, 0)), quote, 1400)
    header = 20 if outer == 4 else 40
    with Change(single.daemon) as change:
        sent = 0
        for length in range(2 * header + 8, len(message)):
            single.from_black(fitted(message[:length]))
            sent += 1
        all_dropped(change, sent, {"icmp_malformed"})


INSIDE = {"malformed_inner", "bad_next_header"}


@pytest.mark.parametrize("name", [name for name in SAS if SAS[name][2] == "tunnel"])
def test_inside_of_tunnels(single, name):
    """What is authentic and cut short inside."""
    made, more = single.connections[name], SAS[name][3]
    inner = packets.udp(far(name), HOST, b"payload")
    with Change(single.daemon) as change:
        for length in range(len(inner)):
            number = next(_numbers)
            if more is AH:
                sa = ah.Sa(made.spi_in, made.remote, made.local, made.row, made.key_in, made.esn)
                single.from_black(sa.seal(inner[:length], number, next_header=4))
            else:
                single.from_black(made.taken().seal(inner[:length], number, next_header=4))
        all_dropped(change, len(inner), INSIDE)


@pytest.mark.parametrize("name", [name for name in SAS if SAS[name][2] != "tunnel"])
def test_inside_of_other_modes(single, name):
    """A datagram cut short behind the header that the mode gives it; in BEET mode the pseudo header too."""
    made, (_, _, mode, more) = single.connections[name], SAS[name]
    datagram = packets.Read(packets.udp(far(name), near(name), b"payload")).payload
    cases = [(datagram, packets.UDP)]
    if name == "beet4":
        cases.append((bytes([packets.UDP, 1, 4, 0, 1, 1, 1, 1]) + ROUTER_ALERT + datagram, 94))
    for payload, following in cases:
        with Change(single.daemon) as change:
            for length in range(len(payload)):
                number = next(_numbers)
                if more is AH:
                    sa = ah.Sa(made.spi_in, made.remote, made.local, made.row, made.key_in, made.esn)
                    single.from_black(sa.seal(payload[:length], number, next_header=following))
                else:
                    single.from_black(made.taken().seal(payload[:length], number, next_header=following))
            all_dropped(change, len(payload), INSIDE)


def red_packets():
    """name -> (packet, octets from which on it is one)."""
    far6 = "2001:db8:2:91::9"
    ends, ends6 = (HOST, far("esp4")), (HOST6, far6)
    upper = packets.Read(packets.udp(*ends6, b"payload")).payload
    return {"udp4": (packets.udp(*ends, b"payload"), None), "udp6": (packets.udp(*ends6, b"payload"), None),
            "udp4 with options": (packets.udp(*ends, b"payload", options=ROUTER_ALERT), None),
            "udp6 behind extension headers": (packets.ipv6(*ends6, 0, headers(packets.UDP) + upper), None),
            "tcp4": (packets.tcp(*ends, options=b"\2\4\5\xb4"), 40), "tcp6": (packets.tcp(*ends6), 60),
            "icmp4": (packets.echo(*ends, b"payload"), 28), "icmp6": (packets.echo(*ends6, b"payload"), 48),
            "for a tunnel over IPv6": (packets.udp(HOST, far("esp6"), b"payload"), None), "for AH": (packets.udp(HOST, far("ah4"), b"payload"), None),
            "for BEET": (packets.udp(HOST, far("beet4"), b"payload", options=ROUTER_ALERT), None),
            "for BEET over IPv6": (packets.udp(HOST6, far("beet6"), b"payload"), None)}


@both
@pytest.mark.parametrize("name", red_packets())
def test_red_side(single, name, lengths):
    packet, stop = red_packets()[name]
    with Change(single.daemon) as change:
        sent = cut_everywhere(single, packet, lengths, "red", stop)
        all_dropped(change, sent, {"red.bad_ip", "red.bad_link", "red.bad_udp", "red.bad_extension", "malformed_ip", "malformed_transport",
                                   "malformed_extension"})


@both
@pytest.mark.parametrize("family", [4, 6])
def test_red_fragments(single, family, lengths):
    """Their policy names a port: they wait for a first fragment that shows it."""
    there = "10.2.90.9" if family == 4 else "2001:db8:2:90::9"
    for offset, more in ((0, 1), (64, 0)):
        if family == 4:
            packet = packets.ipv4(HOST, there, packets.UDP, struct.pack("!HHHH", 4000, 54, 128, 0) + bytes(56), flags=more, offset=offset,
                                  identification=offset)
        else:
            header = struct.pack("!BBHI", packets.UDP, 0, offset | more, offset)
            packet = packets.ipv6(HOST6, there, 44, header + struct.pack("!HHHH", 4000, 54, 128, 0) + bytes(56))
        with Change(single.daemon) as change:
            sent = cut_everywhere(single, packet, lengths, "red")
            all_dropped(change, sent, {"red.bad_ip", "red.bad_link", "red.bad_extension", "malformed_ip", "malformed_extension",
                                       "malformed_transport", "fragment_inner", "fragment_tiny", "fragment_overlap", "fragment_limit", "no_policy"})
