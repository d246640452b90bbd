#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots a Debian 13 with systemd in a container and runs tests/booted/inside.py there: the real unit, the real descriptor store.

Called by ./dev test booted. The container's files are those of the development root under an overlay that goes with this run.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BIN = TOP / "build/test/bin"
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


def run(*command):
    subprocess.run([str(word) for word in command], check=True, timeout=60)


def make_root():
    """HERE/root: everything that is in our own root, and writable."""
    HERE.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", HERE)
    for name in ("upper", "work", "root", "results"):
        (HERE / name).mkdir()
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={HERE}/upper,workdir={HERE}/work", HERE / "root")
    return HERE / "root"


def install(root):
    """As the package will."""
    units = root / "etc/systemd/system"
    for name in ("sallyport-gateway.service", "run-sallyport-bpf.mount"):
        shutil.copy(TOP / "packaging/systemd" / name, units / name)
    shutil.copy(TOP / "packaging/systemd/sallyport.sysusers", root / "usr/lib/sysusers.d/sallyport.conf")
    shutil.copy(BIN / "sallyport-gateway", root / "usr/sbin")
    shutil.copy(BIN / "sallyport", root / "usr/bin")
    (units / "booted.service").write_text(UNIT)
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(exist_ok=True)
    (wanted / "booted.service").symlink_to("../booted.service")
    (root / "etc/systemd/system/default.target").unlink(missing_ok=True)
    (root / "etc/systemd/system/default.target").symlink_to("/usr/lib/systemd/system/multi-user.target")
    (root / "etc/machine-id").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("5a11e9075a11e9075a11e9075a11e907\n")


def remove_groups(top):
    """A control group and those below it, with whoever is still in them."""
    (top / "cgroup.kill").write_text("1")
    end = time.monotonic() + 10
    for group, _, _ in sorted(os.walk(top), reverse=True):
        while True:
            try:
                os.rmdir(group)
                break
            except OSError:  # somebody in there is on his way out
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


@contextlib.contextmanager
def control_group():
    """A group of our own below the one in which we are: the container makes others in there, which it would leave behind."""
    run("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    here = re.search(r"^0::/(.*)", Path("/proc/self/cgroup").read_text(), re.M)[1]
    group = Path("/sys/fs/cgroup") / here / f"sallyport-booted-{os.urandom(4).hex()}"
    group.mkdir()
    try:
        yield group
    finally:
        remove_groups(group)


def boot(root, group):
    """True: it booted, and switched itself off within the time."""
    command = ["systemd-nspawn", "--quiet", "-D", root, "--register=no", "--keep-unit", "--private-network", "--boot",
               "--console=pipe", "--link-journal=no",
               "--capability=CAP_BPF,CAP_IPC_LOCK,CAP_PERFMON,CAP_NET_ADMIN,CAP_NET_RAW", "--system-call-filter=bpf @memlock memfd_secret",
               "--bind=/dev/net/tun", "--bind-ro=/src", f"--bind={HERE / 'results'}:/results"]
    environment = dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1")
    with open(HERE / "results/console", "wb") as console:
        try:
            return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, env=environment, timeout=LIMIT,
                                  check=False, preexec_fn=lambda: (group / "cgroup.procs").write_text("0")).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def show(name, lines=60):
    path = HERE / "results" / name
    if path.exists():
        print(f"--- {name}", *path.read_text(errors="replace").splitlines()[-lines:], sep="\n", flush=True)


def main():
    root = make_root()
    install(root)
    with control_group() as group:
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
