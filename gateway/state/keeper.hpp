// SPDX-License-Identifier: Apache-2.0
// Who keeps descriptors while no process lives, so that the next gateway takes over what they stand for: in production systemd's descriptor
// store (mgmt/daemon), in tests MemoryKeeper. Without one a gateway works the same, and a restart makes everything anew.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/state/descriptor.hpp"

#include <string>

namespace sallyport::state {

/// Each name stands for one descriptor. Names have letters, digits and "-". Threads: the control thread.
class Keeper {
public:
    virtual ~Keeper() = default;
    Keeper() = default;
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// From now on the keeper has a copy of its own under this name, in place of what it had there. The caller keeps his. Without a keeper
    /// nothing happens, and that is no error. A process killed in here leaves the old one, none or the new one.
    [[nodiscard]] virtual Result<void> keep(const std::string& name, int descriptor) = 0;
    /// What the process before left under this name; none: nothing, or taken already. The keeper goes on keeping it until forget().
    [[nodiscard]] virtual Descriptor take(const std::string& name) = 0;
    /// The keeper closes its copy, soon; what nobody took goes at once. Nothing kept there: nothing happens.
    virtual void forget(const std::string& name) = 0;
    /// All names that begin so.
    virtual void forget_all(const std::string& prefix) = 0;
};

/// Keeps nothing.
class NoKeeper final : public Keeper {
public:
    [[nodiscard]] Result<void> keep(const std::string&, int) override { return {}; }
    [[nodiscard]] Descriptor take(const std::string&) override { return {}; }
    void forget(const std::string&) override {}
    void forget_all(const std::string&) override {}
};

} // namespace sallyport::state
