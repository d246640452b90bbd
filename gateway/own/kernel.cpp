// SPDX-License-Identifier: Apache-2.0
#include "gateway/own/kernel.hpp"

#include "gateway/route/kernel.hpp"

#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/addr.h>
#include <netlink/msg.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>
#include <sys/socket.h>
#include <vector>

namespace sallyport::own {
namespace {

struct FreeAddress {
    void operator()(nl_addr* address) const { nl_addr_put(address); }
};

struct FreeRoute {
    void operator()(rtnl_route* route) const { rtnl_route_put(route); }
};

struct FreeRule {
    void operator()(rtnl_rule* rule) const { rtnl_rule_put(rule); }
};

using NlAddress = std::unique_ptr<nl_addr, FreeAddress>;
using NlRoute = std::unique_ptr<rtnl_route, FreeRoute>;
using NlRule = std::unique_ptr<rtnl_rule, FreeRule>;

int family_of(const Address& address) { return address.family == Family::ipv4 ? AF_INET : AF_INET6; }

NlAddress make(const Address& address, unsigned length) {
    NlAddress made(nl_addr_build(family_of(address), address.octets.data(), address.size()));
    if (made) nl_addr_set_prefixlen(made.get(), static_cast<int>(length));
    return made;
}

NlRoute make(const Route& route) {
    NlRoute made(rtnl_route_alloc());
    rtnl_nexthop* hop = rtnl_route_nh_alloc();
    rtnl_route_set_family(made.get(), static_cast<std::uint8_t>(family_of(route.destination.address)));
    rtnl_route_set_table(made.get(), route.table);
    rtnl_route_set_protocol(made.get(), route::own_protocol);
    rtnl_route_set_scope(made.get(), route.destination.address.family == Family::ipv4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
    rtnl_route_set_type(made.get(), RTN_UNICAST);
    rtnl_route_set_priority(made.get(), route_metric);
    rtnl_route_set_dst(made.get(), make(route.destination.address, route.destination.length).get());
    if (route.source) rtnl_route_set_pref_src(made.get(), make(*route.source, route.source->size() * 8).get());
    rtnl_route_nh_set_ifindex(hop, static_cast<int>(route.interface));
    rtnl_route_add_nexthop(made.get(), hop);
    return made;
}

NlRule make(const Rule& rule) {
    NlRule made(rtnl_rule_alloc());
    rtnl_rule_set_family(made.get(), family_of(rule.source));
    rtnl_rule_set_prio(made.get(), rule_priority);
    rtnl_rule_set_table(made.get(), rule.table);
    rtnl_rule_set_action(made.get(), FR_ACT_TO_TBL);
    rtnl_rule_set_protocol(made.get(), route::own_protocol);
    rtnl_rule_set_src(made.get(), make(rule.source, rule.source.size() * 8).get());
    return made;
}

Error route_error(int code, const Route& route) {
    return netlink_error(code, "The kernel does not take the route to a protected network", to_string(route.destination));
}

int keep_route(nl_msg* message, void* list) {
    rtnl_route* route = nullptr;
    if (rtnl_route_parse(nlmsg_hdr(message), &route) == 0) static_cast<std::vector<NlRoute>*>(list)->emplace_back(route);
    return NL_OK;
}

/// The kernel is asked for routes of ours alone: the whole of its tables may be a million.
Result<std::vector<NlRoute>> routes_of_ours(nl_sock* socket) {
    std::vector<NlRoute> found;
    const auto let_filter_count = [&](int on) { // Linux 4.20; libnl's own questions do not pass it
        (void)setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
    };
    let_filter_count(1);
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, keep_route, &found);
    int failed = 0;
    for (const int family : {AF_INET, AF_INET6}) {
        rtmsg asked{};
        asked.rtm_family = static_cast<unsigned char>(family);
        asked.rtm_protocol = route::own_protocol;
        int code = nl_send_simple(socket, RTM_GETROUTE, NLM_F_DUMP, &asked, sizeof(asked));
        if (code >= 0) code = nl_recvmsgs_default(socket);
        if (code < 0) failed = code;
    }
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_DEFAULT, nullptr, nullptr);
    let_filter_count(0);
    if (failed != 0) return std::unexpected(netlink_error(failed, "The kernel does not list its routes"));
    std::erase_if(found, [](const NlRoute& route) { return rtnl_route_get_protocol(route.get()) != route::own_protocol; });
    return found;
}

int forget_rules(nl_sock* socket) {
    nl_cache* rules = nullptr;
    if (const int code = rtnl_rule_alloc_cache(socket, AF_UNSPEC, &rules); code < 0) return code;
    int failed = 0;
    for (nl_object* object = nl_cache_get_first(rules); object != nullptr; object = nl_cache_get_next(object)) {
        auto* rule = reinterpret_cast<rtnl_rule*>(object);
        std::uint8_t protocol = 0;
        if (rtnl_rule_get_protocol(rule, &protocol) != 0 || protocol != route::own_protocol) continue;
        if (const int code = rtnl_rule_delete(socket, rule, 0); code < 0 && code != -NLE_OBJ_NOTFOUND) failed = code;
    }
    nl_cache_free(rules);
    return failed;
}

Result<void> forget(nl_sock* socket) {
    auto routes = routes_of_ours(socket);
    if (!routes) return std::unexpected(std::move(routes.error()));
    int failed = forget_rules(socket);
    for (const NlRoute& route : *routes)
        if (const int code = rtnl_route_delete(socket, route.get(), 0); code < 0 && code != -NLE_OBJ_NOTFOUND) failed = code;
    if (failed != 0) return std::unexpected(netlink_error(failed, "A route of ours cannot be removed"));
    return {};
}

} // namespace

