// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/sa.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sallyport {

KeyMaterial::~KeyMaterial() { explicit_bzero(octets.data(), octets.size()); }

namespace {

/// memcpy leaves its last octets in vector registers that few others use, and a new thread takes them along and may save them on its stack.
void wipe_vectors() {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        asm volatile(".irp r,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\tvpxord %%zmm\\r, %%zmm\\r, %%zmm\\r\n\t.endr" ::);
    if (__builtin_cpu_supports("avx"))
        asm volatile("vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
                           "xmm13", "xmm14", "xmm15");
#elifdef __aarch64__
    asm volatile(".irp r,0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\tmovi v\\r\\().16b, #0\n\t.endr" ::
                     : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25",
                       "v26", "v27", "v28", "v29", "v30", "v31");
#endif
}

bool is_one(const AddressRange& range, const Address& address) { return range.first == address && range.last == address; }

/// Selectors whose addresses are all the same two.
bool between(const std::vector<Selector>& selectors, const Address& local, const Address& remote) {
    return std::ranges::all_of(selectors, [&](const Selector& one) { return is_one(one.local, local) && is_one(one.remote, remote); });
}

bool has_original(const SaSpec& sa) { return sa.original_local != Address{} || sa.original_remote != Address{}; }

std::string_view fault_of_ends(const SaSpec& sa) {
    if (sa.mode == SaMode::tunnel || sa.selectors.empty()) return {};
    const Selector& first = sa.selectors.front();
    if (sa.mode == SaMode::transport && !between(sa.selectors, sa.outer_local, sa.outer_remote))
        return "Transport mode carries what goes between the two outer addresses, nothing else.";
    if (!between(sa.selectors, first.local.first, first.remote.first))
        return "BEET mode carries what goes between one local and one remote address.";
    return {};
}

std::string_view fault_of_original(const SaSpec& sa) {
    if (!has_original(sa)) return {};
    if (sa.mode != SaMode::transport || sa.direction != Direction::inbound || sa.udp_port == 0)
        return "Original addresses belong to an inbound SA in transport mode with UDP encapsulation.";
    if (sa.original_local.family != sa.outer_local.family || sa.original_remote.family != sa.outer_local.family)
        return "The original addresses are of another family than the outer ones.";
    return {};
}

std::string_view fault_of_ah(const SaSpec& sa) {
    if (sa.protocol != SaProtocol::ah) return {};
    if (!info(sa.algorithm).integrity_only()) return "AH encrypts nothing: its algorithm is one without a cipher.";
    if (sa.udp_port != 0) return "AH does not go in UDP: a NAT would break its ICV.";
    if (sa.mode == SaMode::beet) return "BEET mode is one of ESP.";
    if (sa.tfc_padding != 0) return "TFC padding is one of ESP.";
    if (sa.dummies_per_second != 0) return "Dummy packets are those of ESP.";
    return {};
}

} // namespace

std::string_view name_of(SaMode mode) {
    switch (mode) {
    case SaMode::tunnel: return "tunnel";
    case SaMode::transport: return "transport";
    case SaMode::beet: break;
    }
    return "beet";
}

std::string_view name_of(SaProtocol protocol) { return protocol == SaProtocol::esp ? "esp" : "ah"; }

std::string_view fault(const SaSpec& sa) {
    if (sa.outer_local.family != sa.outer_remote.family) return "The outer addresses of an SA are of two families.";
    if (sa.direction == Direction::inbound && (!std::has_single_bit(sa.window) || sa.window < 32 || sa.window > 65536))
        return "The replay window is not a power of two from 32 to 65536.";
    if (!is_tfc_padding(sa.tfc_padding)) return "The TFC padding of an SA is no multiple of 16 up to 4064, nor 65535.";
    return fault_of_kind(sa);
}

std::string_view fault_of_kind(const SaSpec& sa) {
    if (sa.tfc_padding != 0 && sa.mode != SaMode::tunnel)
        return "TFC padding needs tunnel mode: only there the packet says how long it is.";
    for (const auto part : {fault_of_ends, fault_of_original, fault_of_ah})
        if (const std::string_view why = part(sa); !why.empty()) return why;
    return {};
}

bool may_send_by(const PolicySpec& policy, const SaSpec& sa) {
    if (sa.mode == SaMode::tunnel || sa.selectors.empty()) return true;
    const Selector& ends = sa.selectors.front();
    return between(policy.selectors, ends.local.first, ends.remote.first);
}

[[gnu::noinline]] void wipe_stack() {
    std::uint8_t octets[std::size_t{256} << 10];
    explicit_bzero(octets, sizeof octets);
    wipe_vectors();
}

} // namespace sallyport
