# SPDX-License-Identifier: Apache-2.0
"""Which configuration a gateway starts with: after an orderly stop the file, after a death the one that was committed last."""

import re

import pytest

from tests.rig import config, packets
from tests.rig.daemon import Refused
from tests.rig.topology import Single


@pytest.fixture
def own():
    with Single() as rig:
        rig.start([rig.connection()])
        yield rig


def write(rig, far=None):
    """A file that also lets packets to `far` through in clear; None: one with a mistake."""
    policies = {"far": {"action": "bypass", "remote-networks": [far or "10.300.0.0/16"]}}
    rig.daemon.configure(config.render(rig.daemon.settings(queues=1), {"black": {"role": "black"}, "red": {"role": "red"}},
                                       [rig.connection()], policies=policies))


def networks(rig):
    """What the policy says that is in force."""
    return [selector for row in rig.daemon.ask("policy")["policies"] if row["name"] == "far" for selector in row["selectors"]]


def carries(rig):
    rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
    return rig.black.receive(packets.is_esp) is not None


def said(rig, pattern, since=0):
    return re.search(pattern, rig.daemon.said(since)) is not None


def test_a_death_brings_back_what_was_committed(own):
    assert networks(own) == []
    write(own, "10.7.0.0/16")
    own.daemon.sallyport("reload", "--socket", own.daemon.control)
    assert "10.7.0.0/16" in networks(own)[0]
    write(own, "10.8.0.0/16")
    own.daemon.kill()
    own.daemon.start()
    assert "10.7.0.0/16" in networks(own)[0], "nobody committed the other one"
    assert said(own, "changes that were not committed; sallyport reload takes them")
    assert carries(own)
    own.daemon.sallyport("reload", "--socket", own.daemon.control)
    assert "10.8.0.0/16" in networks(own)[0]
    # In the middle of an edit.
    write(own)
    own.daemon.kill()
    own.daemon.start()
    assert "10.8.0.0/16" in networks(own)[0]
    assert said(own, "has mistakes: the gateway starts with the configuration that was committed last")
    assert own.daemon.sallyport("reload", "--socket", own.daemon.control, check=False).returncode == 1
    assert "10.8.0.0/16" in networks(own)[0]


def test_an_orderly_stop_takes_the_file(own):
    write(own, "10.7.0.0/16")
    assert own.daemon.stop() == 0
    own.daemon.start()
    assert "10.7.0.0/16" in networks(own)[0]
    write(own)
    assert own.daemon.stop() == 0
    own.daemon.start()
    assert "10.7.0.0/16" in networks(own)[0], "a file with mistakes is never taken"
    assert carries(own)


def test_what_is_kept_is_for_root_only_and_whole(own):
    kept = own.daemon.state_directory / "configuration" / "committed"
    assert kept.stat().st_mode & 0o777 == 0o600
    text = kept.read_bytes()
    assert own.daemon.file.read_bytes() in text
    own.daemon.kill()
    kept.write_bytes(text[:-2])
    write(own, "10.7.0.0/16")
    own.daemon.start()
    assert said(own, "is not used: .*damaged")
    assert "10.7.0.0/16" in networks(own)[0], "the file, for nothing else is there"


def test_a_first_start_with_mistakes_fails():
    with Single() as rig:
        rig.start([rig.connection()], start=False)
        write(rig)
        with pytest.raises(Refused) as refused:
            rig.daemon.start()
        assert refused.value.status == 2


def test_a_generation_that_cannot_be_kept_does_not_come_into_force(own):
    """The next start after a death would go back, and nobody would know."""
    folder = own.daemon.state_directory / "configuration"
    (folder / "committed.new").mkdir()  # in the way of the next version
    write(own, "10.7.0.0/16")
    result = own.daemon.sallyport("reload", "--socket", own.daemon.control, check=False)
    assert result.returncode == 1 and "committed" in result.stderr
    assert networks(own) == []
    assert carries(own)
    (folder / "committed.new").rmdir()
    own.daemon.sallyport("reload", "--socket", own.daemon.control)
    assert "10.7.0.0/16" in networks(own)[0]
