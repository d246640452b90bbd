# SPDX-License-Identifier: Apache-2.0
"""The records of a keying call, as gateway/sa/record.hpp lays them down, and a caller that hands them to a gateway."""

import fcntl
import ipaddress
import json
import os
import socket
import struct
from dataclasses import dataclass, field

from . import esp
from .config import key_for

VERSION = 4
MAGIC = 0x7364726F63657253
INBOUND, OUTBOUND = 1, 0
PROTECT, BYPASS, DISCARD = range(3)
ESP, AH = range(2)
TUNNEL, TRANSPORT, BEET = range(3)
SA = "64sQIIIIIIHHHh16s16sBBBBBBBBBBHBBBx96sHHHBx6Q8xHB5x16s16s"
ALGORITHMS = tuple(esp.ALGORITHMS)  # in the order of the product's table


def _address(text):
    return ipaddress.ip_address(text).packed.ljust(16, b"\0")


def _range(text):
    """First and last address of "10.0.0.0/8", "10.0.0.1" or "10.0.0.1-10.0.0.9"."""
    first, _, last = str(text).partition("-")
    if last:
        return ipaddress.ip_address(first), ipaddress.ip_address(last)
    network = ipaddress.ip_network(first)
    return network[0], network[-1]


@dataclass
class Selector:
    local: str
    remote: str
    protocol: int = 0
    local_ports: tuple = (0, 65535)
    remote_ports: tuple = (0, 65535)

    def packed(self):
        ends = [*_range(self.local), *_range(self.remote)]
        return struct.pack("16s16s16s16s4HBB6x", *(end.packed.ljust(16, b"\0") for end in ends), *self.local_ports, *self.remote_ports,
                           ends[0].version, self.protocol)


@dataclass
class Sa:
    name: str
    direction: int
    spi: int
    local: str  # outer addresses
    remote: str
    key: bytes
    selectors: list
    child: int = 1
    algorithm: str = "aes-128-gcm"
    esn: bool = True
    window: int = 1024
    outer_vpn: int = 0
    vpn: int = 0
    generation: int = 0
    more: dict = field(default_factory=dict)  # dummies, mtu, owner, dscp, dscp_value, df, hop_limit, manual, clamp_mss, fragment, udp_port, keepalive,
    # tfc_padding, jitter, soft, hard (packets, octets, seconds), protocol, mode, idle, follow, original_local, original_remote

    def packed(self, first):
        more = {"dummies": 0, "mtu": 0, "owner": -1, "dscp": 0, "dscp_value": 0, "df": 0, "hop_limit": 64, "manual": 0, "clamp_mss": 65535, "fragment": 0,
                "udp_port": 0, "keepalive": 0, "tfc_padding": 0, "jitter": 0, "soft": (0, 0, 0), "hard": (0, 0, 0), "protocol": ESP, "mode": TUNNEL,
                "idle": 0, "follow": False, "original_local": None, "original_remote": None, **self.more}
        return struct.pack(SA, self.name.encode(), self.generation, self.child, self.spi, self.window,
                           more["dummies"], first, len(self.selectors), self.outer_vpn, self.vpn, more["mtu"], more["owner"],
                           _address(self.local), _address(self.remote), ipaddress.ip_address(self.local).version, self.direction,
                           ALGORITHMS.index(self.algorithm), int(self.esn), more["dscp"], more["dscp_value"], more["df"],
                           more["hop_limit"], more["manual"], len(self.key), more["clamp_mss"], more["fragment"], more["protocol"], more["mode"],
                           self.key, more["udp_port"], more["keepalive"], more["tfc_padding"], more["jitter"], *more["soft"], *more["hard"],
                           more["idle"], int(more["follow"]),
                           *(_address(more[end]) if more[end] else bytes(16) for end in ("original_local", "original_remote")))


@dataclass
class Policy:
    name: str
    selectors: list
    priority: int = 100
    action: int = PROTECT
    sa: str = ""
    vpn: int = 0

    def packed(self, first):
        return struct.pack("64s64sIIIHBx", self.name.encode(), self.sa.encode(), self.priority, first, len(self.selectors), self.vpn,
                           self.action)


