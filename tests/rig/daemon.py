# SPDX-License-Identifier: Apache-2.0
"""The real sallyport-gateway, as systemd would start it, with a run and a state directory of its own; and `sallyport` against it."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from .holder import Holder
from .net import RigError, run, until

TOP = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("SALLYPORT_BIN") or TOP / "build/test/bin")
START = 20.0  # seconds until a gateway must be ready
STOP = 10.0


class Refused(Exception):
    """The daemon ended before it was ready; `text` is what it said."""

    def __init__(self, status, text):
        super().__init__(f"sallyport-gateway ended with {status}: {text}")
        self.status, self.text = status, text


class Gateway:
    """One gateway in one namespace. The folders live until remove(): a restart finds pins and marks as a real one would."""

    def __init__(self, space, directory, config, run_directory=None, state_directory=None, holder=False):
        """`config`: the text of the configuration, or what makes it from this object (its `run_directory`, `state_directory`).
        `holder`: a process in place of systemd's descriptor store keeps what a daemon leaves for the next (else it goes with the daemon)."""
        self.space = space
        self.directory = Path(directory)
        self.run_directory = Path(run_directory or self.directory / "run")
        self.state_directory = Path(state_directory or self.directory / "state")
        self.log = self.directory / "log"
        self.file = self.directory / "sallyport.toml"
        for folder in (self.directory, self.run_directory, self.run_directory / "bpf", self.state_directory):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        run("mount", "-t", "bpf", "-o", "mode=0700", "bpf", self.run_directory / "bpf")
        self.process = None
        self.notify = None
        self.holder = Holder(self.directory) if holder else None
        self.prefix = []  # a command that starts it
        self.options = []  # more options of the daemon
        self.configure(config)

    def configure(self, config):
        self.text = config
        text = config(self) if callable(config) else config
        self.file.write_text(text)
        self.file.chmod(0o600)

    def settings(self, **more):
        """The section [gateway] with this rig's folders; keys by their names with _ for -."""
        return {"run-directory": self.run_directory, "state-directory": self.state_directory, "frames": 4096,
                **{key.replace("_", "-"): item for key, item in more.items()}}

    # Life

    def create_marks(self):
        """Before the first start: says that the keys of the configuration were never used."""
        return self.sallyport("marks", "--create", self.file)

    def start(self, timeout=START, environment=None):
        """Starts it and waits until it says that it is ready. Refused when it ends before."""
        before = self.log.stat().st_size if self.log.exists() else 0
        command = self.space.command(*self.prefix, BIN / "sallyport-gateway", "--config", self.file, "--state", self.state_directory,
                                     *self.options)
        surroundings = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})}
        ready = self._start_held(command, surroundings) if self.holder else self._start(command, surroundings)
        end = time.monotonic() + timeout
        while not ready():
            if self.process.poll() is not None:
                status, self.process = self.process.returncode, None
                raise Refused(status, self.said(before))
            if time.monotonic() > end:
                self.kill()
                raise RigError(f"sallyport-gateway is not ready after {timeout} s: {self.said(before)}")
        return self

    def _start(self, command, environment):
        """As a service manager without a descriptor store would. Gives what to ask, again and again, whether it is ready."""
        path = self.directory / "notify"
        path.unlink(missing_ok=True)
        if self.notify:
            self.notify.close()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(path))
        path.chmod(0o777)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**environment, "NOTIFY_SOCKET": str(path)}, process_group=0)

        def ready():
            told, _, _ = select.select([self.notify], [], [], 0.05)
            return told and b"READY=1" in self.notify.recv(4096).split(b"\n")

        return ready

    def _start_held(self, command, environment):
        self.process = self.holder.start(command, environment, self.log)

        def ready():
            if not self.process.ready:
                self.holder.listen(0.05)
            return self.process.ready

        return ready

    def first_start(self, **options):
        self.create_marks()
        return self.start(**options)

    def said(self, offset=0):
        with contextlib.suppress(FileNotFoundError):
            with open(self.log, "rb") as log:
                log.seek(offset)
                return log.read().decode(errors="replace")
        return ""

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def _end(self, number):
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP)
            raise RigError(f"sallyport-gateway did not end within {STOP} s of signal {number}: {self.said()[-2000:]}") from None

    def stop(self):
        """As systemctl stop: its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self):
        return self._end(signal.SIGKILL)

    def unpin(self):
        """Unlinks what is pinned and forgets what is kept, as a reboot does; the kernel's own entries stay. Then no program is left on the
        interfaces."""
        if self.holder:
            self.holder.forget()
        for path in sorted((self.run_directory / "bpf").rglob("*"), reverse=True):
            if path.suffix != ".debug":
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        until(lambda: not self.space.xdp(), what=f"{self.space.name} without XDP programs")

    def reboot(self):
        """Takes away all that is in the kernel's memory; the state directory and the interfaces stay."""
        self.unpin()
        self.space.run("nft", "delete", "table", "inet", "sallyport_guard", check=False)
        for link in self.space.json("-d", "link", "show"):
            if str(link.get("ifalias", "")).startswith("sallyport: "):
                self.space.ip("link", "delete", link["ifname"])
            self.space.run("tc", "qdisc", "delete", "dev", link["ifname"], "clsact", check=False)

    def remove(self):
        """In this order, as the kernel wants it: the process, the pins, then wait until no program is left on the interfaces.
        RigError at the end if the daemon had died by itself or did not stop."""
        fault = None
        if self.process is not None and self.process.poll() is not None:
            fault = RigError(f"sallyport-gateway ended by itself with {self.process.returncode}: {self.said()[-2000:]}")
            self.process = None
        try:
            status = self.stop()
            if status not in (None, 0):
                fault = RigError(f"sallyport-gateway stopped with {status}: {self.said()[-2000:]}")
        except RigError as late:
            fault = late
        if self.notify:
            self.notify.close()
            self.notify = None
        self.unpin()
        if self.holder:
            self.holder.close()
            self.holder = None
        run("umount", self.run_directory / "bpf")
        for folder in (self.run_directory, self.state_directory, self.directory):
            shutil.rmtree(folder, ignore_errors=True)
        if fault:
            raise fault

    # What it says

    @property
    def control(self):
        """Its control socket."""
        return self.run_directory / "gateway.varlink"

    def sallyport(self, *words, check=True, timeout=10.0):
        return self.space.run(BIN / "sallyport", *words, check=check, timeout=timeout)

    def ask(self, command, *words):
        """The JSON of `sallyport COMMAND --json`."""
        return json.loads(self.sallyport(command, "--json", *words, "--socket", self.control).stdout)

    def counters(self):
        return Counters(self.ask("counters")["counters"], self.ask("status")["workers"])


