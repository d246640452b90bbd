// SPDX-License-Identifier: Apache-2.0
// The life of IKE SAs and of the flows that work for them.
#include "ike/engine/engine.hpp"

#include <algorithm>

namespace sallyport::ike {

std::string_view name_of(IkeState state) {
    constexpr std::array<std::string_view, 5> names{"initiating", "half-open", "established", "deleting", "gone"};
    return names[static_cast<std::size_t>(state)];
}

Engine::Engine(Settings settings, const Registry& registry, Random& random)
    : settings_(settings), registry_(registry), random_(random), half_open_(random) {}

Engine::~Engine() {
    flows_.clear(); // they point to the IKE SAs
}

const IkeSa* Engine::find(Spi own_spi) const {
    const auto found = sas_.find(own_spi);
    return found != sas_.end() ? found->second.get() : nullptr;
}

Engine::Load Engine::load() const {
    return {sas_.size(), half_open_.known(), flows_.size(), timers_.size(), keying_.size(), stock_.size()};
}

Outputs Engine::take() { return std::exchange(outputs_, {}); }

void Engine::set_connections(std::vector<ConnectionPointer> connections) { connections_ = std::move(connections); }

void Engine::stock(std::span<const std::uint32_t> spis) { stock_.insert(stock_.end(), spis.begin(), spis.end()); }

std::optional<std::uint32_t> Context::take_spi() const {
    constexpr std::size_t low = 64; // where more of them are asked for
    if (engine_.stock_.size() <= low) engine_.outputs_.spis_wanted = 2 * low - engine_.stock_.size();
    if (engine_.stock_.empty()) return std::nullopt;
    const std::uint32_t spi = engine_.stock_.front();
    engine_.stock_.pop_front();
    return spi;
}

IkeSa& Engine::create(bool initiator, const Path& path) {
    Spi own = 0;
    while (own == 0 || sas_.contains(own)) own = random_.number();
    auto sa = std::make_unique<IkeSa>();
    sa->own_spi = own;
    sa->initiator = initiator;
    sa->state = initiator ? IkeState::initiating : IkeState::half_open;
    sa->path = path;
    sa->initial = std::make_unique<Initial>();
    sa->initial->began = now_;
    sa->last_heard = now_;
    return *sas_.emplace(own, std::move(sa)).first->second;
}

Flow& Engine::spawn(IkeSa& sa) {
    const FlowId id = ++last_flow_;
    auto flow = std::make_unique<Flow>();
    flow->standing.id = id;
    flow->standing.queue = &run_queue_;
    flow->sa = sa.own_spi;
    sa.flows.push_back(id);
    return *flows_.emplace(id, std::move(flow)).first->second;
}

template <class... Arguments>
void Engine::begin(IkeSa& sa, Task<> (*coroutine)(Context, Arguments...), Arguments... arguments) {
    Flow& flow = spawn(sa);
    flow.root.emplace(coroutine(Context(*this, sa, flow), arguments...));
    flow.root->begin(flow.standing);
}

void Engine::wake(Flow& flow) {
    flow.awaited = Awaited::nothing;
    flow.standing.wake();
}

Spi Engine::start(const ConnectionPointer& connection, Time now) {
    now_ = now;
    Path path;
    path.local.address = connection->local.value_or(Address{});
    path.remote = {connection->remote.value_or(Address{}), connection->remote_port};
    path.vpn = connection->outer_vpn;
    IkeSa& sa = create(true, path);
    sa.connection = connection;
    const Spi own = sa.own_spi;
    begin(sa, registry_.connect);
    run();
    return own;
}

void Engine::close(Spi own_spi, Time now) {
    now_ = now;
    const auto found = sas_.find(own_spi);
    if (found == sas_.end()) return;
    IkeSa& sa = *found->second;
    if (sa.state == IkeState::established)
        begin(sa, registry_.delete_ike_sa);
    else if (!sa.authenticated())
        end(sa, "closed before it was established");
    run();
}

void Engine::close_child(Spi own_spi, std::uint32_t spi_in, Time now) {
    now_ = now;
    const auto found = sas_.find(own_spi);
    if (found == sas_.end() || found->second->state != IkeState::established) return;
    begin(*found->second, registry_.delete_child, spi_in);
    run();
}

void Engine::heard(std::uint32_t spi_in, Time now) {
    now_ = now;
    if (const auto owner = owners_.find(spi_in); owner != owners_.end()) sas_.at(owner->second)->last_heard = now;
}

/// Lets every flow go on that can. What a flow has ended is taken away when the flow stands still, never under it.
void Engine::run() {
    if (running_) return;
    running_ = true;
    reap();
    while (!run_queue_.empty()) {
        const FlowId id = run_queue_.front();
        run_queue_.pop_front();
        const auto found = flows_.find(id);
        if (found == flows_.end()) continue;
        found->second->standing.at.resume();
        if (found->second->standing.done) end_flow(id);
        reap();
    }
    running_ = false;
}

void Engine::reap() {
    for (const Spi own : std::exchange(ended_, {})) {
        const auto found = sas_.find(own);
        if (found == sas_.end()) continue;
        const std::vector<FlowId> flows = found->second->flows;
        for (const FlowId id : flows) end_flow(id);
        if (found->second->life.first == 0) remove(own);
    }
}

void Engine::end_flow(FlowId id) {
    const auto found = flows_.find(id);
    if (found == flows_.end()) return;
    timers_.stop(found->second->timer);
    if (const auto sa = sas_.find(found->second->sa); sa != sas_.end()) {
        std::erase(sa->second->flows, id);
        if (sa->second->flows.empty()) sa->second->early.clear();
        // With its request still open the turn is over when that is.
        if (!sa->second->outstanding || sa->second->outstanding->waiter != id) pass_turn(*sa->second, id);
    }
    flows_.erase(found);
}

void Engine::forget(Spi own_spi) { remove(own_spi); }

void Engine::remove(Spi own_spi) {
    const auto found = sas_.find(own_spi);
    if (found == sas_.end()) return;
    IkeSa& sa = *found->second;
    const std::vector<FlowId> flows = sa.flows;
    for (const FlowId id : flows) end_flow(id);
    if (sa.outstanding) timers_.stop(sa.outstanding->timer);
    timers_.stop(sa.life);
    timers_.stop(sa.liveness);
    leave(sa, IkeState::gone);
    half_open_.forget(own_spi);
    sas_.erase(found);
}

void Engine::established(IkeSa& sa) {
    sa.state = IkeState::established;
    timers_.stop(sa.life);
    half_open_.leave(sa.own_spi);
    sa.initial.reset();
    if (!sa.keys.forget_p()) counters_.add(Ignored::no_memory); // they stay where they are until the IKE SA goes
    // The request that began it stays known as long as it may come again.
    if (!sa.initiator) timers_.start(sa.life, now_ + settings_.linger, {sa.own_spi, TimerKind::linger, 0, "first messages may come again"});
    watch(sa);
    tell(Event::Kind::established, sa, {});
}

void Engine::watch(IkeSa& sa) {
    if (settings_.liveness == 0) return;
    const Time due = sa.last_heard + settings_.liveness; // whatever comes postpones it when it is due, and costs nothing before
    timers_.start(sa.liveness, due > now_ ? due : now_ + settings_.liveness,
                  {sa.own_spi, TimerKind::liveness, 0, "a peer that is silent is asked whether it is there"});
}

/// A request that is open already asks as well as any.
void Engine::look_after(IkeSa& sa) {
    const bool silent = now_ - sa.last_heard >= settings_.liveness;
    if (silent && sa.turns.empty() && sa.state == IkeState::established) begin(sa, registry_.probe);
    watch(sa);
}

void Engine::end(IkeSa& sa, std::string sentence) {
    if (sa.state == IkeState::gone) return;
    tell(sa.authenticated() ? Event::Kind::ended : Event::Kind::failed, sa, std::move(sentence));
    drop(sa);
    if (!sa.initiator || sa.answered.any)
        timers_.start(sa.life, now_ + settings_.linger, {sa.own_spi, TimerKind::linger, 0, "answers may be asked for again"});
}

/// It is gone, and nothing of it is kept, as soon as nothing runs for it.
void Engine::drop(IkeSa& sa) {
    leave(sa, IkeState::gone);
    settle(sa);
    timers_.stop(sa.life);
    timers_.stop(sa.liveness);
    half_open_.leave(sa.own_spi);
    ended_.push_back(sa.own_spi);
}

void Engine::tell(Event::Kind kind, const IkeSa& sa, std::string sentence) {
    outputs_.events.push_back({kind, sa.connection ? sa.connection->name : std::string{}, sa.path.remote, std::move(sentence)});
}

void Engine::finished(std::unique_ptr<Job> job, Time now) {
    now_ = now;
    const auto found = flows_.find(job->flow);
    if (found == flows_.end()) return; // nobody waits any more
    found->second->job = std::move(job);
    wake(*found->second);
    run();
}

void Engine::keyed(std::uint64_t id, Result<void> result, Time now) {
    now_ = now;
    const auto call = keying_.find(id);
    if (call == keying_.end()) return;
    const FlowId waiter = call->second;
    keying_.erase(call);
    const auto found = flows_.find(waiter);
    if (found == flows_.end()) return;
    found->second->keyed = std::move(result);
    wake(*found->second);
    run();
}

void Engine::tick(Time now) {
    now_ = now;
    while (const std::optional<Timer> timer = timers_.take(now)) {
        expire(*timer);
        run();
    }
}

void Engine::expire(const Timer& timer) {
    const auto found = sas_.find(timer.sa);
    if (found == sas_.end()) return;
    IkeSa& sa = *found->second;
    switch (timer.kind) {
    case TimerKind::retransmit: retransmit(sa); break;
    case TimerKind::half_open:
        sa.life = {};
        tell(Event::Kind::failed, sa, "the peer began an IKE SA and did not authenticate itself in time");
        remove(timer.sa);
        break;
    case TimerKind::linger:
        sa.life = {};
        if (sa.state == IkeState::gone)
            remove(timer.sa);
        else
            half_open_.forget(timer.sa);
        break;
    case TimerKind::liveness:
        sa.liveness = {};
        look_after(sa);
        break;
    case TimerKind::flow:
        if (const auto flow = flows_.find(timer.flow); flow != flows_.end()) {
            flow->second->timer = {};
            wake(*flow->second);
        }
        break;
    }
}

} // namespace sallyport::ike
