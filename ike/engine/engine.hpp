// SPDX-License-Identifier: Apache-2.0
// The IKEv2 engine. Datagrams, time, finished computations and answers of the gateway go in; datagrams, keying commands, computations and
// what the journal tells come out. No sockets, no clocks, no threads: whoever holds it has those.
#pragma once

#include "gateway/sa/record.hpp"
#include "ike/engine/counters.hpp"
#include "ike/engine/exchange.hpp"
#include "ike/engine/half_open.hpp"
#include "ike/engine/job.hpp"
#include "ike/engine/random.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace sallyport::ike {

struct Datagram {
    Path path;
    Message octets; // without the marker of port 4500
};

/// What the gateway is to do. Answered by Engine::keyed() with the same id.
struct Keying {
    std::uint64_t id = 0;
    record::Changes changes;
};

struct Event {
    enum class Kind : std::uint8_t { established, child_up, child_down, failed, ended };
    Kind kind = Kind::failed;
    std::string connection; // empty: not known
    Endpoint peer;
    std::string sentence;
};

/// What the engine gives since it was last asked.
struct Outputs {
    std::vector<Datagram> datagrams;
    std::vector<Keying> keying;
    std::vector<std::unique_ptr<Job>> jobs;
    std::vector<Event> events;
    std::size_t spis_wanted = 0; // so many SPIs of child SAs are missing in the stock
};

/// Why a request of ours got no good response.
struct Failure {
    bool timed_out = false; // else what came was not to be used
    std::string sentence;
};
using Reply = std::expected<Received, Failure>;

enum class Awaited : std::uint8_t { nothing, turn, reply, job, keying, time };

/// A coroutine at work for an IKE SA, what it waits for, and what it was given.
struct Flow {
    Standing standing;
    Spi sa = 0; // own SPI
    Awaited awaited = Awaited::nothing;
    std::optional<Task<>> root;
    std::optional<Reply> reply;
    std::unique_ptr<Job> job;
    std::optional<Result<void>> keyed;
    TimerKey timer;
};

class Engine {
public:
    Engine(Settings settings, const Registry& registry, Random& random);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // What comes in. `now` never goes back.
    void receive(Datagram datagram, Time now);
    void finished(std::unique_ptr<Job> job, Time now);
    void keyed(std::uint64_t id, Result<void> result, Time now);
    void tick(Time now);
    void stock(std::span<const std::uint32_t> spis); // of child SAs, from the gateway
    void set_connections(std::vector<ConnectionPointer> connections);
    /// Brings it up. Its IKE SA's own SPI.
    Spi start(const ConnectionPointer& connection, Time now);
    /// Deletes it at the peer and here. What is not established ends at once.
    void close(Spi own_spi, Time now);
    /// Likewise one of its children, by its inbound SPI.
    void close_child(Spi own_spi, std::uint32_t spi_in, Time now);
    /// Authentic packets have come for the child SA with this inbound SPI: its peer lives.
    void heard(std::uint32_t spi_in, Time now);
    /// Forgets an IKE SA at once, whatever it is doing, and says nothing to the peer. Its children leave the gateway.
    void forget(Spi own_spi);

    [[nodiscard]] Outputs take();
    [[nodiscard]] std::optional<Time> next() const { return timers_.next(); }

    // Sight.
    [[nodiscard]] const Counters& counters() const { return counters_; }
    [[nodiscard]] const Settings& settings() const { return settings_; }
    [[nodiscard]] const Registry& registry() const { return registry_; }
    [[nodiscard]] const std::unordered_map<Spi, std::unique_ptr<IkeSa>>& sas() const { return sas_; }
    [[nodiscard]] const IkeSa* find(Spi own_spi) const;
    [[nodiscard]] const std::vector<ConnectionPointer>& connections() const { return connections_; }
    struct Load {
        std::size_t sas, half_open, flows, timers, keying, stock;
    };
    [[nodiscard]] Load load() const;

private:
    friend class Context;

