# SPDX-License-Identifier: Apache-2.0
"""Rigs shared by the tests of a module, a time limit for everything, and the daemons' logs beside each failure."""

import contextlib
import os
import signal

import pytest

from tests.rig import records
from tests.rig.topology import Pair, Rig, Single

# Seconds for a test, and for the setting up or the removal of its rigs; longer where it does more than in the default run.
LIMIT = 60 * int(os.environ.get("SALLYPORT_PATIENCE", 1))


class TooLate(Exception):
    pass


@contextlib.contextmanager
def limited(seconds, what):
    def late(*_):
        raise TooLate(f"{what} took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with limited(LIMIT, f"setting up {item.name}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with limited(LIMIT, item.name):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    with limited(LIMIT, f"removing the rigs of {item.name}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for rig in Rig.living:
            for gateway in rig.gateways:
                report.sections.append((f"log of {gateway.space.name}", gateway.said()[-4000:]))
    return report


@pytest.fixture(scope="module")
def single(request):
    """A Single with the connections that the module names: RIG = {...} for Single, CONNECTIONS = function of the rig, START = {...}."""
    with Single(**getattr(request.module, "RIG", {})) as rig:
        make = getattr(request.module, "CONNECTIONS", lambda rig: [rig.connection()])
        rig.connections = {connection.name: connection for connection in make(rig)}
        rig.start(list(rig.connections.values()), **getattr(request.module, "START", {}))
        yield rig


@pytest.fixture
def door(single):
    """The door of who negotiates keys, to the gateway of `single`."""
    with records.Door(single.daemon.control) as opened:
        yield opened


@pytest.fixture(scope="module")
def pair(request):
    """A running Pair, by RIG and START of the module."""
    with Pair(**getattr(request.module, "RIG", {})) as rig:
        rig.start(**getattr(request.module, "START", {}))
        yield rig
