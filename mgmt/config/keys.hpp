// SPDX-License-Identifier: Apache-2.0
// The one table of the configuration: every section and key, its type, default, range and meaning. The parser, its messages and
// sallyport.toml(5) are made from it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::config {

enum class Section : std::uint8_t { gateway, port, vpn, connection, policy, ike };

struct SectionInfo {
    Section section;
    std::string_view name;
    bool named; // [name.NAME], as many as wanted; else [name], once
    std::string_view meaning;
};

enum class Type : std::uint8_t {
    boolean,
    integer,   // least to greatest
    integers,  // a list of them, or one
    word,      // one of `words`, divided by spaces
    name,      // of another section
    interface, // of a network device
    path,      // absolute
    key_path,  // absolute, or relative to the folder of the configuration file
    address,
    addresses, // a list, or one
    networks,  // a list, or one: prefix, range "first-last" or address
    protocol,  // name or number
    ports,     // number or range "first-last", from least to greatest, or one of `words`
    dscp,      // "copy" or a number
    clamp,     // true, false or a number
    key,       // hexadecimal digits; never shown
    vlans,     // table of VLAN id = VPN
};

enum class Key : std::uint8_t {
    gateway_cores,
    gateway_queues,
    gateway_spin,
    gateway_frames,
    gateway_run_directory,
    gateway_state_directory,
    gateway_icmp_error_rate,
    gateway_icmp_prohibited,
    port_interface,
    port_role,
    port_vpn,
    port_vlans,
    port_listen,
    port_tags_beside_frame,
    vpn_table,
    vpn_number,
    connection_local,
    connection_remote,
    connection_vpn,
    connection_outer_vpn,
    connection_local_networks,
    connection_remote_networks,
    connection_protocol,
    connection_local_ports,
    connection_remote_ports,
    connection_icmp_type,
    connection_icmp_code,
    connection_mobility_type,
    connection_priority,
    connection_security_protocol,
    connection_mode,
    connection_algorithm,
    connection_unsafe_manual_aead,
    connection_spi_in,
    connection_spi_out,
    connection_key_in,
    connection_key_out,
    connection_key_in_file,
    connection_key_out_file,
    connection_esn,
    connection_replay_window,
    connection_dscp,
    connection_df,
    connection_fragment,
    connection_udp_port,
    connection_nat_keepalive,
    connection_tfc_padding,
    connection_mtu,
    connection_clamp_mss,
    connection_hop_limit,
    connection_dummies,
    policy_action,
    policy_vpn,
    policy_connection,
    policy_priority,
    policy_local_networks,
    policy_remote_networks,
    policy_protocol,
    policy_local_ports,
    policy_remote_ports,
    policy_icmp_type,
    policy_icmp_code,
    policy_mobility_type,
    policy_direction,
    ike_peers,
    ike_peer_rate,
    ike_peer_burst,
    ike_prefix_rate,
    ike_prefix_burst,
    ike_machine_rate,
    ike_machine_burst,
};

struct KeyInfo {
    Key key;
    Section section;
    std::string_view name;
    Type type;
    bool required;
    std::string_view fallback; // as it would stand in the file; empty: none
    std::int64_t least, greatest;
    std::string_view words; // of Type::word and Type::ports
    std::string_view meaning;
};

[[nodiscard]] std::span<const SectionInfo> sections();
[[nodiscard]] std::span<const KeyInfo> keys(); // in the order of Key: keys()[index of Key]
[[nodiscard]] const SectionInfo& info(Section section);
[[nodiscard]] const KeyInfo& info(Key key);
/// What may stand there, "an integer from 256 to 4294967295": for messages and the manual.
[[nodiscard]] std::string expected_text(const KeyInfo& key);

} // namespace sallyport::config
