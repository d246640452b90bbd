#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Boots kernels of Debian releases under qemu without KVM and runs there the tests of what the kernel loads and binds.

Called by ./dev test kernels, which lays the unpacked kernels under /run/roots. A guest is the kernel, busybox, a few modules, the test
binaries with their libraries, and the fixtures that they read, all in one initramfs.
"""

import lzma
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BIN = TOP / "build/test/bin"
BINARIES = ["bpf_test", "gateway_xdp_test"]
BOUND = "gateway_xdp_bound_test"  # on kernels from 6.8 on
FIXTURES = ["bpf/fixtures"]
# What the tests touch and Debian builds as modules; those that a kernel has built in are not looked for.
MODULES = ["veth", "tun", "bridge", "sch_ingress", "cls_bpf", "act_mirred"]
# The shell of busybox would call its own ip.
TOOLS = ["dash", "ip", "tc", "ethtool", "setpriv"]
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


def modules_of(root):
    """The folder of a kernel's modules, which has the name of its release."""
    return next((root / "usr/lib/modules").glob("*"), None) or next((root / "lib/modules").glob("*"))


def has_bound(root):
    return tuple(int(part) for part in modules_of(root).name.split(".")[:2]) >= (6, 8)


def filter_of(root):
    """Before Linux 6.4 the rings of a bound socket cannot be mapped again: a restart binds afresh there."""
    return "*" if tuple(int(part) for part in modules_of(root).name.split(".")[:2]) >= (6, 4) else "*:-Adoption.*:XdpPorts.TheNextTakesOverEverything"


def output(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


class Initramfs:
    """A folder that becomes an archive in the kernel's own format (newc)."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def add(self, source, name, mode=0o755):
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)

    def program(self, path):
        """A program, without its debug information, and the libraries it names."""
        self.add(path, f"bin/{Path(path).name}")
        subprocess.run(["strip", str(self.folder / "bin" / Path(path).name)], check=True)
        for library in re.findall(r"(/\S+) \(0x", output("ldd", path)):
            self.add(library, f"lib64/{Path(library).name}")

    def modules(self, root):
        """Modules with what they depend on, in the order in which they load."""
        base = modules_of(root)
        paths = {re.sub(r"\.ko(\.xz)?$", "", path.name).replace("-", "_"): path for path in base.rglob("*.ko*")}
        order = []

        def visit(name):
            path = paths.get(name)
            if path is None or path.name in order:
                return
            data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
            target = self.folder / "modules" / f"{name}.ko"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
            wanted = output("modinfo", "-F", "depends", target).strip() if shutil.which("modinfo") else depends(data)
            for other in filter(None, wanted.split(",")):
                visit(other.replace("-", "_"))
            if target.name not in order:
                order.append(target.name)

        for name in MODULES:
            visit(name)
        (self.folder / "modules").mkdir(exist_ok=True)
        (self.folder / "modules/order").write_text("\n".join(order) + "\n")

    def write(self, path):
        with open(path, "wb") as file:
            for number, entry in enumerate([self.folder, *sorted(self.folder.rglob("*"))], 1):
                name = str(entry.relative_to(self.folder)) if entry != self.folder else "."
                status = entry.lstat()
                data = os.readlink(entry).encode() if entry.is_symlink() else entry.read_bytes() if entry.is_file() else b""
                append(file, number, name, status.st_mode, data)
            append(file, 0, "TRAILER!!!", 0, b"")


def append(file, number, name, mode, data):
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    file.write(b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0")
    file.write(b"\0" * (-file.tell() % 4) + data)
    file.write(b"\0" * (-file.tell() % 4))


def depends(data):
    match = re.search(rb"\0depends=([^\0]*)\0", data)
    return match[1].decode() if match else ""


def make_initramfs(root, tests, path):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # it becomes the guest's root, and a test goes on as another user
        image = Initramfs(folder)
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "src", "etc", "lib64"):
            (image.folder / name).mkdir()
        image.add(shutil.which("busybox"), "bin/busybox")
        for applet in output("busybox", "--list").split():
            if applet not in ("busybox", "sh", *TOOLS):
                (image.folder / "bin" / applet).symlink_to("busybox")
        (image.folder / "bin/sh").symlink_to("dash")
        for program in [shutil.which(tool) for tool in TOOLS] + [BIN / test for test in tests]:
            image.program(program)
        for fixtures in FIXTURES:
            if (TOP / fixtures).is_dir():
                shutil.copytree(TOP / fixtures, image.folder / "src" / fixtures)
        image.modules(root)
        (image.folder / "tests").write_text("\n".join(tests) + "\n")
        (image.folder / "filter").write_text(filter_of(root))
        (image.folder / "init").write_text(INIT)
        (image.folder / "init").chmod(stat.S_IRWXU)
        image.write(path)


def boot(root, initramfs):
    """Every line that the guest wrote; the guest ends by itself or is ended."""
    kernel = next((root / "boot").glob("vmlinuz-*"), modules_of(root) / "vmlinuz")
    # On a busy machine an emulated timer comes too late for the kernel's check of it.
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048", "-nodefaults", "-nographic",
               "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", initramfs,
               "-append", "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init"]
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
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
    roots = sorted(Path("/run/roots").iterdir()) if not failed else []
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
