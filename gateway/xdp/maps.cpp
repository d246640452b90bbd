// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/maps.hpp"

#include "gateway/xdp/pins.hpp"
#include "gateway/xdp/skeleton.hpp"

#include "bpf/egress.skel.h"

#include <algorithm>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace sallyport::xdp {
namespace {

constexpr std::array names{"local_addresses", "vlans",      "protected_sources", "bypass_sources", "bypass_destinations", "ike_peers",
                           "ike_requests",    "ike_others", "ike_machine",       "audits",         "egress_destinations", "egress_sources"};

constexpr std::size_t first_bucket = 6; // from here on token buckets, and what a rehearsal must not fill

std::array<bpf_map*, names.size()> maps_of(port_bpf& skeleton) {
    auto& maps = skeleton.maps;
    return {maps.local_addresses,     maps.vlans,     maps.protected_sources,   maps.bypass_sources,
            maps.bypass_destinations, maps.ike_peers, maps.ike_requests,        maps.ike_others,
            maps.ike_machine,         maps.audits,    maps.egress_destinations, maps.egress_sources};
}

template <class T>
std::string octets_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::uint32_t family_of(const Address& address) { return address.family == Family::ipv4 ? SP_IPV4 : SP_IPV6; }

sp_prefix_key prefix_key(VpnNumber vpn, const Prefix& prefix) {
    sp_prefix_key key{};
    key.prefix_bits = SP_PREFIX_KEY_BITS + prefix.length;
    key.vpn_be = htonl(vpn);
    key.family_be = htonl(family_of(prefix.address));
    std::memcpy(key.address, prefix.address.octets.data(), sizeof(key.address));
    return key;
}

std::vector<std::pair<sp_prefix_key, std::uint32_t>> protections(const std::vector<ProtectedSource>& prefixes) {
    std::vector<std::pair<sp_prefix_key, std::uint32_t>> entries;
    for (const auto& one : prefixes)
        entries.emplace_back(prefix_key(one.vpn, one.prefix), one.exempt ? SP_PROTECTION_EXEMPT : SP_PROTECTION_PROTECTED);
    return entries;
}

std::vector<std::pair<sp_prefix_key, std::uint32_t>> members(const std::vector<VpnPrefix>& prefixes) {
    std::vector<std::pair<sp_prefix_key, std::uint32_t>> entries;
    for (const auto& one : prefixes) entries.emplace_back(prefix_key(one.vpn, one.prefix), 1U);
    return entries;
}

Error map_error(const char* name, std::string_view what) {
    if (errno == E2BIG || errno == ENOSPC)
        return Error{ErrorCode::exhausted, std::string("The BPF map ") + name + " is full.", name,
                     "Configure fewer networks or addresses."};
    return system_error(errno, std::string("The BPF map ") + name + " cannot be " + std::string(what), name);
}

} // namespace

// A pinned number says by which layout the maps beside it were made.
Result<void> SharedMaps::take_layout(const std::string& directory) {
    const std::string path = directory + "/layout";
    const std::uint32_t zero = 0;
    std::uint32_t version = 0;
    Descriptor pinned(bpf_obj_get(path.c_str()));
    if (pinned && bpf_map_lookup_elem(pinned.get(), &zero, &version) == 0 && version == SP_LAYOUT_VERSION) {
        taken_over_ = true;
        return {};
    }
    unlink(path.c_str());
    for (const char* name : names) unlink((directory + "/" + name).c_str());
    Descriptor made(bpf_map_create(BPF_MAP_TYPE_ARRAY, "layout", sizeof(zero), sizeof(version), 1, nullptr));
    version = SP_LAYOUT_VERSION;
    if (!made || bpf_map_update_elem(made.get(), &zero, &version, BPF_ANY) != 0 || bpf_obj_pin(made.get(), path.c_str()) != 0)
        return std::unexpected(system_error(errno, "The layout of the BPF maps cannot be pinned", path));
    return {};
}

Result<SharedMaps> SharedMaps::open(const std::string& directory) {
    static_assert(names.size() == map_count);
    SharedMaps shared;
    if (auto checked = check_pin_directory(directory); !checked) return std::unexpected(checked.error());
    if (auto taken = shared.take_layout(directory); !taken) return std::unexpected(taken.error());
    LibbpfLog log;
    Skeleton skeleton(port_bpf::open());
    if (!skeleton) return std::unexpected(system_error(errno, "The BPF program cannot be opened: " + log.tail()));
    const auto shapes = maps_of(*skeleton);
    for (std::size_t i = 0; i < names.size(); i++) {
        const std::string path = directory + "/" + names[i];
        shared.maps_[i] = open_pinned_map(path, shapes[i]);
        if (shared.maps_[i]) continue;
        auto made = make_pinned_map(path, shapes[i]);
        if (!made) return std::unexpected(made.error());
        shared.maps_[i] = std::move(*made);
    }
    return shared;
}

