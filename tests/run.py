#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every test of the default run, or those named; called by ./dev test inside the development root.

Names: unit, structure, asan, system, threads, simulation, kernels, kernel-esp, booted, package, repeat, leak, the name of a test binary, a
file of tests/system.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD_LIMIT = 12 * 60  # seconds of a clean build of the test preset on two cores
WHOLE_LIMIT = 25 * 60  # seconds of the default run
BINARY_LIMIT = 180  # seconds one test binary may take
SYSTEM_LIMIT = 15 * 60
DEFAULT = ["unit", "structure", "asan", "system", "some-leak"]  # structure looks at the programs that unit builds
CORES = os.cpu_count() or 2


class Score:
    """Counts cases; a case that failed keeps its name for the end."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.lock = threading.Lock()

    def add(self, passed, failed=()):
        with self.lock:
            self.passed += passed
            self.failed += failed


def say(text):
    print(text, flush=True)


def run_bounded(command, limit, **options):
    """(exit status or None when it took too long, output). Ends the whole process group."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options)
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        output.seek(0)
        return status, output.read().decode(errors="replace")


def build(preset, targets=()):
    """Configures and builds with the progress of ninja; the seconds, or None when it failed."""
    start = time.monotonic()
    configured = subprocess.run(["cmake", "--preset", preset], cwd=TOP, capture_output=True, text=True, check=False)
    if configured.returncode != 0:
        say(configured.stdout + configured.stderr)
        return None
    command = ["cmake", "--build", "--preset", preset]
    command += ["--target", *targets] if targets else []
    environment = dict(os.environ, NINJA_STATUS="[%f/%t %es] ")
    if subprocess.run([*command, "--", f"-j{CORES}", "-k0"], cwd=TOP, check=False, env=environment).returncode != 0:
        return None
    return time.monotonic() - start


def built(preset, score, targets=()):
    say(f"== build {preset}")
    seconds = build(preset, targets)
    if seconds is None:
        score.add(0, [f"build {preset}"])
        return False
    say(f"   built {preset} in {seconds:.0f} s")
    if preset == "test" and not targets:
        if seconds > BUILD_LIMIT:
            score.add(0, [f"build {preset}: {seconds:.0f} s, the limit is {BUILD_LIMIT} s"])
        else:
            score.add(1)
    return True


def rows(preset, kinds):
    """Lines of the list that CMake wrote: (kind, name, folder, argument, words)."""
    lines = (TOP / "build" / preset / "tests.tsv").read_text().splitlines()
    parts = [(line.split("\t") + [""] * 5)[:5] for line in lines if line.strip()]
    return [part for part in parts if part[0] in kinds]


