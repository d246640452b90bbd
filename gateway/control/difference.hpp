// SPDX-License-Identifier: Apache-2.0
// What lies between the configuration in use and a new one.
#pragma once

#include "gateway/sa/desired.hpp"
#include "gateway/state/marks_file.hpp"
#include "gateway/store/store.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::control {

using store::SaName;
using KeyPrints = std::map<SaName, state::Fingerprint>; // of the keys in use, which themselves are not kept

struct SaDifference {
    std::vector<SaSpec> install, update; // with their keys
    std::vector<SaName> remove;
};

/// All but the keys.
[[nodiscard]] bool same(const SaSpec& a, const SaSpec& b);

/// Takes the keys out of the specifications (wipes them there) and gives their fingerprints.
[[nodiscard]] KeyPrints take_keys(std::vector<SaSpec>& sas);

/// `now` has no keys any more; `prints` stands for them.
[[nodiscard]] SaDifference difference(const std::vector<SaSpec>& now, const KeyPrints& prints, const std::vector<SaSpec>& wanted);

/// The first thing that differs and cannot be changed while the gateway runs, named as in the configuration.
[[nodiscard]] std::optional<std::string> needs_restart(const Desired& now, const Desired& wanted);

} // namespace sallyport::control
