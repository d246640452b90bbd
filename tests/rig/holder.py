# SPDX-License-Identifier: Apache-2.0
"""A small process that stands for systemd's descriptor store: it starts the daemon, keeps what the daemon leaves with it (FDSTORE=1,
sd_pid_notify_with_fds(3)), and passes it to the next start (sd_listen_fds(3)), whatever has become of the daemon in between.

`Holder` is its other end in the test. Messages between the two are JSON, one a packet of a SEQPACKET socket."""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

ENOUGH = 65536  # octets of a message, descriptors apart


class Keeper:
    """The process itself."""

    def __init__(self, control, path):
        self.control = control
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.path = path
        self.kept = []  # (name, descriptor) in order
        self.daemon = None  # (pid, pidfd)

    def run(self):
        while True:
            watched = [self.control, self.notify] + ([self.daemon[1]] if self.daemon else [])
            ready, _, _ = select.select(watched, [], [])
            if self.notify in ready:  # first: what a daemon said before it died
                self.told()
            elif self.control in ready:
                order = self.control.recv(ENOUGH)
                if not order:
                    return self.end()
                self.obey(json.loads(order))
            elif self.daemon:
                pid, descriptor = self.daemon
                _, status = os.waitpid(pid, 0)
                os.close(descriptor)
                self.daemon = None
                self.say(ended=os.waitstatus_to_exitcode(status))

    def say(self, **words):
        self.control.send(json.dumps(words).encode())

    def told(self):
        """A message of the daemon, with descriptors or without."""
        text, descriptors, _, _ = socket.recv_fds(self.notify, 4096, 16, socket.MSG_CMSG_CLOEXEC)
        words = dict(line.split("=", 1) for line in text.decode().split("\n") if "=" in line)
        name = words.get("FDNAME", "stored")
        if words.get("FDSTOREREMOVE") == "1":
            self.forget(lambda one: one == name)
        elif words.get("FDSTORE") == "1":
            self.kept += [(name, descriptor) for descriptor in descriptors]
            descriptors = []
        for descriptor in descriptors:  # BARRIER=1: closing it is the answer
            os.close(descriptor)
        if words.get("READY") == "1":
            self.say(ready=True)

    def forget(self, which):
        for name, descriptor in self.kept:
            if which(name):
                os.close(descriptor)
        self.kept = [(name, descriptor) for name, descriptor in self.kept if not which(name)]

    def obey(self, order):
        if "start" in order:
            self.start(order["start"], order["environment"], order["log"])
            self.say(pid=self.daemon[0])
        elif "forget" in order:
            self.forget(lambda name: name.startswith(order["forget"]))
            self.say(names=[])
        else:
            self.say(names=self.kept)

    def start(self, command, environment, log):
        environment = {**environment, "NOTIFY_SOCKET": self.path}
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.setpgid(0, 0)
                output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 300) for _, descriptor in self.kept]
                os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
                for number in (1, 2):
                    os.dup2(output, number)
                for number, descriptor in enumerate(high):
                    os.dup2(descriptor, 3 + number)
                os.closerange(3 + len(high), 4096)
                if high:
                    environment |= {"LISTEN_FDS": str(len(high)), "LISTEN_PID": str(os.getpid()),
                                    "LISTEN_FDNAMES": ":".join(name for name, _ in self.kept)}
                os.execvpe(command[0], command, environment)
            os._exit(127)
        self.daemon = (pid, os.pidfd_open(pid))

    def end(self):
        if self.daemon:
            os.kill(self.daemon[0], signal.SIGKILL)
            os.waitpid(self.daemon[0], 0)
        os.unlink(self.path)


class Holder:
    """Starts the process; close() ends it, and with it all that it kept."""

    def __init__(self, directory):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = ours
        self.daemon = None
        self.process = subprocess.Popen([sys.executable, "-S", "-E", __file__, str(theirs.fileno()), str(directory / "holder")],
                                        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def start(self, command, environment, log):
        """The daemon, with everything that is kept; it speaks to us as a subprocess.Popen would."""
        self.daemon = Held(self)
        self.daemon.pid = self._ask(start=[str(word) for word in command], environment=environment, log=str(log))["pid"]
        return self.daemon

    def kept(self):
        """name -> path at which the file that is kept can be opened (a memfd; a socket cannot)."""
        return {name: f"/proc/{self.process.pid}/fd/{number}" for name, number in self._ask(names=True)["names"]}

    def forget(self, prefix=""):
        """All names that begin so, as if the service manager had lost them."""
        self._ask(forget=prefix)

    def close(self):
        self.control.close()
        self.process.wait(10)

    def _ask(self, **order):
        self.control.send(json.dumps(order).encode())
        while True:
            said = self.listen(10)
            if said is None:
                raise TimeoutError("the holder does not answer")
            if "pid" in said or "names" in said:
                return said

    def listen(self, seconds):
        """The next message, None after the time; what it says of the daemon is noted."""
        ready, _, _ = select.select([self.control], [], [], max(0, seconds))
        if not ready:
            return None
        octets = self.control.recv(ENOUGH)
        if not octets:
            raise ChildProcessError("the holder has ended")
        said = json.loads(octets)
        if self.daemon:
            self.daemon.ready |= said.get("ready", False)
            self.daemon.returncode = said.get("ended", self.daemon.returncode)
        return said


class Held:
    """The daemon as the holder's child."""

    def __init__(self, holder):
        self.holder = holder
        self.pid, self.returncode, self.ready = None, None, False

    def poll(self):
        while self.returncode is None and self.holder.listen(0):
            pass
        return self.returncode

    def wait(self, timeout):
        end = time.monotonic() + timeout
        while self.returncode is None:
            if self.holder.listen(end - time.monotonic()) is None:
                raise subprocess.TimeoutExpired("sallyport-gateway", timeout)
        return self.returncode

    def send_signal(self, number):
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    Keeper(socket.socket(fileno=int(sys.argv[1])), sys.argv[2]).run()
