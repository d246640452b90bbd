// SPDX-License-Identifier: Apache-2.0
#include "mgmt/config/build.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <format>
#include <map>
#include <set>

namespace sallyport::config {
namespace {

using enum Key;

constexpr std::size_t most_selectors = 1024; // of one connection or policy

/// Why a gateway cannot have or reach this address; empty: it can.
std::string_view unusable(const Address& address) {
    const auto zero = [](std::uint8_t octet) { return octet == 0; };
    if (std::ranges::all_of(address.octets, zero)) return "the unspecified address";
    const std::uint8_t first = address.octets[0];
    if (address.family == Family::ipv4)
        return first == 127   ? "a loopback address"
               : first == 0   ? "an address of network 0"
               : first >= 224 ? "a multicast or reserved address"
                              : "";
    if (first == 0xff) return "a multicast address";
    return std::all_of(address.octets.begin(), address.octets.end() - 1, zero) && address.octets[15] == 1 ? "a loopback address" : "";
}

std::string_view name_of(Family family) { return family == Family::ipv4 ? "IPv4" : "IPv6"; }

class Builder {
public:
    Builder(const std::vector<Item>& items, const std::vector<std::string>& files, const KeyFiles& key_files, Problems& problems)
        : items_(items), files_(files), key_files_(key_files), problems_(problems) {}

    Desired build() {
        for (const Item& item : items_)
            for (const KeyInfo& key : keys())
                if (key.section == item.section && key.required && !item.given(key.key))
                    problems_.add(item.place, item.path(key.key), std::format("this key is missing; expected {}", expected_text(key)));
        settings();
        vpns();
        ports();
        connections();
        policies();
        ike();
        inbound_selectors();
        kinds();
        check_overlaps(traffic_, problems_);
        check_hidden(traffic_, problems_);
        std::vector<PlacedSa> placed;
        for (std::size_t i = 0; i < desired_.sas.size(); ++i)
            if (desired_.sas[i].spi != 0) placed.push_back({sa_items_[i], &desired_.sas[i]});
        check_unique(placed, problems_);
        return std::move(desired_);
    }

private:
    std::vector<const Item*> all(Section section) const {
        std::vector<const Item*> result;
        for (const Item& item : items_)
            if (item.section == section) result.push_back(&item);
        return result;
    }

    const Item* find(Section section, std::string_view name) const {
        for (const Item& item : items_)
            if (item.section == section && item.name == name) return &item;
        return nullptr;
    }

    std::string did_you_mean(Section section, std::string_view name) const {
        std::vector<std::string_view> names;
        for (const Item& item : items_)
            if (item.section == section) names.push_back(item.name);
        const std::string_view near = nearest(name, names);
        return near.empty() ? std::format("define [{}.{}]", info(section).name, name) : std::format("did you mean \"{}\"?", near);
    }

    void settings() {
        Item none;
        none.section = Section::gateway;
        const auto found = all(Section::gateway);
        const Item& item = found.empty() ? none : *found[0];
        Settings& to = desired_.settings;
        if (const auto* cores = item.get<std::vector<std::int64_t>>(gateway_cores)) to.cores.assign(cores->begin(), cores->end());
        to.queues = static_cast<unsigned>(item.number(gateway_queues));
        to.spin = item.flag(gateway_spin);
        to.frames = static_cast<std::uint32_t>(item.number(gateway_frames, to.frames));
        to.run_directory = item.text(gateway_run_directory);
        to.state_directory = item.text(gateway_state_directory);
        to.icmp_error_rate = static_cast<std::uint32_t>(item.number(gateway_icmp_error_rate, to.icmp_error_rate));
        to.icmp_prohibited = item.flag(gateway_icmp_prohibited);
        // A socket's path has at most 107 octets (unix(7)), the longest name below it is "/gateway.varlink".
        if (to.run_directory.size() > 90)
            problems_.add(item.place_of(gateway_run_directory), item.path(gateway_run_directory),
                          std::format("the path has {} octets, at most 90 leave room for the socket's name", to.run_directory.size()));
    }

