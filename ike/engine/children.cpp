// SPDX-License-Identifier: Apache-2.0
// Child SAs from the moment when the gateway is asked for them until they leave it. What is told to it comes in the order in which it is
// said, so a child may go before its installation is answered.
#include "ike/engine/engine.hpp"

#include <algorithm>

namespace sallyport::ike {

ChildSa* Engine::find_child(IkeSa& sa, std::uint32_t spi_in) {
    const auto found = std::ranges::find(sa.children, spi_in, &ChildSa::spi_in);
    return found != sa.children.end() ? &*found : nullptr;
}

/// From here on it leaves the gateway with its IKE SA, installed or just about to be.
void Engine::add_child(IkeSa& sa, ChildSa child) {
    owners_[child.spi_in] = sa.own_spi;
    ++policies_[child.name].children;
    sa.children.push_back(std::move(child));
}

/// Null: it was deleted meanwhile.
const ChildSa* Engine::installed(IkeSa& sa, std::uint32_t spi_in) {
    ChildSa* child = find_child(sa, spi_in);
    if (child == nullptr) return nullptr;
    child->state = ChildState::outbound_switched;
    policies_[child->name].there = true;
    return child;
}

/// The gateway took nothing of it.
void Engine::refused(IkeSa& sa, std::uint32_t spi_in) {
    const ChildSa* child = find_child(sa, spi_in);
    if (child == nullptr) return;
    record::Changes changes;
    if (leave_policy(child->name, false)) changes.remove_policies.push_back(child->name);
    forget_child(sa, spi_in);
    command(std::move(changes));
}

/// One child less sends by the policy. True: it was the last one, and the policy is in the gateway, or `asked` for.
bool Engine::leave_policy(const std::string& name, bool asked) {
    const auto use = policies_.find(name);
    if (--use->second.children != 0) return false;
    const bool there = use->second.there || asked;
    policies_.erase(use);
    return there;
}

void Engine::forget_child(IkeSa& sa, std::uint32_t spi_in) {
    owners_.erase(spi_in);
    std::erase_if(sa.children, [&](const ChildSa& child) { return child.spi_in == spi_in; });
}

void Engine::take_outbound(const ChildSa& child, record::Changes& changes) {
    changes.remove.push_back({child.name, Direction::outbound, child.number, 0});
    if (leave_policy(child.name, child.state == ChildState::created)) changes.remove_policies.push_back(child.name);
}

void Engine::retire_child(IkeSa& sa, std::uint32_t spi_in) {
    ChildSa* child = find_child(sa, spi_in);
    if (child == nullptr || child->deleting) return;
    record::Changes changes;
    take_outbound(*child, changes);
    child->deleting = true;
    child->state = ChildState::outbound_retired;
    command(std::move(changes));
}

/// Each in a call of its own: one whose installation is still refused takes no other with it.
void Engine::remove_child(IkeSa& sa, std::uint32_t spi_in) {
    const ChildSa* child = find_child(sa, spi_in);
    if (child == nullptr) return;
    record::Changes changes;
    if (!child->deleting) take_outbound(*child, changes);
    changes.remove.push_back({child->name, Direction::inbound, child->number, static_cast<std::uint32_t>(settings_.drain)});
    forget_child(sa, spi_in);
    command(std::move(changes));
}

/// What the gateway answers, nobody waits for.
void Engine::command(record::Changes changes) {
    if (changes.sas() == 0 && changes.remove_policies.empty()) return;
    outputs_.keying.push_back({++last_keying_, std::move(changes)});
}

/// It is no IKE SA any more that anything is done with: the one place where its children leave the gateway.
void Engine::leave(IkeSa& sa, IkeState state) {
    sa.state = state;
    while (!sa.children.empty()) remove_child(sa, sa.children.back().spi_in);
}

} // namespace sallyport::ike
