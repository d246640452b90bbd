# SPDX-License-Identifier: Apache-2.0
"""VLAN tags, in the frame and beside it: the VPN of a trunk's frame, and refused where nobody configured them."""

import socket
import struct

import pytest
import scapy.layers.inet as inet4
import scapy.layers.inet6 as inet6

from tests.rig import packets
from tests.rig.change import Change
from tests.rig.daemon import Refused
from tests.rig.topology import Single
from tests.rig.wire import ethernet


def tagged(frame, *tags, kind=0x8100):
    return frame[:12] + b"".join(struct.pack("!HH", kind, tag) for tag in tags) + frame[12:]


@pytest.mark.parametrize("tags", [(7,), (4095,), (7, 8)], ids=str)
@pytest.mark.parametrize("kind", [0x8100, 0x88A8], ids=hex)
@pytest.mark.parametrize("port", ["black", "red"])
def test_tags_on_untagged_ports(single, port, tags, kind):
    """A tag is another VPN: it never counts as none."""
    if port == "black":
        packet = single.connections["tunnel"].taken().seal(packets.udp(single.FAR[4], single.HOST[4], b"x"), 12345)
        frame, tap = ethernet(single.gw_black_mac, single.black.mac, packet), single.black
    else:
        frame = ethernet(single.gw_red_mac, single.red.mac, packets.udp(single.HOST[4], single.FAR[4], b"x"))
        tap = single.red
    with Change(single.daemon) as change:
        tap.send(tagged(frame, *tags, kind=kind))
        change.expect([{f"{port}.unknown_vlan": 1}, {"unknown_vlan": 1}])
    assert single.black.receive(packets.is_esp, timeout=0.1) is None
    assert single.red.receive(packets.is_ip_to(single.HOST[4]), timeout=0.1) is None


@pytest.mark.parametrize("port", ["black", "red"])
def test_a_tag_cut_short(single, port):
    tap, mac = (single.black, single.gw_black_mac) if port == "black" else (single.red, single.gw_red_mac)
    with Change(single.daemon) as change:
        tap.send(ethernet(mac, tap.mac, b"\0", 0x8100))
        change.expect([{f"{port}.bad_link": 1}, {f"{port}.unknown_vlan": 1}])


def test_a_priority_tag_is_no_tag(single):
    """VLAN id 0 carries a priority alone (IEEE 802.1Q 9.6)."""
    tag = 5 << 13
    frame = ethernet(single.gw_red_mac, single.red.mac, packets.udp(single.HOST[4], single.FAR[4], b"priority"))
    single.red.send(tagged(frame, tag))
    assert single.black.receive(packets.is_esp) is not None


@pytest.mark.parametrize("outer", [0x0806, 0x86DD], ids=hex)
def test_arp_and_nd_with_a_tag_stay_outside(single, outer):
    """Not even housekeeping of another VLAN reaches the gateway's kernel."""
    frame = ethernet("ff:ff:ff:ff:ff:ff", single.red.mac, bytes(46), outer)
    with Change(single.daemon) as change:
        single.red.send(tagged(frame, 7))
        change.expect({"red.unknown_vlan": 1})


def test_the_journal_says_that_tags_beside_the_frame_are_seen(single):
    for port in ("red", "black"):
        assert f"of {port} keeps beside the frame are seen" in single.daemon.said()


OFF = {"tags-beside-frame": False}


def test_vlans_where_tags_are_not_seen():
    """veth keeps tags beside the frame, and here nobody may look at them: a port with VLANs is refused, with the reason."""
    with Single() as rig, pytest.raises(Refused, match="VLAN tags beside the frame"):
        rig.start([rig.connection("office", 4, 1, more={"vpn": "office"})], vpns={"office": {"table": 107}},
                  ports={"red": {"vlans": {7: "office"}, **OFF}})


