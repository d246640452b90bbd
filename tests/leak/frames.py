# SPDX-License-Identifier: Apache-2.0
"""Random frames of every kind that may come to a port, each with a mark that says where it came from, made fast."""

import re
import struct

from tests.rig import packets
from tests.rig.wire import mac_octets

# Behind the magic: a letter for the side, four octets of a number.
MAGIC = b"\xfaLeak"
MARK = re.compile(re.escape(MAGIC) + b"([A-Z])", re.S)

PROTOCOLS = (packets.UDP, packets.UDP, packets.UDP, packets.TCP, packets.ICMP, packets.ESP, packets.AH, 47, 253)
HOST_BITS = {4: (0, 1, 2, 3, 9, 77, 255), 6: (0, 1, 2, 3, 9, 0xFFFF)}


def marks(frame):
    """The sides whose marks a frame carries: one, or more where something quotes something."""
    return {letter.decode() for letter in MARK.findall(frame)}


class Maker:
    """`random`: a random.Random, so that a run can be told again by its seed."""

    def __init__(self, random):
        self.random = random
        self.number = 0

    def mark(self, side):
        self.number += 1
        return MAGIC + side.encode() + struct.pack("!I", self.number & 0xFFFFFFFF) + bytes(self.random.randrange(40))

    def near(self, network, family):
        """An address of that network (its packed first address): mostly one that somebody has."""
        size = len(network)
        base = int.from_bytes(network, "big")
        return (base + self.random.choice(HOST_BITS[family])).to_bytes(size, "big")

    def any(self, family):
        return self.random.randbytes(4 if family == 4 else 16)

    def segment(self, protocol, contents):
        """An upper-layer header that is whole enough to be parsed; checksums of UDP over IPv6 are wrong, which no gateway looks at."""
        random = self.random
        ports = struct.pack("!HH", random.choice((500, 4500, 4000, 53, random.randrange(65536))),
                            random.choice((500, 4500, 5000, 53, random.randrange(65536))))
        if protocol == packets.UDP:
            return ports + struct.pack("!HH", 8 + len(contents), 0) + contents
        if protocol == packets.TCP:
            return ports + struct.pack("!IIBBHHH", 1, 0, 0x50, random.choice((2, 16, 18)), 1000, 0, 0) + contents
        if protocol in (packets.ICMP, packets.ICMP6):
            return struct.pack("!BBHI", random.choice((0, 3, 8, 11, 128, 129)), random.randrange(4), 0, 7) + contents
        return random.randbytes(8) + contents

    def packet(self, family, source, destination, side):
        """An IP packet, perhaps a fragment, perhaps with options or extension headers."""
        random = self.random
        protocol = random.choice(PROTOCOLS)
        if protocol == packets.ICMP and family == 6:
            protocol = packets.ICMP6
        contents = self.segment(protocol, self.mark(side))
        fragment = random.random() < 0.15
        offset = random.choice((0, 0, 8, 64, 1400)) if fragment else 0
        more = int(fragment and (offset == 0 or random.random() < 0.5))
        if offset:
            contents = self.mark(side)
        if more:
            contents += bytes(-len(contents) % 8)
        hops = random.choice((1, 2, 64, 64, 64, 255))
        if family == 4:
            return self.ipv4(source, destination, protocol, contents, offset, more, hops)
        return self.ipv6(source, destination, protocol, contents, (offset, more) if fragment else None, hops)

    def ipv4(self, source, destination, protocol, contents, offset, more, hops):
        options = b"\x01" * (4 * self.random.randrange(3)) if self.random.random() < 0.1 else b""
        dont = self.random.getrandbits(1) if not (offset or more) else 0
        header = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(contents), self.number & 0xFFFF,
                             dont << 14 | more << 13 | offset // 8, hops, protocol, 0) + source + destination + options
        return header[:10] + struct.pack("!H", packets.checksum(header)) + header[12:] + contents

    def ipv6(self, source, destination, protocol, contents, fragment, hops):
        if fragment:
            offset, more = fragment
            contents = struct.pack("!BBHI", protocol, 0, offset | more, self.number & 0xFFFFFFFF) + contents
            protocol = 44
        if self.random.random() < 0.1:
            contents = bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + contents
            protocol = self.random.choice((0, 60))
        return struct.pack("!IHBB", 0x60000000, len(contents), protocol, hops) + source + destination + contents

    def frame(self, to, source_mac, packet):
        """An Ethernet frame, now and then with tags, to everybody, or cut short."""
        random = self.random
        tags = b""
        if random.random() < 0.06:
            for _ in range(random.choice((1, 1, 2))):
                tags += struct.pack("!HH", random.choice((0x8100, 0x88A8)), random.choice((0, 7, 100, random.randrange(4096))))
        kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
        station = mac_octets(to) if random.random() > 0.02 else random.choice((b"\xff" * 6, b"\x01\x00\x5e\x00\x00\x05", random.randbytes(6)))
        frame = station + mac_octets(source_mac) + tags + kind + packet
        return frame[: random.randrange(14, len(frame))] if random.random() < 0.02 else frame
