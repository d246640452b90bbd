// SPDX-License-Identifier: Apache-2.0
// Requests of ours: one at a time, sent, sent again, answered or given up (RFC 7296 2.1, 2.3, 2.4).
#include "ike/engine/engine.hpp"

#include <algorithm>
#include <limits>

namespace sallyport::ike {

/// A wait with its jitter, so that many peers do not come at once.
Time Engine::jittered(Time wait) {
    const Time reach = wait * settings_.retransmission.jitter / 100;
    return reach == 0 ? wait : wait - reach + random_.number() % (2 * reach + 1);
}

/// False: it is woken when its turn comes.
bool Engine::take_turn(IkeSa& sa, FlowId flow) {
    if (!std::ranges::contains(sa.turns, flow)) sa.turns.push_back(flow);
    return sa.turns.front() == flow;
}

void Engine::pass_turn(IkeSa& sa, FlowId flow) {
    const bool had = !sa.turns.empty() && sa.turns.front() == flow;
    std::erase(sa.turns, flow);
    if (!had || sa.turns.empty()) return;
    if (const auto next = flows_.find(sa.turns.front()); next != flows_.end() && next->second->awaited == Awaited::turn)
        wake(*next->second);
}

/// Of the flow whose turn it is. A request of its own that is still open gives way: IKE_SA_INIT once more.
void Engine::send_request(IkeSa& sa, ExchangeType exchange, const Writer& payloads, FlowId waiter) {
    if (sa.outstanding) timers_.stop(sa.outstanding->timer);
    const bool initial = exchange == ExchangeType::ike_sa_init;
    Header header{.spi_i = sa.spi_i(),
                  .spi_r = initial ? 0 : sa.spi_r(),
                  .first = payloads.first(),
                  .exchange = exchange,
                  .initiator = sa.initiator,
                  .message_id = initial ? 0 : sa.next_request};
    Outstanding& outstanding = sa.outstanding.emplace();
    outstanding.id = header.message_id;
    outstanding.exchange = exchange;
    outstanding.waiter = waiter;
    outstanding.wait = settings_.retransmission.first;
    outstanding.tries = 1;
    if (initial) {
        outstanding.datagrams.push_back(assemble(header, payloads));
        sa.initial->real_i = outstanding.datagrams.front();
    } else {
        outstanding.datagrams = protect(sa, header, payloads);
    }
    if (outstanding.datagrams.empty()) {
        give_reply(sa, std::unexpected(Failure{false, "the request could not be made"}));
        return settle(sa);
    }
    sa.next_request = header.message_id + 1;
    send(sa.path, outstanding.datagrams);
    timers_.start(outstanding.timer, now_ + jittered(outstanding.wait), {sa.own_spi, TimerKind::retransmit, 0, "no response"});
}

/// What it was for is over, answered or not: the next one may ask.
void Engine::settle(IkeSa& sa) {
    if (!sa.outstanding) return;
    timers_.stop(sa.outstanding->timer);
    const FlowId waiter = sa.outstanding->waiter;
    sa.outstanding.reset();
    pass_turn(sa, waiter);
}

void Engine::give_reply(IkeSa& sa, Reply reply) {
    const auto found = flows_.find(sa.outstanding->waiter);
    if (found == flows_.end() || found->second->reply) return;
    Flow& flow = *found->second;
    // One that is computing on an answer to IKE_SA_INIT hears no other meanwhile; the peer will repeat it.
    if (flow.awaited != Awaited::reply && flow.awaited != Awaited::nothing) return;
    flow.reply.emplace(std::move(reply));
    if (flow.awaited == Awaited::reply) wake(flow);
}

void Engine::retransmit(IkeSa& sa) {
    if (!sa.outstanding) return;
    Outstanding& outstanding = *sa.outstanding;
    outstanding.timer = {};
    const Retransmission& plan = settings_.retransmission;
    const bool initial = outstanding.exchange == ExchangeType::ike_sa_init;
    if (outstanding.tries >= plan.tries || (initial && now_ - sa.initial->began >= settings_.initial_timeout)) {
        std::string sentence = "the peer did not answer " + std::to_string(outstanding.tries) + " requests";
        // It has vanished, whatever it was asked (RFC 7296 2.4).
        if (sa.state == IkeState::established) return end(sa, std::move(sentence));
        give_reply(sa, std::unexpected(Failure{true, std::move(sentence)}));
        return settle(sa);
    }
    ++outstanding.tries;
    outstanding.wait = std::min(plan.longest, outstanding.wait * plan.growth / 10);
    counters_.retransmitted += outstanding.datagrams.size();
    send(sa.path, outstanding.datagrams);
    timers_.start(outstanding.timer, now_ + jittered(outstanding.wait), {sa.own_spi, TimerKind::retransmit, 0, "no response"});
}

} // namespace sallyport::ike
