// SPDX-License-Identifier: Apache-2.0
// What `sallyport` does. Text goes into strings, so that a test reads what an operator would.
#pragma once

#include "mgmt/cli/arguments.hpp"
#include "mgmt/config/config.hpp"
#include "mgmt/control/client.hpp"
#include "mgmt/control/json.hpp"

#include <string>

namespace sallyport::cli {

/// What `sallyport` returns.
enum ExitStatus : std::uint8_t { done = 0, failed = 1, bad_words = 2, no_gateway = 3 };

struct Printed {
    std::string out; // answers
    std::string err; // why there is none: a sentence and what to do
};

[[nodiscard]] ExitStatus run(const Arguments& arguments, Printed& printed);
/// Writes to stdout while it goes on.
[[nodiscard]] ExitStatus watch(const Arguments& arguments, Printed& printed);
[[nodiscard]] ExitStatus explain(const Arguments& arguments, Printed& printed);
[[nodiscard]] ExitStatus drops(const Arguments& arguments, Printed& printed);
/// Says it on printed.err; what run() returns then.
ExitStatus complain(const varlink::CallError& error, Printed& printed);

// The texts of the tables, from what the control socket answers
[[nodiscard]] std::string status_text(const varlink::Json& status, std::uint64_t now);
[[nodiscard]] std::string sa_text(const varlink::Json& list);
[[nodiscard]] std::string policy_text(const varlink::Json& list);
[[nodiscard]] std::string counters_text(const varlink::Json& list, bool all);
[[nodiscard]] std::string explain_text(const varlink::Json& answer);
[[nodiscard]] std::string event_text(const varlink::Json& event);
[[nodiscard]] std::string features_text();

} // namespace sallyport::cli
