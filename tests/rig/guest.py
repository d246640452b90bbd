# SPDX-License-Identifier: Apache-2.0
"""Machines with kernels of Debian releases, under qemu without KVM: a kernel, busybox, programs and modules, all in one initramfs.

The unpacked kernels lie under /run/roots, where ./dev puts them."""

import lzma
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

ROOTS = Path("/run/roots")


def modules_of(root):
    """The folder of a kernel's modules, which has the name of its release."""
    return next((root / "usr/lib/modules").glob("*"), None) or next((root / "lib/modules").glob("*"))


def version_of(root):
    """(major, minor) of a kernel."""
    return tuple(int(part) for part in modules_of(root).name.split(".")[:2])


def output(*command):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


class Initramfs:
    """A folder that becomes an archive in the kernel's own format (newc)."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.chmod(0o755)  # it becomes the guest's root, also for those who are not root there
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "src", "etc", "lib64"):
            (self.folder / name).mkdir()

    def add(self, source, name, mode=0o755):
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)

    def text(self, name, text):
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def init(self, text):
        """The first process of the guest."""
        self.text("init", text)
        (self.folder / "init").chmod(stat.S_IRWXU)

    def tools(self, names):
        """These programs, with dash as the shell (that of busybox would call its own ip), and busybox for all others."""
        self.add(shutil.which("busybox"), "bin/busybox")
        for applet in output("busybox", "--list").split():
            if applet not in ("busybox", "sh", *names):
                (self.folder / "bin" / applet).symlink_to("busybox")
        (self.folder / "bin/sh").symlink_to("dash")
        for name in ("dash", *names):
            self.program(shutil.which(name))

    def program(self, path):
        """A program, without its debug information, and the libraries it names."""
        self.add(path, f"bin/{Path(path).name}")
        subprocess.run(["strip", str(self.folder / "bin" / Path(path).name)], check=True)
        for library in re.findall(r"(/\S+) \(0x", output("ldd", path)):
            self.add(library, f"lib64/{Path(library).name}")

    def modules(self, root, names):
        """Modules with what they depend on, in the order in which they load. Those that the kernel has built in are not looked for."""
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

        for name in names:
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


def machine(root, initramfs, *more, processors=2):
    """The command that boots it; `more` are options of qemu: its serial ports, its network. The first port is the kernel's console."""
    kernel = next((root / "boot").glob("vmlinuz-*"), modules_of(root) / "vmlinuz")
    # On a busy machine an emulated timer comes too late for the kernel's check of it.
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", processors, "-m", "2048", "-nodefaults", "-nographic",
               "-no-reboot", "-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init", *more]
    return [str(word) for word in command]
