# SPDX-License-Identifier: Apache-2.0
"""strongSwan's charon with ESP in user space (kernel-libipsec) in place of both gateways of a rig.Pair."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.rig.net import RigError, until

SETTINGS = """
charon-systemd {{
    load = random nonce openssl kdf kernel-libipsec kernel-netlink socket-default vici updown
    plugins {{
        kernel-libipsec {{
            raw_esp = yes
        }}
        vici {{
            socket = unix://{folder}/vici
        }}
    }}
    filelog {{
        log {{
            path = {folder}/log
            default = 1
            flush_line = yes
        }}
    }}
}}
"""

CONNECTION = """
connections {{
    peer {{
        version = 2
        proposals = aes128gcm16-prfsha256-x25519
        local_addrs = {near}
        remote_addrs = {far}
        local {{
            auth = psk
            id = {near}
        }}
        remote {{
            auth = psk
            id = {far}
        }}
        children {{
            net {{
                local_ts = {near_network}
                remote_ts = {far_network}
                esp_proposals = aes128gcm16
            }}
        }}
    }}
}}
secrets {{
    ike {{
        secret = "for a benchmark in namespaces of its own"
    }}
}}
"""


class Charons:
    """One on either side, from here on to the end of the block."""

    def __init__(self, rig):
        self.rig = rig
        self.folder = Path(tempfile.mkdtemp(prefix="charons-", dir="/run"))
        self.processes = {}

    def __enter__(self):
        try:
            for side in "AB":
                self._start(side)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self._end()

    def _start(self, side):
        rig, far = self.rig, "B" if side == "A" else "A"
        folder = self.folder / side
        folder.mkdir()
        (folder / "strongswan.conf").write_text(SETTINGS.format(folder=folder))
        (folder / "swanctl.conf").write_text(
            CONNECTION.format(near=rig.BLACK[side][4], far=rig.BLACK[far][4], near_network=rig.NETWORKS[side]["4in4"],
                              far_network=rig.NETWORKS[far]["4in4"]))
        rig.gw[side].forward()
        environment = {**os.environ, "STRONGSWAN_CONF": str(folder / "strongswan.conf")}
        with open(folder / "output", "wb") as output:
            self.processes[side] = subprocess.Popen(rig.gw[side].command("charon-systemd"), stdin=subprocess.DEVNULL, stdout=output,
                                                    stderr=output, env=environment)
        until(lambda: (folder / "vici").exists(), what=f"the charon of side {side} answers: {self.said(side)}")
        self._swanctl(side, "--load-all")

    def _swanctl(self, side, *words):
        folder = self.folder / side
        done = subprocess.run(self.rig.gw[side].command("swanctl", *words, "--uri", f"unix://{folder}/vici"), capture_output=True, text=True,
                              env={**os.environ, "SWANCTL_DIR": str(folder)}, timeout=30, check=False)
        if done.returncode != 0:
            raise RigError(f"swanctl {' '.join(words)}: {done.stdout} {done.stderr} {self.said(side)}")

    def connect(self):
        self._swanctl("A", "--initiate", "--child", "net")
        for gateway in self.rig.gw.values():
            gateway.ip("link", "set", "ipsec0", "txqueuelen", 10000)

    def said(self, side):
        return "".join(path.read_text(errors="replace")[-2000:] for path in sorted((self.folder / side).glob("[lo]*")))

    def _end(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
