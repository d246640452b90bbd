// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/daemon.hpp"

#include "gateway/xdp/adoption.hpp"
#include "mgmt/control/client.hpp"
#include "mgmt/daemon/questions.hpp"
#include "mgmt/daemon/views.hpp"
#include "mgmt/journal/journal.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <format>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

namespace sallyport::daemon {
namespace {

using journal::Event;
using journal::say;

constexpr std::uint64_t second = 1'000'000; // microseconds, as sd-event counts
/// Nothing: there is no such user.
std::optional<unsigned> user_named(const std::string& name) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> room{};
    if (getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr) return std::nullopt;
    return found->pw_uid;
}

const Error detached{ErrorCode::refused, "The gateway is detached", {}, "start it again"};

void say(Event event, const Error& error) { say(event, error.sentence, {.place = error.place, .remedy = error.remedy}); }

void say(Event event, const config::Problem& problem) { say(event, config::to_string(problem)); }

std::uint64_t monotonic() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * second + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

void wipe_keys(Desired& desired) {
    for (SaSpec& sa : desired.sas) sa.key = KeyMaterial{};
}

} // namespace

void block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    (void)signal(SIGPIPE, SIG_IGN);
}

Daemon::~Daemon() {
    server_.reset();
    gateway_.reset();
    sd_event_unref(loop_);
    if (lock_ >= 0) close(lock_);
}

ExitStatus Daemon::run() {
    if (!load()) return bad_configuration;
    if (!claim_run_directory() || !start_gateway() || !start_loop()) return failed;
    look();
    say(Event::started,
        std::format("The gateway runs: {} ports, {} workers, {} SAs, {} policies, {}", gateway_->status().ports.size(),
                    gateway_->status().workers.size(), gateway_->status().sas, gateway_->status().policies, gateway_->status().crypto));
    (void)sd_notify(0, "READY=1\nSTATUS=The gateway runs");
    const int result = sd_event_loop(loop_);
    if (result < 0) say(Event::gateway_error, std::format("The event loop ended: {}", std::strerror(-result)));
    const ExitStatus status = stop();
    return result < 0 ? failed : status;
}

bool Daemon::load() {
    auto choice = generations_.choose(arguments_.configuration, arguments_.state, arguments_.fresh);
    if (!choice) {
        for (const config::Problem& problem : choice.error()) say(Event::configuration_refused, problem);
        return false;
    }
    for (const config::Problem& problem : choice->problems) say(Event::configuration_refused, problem);
    for (const std::string& note : choice->notes) say(Event::configuration_kept, note);
    loaded_ = std::move(choice->loaded);
    for (const config::Problem& warning : loaded_.warnings) say(Event::configuration_warning, warning);
    desired_ = std::move(loaded_.desired);
    return true;
}

/// One gateway a run directory; the lock goes with the process, however it dies.
bool Daemon::claim_run_directory() {
    const std::string& directory = desired_.settings.run_directory;
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    const std::string path = directory + "/gateway.lock";
    lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_ < 0) {
        say(Event::start_failed,
            system_error(errno, std::format("{} cannot be made", path), {}, "look at the rights of the run directory"));
        return false;
    }
    // A predecessor that was just killed may still be on its way out.
    for (int tries = 0; flock(lock_, LOCK_EX | LOCK_NB) != 0; ++tries) {
        if (tries == 20) {
            say(Event::start_failed, std::format("Another gateway uses {}", directory),
                {.remedy = "stop it, or give this one a run-directory of its own"});
            return false;
        }
        usleep(100'000);
    }
    return true;
}

bool Daemon::start_gateway() {
    auto started = control::Gateway::start(desired_, *this,
                                           {.ike_user = user_named(arguments_.ike_user), .generic = arguments_.generic, .keeper = &store_});
    wipe_keys(desired_);
    if (!started) {
        say(Event::start_failed, started.error());
        return false;
    }
    gateway_ = std::move(*started);
    // It runs all the same; the next start takes what is there.
    if (const auto kept = generations_.keep(std::exchange(loaded_, {}), desired_.settings.state_directory); !kept)
        say(Event::gateway_error, kept.error());
    store_.forget_leftovers();
    store_.settle(); // whatever happens from now on
    return true;
}

