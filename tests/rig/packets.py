# SPDX-License-Identifier: Apache-2.0
"""IP packets as octets, made and read without any library: the tests must also make packets that no library would."""

import ipaddress
import struct

UDP, ICMP, ICMP6, TCP, ESP, AH = 17, 1, 58, 6, 50, 51


def address(text):
    return ipaddress.ip_address(text).packed


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(source, destination, protocol, length):
    source, destination = address(source), address(destination)
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, protocol, length)
    return source + destination + struct.pack("!IHBB", length, 0, 0, protocol)


def ipv4(source, destination, protocol, payload, *, ttl=64, tos=0, flags=0, offset=0, identification=7, options=b"", total=None, ihl=None,
         version=4, wrong_checksum=False):
    """An IPv4 packet; `offset` in octets, `flags` 2 = DF, 1 = MF. What is given wrong on purpose goes out wrong."""
    words = (20 + len(options)) // 4 if ihl is None else ihl
    length = 20 + len(options) + len(payload) if total is None else total
    header = struct.pack("!BBHHHBBH", version << 4 | words, tos, length, identification, flags << 13 | offset // 8, ttl, protocol, 0)
    header += address(source) + address(destination) + options
    value = checksum(header) ^ (0x5555 if wrong_checksum else 0)
    return header[:10] + struct.pack("!H", value) + header[12:] + payload


def ipv6(source, destination, protocol, payload, *, hop_limit=64, traffic_class=0, flow_label=0, length=None, version=6):
    return struct.pack("!IHBB", version << 28 | traffic_class << 20 | flow_label, len(payload) if length is None else length, protocol,
                       hop_limit) + address(source) + address(destination) + payload


def ip(source, destination, protocol, payload, *, ttl=64, tos=0, **more):
    """Of the family of the addresses; the names of IPv4's fields for both."""
    if ":" in source:
        return ipv6(source, destination, protocol, payload, hop_limit=ttl, traffic_class=tos, **more)
    return ipv4(source, destination, protocol, payload, ttl=ttl, tos=tos, **more)


def udp(source, destination, payload=b"", *, sport=4000, dport=5000, **more):
    segment = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    value = checksum(pseudo(source, destination, UDP, len(segment)) + segment) or 0xFFFF
    return ip(source, destination, UDP, segment[:6] + struct.pack("!H", value) + payload, **more)


def echo(source, destination, payload=b"", *, reply=False, identification=1, sequence=1, **more):
    if ":" in source:
        message = struct.pack("!BBHHH", 129 if reply else 128, 0, 0, identification, sequence) + payload
        value = checksum(pseudo(source, destination, ICMP6, len(message)) + message)
        return ip(source, destination, ICMP6, message[:2] + struct.pack("!H", value) + message[4:], **more)
    message = struct.pack("!BBHHH", 0 if reply else 8, 0, 0, identification, sequence) + payload
    return ip(source, destination, ICMP, message[:2] + struct.pack("!H", checksum(message)) + message[4:], **more)


def tcp(source, destination, *, sport=4000, dport=5000, flags=0x02, options=b"", payload=b"", **more):
    """A TCP segment, a SYN unless `flags` says otherwise; `options` a multiple of 4 octets."""
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, (20 + len(options)) // 4 << 4, flags, 65535, 0, 0) + options + payload
    value = checksum(pseudo(source, destination, TCP, len(segment)) + segment)
    return ip(source, destination, TCP, segment[:16] + struct.pack("!H", value) + segment[18:], **more)


def icmp_error(source, destination, kind, code, quote, rest=0, **more):
    message = struct.pack("!BBHI", kind, code, 0, rest) + quote
    if ":" in source:
        value = checksum(pseudo(source, destination, ICMP6, len(message)) + message)
        return ip(source, destination, ICMP6, message[:2] + struct.pack("!H", value) + message[4:], **more)
    return ip(source, destination, ICMP, message[:2] + struct.pack("!H", checksum(message)) + message[4:], **more)


def sized(source, destination, octets, **more):
    """A UDP packet (or below its size a bare IP packet of protocol 253) of so many octets in all, with contents that tell the offset."""
    header = 40 if ":" in source else 20
    rest = octets - header
    contents = bytes(i & 0xFF for i in range(max(rest, 0)))
    if rest >= 8:
        return udp(source, destination, contents[8:], **more)
    return ip(source, destination, 253, contents, **more)


class Read:
    """The fields of an IP packet, from its first octet; `whole` is cut to the length that the header says."""

    def __init__(self, packet):
        self.version = packet[0] >> 4
        if self.version == 4:
            self.header = (packet[0] & 15) * 4
            self.tos, self.length = packet[1], struct.unpack_from("!H", packet, 2)[0]
            self.identification, fragment = struct.unpack_from("!HH", packet, 4)
            self.flags, self.offset = fragment >> 13, (fragment & 0x1FFF) * 8
            self.ttl, self.protocol = packet[8], packet[9]
            self.checksum_good = checksum(packet[: self.header]) == 0
            self.source, self.destination = (str(ipaddress.ip_address(packet[i : i + 4])) for i in (12, 16))
        else:
            self.header = 40
            first, length, self.protocol, self.ttl = struct.unpack_from("!IHBB", packet)
            self.tos, self.flow_label, self.length = first >> 20 & 0xFF, first & 0xFFFFF, 40 + length
            self.flags = self.offset = self.identification = 0
            self.checksum_good = True
            self.source, self.destination = (str(ipaddress.ip_address(packet[i : i + 16])) for i in (8, 24))
        self.whole = packet[: self.length]
        self.payload = self.whole[self.header :]


def packet_of(frame):
    """The IP packet in an Ethernet frame (tags skipped, trailing octets of the Ethernet cut), or None."""
    offset, kind = 14, struct.unpack_from("!H", frame, 12)[0]
    while kind in (0x8100, 0x88A8):
        kind = struct.unpack_from("!H", frame, offset + 2)[0]
        offset += 4
    if kind not in (0x0800, 0x86DD) or len(frame) < offset + 20:
        return None
    return Read(frame[offset:]).whole


def is_esp(frame):
    packet = packet_of(frame)
    return packet is not None and Read(packet).protocol == ESP


def is_ip_to(destination):
    """For Tap.receive: IP packets to this address."""

    def wanted(frame):
        packet = packet_of(frame)
        return packet is not None and Read(packet).destination == str(ipaddress.ip_address(destination))

    return wanted
