// SPDX-License-Identifier: Apache-2.0
// Fragments that wait for others of their packet, bounded in number and time, whatever is done with them then.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/sa/sa.hpp"

#include <algorithm>
#include <cstdint>
#include <list>
#include <utility>
#include <vector>

namespace sallyport::exception {

/// What fragments of one packet have in common (RFC 791 3.2, RFC 8200 4.5), within one VPN and one way through the gateway.
struct FragmentKey {
    std::uint32_t identification = 0;
    VpnNumber vpn = wan_vpn;
    std::uint8_t protocol = 0; // 0 with IPv6
    std::uint64_t way = 0;     // the handler's
    Address source, destination;
    bool operator==(const FragmentKey&) const = default;
};

[[nodiscard]] FragmentKey fragment_key(const Frame& frame, std::uint32_t identification, std::uint64_t way = 0);

/// Time is short: what is sent together arrives together, and IPv4's 16-bit identification comes round in a second on a fast link (RFC
/// 4963). So much a source at most, that one sender does not push out all others: one packet, or one chunk, in `share`.
struct FragmentLimits {
    unsigned packets = 256;
    unsigned frames = 1024; // each in a chunk of 4096 octets
    unsigned each = 64;     // frames of one packet
    unsigned share = 4;
    std::uint64_t patience = 2'000'000'000; // ns from a packet's first frame on

    /// With so many chunks of packet memory an eighth of them at most.
    [[nodiscard]] static FragmentLimits of(std::uint32_t chunks) {
        FragmentLimits limits;
        limits.frames = std::min(limits.frames, std::max(chunks / 8, limits.share));
        return limits;
    }
};

/// Packets of which fragments have come, the oldest first. Every frame that it holds goes to the exits once. `State`: the handler's own, of
/// each packet.
template <class State>
class Fragments {
public:
    struct Packet {
        FragmentKey key;
        std::uint64_t since = 0;
        std::vector<Frame> frames;             // in the order in which they came
        DropReason refused = DropReason::none; // else: none of its fragments is taken any more (RFC 5722 3)
        State state;
    };

    explicit Fragments(const FragmentLimits& limits) : limits_(limits) {}

    /// The packet of a fragment, a new one where none is known. The oldest make room, of the same source where that has its share. Good
    /// until the next call of packet() and hold().
    Packet& packet(const FragmentKey& key, std::uint64_t now, Exits& exits) {
        for (Packet& known : packets_)
            if (known.key == key) return known;
        if (packets_.size() >= limits_.packets) evict(packets_.front(), exits);
        const Count count = of_source(key);
        if (count.packets >= std::max(limits_.packets / limits_.share, 1U)) evict(*count.oldest, exits);
        packets_.push_back({key, now, {}, DropReason::none, {}});
        return packets_.back();
    }

    /// The frame waits with its packet; room is made as in packet(). False: it was dropped, its packet is full.
    bool hold(Packet& packet, const Frame& frame, Exits& exits) {
        if (packet.frames.size() >= limits_.each || !make_room(packet, exits)) {
            exits.drop(frame, DropReason::fragment_limit);
            return false;
        }
        packet.frames.push_back(frame);
        ++frames_;
        return true;
    }

    /// Its frames are the caller's.
    [[nodiscard]] std::vector<Frame> take(Packet& packet) {
        frames_ -= packet.frames.size();
        return std::exchange(packet.frames, {});
    }

    /// Drops what it holds of the packet, and takes no more of it for the rest of its time.
    void refuse(Packet& packet, DropReason reason, Exits& exits) {
        for (const Frame& frame : take(packet)) exits.drop(frame, reason);
        packet.refused = reason;
    }

    /// Forgets it; it holds no frames.
    void forget(const Packet& packet) {
        packets_.remove_if([&](const Packet& one) { return &one == &packet; });
    }

    /// What waited too long is dropped with `reason`.
    void expire(std::uint64_t now, DropReason reason, Exits& exits) {
        while (!packets_.empty() && now - packets_.front().since >= limits_.patience) {
            refuse(packets_.front(), reason, exits);
            packets_.pop_front();
        }
    }

    [[nodiscard]] std::uint64_t next() const { return packets_.empty() ? Handler::never : packets_.front().since + limits_.patience; }
    [[nodiscard]] std::size_t held() const { return frames_; }
    [[nodiscard]] std::size_t packets() const { return packets_.size(); }

private:
    struct Count {
        unsigned packets = 0;
        std::size_t frames = 0;
        Packet* oldest = nullptr;
    };

    [[nodiscard]] Count of_source(const FragmentKey& key) {
        Count count;
        for (Packet& packet : packets_) {
            if (packet.key.vpn != key.vpn || packet.key.source != key.source) continue;
            if (count.oldest == nullptr) count.oldest = &packet;
            ++count.packets;
            count.frames += packet.frames.size();
        }
        return count;
    }

    void evict(Packet& packet, Exits& exits) {
        refuse(packet, DropReason::fragment_limit, exits);
        forget(packet);
    }

    /// For one frame more of `packet`, which itself stays.
    bool make_room(const Packet& packet, Exits& exits) {
        const std::size_t each = std::max(limits_.frames / limits_.share, 1U);
        const bool all_full = frames_ >= limits_.frames;
        if (!all_full && of_source(packet.key).frames < each) return true;
        for (Packet& old : packets_) {
            if (&old == &packet || old.frames.empty()) continue;
            if (!all_full && (old.key.vpn != packet.key.vpn || old.key.source != packet.key.source)) continue;
            evict(old, exits);
            return true;
        }
        return false;
    }

    FragmentLimits limits_;
    std::list<Packet> packets_;
    std::size_t frames_ = 0;
};

} // namespace sallyport::exception