    void vpns() {
        desired_.vpns.push_back({"wan", wan_vpn, 254});
        std::map<std::int64_t, const Item*> numbers;
        for (const Item* item : all(Section::vpn)) {
            VpnSpec vpn{item->name, wan_vpn, 254};
            const bool wan = item->name == "wan";
            if (!wan && !item->given(vpn_table))
                problems_.add(item->place, item->path(vpn_table),
                              std::format("this key is missing; expected {}", expected_text(info(vpn_table))));
            vpn.table = static_cast<std::uint32_t>(item->number(vpn_table, 254));
            if (vpn.table == 255)
                problems_.add(item->place_of(vpn_table), item->path(vpn_table), "255 is the kernel's table of its own addresses",
                              "choose another table, such as 100");
            if (wan) {
                if (item->number(vpn_number, 0) != 0)
                    problems_.add(item->place_of(vpn_number), item->path(vpn_number), "the VPN \"wan\" has number 0", "leave the key out");
                desired_.vpns[0].table = vpn.table;
                continue;
            }
            if (item->given(vpn_number) && item->find(vpn_number) != nullptr) {
                const std::int64_t number = item->number(vpn_number);
                const auto [other, fresh] = numbers.emplace(number, item);
                if (number == 0)
                    problems_.add(item->place_of(vpn_number), item->path(vpn_number), "number 0 is that of the VPN \"wan\"",
                                  "choose another");
                else if (!fresh)
                    problems_.add(item->place_of(vpn_number), item->path(vpn_number),
                                  std::format("{} is already the number of {} in {}", number, other->second->path(),
                                              problems_.text(other->second->place_of(vpn_number))),
                                  "choose another");
                vpn.number = static_cast<VpnNumber>(number);
            }
            desired_.vpns.push_back(std::move(vpn));
        }
        std::int64_t next = 1;
        for (VpnSpec& vpn : desired_.vpns) {
            if (vpn.name == "wan" || vpn.number != 0) continue;
            while (numbers.contains(next)) ++next;
            if (next > 65535) return problems_.add({}, "vpn", "there are more than 65535 VPNs");
            vpn.number = static_cast<VpnNumber>(next++);
        }
        for (const VpnSpec& vpn : desired_.vpns) vpn_numbers_.emplace(vpn.name, vpn.number);
    }

    std::optional<VpnNumber> vpn_number_of(std::string_view name, Place place, const std::string& path) {
        const auto found = vpn_numbers_.find(name);
        if (found != vpn_numbers_.end()) return found->second;
        problems_.add(place, path, std::format("there is no VPN \"{}\"", name), did_you_mean(Section::vpn, name));
        return std::nullopt;
    }

    /// The VPN that a key names; nothing where it was given and is wrong.
    std::optional<VpnNumber> vpn_of(const Item& item, Key key, std::string_view otherwise = "wan") {
        if (item.given(key) && item.find(key) == nullptr) return std::nullopt;
        const std::string_view name = item.text(key);
        return vpn_number_of(name.empty() ? otherwise : name, item.place_of(key), item.path(key));
    }

    void ports() {
        std::map<std::string, const Item*> interfaces;
        for (const Item* item : all(Section::port)) {
            PortSpec port;
            port.interface = item->given(port_interface) ? std::string(item->text(port_interface)) : item->name;
            if (!item->given(port_interface) && item->name.size() > 15)
                problems_.add(item->place, item->path(), "the name of a network device has at most 15 characters",
                              "add interface = \"...\"");
            const auto [other, fresh] = interfaces.emplace(port.interface, item);
            if (!fresh && !port.interface.empty())
                problems_.add(item->place_of(port_interface), item->path(),
                              std::format("interface \"{}\" is already that of {} in {}", port.interface, other->second->path(),
                                          problems_.text(other->second->place_of(port_interface))),
                              "one port an interface; use vlans for several VPNs");
            port.role = item->text(port_role) == "red" ? Role::red : Role::black;
            port.tags_beside_frame = item->flag(port_tags_beside_frame);
            port_vlans_of(*item, port);
            if (const auto* listen = item->get<std::vector<Address>>(port_listen); listen != nullptr && item->given(port_listen)) {
                if (port.role == Role::red)
                    problems_.add(item->place_of(port_listen), item->path(port_listen), "a red port takes no ESP and no IKE",
                                  "leave the key out");
                port.listen = *listen;
            }
            for (const VlanSpec& vlan : port.vlans) (port.role == Role::red ? red_vpns_ : black_vpns_).insert(vlan.vpn);
            desired_.ports.push_back(std::move(port));
        }
        needed(Role::black, "black");
        needed(Role::red, "red");
    }