Result<void> SharedMaps::lend(port_bpf& skeleton, bool buckets) const {
    const auto maps = maps_of(skeleton);
    for (std::size_t i = 0; i < (buckets ? names.size() : first_bucket); i++)
        if (bpf_map__reuse_fd(maps[i], maps_[i].get()) != 0) return std::unexpected(map_error(names[i], "lent to a program"));
    return {};
}

Result<void> SharedMaps::lend(egress_bpf& skeleton) const {
    const auto& theirs = skeleton.maps;
    for (const auto& [map, name] :
         {std::pair{theirs.vlans, vlans}, {theirs.egress_destinations, egress_destinations}, {theirs.egress_sources, egress_sources}})
        if (bpf_map__reuse_fd(map, maps_[name].get()) != 0) return std::unexpected(map_error(names[name], "lent to a program"));
    return {};
}

/// What a map is found with is taken as of another value, so that it is written again.
template <class Key>
std::unordered_map<std::string, std::string> found_in(int fd) {
    std::unordered_map<std::string, std::string> result;
    Key key{};
    for (const Key *last = nullptr, *at = &key; bpf_map_get_next_key(fd, last, &key) == 0; last = at) result.emplace(octets_of(key), "");
    return result;
}

template <class Key, class Value>
Result<void> SharedMaps::replace(Name map, const std::vector<std::pair<Key, Value>>& entries, std::uint64_t flags) {
    const int fd = maps_[map].get();
    std::unordered_map<std::string, std::string> old = written_[map] ? std::move(*written_[map]) : found_in<Key>(fd);
    written_[map].reset(); // an error leaves the map half written
    std::unordered_map<std::string, std::string> next;
    next.reserve(entries.size());
    for (const auto& [key, value] : entries) {
        const auto [at, fresh] = next.insert_or_assign(octets_of(key), octets_of(value));
        const auto before = old.find(at->first);
        if (fresh && before != old.end() && before->second == at->second) continue;
        if (bpf_map_update_elem(fd, &key, &value, flags) != 0 && !(flags == BPF_NOEXIST && errno == EEXIST))
            return std::unexpected(map_error(names[map], "written"));
    }
    for (const auto& [key, value] : old)
        if (!next.contains(key) && bpf_map_delete_elem(fd, key.data()) != 0 && errno != ENOENT)
            return std::unexpected(map_error(names[map], "written"));
    written_[map] = std::move(next);
    return {};
}

Result<void> SharedMaps::set_local_addresses(const std::vector<LocalAddress>& addresses) {
    std::vector<std::pair<sp_local_key, std::uint32_t>> entries;
    for (const auto& one : addresses) {
        sp_local_key key{.ifindex = one.ifindex, .vpn = one.vpn, .family = family_of(one.address), .address = {}};
        std::memcpy(key.address, one.address.octets.data(), sizeof(key.address));
        entries.emplace_back(key, one.ipsec ? SP_LOCAL_HOST | SP_LOCAL_IPSEC : SP_LOCAL_HOST);
    }
    return replace(local_addresses, entries);
}

Result<void> SharedMaps::set_protected_sources(const std::vector<ProtectedSource>& sources) {
    return replace(protected_sources, protections(sources));
}

Result<void> SharedMaps::set_bypass(const std::vector<VpnPrefix>& sources, const std::vector<VpnPrefix>& destinations) {
    if (auto done = replace(bypass_sources, members(sources)); !done) return done;
    return replace(bypass_destinations, members(destinations));
}

Result<void> SharedMaps::set_egress(const std::vector<ProtectedSource>& destinations, const std::vector<VpnPrefix>& sources) {
    if (auto done = replace(egress_destinations, protections(destinations)); !done) return done;
    return replace(egress_sources, members(sources));
}

Result<void> SharedMaps::set_ike_peers(const std::vector<IkePeer>& peers) {
    std::vector<std::pair<sp_source_key, sp_bucket>> entries;
    for (const auto& one : peers) {
        sp_source_key key{.vpn = one.vpn, .family = family_of(one.address), .address = {}};
        std::memcpy(key.address, one.address.octets.data(), sizeof(key.address));
        entries.emplace_back(key, sp_bucket{});
    }
    return replace(ike_peers, entries, BPF_NOEXIST);
}

Result<void> SharedMaps::set_vlans(const std::vector<PortVlan>& all) {
    std::vector<std::pair<sp_vlan_key, std::uint32_t>> entries;
    for (const auto& one : all)
        entries.emplace_back(sp_vlan_key{.ifindex = one.ifindex, .outer = one.id, .inner = SP_NO_TAG},
                             one.own ? one.vpn | SP_VLAN_OWN : std::uint32_t{one.vpn});
    return replace(vlans, entries);
}

} // namespace sallyport::xdp
