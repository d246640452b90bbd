// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/keepalives.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::mode {

namespace {

constexpr std::uint64_t second = 1'000'000'000; // ns

std::uint64_t sent_by(const Silence& silence) {
    std::uint64_t sum = 0;
    for (const std::uint64_t* counter : silence.sent) sum += __atomic_load_n(counter, __ATOMIC_RELAXED);
    return sum;
}

/// The whole outer packet, of a chunk (frame.chunk, frame.index are set). It is never cut: one octet fits every link.
void make_keepalive(Frame& frame, const Silence& silence) {
    const Outer& outer = silence.outer;
    constexpr unsigned datagram = wire::udp_size + 1;
    constexpr Inner nothing{.dont_fragment = true};
    const bool ipv4 = outer.length == wire::ipv4_size;
    std::uint8_t* header = frame.at(frame_headroom);
    std::uint8_t* udp = header + outer.length;
    if (ipv4)
        put_outer_ipv4(header, outer.octets.data(), outer.length + datagram, 0, nothing, tunnel_copy_df);
    else
        put_outer_ipv6(header, outer.octets.data(), outer.length + datagram, nothing, 0);
    put_udp(udp, outer.octets.data() + outer.length, datagram);
    udp[wire::udp_size] = wire::nat_keepalive;
    if (!ipv4) wire::store_raw(udp + wire::udp_checksum, wire::udp_checksum_ipv6_raw(header, udp, datagram));
    frame.begin = frame_headroom;
    frame.network = frame_headroom;
    frame.transport = static_cast<std::uint16_t>(frame_headroom + outer.length);
    frame.end = static_cast<std::uint16_t>(frame.transport + datagram);
    frame.family = ipv4 ? 4 : 6;
    frame.protocol = wire::protocol_udp;
    frame.vpn = silence.outer_vpn;
    frame.outbound = silence.sa;
    frame.flags = frame_ours;
}

/// By VPN, then by addresses and ports.
struct ByEnds {
    bool operator()(const Silence& left, const Silence& right) const {
        if (left.outer_vpn != right.outer_vpn) return left.outer_vpn < right.outer_vpn;
        return std::ranges::lexicographical_compare(left.outer.ends(), right.outer.ends());
    }
    bool operator()(const Silence* left, const Silence* right) const { return (*this)(*left, *right); }
};

} // namespace

std::vector<Silence> joined(std::vector<Silence> silences) {
    std::ranges::stable_sort(silences, ByEnds{});
    std::vector<Silence> result;
    for (Silence& one : silences) {
        if (result.empty() || ByEnds{}(result.back(), one)) {
            result.push_back(std::move(one));
            continue;
        }
        Silence& same = result.back();
        same.sent.insert(same.sent.end(), one.sent.begin(), one.sent.end());
        same.seconds = std::min(same.seconds, one.seconds);
    }
    return result;
}

void Keepalives::plan(std::vector<Silence> silences, std::uint64_t now) {
    const std::multimap<std::uint64_t, Watched> before = std::exchange(watched_, {});
    std::map<const Silence*, std::uint64_t, ByEnds> dues;
    for (const auto& [due, watched] : before) dues.emplace(&watched.silence, due);
    for (Silence& silence : silences) {
        const auto same = dues.find(&silence);
        const std::uint64_t later = now + silence.seconds * second;
        const std::uint64_t sent = sent_by(silence);
        watched_.emplace(same != dues.end() ? std::min(same->second, later) : later, Watched{std::move(silence), sent});
    }
}

void Keepalives::tick(std::uint64_t now, Batch& batch, Chunks& chunks) {
    while (next() <= now && batch.count < batch_size) {
        auto node = watched_.extract(watched_.begin());
        Watched& one = node.mapped();
        const std::uint64_t sent = sent_by(one.silence);
        std::uint32_t index = 0;
        if (sent == one.sent && chunks.take(index)) {
            Frame& frame = made_[batch.count] = Frame{};
            frame.index = index;
            frame.chunk = chunks.memory().chunk(index);
            make_keepalive(frame, one.silence);
            batch.add(&frame);
        }
        one.sent = sent;
        node.key() = now + one.silence.seconds * second;
        watched_.insert(std::move(node));
    }
}

} // namespace sallyport::mode
