// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/difference.hpp"

#include <algorithm>
#include <tuple>

namespace sallyport::control {

namespace {

auto fields(const SaSpec& sa) {
    return std::tie(sa.name, sa.direction, sa.spi, sa.outer_local, sa.outer_remote, sa.outer_vpn, sa.red_vpn, sa.protocol, sa.mode,
                    sa.algorithm, sa.sequence, sa.window, sa.dscp, sa.dscp_value, sa.df, sa.fragment, sa.hop_limit, sa.udp_port,
                    sa.keepalive, sa.tfc_padding, sa.mtu, sa.clamp_mss, sa.dummies_per_second, sa.owner, sa.manual);
}

auto fields(const Settings& s) {
    return std::tie(s.cores, s.queues, s.spin, s.frames, s.run_directory, s.state_directory, s.icmp_error_rate, s.icmp_prohibited);
}

auto rates(const IkeLimits& l) {
    return std::tie(l.peer_rate, l.peer_burst, l.prefix_rate, l.prefix_burst, l.machine_rate, l.machine_burst);
}

bool same_place(const PortSpec& a, const PortSpec& b) {
    return a.interface == b.interface && a.role == b.role && a.tags_beside_frame == b.tags_beside_frame && a.vlans == b.vlans;
}

} // namespace

bool same(const SaSpec& a, const SaSpec& b) { return fields(a) == fields(b) && a.selectors == b.selectors; }

KeyPrints take_keys(std::vector<SaSpec>& sas) {
    KeyPrints result;
    for (SaSpec& sa : sas) {
        result[{sa.name, sa.direction}] = state::fingerprint_of(sa);
        sa.key = KeyMaterial{};
    }
    return result;
}

SaDifference difference(const std::vector<SaSpec>& now, const KeyPrints& prints, const std::vector<SaSpec>& wanted) {
    std::map<SaName, const SaSpec*> before;
    for (const SaSpec& sa : now) before[{sa.name, sa.direction}] = &sa;
    SaDifference result;
    for (const SaSpec& sa : wanted) {
        const SaName name{sa.name, sa.direction};
        const auto at = before.find(name);
        if (at == before.end()) {
            result.install.push_back(sa);
            continue;
        }
        const auto print = prints.find(name);
        if (!same(*at->second, sa) || print == prints.end() || print->second != state::fingerprint_of(sa)) result.update.push_back(sa);
        before.erase(at);
    }
    for (const auto& [name, sa] : before) result.remove.push_back(name);
    return result;
}

std::optional<std::string> needs_restart(const Desired& now, const Desired& wanted) {
    if (fields(now.settings) != fields(wanted.settings)) return "settings";
    if (rates(now.ike) != rates(wanted.ike)) return "limits of IKE messages";
    if (!std::ranges::equal(now.ports, wanted.ports, same_place)) return "ports";
    return std::nullopt;
}

} // namespace sallyport::control