    void needed(Role role, std::string_view name) {
        if (std::ranges::none_of(desired_.ports, [&](const PortSpec& port) { return port.role == role; }))
            problems_.add({}, "port", std::format("there is no {} port", name), std::format("add [port.NAME] with role = \"{}\"", name));
    }

    void port_vlans_of(const Item& item, PortSpec& port) {
        const auto* vlans = item.get<std::vector<Vlan>>(port_vlans);
        if (item.given(port_vpn) || !item.given(port_vlans))
            if (const auto vpn = vpn_of(item, port_vpn)) port.vlans.push_back({0, *vpn});
        if (vlans == nullptr) return;
        for (const Vlan& vlan : *vlans)
            if (const auto vpn = vpn_number_of(vlan.vpn, vlan.place, item.path(port_vlans)))
                port.vlans.push_back({vlan.id, *vpn, vlan.addresses});
    }

    void connections() {
        for (const Item* item : all(Section::connection)) connection(*item);
    }

    void connection(const Item& item) {
        SaSpec out;
        out.name = item.name;
        out.place = problems_.text(item.place);
        out.sequence = item.flag(connection_esn) ? SequenceKind::extended_64 : SequenceKind::short_32;
        out.protocol = item.text(connection_security_protocol) == "ah" ? SaProtocol::ah : SaProtocol::esp;
        const std::string_view mode = item.text(connection_mode);
        out.mode = mode == "transport" ? SaMode::transport : mode == "beet" ? SaMode::beet : SaMode::tunnel;
        out.algorithm = parse_algorithm(item.text(connection_algorithm)).value_or(out.algorithm);
        const auto dscp = item.number(connection_dscp, -1);
        out.dscp = dscp < 0 ? DscpRule::copy : DscpRule::set;
        out.dscp_value = static_cast<std::uint8_t>(std::max<std::int64_t>(dscp, 0));
        const std::string_view df = item.text(connection_df);
        out.df = df == "set" ? DfRule::set : df == "clear" ? DfRule::clear : DfRule::copy;
        out.fragment = item.text(connection_fragment) == "after" ? FragmentRule::after : FragmentRule::before;
        out.hop_limit = static_cast<std::uint8_t>(item.number(connection_hop_limit, 64));
        out.mtu = static_cast<std::uint16_t>(item.number(connection_mtu));
        out.udp_port = static_cast<std::uint16_t>(item.number(connection_udp_port));
        out.tfc_padding = static_cast<std::uint16_t>(item.number(connection_tfc_padding));
        if (!is_tfc_padding(out.tfc_padding))
            problems_.add(item.place_of(connection_tfc_padding), item.path(connection_tfc_padding),
                          std::format("expected a multiple of 16 up to 4064, or 65535, found {}", out.tfc_padding));
        out.clamp_mss = static_cast<std::uint16_t>(item.number(connection_clamp_mss, clamp_mss_by_path));
        out.window = static_cast<std::uint32_t>(item.number(connection_replay_window, 1024));
        if (!std::has_single_bit(out.window))
            problems_.add(item.place_of(connection_replay_window), item.path(connection_replay_window),
                          std::format("expected a power of two from 32 to 65536, found {}", out.window),
                          std::format("{} is the next", std::bit_ceil(out.window)));
        aead_rule(item, info(out.algorithm));
        if (out.udp_port == 0 && item.given(connection_nat_keepalive))
            problems_.add(item.place_of(connection_nat_keepalive), item.path(connection_nat_keepalive),
                          "without udp-port nothing goes in UDP that a NAT could forget", "set udp-port, or leave the key out");
        addresses(item, out);
        Traffic traffic = traffic_of(item,
                                     {connection_local_networks, connection_remote_networks, connection_protocol, connection_local_ports,
                                      connection_remote_ports, connection_icmp_type, connection_icmp_code, connection_mobility_type});
        traffic.priority = static_cast<std::uint32_t>(item.number(connection_priority));
        traffic.action = PolicyAction::protect;
        traffic.sa = item.name;
        const auto red = vpn_of(item, connection_vpn);
        out.red_vpn = traffic.vpn = red.value_or(wan_vpn);
        if (red && !red_vpns_.contains(*red) && !red_vpns_.empty())
            problems_.add(item.place_of(connection_vpn), item.path(connection_vpn),
                          std::format("no red port carries the VPN \"{}\"", item.text(connection_vpn)),
                          "name it at a [port.NAME] with role = \"red\"");
        out.selectors = selectors_of(item, traffic, connection_local_networks, connection_remote_networks);

        SaSpec in = out;
        in.direction = Direction::inbound;
        if (out.udp_port != 0) out.keepalive = static_cast<std::uint16_t>(item.number(connection_nat_keepalive, 20));
        out.dummies_per_second = static_cast<std::uint32_t>(item.number(connection_dummies));
        out.spi = static_cast<std::uint32_t>(item.number(connection_spi_out));
        in.spi = static_cast<std::uint32_t>(item.number(connection_spi_in));
        take_key(item, connection_key_out, connection_key_out_file, out);
        take_key(item, connection_key_in, connection_key_in_file, in);
        for (SaSpec* sa : {&out, &in}) {
            desired_.sas.push_back(*sa);
            sa_items_.push_back(&item);
        }
        if (red)
            desired_.policies.push_back(
                {item.name, *red, traffic.priority, PolicyAction::protect, out.selectors, item.name, PolicyReach::both, out.place});
        if (red && !out.selectors.empty()) traffic_.push_back(std::move(traffic));
    }

