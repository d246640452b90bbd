# SPDX-License-Identifier: Apache-2.0
"""Every algorithm, with 32-bit and extended numbers, outside in both families, against code that is not ours: Scapy both ways, tshark on what
the gateway sent, and the writer of tests/rig/esp.py, which alone knows implicit IVs."""

import itertools
import logging
import struct

import pytest

from tests.rig import ah, esp, packets
from tests.rig.change import Change
from tests.rig.net import run, until

logging.getLogger("scapy").setLevel(logging.ERROR)

CASES = [(name, extended, outer) for name in esp.ALGORITHMS for extended in (False, True) for outer in (4, 6)]
OF_SCAPY = [case for case in CASES if esp.ALGORITHMS[case[0]].scapy]


def label(case):
    return f"{case[0]}-{'esn' if case[1] else '32'}-over{case[2]}"


def connections(rig):
    """One connection a case, each with a network of its own behind the peer."""
    return [rig.connection(label(case), case[2], number, algorithm=case[0], esn=case[1],
                           remote_networks=[f"10.2.{number}.0/24", f"2001:db8:2:{number}::/64"]) for number, case in enumerate(CASES, 1)]


CONNECTIONS = connections
_sizes = itertools.count(1)


def inner(rig, case, out, family, octets=100):
    number = CASES.index(case) + 1
    far = f"10.2.{number}.9" if family == 4 else f"2001:db8:2:{number}::9"
    ends = (rig.HOST[family], far) if out else (far, rig.HOST[family])
    return packets.sized(*ends, octets, ttl=64)


def one_hop_less(packet):
    """The packet as a router leaves it."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes([packet[7] - 1]) + packet[8:]
    header = packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + b"\0\0" + packet[12:20]
    return header[:10] + struct.pack("!H", packets.checksum(header)) + header[12:] + packet[20:]


def send_out(rig, case, packet):
    """What the gateway makes of a red packet: the outer packet."""
    rig.from_red(packet)
    spi = rig.connections[label(case)].spi_out

    def ours(frame):
        outer = packets.packet_of(frame)
        return outer is not None and packets.Read(outer).protocol == packets.ESP and struct.unpack("!I", packets.Read(outer).payload[:4])[0] == spi

    frame = rig.black.receive(ours)
    assert frame is not None, "nothing came out of the black port"
    return packets.packet_of(frame)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_what_we_seal_is_opened(single, case):
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    sa = single.connections[label(case)].sent()
    for family in (4, 6):
        packet = inner(single, case, True, family, 90 + next(_sizes) % 40)
        outer = send_out(single, case, packet)
        if case in OF_SCAPY:
            opened = bytes(sa.scapy().decrypt((IPv6 if case[2] == 6 else IP)(outer)))
            assert opened[: len(packet)] == one_hop_less(packet)
        mine, number, following, _ = sa.open(outer)
        assert mine == one_hop_less(packet)
        assert following == (4 if family == 4 else 41)
        assert number >= 1
        if sa.algorithm.aead and sa.algorithm.iv:  # the IV is the 64-bit sequence number
            assert packets.Read(outer).payload[8:16] == struct.pack("!Q", number)
        assert packets.Read(outer).checksum_good


@pytest.mark.parametrize("case", CASES, ids=label)
def test_we_open_what_others_seal(single, case):
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6

    sa = single.connections[label(case)].taken()
    for number, family in enumerate((4, 6), 1):
        packet = inner(single, case, False, family, 90 + next(_sizes) % 40)
        sealed = sa.seal(packet, number)
        if case in OF_SCAPY:
            sealed = bytes(sa.scapy().encrypt((IP if family == 4 else IPv6)(packet), seq_num=number))
        with Change(single.daemon) as change:
            single.from_black(sealed)
            frame = single.red.receive(packets.is_ip_to(single.HOST[family]))
            assert frame is not None, f"nothing came out of the red port: {change.drops()}"
        assert packets.packet_of(frame) == one_hop_less(packet)


@pytest.mark.parametrize("case", [case for case in CASES if case[1:] == (True, 4) and "192" not in case[0] and "256-" not in case[0]], ids=label)
def test_high_half_of_extended_numbers(single, case):
    """From 1 to beyond 2^32 by two jumps; a wrong high half fails. A jump beyond the durable mark is taken
    when the mark has followed, so that the sender's next try passes."""
    sa = single.connections[label(case)].taken()
    packet = inner(single, case, False, 4)

    def passes(sealed):
        single.from_black(sealed)
        return single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.1)

    for high, low, good in ((0, 0xF0000000, True), (0, 0x00000005, False), (1, 0x00000005, True), (1, 0x00000006, True)):
        sealed = sa.seal(packet, high << 32 | low)
        with Change(single.daemon) as change:
            if good:
                until(lambda s=sealed: passes(s), 5, f"{high} {low:#x} is taken")
                assert set(change.drops()) <= {"mark_not_durable"}
            else:
                single.from_black(sealed)
                change.expect({"bad_icv": 1})


