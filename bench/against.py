#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""against.py NOW THEN ALLOWED [ARGUMENTS]: two builds of one benchmark, their slices in turn. What each takes over its baseline is compared;
more than ALLOWED cycles a packet over THEN is a failure."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def run_in_turn(programs, arguments, folder):
    """The rows of each, by name. Each waits for an octet that the other writes."""
    pipes = [os.pipe(), os.pipe()]
    running = []
    for number, program in enumerate(programs):
        ends = pipes[number][0], pipes[1 - number][1]
        command = [program, *arguments, "--turns", f"{ends[0]},{ends[1]}", "--json", folder / str(number)]
        running.append(subprocess.Popen(command, pass_fds=ends, stdout=subprocess.DEVNULL))
    os.write(pipes[0][1], b"t")
    for read, write in pipes:  # only theirs are left, so that the end of one is seen by the other
        os.close(read)
        os.close(write)
    if any([process.wait() != 0 for process in running]):
        sys.exit("a benchmark failed; see above")
    return [{row["name"]: row for row in json.loads((folder / str(number)).read_text())} for number in range(len(programs))]


def main():
    programs, allowed, arguments = sys.argv[1:3], float(sys.argv[3]), sys.argv[4:]
    with tempfile.TemporaryDirectory() as folder:
        now, then = run_in_turn(programs, arguments, Path(folder))
    print(f"{'cycles a packet over the baseline':44} {'then':>10} {'now':>10} {'more':>10}")
    passed = failed = 0
    for name, row in now.items():
        before = then.get(name)
        if before is None or row["baseline"] is None or before["baseline"] is None:
            continue
        over = [it["median"] - it["baseline"] for it in (before, row)]
        good = over[1] - over[0] <= allowed
        passed, failed = passed + good, failed + (not good)
        print(f"{name:44} {over[0]:10.1f} {over[1]:10.1f} {over[1] - over[0]:10.1f}{'' if good else f'   more than {allowed:g}'}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
