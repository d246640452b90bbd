#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peers.py [--peer NAME,...] [--runs N] [--core N] [--realtime] [--json FILE]: what others do beside what we do, measured in turn.

strongswan   the same numbered UDP stream through two gateways of ours and through two charons with their userland ESP (kernel-libipsec):
             the highest rate at which no packet is lost
             (strongSwan's TUN devices have an MTU of 1400, so that packets of 1420 octets are cut in two there; hence 1400, too)
dpdk-crypto  our whole pipeline beside the mere cryptodev call of dpdk-test-crypto-perf on the same text, runs of a second in turn; the
             library's bare call before and after each says whether the machine was disturbed"""

import argparse
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOP = Path(__file__).resolve().parents[1]
BIN = TOP / "build/release/bin"
os.environ["SALLYPORT_BIN"] = str(BIN)
sys.path.insert(0, str(TOP))

from bench.strongswan import Charons  # noqa: E402
from tests.rig.net import RigError  # noqa: E402
from tests.rig.topology import Pair  # noqa: E402

PACKETS = {1420: "peers/strongswan", 1400: "peers/strongswan/1400"}  # octets of the inner packet
TRIAL = 1.0  # seconds
TRIES = 3  # a rate that loses nothing in one of them is carried: others use the machine
FINE = 1.05  # the last step of the search
SLOW = 1.03  # a stream that took so many times its second was not sent at its rate
DISTURBED = 1.1  # over the best bare call
SIZES = 64, 1420


def median(values):
    return sorted(values)[len(values) // 2]


def row(name, unit, values, baseline):
    ours, theirs = median(values), median(baseline)
    return {"name": name, "unit": unit, "median": round(ours, 3), "min": round(min(values), 3), "max": round(max(values), 3),
            "baseline": round(theirs, 3), "ratio": round(ours / theirs, 3)}


def show(result):
    print(f"{result['name']:44} {result['median']:10.1f} {result['min']:10.1f} {result['max']:10.1f} {result['baseline']:10.1f} "
          f"{result['median'] - result['baseline']:10.1f} {result['ratio']:7.3f}", flush=True)


class Stream:
    """A numbered stream from host A to host B of a rig."""

    runs = itertools.count(1)

    def __init__(self, rig):
        self.near, self.far = (rig.HOSTS[side]["4in4"] for side in "AB")
        self.sender = rig.host["A"]
        self.receiver = subprocess.Popen(rig.host["B"].command(BIN / "bench-peers", "receive", self.far), stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self.receiver.stdout.readline()

    def close(self):
        self.receiver.stdin.close()
        self.receiver.wait(10)

    def lost(self, rate, size):
        """How many of a trial's packets did not come; None: this machine cannot send at the rate."""
        run = next(self.runs)
        sent, took = self.sender.run(BIN / "bench-peers", "send", self.near, self.far, size, rate, TRIAL, run, timeout=60).stdout.split()
        self.receiver.stdin.write(f"{run}\n")
        self.receiver.stdin.flush()
        lost = int(sent) - int(self.receiver.stdout.readline())
        return lost if float(took) <= SLOW * TRIAL else None

    def carried(self, rate, size):
        return any(self.lost(rate, size) == 0 for _ in range(TRIES))

    def best(self, size):
        """The highest rate without loss, packets a second: doubled until something is lost, then halved in between."""
        low, high = 0, 250
        while self.carried(high, size):
            low, high = high, 2 * high
        if low == 0:
            raise RigError(f"not even {high} packets a second of {size} octets come through without loss")
        while high / low > FINE:
            middle = (low * high) ** 0.5
            low, high = (middle, high) if self.carried(middle, size) else (low, middle)
        return low


@contextlib.contextmanager
def ours(rig):
    rig.start(rig.connections())
    rig.pings("4in4", 3)
    yield


@contextlib.contextmanager
def theirs(rig):
    with Charons(rig) as charons:
        charons.connect()
        rig.ping("4in4", 3)
        yield


def best_of(through):
    """By size of the packets."""
    with Pair(path_mtu=1500) as rig, through(rig), contextlib.closing(Stream(rig)) as stream:
        stream.lost(1000, min(PACKETS))  # neighbours and routes are known
        return {size: stream.best(size) for size in PACKETS}


def strongswan(options):
    """Packets a second, in turn."""
    rates = {ours: [], theirs: []}
    if options.realtime:  # all of both sides, and the stream
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    for number in range(options.series):
        for through in (ours, theirs) if number % 2 == 0 else (theirs, ours):
            rates[through].append(best_of(through))
        print("    " + "; ".join(f"{size} octets: ours {rates[ours][-1][size]:.0f}, theirs {rates[theirs][-1][size]:.0f} packets a second"
                                 for size in PACKETS), flush=True)
    os.setpriority(os.PRIO_PROCESS, 0, 0)
    rows, bars = [], []
    for size, name in PACKETS.items():
        result = row(name, "packets/s", *([rate[size] for rate in rates[through]] for through in (ours, theirs)))
        show(result)
        rows.append(result)
        bars.append((f"{name} at least 10 times: {result['ratio']:.2f}", result["ratio"] >= 10))
    return rows, bars


class Pipeline:
    """bench-pipeline with packets of one size, which does for a second what it is told to."""

    def __init__(self, options, size):
        command = [BIN / "bench-pipeline", "--ask", "--sizes", str(size), *options.pace]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class Cryptodev:
    """dpdk-test-crypto-perf with crypto_aesni_gcm: AES-128-GCM with the text and the additional data that ESP with ESN has."""

    def __init__(self, options):
        cores = sorted(os.sched_getaffinity(0))
        self.core = options.core if options.core is not None else cores[-1]
        self.other = next((core for core in cores if core != self.core), self.core)
        self.folder = tempfile.TemporaryDirectory(prefix="vectors-")
        for size in SIZES:
            (Path(self.folder.name) / str(size)).write_text(self.vector(size))
        self.first = ["chrt", "--fifo", "1"] if options.realtime else []
        self.operations = dict.fromkeys(itertools.product(("seal", "open"), SIZES), 2_000_000)

    @staticmethod
    def text(size):
        """Octets that are enciphered: with ESP's trailer."""
        return (size + 2 + 3) & ~3

    def vector(self, size):
        key, nonce, more, text = os.urandom(16), os.urandom(12), os.urandom(12), os.urandom(self.text(size))
        sealed = AESGCM(key).encrypt(nonce, text, more)
        parts = {"plaintext": text, "aead_key": key, "aead_iv": nonce, "aad": more, "ciphertext": sealed[:-16], "digest": sealed[-16:]}
        return "[bench]\n" + "".join(f"{name} =\n{', '.join(map(hex, octets))}\n\n" for name, octets in parts.items())

    def measure(self, direction, size):
        """Cycles a packet, of about a second."""
        operations = self.operations[direction, size]
        said = self.run(direction, size, operations)
        values = re.findall(r"^\s*\d+\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)", said, re.M)
        if not values:
            sys.exit(f"dpdk-test-crypto-perf said no figure: {said[-2000:]}")
        rate, cycles = float(values[-1][6]) * 1e6, float(values[-1][8])
        self.operations[direction, size] = max(100_000, int(rate))  # the next one takes a second
        return cycles

    def run(self, direction, size, operations):
        command = [*self.first, "dpdk-test-crypto-perf", "--lcores", f"0@{self.other},1@{self.core}", "--no-huge", "-m", "512", "--no-pci",
                   "--file-prefix", f"bench{os.getpid()}", "--log-level", "error", "--vdev", "crypto_aesni_gcm0", "--", "--ptest",
                   "throughput", "--devtype", "crypto_aesni_gcm", "--optype", "aead", "--aead-algo", "aes-gcm", "--aead-op",
                   "encrypt" if direction == "seal" else "decrypt", "--aead-key-sz", "16", "--aead-iv-sz", "12", "--aead-aad-sz", "12",
                   "--digest-sz", "16", "--buffer-sz", str(self.text(size)), "--burst-sz", "32", "--total-ops", str(operations), "--silent",
                   "--test-file", f"{self.folder.name}/{size}", "--test-name", "bench"]
        if direction == "open":  # it opens in no other way
            command += ["--out-of-place", "--segment-sz", "2048"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            sys.exit(f"dpdk-test-crypto-perf ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout


def in_turn(pipeline, cryptodev, direction, size, wanted):
    """Runs of both sides in turn, each between two bare calls: what is kept of them, and how many were thrown away."""
    runs = []  # (side, bare call before, cycles, bare call after)

    def kept():
        best = min(bare for _, before, _, after in runs for bare in (before, after)) if runs else 0
        good = [(side, cycles) for side, before, cycles, after in runs if max(before, after) <= DISTURBED * best]
        return [[cycles for side, cycles in good if side == which] for which in (0, 1)]

    bare = f"bare-{direction}"
    before = pipeline.ask(bare)
    while min(map(len, kept())) < wanted:
        if len(runs) > 20 * wanted:
            sys.exit(f"this machine is too busy: of {len(runs)} runs too few were undisturbed (--realtime helps where others run)")
        side = len(runs) % 2
        cycles = cryptodev.measure(direction, size) if side else pipeline.ask(direction)
        after = pipeline.ask(bare)
        runs.append((side, before, cycles, after))
        before = after
    sides = kept()
    best = min(bare for _, before, _, after in runs for bare in (before, after))
    return sides, len(runs) - sum(map(len, sides)), best


def dpdk_crypto(options):
    rows, bars = [], []
    cryptodev = Cryptodev(options)
    for direction, size in itertools.product(("seal", "open"), SIZES):
        cryptodev.run(direction, size, 1000)
        cryptodev.measure(direction, size)  # how many make a second
    for size, direction in itertools.product(SIZES, ("seal", "open")):
        with contextlib.closing(Pipeline(options, size)) as pipeline:
            (mine, other), thrown_away, bare = in_turn(pipeline, cryptodev, direction, size, options.runs)
        result = row(f"peers/dpdk-crypto/{size}/{direction}", "cycles/packet", mine, other)
        show(result)
        print(f"    bare call {bare:.1f}; {len(mine)} and {len(other)} runs kept, {thrown_away} thrown away", flush=True)
        rows.append(result)
        over = result["median"] - result["baseline"]
        if size == 64:
            bars.append((f"{result['name']} at most 80 over the cryptodev call: {over:.1f}", over <= 80))
        else:
            bars.append((f"{result['name']} at most 1.05 times the cryptodev call: {result['ratio']:.3f}", result["ratio"] <= 1.05))
    return rows, bars


PEERS = {"strongswan": strongswan, "dpdk-crypto": dpdk_crypto}


def options_of(words):
    parser = argparse.ArgumentParser(prog="./dev bench peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", default=",".join(PEERS), help="which, of " + ", ".join(PEERS))
    parser.add_argument("--runs", type=int, default=10, help="kept a side, of those of a second (%(default)s)")
    parser.add_argument("--series", type=int, default=3, help="searches for a rate, a side (%(default)s)")
    parser.add_argument("--core", type=int, help="where cycles are measured; else the last one")
    parser.add_argument("--realtime", action="store_true", help="cycles are measured on SCHED_FIFO, rates with a nice value of -15")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    options.peers = options.peer.split(",")
    if unknown := set(options.peers) - set(PEERS):
        parser.error(f"no peer {', '.join(sorted(unknown))}")
    options.pace = [*(["--core", str(options.core)] if options.core is not None else []), *(["--realtime"] if options.realtime else [])]
    return options


def main():
    options = options_of(sys.argv[1:])
    rows, bars, failed = [], [], 0
    print(f"{'':44} {'median':>10} {'min':>10} {'max':>10} {'baseline':>10} {'over it':>10} {'ratio':>7}")
    for peer in options.peers:
        try:
            more_rows, more_bars = PEERS[peer](options)
        except RigError as error:
            print(f"{peer}: {error}", file=sys.stderr)
            failed += 1
            continue
        rows += more_rows
        bars += more_bars
    for text, met in bars:
        print(f"bar: {text}, {'met' if met else 'not met'}")
    if options.json and not failed:
        options.json.write_text("[\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n]\n")
    print(f"{len(rows)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
