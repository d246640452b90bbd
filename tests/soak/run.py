#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak/run.py MINUTES: two gateways under full traffic both ways for so long, with SAs replaced every 10 s through the door, policies reloaded
every 15 s, a link that goes down for two seconds every 30 s, and one frame in ten between the gateways garbage.

No packet is lost while the links are up, and no more than were on their way when one goes down; each that is lost was counted by somebody;
none comes twice or damaged. At the end each gateway has the memory and the descriptors that it had after the first minute, and every chunk
of its packet memory lies where it should."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.rig.net import until  # noqa: E402
from tests.soak.world import FRAMES, GARBAGE, KINDS, WINDOW, World  # noqa: E402

PERIODS = {"rekey": 10, "reload": 15, "flap": 30, "say": 10}  # seconds
DOWN = 2  # seconds of a flap
WARM = 60  # seconds, or a fifth of the whole: from then on a gateway may not grow
MAY_GROW = 1024  # KiB


class Run:
    def __init__(self, world, seconds):
        self.world, self.seconds = world, seconds
        self.begin = time.monotonic()
        self.rekeys = self.reloads = self.flaps = 0
        self.before = {}  # side -> Seen, when warm
        self.down = None
        self.last = None

    def at(self):
        return time.monotonic() - self.begin

    def go(self):
        """The events by their times, until the time is over and all links are up again."""
        self.world.traffic.tell("calm")
        self.world.traffic.tell("go")
        self.last = (self.at(), self.world.traffic.report())
        due = {**PERIODS, "warm": min(WARM, self.seconds / 5)}
        if self.seconds < 2 * PERIODS["flap"]:  # a short try has one of each too
            due |= {"rekey": self.seconds / 4, "reload": self.seconds / 3, "flap": self.seconds / 2}
        while due[what := min(due, key=due.get)] < self.seconds:
            time.sleep(max(0, due[what] - self.at()))
            due[what] += getattr(self, what)() or PERIODS[what]
        time.sleep(max(0, self.seconds - self.at()))
        if self.down is not None:
            self.flap()
        until(lambda: not self.storm(), 60, "traffic flows again")

    def rekey(self):
        self.world.rekey()
        self.rekeys += 1

    def reload(self):
        self.reloads += 1
        self.world.reload(self.reloads)

    def flap(self):
        """A link goes down, and when this is called again it comes up. Gives the seconds until the next call."""
        if self.down is None:
            self.world.traffic.tell("storm")
            self.down = self.flaps
            self.world.link(self.down, up=False)
            return DOWN
        self.world.link(self.down, up=True)
        self.world.traffic.tell("calm")
        self.down = None
        self.flaps += 1
        return PERIODS["flap"] - DOWN

    def storm(self):
        report = self.world.traffic.report()
        return report["ab.storm"] or report["ba.storm"]

    def warm(self):
        self.before = {side: self.world.seen(side) for side in "AB"}
        return float("inf")  # once

    def say(self):
        at, report = self.at(), self.world.traffic.report()
        span, before = at - self.last[0], self.last[1]
        self.last = (at, report)
        rates = [(report[f"{way}.come"] - before[f"{way}.come"]) / span / 1000 for way in ("ab", "ba")]
        lost = sum(report[f"{way}.lost"] for way in ("ab", "ba"))
        in_storm = sum(report[f"{way}.lost_in_storm"] for way in ("ab", "ba"))
        seen = [self.world.seen(side) for side in "AB"]
        print(f"{at:6.0f} s  A to B {rates[0]:6.1f}  B to A {rates[1]:6.1f} thousand packets/s  lost {lost}, with links {in_storm}  garbage {garbage(report)}  "
              f"rekeys {self.rekeys}  reloads {self.reloads}  flaps {self.flaps}  RSS {seen[0].resident >> 10}, {seen[1].resident >> 10} MiB  "
              f"descriptors {seen[0].descriptors}, {seen[1].descriptors}", flush=True)


def garbage(report, ways=("ab", "ba")):
    return sum(report[f"{way}.{kind}"] for way in ways for kind in ("unknown_spi", "bad_icv", "replays"))


# The account at the end. Each row: what, how much, what it may be at most or must be, whether it is.


def of_packets(run, report):
    for way, name in (("ab", "A to B"), ("ba", "B to A")):
        value = {key: report[f"{way}.{key}"] for key in ("sent", "come", "twice", "damaged", "lost", "lost_in_storm")}
        most = (run.flaps + 1) * (WINDOW + 2 * len(KINDS))  # on their way, and one of each flow that asked whether the link is up again
        yield f"{name}: sent", value["sent"], "", value["sent"] > 0
        yield f"{name}: lost while all links were up", value["lost"], "0", value["lost"] == 0
        yield f"{name}: lost as a link went down", value["lost_in_storm"], f"at most {most}", value["lost_in_storm"] <= most
        yield f"{name}: come", value["come"], "sent less lost", value["come"] == value["sent"] - value["lost"] - value["lost_in_storm"]
        yield f"{name}: come twice, damaged", value["twice"] + value["damaged"], "0", not value["twice"] + value["damaged"]


