// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/children.hpp"

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

} // namespace

Children::Connection& Children::touch(Plan& plan, const std::string& name) const {
    const auto [at, fresh] = plan.touched.try_emplace(name);
    if (fresh)
        if (const auto now = connections_.find(name); now != connections_.end()) at->second = now->second;
    return at->second;
}

/// What receives comes before what sends: both may stand in one transaction, in any order.
std::optional<Error> Children::install(Plan& plan, const SaSpec& sa) const {
    if (sa.child == 0) return conflict("child 0 is that of the configuration");
    Connection& connection = touch(plan, sa.name);
    if (connection.children.empty() || connection.outer_vpn != sa.outer_vpn) plan.ways_changed = true;
    connection.outer_vpn = sa.outer_vpn;
    Child& child = connection.children[sa.child];
    if (sa.direction == Direction::inbound) {
        if (!step(child.state, ChildEvent::install_inbound)) return conflict("the child has its inbound SA already");
        return std::nullopt;
    }
    if (child.outbound) return conflict("the child has its outbound SA already");
    if (!step(child.state, ChildEvent::switch_outbound))
        return conflict("the child does not receive: its inbound SA comes before its outbound one");
    child.outbound = true;
    if (connection.sender) (void)step(connection.children[*connection.sender].state, ChildEvent::retire_outbound);
    connection.sender = sa.child;
    plan.senders_changed = true;
    return std::nullopt;
}

std::optional<Error> Children::remove_outbound(Plan& plan, const record::Removal& removal) const {
    Connection& connection = touch(plan, removal.name);
    const auto at = connection.children.find(removal.child);
    if (at == connection.children.end() || !at->second.outbound) return missing();
    at->second.outbound = false;
    plan.remove.push_back({removal.name, Direction::outbound, removal.child});
    if (connection.sender != removal.child) return std::nullopt;
    (void)step(at->second.state, ChildEvent::retire_outbound);
    connection.sender.reset();
    plan.senders_changed = true;
    return std::nullopt;
}

std::optional<Error> Children::remove_inbound(Plan& plan, const record::Removal& removal) const {
    Connection& connection = touch(plan, removal.name);
    const auto at = connection.children.find(removal.child);
    if (at == connection.children.end()) return missing();
    Child& child = at->second;
    if (connection.sender == removal.child) return conflict("the child still sends: its outbound SA goes before its inbound one");
    if (!step(child.state, removal.drain != 0 ? ChildEvent::drain_inbound : ChildEvent::close))
        return conflict("its inbound SA drains already");
    // A retired outbound SA has waited for its child to be the sender again; that is over.
    if (std::exchange(child.outbound, false)) plan.remove.push_back({removal.name, Direction::outbound, removal.child});
    if (removal.drain != 0) {
        plan.drain.push_back({{removal.name, Direction::inbound, removal.child}, removal.drain});
        return std::nullopt;
    }
    plan.remove.push_back({removal.name, Direction::inbound, removal.child});
    connection.children.erase(at);
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
            const auto at = touch(plan, sa.name).children.find(sa.child);
            if (at == plan.touched[sa.name].children.end()) return missing();
            plan.senders_changed |= direction == Direction::outbound;
            return std::nullopt;
        });
    each("remove", changes.remove, Direction::outbound, [&](const record::Removal& one) { return remove_outbound(plan, one); });
    each("remove", changes.remove, Direction::inbound, [&](const record::Removal& one) { return remove_inbound(plan, one); });
    if (error) return std::unexpected(std::move(*error));
    // Where the sender went, the youngest that was retired sends again: of two that came at once, one is deleted (RFC 7296 2.8.1).
    for (auto& [name, connection] : plan.touched) {
        if (connection.sender) continue;
        for (auto at = connection.children.rbegin(); at != connection.children.rend() && !connection.sender; ++at)
            if (at->second.outbound && step(at->second.state, ChildEvent::switch_outbound)) connection.sender = at->first;
    }
    return plan;
}

void Children::commit(Plan&& plan) {
    for (auto& [name, connection] : plan.touched) {
        if (connection.children.empty())
            connections_.erase(name);
        else
            connections_.insert_or_assign(name, std::move(connection));
    }
}

const Children::Connection* Children::find(const std::string& name, const Plan* plan) const {
    const Connection* found = nullptr;
    if (const auto now = connections_.find(name); now != connections_.end()) found = &now->second;
    if (plan != nullptr)
        if (const auto then = plan->touched.find(name); then != plan->touched.end()) found = &then->second;
    return found != nullptr && !found->children.empty() ? found : nullptr;
}

std::optional<std::uint32_t> Children::sender(const std::string& connection, const Plan* plan) const {
    const Connection* found = find(connection, plan);
    return found != nullptr ? found->sender : std::nullopt;
}

std::optional<VpnNumber> Children::outer_vpn(const std::string& connection, const Plan* plan) const {
    const Connection* found = find(connection, plan);
    return found != nullptr ? std::optional(found->outer_vpn) : std::nullopt;
}

ChildState Children::state(const std::string& connection, std::uint32_t child) const {
    const auto at = connections_.find(connection);
    if (at == connections_.end()) return ChildState::gone;
    const auto found = at->second.children.find(child);
    return found == at->second.children.end() ? ChildState::gone : found->second.state;
}

void Children::take_over(const std::vector<SaSpec>& sas) {
    for (const SaSpec& sa : sas)
        if (sa.child != 0 && sa.direction == Direction::inbound) {
            connections_[sa.name].outer_vpn = sa.outer_vpn;
            (void)step(connections_[sa.name].children[sa.child].state, ChildEvent::install_inbound);
        }
    for (const SaSpec& sa : sas) { // by child within a connection
        if (sa.child == 0 || sa.direction != Direction::outbound) continue;
        Connection& connection = connections_[sa.name];
        Child& child = connection.children[sa.child];
        child.outbound = true;
        if (!step(child.state, ChildEvent::switch_outbound)) continue;
        if (connection.sender) (void)step(connection.children[*connection.sender].state, ChildEvent::retire_outbound);
        connection.sender = sa.child;
    }
}

} // namespace sallyport::control
