# SPDX-License-Identifier: Apache-2.0
"""AH straight from RFC 4302, 4494, 4543 and 4868 over a cryptographic library: a peer that can also be wrong on purpose.

It knows nothing of the product and shares nothing with it; tests/system/test_oracles.py holds it against Scapy and against known answers."""

import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives import cmac, hmac
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import packets
from .esp import HASHES, Algorithm, BadIcv

FIXED = 12  # octets before the ICV
KEPT = {130, 133, 134, 148, 149}  # options of IPv4 that no router changes (RFC 4302 A1)


def muted_options(options):
    """Of IPv4: those that may change are zeroed whole, behind the end of the list nothing is."""
    out, at = bytearray(options), 0
    while at < len(out) and out[at] != 0:
        length = 1 if out[at] == 1 else out[at + 1]
        if out[at] != 1 and not 2 <= length <= len(out) - at:
            raise IndexError(f"an option of {length} octets at {at}")
        if out[at] not in KEPT | {1}:
            out[at : at + length] = bytes(length)
        at += length
    return bytes(out)


def muted_extension(header):
    """Hop-by-hop or destination options of IPv6: the data of those whose type says so (RFC 4302 3.3.3.1.2.2)."""
    out, at = bytearray(header), 2
    while at < len(out):
        if out[at] == 0:  # Pad1
            at += 1
            continue
        length = out[at + 1]
        if out[at] & 0x20:
            out[at + 2 : at + 2 + length] = bytes(length)
        at += 2 + length
    return bytes(out)


def muted(header):
    """An IP header with all that comes before the AH as the ICV sees it (RFC 4302 3.3.3.1)."""
    if header[0] >> 4 == 4:
        return header[:1] + b"\0" + header[2:6] + bytes(3) + header[9:10] + bytes(2) + header[12:20] + muted_options(header[20:])
    out, at = b"\x60\0\0\0" + header[4:7] + b"\0" + header[8:40], 40
    while at < len(header):
        size = 8 + header[at + 1] * 8
        out += muted_extension(header[at : at + size])
        at += size
    return out


@dataclass
class Sa:
    """One direction. `key` is the whole material: key and salt of GMAC, or the integrity key."""

    spi: int
    source: str
    destination: str
    algorithm: Algorithm
    key: bytes
    esn: bool = True

    @property
    def unit(self):
        """The length of an AH is a multiple of it (RFC 4302 3.3.3.2.1)."""
        return 8 if ":" in self.source else 4

    @property
    def length(self):
        octets = FIXED + self.algorithm.iv + self.algorithm.icv
        return octets + -octets % self.unit

    def _icv(self, covered, iv, number):
        a = self.algorithm
        covered += struct.pack("!I", number >> 32) if self.esn else b""
        if a.gmac:
            return AESGCM(self.key[: a.key]).encrypt(self.key[a.key :] + iv, b"", covered)
        mac = cmac.CMAC(algorithms.AES(self.key)) if a.cmac else hmac.HMAC(self.key, HASHES[a.hash]())
        mac.update(covered)
        return mac.finalize()[: a.icv]

    def seal(self, payload, number, *, next_header=None, before=b"", first=packets.AH, size=None, reserved=0, iv=None, padding=None, **outer):
        """The whole packet. `before`: options of IPv4, or for IPv6 extension headers, of which the first is `first` and the last names AH;
        `size`: what Payload Len says; `padding` behind the ICV; `outer` are fields of the IP header."""
        a = self.algorithm
        if next_header is None:
            next_header = 41 if payload and payload[0] >> 4 == 6 else 4
        if padding is None:
            padding = bytes(self.length - FIXED - a.iv - a.icv)
        iv = (struct.pack("!Q", number) if iv is None else iv)[: a.iv]
        octets = FIXED + len(iv) + a.icv + len(padding)
        ah = struct.pack("!BBHII", next_header, octets // 4 - 2 if size is None else size, reserved, self.spi, number & 0xFFFFFFFF) + iv

        def whole(icv):
            rest = ah + icv + padding + payload
            if self.unit == 8:
                return packets.ip(self.source, self.destination, first, before + rest, **outer)
            return packets.ip(self.source, self.destination, packets.AH, rest, options=before, **outer)

        blank = whole(bytes(a.icv))
        at = len(blank) - octets - len(payload)
        try:
            covered = muted(blank[:at]) + blank[at:]
        except IndexError:  # a header that contradicts itself has no ICV
            return blank
        return whole(self._icv(covered, iv, number))

    def open(self, packet, high=0):
        """(octets behind the AH, number, next header) of a packet with nothing between its IP header and its AH; BadIcv if it is not authentic."""
        a = self.algorithm
        read = packets.Read(packet)
        at, packet = read.header, read.whole
        next_header, size, _, spi, low = struct.unpack_from("!BBHII", packet, at)
        assert spi == self.spi, f"SPI {spi:#x} instead of {self.spi:#x}"
        assert size * 4 + 8 == self.length, f"Payload Len {size}"
        number, icv = high << 32 | low, at + FIXED + a.iv
        covered = muted(packet[:at]) + packet[at:icv] + bytes(a.icv) + packet[icv + a.icv :]
        if self._icv(covered, packet[at + FIXED : icv], number) != packet[icv : icv + a.icv]:
            raise BadIcv
        return packet[at + self.length :], number, next_header
