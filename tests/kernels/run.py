#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots kernels of Debian releases under qemu without KVM and runs there the tests of what the kernel loads and binds.

Called by ./dev test kernels, which lays the unpacked kernels under /run/roots. A guest is the kernel, busybox, a few modules, the test
binaries with their libraries, and the fixtures that they read, all in one initramfs.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))

from tests.rig.guest import ROOTS, Initramfs, machine, version_of  # noqa: E402

BIN = TOP / "build/test/bin"
BINARIES = ["bpf_test", "gateway_xdp_test"]
BOUND = "gateway_xdp_bound_test"  # on kernels from 6.8 on
FIXTURES = ["bpf/fixtures"]
# What the tests touch and Debian builds as modules; those that a kernel has built in are not looked for.
MODULES = ["veth", "tun", "bridge", "sch_ingress", "cls_bpf", "act_mirred"]
TOOLS = ["ip", "tc", "ethtool", "setpriv"]
LIMIT = 1800  # seconds of a guest, on a busy machine
MARK = "@@test"

INIT = f"""#!/bin/busybox sh
export PATH=/bin HOME=/root LD_LIBRARY_PATH=/lib64 SALLYPORT_GUEST=1
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp
mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
for module in $(cat /modules/order); do insmod /modules/$module; done
ip link set lo up
ulimit -l unlimited
export GTEST_FILTER="$(cat /filter)"
echo "{MARK} kernel $(uname -r)"
cd /src
for test in $(cat /tests); do
    echo "{MARK} begin $test"
    /bin/$test --gtest_brief=1 --gtest_color=no
    echo "{MARK} end $test $?"
done
poweroff -f
"""


def has_bound(root):
    return version_of(root) >= (6, 8)


def filter_of(root):
    """Before Linux 6.4 the rings of a bound socket cannot be mapped again: a restart binds afresh there."""
    return "*" if version_of(root) >= (6, 4) else "*:-Adoption.*:XdpPorts.TheNextTakesOverEverything"


def make_initramfs(root, tests, path):
    with tempfile.TemporaryDirectory() as folder:
        image = Initramfs(folder)
        image.tools(TOOLS)
        for test in tests:
            image.program(BIN / test)
        for fixtures in FIXTURES:
            if (TOP / fixtures).is_dir():
                shutil.copytree(TOP / fixtures, image.folder / "src" / fixtures)
        image.modules(root, MODULES)
        image.text("tests", "\n".join(tests) + "\n")
        image.text("filter", filter_of(root))
        image.init(INIT)
        image.write(path)


def boot(root, initramfs):
    """Every line that the guest wrote; the guest ends by itself or is ended."""
    command = machine(root, initramfs, "-serial", "stdio")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
        return done.stdout.decode(errors="replace").replace("\r", "")
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace").replace("\r", "") + f"\nthe guest did not end within {LIMIT} s\n"


def judge(text, tests):
    """(passed cases, failed names) of what the guest wrote."""
    passed, failed = 0, []
    for test in tests:
        part = re.search(rf"{MARK} begin {test}\n(.*?){MARK} end {test} (\d+)", text, re.S)
        if not part:
            failed.append(f"{test}: did not end")
            continue
        count = re.search(r"\[  PASSED  \] (\d+) test", part[1])
        cases = sorted(set(re.findall(r"\[  FAILED  \] (\w+\.\w+)", part[1])))
        passed += int(count[1]) if count else 0
        failed += [f"{test}: {case}" for case in cases]
        if "[  SKIPPED ]" in part[1]:
            failed.append(f"{test}: a case was skipped")
        if (part[2] != "0" or not count) and not cases:
            failed.append(f"{test}: exit status {part[2]}")
    return passed, failed


def run_guest(root, tests):
    """(passed cases, failed names) of one kernel."""
    start = time.monotonic()
    initramfs = Path("/tmp") / f"{root.name}.cpio"
    here = tests if has_bound(root) else [name for name in tests if name != BOUND]
    make_initramfs(root, here, initramfs)
    text = boot(root, initramfs)
    initramfs.unlink()
    release = re.search(rf"{MARK} kernel (\S+)", text)
    name = release[1] if release else f"kernel of {root.name}"
    ok, bad = judge(text, here)
    lines = [f"  {'FAIL' if bad else 'ok  '} {name}: {ok} passed, {len(bad)} failed ({time.monotonic() - start:.0f} s)"]
    if bad:
        lines += ["    " + line for line in text.splitlines()[-150:]]
    print("\n".join(lines), flush=True)
    return ok, [f"{name}: {case}" for case in bad]


def main():
    configured = subprocess.run(["cmake", "--preset", "test"], cwd=TOP, capture_output=True, text=True, check=False)
    listed = (TOP / "build/test/tests.tsv").read_text() if configured.returncode == 0 else sys.exit(configured.stdout + configured.stderr)
    tests = [name for name in [*BINARIES, BOUND] if f"\t{name}\t" in listed]
    missing = [name for name in [*BINARIES, BOUND] if name not in tests]
    if subprocess.run(["cmake", "--build", "build/test", "--target", *tests], cwd=TOP, check=False).returncode != 0:
        missing.append("build")
    passed, failed = 0, [f"{name} is missing" for name in missing]
    roots = sorted(ROOTS.iterdir()) if not failed else []
    with ThreadPoolExecutor(2) as pool:
        for ok, bad in pool.map(lambda root: run_guest(root, tests), roots):
            passed += ok
            failed += bad
    for case in failed:
        print(f"failed: {case}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
