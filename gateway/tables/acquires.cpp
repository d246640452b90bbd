// SPDX-License-Identifier: Apache-2.0
#include "gateway/tables/acquires.hpp"

#include "gateway/wire/octets.hpp"
#include "gateway/wire/parse.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::tables {

Acquires::Acquires(std::vector<std::uint32_t> policies)
    : policies_(std::move(policies)), slots_(policies_.empty() ? nullptr : std::make_unique<Slots>(policies_.size())) {
    std::ranges::sort(policies_);
}

bool Acquires::ask(std::uint32_t policy, const Frame& frame) const {
    const auto at = std::ranges::lower_bound(policies_, policy);
    if (at == policies_.end() || *at != policy) return false;
    Slot& slot = slots_->of_policies[static_cast<std::size_t>(at - policies_.begin())];
    State expected = State::open;
    if (slot.state.load(std::memory_order_relaxed) != State::open ||
        !slot.state.compare_exchange_strong(expected, State::writing, std::memory_order_acquire))
        return false;
    slot.packet = {.policy = policy, .flow_label = 0, .flow = wire::flow_of(frame)};
    if (frame.family == 6) slot.packet.flow_label = wire::load32(frame.at(frame.network)) & 0xfffffU; // RFC 8200 3
    slot.state.store(State::asked, std::memory_order_release);
    slots_->any_asked.store(true, std::memory_order_release);
    return true;
}

std::vector<Acquire> Acquires::take() const {
    std::vector<Acquire> result;
    if (slots_ == nullptr || !slots_->any_asked.exchange(false, std::memory_order_acquire)) return result;
    for (std::size_t i = 0; i < policies_.size(); ++i) {
        Slot& slot = slots_->of_policies[i];
        if (slot.state.load(std::memory_order_acquire) != State::asked) continue;
        result.push_back(slot.packet);
        slot.state.store(State::taken, std::memory_order_relaxed);
    }
    return result;
}

void Acquires::open() const {
    for (std::size_t i = 0; i < policies_.size(); ++i) {
        State expected = State::taken;
        // Who fills it next sees that its packet was read.
        slots_->of_policies[i].state.compare_exchange_strong(expected, State::open, std::memory_order_release);
    }
}

} // namespace sallyport::tables
