// SPDX-License-Identifier: Apache-2.0
// Which of the packets that were dropped for an audited reason become lines of the journal: the first few of each reason, then how many
// more there were. (RFC 4301 5.2, RFC 4303 3.4: what an audit entry holds.)
#pragma once

#include "gateway/control/gateway.hpp"
#include "mgmt/journal/journal.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::daemon {

struct AuditLine {
    std::string message;
    journal::Fields fields;
};

using Drops = std::array<std::uint64_t, drop_reason_count>; // by DropReason, since the process began

class Audit {
public:
    static constexpr std::uint64_t period = 10'000'000; // microseconds
    static constexpr unsigned most_lines = 3;           // of one reason in a period

    /// A dropped packet, and the line for it where it gets one. `now`: microseconds, monotonic.
    [[nodiscard]] std::optional<AuditLine> dropped(const control::Told& told, std::uint64_t now);
    /// Some period may be over: then drops() wants to be called.
    [[nodiscard]] bool due(std::uint64_t now) const { return now >= next_; }
    /// For each reason whose period is over: how many packets got no line.
    [[nodiscard]] std::vector<AuditLine> periods_over(const Drops& drops, std::uint64_t now);

private:
    struct Reason {
        std::uint64_t end = 0;  // of the period that is open, 0: none is
        unsigned lines = 0;     // in it
        std::uint64_t told = 0; // drops that stand in the journal, by a line or in a sum
    };
    std::array<Reason, drop_reason_count> reasons_{};
    std::uint64_t next_ = ~std::uint64_t{0}; // the first end of a period
};

} // namespace sallyport::daemon