def test_tshark_decrypts_what_we_seal(single, tmp_path):
    """The records of all cases that tshark knows, in one file: every ICV good, every inner packet shown."""
    frames, rows = [], []
    for case in CASES:
        sa = single.connections[label(case)].sent()
        if not sa.tshark():
            continue
        rows += ["-o", f"uat:esp_sa:{sa.tshark()}"]
        for family in (4, 6):
            outer = send_out(single, case, inner(single, case, True, family))
            frames.append(b"\2" * 12 + (b"\x86\xdd" if case[2] == 6 else b"\x08\x00") + outer)
    path = tmp_path / "sealed.pcap"
    with open(path, "wb") as file:
        file.write(struct.pack("IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, frame in enumerate(frames):
            file.write(struct.pack("IIII", number, 0, len(frame), len(frame)) + frame)
    said = run("tshark", "-r", path, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", *rows, "-T",
               "fields", "-e", "esp.icv_good", "-e", "esp.icv_bad", "-e", "udp.dstport", timeout=40).stdout.splitlines()
    assert len(said) == len(frames) > 40
    for line in said:
        good, bad, port = line.split("\t")
        assert (good, bad, port) == ("1", "0", "5000") or (good, bad, port) == ("True", "False", "5000"), said


AH_OF_SCAPY = [(name, extended, outer) for name, row in esp.ALGORITHMS.items() if name.startswith("null-") and not row.gmac
               for extended in (False, True) for outer in (4, 6)]


@pytest.mark.parametrize("case", AH_OF_SCAPY, ids=label)
def test_the_writer_of_ah_against_scapy(case):
    """tests/rig/ah.py, with options of both kinds before the AH."""
    from scapy.layers.inet import IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import AH, SecurityAssociation

    name, extended, outer = case
    row = esp.ALGORITHMS[name]
    ends = ("192.0.2.2", "192.0.2.1") if outer == 4 else ("2001:db8:a::2", "2001:db8:a::1")
    sa = ah.Sa(0x1234, *ends, row, bytes(range(row.material)), extended)
    other = SecurityAssociation(AH, spi=sa.spi, auth_algo=row.scapy_auth, auth_key=sa.key, esn_en=extended, esn=5 if extended else 0,
                                tunnel_header=(IP if outer == 4 else IPv6)(src=ends[0], dst=ends[1]))
    inner = packets.udp("10.2.0.9", "10.1.0.9", b"the same octets")
    number = 5 << 32 | 9 if extended else 9
    assert bytes(other.decrypt((IP if outer == 4 else IPv6)(sa.seal(inner, number)))) == inner
    sealed = bytes(other.encrypt(IP(inner), seq_num=9))
    assert sa.open(sealed, 5 if extended else 0) == (inner, number, 4)
    before = {"before": bytes([7, 7, 4, 1, 2, 3, 4, 1])} if outer == 4 else {"before": bytes([packets.AH, 0, 0x3E, 4, 1, 2, 3, 4]), "first": 0}
    assert bytes(other.decrypt((IP if outer == 4 else IPv6)(sa.seal(inner, number, **before)))) == inner


@pytest.mark.parametrize("extended, icv", [(False, "182bf6b19e92681aa5cde4ec1503bf4a"), (True, "4e78c542240c3030a1755f53b2262dad")])
def test_the_writer_of_ah_with_gmac(extended, icv):
    """Which no other program has: a known answer, made straight from RFC 4543 with another library."""
    sa = ah.Sa(0x1234, "192.0.2.10", "198.51.100.20", esp.ALGORITHMS["null-aes-128-gmac"], bytes(range(20)), extended)
    packet = sa.seal(bytes.fromhex("13881389000c000052495341"), (5 << 32 if extended else 0) | 9, next_header=17, iv=bytes(range(8)), tos=0xB8,
                     ttl=61, identification=0x1234, flags=2)
    assert packet[40:56].hex() == icv