def _dropping_verdicts():
    """Names of the kernel program's verdicts that drop, from the header that it and the gateway share."""
    text = (TOP / "bpf/shared.h").read_text()
    return set(re.findall(r'X\(SP_\w+, "(\w+)", SP_DROP,', text))


class Counters:
    """What `sallyport counters --json` said, and how often the workers slept."""

    DROPPING = _dropping_verdicts()

    def __init__(self, rows, workers):
        values = {(row["group"], row.get("port"), row["name"]): row["value"] for row in rows}
        self.values = values
        self.drops = {name: value for (group, _, name), value in values.items() if group == "drop" and value}
        self.drops |= {f"{port}.{name}": value for (group, port, name), value in values.items()
                       if group == "kernel" and name in self.DROPPING and value}
        for name in ("sealed", "opened", "bypassed", "handed_over", "waiting"):
            setattr(self, name, values[("packets", None, name)])
        self.rounds = sum(worker["rounds"] for worker in workers)
        self.sleeps = sum(worker["sleeps"] for worker in workers)

    def drops_since(self, before):
        """name -> by how much it rose."""
        return {name: value - before.drops.get(name, 0) for name, value in self.drops.items() if value != before.drops.get(name, 0)}

    def since(self, before):
        """Everything that rose, for messages."""
        return {"/".join(filter(None, key)): value - before.values.get(key, 0) for key, value in self.values.items()
                if value != before.values.get(key, 0)}
