# SPDX-License-Identifier: Apache-2.0
"""A Debian that systemd-nspawn boots: files of a root that is only read, under an overlay in memory that goes with the container."""

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

from .net import RigError, run, until


def overlay(lower, directory):
    """directory/root: everything that is in `lower`, and writable. A folder directory/results lies beside it."""
    directory.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", directory)
    for name in ("upper", "work", "root", "results"):
        (directory / name).mkdir()
    options = f"lowerdir={lower},upperdir={directory}/upper,workdir={directory}/work"
    run("mount", "-t", "overlay", "overlay", "-o", options, directory / "root")
    return directory / "root"


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


def start(root, group, console, *more):
    """The process of a systemd-nspawn that boots `root` in the control group; what the container prints goes to the open file `console`."""
    command = ["systemd-nspawn", "--quiet", "-D", str(root), "--register=no", "--keep-unit", "--private-network", "--boot", "--console=pipe",
               "--link-journal=no", "--capability=CAP_BPF,CAP_IPC_LOCK,CAP_PERFMON,CAP_NET_ADMIN,CAP_NET_RAW",
               "--system-call-filter=bpf @memlock memfd_secret", "--bind=/dev/net/tun", *more]
    environment = dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1")
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, env=environment,
                            preexec_fn=lambda: (group / "cgroup.procs").write_text("0"))


class Container:
    """A booted root that is driven from outside."""

    BOOT = 60.0  # seconds

    def __init__(self, lower, directory):
        self.directory = Path(directory)
        self.root = overlay(lower, self.directory)
        # systemd's first boot would ask for what it lacks.
        (self.root / "etc/machine-id").write_text("5a11e9075a11e9075a11e9075a11e907\n")
        self.undo = contextlib.ExitStack()
        self.process, self.first = None, None

    def boot(self):
        group = self.undo.enter_context(control_group())
        console = self.undo.enter_context(open(self.directory / "results/console", "wb"))
        self.process = start(self.root, group, console)
        self.first = until(self._first, self.BOOT, "the container's first process")
        until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"), self.BOOT, "it has booted")

    def _first(self):
        """Its first process as a number of ours."""
        if self.process.poll() is not None:
            raise RigError(f"systemd-nspawn ended: {self.console()}")
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                numbers = re.search(r"^NSpid:(.*)", Path(f"/proc/{child}/status").read_text(), re.M)[1].split()
                if numbers[1:] == ["1"] and Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return int(child)
        return None

    def command(self, *words):
        inside = ["nsenter", "--target", self.first, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wd=/"]
        surroundings = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        return [str(word) for word in (*inside, *surroundings, *words)]

    def run(self, *words, **options):
        return run(*self.command(*words), **options)

    def outer_pid(self, pid):
        """The number that we know a process of the container by."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                numbers = re.search(r"^NSpid:(.*)", status.read_text(), re.M)[1].split()
                if len(numbers) > 1 and numbers[-1] == str(pid):
                    return int(status.parent.name)
        raise RigError(f"there is no process {pid} in the container")

    def console(self):
        return (self.directory / "results/console").read_text(errors="replace")

    def close(self):
        if self.process and self.process.poll() is None:
            self.run("systemctl", "poweroff", "--force", check=False)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.process.kill()
            self.process.wait(10)
        self.undo.close()
