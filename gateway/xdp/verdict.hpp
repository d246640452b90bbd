// SPDX-License-Identifier: Apache-2.0
// What the BPF program of a port does with a frame, as a table: `sallyport counters` shows each verdict with its count.
#pragma once

#include "bpf/shared.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport::xdp {

struct VerdictInfo {
    std::string_view name;
    sp_action action;
    std::string_view meaning;
};

inline constexpr std::array<VerdictInfo, SP_VERDICT_COUNT> verdicts{{
#define SP_X(symbol, name, action, meaning) {name, action, meaning},
    SP_VERDICTS(SP_X)
#undef SP_X
}};

/// The same of what the machine itself sends by a black port.
inline constexpr std::array<VerdictInfo, SP_EGRESS_VERDICT_COUNT> egress_verdicts{{
#define SP_X(symbol, name, action, meaning) {name, action, meaning},
    SP_EGRESS_VERDICTS(SP_X)
#undef SP_X
}};

/// Packets and octets of each verdict, summed over the CPUs; the index is enum sp_verdict, or sp_egress_verdict.
using VerdictCounters = std::array<sp_counter, SP_VERDICT_COUNT>;
using EgressCounters = std::array<sp_counter, SP_EGRESS_VERDICT_COUNT>;

} // namespace sallyport::xdp