@dataclass
class Removal:
    name: str
    direction: int
    child: int = 1
    drain: int = 0  # milliseconds

    def packed(self):
        return struct.pack("64sIIB7x", self.name.encode(), self.child, self.drain, self.direction)


def call(install=(), update=(), remove=(), policies=(), remove_policies=()):
    """The octets of one call."""
    selectors, records = [], []
    for entry in (*install, *update):
        records.append(entry.packed(len(selectors)))
        selectors += entry.selectors
    records += [entry.packed() for entry in remove]
    for entry in policies:
        records.append(entry.packed(len(selectors)))
        selectors += entry.selectors
    records += [struct.pack("64s", name.encode()) for name in remove_policies]
    body = b"".join([*records, *(selector.packed() for selector in selectors)])
    return struct.pack("QIIIIIIII24x", MAGIC, VERSION, 64 + len(body), len(install), len(update), len(remove), len(policies),
                       len(remove_policies), len(selectors)) + body


def sealed(octets, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW):
    """A memfd of these octets."""
    descriptor = os.memfd_create("records", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, octets)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


class Failed(Exception):
    """The gateway's answer was an error; `place` and `sentence` are its own."""

    def __init__(self, name, parameters):
        super().__init__(f"{name}: {parameters}")
        self.name, self.parameters = name, parameters
        self.place, self.sentence = parameters.get("place", ""), parameters.get("sentence", "")


class Door:
    """A connection to a gateway's control socket, as the key exchange uses it."""

    INTERFACE = "io.sallyport.Gateway."

    def __init__(self, path):
        """`path` may be longer than a socket's address is: it is reached from its folder."""
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link.settimeout(10)
        folder = os.open(os.path.dirname(path), os.O_PATH)
        try:
            self.link.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        finally:
            os.close(folder)
        self.buffer = b""
        self.generation = 0

    def close(self):
        self.link.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, method, parameters=None, descriptor=None):
        text = json.dumps({"method": self.INTERFACE + method, "parameters": parameters or {}}).encode() + b"\0"
        socket.send_fds(self.link, [text], [] if descriptor is None else [descriptor])

    def receive(self):
        while b"\0" not in self.buffer:
            more = self.link.recv(1 << 20)
            if not more:
                raise ConnectionError("the gateway closed the connection")
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        answer = json.loads(text)
        if "error" in answer:
            raise Failed(answer["error"], answer.get("parameters", {}))
        return answer.get("parameters", {})

    def ask(self, method, **parameters):
        self.send(method, parameters)
        return self.receive()

    def send_install(self, octets, hold=False, descriptor=None, version=VERSION):
        """A call of the generation that is open, without waiting for its answer. `descriptor`: instead of a memfd of the octets."""
        mine = sealed(octets) if descriptor is None else descriptor
        count = sum(struct.unpack_from("5I", octets, 16))
        try:
            self.send("Install", {"version": version, "generation": self.generation, "count": count, "hold": hold}, mine)
        finally:
            if descriptor is None:
                os.close(mine)

    def install(self, **changes):
        """One transaction, a generation of its own."""
        self.begin()
        self.send_install(call(**changes))
        return self.receive()

    def begin(self):
        self.generation = max(self.generation, self.ask("Status")["keyGeneration"]) + 1
        return self.generation

    def reserve(self, count=1, block=1):
        return self.ask("ReserveSpis", count=count, block=block)["spis"]


def pair(connection, child, spi_in, spi_out, seed=None):
    """Both SAs of a child of `connection` (a config.Connection): inbound, outbound. Keys are made from its label, the side and the child, so
    that the mirrored connection of the other gateway makes the same."""
    label = f"{seed or connection.label or connection.name} {child}"
    selectors = [Selector(local, remote) for local in connection.local_networks for remote in connection.remote_networks
                 if (":" in local) == (":" in remote)]
    swapped = ("ab", "ba") if connection.swapped else ("ba", "ab")
    rest = {"child": child, "algorithm": connection.algorithm, "esn": connection.esn}
    keys = [key_for(f"{label} {which}", connection.row) for which in swapped]
    return (Sa(connection.name, INBOUND, spi_in, connection.local, connection.remote, keys[0], selectors, **rest),
            Sa(connection.name, OUTBOUND, spi_out, connection.local, connection.remote, keys[1], selectors, **rest))

