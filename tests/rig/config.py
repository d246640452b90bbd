# SPDX-License-Identifier: Apache-2.0
"""Configuration files of gateways, and the peer's view of the same connections."""

import hashlib
from dataclasses import dataclass, field, replace

from . import esp


def key_for(name, algorithm):
    """Key material that differs by name: the same in every run."""
    return hashlib.shake_256(name.encode()).digest(algorithm.material)


@dataclass
class Connection:
    """One connection of sallyport.toml, seen from one side."""

    name: str
    local: str
    remote: str
    local_networks: list
    remote_networks: list
    spi_in: int
    spi_out: int
    algorithm: str = "aes-128-gcm"
    esn: bool = True
    label: str = ""  # keys are made from it; the same on both sides
    swapped: bool = False
    more: dict = field(default_factory=dict)  # further keys, as they stand in the file

    @property
    def row(self):
        return esp.ALGORITHMS[self.algorithm]

    def _key(self, outbound):
        which = "ab" if outbound != self.swapped else "ba"
        return key_for(f"{self.label or self.name} {which}", self.row)

    @property
    def key_in(self):
        return self._key(False)

    @property
    def key_out(self):
        return self._key(True)

    def mirrored(self, **changes):
        """The other side's view of it."""
        return replace(self, local=self.remote, remote=self.local, local_networks=self.remote_networks, remote_networks=self.local_networks,
                       spi_in=self.spi_out, spi_out=self.spi_in, label=self.label or self.name, swapped=not self.swapped, **changes)

    def sent(self):
        """What the gateway with this connection sends: to open it."""
        return esp.Sa(self.spi_out, self.local, self.remote, self.row, self.key_out, self.esn)

    def taken(self):
        """What the gateway with this connection takes: to seal for it."""
        return esp.Sa(self.spi_in, self.remote, self.local, self.row, self.key_in, self.esn)

    def table(self):
        keys = {"local": self.local, "remote": self.remote, "local-networks": self.local_networks, "remote-networks": self.remote_networks,
                "algorithm": self.algorithm, "spi-in": self.spi_in, "spi-out": self.spi_out, "key-in": self.key_in.hex(),
                "key-out": self.key_out.hex(), "esn": self.esn}
        if self.row.aead:
            keys["unsafe-manual-aead"] = True
        return {**keys, **self.more}


def value(item):
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int):
        return str(item)
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(value(part) for part in item) + "]"
    if isinstance(item, dict):
        return "{ " + ", ".join(f"{key} = {value(part)}" for key, part in item.items()) + " }"
    return '"' + str(item) + '"'


def render(gateway, ports, connections=(), vpns=None, policies=None, ike=None):
    """The text of a sallyport.toml. `ports`, `vpns`, `policies`: name -> keys; `connections`: Connection objects or (name, keys)."""
    sections = [("gateway", gateway)]
    sections += [(f"vpn.{name}", keys) for name, keys in (vpns or {}).items()]
    sections += [(f"port.{name}", keys) for name, keys in ports.items()]
    for connection in connections:
        name, keys = (connection.name, connection.table()) if isinstance(connection, Connection) else connection
        sections.append((f"connection.{name}", keys))
    sections += [(f"policy.{name}", keys) for name, keys in (policies or {}).items()]
    if ike:
        sections.append(("ike", ike))
    lines = []
    for name, keys in sections:
        lines += [f"[{name}]", *(f"{key} = {value(item)}" for key, item in keys.items()), ""]
    return "\n".join(lines)
