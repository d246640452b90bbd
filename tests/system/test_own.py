# SPDX-License-Identifier: Apache-2.0
"""What the gateways themselves send and receive goes through the tunnels: the kernel of each has a TUN device for it."""

import re
import subprocess
import time

import pytest

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.net import until
from tests.rig.topology import Pair, Single
from tests.rig.wire import Recorder

NEAR = {side: {kind: address[:-1] + "1" for kind, address in Pair.HOSTS[side].items()} for side in "AB"}  # the gateways' own red addresses


def replies(space, destination):
    """Echo replies that the kernel of this space ever got."""
    if ":" in destination:
        return int(re.search(r"^Icmp6InEchoReplies\s+(\d+)", space.run("cat", "/proc/net/snmp6").stdout, re.M)[1])
    names, values = re.findall(r"^Icmp: (.*)", space.run("cat", "/proc/net/snmp").stdout, re.M)
    return int(values.split()[names.split().index("InEchoReps")])


def ping(space, destination, *options, count=3, size=56, patience=2.0):
    """How many of so many pings were answered. By the kernel's count: ping itself may end before the last answer."""
    before = replies(space, destination)
    space.run("ping", "-n", "-q", "-c", count, "-i", 0.05, "-W", patience, "-s", size, *options, destination, check=False)
    end = time.monotonic() + patience
    while (come := replies(space, destination) - before) < count and time.monotonic() < end:
        time.sleep(0.02)
    return come


def only_esp(record):
    assert {frame.what() for frame in record.frames} <= {"esp", "arp", "nd"}, [frame.what() for frame in record.frames]


def test_pings_of_the_gateways_themselves(pair):
    """No program names a source: the route does. Both families, over IPv4 and IPv6 outside."""
    with Recorder(pair.wan, "toA") as record:
        for kind in Pair.FAMILIES:
            assert ping(pair.gw["A"], pair.HOSTS["B"][kind]) == 3, f"gateway A to host B, {kind}"
            assert ping(pair.gw["A"], NEAR["B"][kind]) == 3, f"gateway A to gateway B, {kind}"
            assert ping(pair.host["A"], NEAR["B"][kind]) == 3, f"host A to gateway B, {kind}"
    only_esp(record)
    counts = pair.daemon["A"].counters().values
    assert counts[("packets", None, "own_sent")] == 6 * 4
    assert counts[("packets", None, "own_delivered")] == 6 * 4
    assert pair.daemon["A"].counters().drops == pair.daemon["B"].counters().drops == {}


SERVER = """
import socket, sys
server = socket.create_server((sys.argv[1], 7000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
link, _ = server.accept()
total = 0
while data := link.recv(65536):
    total += len(data)
link.sendall(b"%d" % total)
"""
CLIENT = """
import socket, sys
link = socket.create_connection((sys.argv[1], 7000), timeout=5)
for _ in range(64):
    link.sendall(bytes(16384))
link.shutdown(socket.SHUT_WR)
print(link.recv(100).decode())
"""


@pytest.mark.parametrize("kind", ["4in4", "6in4", "6in6"])
def test_tcp_between_the_gateways(pair, kind):
    """A megabyte: segments as large as the tunnel takes, none cut, with checksums that the other kernel accepts."""
    command = pair.gw["B"].command("python3", "-c", SERVER, NEAR["B"][kind])
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "ready\n"
        with Change(pair.daemon["A"]) as change:
            assert pair.gw["A"].run("python3", "-c", CLIENT, NEAR["B"][kind]).stdout == f"{64 * 16384}\n"
            change.expect({})
    finally:
        server.kill()
        server.communicate()


def test_the_hop_limit_is_not_counted(pair):
    """Nobody passes on what is from and for the gateways themselves."""
    assert ping(pair.gw["A"], NEAR["B"]["4in4"], "-t", 1) == 3
    assert ping(pair.gw["A"], NEAR["B"]["6in6"], "-t", 1) == 3


def test_fragments_are_put_together_by_the_kernel(pair):
    assert ping(pair.gw["A"], NEAR["B"]["4in4"], size=4000) == 3
    assert ping(pair.gw["A"], NEAR["B"]["6in4"], size=4000) == 3