    void aead_rule(const Item& item, const AlgorithmInfo& algorithm) {
        const bool allowed = item.flag(connection_unsafe_manual_aead);
        if (item.find(connection_algorithm) == nullptr ||
            (item.given(connection_unsafe_manual_aead) && item.find(connection_unsafe_manual_aead) == nullptr))
            return;
        if (algorithm.unique_nonce() && !allowed)
            problems_.add(item.place_of(connection_algorithm), item.path(connection_algorithm),
                          std::format("{} must not be used with keys given by hand (RFC 8221 section 3)", algorithm.name),
                          "use aes-256-cbc-hmac-sha2-256, or for a test set unsafe-manual-aead = true");
        if (algorithm.unique_nonce() && allowed)
            problems_.warn(item.place_of(connection_unsafe_manual_aead), item.path(connection_unsafe_manual_aead),
                           std::format("{} with keys given by hand: a sequence number used twice gives the traffic away", algorithm.name),
                           "for demonstrations and tests only");
        if (!algorithm.unique_nonce() && allowed)
            problems_.add(item.place_of(connection_unsafe_manual_aead), item.path(connection_unsafe_manual_aead),
                          std::format("{} needs no such permission", algorithm.name), "leave the key out");
    }

    void addresses(const Item& item, SaSpec& sa) {
        const auto* local = item.get<Address>(connection_local);
        const auto* remote = item.get<Address>(connection_remote);
        bool good = local != nullptr && remote != nullptr;
        for (const auto& [address, key] : {std::pair(local, connection_local), std::pair(remote, connection_remote)})
            if (address != nullptr && !unusable(*address).empty()) {
                problems_.add(item.place_of(key), item.path(key), std::format("{} is {}", to_string(*address), unusable(*address)));
                good = false;
            }
        if (good && local->family != remote->family)
            problems_.add(item.place_of(connection_remote), item.path(connection_remote),
                          std::format("{} is {}, but local is {}", to_string(*remote), name_of(remote->family), name_of(local->family)),
                          "both outer addresses are of one family; the networks inside may be of any");
        else if (good && *local == *remote)
            problems_.add(item.place_of(connection_remote), item.path(connection_remote),
                          std::format("{} is also the local address", to_string(*remote)));
        const auto outer = vpn_of(item, connection_outer_vpn);
        if (outer && !black_vpns_.contains(*outer) && !black_vpns_.empty())
            problems_.add(item.place_of(connection_outer_vpn), item.path(connection_outer_vpn),
                          std::format("no black port carries the VPN \"{}\"", item.text(connection_outer_vpn)),
                          "name it at a [port.NAME] with role = \"black\"");
        sa.outer_vpn = outer.value_or(wan_vpn);
        if (local != nullptr) sa.outer_local = *local;
        if (remote != nullptr) sa.outer_remote = *remote;
        if (good && local->family == Family::ipv6 && sa.mtu != 0 && sa.mtu < 1280)
            problems_.add(item.place_of(connection_mtu), item.path(connection_mtu),
                          std::format("expected at least 1280 over IPv6 (RFC 8200 section 5), found {}", sa.mtu));
        if (good) listened(item, *local, sa.outer_vpn);
    }