bool Daemon::start_loop() {
    const auto check = [](int result, std::string_view what) {
        if (result < 0) say(Event::start_failed, std::format("{}: {}", what, std::strerror(-result)));
        return result >= 0;
    };
    if (!check(sd_event_default(&loop_), "The event loop cannot be made")) return false;
    const auto on_stop = [](sd_event_source* source, const signalfd_siginfo*, void*) {
        return sd_event_exit(sd_event_source_get_event(source), 0);
    };
    const auto on_reload = [](sd_event_source*, const signalfd_siginfo*, void* daemon) {
        static_cast<Daemon*>(daemon)->reload_by_signal();
        return 0;
    };
    const auto on_gateway = [](sd_event_source*, int, std::uint32_t, void* daemon) {
        static_cast<Daemon*>(daemon)->gateway_->dispatch();
        return 0;
    };
    const auto on_second = [](sd_event_source* source, std::uint64_t, void* daemon) {
        static_cast<Daemon*>(daemon)->look();
        (void)sd_event_source_set_time_relative(source, second);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    };
    if (!check(sd_event_add_signal(loop_, nullptr, SIGTERM, on_stop, this), "SIGTERM cannot be taken") ||
        !check(sd_event_add_signal(loop_, nullptr, SIGINT, on_stop, this), "SIGINT cannot be taken") ||
        !check(sd_event_add_signal(loop_, nullptr, SIGHUP, on_reload, this), "SIGHUP cannot be taken") ||
        !check(sd_event_add_io(loop_, nullptr, gateway_->descriptor(), EPOLLIN, on_gateway, this), "The gateway cannot be driven") ||
        !check(sd_event_add_time_relative(loop_, nullptr, CLOCK_MONOTONIC, second, 0, on_second, this), "The clock cannot be used"))
        return false;
    auto listening = varlink::Server::listen(varlink::socket_path(desired_.settings.run_directory), *this, loop_);
    if (!listening) {
        say(Event::start_failed, listening.error());
        return false;
    }
    server_ = std::move(*listening);
    return true;
}

ExitStatus Daemon::stop() {
    (void)sd_notify(0, "STOPPING=1\nSTATUS=The gateway stops");
    server_.reset();
    if (!gateway_) return well; // detached
    say(Event::stopping, "The gateway stops; its ports go on dropping what it protected");
    const Result<void> stopped = gateway_->stop();
    if (!stopped) say(Event::gateway_error, stopped.error());
    gateway_.reset();
    close_generation();
    return stopped ? well : failed;
}

void Daemon::close_generation() {
    if (const auto closed = generations_.close(); !closed) say(Event::gateway_error, closed.error());
}

void Daemon::note(const control::Note& note) {
    journal::Fields fields{.place = note.place, .remedy = note.remedy};
    // The gateway names an SA by "NAME direction".
    for (const std::string_view direction : {" outbound", " inbound"})
        if (note.level == control::Level::error && note.place.ends_with(direction)) {
            fields.connection = note.place.substr(0, note.place.size() - direction.size());
            return say(Event::sa_refused, note.sentence, fields);
        }
    const Event event = note.level == control::Level::error     ? Event::gateway_error
                        : note.level == control::Level::warning ? Event::gateway_warning
                                                                : Event::gateway_note;
    say(event, note.sentence, fields);
}

void Daemon::event(const control::Told& told) {
    if (told.event.kind == EventKind::dropped)
        if (const auto line = audit_.dropped(told, monotonic())) say(Event::packet_dropped, line->message, line->fields);
    if (server_) server_->publish(view_of(told));
}

varlink::StatusView Daemon::status() {
    varlink::StatusView view;
    if (gateway_) view = view_of(gateway_->status(), gateway_->sas(), gateway_->desired());
    view.version = SALLYPORT_VERSION;
    view.pid = static_cast<std::uint64_t>(getpid());
    return view;
}

varlink::Part<varlink::SaView> Daemon::sas(std::size_t first, std::size_t count) {
    if (!gateway_) return {};
    return {view_of(gateway_->sas(first, count), gateway_->desired()), gateway_->sa_count()};
}

std::vector<varlink::PolicyView> Daemon::policies() {
    return gateway_ ? view_of(gateway_->policies(), gateway_->desired()) : std::vector<varlink::PolicyView>{};
}

std::vector<varlink::CounterView> Daemon::counters() {
    return gateway_ ? view_of(gateway_->counters()) : std::vector<varlink::CounterView>{};
}

Result<std::vector<varlink::ExplanationView>> Daemon::explain(const varlink::QuestionView& question) {
    if (!gateway_) return std::unexpected(Error{ErrorCode::refused, "The gateway is detached", {}, "start it again"});
    const auto questions = questions_of(question, gateway_->status().ports);
    if (!questions) return std::unexpected(questions.error());
    std::vector<varlink::ExplanationView> result;
    for (const AskedAs& one : *questions) {
        const auto explanation = gateway_->explain(one.question);
        if (!explanation) return std::unexpected(explanation.error());
        result.push_back(view_of(*explanation, one.heading));
    }
    return result;
}