    // engine.cpp: life
    IkeSa& create(bool initiator, const Path& path);
    Flow& spawn(IkeSa& sa);
    template <class... Arguments>
    void begin(IkeSa& sa, Task<> (*coroutine)(Context, Arguments...), Arguments... arguments);
    /// What the flow waits for has come.
    void wake(Flow& flow);
    void run();
    void reap();
    void drop(IkeSa& sa);
    void end_flow(FlowId id);
    void remove(Spi own_spi);
    void established(IkeSa& sa);
    /// From now on it only answers repeated requests, for Settings::linger, where there is an answer to give.
    void end(IkeSa& sa, std::string sentence);
    void tell(Event::Kind kind, const IkeSa& sa, std::string sentence);
    void expire(const Timer& timer);
    void watch(IkeSa& sa);
    void look_after(IkeSa& sa);

    void ignore(Ignored reason) { counters_.add(reason); }

    // children.cpp
    [[nodiscard]] static ChildSa* find_child(IkeSa& sa, std::uint32_t spi_in);
    void add_child(IkeSa& sa, ChildSa child);
    const ChildSa* installed(IkeSa& sa, std::uint32_t spi_in);
    void refused(IkeSa& sa, std::uint32_t spi_in);
    [[nodiscard]] bool leave_policy(const std::string& name, bool asked);
    void forget_child(IkeSa& sa, std::uint32_t spi_in);
    void take_outbound(const ChildSa& child, record::Changes& changes);
    void retire_child(IkeSa& sa, std::uint32_t spi_in);
    void remove_child(IkeSa& sa, std::uint32_t spi_in);
    void command(record::Changes changes);
    void leave(IkeSa& sa, IkeState state);

    // initial.cpp: IKE_SA_INIT as it comes
    void receive_initial_request(const Header& header, Datagram& datagram);
    void receive_initial_response(IkeSa& sa, Received message);
    [[nodiscard]] bool let_in(const Header& header, const Datagram& datagram, const Chain& chain);
    void repeated_initial(IkeSa& sa, const Path& path);
    void still_half_open(IkeSa& sa);

    // receive.cpp
    [[nodiscard]] bool good_version(const Header& header, const Datagram& datagram);
    void receive_response(IkeSa& sa, Received message);
    void receive_request(IkeSa& sa, Received message);
    void repeated(IkeSa& sa, const Received& request);
    void serve(IkeSa& sa, const Exchange& row, Received request);
    static Task<> work(Engine& engine, Context context, const Exchange& row, Received request);
    void reject(IkeSa& sa, const Received& request, NotifyType type, Octets data, bool end, std::string sentence);
    void put_off(IkeSa& sa, const Received& request, const Exchange* row);
    void unprotected(const Path& path, const Header& request, NotifyType type, Octets data);

    // opening.cpp
    /// False: it is not authentic, or not whole yet. What is inside stands in `plain` then, not yet read.
    [[nodiscard]] bool open_message(IkeSa& sa, Received& message);
    [[nodiscard]] bool open_whole(IkeSa& sa, Received& message, std::size_t body);
    [[nodiscard]] bool open_fragment(IkeSa& sa, Received& message, std::size_t body);
    [[nodiscard]] bool is_answered_request(const IkeSa& sa, const Received& request) const;

    // request.cpp: one request at a time
    [[nodiscard]] bool take_turn(IkeSa& sa, FlowId flow);
    void pass_turn(IkeSa& sa, FlowId flow);
    void send_request(IkeSa& sa, ExchangeType exchange, const Writer& payloads, FlowId waiter);
    void settle(IkeSa& sa);
    void retransmit(IkeSa& sa);
    [[nodiscard]] Time jittered(Time wait);
    void give_reply(IkeSa& sa, Reply reply);

