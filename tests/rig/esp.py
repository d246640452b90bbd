# SPDX-License-Identifier: Apache-2.0
"""ESP straight from RFC 4303, 4106, 4309, 4494, 4543, 7634, 8750, 3602 and 4868 over a cryptographic library: a peer that can also be wrong on
purpose.

It knows nothing of the product and shares nothing with it; tests/system/test_oracles.py holds it against Scapy and tshark."""

import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives import cmac, hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from . import packets

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


@dataclass(frozen=True)
class Algorithm:
    name: str
    key: int
    salt: int
    integrity: int
    iv: int
    icv: int
    block: int
    scapy: str  # its name there; empty: not known there
    tshark: str

    @property
    def material(self):
        return self.key + self.salt + self.integrity

    @property
    def aead(self):
        return self.integrity == 0

    @property
    def gmac(self):
        return self.name.endswith("gmac")

    @property
    def cmac(self):
        return self.name.endswith("cmac")

    @property
    def scapy_auth(self):
        return "AES-CMAC-96" if self.cmac else f"SHA2-{self.hash}-{self.icv * 8}"

    @property
    def hash(self):
        return self.name[-3:]


def _rows():
    """In the order of the product's table."""
    for bits in (128, 192, 256):
        yield Algorithm(f"aes-{bits}-gcm", bits // 8, 4, 0, 8, 16, 4, "AES-GCM", "AES-GCM with 16 octet ICV [RFC4106]")
    yield Algorithm("chacha20-poly1305", 32, 4, 0, 8, 16, 4, "CHACHA20-POLY1305", "")
    for sha, key, icv in (("256", 32, 16), ("384", 48, 24), ("512", 64, 32)):
        for bits in (128, 192, 256):
            yield Algorithm(f"aes-{bits}-cbc-hmac-sha2-{sha}", bits // 8, 0, key, 16, icv, 16, "AES-CBC", "AES-CBC [RFC3602]")
    for icv, tail in ((16, ""), (8, "-8")):
        for bits in (128, 192, 256):
            yield Algorithm(f"aes-{bits}-ccm{tail}", bits // 8, 3, 0, 8, icv, 4, "AES-CCM", "")
    for bits in (128, 192, 256):
        yield Algorithm(f"null-aes-{bits}-gmac", bits // 8, 4, 0, 8, 16, 4, "AES-NULL-GMAC", "")
    for sha, key, icv in (("256", 32, 16), ("384", 48, 24), ("512", 64, 32)):
        yield Algorithm(f"null-hmac-sha2-{sha}", 0, 0, key, 0, icv, 4, "NULL", "NULL")
    for bits in (128, 192, 256):
        yield Algorithm(f"aes-{bits}-gcm-iiv", bits // 8, 4, 0, 0, 16, 4, "", "")
    for bits in (128, 192, 256):
        yield Algorithm(f"aes-{bits}-ccm-8-iiv", bits // 8, 3, 0, 0, 8, 4, "", "")
    yield Algorithm("chacha20-poly1305-iiv", 32, 4, 0, 0, 16, 4, "", "")
    yield Algorithm("null-aes-cmac", 0, 0, 16, 0, 12, 4, "NULL", "")


ALGORITHMS = {row.name: row for row in _rows()}


class BadIcv(Exception):
    pass


@dataclass
class Sa:
    """One direction. `key` is the whole material: cipher key, salt, integrity key."""

    spi: int
    source: str
    destination: str
    algorithm: Algorithm
    key: bytes
    esn: bool = True

    def _parts(self):
        a = self.algorithm
        return self.key[: a.key], self.key[a.key : a.key + a.salt], self.key[a.key + a.salt :]

    def _aad(self, number):
        low, high = number & 0xFFFFFFFF, number >> 32
        return struct.pack("!III", self.spi, high, low) if self.esn else struct.pack("!II", self.spi, low)

    def _aead(self):
        key, name = self._parts()[0], self.algorithm.name
        if name.startswith("chacha"):
            return ChaCha20Poly1305(key)
        return AESCCM(key, self.algorithm.icv) if "ccm" in name else AESGCM(key)

    def _nonce(self, iv, number):
        return self._parts()[1] + (iv if self.algorithm.iv else struct.pack("!Q", number))

    def _icv(self, covered, number):
        key = self._parts()[2]
        mac = cmac.CMAC(algorithms.AES(key)) if self.algorithm.cmac else hmac.HMAC(key, HASHES[self.algorithm.hash]())
        mac.update(covered + (struct.pack("!I", number >> 32) if self.esn else b""))
        return mac.finalize()[: self.algorithm.icv]

    def _cbc(self, iv):
        return Cipher(algorithms.AES(self._parts()[0]), modes.CBC(iv))

    def trailer(self, inner, next_header, pad_to=None):
        """The default padding 1, 2, 3, ... (RFC 4303 2.4) with Pad Length and Next Header."""
        count = -(len(inner) + 2) % (pad_to or self.algorithm.block)
        return bytes(range(1, count + 1)) + bytes([count, next_header])

    def esp(self, inner, number, *, iv=None, next_header=None, trailer=None, tfc=b""):
        """From SPI to ICV. `trailer` replaces padding, Pad Length and Next Header; `tfc` goes between packet and padding."""
        if next_header is None:
            next_header = 41 if inner and inner[0] >> 4 == 6 else 4
        plain = inner + tfc
        plain += self.trailer(plain, next_header) if trailer is None else trailer
        header = struct.pack("!II", self.spi, number & 0xFFFFFFFF)
        a = self.algorithm
        if a.aead:
            iv = (struct.pack("!Q", number) if iv is None else iv)[: a.iv]
            nonce, aad = self._nonce(iv, number), self._aad(number)
            if a.gmac:  # RFC 4543: the IV is authenticated too, and nothing is enciphered
                return header + iv + plain + self._aead().encrypt(nonce, b"", aad + iv + plain)
            return header + iv + self._aead().encrypt(nonce, plain, aad)
        if a.iv:
            iv = os.urandom(a.iv) if iv is None else iv
            cipher = self._cbc(iv).encryptor()
            plain = iv + cipher.update(plain) + cipher.finalize()
        return header + plain + self._icv(header + plain, number)

    def seal(self, inner, number, *, iv=None, next_header=None, trailer=None, tfc=b"", **outer):
        """The whole outer packet; `outer` are fields of its header (ttl, tos, ...)."""
        payload = self.esp(inner, number, iv=iv, next_header=next_header, trailer=trailer, tfc=tfc)
        return packets.ip(self.source, self.destination, packets.ESP, payload, **outer)

    def open(self, packet, high=0):
        """(inner octets with padding cut, number, next header, pad length) of an outer packet; BadIcv if it is not authentic."""
        payload = packets.Read(packet).payload
        spi, low = struct.unpack_from("!II", payload)
        assert spi == self.spi, f"SPI {spi:#x} instead of {self.spi:#x}"
        number = high << 32 | low
        a = self.algorithm
        iv, text = payload[8 : 8 + a.iv], payload[8 + a.iv :]
        if a.aead:
            nonce, aad = self._nonce(iv, number), self._aad(number)
            try:
                if a.gmac:
                    plain = text[: -a.icv]
                    self._aead().decrypt(nonce, text[-a.icv :], aad + iv + plain)
                else:
                    plain = self._aead().decrypt(nonce, text, aad)
            except Exception as wrong:
                raise BadIcv from wrong
        else:
            if self._icv(payload[: -a.icv], number) != payload[-a.icv :]:
                raise BadIcv
            plain = text[: -a.icv]
            if a.iv:
                cipher = self._cbc(iv).decryptor()
                plain = cipher.update(plain) + cipher.finalize()
        count, next_header = plain[-2:]
        padding = plain[len(plain) - 2 - count : len(plain) - 2]
        assert padding == bytes(range(1, count + 1)), f"padding {padding.hex()}"
        return plain[: len(plain) - 2 - count], number, next_header, count

    # The same SA for the oracles.

    def scapy(self, high=0):
        from scapy.layers.inet import IP
        from scapy.layers.inet6 import IPv6
        from scapy.layers.ipsec import ESP, SecurityAssociation

        key, salt, integrity = self._parts()
        outer = (IPv6 if ":" in self.source else IP)(src=self.source, dst=self.destination)
        a = self.algorithm
        more = {} if a.aead else {"auth_algo": a.scapy_auth, "auth_key": integrity}
        if a.aead and a.icv != 16:
            more["crypt_icv_size"] = a.icv
        return SecurityAssociation(ESP, spi=self.spi, crypt_algo=a.scapy, crypt_key=(key + salt) or None, tunnel_header=outer,
                                   esn_en=self.esn, esn=high, **more)

    def tshark(self, high=0):
        """The row of the table esp_sa, or None where tshark does not know the algorithm."""
        if not self.algorithm.tshark:
            return None
        a = self.algorithm
        key, salt, integrity = self._parts()
        auth = ("NULL", "") if a.aead else (f"HMAC-SHA-{a.hash}-{a.icv * 8} [RFC4868]", f"0x{integrity.hex()}")
        family = "IPv6" if ":" in self.source else "IPv4"
        row = (family, self.source, self.destination, f"0x{self.spi:08x}", a.tshark, f"0x{(key + salt).hex()}" if a.key else "", *auth,
               "64-bit" if self.esn else "32-bit", f"{high:x}")
        return ",".join(f'"{field}"' for field in row)
