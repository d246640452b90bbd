// SPDX-License-Identifier: Apache-2.0
// One line an event, with fields that can be searched for: to the journal, and to stderr where no journal takes stderr.
#pragma once

#include "mgmt/journal/events.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::journal {

/// What the event speaks of; what is empty is left out. Never a secret.
struct Fields {
    std::string connection = {};
    std::string peer = {}; // address
    std::optional<std::uint32_t> spi = {};
    std::string vpn = {};
    std::string port = {};   // interface
    std::string place = {};  // file:line:column
    std::string remedy = {}; // what to do, where it is more than the catalog says
    // of a dropped packet
    std::string reason = {};               // name of the drop reason
    std::string source = {};               // address
    std::string destination = {};          // address
    std::optional<unsigned> protocol = {}; // upper-layer protocol
    std::optional<unsigned> source_port = {}, destination_port = {};
    std::optional<unsigned> type = {}, code = {}; // of ICMP; of a Mobility Header the type
    std::optional<std::uint32_t> flow_label = {}; // of IPv6
    std::string selectors = {};                   // of the SA that the packet does not match
    std::optional<std::uint64_t> sequence = {};
    std::optional<std::uint64_t> count = {}; // packets of which the line speaks, where it is not one
};

/// MESSAGE=, PRIORITY=, MESSAGE_ID=, EVENT= and the fields, as they go to the journal.
[[nodiscard]] std::vector<std::string> record(Event event, std::string_view message, const Fields& fields = {});

/// The line for stderr: "2026-11-21T10:53:00.123Z warning: message; remedy". `microseconds` since 1970, UTC.
[[nodiscard]] std::string line(Event event, std::string_view message, const Fields& fields, std::uint64_t microseconds);

/// Does the journal read what this process writes to stderr (JOURNAL_STREAM, systemd.exec(5))?
[[nodiscard]] bool stderr_is_journal();

/// Says it. Errors of the journal are nobody's concern: a daemon does not stop because nobody listens.
void say(Event event, std::string_view message, const Fields& fields = {});

/// Takes what is said instead of journal and stderr; nullptr: no more. For tests.
using Listener = void (*)(Event event, std::string_view message, const Fields& fields, void* user);
void listen(Listener listener, void* user);

} // namespace sallyport::journal
