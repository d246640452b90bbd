#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a machine can hold: each is a case, 'ok NAME' or 'FAIL NAME' and where."""

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
C_FAMILY = {".cpp", ".hpp", ".h", ".c"}
CODE = {*C_FAMILY, ".py", ".sh", ".cmake"}
ROOMS = ("bpf", "gateway", "ike", "mgmt", "tests", "bench", "cmake", "packaging", "etc")
ARROWS = {"bpf": (), "gateway": ("bpf",), "ike": ("bpf", "gateway"), "mgmt": ("bpf", "gateway", "ike")}
LONGEST = 700  # lines
HEAVY = re.compile(r"#\s*include\s*<(print|chrono|functional|thread|iostream)>")
# Split, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b|not (yet )?imple" + r"mented|for n" + r"ow\b")
FOREIGN = re.compile(r"/wo" + r"rk/|\.lib" + r"rary|https?://[a-z0-9.]*(deb" + r"ian|npm" + r"js)|\.\./sha" + r"red")
# A test that skips itself when it runs is counted as failed by tests/run.py.
SKIPPED = re.compile(r"\bDIS" + r"ABLED_|mark\.(sk" + r"ip|xfa" + r"il)|pytest\.sk" + r"ip")


def files():
    """What git knows of, and what it would take; without git (an unpacked archive) every file of the rooms."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.splitlines()
    else:
        names = [str(path.relative_to(TOP)) for room in ROOMS for path in (TOP / room).rglob("*")]
        names += [path.name for path in TOP.iterdir()]
    found = [Path(name) for name in names if not re.search(r"(^|/)vectors/|_corpus/", name)]
    return [path for path in found if (TOP / path).is_file()]


def lines(path):
    try:
        return (TOP / path).read_text().splitlines()
    except UnicodeDecodeError:
        return []


def is_code(path):
    return path.suffix in CODE or path.name == "CMakeLists.txt"


def long_files(paths):
    return [f"{path} has {len(lines(path))} lines" for path in paths if is_code(path) and len(lines(path)) > LONGEST]


def heavy_includes(paths):
    headers = [path for path in paths if path.suffix in {".hpp", ".h"} and path.parts[0] in ("gateway", "ike")]
    return [f"{path}:{n} {line}" for path in headers for n, line in enumerate(lines(path), 1) if HEAVY.search(line)]


def licences(paths):
    return [str(path) for path in paths if is_code(path) and not any("SPDX-License-Identifier: " in line for line in lines(path)[:3])]


def bpf_licences(paths):
    return [str(path) for path in paths if path.name.endswith(".bpf.c") and "GPL-2.0-only" not in "".join(lines(path)[:1])]


def copyright_names(paths):
    """packaging/debian/copyright says of each file what the file says of itself; its last word on a file counts."""
    told = []
    for stanza in (TOP / "packaging/debian/copyright").read_text().split("\n\n"):
        files, licence = re.search(r"^Files: (.*)", stanza, re.M), re.search(r"^License: (.*)", stanza, re.M)
        told += [(pattern, licence[1].lower()) for pattern in (files[1].split() if files else [])]
    found = []
    for path in paths:
        own = re.search(r"SPDX-License-Identifier: ([^*]*)", "".join(lines(path)[:1]) if path.suffix in C_FAMILY else "")
        last = [licence for pattern, licence in told if pattern == "*" or path.match(pattern)][-1]
        if own and own[1].strip().lower() != last:
            found.append(f"{path}: {own[1].strip()}, not {last}")
    return found


def words(pattern, only=lambda path: True):
    def check(paths):
        texts = [path for path in paths if path.name != "LICENSE" and only(path)]
        return [f"{path}:{n} {line.strip()[:100]}" for path in texts for n, line in enumerate(lines(path), 1) if pattern.search(line)]

    return check


def arrows(paths):
    """The build checks the arrows that CMakeLists.txt states; this checks those that #include makes."""
    found = []
    for path in paths:
        room = path.parts[0]
        if room not in ARROWS or path.suffix not in C_FAMILY:
            continue
        for n, line in enumerate(lines(path), 1):
            match = re.match(r'\s*#\s*include\s*"(\w+)/', line)
            if match and match[1] in (*ARROWS, "tests", "bench") and match[1] != room and match[1] not in ARROWS[room]:
                found.append(f"{path}:{n} {line}")
    return found


def gateway_symbols(_):
    """The gateway parses packets, never certificates."""
    binaries = list(TOP.glob("build/*/bin/sallyport-gateway"))
    found = [] if binaries else ["no sallyport-gateway is built: ./dev test unit builds it"]
    for binary in binaries:
        symbols = subprocess.run(["nm", "-D", "--undefined-only", str(binary)], capture_output=True, text=True, check=True).stdout
        found += [f"{binary}: {name}" for name in re.findall(r"\b(?:X509|PEM|SSL)_\w+", symbols)]
    return found


CHECKS = {
    "no file of code over 700 lines": long_files,
    "no heavy header in headers of gateway and ike": heavy_includes,
    "every file of code names its licence": licences,
    "what the kernel loads is under a licence it accepts": bpf_licences,
    "debian/copyright knows the licences": copyright_names,
    "no word that means not done": words(UNFINISHED),
    # The format of debian/copyright is named by its address.
    "no path of one machine, no registry": words(FOREIGN, lambda path: path.name != "copyright"),
    "includes follow the arrows": arrows,
    "no test is switched off": words(SKIPPED, is_code),
    "the gateway links no certificate code": gateway_symbols,
}


def main():
    paths = files()
    bad = 0
    for name, check in CHECKS.items():
        found = check(paths)
        print(f"{'FAIL' if found else 'ok'} {name}" + "".join(f"\n    {place}" for place in found[:10]))
        bad += bool(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