    // send.cpp
    void used_up(IkeSa& sa, std::uint32_t message_id);
    void answer(IkeSa& sa, const Received& request, const Answer& answer);
    void send(const Path& path, const std::vector<Message>& datagrams);
    [[nodiscard]] std::vector<Message> protect(IkeSa& sa, Header header, const Writer& payloads);

    Settings settings_;
    Registry registry_;
    Random& random_;
    Time now_ = 0;
    Counters counters_;
    Outputs outputs_;
    Timers timers_;
    HalfOpen half_open_;
    std::unordered_map<Spi, std::unique_ptr<IkeSa>> sas_;
    std::unordered_map<FlowId, std::unique_ptr<Flow>> flows_;
    FlowId last_flow_ = 0;
    RunQueue run_queue_;
    bool running_ = false;
    std::vector<Spi> ended_;                           // IKE SAs whose flows, and maybe themselves, are to be taken away
    std::unordered_map<std::uint64_t, FlowId> keying_; // unanswered
    std::uint64_t last_keying_ = 0;
    Time last_version_answer_ = 0;
    std::deque<std::uint32_t> stock_;
    struct PolicyUse {
        unsigned children = 0; // that send by it, or soon will
        bool there = false;    // in the gateway
    };
    std::unordered_map<std::string, PolicyUse> policies_; // of the children of all IKE SAs, by name
    std::unordered_map<std::uint32_t, Spi> owners_;       // IKE SAs, by the inbound SPI of a child
    std::uint32_t last_child_ = 0;                        // number
    std::vector<ConnectionPointer> connections_;
};

/// What an exchange or an extension works with. Good as long as its flow lives.
class Context {
public:
    Context(Engine& engine, IkeSa& own, Flow& flow) : sa(own), engine_(engine), flow_(flow) {}

    IkeSa& sa;

    [[nodiscard]] const Settings& settings() const { return engine_.settings_; }
    [[nodiscard]] std::span<const Extension* const> extensions() const { return engine_.registry_.extensions; }
    [[nodiscard]] std::span<const ConnectionPointer> connections() const { return engine_.connections_; }
    [[nodiscard]] Time now() const { return engine_.now_; }
    void random(std::span<std::uint8_t> to) const { engine_.random_.fill(to); }
    /// SPI of a child SA; nothing: the stock is empty.
    [[nodiscard]] std::optional<std::uint32_t> take_spi() const;
    void give_back_spi(std::uint32_t spi) const { engine_.stock_.push_back(spi); }

    // A child: known before the gateway is asked for it, so that nothing forgets it there.
    [[nodiscard]] std::uint32_t new_child_number() const { return ++engine_.last_child_; }
    void add_child(ChildSa child) const { engine_.add_child(sa, std::move(child)); }
    [[nodiscard]] const ChildSa* find_child(std::uint32_t spi_in) const { return engine_.find_child(sa, spi_in); }
    /// The gateway has it. Null: the peer has deleted it meanwhile.
    [[nodiscard]] const ChildSa* installed(std::uint32_t spi_in) const { return engine_.installed(sa, spi_in); }
    void refused(std::uint32_t spi_in) const { engine_.refused(sa, spi_in); }
    /// Its outbound SA leaves the gateway, as our D goes out.
    void retire_child(std::uint32_t spi_in) const { engine_.retire_child(sa, spi_in); }
    /// All that there still is of it: the inbound SA drains.
    void remove_child(std::uint32_t spi_in) const { engine_.remove_child(sa, spi_in); }