    /// Where every black port of the outer VPN says at which addresses it listens, the local address is one of them.
    void listened(const Item& item, const Address& local, VpnNumber outer) {
        bool ports = false;
        for (const PortSpec& port : desired_.ports) {
            if (port.role != Role::black || std::ranges::none_of(port.vlans, [&](const VlanSpec& vlan) { return vlan.vpn == outer; }))
                continue;
            ports = true;
            if (port.listen.empty() || std::ranges::find(port.listen, local) != port.listen.end()) return;
        }
        if (ports)
            problems_.add(item.place_of(connection_local), item.path(connection_local),
                          std::format("no black port listens at {}", to_string(local)),
                          "add it to listen of the port, or leave listen out");
    }

    struct TrafficKeys {
        Key local, remote, protocol, local_ports, remote_ports, icmp_type, icmp_code, mobility_type;
    };

    Traffic traffic_of(const Item& item, TrafficKeys keys) {
        Traffic traffic;
        traffic.item = &item;
        if (const auto* local = item.get<std::vector<AddressRange>>(keys.local)) traffic.local = *local;
        if (const auto* remote = item.get<std::vector<AddressRange>>(keys.remote)) traffic.remote = *remote;
        traffic.protocol = static_cast<std::uint8_t>(item.number(keys.protocol));
        for (const auto& [key, range] :
             {std::pair(keys.local_ports, &traffic.local_ports), std::pair(keys.remote_ports, &traffic.remote_ports)}) {
            const auto* given = item.get<PortRange>(key);
            if (given == nullptr) continue;
            *range = *given;
            if (!has_ports(traffic.protocol))
                wrong_protocol(item, key, keys, "ports go", "\"tcp\", \"udp\", \"sctp\", \"dccp\" or \"udplite\"");
        }
        if ((traffic.local_ports.opaque() && traffic.remote_ports.named()) ||
            (traffic.remote_ports.opaque() && traffic.local_ports.named()))
            problems_.add(item.place_of(keys.local_ports), item.path(keys.local_ports),
                          "a packet shows the ports of both sides or of none: nothing would match", "make both \"opaque\", or neither");
        types_of(item, keys, traffic);
        wrong_family(item, traffic);
        return traffic;
    }

    void wrong_family(const Item& item, const Traffic& traffic) {
        const std::uint8_t protocol = traffic.protocol;
        if (protocol != 1 && protocol != 58 && protocol != 135 && protocol != opaque_protocol) return;
        const Family family = protocol == 1 ? Family::ipv4 : Family::ipv6;
        const auto of_it = [&](const AddressRange& range) { return range.first.family == family; };
        if (!traffic.local.empty() && std::ranges::none_of(traffic.local, of_it))
            problems_.warn(item.place, item.path(),
                           std::format("nothing matches: it names a protocol of {} and no network of {}", name_of(family), name_of(family)),
                           "use \"icmp\" with IPv4, \"icmpv6\" with IPv6");
    }

