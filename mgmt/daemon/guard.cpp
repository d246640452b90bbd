// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/guard.hpp"

#include "gateway/control/guard.hpp"
#include "mgmt/config/config.hpp"
#include "mgmt/journal/journal.hpp"

#include <filesystem>
#include <format>
#include <optional>

namespace sallyport::daemon {
namespace {

using journal::Event;
using journal::say;

struct Found {
    bool any = false; // a configuration is there, good or not
    std::optional<Desired> desired;
    std::string file;
};

/// The file as it is; what is wrong with it is said.
void look(const std::string& file, Found& found) {
    std::error_code error;
    if (!std::filesystem::exists(file, error) && !error) return;
    found.any = true;
    config::Outcome outcome = config::load(file);
    if (outcome) {
        found.desired = std::move(outcome->desired);
        found.file = file;
        return;
    }
    for (const config::Problem& problem : outcome.error()) say(Event::configuration_refused, config::to_string(problem));
}

Found last_good(const std::string& configuration) {
    Found file, committed;
    look(configuration, file);
    look((file.desired ? file.desired->settings : Settings{}).state_directory + "/committed.toml", committed);
    if (!committed.desired) committed = {file.any || committed.any, std::move(file.desired), file.file};
    return committed;
}

} // namespace

ExitStatus raise_guard(const std::string& configuration) {
    const Found found = last_good(configuration);
    if (!found.any) {
        say(Event::guard_empty, std::format("There is no {} yet: nothing is locked", configuration));
        return well;
    }
    const Result<void> raised = control::raise_wall_of_boot(found.desired ? &*found.desired : nullptr);
    if (!raised) {
        say(Event::gateway_error, std::format("The guard does not stand: {}", raised.error().sentence), {.remedy = raised.error().remedy});
        return failed;
    }
    if (found.desired)
        say(Event::guard_raised, std::format("The guard stands, as {} says, until the gateway runs", found.file));
    else
        say(Event::guard_blind, "No configuration can be read: nothing is forwarded until the gateway runs");
    return well;
}

} // namespace sallyport::daemon
