// SPDX-License-Identifier: Apache-2.0
// systemd's descriptor store as the gateway's keeper (sd_pid_notify_with_fds(3), sd_listen_fds(3); FileDescriptorStoreMax= of the unit).
#pragma once

#include "gateway/state/keeper.hpp"

#include <map>
#include <set>
#include <string>

namespace sallyport::daemon {

class DescriptorStore final : public state::Keeper {
public:
    /// Takes what the service manager passed to this process. Before the first thread is made: it changes the environment.
    DescriptorStore();

    [[nodiscard]] Result<void> keep(const std::string& name, int descriptor) override;
    [[nodiscard]] Descriptor take(const std::string& name) override;
    void forget(const std::string& name) override;
    void forget_all(const std::string& prefix) override;

    /// Returns when the manager has read all that it was told: what was kept before is kept whatever happens from now on. Waits for two
    /// seconds at most.
    void settle();
    /// Forgets what was passed and nobody took: leftovers of another release or of a configuration before.
    void forget_leftovers();

private:
    std::multimap<std::string, Descriptor> passed_;
    std::set<std::string> kept_; // names that the manager has something under
};

} // namespace sallyport::daemon
