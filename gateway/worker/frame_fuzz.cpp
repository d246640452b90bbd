// SPDX-License-Identifier: Apache-2.0
// Any frames into the black or the red side of a gateway with SAs of several kinds and policies. Nothing past a chunk is read, no chunk is
// lost, every frame ends in exactly one place, and nothing that was not sealed leaves by the black port. TCP goes by AH, SCTP by ESP in
// UDP, ICMP by BEET mode, everything else by ESP in tunnel mode. Input: for each frame one octet of kind, two octets of length
// (big-endian), the frame. Kind: bit 0 red side; bit 1 the octets are an inner packet that is sealed rightly by the peer first, so that the
// fuzzer gets behind the ICV; bit 2 VLAN 30.
#include "gateway/worker/rig.hpp"

#include <cstdlib>

namespace {

using namespace sallyport;
using worker::rig::Gateway;
using worker::rig::Octets;

void check(bool good) {
    if (!good) std::abort();
}

void set_algorithm(SaSpec& spec, Algorithm algorithm) {
    spec.algorithm = algorithm;
    spec.key.size = static_cast<std::uint8_t>(info(algorithm).material());
}

/// The SAs of one side that carry one protocol each, and its policies, which come before all others.
void add_kinds(Gateway& gateway, bool left) {
    const auto protect = [&](std::uint32_t spi, Selector selector, std::uint8_t protocol, auto edit) {
        selector.protocol = protocol;
        gateway.add_pair(spi, {selector}, wan_vpn, edit);
        gateway.policy(PolicyAction::protect, {selector}, &gateway.outbound(spi / 1000 - 3));
    };
    const Selector networks = gateway.everything()[0];
    protect(3000, networks, wire::protocol_tcp, [](SaSpec& spec) {
        spec.protocol = SaProtocol::ah;
        set_algorithm(spec, Algorithm::null_hmac_sha2_256_128);
    });
    protect(4000, networks, wire::protocol_sctp, [](SaSpec& spec) { spec.udp_port = wire::port_ike_nat; });
    const AddressRange one = *parse_range("10.1.0.5"), other = *parse_range("10.2.0.5");
    protect(5000, {left ? one : other, left ? other : one}, wire::protocol_icmp, [](SaSpec& spec) {
        spec.mode = SaMode::beet;
        set_algorithm(spec, Algorithm::aes_128_cbc_hmac_sha2_256_128);
    });
}

bool is_sealed(const Octets& frame) {
    const std::uint8_t protocol = frame[14 + wire::ipv4_protocol];
    return protocol == wire::protocol_esp || protocol == wire::protocol_ah ||
           (protocol == wire::protocol_udp && wire::load16(frame.data() + 14 + wire::ipv4_size) == wire::port_ike_nat);
}

struct World {
    World() : gateway({.left = false, .chunks = 2048}), peer({.left = true, .chunks = 2048}) {
        const Selector any4{*parse_range("0.0.0.0/0"), *parse_range("0.0.0.0/0"), 0, {}, {}};
        const Selector any6{*parse_range("::/0"), *parse_range("::/0"), 0, {}, {}};
        add_kinds(gateway, false);
        add_kinds(peer, true);
        gateway.protect(1000, gateway.everything());
        gateway.protect(2000, gateway.everything(), worker::rig::tagged_vpn);
        peer.add_pair(1000, {any4, any6});
        peer.policy(PolicyAction::protect, {any4, any6}, &peer.outbound(3));
        gateway.policy(PolicyAction::discard, {{*parse_range("10.2.0.0/16"), *parse_range("10.7.0.0/16"), 17, {}, {53, 53}}});
        gateway.policy(PolicyAction::bypass, {{*parse_range("10.2.0.0/16"), *parse_range("10.7.0.0/16"), 0, {}, {}}});
    }
    Gateway gateway, peer;
};

/// What the peer makes of an inner packet, if it takes it at all.
std::vector<Octets> sealed(World& world, const Octets& packet) {
    return world.peer.send(worker::rig::red, wire::samples::ethernet(packet));
}

void feed(World& world, std::uint8_t kind, const Octets& octets) {
    const unsigned side = (kind & 1) != 0 ? worker::rig::red : worker::rig::black;
    std::vector<Octets> frames{octets};
    if ((kind & 2) != 0) frames = side == worker::rig::black ? sealed(world, octets) : std::vector<Octets>{wire::samples::ethernet(octets)};
    for (const Octets& frame : frames) {
        const worker::Counters before = world.gateway.worker().counters();
        const std::uint64_t dropped = world.gateway.dropped();
        Octets whole = frame;
        if ((kind & 4) != 0 && frame.size() >= 12) whole.insert(whole.begin() + 12, {0x81, 0, 0, worker::rig::tag});
        const auto sent = world.gateway.send(side, whole);
        std::array<Frame, 8> excepted;
        const unsigned waiting = world.gateway.exceptions().pop(excepted);
        for (unsigned i = 0; i < waiting; ++i) world.gateway.depot().give(&excepted[i].index, 1);
        check(sent.size() + waiting + (world.gateway.dropped() - dropped) == 1);
        const worker::Counters after = world.gateway.worker().counters();
        if (side == worker::rig::red && after.bypassed == before.bypassed)
            for (const Octets& out : sent) check(is_sealed(out));
        // From the black side only what was opened or bypassed comes in.
        if (side == worker::rig::black) check(sent.size() <= (after.opened - before.opened) + (after.bypassed - before.bypassed));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World world;
    for (unsigned frames = 0; size >= 3 && frames < 16; ++frames) {
        const std::uint8_t kind = data[0];
        const std::size_t wanted = std::size_t{data[1]} << 8 | data[2];
        const std::size_t length = std::min({wanted, size - 3, std::size_t{1500}});
        feed(world, kind, Octets(data + 3, data + 3 + length));
        data += 3 + length;
        size -= 3 + length;
    }
    return 0;
}
