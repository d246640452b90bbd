// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/guard.hpp"

#include "gateway/control/guard.hpp"
#include "mgmt/config/config.hpp"
#include "mgmt/daemon/generations.hpp"
#include "mgmt/journal/journal.hpp"

#include <format>

namespace sallyport::daemon {
namespace {

using journal::Event;
using journal::say;

} // namespace

ExitStatus raise_guard(const Arguments& arguments) {
    Generations generations;
    auto choice = generations.choose(arguments.configuration, arguments.state, arguments.fresh);
    if (!choice && config::says_nothing(arguments.configuration)) {
        say(Event::guard_empty, std::format("Nothing is configured in {} yet: nothing is locked", arguments.configuration));
        return well;
    }
    for (const config::Problem& problem : choice ? choice->problems : choice.error())
        say(Event::configuration_refused, config::to_string(problem));
    const Result<void> raised = control::raise_wall_of_boot(choice ? &choice->loaded.desired : nullptr);
    if (!raised) {
        say(Event::gateway_error, std::format("The guard does not stand: {}", raised.error().sentence), {.remedy = raised.error().remedy});
        return failed;
    }
    if (choice)
        say(Event::guard_raised, "The guard stands until the gateway runs");
    else
        say(Event::guard_blind, "No configuration can be read: nothing is forwarded until the gateway runs");
    return well;
}

} // namespace sallyport::daemon