    void wrong_protocol(const Item& item, Key key, const TrafficKeys& keys, std::string_view what, std::string_view which) {
        if (item.find(keys.protocol) != nullptr)
            problems_.add(item.place_of(key), item.path(key), std::format("{} with a protocol that has them", what),
                          std::format("set protocol to {}", which));
    }

    /// ICMP types and codes, and types of Mobility Headers: the same for what either side sends.
    void types_of(const Item& item, const TrafficKeys& keys, Traffic& traffic) {
        const auto octet = [](std::uint16_t value) { return static_cast<std::uint8_t>(value); };
        const auto* icmp = item.get<PortRange>(keys.icmp_type);
        const auto* code = item.get<PortRange>(keys.icmp_code);
        const auto* mobility = item.get<PortRange>(keys.mobility_type);
        if (icmp != nullptr && traffic.protocol != 1 && traffic.protocol != 58)
            wrong_protocol(item, keys.icmp_type, keys, "types go", "\"icmp\" or \"icmpv6\"");
        else if (icmp != nullptr && code != nullptr && !icmp->opaque())
            traffic.local_ports = type_range(octet(icmp->first), octet(icmp->last), octet(code->first), octet(code->last));
        else if (icmp != nullptr)
            traffic.local_ports = icmp->opaque() ? *icmp : type_range(octet(icmp->first), octet(icmp->last));
        if (code != nullptr && (icmp == nullptr ? !item.given(keys.icmp_type) : icmp->opaque()))
            problems_.add(item.place_of(keys.icmp_code), item.path(keys.icmp_code), "a code goes with a type", "set icmp-type to a number");
        if (mobility != nullptr && traffic.protocol != 135)
            wrong_protocol(item, keys.mobility_type, keys, "types of Mobility Headers go", "\"mobility\"");
        else if (mobility != nullptr)
            traffic.local_ports = mobility->opaque() ? *mobility : type_range(octet(mobility->first), octet(mobility->last));
        if (has_type(traffic.protocol)) traffic.remote_ports = traffic.local_ports;
    }

    /// The product of both lists by family; a network without a partner on the other side is a mistake in a connection.
    std::vector<Selector> selectors_of(const Item& item, const Traffic& traffic, Key local_key, Key remote_key) {
        std::vector<Selector> result;
        if (traffic.local.empty() || traffic.remote.empty()) return result;
        bool good = true;
        const auto partners = [&](const std::vector<AddressRange>& from, const std::vector<AddressRange>& to, Key key) {
            const Value* value = item.find(key);
            for (std::size_t i = 0; i < from.size(); ++i) {
                const Family family = from[i].first.family;
                if (std::ranges::any_of(to, [&](const AddressRange& other) { return other.first.family == family; }) || !value->given)
                    continue;
                problems_.add(value->places[i], item.path(key),
                              std::format("{} has no network of {} on the other side", to_string(from[i]), name_of(family)));
                good = false;
            }
        };
        partners(traffic.local, traffic.remote, local_key);
        partners(traffic.remote, traffic.local, remote_key);
        for (const AddressRange& local : traffic.local)
            for (const AddressRange& remote : traffic.remote)
                if (local.first.family == remote.first.family && good && result.size() <= most_selectors)
                    result.push_back({local, remote, traffic.protocol, traffic.local_ports, traffic.remote_ports});
        if (result.size() > most_selectors) {
            problems_.add(item.place_of(local_key), item.path(),
                          std::format("local and remote networks make more than {} pairs", most_selectors),
                          "join networks or make several connections");
            result.clear();
        }
        return result;
    }

