// SPDX-License-Identifier: Apache-2.0
// What happens in the gateway, as plain values that go from thread to thread: `sallyport watch`, the journal and tests read them.
#pragma once

#include "gateway/sa/drop_reason.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/sa/selector.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace sallyport {

// name, what happened
#define SALLYPORT_EVENT_KINDS(X)                                                                                                           \
    X(dropped, "a packet was dropped for a reason that is audited")                                                                        \
    X(acquire, "a packet wants protection and its policy has no security association: it was dropped, and keys are wanted")                \
    X(sa_installed, "a security association is in force")                                                                                  \
    X(sa_removed, "a security association is gone")                                                                                        \
    X(sa_near_end, "a security association has used most of its sequence numbers")                                                         \
    X(sa_soft_end, "a security association has reached its soft lifetime and wants new keys")                                              \
    X(sa_hard_end, "a security association has reached its hard lifetime: no packet passes it any more")                                   \
    X(sa_traffic, "an inbound security association has received its first packet, or the first one after its idle time")                   \
    X(sa_idle, "an inbound security association has received nothing for its idle time")                                                   \
    X(address_changed, "the peer of a security association sends from another address or UDP port")                                        \
    X(path_mtu, "the path MTU of a security association has changed")                                                                      \
    X(port_up, "the link of a port is up")                                                                                                 \
    X(port_down, "the link of a port is down, or its interface is gone")                                                                   \
    X(committed, "a generation of the configuration is in force")

enum class EventKind : std::uint8_t {
#define X(name, meaning) name,
    SALLYPORT_EVENT_KINDS(X)
#undef X
};

struct EventKindInfo {
    std::string_view name; // as the enumerator
    std::string_view meaning;
};

inline constexpr std::array event_kinds{
#define X(name, meaning) EventKindInfo{#name, meaning},
    SALLYPORT_EVENT_KINDS(X)
#undef X
};

[[nodiscard]] constexpr const EventKindInfo& info(EventKind kind) { return event_kinds[static_cast<std::size_t>(kind)]; }

/// What does not belong to the kind is as it is here. A later kind adds its own members at the end.
struct Event {
    static constexpr std::uint8_t no_port = 0xff, no_worker = 0xff;

    EventKind kind = EventKind::dropped;
    DropReason reason = DropReason::none;      // dropped
    std::uint8_t worker = no_worker;           // who says it; the control thread and the exception stage are none
    std::uint8_t port = no_port;               // index in Desired::ports: where the packet came in, or the port itself
    VpnNumber vpn = wan_vpn;                   // as far as it was known: red or outer, as in Frame::vpn
    Direction direction = Direction::outbound; // of the SA
    bool has_flow = false;
    bool by_kernel = false;       // dropped: by the BPF program, and not counted under the reason
    Flow flow;                    // dropped: of the outermost header that was read last: the inner one once it was opened;
                                  // acquire: of the packet that asks; address_changed: of the outer packet and its UDP header
    std::uint32_t flow_label = 0; // with an IPv6 flow
    std::uint32_t spi = 0;        // 0: none
    std::uint32_t sa = 0;         // number of the SA in the store, 0: none or not known
    std::uint64_t sequence = 0;   // number of the packet, as far as it is known; sa_near_end, sa_traffic, sa_idle: of the SA
    std::uint64_t generation = 0; // committed
    std::uint32_t count = 1;      // sa_installed, sa_removed, path_mtu: of how many it speaks where sa is 0
    std::uint32_t left_out = 0;   // dropped: packets with this reason that this thread told nothing of since it last did
    std::uint16_t old_mtu = 0, mtu = 0, largest_inner = 0; // path_mtu: octets of the outer packet before and now; what fits inside
};

static_assert(std::is_trivially_copyable_v<Event>);

} // namespace sallyport
