// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/capabilities.hpp"

#include <array>
#include <cerrno>
#include <memory>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace sallyport::daemon {
namespace {

struct Needed {
    cap_value_t value;
    const char* name;
};

constexpr std::array needed{Needed{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, Needed{CAP_NET_RAW, "CAP_NET_RAW"}, Needed{CAP_BPF, "CAP_BPF"},
                            Needed{CAP_IPC_LOCK, "CAP_IPC_LOCK"}};

struct Free {
    void operator()(cap_t set) const { cap_free(set); }
};

using Set = std::unique_ptr<std::remove_pointer_t<cap_t>, Free>;

bool has(cap_t set, cap_value_t value, cap_flag_t flag) {
    cap_flag_value_t state = CAP_CLEAR;
    return cap_get_flag(set, value, flag, &state) == 0 && state == CAP_SET;
}

} // namespace

std::vector<std::string> missing_capabilities() {
    std::vector<std::string> missing;
    const Set now(cap_get_proc());
    for (const Needed& one : needed)
        if (!now || !has(now.get(), one.value, CAP_PERMITTED)) missing.emplace_back(one.name);
    return missing;
}

Result<void> drop_capabilities() {
    const auto failed = [](const char* what) { return std::unexpected(system_error(errno, what)); };
    const Set now(cap_get_proc());
    const Set kept(cap_init());
    if (!now || !kept) return failed("The capabilities cannot be read");
    // The bounding set needs CAP_SETPCAP; without it there is nothing to gain back either, for no_new_privs closes the only way.
    for (cap_value_t value = 0; cap_get_bound(value) >= 0; ++value)
        if (cap_get_bound(value) == 1 && has(now.get(), CAP_SETPCAP, CAP_EFFECTIVE)) (void)cap_drop_bound(value);
    (void)cap_reset_ambient();
    for (const Needed& one : needed) {
        if (!has(now.get(), one.value, CAP_PERMITTED)) continue;
        cap_set_flag(kept.get(), CAP_PERMITTED, 1, &one.value, CAP_SET);
        cap_set_flag(kept.get(), CAP_EFFECTIVE, 1, &one.value, CAP_SET);
    }
    if (cap_set_proc(kept.get()) != 0) return failed("The capabilities cannot be given up");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs cannot be set");
    return {};
}

void hide_memory() {
    constexpr rlimit none{.rlim_cur = 0, .rlim_max = 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

Result<void> lock_memory() {
    // Keys pass through the ordinary heap and the stack on their way from the configuration to locked memory.
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) return {};
    return std::unexpected(system_error(errno, "Memory cannot be locked"));
}

} // namespace sallyport::daemon