def read_report(path):
    """(passed, failed names, skipped names) of a report in the XML of GoogleTest or pytest."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, [], []
    passed, failed, skipped = 0, [], []
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped.append(name)
        else:
            passed += 1
    return passed, failed, skipped


def tail(text, lines=120):
    parts = text.splitlines()
    cut = [f"... {len(parts) - lines} lines before"] if len(parts) > lines else []
    return "\n".join("    " + line for line in cut + parts[-lines:])


def run_binary(preset, row, score, more=None):
    """One binary of GoogleTest, each of its cases counted, or one corpus replay, which is one case. `more`: further environment of it, and
    what it prints is shown."""
    kind, name, _, argument, _ = row
    start = time.monotonic()
    label = name if preset == "test" else f"{name} ({preset})"
    passed, failed, skipped = 0, [], []
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [str(TOP / "build" / preset / "bin" / name)]
        command += [argument] if kind == "replay" else [f"--gtest_output=xml:{report}", "--gtest_brief=1"]
        environment = dict(os.environ, ASAN_OPTIONS="detect_stack_use_after_return=1", UBSAN_OPTIONS="print_stacktrace=1", TSAN_OPTIONS="halt_on_error=1", **(more or {}))
        status, output = run_bounded(command, BINARY_LIMIT, cwd=TOP, env=environment)
        if kind == "gtest":
            passed, failed, skipped = read_report(report)
        elif status == 0:
            passed = 1
    failed = [f"{label}: {case}" for case in failed] + [f"{label}: {case} was skipped" for case in skipped]
    if status is None:
        failed.append(f"{label}: hung for {BINARY_LIMIT} s")
    elif status != 0 and not failed:
        failed.append(f"{label}: exit status {status}")
    elif passed == 0 and not failed:
        failed.append(f"{label}: no case ran")
    score.add(passed, failed)
    say(f"  {'FAIL' if failed else 'ok  '} {label}: {passed} passed, {len(failed)} failed ({time.monotonic() - start:.1f} s)")
    if failed or more:
        say(tail(output))


def run_binaries(preset, score, only=None, more=None):
    """The binaries of a preset, two at a time; those marked THREADS alone."""
    chosen = [row for row in rows(preset, ("gtest", "replay")) if only is None or row[1] == only]
    say(f"== {preset}: {len(chosen)} binaries")
    if not chosen:
        score.add(0, [f"{preset}: {only or 'a test binary'} is missing"])
    together = [row for row in chosen if "THREADS" not in row[4]]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda row: run_binary(preset, row, score, more), together))
    for row in chosen:
        if row not in together:
            run_binary(preset, row, score, more)


def structure(score):
    say("== structure")
    status, output = run_bounded([sys.executable, str(TOP / "tests/structure.py")], 120, cwd=TOP)
    passed = len(re.findall(r"^ok ", output, re.M))
    failed = re.findall(r"^FAIL (.*)", output, re.M)
    if status != 0 and not failed:
        failed = [f"exit status {status}"]
    score.add(passed, [f"structure: {name}" for name in failed])
    say("\n".join("  " + line for line in output.splitlines()))


def unit(score, only=None):
    if built("test", score, [only] if only else ()):
        run_binaries("test", score, only)


def asan(score):
    if built("asan", score):
        run_binaries("asan", score)


def threads(score):
    if built("tsan", score):
        run_binaries("tsan", score)


def simulation(score):
    """The whole of what tests_simulation_test does a part of in the default run."""
    if built("test", score, ["tests_simulation_test"]):
        run_binaries("test", score, "tests_simulation_test", {"SALLYPORT_HANDSHAKES": "100000", "SALLYPORT_REAL_HANDSHAKES": "2000"})


def system(score, files=(), more=None):
    """`more`: further environment of the tests."""
    if built("test", score, ["sallyport-programs"]):
        run_pytest(score, "system", list(files) or ["tests/system"], more)


def run_pytest(score, label, where, more=None):
    say(f"== {label}: {' '.join(where)}")
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "--durations=10", f"--junitxml={report}", *where]
        environment = dict(os.environ, SALLYPORT_BIN=str(TOP / "build/test/bin"), PYTHONPATH=str(TOP), **(more or {}))
        process = subprocess.Popen(command, cwd=TOP, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(SYSTEM_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = None
        passed, failed, skipped = read_report(report)
    failed += [f"{name} was skipped" for name in skipped]
    if status is None:
        failed.append(f"hung for {SYSTEM_LIMIT} s")
    elif status != 0 and not failed:
        failed.append(f"pytest: exit status {status}")
    score.add(passed, [f"{label}: {name}" for name in failed])


def counted_elsewhere(score, name, *arguments):
    """Runs tests/NAME/run.py and counts what it counts in its last line."""
    environment = dict(os.environ, SALLYPORT_BIN=str(TOP / "build/test/bin"), PYTHONPATH=str(TOP))
    process = subprocess.Popen([sys.executable, str(TOP / "tests" / name / "run.py"), *arguments], cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True, errors="replace")
    failed, passed = [], 0
    for line in process.stdout:
        match = re.fullmatch(r"(\d+) passed, (\d+) failed\n?", line)
        if match:
            passed = int(match[1])
            continue
        found = re.findall(r"^failed: (.*)", line)
        failed += found
        if not found:
            print(line, end="", flush=True)
    if process.wait() != 0 and not failed:
        failed = [f"exit status {process.returncode}"]
    score.add(passed, [f"{name}: {one}" for one in failed])


def repeat(score):
    """The whole of what test_repeat does a tenth of in the default run."""
    system(score, ["tests/system/test_repeat.py"], {"SALLYPORT_REPEAT_KILLS": "200", "SALLYPORT_PATIENCE": "14"})


def leak(score, frames=100_000):
    """Random frames from each side, in each state of a gateway."""
    if built("test", score, ["sallyport-programs"]):
        counted_elsewhere(score, "leak", str(frames))


def some_leak(score):
    leak(score, 10_000)


def kernels(score):
    counted_elsewhere(score, "kernels")


def kernel_esp(score):
    """The Linux kernel's own ESP as the peer."""
    if built("test", score, ["sallyport-programs"]):
        counted_elsewhere(score, "kernel_esp")


def booted(score):
    if built("test", score, ["sallyport-programs"]):
        counted_elsewhere(score, "booted")


def package(score):
    """./dev has built the packages into dist/, and made the Debian in which they are installed."""
    run_pytest(score, "package", ["-s", "tests/package"])


STEPS = {"structure": structure, "unit": unit, "asan": asan, "threads": threads, "simulation": simulation, "system": system, "kernels": kernels,
         "kernel-esp": kernel_esp, "booted": booted, "package": package, "repeat": repeat, "leak": leak, "some-leak": some_leak}


def is_file(name):
    return (TOP / name.split("::")[0]).is_file()


def main(names):
    start = time.monotonic()
    score = Score()
    for name in names:  # before anything is built
        if not (name in STEPS or is_file(name) or re.fullmatch(r"\w+_(test|replay)", name)):
            sys.exit(f"dev: no test '{name}'; see ./dev --help")
    for name in names or DEFAULT:
        step = time.monotonic()
        if name in STEPS:
            STEPS[name](score)
        elif is_file(name):
            system(score, [name])
        else:
            unit(score, name)
        say(f"   {name}: {time.monotonic() - step:.0f} s")
    seconds = time.monotonic() - start
    if not names:
        say(f"== whole run: {seconds:.0f} s of {WHOLE_LIMIT} s")
        if seconds > WHOLE_LIMIT:
            score.add(0, [f"the whole run took {seconds:.0f} s, the limit is {WHOLE_LIMIT} s"])
    for name in score.failed:
        say(f"failed: {name}")
    say(f"{score.passed} passed, {len(score.failed)} failed")
    return 1 if score.failed or score.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