def test_two_vpns_on_a_trunk():
    """Each VLAN meets the policies of its own VPN; a frame of any other VLAN, or of none, meets nobody's."""
    with Single() as rig:
        office, lab = (rig.connection(name, 4, number, more={"vpn": name}) for number, name in enumerate(("office", "lab"), 1))
        rig.start([office, lab],
                  vpns={"office": {"table": 107}, "lab": {"table": 108}}, ports={"red": {"vlans": {7: "office", 8: "lab"}}})
        frame = ethernet(rig.gw_red_mac, rig.red.mac, packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
        for tag, connection in ((7, office), (8, lab)):
            rig.red.send(tagged(frame, tag))
            outer = packets.packet_of(rig.black.receive(packets.is_esp))
            assert packets.Read(connection.sent().open(outer)[0]).payload.endswith(b"x")
        with Change(rig.daemon) as change:
            rig.red.send(frame)
            rig.red.send(tagged(frame, 9))
            change.expect({"red.unknown_vlan": 2})


class Trunk(Single):
    """The red port carries VLAN 7 of the VPN office, the black one VLAN 9 of the outer VPN far, and the kernel has an interface for neither:
    the gateway stands there itself, at 10.7.0.1, 2001:db8:7::1 and 198.51.100.1."""

    OWN, NEAR = {4: "10.7.0.1", 6: "2001:db8:7::1"}, {4: "10.7.0.2", 6: "2001:db8:7::2"}

    def begin(self):
        office = self.connection("office", 4, 1, more={"vpn": "office", "outer-vpn": "far"}, local="198.51.100.1", remote="198.51.100.2",
                                 local_networks=["10.7.0.0/24", "10.8.0.0/16", "2001:db8:7::/64"])
        self.gw.ip("route", "add", "10.8.0.0/16", "via", "10.7.0.254", "dev", "red", "onlink", "table", "107")
        self.start([office], vpns={"office": {"table": 107}, "far": {"table": 109}},
                   ports={"red": {"vlans": {7: {"vpn": "office", "addresses": ["10.7.0.1/24", "2001:db8:7::1/64"]}}},
                          "black": {"vlans": {9: {"vpn": "far", "addresses": ["198.51.100.1/24"]}}}})
        return office

    def send(self, side, tag, payload, kind=0x0800, to=None):
        tap = self.red if side == "red" else self.black
        tap.send(tagged(ethernet(to or (self.gw_red_mac if side == "red" else self.gw_black_mac), tap.mac, payload, kind), tag))

    def answer_arp(self, side, tag, address):
        """Waits for the gateway's question about `address`, and answers it."""
        tap = self.red if side == "red" else self.black
        question = tap.receive(lambda frame: frame[12:18] == b"\x81\0" + struct.pack("!H", tag) + b"\x08\x06" and frame[42:46] == inet(address))
        assert question is not None, f"no question about {address}"
        self.send(side, tag, arp(2, tap.mac, address, question[26:32], socket.inet_ntoa(question[32:36])), 0x0806)
        return question


def inet(address):
    return socket.inet_aton(address)


def octets(mac):
    return mac if isinstance(mac, bytes) else bytes.fromhex(mac.replace(":", ""))


def arp(operation, mac, sender, target_mac, target):
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + octets(mac) + inet(sender) + octets(target_mac) + inet(target)


@pytest.fixture(scope="module")
def trunk():
    with Trunk() as rig:
        rig.office = rig.begin()
        yield rig


def in_vlan(tag, kind, test=lambda payload: True):
    return lambda frame: frame[12:18] == b"\x81\0" + struct.pack("!HH", tag, kind) and test(frame[18:])


def test_arp_is_answered_where_no_kernel_stands(trunk):
    trunk.send("red", 7, arp(1, trunk.red.mac, "10.7.0.2", bytes(6), "10.7.0.1"), 0x0806, "ff:ff:ff:ff:ff:ff")
    answer = trunk.red.receive(in_vlan(7, 0x0806))
    assert answer is not None
    assert answer[18:46] == arp(2, trunk.gw_red_mac, "10.7.0.1", trunk.red.mac, "10.7.0.2")


def test_discovery_is_answered_where_no_kernel_stands(trunk):
    question = inet6.IPv6(src="2001:db8:7::2", dst="ff02::1:ff00:1", hlim=255) / inet6.ICMPv6ND_NS(tgt="2001:db8:7::1") / \
        inet6.ICMPv6NDOptSrcLLAddr(lladdr=str(trunk.red.mac))
    trunk.send("red", 7, bytes(question), 0x86DD, "33:33:ff:00:00:01")
    answer = trunk.red.receive(in_vlan(7, 0x86DD, lambda packet: packet[40] == 136))
    assert answer is not None
    message = inet6.IPv6(answer[18:])[inet6.ICMPv6ND_NA]
    assert (message.tgt, message.S, message.R, message.O) == ("2001:db8:7::1", 1, 1, 1)


@pytest.mark.parametrize("family", [4, 6])
def test_ping_of_the_gateway_where_no_kernel_stands(trunk, family):
    ping = inet4.IP(src="10.7.0.2", dst="10.7.0.1") / inet4.ICMP(id=7) / b"hello" if family == 4 else \
        inet6.IPv6(src="2001:db8:7::2", dst="2001:db8:7::1") / inet6.ICMPv6EchoRequest(id=7, data=b"hello")
    trunk.send("red", 7, bytes(ping), 0x0800 if family == 4 else 0x86DD)
    answer = trunk.red.receive(in_vlan(7, 0x0800 if family == 4 else 0x86DD, lambda packet: packet.endswith(b"hello")))
    assert answer is not None
    again = inet4.IP(answer[18:]) if family == 4 else inet6.IPv6(answer[18:])
    assert (again.src, again.dst) == (trunk.OWN[family], trunk.NEAR[family])


def test_both_ways_between_two_vlans_without_a_kernel(trunk):
    """The gateway looks for the peer and for the host itself, holds what waits for them, and lets nothing else answer for them."""
    trunk.send("red", 7, packets.udp("10.7.0.2", trunk.FAR[4], b"out"))
    trunk.answer_arp("black", 9, "198.51.100.2")
    sealed = trunk.black.receive(in_vlan(9, 0x0800, lambda packet: packet[9] == 50))
    assert sealed is not None
    assert packets.Read(trunk.office.sent().open(sealed[18:])[0]).payload.endswith(b"out")
    trunk.send("black", 9, trunk.office.taken().seal(packets.udp(trunk.FAR[4], "10.7.0.2", b"in"), 1))
    trunk.answer_arp("red", 7, "10.7.0.2")
    opened = trunk.red.receive(in_vlan(7, 0x0800, lambda packet: packet.endswith(b"in")))
    assert opened is not None


def test_a_route_of_the_vpn_by_the_port_leaves_by_its_vlan(trunk):
    trunk.send("black", 9, trunk.office.taken().seal(packets.udp(trunk.FAR[4], "10.8.0.5", b"by the router"), 2))
    trunk.answer_arp("red", 7, "10.7.0.254")
    assert trunk.red.receive(in_vlan(7, 0x0800, lambda packet: packet.endswith(b"by the router"))) is not None


def test_nothing_but_its_own_is_for_the_gateway(trunk):
    """A packet for the gateway itself that it has no answer for is counted, and never meets a policy."""
    with Change(trunk.daemon) as change:
        trunk.send("red", 7, packets.udp("10.7.0.2", "10.7.0.1", b"x"))
        change.expect({"own_vlan": 1})


PUSH = """
struct __sk_buff;
static long (*vlan_push)(struct __sk_buff*, unsigned short, unsigned short) = (void*)18;
__attribute__((section("tc"), used)) int push(struct __sk_buff* skb) {
    vlan_push(skb, 0x0081, 7); /* ETH_P_8021Q in network order */
    return 0;
}
char terms[] __attribute__((section("license"), used)) = "GPL";
"""


@pytest.mark.parametrize("beside", [False, True], ids=["in the frame", "beside the frame"])
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "not looked for"])
def test_a_tag_pushed_by_tc(tmp_path, beside, seen):
    """The sender's kernel puts the tag into the frame, or hands it over beside it: refused either way. Only where the operator does not want
    it to be looked for, the frame comes in as if it had none, and the journal has warned of exactly that."""
    with Single() as rig:
        rig.start([rig.connection()], ports={} if seen else {"red": OFF})
        rig.beyond.run("ethtool", "-K", "red", "txvlan", "on" if beside else "off")
        rig.beyond.run("tc", "qdisc", "add", "dev", "red", "clsact")
        with rig.program(PUSH, "tc", tmp_path) as program:
            rig.beyond.run("tc", "filter", "add", "dev", "red", "egress", "bpf", "direct-action", "object-pinned", program)
        try:
            with Change(rig.daemon) as change:
                rig.from_red(packets.udp(rig.HOST[4], rig.FAR[4], b"x"))
                out = rig.black.receive(packets.is_esp, timeout=0.5)
                if beside and not seen:
                    assert out is not None
                    assert "of red keeps VLAN tags beside the frame" in rig.daemon.said()
                else:
                    assert out is None
                    change.expect([{"red.unknown_vlan": 1}, {"unknown_vlan": 1}])
        finally:
            rig.beyond.run("tc", "qdisc", "delete", "dev", "red", "clsact")
