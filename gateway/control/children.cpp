// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/children.hpp"

#include <algorithm>
#include <functional>
#include <ranges>
#include <utility>

namespace sallyport::control {

namespace {

Error conflict(std::string sentence, const char* field = "child") { return {ErrorCode::conflict, std::move(sentence), field, {}}; }

Error missing() { return {ErrorCode::missing, "the connection has no such SA", "child", {}}; }

/// False: the state does not allow it.
bool step(ChildState& state, ChildEvent event) {
    const auto next = after(state, event);
    if (next) state = *next;
    return next.has_value();
}

std::uint64_t hash_of(std::string_view name) { return std::hash<std::string_view>{}(name); }

} // namespace

Children::Child* Children::Connection::find(std::uint32_t number) {
    Child* at = std::ranges::lower_bound(children, number, {}, &Child::number);
    return at != children.end() && at->number == number ? at : nullptr;
}

Children::Child& Children::Connection::make(std::uint32_t number) {
    Child* at = std::ranges::lower_bound(children, number, {}, &Child::number);
    return at != children.end() && at->number == number ? *at : *children.insert(at, {.number = number});
}

std::optional<std::uint32_t> Children::place_of(std::string_view name) const {
    return by_name_.find(hash_of(name), [&](std::uint32_t place) { return connections_[place].name == name; });
}

Children::Connection& Children::make(const std::string& name) {
    if (const auto place = place_of(name)) return connections_[*place].connection;
    const std::uint32_t place = connections_.put({name, {}});
    by_name_.insert(hash_of(name), place);
    return connections_[place].connection;
}

Children::Connection& Children::touch(Plan& plan, const std::string& name) const {
    const auto [at, fresh] = plan.touched.try_emplace(name);
    if (fresh)
        if (const auto now = place_of(name)) at->second = connections_[*now].connection;
    return at->second;
}

/// What receives comes before what sends: both may stand in one transaction, in any order.
std::optional<Error> Children::install(Plan& plan, const SaSpec& sa) const {
    if (sa.child == 0) return conflict("child 0 is that of the configuration");
    Connection& connection = touch(plan, sa.name);
    if (connection.children.empty() || connection.outer_vpn != sa.outer_vpn) plan.ways_changed = true;
    connection.outer_vpn = sa.outer_vpn;
    Child& child = connection.make(sa.child);
    if (sa.direction == Direction::inbound) {
        if (!step(child.state, ChildEvent::install_inbound)) return conflict("the child has its inbound SA already");
        return std::nullopt;
    }
    if (child.outbound) return conflict("the child has its outbound SA already");
    if (!step(child.state, ChildEvent::switch_outbound))
        return conflict("the child does not receive: its inbound SA comes before its outbound one");
    child.outbound = true;
    if (Child* before = connection.find(connection.sender)) (void)step(before->state, ChildEvent::retire_outbound);
    connection.sender = sa.child;
    plan.senders_changed = true;
    return std::nullopt;
}

std::optional<Error> Children::remove_outbound(Plan& plan, const record::Removal& removal) const {
    Connection& connection = touch(plan, removal.name);
    Child* child = connection.find(removal.child);
    if (child == nullptr || !child->outbound) return missing();
    child->outbound = false;
    plan.remove.push_back({removal.name, Direction::outbound, removal.child});
    if (connection.sender != removal.child) return std::nullopt;
    (void)step(child->state, ChildEvent::retire_outbound);
    connection.sender = 0;
    plan.senders_changed = true;
    return std::nullopt;
}

std::optional<Error> Children::remove_inbound(Plan& plan, const record::Removal& removal) const {
    Connection& connection = touch(plan, removal.name);
    Child* child = connection.find(removal.child);
    if (child == nullptr) return missing();
    if (connection.sender == removal.child) return conflict("the child still sends: its outbound SA goes before its inbound one");
    if (!step(child->state, removal.drain != 0 ? ChildEvent::drain_inbound : ChildEvent::close))
        return conflict("its inbound SA drains already");
    // A retired outbound SA has waited for its child to be the sender again; that is over.
    if (std::exchange(child->outbound, false)) plan.remove.push_back({removal.name, Direction::outbound, removal.child});
    if (removal.drain != 0) {
        plan.drain.push_back({{removal.name, Direction::inbound, removal.child}, removal.drain});
        return std::nullopt;
    }
    plan.remove.push_back({removal.name, Direction::inbound, removal.child});
    connection.children.erase(child);
    if (connection.children.empty()) plan.ways_changed = true;
    return std::nullopt;
}

Result<Children::Plan> Children::plan(const record::Changes& changes) const {
    Plan plan;
    std::optional<Error> error;
    const auto each = [&](const char* list, const auto& entries, Direction direction, auto handle) {
        for (std::size_t i = 0; i < entries.size() && !error; ++i) {
            if (entries[i].direction != direction) continue;
            error = handle(entries[i]);
            if (error) error->place = std::string(list) + "[" + std::to_string(i) + "] " + error->place;
        }
    };
    const auto install = [&](const SaSpec& sa) { return this->install(plan, sa); };
    each("install", changes.install, Direction::inbound, install);
    each("install", changes.install, Direction::outbound, install);
    for (const Direction direction : {Direction::inbound, Direction::outbound})
        each("update", changes.update, direction, [&](const SaSpec& sa) -> std::optional<Error> {
            if (touch(plan, sa.name).find(sa.child) == nullptr) return missing();
            plan.senders_changed |= direction == Direction::outbound;
            return std::nullopt;
        });
    each("remove", changes.remove, Direction::outbound, [&](const record::Removal& one) { return remove_outbound(plan, one); });
    each("remove", changes.remove, Direction::inbound, [&](const record::Removal& one) { return remove_inbound(plan, one); });
    if (error) return std::unexpected(std::move(*error));
    // Where the sender went, the youngest that was retired sends again: of two that came at once, one is deleted (RFC 7296 2.8.1).
    for (auto& [name, connection] : plan.touched) {
        if (connection.sender != 0) continue;
        for (Child& child : connection.children | std::views::reverse) {
            if (!child.outbound || !step(child.state, ChildEvent::switch_outbound)) continue;
            connection.sender = child.number;
            break;
        }
    }
    return plan;
}

void Children::commit(Plan&& plan) {
    for (auto& [name, connection] : plan.touched) {
        if (!connection.children.empty()) {
            make(name) = std::move(connection);
        } else if (const auto place = place_of(name)) {
            by_name_.erase(hash_of(name), *place);
            connections_.erase(*place);
        }
    }
}

const Children::Connection* Children::find(const std::string& name, const Plan* plan) const {
    const Connection* found = nullptr;
    if (const auto now = place_of(name)) found = &connections_[*now].connection;
    if (plan != nullptr)
        if (const auto then = plan->touched.find(name); then != plan->touched.end()) found = &then->second;
    return found != nullptr && !found->children.empty() ? found : nullptr;
}

std::optional<std::uint32_t> Children::sender(const std::string& connection, const Plan* plan) const {
    const Connection* found = find(connection, plan);
    return found != nullptr && found->sender != 0 ? std::optional(found->sender) : std::nullopt;
}

std::optional<VpnNumber> Children::outer_vpn(const std::string& connection, const Plan* plan) const {
    const Connection* found = find(connection, plan);
    return found != nullptr ? std::optional(found->outer_vpn) : std::nullopt;
}

ChildState Children::state(const std::string& connection, std::uint32_t child) const {
    const Connection* there = find(connection, nullptr);
    if (there == nullptr) return ChildState::gone;
    const Child* found = std::ranges::find(there->children, child, &Child::number);
    return found != there->children.end() ? found->state : ChildState::gone;
}

void Children::take_over(const std::vector<SaSpec>& sas) {
    for (const SaSpec& sa : sas)
        if (sa.child != 0 && sa.direction == Direction::inbound) {
            Connection& connection = make(sa.name);
            connection.outer_vpn = sa.outer_vpn;
            (void)step(connection.make(sa.child).state, ChildEvent::install_inbound);
        }
    for (const SaSpec& sa : sas) { // by child within a connection
        if (sa.child == 0 || sa.direction != Direction::outbound) continue;
        Connection& connection = make(sa.name);
        Child& child = connection.make(sa.child);
        child.outbound = true;
        if (!step(child.state, ChildEvent::switch_outbound)) continue;
        if (Child* before = connection.find(connection.sender)) (void)step(before->state, ChildEvent::retire_outbound);
        connection.sender = sa.child;
    }
}

} // namespace sallyport::control
