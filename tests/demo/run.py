#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo: two gateways carry real traffic between two networks, and a capture between them shows that nothing of it is in clear.

Called inside the development root, when the programs are built. Exit status 1 if a packet was lost or anything in clear was seen."""

import argparse
import collections
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP))
os.environ.setdefault("SALLYPORT_BIN", str(TOP / "build/release/bin"))

from tests.rig.net import RigError  # noqa: E402  (the path comes first)
from tests.rig.topology import Pair  # noqa: E402
from tests.rig.wire import Recorder  # noqa: E402

PINGS = 200
SAMPLE = 4  # frames that are shown
SECONDS = 3  # of each measurement by iperf3
UDP_RATE = 10  # Mbit/s offered
UDP_LOSS = 0.01  # the hosts themselves may lose so much through the tunnel: on two cores five programs share a processor
KINDS = {"IPv4": "4in4", "IPv6": "6in4"}

PICTURE = """
    hostA ------ gwA ====== wan ====== gwB ------ hostB        ---- clear   ==== ESP in tunnel mode
    10.1.0.2     192.0.2.2             198.51.100.2  10.2.0.2
    2001:db8:1::2                                    2001:db8:2::2
"""


def say(text=""):
    print(text, flush=True)


class Traffic:
    """What the hosts say to each other, and whether all of it arrived."""

    def __init__(self, rig, allowed):
        """`allowed`: the part of the packets that UDP may lose."""
        self.rig, self.allowed = rig, allowed
        self.faults = []
        self.server = subprocess.Popen(rig.host["B"].command("iperf3", "-s"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.server.kill()
        self.server.wait()

    def ping(self, family):
        before = self.rig.answers(KINDS[family])
        result = self.rig.host["A"].run("ping", "-n", "-q", "-c", PINGS, "-i", 0.01, "-W", 2, self.rig.HOSTS["B"][KINDS[family]], check=False,
                                        timeout=60).stdout
        received = self.rig.answered(before, PINGS, KINDS[family])
        times = [line.split("=")[1].split("/")[1] for line in result.splitlines() if line.startswith("rtt")]
        if received != PINGS:
            self.faults.append(f"{PINGS - received} of {PINGS} pings lost ({family})")
        return f"{received} of {PINGS} ({times[0] if times else '-'} ms)"

    def iperf(self, family, udp):
        words = ["iperf3", "-J", "-c", self.rig.HOSTS["B"][KINDS[family]], "-t", SECONDS, "--connect-timeout", 5000]
        words += ["-u", "-b", f"{UDP_RATE}M", "-l", 1300] if udp else []
        name = f"{'UDP' if udp else 'TCP'} {family}"
        for attempt in range(3):  # the server may still be busy with ending the last test
            answer = self.rig.host["A"].run(*words, check=False, timeout=SECONDS + 30).stdout
            said = json.loads(answer or "{}")
            if "error" not in said or "busy" not in said["error"]:
                break
            time.sleep(0.5 * (attempt + 1))
        if "error" in said or "end" not in said:
            self.faults.append(f"{name}: iperf3 says {said.get('error', 'nothing')}")
            return "failed"
        if not udp:
            return rate(said["end"]["sum_received"]["bits_per_second"])
        total = said["end"]["sum"]
        if total["lost_packets"] > total["packets"] * self.allowed:
            self.faults.append(f"{name}: {total['lost_packets']} of {total['packets']} packets lost")
        return f"{total['packets'] - total['lost_packets']} of {total['packets']} ({rate(total['bits_per_second'])})"

    def all(self):
        rows = {}
        for family in KINDS:
            rows[f"ping {family}"] = self.ping(family)
        for udp in (False, True):
            for family in KINDS:
                rows[f"{'UDP' if udp else 'TCP'} {family}"] = self.iperf(family, udp)
        return rows


def rate(bits):
    return f"{bits / 1e9:.2f} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:.0f} Mbit/s"


def frames_of(space, interface):
    link = space.json("-s", "link", "show", "dev", interface)[0]["stats64"]
    return link["rx"]["packets"] + link["tx"]["packets"]


class Proof:
    """Records what on the wan is not ESP, on both sides of it, and counts the rest."""

    def __init__(self, rig):
        self.rig = rig
        self.before = {side: frames_of(rig.wan, f"to{side}") for side in "AB"}
        self.sample = subprocess.Popen(rig.wan.command("tcpdump", "-lnt", "-c", SAMPLE, "-i", "toA", "ip proto 50 or ip6 proto 50"),
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.recorders = {side: Recorder(rig.wan, f"to{side}", only="not (ip proto 50 or ip6 proto 50)") for side in "AB"}

    def end(self):
        """(frames of ESP, housekeeping by name, clear by name, some of the frames as tcpdump prints them)."""
        self.sample.terminate()
        lines = self.sample.communicate(timeout=10)[0].splitlines()
        esp, quiet, clear = 0, collections.Counter(), collections.Counter()
        for side, recorder in self.recorders.items():
            frames = recorder.stop()
            for frame in frames:
                what = frame.what()
                (quiet if what in ("arp", "nd") else clear)[what] += 1
            esp += frames_of(self.rig.wan, f"to{side}") - self.before[side] - len(frames)
        return esp, quiet, clear, lines


def table(rows, heads):
    widths = [max(len(str(row[i])) for row in [heads, *rows]) for i in range(len(heads))]
    line = "  ".join("-" * width for width in widths)
    for row in (heads, None, *rows):
        say("    " + (line if row is None else "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths))))


def bare(rig):
    say("First the bare links: the kernels of both gateways forward in clear, no Sallyport yet.")
    rig.bare()
    traffic = Traffic(rig, allowed=1.0)  # what the kernels lose is no fault of ours
    try:
        rows = traffic.all()
    finally:
        traffic.close()
        rig.bare(False)
    return rows, traffic.faults


def start(rig):
    say("Now both gateways start, from etc/demo/gw-a.toml and etc/demo/gw-b.toml. Their keys are given by hand, for AES-GCM, which RFC 8221")
    say("forbids outside demonstrations: the files say unsafe-manual-aead = true.")
    for side in "AB":
        name = f"gw-{side.lower()}"
        text = (TOP / f"etc/demo/{name}.toml").read_text()
        rig.daemon[side] = rig.gateway(rig.gw[side], name, text, run_directory=f"/run/sallyport/{name}",
                                       state_directory=f"/var/lib/sallyport/{name}")
        rig.daemon[side].first_start()


def tunnel(rig):
    say("The same traffic again, through the tunnel, while both links of the wan are recorded.")
    proof = Proof(rig)
    traffic = Traffic(rig, allowed=UDP_LOSS)
    try:
        rows = traffic.all()
    finally:
        traffic.close()
    return rows, traffic.faults, proof.end()


def show(rig, before, after, proof):
    esp, quiet, clear, lines = proof
    say()
    table([[name, before[name], after[name]] for name in before], ["hostA to hostB", "bare links", "through the tunnel"])
    say()
    say(f"On the wan: {esp} frames of ESP, {sum(clear.values())} in clear, and {sum(quiet.values())} of the links' own housekeeping "
        f"({', '.join(f'{count} {name}' for name, count in quiet.items()) or 'no ARP, no ND'}).")
    say("The first of them, as anybody on the way sees them (tcpdump on wan):")
    for line in lines:
        say(f"    {line}")
    for name, count in clear.items():
        say(f"    in clear: {count} x {name}")
    for side in "AB":
        say(f"\nWhat gateway {side} counted (sallyport counters):")
        for line in rig.daemon[side].sallyport("counters", "--socket", rig.daemon[side].control).stdout.splitlines():
            say(f"    {line}")


def keep(rig):
    say("\nEverything stays until you press Ctrl-C here. One command, in another terminal, enters host A:\n")
    say('    sudo nsenter --all --target "$(pgrep -of "^python3 tests/demo/run.py")" ip netns exec hostA bash\n')
    say("There: ping 10.2.0.2. The other namespaces are gwA, wan, gwB and hostB; on wan, tcpdump -ni toA shows what the Internet sees.")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(1):
        for side in "AB":
            if not rig.daemon[side].alive:
                raise RigError(f"gateway {side} ended by itself: {rig.daemon[side].said()[-2000:]}")


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description="Two gateways carry real traffic between two networks.")
    parser.add_argument("--keep", action="store_true", help="leave it running and print the command that enters it")
    options = parser.parse_args()
    begin = time.monotonic()
    say(PICTURE)
    try:
        with Pair(prefix=None) as rig:
            before, faults = bare(rig)
            start(rig)
            after, more, proof = tunnel(rig)
            show(rig, before, after, proof)
            faults += more
            if not proof[0]:
                faults.append("no ESP was seen on the wan")
            if proof[2]:
                faults.append(f"{sum(proof[2].values())} frames in clear on the wan")
            say()
            for fault in faults:
                say(f"FAILED: {fault}")
            if not faults:
                say(f"No packet of the pings was lost, and the wan carried ESP only. It took {time.monotonic() - begin:.0f} s.")
            if options.keep:
                keep(rig)
    except RigError as fault:
        say(f"FAILED: {fault}")
        return 1
    say("Everything is removed.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