/// The gateway ends, its locks are opened, and so does the process, once the answer is on its way.
Result<varlink::DetachView> Daemon::detach() {
    const auto on_end = [](sd_event_source* source, std::uint64_t, void*) { return sd_event_exit(sd_event_source_get_event(source), 0); };
    (void)sd_event_add_time_relative(loop_, nullptr, CLOCK_MONOTONIC, second / 10, 0, on_end, this);
    if (gateway_) {
        if (const Result<void> stopped = gateway_->stop(); !stopped) say(Event::gateway_error, stopped.error());
        gateway_.reset();
        close_generation();
    }
    xdp::forget_sockets(store_);
    const auto opened = control::detach(desired_.settings);
    if (!opened) return std::unexpected(opened.error());
    std::string names;
    for (const std::string& name : opened->ports) names += (names.empty() ? "" : ", ") + name;
    say(Event::detached, std::format("Detached by command: packets pass {} without the gateway, and no rule of the guard stands",
                                     names.empty() ? "all ports" : names));
    return varlink::DetachView{opened->ports, opened->devices, opened->guard};
}

std::expected<std::uint64_t, varlink::ReloadError> Daemon::reload(const std::optional<std::string>& file) {
    if (!gateway_) return std::unexpected(varlink::ReloadError{detached, {}});
    const std::string path = file.value_or(arguments_.configuration);
    config::Outcome outcome = config::load(path);
    if (!outcome) {
        varlink::ReloadError why{
            {ErrorCode::invalid, std::format("{} has mistakes; the gateway goes on as it was", path), {}, "correct them and reload again"},
            {}};
        for (const config::Problem& problem : outcome.error()) {
            say(Event::configuration_refused, problem);
            why.problems.push_back(config::to_string(problem));
        }
        return std::unexpected(std::move(why));
    }
    for (const config::Problem& warning : outcome->warnings) say(Event::configuration_warning, warning);
    Desired wanted = outcome->desired;
    wipe_keys(wanted);
    // What may fail comes first: then it is kept for the next start, then it is in force.
    Result<void> ready = gateway_->prepare(std::move(outcome->desired));
    if (ready) ready = generations_.keep(*outcome, wanted.settings.state_directory);
    if (!ready) {
        gateway_->abandon();
        say(Event::reload_failed, ready.error());
        return std::unexpected(varlink::ReloadError{ready.error(), {}});
    }
    const std::uint64_t generation = gateway_->commit();
    arguments_.configuration = path;
    desired_ = std::move(wanted);
    say(Event::reloaded, std::format("{} is in force, generation {}", path, generation));
    looks_ = 0;
    return generation;
}

Result<void> Daemon::install(Caller caller, const varlink::InstallCall& call, int memfd) {
    if (!gateway_) return std::unexpected(detached);
    return gateway_->keying().install(
        caller, {.version = call.version, .generation = call.generation, .count = call.count, .hold = call.hold}, memfd);
}

Result<void> Daemon::commit(Caller caller, std::uint64_t generation) {
    if (!gateway_) return std::unexpected(detached);
    return gateway_->keying().commit(caller, generation);
}

void Daemon::closed(Caller caller) {
    if (gateway_) gateway_->keying().leave(caller);
}

Result<std::vector<std::uint32_t>> Daemon::reserve_spis(std::uint32_t count, std::uint32_t block) {
    if (!gateway_) return std::unexpected(detached);
    return gateway_->keying().reserve_spis(count, block);
}

Result<std::size_t> Daemon::release_spis(const std::vector<std::uint32_t>& spis) {
    if (!gateway_) return std::unexpected(detached);
    return gateway_->keying().release_spis(spis);
}

Result<void> Daemon::add_ike_spis(const std::vector<std::uint64_t>& spis, std::uint64_t generation) {
    if (!gateway_) return std::unexpected(detached);
    return gateway_->keying().add_ike_spis(spis, generation);
}

Result<std::size_t> Daemon::remove_ike_spis(const std::vector<std::uint64_t>& spis) {
    if (!gateway_) return std::unexpected(detached);
    return gateway_->keying().remove_ike_spis(spis);
}

varlink::Part<varlink::IkeSpiView> Daemon::ike_spis(std::size_t first, std::size_t count) {
    varlink::Part<varlink::IkeSpiView> part;
    if (!gateway_) return part;
    const store::IkeSpis& table = gateway_->keying().ike_spis();
    for (const store::IkeSpis::Entry& entry : table.list(first, count)) part.items.push_back({entry.spi, entry.owner});
    part.total = table.size();
    return part;
}

void Daemon::reload_by_signal() {
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", static_cast<unsigned long long>(monotonic()));
    [[maybe_unused]] const auto done = reload(std::nullopt); // it has said what went wrong
    (void)sd_notify(0, "READY=1");
}