def test_the_devices_mtu_is_that_of_the_tunnel(pair):
    """The largest packet that fits goes whole, and the outer packet then fills the wan's."""
    def device():
        return pair.gw["A"].json("link", "show", "dev", "sp-wan")[0]["mtu"]

    mtu = until(lambda: device() if device() > 1400 else None, what="the device has the tunnel's MTU")
    with Recorder(pair.wan, "toA") as record:
        assert ping(pair.gw["A"], NEAR["B"]["4in6"], "-M", "do", size=mtu - 28, count=1) == 1
    largest = max(len(frame.frame) for frame in record.frames) if record.frames else 0
    assert largest == 160, "the record cuts at 160"
    assert mtu % 4 == 2 and 1400 < mtu < 1460


def test_a_restart_keeps_the_device():
    """The device and its routes stay; while nobody lives nothing of the gateway's own leaves in clear, and it goes on afterwards."""
    with Pair() as rig:
        rig.start()
        index = rig.gw["A"].index("sp-wan")
        assert ping(rig.gw["A"], rig.HOSTS["B"]["4in4"]) == 3
        with Recorder(rig.wan, "toA") as record:
            rig.daemon["A"].kill()
            assert ping(rig.gw["A"], rig.HOSTS["B"]["4in4"], count=2, patience=0.2) == 0
            rig.daemon["A"].start()
            assert rig.gw["A"].index("sp-wan") == index
            assert ping(rig.gw["A"], rig.HOSTS["B"]["4in4"]) == 3
        only_esp(record)


VPN2 = {"local_networks": ["10.1.2.0/24"], "remote_networks": ["10.2.0.0/16"]}


def test_each_vpn_has_its_own():
    """What is sent from the address in a VPN goes into that VPN's tunnel; so does the answer to what came out of it."""
    with Single(reds=2) as rig:
        rig.gw.ip("address", "flush", "dev", "red2")
        rig.gw.address("red2", "10.1.2.1/24")
        first, second = rig.connection("first", 4, 1), rig.connection("second", 4, 2, more={"vpn": "vpn2"}, **VPN2)
        rig.start([first, second])
        assert {link["ifname"] for link in rig.gw.json("link", "show") if link["ifname"].startswith("sp-")} == {"sp-wan", "sp-vpn2"}
        for source, connection, other in (("10.1.0.1", first, second), ("10.1.2.1", second, first)):
            rig.black.drain()
            rig.gw.run("ping", "-n", "-c", 1, "-W", 0.1, "-I", source, rig.FAR[4], check=False)
            opened = connection.sent().open(packets.packet_of(rig.black.receive(packets.is_esp)))[0]
            assert packets.Read(opened).source == source
            rig.from_black(connection.taken().seal(packets.echo(rig.FAR[4], source, b"from afar"), 100))
            outer = packets.packet_of(rig.black.receive(packets.is_esp))
            answer = packets.Read(connection.sent().open(outer)[0])
            assert (answer.source, answer.payload[0], answer.payload[8:]) == (source, 0, b"from afar")
        # An address of the other VPN is no way into this one, whatever a program binds itself to.
        with Change(rig.daemon) as change:
            rig.gw.run("python3", "-c", "import socket\n"
                       "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                       "s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'sp-wan')\n"
                       "s.bind(('10.1.2.1', 0))\n"
                       f"s.sendto(b'x', ('{rig.FAR[4]}', 9))")
            until(lambda: change.drops().get("own_other_vpn"), what="dropped")


def test_an_address_in_two_vpns_is_told_of_and_dropped():
    with Single(reds=2) as rig:
        second = rig.connection("second", 4, 2, more={"vpn": "vpn2"})
        rig.start([rig.connection("first", 4, 1), second])
        assert "in another VPN too" in rig.daemon.said()
        rig.black.drain()
        with Change(rig.daemon) as change:
            rig.from_black(second.taken().seal(packets.echo(rig.FAR[4], rig.RED[4], b"x"), 4))
            change.expect({"for_gateway": 1})
        assert rig.black.receive(packets.is_esp, timeout=0.1) is None


def test_no_address_to_send_from_is_told_of():
    """Then the packet has another source, and no policy wants it: it does not leave."""
    with Single() as rig:
        rig.start([rig.connection(local_networks=["10.9.0.0/24"], remote_networks=["10.2.0.0/16"])])
        assert "no address in the local networks of policy" in rig.daemon.said()
        rig.black.drain()
        with Change(rig.daemon) as change:
            assert ping(rig.gw, rig.FAR[4], count=1, patience=0.1) == 0
            change.expect({"no_policy": 1})
        assert rig.black.receive(lambda frame: packets.is_esp(frame) or packets.is_ip_to(rig.FAR[4])(frame), timeout=0.1) is None
