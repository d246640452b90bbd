# SPDX-License-Identifier: Apache-2.0
"""What the Linux kernel calls the gateway's algorithms. One row each; {bits} is the length of the cipher's key."""

import re
from dataclasses import dataclass

from tests.rig.daemon import TOP


@dataclass(frozen=True)
class Transform:
    """`words` of `ip xfrm state`; {cipher}, {salted} and {integrity} become keys: of the cipher, of the cipher with its salt (4 octets, with
    CCM 3), of the integrity algorithm. `words` None: the kernel does not have it."""

    names: str  # in sallyport.toml
    words: str | None
    key_lengths: tuple = (128, 192, 256)

    def rows(self):
        return {self.names.format(bits=bits): self.words for bits in self.key_lengths}


CBC = "enc cbc(aes) {cipher} "
NULL = "enc ecb(cipher_null) '' "

TABLE = [
    Transform("aes-{bits}-gcm", "aead rfc4106(gcm(aes)) {salted} 128"),
    Transform("chacha20-poly1305", "aead rfc7539esp(chacha20,poly1305) {salted} 128", (256,)),
    Transform("aes-{bits}-ccm", "aead rfc4309(ccm(aes)) {salted} 128"),
    Transform("aes-{bits}-ccm-8", "aead rfc4309(ccm(aes)) {salted} 64"),
    Transform("null-aes-{bits}-gmac", "aead rfc4543(gcm(aes)) {salted} 128"),
    Transform("aes-{bits}-cbc-hmac-sha2-256", CBC + "auth-trunc hmac(sha256) {integrity} 128"),
    Transform("aes-{bits}-cbc-hmac-sha2-384", CBC + "auth-trunc hmac(sha384) {integrity} 192"),
    Transform("aes-{bits}-cbc-hmac-sha2-512", CBC + "auth-trunc hmac(sha512) {integrity} 256"),
    Transform("null-hmac-sha2-256", NULL + "auth-trunc hmac(sha256) {integrity} 128", (0,)),
    Transform("null-hmac-sha2-384", NULL + "auth-trunc hmac(sha384) {integrity} 192", (0,)),
    Transform("null-hmac-sha2-512", NULL + "auth-trunc hmac(sha512) {integrity} 256", (0,)),
    Transform("null-aes-cmac", NULL + "auth-trunc cmac(aes) {integrity} 96", (0,)),
    Transform("aes-{bits}-gcm-iiv", None),
    Transform("aes-{bits}-ccm-8-iiv", None),
    Transform("chacha20-poly1305-iiv", None, (256,)),
]
ROWS = {name: words for transform in TABLE for name, words in transform.rows().items()}
AH = [name for name, words in ROWS.items() if words and words.startswith(NULL)]  # it has no GMAC for AH


def offered():
    """The algorithms of the gateway, by its own table."""
    return re.findall(r'AlgorithmInfo\{Algorithm::\w+, "([^"]+)"', (TOP / "gateway/sa/algorithm.hpp").read_text())


def words_of(row, key, protocol="esp"):
    """The words for an algorithm (esp.Algorithm) and its key material: cipher key, salt, integrity key."""
    words = ROWS[row.name] if protocol == "esp" else ROWS[row.name].removeprefix(NULL)
    digits = {"cipher": key[: row.key], "salted": key[: row.key + row.salt], "integrity": key[row.key + row.salt :]}
    return words.format(**{name: f"0x{part.hex()}" for name, part in digits.items()})