/// Once a second: what changed since the last look is said once. Connections every ten seconds, for a list of 100,000 SAs costs something.
void Daemon::look() {
    if (!gateway_) return;
    gateway_->tick();
    // The workers feed the watchdog, and this thread by coming here. Who wants no such word may not read it, and it would wait for him.
    if (sd_watchdog_enabled(0, nullptr) > 0 && gateway_->workers_run()) (void)sd_notify(0, "WATCHDOG=1");
    const control::Status status = gateway_->status();
    look_at_ports(status.ports);
    look_at_drops();
    if (looks_++ % 10 == 0) look_at_connections(status.ports);
}

void Daemon::look_at_drops() {
    const std::uint64_t now = monotonic();
    if (!audit_.due(now)) return;
    for (const AuditLine& line : audit_.periods_over(gateway_->counters().drops, now))
        say(Event::packet_dropped, line.message, line.fields);
}

void Daemon::look_at_ports(const std::vector<control::PortStatus>& ports) {
    for (const control::PortStatus& port : ports) {
        const auto [at, fresh] = port_up_.try_emplace(port.interface, !port.up);
        if (!fresh && at->second == port.up) continue;
        at->second = port.up;
        looks_ = 0; // connections depend on it
        const std::string_view role = port.role == Role::red ? "red" : "black";
        if (port.up)
            say(Event::port_up,
                std::format("Port {} ({}) is up, XDP in {} mode, MTU {}", port.interface, role, port.native ? "native" : "generic",
                            port.mtu),
                {.port = port.interface});
        else
            say(Event::port_down, std::format("Port {} ({}) is {}", port.interface, role, port.present ? "down" : "gone"),
                {.port = port.interface});
    }
}

void Daemon::look_at_connections(const std::vector<control::PortStatus>& ports) {
    const std::vector<control::SaStatus> sas = gateway_->sas();
    std::map<std::string, std::string> now;
    for (const varlink::ConnectionView& connection : connections_of(ports, sas, gateway_->desired())) {
        const std::string state = connection.up ? "up" : connection.reason;
        now.emplace(connection.name, state);
        const auto before = connection_state_.find(connection.name);
        if (before != connection_state_.end() && before->second == state) continue;
        const journal::Fields fields{.connection = connection.name, .peer = connection.peer, .vpn = connection.vpn};
        if (connection.up)
            say(Event::connection_up, std::format("Connection {} to {} is up", connection.name, connection.peer), fields);
        else
            say(Event::connection_down, std::format("Connection {} to {} is down: {}", connection.name, connection.peer, connection.reason),
                fields);
    }
    for (const auto& [name, state] : connection_state_)
        if (!now.contains(name)) say(Event::sa_removed, std::format("Connection {} is gone", name), {.connection = name});
    connection_state_ = std::move(now);
    look_at_sas(sas);
    look_at_numbers(sas);
}

/// What is refused the gateway says itself, when it happens.
void Daemon::look_at_sas(const std::vector<control::SaStatus>& sas) {
    constexpr std::size_t most_lines = 256;
    std::set<std::pair<std::string, std::uint32_t>> now;
    std::vector<const control::SaStatus*> fresh;
    for (const control::SaStatus& sa : sas) {
        if (!sa.refused.empty()) continue;
        const auto key = std::pair(std::format("{} {}", sa.name, sa.direction == Direction::outbound ? "outbound" : "inbound"), sa.spi);
        if (!installed_.contains(key)) fresh.push_back(&sa);
        now.insert(key);
    }
    installed_ = std::move(now);
    if (fresh.size() > most_lines) return say(Event::sa_installed, std::format("{} SAs are in force", fresh.size()));
    for (const control::SaStatus* sa : fresh)
        say(Event::sa_installed,
            std::format("SA {} {} is in force: SPI {:#010x}, {}, peer {}", sa->name,
                        sa->direction == Direction::outbound ? "outbound" : "inbound", sa->spi, info(sa->algorithm).name,
                        to_string(sa->outer_remote)),
            {.connection = sa->name, .peer = to_string(sa->outer_remote), .spi = sa->spi});
}

void Daemon::look_at_numbers(const std::vector<control::SaStatus>& sas) {
    constexpr std::uint64_t near = 0xf0000000; // of 2^32
    for (const control::SaStatus& sa : sas)
        if (sa.sequence == SequenceKind::short_32 && sa.number >= near && near_end_.emplace(sa.name, sa.child).second) {
            say(Event::sequence_near_end, std::format("Connection {} has used {} of 4294967295 sequence numbers", sa.name, sa.number),
                {.connection = sa.name, .peer = to_string(sa.outer_remote), .spi = sa.spi});
            gateway_->tell_near_end(sa.name, sa.direction, sa.child);
        }
}

} // namespace sallyport::daemon
