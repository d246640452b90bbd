// SPDX-License-Identifier: Apache-2.0
// The life of a child SA (RFC 7296 2.8), named by both directions, because getting new keys without loss needs both: the new one receives
// before anybody sends on it, and the old one receives until nobody sends on it any more.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport {

enum class ChildState : std::uint8_t {
    created,           // known, nothing of it is installed
    inbound_installed, // it receives
    outbound_switched, // policies send by it
    outbound_retired,  // policies send by another child; it still receives
    inbound_drained,   // it receives what is still on its way, until its grace time is over
    gone,
};

enum class ChildEvent : std::uint8_t {
    install_inbound,
    switch_outbound, // its outbound SA is installed, or sends again because the child that had followed it is gone
    retire_outbound, // another child sends, or its outbound SA is removed
    drain_inbound,
    close, // its inbound SA is removed
};

/// As `sallyport sa` shows them.
[[nodiscard]] constexpr std::string_view name_of(ChildState state) {
    constexpr std::array<std::string_view, 6> names{"created",          "inbound-installed", "outbound-switched",
                                                    "outbound-retired", "inbound-drained",   "gone"};
    return names[static_cast<std::size_t>(state)];
}

/// Nothing: that must not happen in this state.
[[nodiscard]] constexpr std::optional<ChildState> after(ChildState state, ChildEvent event) {
    using enum ChildState;
    switch (event) {
    case ChildEvent::install_inbound: return state == created ? std::optional(inbound_installed) : std::nullopt;
    case ChildEvent::switch_outbound:
        return state == inbound_installed || state == outbound_retired ? std::optional(outbound_switched) : std::nullopt;
    case ChildEvent::retire_outbound: return state == outbound_switched ? std::optional(outbound_retired) : std::nullopt;
    case ChildEvent::drain_inbound:
        return state == inbound_installed || state == outbound_retired ? std::optional(inbound_drained) : std::nullopt;
    case ChildEvent::close:
        return state == inbound_installed || state == outbound_retired || state == inbound_drained ? std::optional(gone) : std::nullopt;
    }
    return std::nullopt;
}

} // namespace sallyport
