# SPDX-License-Identifier: Apache-2.0
"""VLAN tags, in the frame and beside it: the VPN of a trunk's frame, and refused where nobody configured them."""

import struct

import pytest

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
