// SPDX-License-Identifier: Apache-2.0
// sallyport-gateway from its configuration to its end: the gateway, its control socket and the loop that drives both.
#pragma once

#include "gateway/control/gateway.hpp"
#include "mgmt/config/config.hpp"
#include "mgmt/control/server.hpp"
#include "mgmt/daemon/audit.hpp"
#include "mgmt/daemon/descriptor_store.hpp"
#include "mgmt/daemon/generations.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

struct sd_event;
struct sd_event_source;
struct signalfd_siginfo;

namespace sallyport::daemon {

/// What main() returns.
enum ExitStatus : std::uint8_t { well = 0, failed = 1, bad_configuration = 2 };

struct Arguments {
    std::string configuration = "/etc/sallyport/sallyport.toml";
    bool generic = false;
    bool guard = false;                     // only raise_guard()
    bool fresh = false;                     // what was committed before is not looked at
    std::string ike_user = "sallyport-ike"; // whose process takes IKE messages; where there is no such user, nobody does
    std::optional<std::string> state;       // the state directory, where the file does not say it or cannot be read
};

class Daemon : public control::Observer, public varlink::Handlers {
public:
    explicit Daemon(Arguments arguments) : arguments_(std::move(arguments)) {}
    ~Daemon() override;

    /// From here to the end of the process. SIGTERM, SIGINT and SIGHUP are blocked by the caller's call of block_signals().
    [[nodiscard]] ExitStatus run();

    // What the gateway says
    void note(const control::Note& note) override;
    void event(const control::Told& told) override;

    // What the control socket asks
    [[nodiscard]] varlink::StatusView status() override;
    [[nodiscard]] varlink::Part<varlink::SaView> sas(std::size_t first, std::size_t count) override;
    [[nodiscard]] std::vector<varlink::PolicyView> policies() override;
    [[nodiscard]] std::vector<varlink::CounterView> counters() override;
    [[nodiscard]] Result<std::vector<varlink::ExplanationView>> explain(const varlink::QuestionView& question) override;
    [[nodiscard]] Result<varlink::DetachView> detach() override;
    [[nodiscard]] std::expected<std::uint64_t, varlink::ReloadError> reload(const std::optional<std::string>& file) override;
    [[nodiscard]] Result<void> install(Caller caller, const varlink::InstallCall& call, int memfd) override;
    [[nodiscard]] Result<void> commit(Caller caller, std::uint64_t generation) override;
    void closed(Caller caller) override;
    [[nodiscard]] Result<std::vector<std::uint32_t>> reserve_spis(std::uint32_t count, std::uint32_t block) override;
    [[nodiscard]] Result<std::size_t> release_spis(const std::vector<std::uint32_t>& spis) override;
    [[nodiscard]] Result<void> add_ike_spis(const std::vector<std::uint64_t>& spis, std::uint64_t generation) override;
    [[nodiscard]] Result<std::size_t> remove_ike_spis(const std::vector<std::uint64_t>& spis) override;
    [[nodiscard]] varlink::Part<varlink::IkeSpiView> ike_spis(std::size_t first, std::size_t count) override;

private:
    [[nodiscard]] bool load();
    [[nodiscard]] bool claim_run_directory();
    [[nodiscard]] bool start_gateway();
    [[nodiscard]] bool start_loop();
    [[nodiscard]] ExitStatus stop();
    void close_generation();
    void reload_by_signal();
    void look();
    void look_at_drops();
    void look_at_ports(const std::vector<control::PortStatus>& ports);
    void look_at_connections(const std::vector<control::PortStatus>& ports);
    void look_at_sas(const std::vector<control::SaStatus>& sas);
    void look_at_numbers(const std::vector<control::SaStatus>& sas);

    Arguments arguments_;
    Desired desired_;       // without keys once the gateway has them
    DescriptorStore store_; // outlives the gateway
    config::Loaded loaded_; // what start_gateway() starts with; empty afterwards
    Generations generations_;
    std::unique_ptr<control::Gateway> gateway_;
    std::unique_ptr<varlink::Server> server_;
    sd_event* loop_ = nullptr;
    int lock_ = -1;
    std::uint64_t looks_ = 0;
    std::map<std::string, bool> port_up_;
    std::map<std::string, std::string> connection_state_;       // "up", or why not
    std::set<std::pair<std::string, std::uint32_t>> installed_; // "NAME direction" and SPI
    std::set<std::pair<std::string, std::uint32_t>> near_end_;  // connection and child
    Audit audit_;
};

/// Blocks the signals that the loop takes, in this thread and all that it makes.
void block_signals();

} // namespace sallyport::daemon