Result<KernelRoutes> KernelRoutes::open() {
    auto socket = connect();
    if (!socket) return std::unexpected(std::move(socket.error()));
    if (auto done = forget(socket->get()); !done) return std::unexpected(std::move(done.error()));
    return KernelRoutes(std::move(*socket));
}

Result<void> KernelRoutes::set(const std::set<Route>& routes, const std::set<Rule>& rules) {
    Result<void> result;
    const auto fail = [&](Error error) {
        if (result) result = std::unexpected(std::move(error));
    };
    for (const Rule& rule : rules_)
        if (!rules.contains(rule)) (void)rtnl_rule_delete(socket_.get(), make(rule).get(), 0);
    for (const Route& route : routes_)
        if (!routes.contains(route)) (void)rtnl_route_delete(socket_.get(), make(route).get(), 0); // gone with its device, or by the kernel
    std::set<Route> set_routes;
    for (const Route& route : routes) {
        const int code = routes_.contains(route) ? 0 : rtnl_route_add(socket_.get(), make(route).get(), NLM_F_EXCL);
        if (code >= 0) set_routes.insert(route);
        // The address went a moment ago: its notification is on the way, and with it the next time.
        else if (code != -NLE_INVAL || !route.source)
            fail(route_error(code, route));
    }
    std::set<Rule> set_rules;
    for (const Rule& rule : rules) {
        const int code = rules_.contains(rule) ? 0 : rtnl_rule_add(socket_.get(), make(rule).get(), NLM_F_EXCL);
        if (code >= 0)
            set_rules.insert(rule);
        else
            fail(netlink_error(code, "The kernel does not take the rule for what is sent from an address", to_string(rule.source)));
    }
    routes_ = std::move(set_routes);
    rules_ = std::move(set_rules);
    return result;
}

Result<void> KernelRoutes::set_anew(const std::set<Route>& routes, const std::set<Rule>& rules) {
    auto forgotten = forget(socket_.get());
    routes_.clear();
    rules_.clear();
    auto done = set(routes, rules);
    return forgotten ? std::move(done) : std::move(forgotten);
}

Result<void> forget_routes() {
    auto socket = connect();
    return socket ? forget(socket->get()) : std::unexpected(std::move(socket.error()));
}

} // namespace sallyport::own