    void take_key(const Item& item, Key inline_key, Key file_key, SaSpec& sa) {
        if (item.given(inline_key) && item.given(file_key)) {
            problems_.add(item.place_of(file_key), item.path(file_key),
                          std::format("{} is given as well, in {}", info(inline_key).name, problems_.text(item.place_of(inline_key))),
                          "remove one");
            return;
        }
        if (!item.given(inline_key) && !item.given(file_key)) {
            problems_.add(item.place, item.path(inline_key),
                          std::format("this key is missing; expected {} or {}", info(inline_key).name, info(file_key).name),
                          std::format("make one by: openssl rand -hex {}", info(sa.algorithm).material()));
            return;
        }
        const Key which = item.given(file_key) ? file_key : inline_key;
        if (const auto* given = item.get<KeyMaterial>(inline_key)) {
            sa.key = *given;
        } else if (which == file_key && !item.text(file_key).empty()) {
            auto read = key_files_(key_path_of(item, file_key));
            if (!read) {
                problems_.add(item.place_of(file_key), item.path(file_key), read.error().sentence, read.error().remedy);
                return;
            }
            sa.key = *read;
        } else {
            return;
        }
        const AlgorithmInfo& algorithm = info(sa.algorithm);
        if (item.find(connection_algorithm) == nullptr || sa.key.size == algorithm.material()) return;
        problems_.add(item.place_of(which), item.path(which),
                      std::format("the key has {} octets, {} takes exactly {} ({}), that is {} hexadecimal digits", sa.key.size,
                                  algorithm.name, algorithm.material(), parts_of(algorithm), 2 * algorithm.material()),
                      std::format("make one by: openssl rand -hex {}", algorithm.material()));
        sa.key.size = 0;
    }

    static std::string parts_of(const AlgorithmInfo& algorithm) {
        if (algorithm.cipher == Cipher::null) return std::format("integrity key {}", algorithm.integrity_key);
        return std::format("cipher key {}, then {} {}", algorithm.key, algorithm.unique_nonce() ? "salt" : "integrity key",
                           algorithm.unique_nonce() ? algorithm.salt : algorithm.integrity_key);
    }

    std::string key_path_of(const Item& item, Key key) const {
        std::string path(item.text(key));
        if (path.starts_with('/')) return path;
        const std::string& file = files_[item.place_of(key).file];
        const std::size_t slash = file.rfind('/');
        return slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
    }

    void policies() {
        for (const Item* item : all(Section::policy)) {
            const std::string_view action = item->text(policy_action);
            Traffic traffic = traffic_of(*item, {policy_local_networks, policy_remote_networks, policy_protocol, policy_local_ports,
                                                 policy_remote_ports, policy_icmp_type, policy_icmp_code, policy_mobility_type});
            traffic.priority = static_cast<std::uint32_t>(item->number(policy_priority));
            traffic.action = action == "protect"  ? PolicyAction::protect
                             : action == "bypass" ? PolicyAction::bypass
                                                  : PolicyAction::discard;
            const std::string_view direction = item->text(policy_direction);
            traffic.reach = direction == "out" ? PolicyReach::outbound : direction == "in" ? PolicyReach::inbound : PolicyReach::both;
            if (traffic.action == PolicyAction::protect && traffic.reach != PolicyReach::both)
                problems_.add(item->place_of(policy_direction), item->path(policy_direction), "a connection carries both directions",
                              "leave the key out");
            if (find(Section::connection, item->name) != nullptr)
                problems_.add(item->place, item->path(), "a connection has this name, and its policy bears it", "choose another name");
            const std::string_view connection_name = item->text(policy_connection);
            const Item* connection = connection_name.empty() ? nullptr : find(Section::connection, connection_name);
            if (!action.empty()) policy_connection_rule(*item, traffic.action, connection);
            const auto vpn = vpn_of(*item, policy_vpn, connection != nullptr ? connection->text(connection_vpn) : "wan");
            if (connection != nullptr && item->given(policy_vpn) && vpn && item->text(policy_vpn) != connection->text(connection_vpn))
                problems_.add(item->place_of(policy_vpn), item->path(policy_vpn),
                              std::format("{} is of the VPN \"{}\"", connection->path(), connection->text(connection_vpn)),
                              "leave the key out");
            else if (vpn && !red_vpns_.contains(*vpn) && !red_vpns_.empty())
                problems_.add(item->place_of(policy_vpn), item->path(policy_vpn), "no red port carries this VPN",
                              "name it at a [port.NAME] with role = \"red\"");
            traffic.vpn = vpn.value_or(wan_vpn);
            if (connection != nullptr) traffic.sa = connection->name;
            PolicySpec policy{item->name, traffic.vpn, traffic.priority, traffic.action,
                              {},         traffic.sa,  traffic.reach,    problems_.text(item->place)};
            policy.selectors = selectors_of(*item, traffic, policy_local_networks, policy_remote_networks);
            if (vpn && !action.empty() && !policy.selectors.empty()) traffic_.push_back(traffic);
            desired_.policies.push_back(std::move(policy));
        }
    }

