// SPDX-License-Identifier: Apache-2.0
// A keeper of tests: it outlives the gateways of one process.
#pragma once

#include "gateway/state/keeper.hpp"

#include <cerrno>
#include <fcntl.h>
#include <map>

namespace sallyport::state {

class MemoryKeeper final : public Keeper {
public:
    std::map<std::string, Descriptor> kept; // tests look at it and change it

    [[nodiscard]] Result<void> keep(const std::string& name, int descriptor) override {
        Descriptor copy(fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
        if (!copy) return std::unexpected(system_error(errno, "A descriptor cannot be kept", name));
        kept.insert_or_assign(name, std::move(copy));
        return {};
    }
    /// Any number of times, as each test's gateway is the next process.
    [[nodiscard]] Descriptor take(const std::string& name) override {
        const auto found = kept.find(name);
        return found == kept.end() ? Descriptor{} : Descriptor(fcntl(found->second.get(), F_DUPFD_CLOEXEC, 0));
    }
    void forget(const std::string& name) override { kept.erase(name); }
    void forget_all(const std::string& prefix) override {
        std::erase_if(kept, [&prefix](const auto& one) { return one.first.starts_with(prefix); });
    }
};

} // namespace sallyport::state
