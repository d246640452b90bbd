// SPDX-License-Identifier: Apache-2.0
// What would become of a packet, in words: the question and the answer of Gateway::explain().
#pragma once

#include "gateway/sa/drop_reason.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::control {

struct Question {
    std::string port;                // interface where it comes in
    std::vector<std::uint8_t> frame; // with its Ethernet header
    bool opened = false; // a black port: not the frame, but the IP packet in it as what comes out of the SA whose selectors it matches
};

/// One decision.
struct Decision {
    std::string stage; // program, packet, policy, sa, seal, open, selectors, route, handover, exception, send, drop
    std::string text;
    std::string rule;  // name of the policy or connection that decided; empty: none did
    std::string place; // where that stands, "file:line"; empty: not in the configuration
};

enum class Ending : std::uint8_t {
    sent,      // put on a port
    kernel,    // left to the kernel's own stack
    exception, // taken over by the exception stage, for example to find a link-layer address
    dropped,
};

struct Explanation {
    std::vector<Decision> decisions; // in their order
    Ending ending = Ending::dropped;
    std::string counter; // dropped: the counter that goes up, as `sallyport counters` names it; kernel: the verdict of the program
    std::string remedy;  // dropped
    std::string port;    // sent: interface
};

[[nodiscard]] constexpr const char* name_of(Ending ending) {
    switch (ending) {
    case Ending::sent: return "sent";
    case Ending::kernel: return "kernel";
    case Ending::exception: return "exception";
    case Ending::dropped: break;
    }
    return "dropped";
}

} // namespace sallyport::control