    void policy_connection_rule(const Item& item, PolicyAction action, const Item* connection) {
        const std::string_view name = item.text(policy_connection);
        if (action == PolicyAction::protect && !item.given(policy_connection))
            problems_.add(item.place, item.path(policy_connection),
                          "this key is missing; protect needs the connection that carries the traffic");
        else if (action != PolicyAction::protect && item.given(policy_connection))
            problems_.add(item.place_of(policy_connection), item.path(policy_connection), "only protect goes with a connection",
                          "leave the key out");
        else if (!name.empty() && connection == nullptr)
            problems_.add(item.place_of(policy_connection), item.path(policy_connection),
                          std::format("there is no connection \"{}\"", name), did_you_mean(Section::connection, name));
    }

    /// What a protect policy sends into a connection may also come out of it.
    void inbound_selectors() {
        std::map<std::string_view, std::vector<const PolicySpec*>> further;
        for (const PolicySpec& policy : desired_.policies)
            if (policy.action == PolicyAction::protect && policy.name != policy.sa) further[policy.sa].push_back(&policy);
        for (SaSpec& sa : desired_.sas)
            if (const auto found = further.find(sa.name); found != further.end())
                for (const PolicySpec* policy : found->second)
                    for (const Selector& selector : policy->selectors)
                        if (std::ranges::find(sa.selectors, selector) == sa.selectors.end() && sa.selectors.size() < 2 * most_selectors)
                            sa.selectors.push_back(selector);
    }

    /// After all selectors are known.
    void kinds() {
        for (std::size_t i = 0; i < desired_.sas.size(); ++i) {
            const std::string_view why = fault_of_kind(desired_.sas[i]);
            const Item& item = *sa_items_[i];
            if (why.empty() || (i != 0 && sa_items_[i - 1] == &item && !fault_of_kind(desired_.sas[i - 1]).empty())) continue;
            const Key key = desired_.sas[i].mode != SaMode::tunnel ? connection_mode : connection_security_protocol;
            problems_.add(item.place_of(key), item.path(key), std::string(why.substr(0, why.size() - 1)));
        }
    }

    void ike() {
        Item none;
        none.section = Section::ike;
        const auto found = all(Section::ike);
        const Item& item = found.empty() ? none : *found[0];
        IkeLimits& to = desired_.ike;
        if (const auto* peers = item.get<std::vector<Address>>(ike_peers)) to.peers = *peers;
        std::set<Address> known(to.peers.begin(), to.peers.end());
        for (const SaSpec& sa : desired_.sas)
            if (known.insert(sa.outer_remote).second) to.peers.push_back(sa.outer_remote);
        const auto rate = [&](Key key, std::uint32_t& value) { value = static_cast<std::uint32_t>(item.number(key, value)); };
        rate(ike_peer_rate, to.peer_rate);
        rate(ike_peer_burst, to.peer_burst);
        rate(ike_prefix_rate, to.prefix_rate);
        rate(ike_prefix_burst, to.prefix_burst);
        rate(ike_machine_rate, to.machine_rate);
        rate(ike_machine_burst, to.machine_burst);
    }

    const std::vector<Item>& items_;
    const std::vector<std::string>& files_;
    const KeyFiles& key_files_;
    Problems& problems_;
    Desired desired_;
    std::map<std::string, VpnNumber, std::less<>> vpn_numbers_;
    std::set<VpnNumber> red_vpns_, black_vpns_;
    std::vector<const Item*> sa_items_; // beside desired_.sas
    std::vector<Traffic> traffic_;
};

} // namespace

Desired build(const std::vector<Item>& items, const std::vector<std::string>& files, const KeyFiles& key_files, Problems& problems) {
    return Builder(items, files, key_files, problems).build();
}

} // namespace sallyport::config
