# SPDX-License-Identifier: Apache-2.0
"""A router with another kernel, whose own ESP is the peer of a gateway: a guest of qemu with two links, steered by its serial port."""

import os
import re
import select
import subprocess
import tempfile
import time

from tests.rig.guest import Initramfs, machine
from tests.rig.net import RigError

# The transforms and what they are built from; what Debian has built in (AES, CBC, CTR, SHA-2, HMAC) is not looked for.
MODULES = ["virtio_net", "xfrm_user", "esp4", "esp6", "ah4", "ah6", "gcm", "ghash_generic", "ccm", "cmac", "chacha20poly1305", "chacha_generic",
           "poly1305_generic", "authenc", "authencesn", "echainiv", "seqiv", "crypto_null", "sha256_generic", "sha512_generic"]
BOOT = 180  # seconds, on a busy machine
PATIENCE = 60

INIT = """#!/bin/busybox sh
export PATH=/bin HOME=/root LD_LIBRARY_PATH=/lib64
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /tmp
for module in $(cat /modules/order); do insmod /modules/$module; done
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo
echo "@@done 0"
exec dash -c 'while read -r line; do eval "$line"; echo "@@done $?"; done'
"""


class Peer:
    def __init__(self, space, root, links, texts):
        """`links`: (MAC, TAP device of `space`) by which it has eth0, eth1, ... `texts`: files in its folder /etc, name -> contents."""
        self.said = b""
        self.errors = {}
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            image = Initramfs(folder)
            image.tools(["ip"])
            image.modules(root, MODULES)
            for name, text in texts.items():
                image.text(f"etc/{name}", text)
            image.init(INIT)
            self.initramfs = f"{folder}.cpio"
            image.write(self.initramfs)
        self.console = f"{self.initramfs}.console"
        options = ["-serial", f"file:{self.console}", "-serial", "stdio"]
        for number, (mac, device) in enumerate(links):
            options += ["-netdev", f"tap,id=n{number},ifname={device},script=no,downscript=no,vnet_hdr=off",
                        "-device", f"virtio-net-pci,netdev=n{number},mac={mac},romfile="]
        self.process = subprocess.Popen(space.command(*machine(root, self.initramfs, *options, processors=1)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._answer("boot", BOOT)

    def _answer(self, what, patience):
        """What it said until a command was done."""
        end = time.monotonic() + patience
        while not (found := re.search(rb"@@done (\d+)\r?\n", self.said)):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not more:
                raise RigError(f"the guest does not answer to '{what}': {self.said.decode(errors='replace')}\n{self.log()}")
            self.said += more
        text, self.said = self.said[: found.start()].decode().replace("\r", ""), self.said[found.end() :]
        if int(found[1]):
            raise RigError(f"in the guest, '{what}' ended with {int(found[1])}: {text}")
        return text

    def run(self, line):
        """What a line of the shell wrote."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self._answer(line, PATIENCE)

    def log(self):
        """The end of what its kernel wrote."""
        with open(self.console, errors="replace") as file:
            return file.read()[-4000:]

    def errors_since(self):
        """Counters of /proc/net/xfrm_stat that rose since the last call, and by how much."""
        rows = (line.split() for line in self.run("cat /proc/net/xfrm_stat").splitlines())
        now = {name: int(value) for name, value in rows}
        risen = {name: value - self.errors.get(name, 0) for name, value in now.items() if value != self.errors.get(name, 0)}
        self.errors = now
        return risen

    def sa(self, source, destination, spi, protocol="esp"):
        """(packets, highest number accepted, last number given) of an SA."""
        text = self.run(f"ip -s xfrm state get src {source} dst {destination} proto {protocol} spi {spi:#x}")
        if high := re.search(r"seq-hi (\w+), seq (\w+), oseq-hi (\w+), oseq (\w+)", text):
            inbound_high, inbound, outbound_high, outbound = (int(word, 16) for word in high.groups())
        else:
            raise RigError(f"no sequence numbers in: {text}")
        packets = int(re.search(r"(\d+)\(packets\)", text)[1])
        return packets, inbound_high << 32 | inbound, outbound_high << 32 | outbound

    def close(self):
        self.process.kill()
        self.process.wait()
        for path in (self.initramfs, self.console):
            os.unlink(path)