def sum_of(counters, group, wanted):
    return sum(value for (which, _, name), value in counters.values.items() if which == group and wanted(name))


def of_losses(world, report, counters):
    """From hop to hop: what one gave and the next did not get was counted there. Links also refuse frames of the gateways' own kernels."""
    for way, near, far in (("ab", "A", "B"), ("ba", "B", "A")):
        at = {name: report[f"{way}.{name}"] for name in ("sent", "come", "carried", "refused", "garbage_refused")}
        mixed = at["carried"] - at["refused"] + garbage(report, [way]) - at["garbage_refused"]
        for what, given, got, refused in (
                (f"sent to {near} and not received", at["sent"], frames(counters[near], "red", "received"), 0),
                (f"sent by {near} and not on the wan", frames(counters[near], "black", "transmitted"), at["carried"], world.refused(near, "black")),
                (f"on the wan and not received by {far}", mixed, frames(counters[far], "black", "received"), 0),
                (f"sent by {far} and not come", frames(counters[far], "red", "transmitted"), at["come"], world.refused(far, "red"))):
            yield f"{what}", given - got, f"0 to {refused}, as the link counted", 0 <= given - got <= refused
    for side, of in counters.items():
        received = sum(frames(of, port, "received") for port in ("red", "black"))
        gone = sum(frames(of, port, "transmitted") for port in ("red", "black")) + sum(value for (group, _, _), value in of.values.items() if group == "drop")
        yield f"frames that {side} sent or dropped", gone, f"{received} received", gone == received


def frames(counters, port, name):
    return counters.values["socket", port, name]


def of_garbage(report, counters):
    for side, way in (("B", "ab"), ("A", "ba")):
        dropped = sum(counters[side].drops.get(reason, 0) for reason in GARBAGE)
        sent = garbage(report, [way]) - report[f"{way}.garbage_refused"]
        yield f"garbage to {side}", sent, "a tenth", sent > report[f"{way}.carried"] // 10
        yield f"garbage dropped by {side}", dropped, str(sent), dropped == sent
        kinds = [counters[side].drops.get(reason, 0) for reason in ("unknown_spi", "bad_icv", "replayed")]
        yield f"least of unknown SPI, bad ICV, replay at {side}", min(kinds), "", min(kinds) > 0


def of_gateways(run):
    for side, daemon in run.world.daemon.items():
        seen, before = run.world.seen(side), run.before[side]
        yield f"memory of {side}, KiB", seen.resident, f"at most {before.resident + MAY_GROW}", seen.resident <= before.resident + MAY_GROW
        yield f"descriptors of {side}", seen.descriptors, str(before.descriptors), seen.descriptors == before.descriptors
        chunks = daemon.ask("status")["chunks"]
        placed = sum(value for name, value in chunks.items() if name not in ("all", "inHand"))
        yield f"chunks of {side} in their places", placed, str(chunks["all"]), placed == chunks["all"] >= FRAMES
        yield f"SAs of {side}", len(daemon.ask("sa")["sas"]), str(2 * len(KINDS)), len(daemon.ask("sa")["sas"]) == 2 * len(KINDS)


def account(run):
    """Prints the table; names of the rows that are not as they should be."""
    report = run.world.settled()
    until(lambda: all(len(daemon.ask("sa")["sas"]) == 2 * len(KINDS) for daemon in run.world.daemon.values()), 10, "old SAs are drained")
    counters = {side: daemon.counters() for side, daemon in run.world.daemon.items()}
    rows = [*of_packets(run, report), *of_losses(run.world, report, counters), *of_garbage(report, counters), *of_gateways(run)]
    print()
    for what, value, wanted, good in rows:
        print(f"{'ok  ' if good else 'FAIL'} {what:48} {value:>12}   {wanted}")
    failed = [what for what, _, _, good in rows if not good]
    for side, one in counters.items():
        if failed:
            print(f"{side} counted: {one.drops}; {run.world.daemon[side].ask('status')['chunks']}")
    if failed:
        print(report)
    return len(rows) - len(failed), failed


def main(words):
    try:
        seconds = float(words[0]) * 60
    except (IndexError, ValueError):
        print("usage: ./dev soak MINUTES")
        return 2
    with World() as world:
        world.begin()
        run = Run(world, seconds)
        run.go()
        passed, failed = account(run)
    print(f"{run.rekeys} times new SAs, {run.reloads} reloads, {run.flaps} times a link down in {run.at() / 60:.1f} minutes")
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
