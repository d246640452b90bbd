# SPDX-License-Identifier: Apache-2.0
"""What a process has in its memory, by area, and where certain octets lie in it."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Area:
    """One line of /proc/PID/smaps. `flags`: VmFlags, of which "dd" is left out of core files and "lo" locked."""

    first: int
    last: int
    rights: str
    name: str
    flags: set

    @property
    def dumped(self):
        """The kernel would write it into a core file (core(5), with the default filter: private and shared anonymous memory)."""
        return "dd" not in self.flags and "io" not in self.flags and self.rights[0] == "r"


def areas(pid):
    found = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
        if head:
            found.append(Area(int(head[1], 16), int(head[2], 16), head[3], head[4], set()))
        elif line.startswith("VmFlags:"):
            found[-1].flags = set(line.split()[1:])
    return found


def octets_of(pid, area):
    """(address, octets) of what can be read of it: holes and secret pages are left out."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        at = area.first
        while at < area.last:
            try:
                memory.seek(at)
                part = memory.read(min(1 << 20, area.last - at))
            except (OSError, OverflowError):
                part = b""
            yield at, part
            at += len(part) if part else 4096


def search(pid, needles, wanted=lambda area: True):
    """[(name of the needle, area, address)] of all `needles` (name -> octets) in the areas that are `wanted`."""
    found = []
    longest = max(map(len, needles.values()))
    for area in areas(pid):
        if not wanted(area) or area.rights[0] != "r" or area.name in ("[vvar]", "[vsyscall]", "[vvar_vclock]"):
            continue
        before = b""
        for at, part in octets_of(pid, area):
            text = before + part
            for name, needle in needles.items():
                place = text.find(needle)
                while place >= 0:
                    found.append((name, area, at - len(before) + place))
                    place = text.find(needle, place + 1)
            before = text[-(longest - 1):] if longest > 1 else b""
    return sorted((name, area.name, f"{address - area.first:#x} of {area.last - area.first:#x} at {area.first:#x}, {' '.join(sorted(area.flags))}")
                  for name, area, address in found)


def needles(keys):
    """What of each key must not be found: its octets, and its digits as text, whole and in part. `keys`: name -> octets."""
    result = {}
    for name, key in keys.items():
        result[f"octets of {name}"] = key[:16]
        result[f"last octets of {name}"] = key[-16:]
        result[f"digits of {name}"] = key.hex()[:24].encode()
        result[f"last digits of {name}"] = key.hex()[-24:].encode()
        result[f"wide digits of {name}"] = key.hex()[:12].encode("utf-32-le")
    return result

