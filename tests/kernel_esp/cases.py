# SPDX-License-Identifier: Apache-2.0
"""What is tried with the kernel: a case is one SA pair, with packets each way."""

import ipaddress
import itertools
from dataclasses import dataclass

from tests.kernel_esp.transforms import AH, ROWS, offered

COUNT = 24  # packets of a case each way; the latter half lies beyond 2^32 in a case that begins before it
SHORT_END = (1 << 32) - 1
LATE = SHORT_END - COUNT // 2  # the number that counts as the last one before such a case
SOME = ["aes-128-gcm", "aes-256-cbc-hmac-sha2-256", "null-aes-cmac"]  # in the modes: an AEAD, a block cipher, none


@dataclass(frozen=True)
class Case:
    number: int
    algorithm: str
    extended: bool
    outer: int
    late: bool
    protocol: str = "esp"
    mode: str = "tunnel"
    inner: int = 0  # family inside, with BEET

    @property
    def group(self):
        kind = "" if (self.protocol, self.mode) == ("esp", "tunnel") else f"{self.protocol}-{self.mode}-"
        return kind + self.algorithm

    @property
    def name(self):
        inner = f"{self.inner}-" if self.inner else ""
        return f"{self.group}-{inner}{'esn' if self.extended else '32'}-over{self.outer}{'-late' if self.late else ''}"

    @property
    def first(self):
        """The number before the first packet's."""
        return LATE if self.late else 0

    @property
    def passing(self):
        """Packets of COUNT that get a number: a sender of 32 bits must stop at the end (RFC 4303 3.3.3)."""
        return COUNT if self.extended or not self.late else SHORT_END - LATE

    @property
    def families(self):
        """Of the packets inside."""
        return (self.inner,) if self.inner else (4, 6)

    def networks(self):
        """Behind the kernel, by family."""
        return {4: f"10.2.{self.number // 16}.{self.number % 16 * 16}/28", 6: f"2001:db8:2:{self.number:x}::/64"}

    def far(self, family):
        """The host behind the kernel in this case's network."""
        return str(ipaddress.ip_network(self.networks()[family])[9])

    def own_peer(self):
        """With transport mode: an address of the kernel that is this case's alone."""
        return f"192.0.{2 + self.number // 256}.{self.number % 256}" if self.outer == 4 else f"2001:db8:a::1:{self.number:x}"


def _rows():
    known = [name for name in offered() if ROWS.get(name)]
    flags = list(itertools.product((False, True), (4, 6), (False, True)))  # extended, outer family, late
    for algorithm, flag in itertools.product(known, flags):
        yield algorithm, *flag
    for algorithm, flag in itertools.product(AH, flags):
        yield algorithm, *flag, "ah"
    for algorithm, flag, inner in itertools.product(SOME, flags, (4, 6)):
        yield algorithm, *flag, "esp", "beet", inner
    for algorithm, flag in itertools.product(SOME, flags):
        yield algorithm, *flag, "esp", "transport"
    for algorithm, flag in itertools.product(AH, flags):
        yield algorithm, *flag, "ah", "transport"


def cases():
    return [Case(number, *row) for number, row in enumerate(_rows(), 1)]
