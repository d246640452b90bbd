// SPDX-License-Identifier: Apache-2.0
#include "gateway/mode/keepalives.hpp"

#include <algorithm>
#include <atomic>

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

} // namespace

void Keepalives::plan(std::vector<Silence> silences, std::uint64_t now) {
    std::vector<Watched> before = std::move(watched_);
    watched_.clear();
    next_ = Mode::never;
    for (Silence& silence : silences) {
        const auto same = std::ranges::find_if(before, [&](const Watched& one) {
            return one.silence.outer_vpn == silence.outer_vpn && std::ranges::equal(one.silence.outer.ends(), silence.outer.ends());
        });
        const std::uint64_t interval = silence.seconds * second;
        const std::uint64_t due = same != before.end() ? std::min(same->due, now + interval) : now + interval;
        next_ = std::min(next_, due);
        const std::uint64_t sent = sent_by(silence);
        watched_.push_back({std::move(silence), sent, due});
    }
}

void Keepalives::tick(std::uint64_t now, Batch& batch, Chunks& chunks) {
    next_ = Mode::never;
    for (Watched& one : watched_) {
        if (one.due <= now) {
            const std::uint64_t sent = sent_by(one.silence);
            std::uint32_t index = 0;
            if (sent == one.sent && batch.count < batch_size && chunks.take(index)) {
                Frame& frame = made_[batch.count] = Frame{};
                frame.index = index;
                frame.chunk = chunks.memory().chunk(index);
                make_keepalive(frame, one.silence);
                batch.add(&frame);
            }
            one.sent = sent;
            one.due = now + one.silence.seconds * second;
        }
        next_ = std::min(next_, one.due);
    }
}

} // namespace sallyport::mode
