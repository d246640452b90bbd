// SPDX-License-Identifier: Apache-2.0
// What the gateway tells of itself, in the words of the control socket.
#pragma once

#include "gateway/control/gateway.hpp"
#include "gateway/control/status.hpp"
#include "mgmt/control/view.hpp"

#include <vector>

namespace sallyport::daemon {

[[nodiscard]] varlink::StatusView view_of(const control::Status& status, const std::vector<control::SaStatus>& sas, const Desired& desired);
[[nodiscard]] std::vector<varlink::ConnectionView> connections_of(const std::vector<control::PortStatus>& ports,
                                                                  const std::vector<control::SaStatus>& sas, const Desired& desired);
[[nodiscard]] std::vector<varlink::SaView> view_of(const std::vector<control::SaStatus>& sas, const Desired& desired);
/// The last row is the entry that discards what no other matches.
[[nodiscard]] std::vector<varlink::PolicyView> view_of(const std::vector<control::PolicyStatus>& policies, const Desired& desired);
[[nodiscard]] std::vector<varlink::CounterView> view_of(const control::Counters& counters);
[[nodiscard]] varlink::EventView view_of(const control::Told& told);
[[nodiscard]] varlink::ExplanationView view_of(const control::Explanation& explanation, const std::string& heading);

} // namespace sallyport::daemon
