# SPDX-License-Identifier: Apache-2.0
"""Configuration files with one mistake each: `sallyport check` and the daemon name the place and what to do, and neither touches anything."""

import subprocess

import pytest

from tests.rig.daemon import BIN, TOP, Refused
from tests.rig.net import run
from tests.rig.topology import Single

GOOD = """[gateway]
run-directory = "{directory}/run"
state-directory = "{directory}/state"

[port.black]
role = "black"

[port.red]
role = "red"

[connection.branch]
local = "192.0.2.1"
remote = "192.0.2.2"
local-networks = ["10.1.0.0/24"]
remote-networks = ["10.2.0.0/16"]
algorithm = "aes-256-cbc-hmac-sha2-256"
spi-in = 4097
spi-out = 8193
key-in = "{key_in}"
key-out = "{key_out}"
"""

# what is written instead of what -> line of the mistake (0: none is asked for), words of the message
MISTAKES = {
    "no TOML": ('role = "red"', 'role = "red', 9, []),
    "unknown key": ("spi-in = 4097", "spi-inn = 4097", 17, ["spi-in"]),
    "unknown section": ("[port.red]", "[prot.red]", 8, ["port"]),
    "wrong type": ("spi-in = 4097", 'spi-in = "4097"', 17, ["spi-in"]),
    "out of range": ("spi-in = 4097", "spi-in = 255", 17, ["256"]),
    "bad address": ('local = "192.0.2.1"', 'local = "192.0.2.256"', 12, ["192.0.2.256"]),
    "families mixed": ('remote = "192.0.2.2"', 'remote = "2001:db8::2"', 13, []),
    "host bits": ('["10.1.0.0/24"]', '["10.1.0.1/24"]', 14, ["10.1.0.1/24"]),
    "no remote": ('remote = "192.0.2.2"\n', "", 0, ["remote"]),
    "unknown algorithm": ("aes-256-cbc-hmac-sha2-256", "des-cbc", 16, ["des-cbc"]),
    "unsafe AEAD": ("aes-256-cbc-hmac-sha2-256", "aes-256-gcm", 0, ["unsafe-manual-aead"]),
    "key too short": ('key-in = "', 'key-in = "00" # "', 19, []),
    "key with other letters": ('key-in = "', 'key-in = "zz', 19, []),
    "a port twice": ("[port.red]", "[port.black]", 8, []),
    "unknown role": ('role = "red"', 'role = "read"', 9, ["red"]),
    "unknown VPN": ('local = "192.0.2.1"', 'vpn = "offcie"\nlocal = "192.0.2.1"', 12, ["offcie"]),
    "window no power of two": ("spi-in = 4097", "replay-window = 1000\nspi-in = 4097", 17, ["1000"]),
    "ports without a protocol": ("spi-in = 4097", "local-ports = 53\nspi-in = 4097", 17, []),
}


def text_of(directory):
    return GOOD.format(directory=directory, key_in="1a" * 64, key_out="2b" * 64)


def check(path):
    return run(BIN / "sallyport", "check", path, check=False)


def write(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_good_file(tmp_path):
    result = check(write(tmp_path / "sallyport.toml", text_of(tmp_path)))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", MISTAKES)
def test_check_names_the_mistake(tmp_path, name):
    before, after, line, words = MISTAKES[name]
    text = text_of(tmp_path)
    assert text.count(before) >= 1
    path = write(tmp_path / "sallyport.toml", text.replace(before, after, 1))
    result = check(path)
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    if line:
        assert f"{path}:{line}:" in said or f"sallyport.toml:{line}:" in said, said
    for word in words:
        assert word in said
    assert "1a1a1a1a" not in said and "2b2b2b2b" not in said, "a key was printed"
    assert not (tmp_path / "run").exists() and not (tmp_path / "state").exists(), "check touched something"


def test_several_mistakes_at_once(tmp_path):
    text = text_of(tmp_path).replace("spi-in = 4097", "spi-in = 1").replace('role = "red"', 'role = "rde"')
    said = check(write(tmp_path / "sallyport.toml", text))
    assert ":9:" in said.stdout + said.stderr
    assert ":17:" in said.stdout + said.stderr


def test_no_file(tmp_path):
    result = check(tmp_path / "nothing.toml")
    assert result.returncode != 0
    assert "nothing.toml" in result.stdout + result.stderr


@pytest.mark.parametrize("mode", [0o604, 0o644], ids=oct)
def test_keys_that_others_could_read(tmp_path, mode):
    path = write(tmp_path / "sallyport.toml", text_of(tmp_path))
    path.chmod(mode)
    result = check(path)
    assert result.returncode != 0
    assert "read" in result.stdout + result.stderr


@pytest.mark.parametrize("file", ["etc/demo/gw-a.toml", "etc/demo/gw-b.toml"])
def test_the_worked_examples(tmp_path, file):
    """The files of the demo, with the rights that a file of keys must have."""
    result = check(write(tmp_path / "sallyport.toml", (TOP / file).read_text()))
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_daemon_refuses_a_bad_file_with_the_same_words(tmp_path):
    path = write(tmp_path / "sallyport.toml", text_of(tmp_path).replace("spi-in = 4097", "spi-inn = 4097"))
    said = check(path)
    daemon = subprocess.run([BIN / "sallyport-gateway", "--config", path], capture_output=True, text=True, timeout=20, check=False)
    assert daemon.returncode != 0
    line = next(line for line in (said.stdout + said.stderr).splitlines() if ":17:" in line)
    assert line in daemon.stderr


def test_an_interface_that_does_not_exist():
    with Single() as rig:
        with pytest.raises(Refused) as refused:
            rig.start([rig.connection()], ports={"red": {"interface": "rde0"}})
        assert "rde0" in refused.value.text
        assert rig.gw.xdp() == {}, "a start that failed leaves no program behind"


def test_a_run_directory_without_a_bpf_file_system(tmp_path):
    path = write(tmp_path / "sallyport.toml", text_of(tmp_path))
    daemon = subprocess.run([BIN / "sallyport-gateway", "--config", path], capture_output=True, text=True, timeout=20, check=False)
    assert daemon.returncode == 1
    assert f"mount -t bpf -o mode=0700 bpf {tmp_path}/run/bpf" in daemon.stderr, daemon.stderr


def test_keys_from_files(tmp_path):
    """key-in-file and key-out-file carry traffic as key-in and key-out do; a file that others can read is refused."""
    from tests.rig import packets

    with Single() as rig:
        connection = rig.connection()
        keys = connection.table()
        for name in ("key-in", "key-out"):
            write(tmp_path / name, keys.pop(name) + "\n")
            keys[f"{name}-file"] = tmp_path / name
        (tmp_path / "key-in").chmod(0o644)
        rig.connections = {}
        with pytest.raises(Exception) as refused:  # noqa: PT011  (the marks command or the daemon says it first)
            rig.start([("tunnel", keys)])
        assert "key-in" in str(refused.value)
        (tmp_path / "key-in").chmod(0o600)
        rig.daemon.first_start()
        rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        frame = rig.black.receive(packets.is_esp)
        assert connection.sent().open(packets.packet_of(frame))
