// SPDX-License-Identifier: Apache-2.0
// The gateway put together: ports, workers, tables, mirror, marks and SAs, brought about from what the operator wants. One thread drives it
// through a descriptor and dispatch(); no packet passes here.
#pragma once

#include "gateway/control/explanation.hpp"
#include "gateway/control/keying.hpp"
#include "gateway/control/status.hpp"
#include "gateway/sa/desired.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/sa/event.hpp"
#include "gateway/state/keeper.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sallyport::control {

enum class Level : std::uint8_t { information, warning, error };

/// Something that happened, for the journal.
struct Note {
    Level level = Level::information;
    std::string sentence;
    std::string place;  // SA, policy, port or file; may be empty
    std::string remedy; // may be empty
};

/// An event with the names that its numbers had at that moment.
struct Told {
    Event event;
    std::uint64_t time = 0; // microseconds since 1970
    std::string connection; // of the SA; empty: none or not known
    std::string peer;       // its outer address
    std::string port;       // interface; empty: none
    std::string vpn;
    std::string policy;                 // acquire: which one lacks its SA, that of the connection
    std::uint16_t udp_port = 0;         // address_changed: the peer's as the SA has it
    std::vector<std::string> selectors; // dropped since it does not match these, of the SA: at most three
};

/// Who is told. Called from within start(), apply(), dispatch() and stop(), in the control thread.
class Observer {
public:
    virtual ~Observer() = default;
    Observer() = default;
    Observer(const Observer&) = delete;
    Observer& operator=(const Observer&) = delete;
    virtual void note(const Note& note) = 0;
    /// Many may come in a moment (SAs), but of dropped packets only some a second.
    virtual void event(const Told& /*told*/) {}
};

struct Options {
    std::optional<unsigned> ike_user;  // whose process takes IKE messages; nothing: nobody does
    bool generic = false;            // XDP in generic mode only
    state::Keeper* keeper = nullptr; // keeps descriptors for the next process, and has those of the one before; null: nobody does
};

/// Threads: one, which also destroys it.
class Gateway {
public:
    /// From here on the ports drop what is not allowed, even where it fails. An SA that is refused (no durable mark, no memory) does not
    /// hinder the others: it is noted, and shown by sas(). The observer outlives the gateway.
    [[nodiscard]] static Result<std::unique_ptr<Gateway>> start(Desired desired, Observer& observer, const Options& options = {});
    /// Without stop() before: as if the process had died. The ports go on dropping either way.
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// Everything of a new configuration that can fail. SAs and policies that are the same go on untouched. Error unsupported: ports or
    /// settings differ, which needs a restart; after any error all is as it was before. Ends with commit() or abandon(); before that no
    /// other is prepared, and nothing that keying brings.
    [[nodiscard]] Result<void> prepare(Desired desired);
    /// Brings about what was prepared; gives its generation.
    std::uint64_t commit();
    void abandon(); // nothing where nothing was prepared
    /// prepare() and commit().
    [[nodiscard]] Result<void> apply(Desired desired);

    /// The door of those who negotiate keys.
    [[nodiscard]] Keying& keying();
    [[nodiscard]] const Keying& keying() const;
    /// About once a second: what ends by time ends.
    void tick();
    /// With every tick: each worker has finished a round since this was true for the last time. One that stands still is noted.
    [[nodiscard]] bool workers_run();

    /// Ends the workers and writes exact marks. The ports drop everything of ours from now on; detach() opens them.
    [[nodiscard]] Result<void> stop();

    /// Readable when dispatch() has something to do.
    [[nodiscard]] int descriptor() const;
    void dispatch();

    /// Makes an event of an SA whose numbers come to their end.
    void tell_near_end(const std::string& name, Direction direction, std::uint32_t child);

    [[nodiscard]] const Desired& desired() const;
    [[nodiscard]] Status status() const;
    [[nodiscard]] Counters counters() const;
    /// Those of the configuration in its order, then those that were negotiated, by connection and child.
    [[nodiscard]] std::vector<SaStatus> sas(std::size_t first = 0, std::size_t count = SIZE_MAX) const;
    [[nodiscard]] std::size_t sa_count() const;
    [[nodiscard]] std::vector<PolicyStatus> policies() const;
    /// Carries a packet through the port's program and a worker's stages without sending it. Takes some ten milliseconds of this thread.
    /// Error: no such port, or the packet is too long.
    [[nodiscard]] Result<Explanation> explain(const Question& question);

    struct Inside; // for the files of this folder
    [[nodiscard]] const Inside& inside() const { return *inside_; }

private:
    [[nodiscard]] ChunkStatus count_chunks() const;
    explicit Gateway(std::unique_ptr<Inside> inside);
    std::unique_ptr<Inside> inside_;
};

/// What detach() opened.
struct Detached {
    std::vector<std::string> ports;   // open to the kernel's stack, both ways
    std::vector<std::string> devices; // TUN devices of the gateway itself, gone with their routes
    bool guard = false;               // the guard's rules stood, and no longer do
};

/// Opens all locks: programs of the ports, routes and devices of the gateway itself, the guard. Not while a gateway runs. After an error
/// whatever could be opened is open.
[[nodiscard]] Result<Detached> detach(const Settings& settings);

} // namespace sallyport::control
