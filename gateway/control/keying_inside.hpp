// SPDX-License-Identifier: Apache-2.0
// What the door of those who negotiate keys consists of. Only the files of this folder include it.
#pragma once

#include "gateway/control/handed.hpp"
#include "gateway/control/inside.hpp"
#include "gateway/control/keying.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::control {

struct Keying::Inside {
    explicit Inside(Gateway::Inside& its) : gateway(its) {}

    /// What a caller has handed over and not committed: the records as they came, so that keys lie in locked memory only.
    struct Held {
        std::uint64_t generation = 0;
        bool refused = false; // a call of it was
        std::vector<HandedRecords> calls;
    };

    Result<void> take(Held& held, const KeyingCall& call, int memfd);
    Result<void> bring_about(const Held& held);
    Result<void> bring_about(record::Changes changes, std::uint64_t new_generation);
    /// Once a second: what has drained goes, reservations end, packets on reserved SPIs are told.
    void tick(std::uint64_t now);
    void end_drains(std::uint64_t now);

    /// Error: it names a connection or policy that was installed here.
    [[nodiscard]] Result<void> check_configuration(const Desired& wanted) const;
    [[nodiscard]] Result<void> check(const record::Changes& changes) const;
    [[nodiscard]] std::vector<PolicySpec> policies_after(record::Changes& changes, std::optional<Error>& error) const;
    /// What the boundary is made of: the configuration, with these policies and the ways of connections beside it.
    [[nodiscard]] Desired joined(const Desired& configured, const std::vector<PolicySpec>& more, const Children::Plan* plan) const;

    // adopt.cpp
    /// A policy in the secret table.
    struct KeptPolicy {
        std::uint64_t order = 0;
        store::SecretTable::Record record = 0;
    };
    void adopt(std::vector<store::LeftPolicy> left, std::vector<store::SecretTable::Record>& discarded);
    Result<void> stage_policies(const record::Changes& changes);

    Gateway::Inside& gateway;
    Children children;
    std::vector<PolicySpec> policies; // in the order of their coming
    std::uint64_t generation = 0;
    std::map<Caller, Held> held;
    std::multimap<std::uint64_t, store::SaName> drains; // by their end, milliseconds
    store::IkeSpis ike_spis;
    std::map<std::string, KeptPolicy> lasting; // by name
    std::uint64_t last_order = 0;
};

} // namespace sallyport::control
