// SPDX-License-Identifier: Apache-2.0
// From what an operator asks about a packet to frames that a port could receive.
#pragma once

#include "gateway/control/explanation.hpp"
#include "gateway/control/status.hpp"
#include "gateway/sa/error.hpp"
#include "mgmt/control/view.hpp"

#include <string>
#include <vector>

namespace sallyport::daemon {

struct AskedAs {
    std::string heading;
    control::Question question;
};

/// One question; two where a made packet comes in by a black port: as what comes out of a tunnel, and in clear. Error: no such port,
/// addresses that are none or of two families, neither octets nor addresses.
[[nodiscard]] Result<std::vector<AskedAs>> questions_of(const varlink::QuestionView& question,
                                                        const std::vector<control::PortStatus>& ports);

} // namespace sallyport::daemon
