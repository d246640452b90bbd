// SPDX-License-Identifier: Apache-2.0
// The kernel's routes into the TUN devices, and the rules by which it looks for them. Those of ours bear a protocol number of their own
// (route::own_protocol), so what an operator or a routing daemon wrote is never touched.
#pragma once

#include "gateway/own/netlink.hpp"
#include "gateway/sa/address.hpp"
#include "gateway/sa/error.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <tuple>

namespace sallyport::own {

struct Route {
    std::uint32_t table = 0;
    Prefix destination;
    std::uint32_t interface = 0;
    std::optional<Address> source; // what the machine sends from, unless a program chooses
    auto operator<=>(const Route& other) const { return key() <=> other.key(); }
    bool operator==(const Route& other) const { return key() == other.key(); }
    [[nodiscard]] std::tuple<std::uint32_t, Address, std::uint8_t, std::uint32_t, std::optional<Address>> key() const {
        return {table, destination.address, destination.length, interface, source};
    }
};

/// What is sent from this address is routed by that table.
struct Rule {
    Address source;
    std::uint32_t table = 0;
    auto operator<=>(const Rule&) const = default;
};

/// Any other route to the same network goes before ours.
inline constexpr std::uint32_t route_metric = 5000;
/// Of the rules: before that of the main table (32766).
inline constexpr std::uint32_t rule_priority = 30000;

class KernelRoutes {
public:
    /// What was left by a gateway before is forgotten by the kernel.
    [[nodiscard]] static Result<KernelRoutes> open();

    /// Makes the kernel have exactly these of ours. The first error is given back when all others have been tried; what failed is tried
    /// again the next time.
    [[nodiscard]] Result<void> set(const std::set<Route>& routes, const std::set<Rule>& rules);
    /// The kernel may have dropped some of them by itself (an address that one sends from was gone for a moment): writes them all again.
    [[nodiscard]] Result<void> set_anew(const std::set<Route>& routes, const std::set<Rule>& rules);

private:
    explicit KernelRoutes(Socket socket) : socket_(std::move(socket)) {}
    Socket socket_;
    std::set<Route> routes_;
    std::set<Rule> rules_;
};

/// Removes all routes and rules of ours.
[[nodiscard]] Result<void> forget_routes();

} // namespace sallyport::own