    void established() const { engine_.established(sa); }
    /// It begins nothing any more, and its children leave the gateway.
    void deleting() const { engine_.leave(sa, IkeState::deleting); }
    void end(std::string sentence) const { engine_.end(sa, std::move(sentence)); }
    void tell(Event::Kind kind, std::string sentence) const { engine_.tell(kind, sa, std::move(sentence)); }
    void count(Ignored reason) const { engine_.ignore(reason); }

private:
    /// The flow waits; whatever it is for wakes it.
    struct Wait {
        static void park(std::coroutine_handle<> handle, Flow& flow, Awaited awaited) {
            flow.standing.at = handle;
            flow.awaited = awaited;
        }
        [[nodiscard]] bool await_ready() const noexcept { return false; }
    };
    template <class Function>
    struct Computation : Wait {
        Engine& engine;
        Flow& flow;
        Function function;
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) {
            this->park(handle, flow, Awaited::job);
            auto job = std::make_unique<FunctionJob<Function>>(std::move(function));
            job->flow = flow.standing.id;
            engine.outputs_.jobs.push_back(std::move(job));
        }
        auto await_resume() {
            auto job = std::move(flow.job);
            return std::move(*static_cast<FunctionJob<Function>&>(*job).result);
        }
    };
    struct TurnWait : Wait {
        Engine& engine;
        IkeSa& sa;
        Flow& flow;
        [[nodiscard]] bool await_ready() const { return engine.take_turn(sa, flow.standing.id); }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) {
            park(handle, flow, Awaited::turn);
        }
        void await_resume() const {}
    };
    struct ReplyWait : Wait {
        Flow& flow;
        [[nodiscard]] bool await_ready() const noexcept { return flow.reply.has_value(); }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) {
            park(handle, flow, Awaited::reply);
        }
        Reply await_resume() {
            Reply reply = *std::move(flow.reply);
            flow.reply.reset();
            return reply;
        }
    };
    struct KeyingWait : Wait {
        Engine& engine;
        Flow& flow;
        record::Changes changes;
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) {
            park(handle, flow, Awaited::keying);
            engine.keying_.emplace(++engine.last_keying_, flow.standing.id);
            engine.outputs_.keying.push_back({engine.last_keying_, std::move(changes)});
        }
        Result<void> await_resume() {
            Result<void> result = *std::move(flow.keyed);
            flow.keyed.reset();
            return result;
        }
    };
    struct TimeWait : Wait {
        Engine& engine;
        Flow& flow;
        Time duration;
        std::string_view reason;
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> handle) {
            park(handle, flow, Awaited::time);
            engine.timers_.start(flow.timer, engine.now_ + duration, {flow.sa, TimerKind::flow, flow.standing.id, reason});
        }
        void await_resume() const {}
    };

public:
    /// What `function` gives, computed elsewhere. It owns or copies all it needs: nothing of the engine is touched.
    template <class Function>
    [[nodiscard]] auto compute(Function function) const {
        return Computation<Function>{{}, engine_, flow_, std::move(function)};
    }
    /// Waits until no request of another flow is before ours. Who says only then what it asks says nothing that is out of date. The turn
    /// is over with the response, or with the flow.
    [[nodiscard]] auto turn() const { return TurnWait{{}, engine_, sa, flow_}; }
    /// Sends a request when its turn has come and waits for its response, which is authentic and has the payloads that it must have.
    Task<Reply> ask(ExchangeType exchange, const Writer& payloads) const {
        co_await turn();
        engine_.send_request(sa, exchange, payloads, flow_.standing.id);
        co_return co_await ReplyWait{{}, flow_};
    }
    /// IKE_SA_INIT, where anybody can answer: after a reply that was no use the request stays open and another is waited for; settle()
    /// closes it. One request takes the place of the one before.
    [[nodiscard]] auto another() const { return ReplyWait{{}, flow_}; }
    void settle() const { engine_.settle(sa); }
    /// Gives SAs and policies to the gateway and waits for what it says.
    [[nodiscard]] auto install(record::Changes changes) const { return KeyingWait{{}, engine_, flow_, std::move(changes)}; }
    [[nodiscard]] auto wait(Time milliseconds, std::string_view reason) const { return TimeWait{{}, engine_, flow_, milliseconds, reason}; }

private:
    Engine& engine_;
    Flow& flow_;
};

} // namespace sallyport::ike
