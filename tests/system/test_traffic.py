# SPDX-License-Identifier: Apache-2.0
"""Real hosts talk through two real gateways: families in families, protocols, and nothing but ESP between."""

import pytest

from tests.rig.daemon import TOP
from tests.rig.topology import Pair
from tests.rig.wire import Recorder


@pytest.mark.parametrize("kind", Pair.FAMILIES)
def test_ping(pair, kind):
    with Recorder(pair.wan, "toA") as record:
        pair.pings(kind, 50)
    seen = [frame.what() for frame in record.frames]
    assert seen.count("esp") == 100
    assert set(seen) <= {"esp", "arp", "nd"}
    family = 0x0800 if kind.endswith("4") else 0x86DD
    assert {frame.kind for frame in record.frames if frame.what() == "esp"} == {family}


@pytest.mark.parametrize("kind", Pair.FAMILIES)
def test_ping_the_other_way(pair, kind):
    pair.pings(kind, 20, source="B")


@pytest.mark.parametrize("kind", Pair.FAMILIES)
def test_large_pings(pair, kind):
    """As large as the hosts believe the path to be."""
    size = pair.path_mtu - (48 if kind[0] == "6" else 28)
    pair.pings(kind, 20, size=size)


@pytest.mark.parametrize("kind", ["4in4", "6in6"])
def test_tcp(pair, kind):
    """Some megabytes by TCP arrive whole, in both directions."""
    assert pair.tcp(kind, 4 << 20) == "whole"


def test_counters_tell_what_passed(pair):
    before = {side: pair.daemon[side].counters() for side in "AB"}
    pair.pings("4in4", 30)
    after = {side: pair.daemon[side].counters() for side in "AB"}
    for side in "AB":
        assert after[side].sealed - before[side].sealed == 30
        assert after[side].opened - before[side].opened == 30
        assert after[side].drops_since(before[side]) == {}


def test_traceroute_shows_the_hop_limit_counting(pair):
    """Both gateways count as a hop: with a TTL of 2 a ping ends at the second."""
    assert pair.ping("4in4", 2, 0.01, 56, "A", 10, "-t", 3)[1] == 2
    before = pair.daemon["A"].counters()
    assert pair.ping("4in4", 2, 0.01, 56, "A", 10, "-t", 1)[1] == 0
    assert pair.daemon["A"].counters().drops_since(before) == {"ttl_expired": 2}


def test_the_worked_examples():
    """etc/demo/gw-a.toml and gw-b.toml as they stand carry traffic of both families."""
    with Pair() as rig:
        for side in "AB":
            name = f"gw-{side.lower()}"
            rig.daemon[side] = rig.gateway(rig.gw[side], name, (TOP / f"etc/demo/{name}.toml").read_text(),
                                           run_directory=f"/run/sallyport/{name}", state_directory=f"/var/lib/sallyport/{name}")
            rig.daemon[side].first_start()
        for kind in ("4in4", "6in4"):
            rig.pings(kind, 20)


DIFFERENCES = {
    "keys": ({"label": "other keys"}, "bad_icv"),
    "SPI": ({"spi_in": 0x7777}, "unknown_spi"),
    "algorithm": ({"algorithm": "aes-256-gcm"}, "bad_icv"),
    "numbers": ({"esn": False}, "bad_icv"),
    "peer": ({"remote": "192.0.2.77"}, "wrong_outer_address"),
    "networks": ({"remote_networks": ["10.99.0.0/24"], "local_networks": ["10.2.0.0/24"]}, "selector_mismatch"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_gateways_that_do_not_agree(name):
    """What differs is what the receiver counts; nothing arrives, and nothing goes in clear."""
    changes, reason = DIFFERENCES[name]
    with Pair() as rig:
        rig.start(rig.connections()[:1], changes=changes)
        with Recorder(rig.wan, "toA") as record:
            assert rig.ping(count=5, timeout=8)[1] == 0
        assert [frame.what() for frame in record.frames if frame.clear()] == []
        assert rig.daemon["B"].counters().drops.get(reason) == 5, rig.daemon["B"].counters().drops
