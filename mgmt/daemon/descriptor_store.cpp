// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/descriptor_store.hpp"

#include <cstdint>
#include <cstdlib>

#include <systemd/sd-daemon.h>

namespace sallyport::daemon {
namespace {

constexpr std::uint64_t longest_settle = 2'000'000; // microseconds

} // namespace

DescriptorStore::DescriptorStore() {
    char** names = nullptr;
    const int count = sd_listen_fds_with_names(1, &names); // it makes them close-on-exec
    for (int i = 0; i < count; ++i) {
        passed_.emplace(names[i], Descriptor(SD_LISTEN_FDS_START + i));
        kept_.insert(names[i]);
        std::free(names[i]); // NOLINT(cppcoreguidelines-no-malloc): as sd_listen_fds_with_names(3) says
    }
    std::free(names); // NOLINT(cppcoreguidelines-no-malloc)
}

Result<void> DescriptorStore::keep(const std::string& name, int descriptor) {
    forget(name); // a second one would stand beside the first under the same name
    // FDPOLL=0: whether it is still of use is ours to judge; the manager would throw away a socket whose device is down.
    const std::string text = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name;
    const int told = sd_pid_notify_with_fds(0, 0, text.c_str(), &descriptor, 1);
    if (told < 0) return std::unexpected(system_error(-told, "The service manager does not take a descriptor", name));
    if (told > 0) kept_.insert(name);
    return {};
}

Descriptor DescriptorStore::take(const std::string& name) {
    const auto found = passed_.find(name);
    if (found == passed_.end()) return {};
    Descriptor taken = std::move(found->second);
    passed_.erase(found);
    return taken;
}

void DescriptorStore::forget(const std::string& name) {
    passed_.erase(name);
    if (kept_.erase(name) != 0) (void)sd_notify(0, ("FDSTOREREMOVE=1\nFDNAME=" + name).c_str());
}

void DescriptorStore::forget_all(const std::string& prefix) {
    const std::set<std::string> all = kept_;
    for (const std::string& name : all)
        if (name.starts_with(prefix)) forget(name);
}

void DescriptorStore::settle() { (void)sd_notify_barrier(0, longest_settle); }

void DescriptorStore::forget_leftovers() {
    while (!passed_.empty()) forget(std::string(passed_.begin()->first));
}

} // namespace sallyport::daemon
