#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a Debian 13 with systemd in a container and runs tests/booted/inside.py there: the real unit, the real descriptor store.

Called by ./dev test booted. The container's files are those of the development root under an overlay that goes with this run.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

from tests.rig import container

TOP = Path(__file__).resolve().parents[2]
HERE = Path("/run/booted")
LIMIT = 300  # seconds of the container

UNIT = """[Unit]
Description=Tests inside
After=basic.target dbus.socket
[Service]
Type=oneshot
Environment=PYTHONPATH=/src PYTHONDONTWRITEBYTECODE=1 SALLYPORT_BIN=/usr/bin
ExecStart=/bin/sh -c 'cd /src && exec python3 -m pytest -p no:cacheprovider -v --tb=short --junitxml=/results/report.xml tests/booted/inside.py >/results/said 2>&1'
ExecStopPost=-/bin/sh -c 'journalctl -b --no-pager >/results/journal 2>&1'
ExecStopPost=systemctl poweroff --force
"""


def install(root):
    """What the package installs, by the same rules."""
    units = root / "etc/systemd/system"
    subprocess.run(["cmake", "--install", TOP / "build/test"], env=dict(os.environ, DESTDIR=str(root)), stdout=subprocess.DEVNULL, check=True)
    (units / "booted.service").write_text(UNIT)
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "booted.service").symlink_to("../booted.service")
    (root / "etc/systemd/system/default.target").unlink(missing_ok=True)
    (root / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    (root / "etc/machine-id").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("5a11e9075a11e9075a11e9075a11e907\n")


def boot(root, group):
    """True: it booted, and switched itself off within the time."""
    with open(HERE / "results/console", "wb") as console:
        process = container.start(root, group, console, "--bind-ro=/src", f"--bind={HERE / 'results'}:/results")
        try:
            return process.wait(LIMIT) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False


def show(name, lines=60):
    path = HERE / "results" / name
    if path.exists():
        print(f"--- {name}", *path.read_text(errors="replace").splitlines()[-lines:], sep="\n", flush=True)


def main():
    root = container.overlay("/", HERE)
    install(root)
    with container.control_group() as group:
        failed = [] if boot(root, group) else ["the container did not boot and switch itself off"]
    passed = 0
    report = HERE / "results/report.xml"
    if report.exists():
        for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
            good = all(case.find(word) is None for word in ("failure", "error", "skipped"))
            passed += good
            failed += [] if good else [case.get("name")]
    else:
        failed.append("no test ran")
    show("said")
    if failed:
        show("journal")
        show("console")
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
