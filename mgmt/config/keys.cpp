// SPDX-License-Identifier: Apache-2.0
#include "mgmt/config/keys.hpp"

#include "gateway/sa/sa.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <format>

namespace sallyport::config {
namespace {

constexpr std::int64_t u16 = 65535;
constexpr std::int64_t u32 = 4294967295;
constexpr std::string_view all_algorithms = "aes-128-gcm aes-192-gcm aes-256-gcm chacha20-poly1305 aes-128-cbc-hmac-sha2-256 "
                                            "aes-192-cbc-hmac-sha2-256 aes-256-cbc-hmac-sha2-256 aes-128-cbc-hmac-sha2-384 "
                                            "aes-192-cbc-hmac-sha2-384 aes-256-cbc-hmac-sha2-384 aes-128-cbc-hmac-sha2-512 "
                                            "aes-192-cbc-hmac-sha2-512 aes-256-cbc-hmac-sha2-512 aes-128-ccm aes-192-ccm "
                                            "aes-256-ccm aes-128-ccm-8 aes-192-ccm-8 aes-256-ccm-8 null-aes-128-gmac "
                                            "null-aes-192-gmac null-aes-256-gmac null-hmac-sha2-256 null-hmac-sha2-384 "
                                            "null-hmac-sha2-512 aes-128-gcm-iiv aes-192-gcm-iiv aes-256-gcm-iiv "
                                            "aes-128-ccm-8-iiv aes-192-ccm-8-iiv aes-256-ccm-8-iiv chacha20-poly1305-iiv "
                                            "null-aes-cmac";

constexpr std::array section_table{
    SectionInfo{Section::gateway, "gateway", false, "The gateway as a whole. It may be left out."},
    SectionInfo{Section::port, "port", true,
                "A network device that belongs to the gateway. At least one black port (towards the peers) and one red port (towards the "
                "protected networks) are needed."},
    SectionInfo{
        Section::vpn, "vpn", true,
        "A VPN: a routing table of the kernel, named. The VPN \"wan\" is always there; it is the main table unless said otherwise."},
    SectionInfo{
        Section::connection, "connection", true,
        "A tunnel to a peer with keys given by hand: one SA each way and the policy that sends traffic into it. Keys given by hand are "
        "never renewed; keep them for tests and for peers without IKE."},
    SectionInfo{Section::policy, "policy", true,
                "A further entry of the security policy database (RFC 4301 4.4.1). The policy of lowest priority number that matches "
                "decides; what none matches is discarded."},
    SectionInfo{
        Section::ike, "ike", false,
        "How many IKE messages are let in, by token buckets in the kernel: a request that opens an exchange counts for its peer, then "
        "for its network (/24 or /48), then for the machine. It may be left out."},
};

using enum Section;
using enum Type;
using enum Key;

constexpr std::array key_table{
    KeyInfo{
        gateway_cores, gateway, "cores", integers, false, "", 0, 1023, "",
        "The processor cores that workers are pinned to, one worker each. Without it there is one worker a queue, spread over the cores "
        "that the process may use."},
    KeyInfo{
        gateway_queues, gateway, "queues", integer, false, "", 1, 64, "",
        "How many queues every port has and uses. Without it one a core that the process may use, or as many as the port with the fewest "
        "has where these are fewer."},
    KeyInfo{gateway_spin, gateway, "spin", boolean, false, "false", 0, 0, "",
            "Workers never sleep. It lowers the delay of a packet after silence, and every worker then uses its core whole."},
    KeyInfo{gateway_frames, gateway, "frames", integer, false, "16384", 1024, 4194304, "",
            "Chunks of packet memory for all ports together; one packet takes one of 4096 octets."},
    KeyInfo{gateway_run_directory, gateway, "run-directory", path, false, "\"/run/sallyport\"", 0, 0, "",
            "Where the control socket and what is pinned of BPF lie."},
    KeyInfo{gateway_state_directory, gateway, "state-directory", path, false, "\"/var/lib/sallyport\"", 0, 0, "",
            "Where the durable marks of sequence numbers lie. It must survive a reboot: a connection whose marks are lost needs new keys."},
    KeyInfo{gateway_icmp_error_rate, gateway, "icmp-error-rate", integer, false, "100", 0, 100000, "",
            "How many ICMP errors a second the sources of dropped packets get in each VPN: packet too big as many, and all others together "
            "as many; in all VPNs ten times as many. 0: none, so that senders find the size of the path by themselves or not at all."},
    KeyInfo{gateway_icmp_prohibited, gateway, "icmp-prohibited", boolean, false, "false", 0, 0, "",
            "Sources on the red side are told, too, that the policy discards their packets (RFC 4301 5.1.1), instead of silence."},

    KeyInfo{port_interface, port, "interface", interface, false, "", 0, 0, "",
            "The name of the network device. Without it NAME of [port.NAME]."},
    KeyInfo{port_role, port, "role", word, true, "", 0, 0, "black red",
            "black: towards the peers, only what IPsec and IKE need is taken. red: towards a protected network, every packet meets the "
            "policy."},
    KeyInfo{port_vpn, port, "vpn", name, false, "", 0, 0, "",
            "The VPN of frames without a VLAN tag. Without it \"wan\", or, where the port has vlans, such frames are dropped."},
    KeyInfo{port_vlans, port, "vlans", vlans, false, "", 1, 4094, "",
            "VLANs on this port and the VPN of each, such as { 7 = \"office\", 8 = \"lab\" }. Frames of other VLANs are dropped. A VLAN "
            "without an interface of the kernel is written { vpn = \"lab\", addresses = [\"192.0.2.1/24\"] }: the gateway then answers "
            "ARP, neighbour discovery and echo requests for these addresses itself and looks for next hops itself; routes by way of them "
            "lie in the VPN's table and name the port's own interface (ip route add 198.51.100.0/24 via 192.0.2.254 dev PORT onlink "
            "table N)."},
    KeyInfo{port_listen, port, "listen", addresses, false, "", 0, 0, "",
            "Black port: the local addresses at which ESP and IKE are taken. Without it every address of the port."},
    KeyInfo{
        port_tags_beside_frame, port, "tags-beside-frame", boolean, false, "true", 0, 0, "",
        "Some drivers (veth) keep a VLAN tag beside the frame, where AF_XDP does not see it. From Linux 6.8 on, in native mode, a program "
        "bound to the device reads such tags all the same, and a tag that is not configured is dropped. With false, and where that does "
        "not work, a port with vlans is refused, and one without starts with a warning, since a tagged frame comes in as if it had no "
        "tag."},

    KeyInfo{
        vpn_table, vpn, "table", integer, false, "", 1, u32, "",
        "The kernel's routing table of this VPN (ip route show table N); 254 is the main table, 255 cannot be used. Needed for every VPN "
        "but \"wan\"."},
    KeyInfo{vpn_number, vpn, "number", integer, false, "", 0, u16, "",
            "The VPN's number in what the gateway shows; 0 is \"wan\". Without it the next that is free."},

    KeyInfo{connection_local, connection, "local", address, true, "", 0, 0, "",
            "This gateway's address on the black side, the outer source of what is sent."},
    KeyInfo{connection_remote, connection, "remote", address, true, "", 0, 0, "", "The peer's address, of the same family as local."},
    KeyInfo{connection_vpn, connection, "vpn", name, false, "\"wan\"", 0, 0, "", "The VPN of the protected networks."},
    KeyInfo{connection_outer_vpn, connection, "outer-vpn", name, false, "\"wan\"", 0, 0, "", "The VPN of the way to the peer."},
    KeyInfo{connection_local_networks, connection, "local-networks", networks, true, "", 0, 0, "", "The protected networks on this side."},
    KeyInfo{connection_remote_networks, connection, "remote-networks", networks, true, "", 0, 0, "",
            "The protected networks on the peer's side. Every local network reaches every remote one of its family."},
    KeyInfo{connection_protocol, connection, "protocol", protocol, false, "\"any\"", 0, 255, "",
            "Only this upper-layer protocol is carried. \"opaque\": only IPv6 fragments that do not show it."},
    KeyInfo{connection_local_ports, connection, "local-ports", ports, false, "", 0, u16, "opaque",
            "Only these ports on this side; with a protocol that has ports. Without it all, fragments that do not show them included. "
            "\"opaque\": only those."},
    KeyInfo{connection_remote_ports, connection, "remote-ports", ports, false, "", 0, u16, "opaque",
            "Only these ports on the peer's side; with a protocol that has ports. Without it all."},
    KeyInfo{
        connection_icmp_type, connection, "icmp-type", ports, false, "", 0, 255, "opaque",
        "Only ICMP or ICMPv6 messages of this type, with protocol \"icmp\" or \"icmpv6\". Without it all. \"opaque\": only fragments that "
        "do not show it."},
    KeyInfo{
        connection_icmp_code, connection, "icmp-code", ports, false, "", 0, 255, "",
        "Only this code of icmp-type. With a range of types the first one's from the first code on, the last one's up to the last code, "
        "and all between (RFC 4301 4.4.1.1). Without it all."},
    KeyInfo{connection_mobility_type, connection, "mobility-type", ports, false, "", 0, 255, "opaque",
            "Only Mobility Headers of this type (RFC 6275), with protocol \"mobility\". Without it all."},
    KeyInfo{connection_priority, connection, "priority", integer, false, "1000", 0, u32, "",
            "The place of this connection's policy among the policies of its VPN; the lowest that matches decides."},
    KeyInfo{connection_security_protocol, connection, "security-protocol", word, false, "\"esp\"", 0, 0, "esp ah",
            "esp encrypts and authenticates (RFC 4303). ah authenticates the packet with its IP header and encrypts nothing (RFC 4302); it "
            "takes the algorithms whose names begin with null, and passes no NAT."},
    KeyInfo{
        connection_mode, connection, "mode", word, false, "\"tunnel\"", 0, 0, "tunnel transport beet",
        "tunnel: whole packets between the networks go inside packets between the gateways. transport: what the gateway itself says to the "
        "peer keeps its IP header; local-networks is local, and remote-networks is remote. beet: as a tunnel, but between one local and "
        "one "
        "remote address, whose packets leave their IP header at home (RFC 7402 appendix B). As at the peer. transport and beet carry no "
        "fragments."},
    KeyInfo{connection_algorithm, connection, "algorithm", word, false, "\"aes-256-cbc-hmac-sha2-256\"", 0, 0, all_algorithms,
            "How packets are encrypted and authenticated, as at the peer. null: authenticated only, for everyone to read. ccm and ccm-8: "
            "with an ICV of 16 and 8 octets. iiv: the IV is not sent, but is the sequence number (RFC 8750)."},
    KeyInfo{
        connection_unsafe_manual_aead, connection, "unsafe-manual-aead", boolean, false, "false", 0, 0, "",
        "Allows a gcm, ccm, gmac or chacha20-poly1305 algorithm with keys given by hand, which RFC 8221 section 3 forbids: one sequence "
        "number used twice, by a restored backup or by a second machine with the same file, gives the traffic away. For demonstrations and "
        "tests."},
    KeyInfo{connection_spi_in, connection, "spi-in", integer, true, "", 256, u32, "",
            "SPI of what the peer sends to us; the peer's spi-out. Unique among the connections of its outer-vpn."},
    KeyInfo{connection_spi_out, connection, "spi-out", integer, true, "", 256, u32, "",
            "SPI of what we send to the peer; the peer's spi-in."},
    KeyInfo{
        connection_key_in, connection, "key-in", key, false, "", 0, 0, "",
        "Key of what the peer sends to us: cipher key, then salt (gcm, chacha20-poly1305) or integrity key (cbc). A file that holds keys "
        "must not be readable by other users. Better is key-in-file."},
    KeyInfo{connection_key_out, connection, "key-out", key, false, "", 0, 0, "",
            "Key of what we send to the peer, in the same form; never the same as key-in. Better is key-out-file."},
    KeyInfo{
        connection_key_in_file, connection, "key-in-file", key_path, false, "", 0, 0, "",
        "A file with nothing but key-in in hexadecimal digits. It must belong to root or the gateway's user, and must not be readable by "
        "other users."},
    KeyInfo{connection_key_out_file, connection, "key-out-file", key_path, false, "", 0, 0, "", "A file with nothing but key-out."},
    KeyInfo{connection_esn, connection, "esn", boolean, false, "true", 0, 0, "",
            "Extended (64-bit) sequence numbers (RFC 4303 2.2.1), as at the peer. Without them a connection ends after 2^32 packets."},
    KeyInfo{connection_replay_window, connection, "replay-window", integer, false, "1024", 32, 65536, "",
            "How many packets one may arrive late, a power of two."},
    KeyInfo{connection_dscp, connection, "dscp", dscp, false, "\"copy\"", 0, 63, "",
            "DSCP of the outer header: copied from the inner one, or a fixed number."},
    KeyInfo{connection_df, connection, "df", word, false, "\"copy\"", 0, 0, "copy set clear",
            "Don't Fragment in an outer IPv4 header: copied from the inner one, always set or never."},
    KeyInfo{
        connection_fragment, connection, "fragment", word, false, "\"before\"", 0, 0, "before after",
        "Where an IPv4 packet without Don't Fragment that is too large for the tunnel is cut. before: into pieces, each sealed; the "
        "receiving host puts them together. after: it is sealed whole and the sealed packet is cut, whatever df says; the peer puts it "
        "together, which costs it memory, and a lost piece costs the whole. IPv6 packets are never cut inside a tunnel, but one of up to "
        "1280 octets that does not fit is sealed whole and cut (RFC 8200 section 5)."},
    KeyInfo{connection_udp_port, connection, "udp-port", integer, false, "0", 0, u16, "",
            "ESP goes in UDP (RFC 3948), from port 4500 to this port of the peer: 4500 unless a NAT on the way has another one for it. 0: "
            "not in "
            "UDP. What comes from the peer is taken in both forms, whatever this says."},
    KeyInfo{
        connection_nat_keepalive, connection, "nat-keepalive", integer, false, "20", 0, longest_keepalive, "",
        "With udp-port: after so many seconds in which nothing has gone to the peer, a datagram of one octet does, so that a NAT keeps its "
        "mapping (RFC 3948 section 4). 0: never."},
    KeyInfo{
        connection_tfc_padding, connection, "tfc-padding", integer, false, "0", 0, u16, "",
        "Inner packets are filled up with zeros to a multiple of so many octets, so that their sizes tell less (RFC 4303 section 2.7): a "
        "multiple of 16 up to 4064. 65535: always to the largest packet that fits the tunnel. 0: not at all."},
    KeyInfo{connection_mtu, connection, "mtu", integer, false, "", 576, u16, "",
            "The largest outer packet in octets; at least 1280 over IPv6. Without it what the route says. What ICMP tells of the path is "
            "heeded below it."},
    KeyInfo{
        connection_clamp_mss, connection, "clamp-mss", clamp, false, "true", 536, 65000, "",
        "The largest segment that TCP connections inside may use (MSS): in packets that open one, in both directions, a larger one is "
        "lowered. true: to what fits through the tunnel at that moment. A number: to so many octets. false: it is left alone. Options that "
        "TCP-AO authenticates are never changed."},
    KeyInfo{connection_hop_limit, connection, "hop-limit", integer, false, "64", 1, 255, "", "TTL or hop limit of the outer header."},
    KeyInfo{connection_dummies, connection, "dummies", integer, false, "0", 0, 10000, "",
            "Dummy packets a second (RFC 4303 2.6) that hide how much is said. 0: none."},

    KeyInfo{policy_action, policy, "action", word, true, "", 0, 0, "protect bypass discard",
            "protect: through the connection named. bypass: forwarded in clear. discard: dropped and counted."},
    KeyInfo{policy_vpn, policy, "vpn", name, false, "", 0, 0, "", "The VPN it belongs to. Without it the connection's, or \"wan\"."},
    KeyInfo{policy_connection, policy, "connection", name, false, "", 0, 0, "", "With protect: the connection that carries the traffic."},
    KeyInfo{policy_priority, policy, "priority", integer, false, "2000", 0, u32, "",
            "The lowest number that matches decides; as it is, connections (1000) come before. Policies of one VPN that overlap and do "
            "different things need different priorities."},
    KeyInfo{policy_local_networks, policy, "local-networks", networks, false, "[ \"0.0.0.0/0\", \"::/0\" ]", 0, 0, "",
            "Addresses on the red side of this gateway."},
    KeyInfo{policy_remote_networks, policy, "remote-networks", networks, false, "[ \"0.0.0.0/0\", \"::/0\" ]", 0, 0, "",
            "Addresses on the other side."},
    KeyInfo{policy_protocol, policy, "protocol", protocol, false, "\"any\"", 0, 255, "", "Only this upper-layer protocol."},
    KeyInfo{
        policy_local_ports, policy, "local-ports", ports, false, "", 0, u16, "opaque",
        "Only these ports on this side. Without it all, fragments that do not show them included. \"opaque\": only those; such a policy "
        "belongs before those that name ports."},
    KeyInfo{policy_remote_ports, policy, "remote-ports", ports, false, "", 0, u16, "opaque",
            "Only these ports on the other side. Without it all."},
    KeyInfo{
        policy_icmp_type, policy, "icmp-type", ports, false, "", 0, 255, "opaque",
        "Only ICMP or ICMPv6 messages of this type, with protocol \"icmp\" or \"icmpv6\". Without it all. \"opaque\": only fragments that "
        "do not show it."},
    KeyInfo{
        policy_icmp_code, policy, "icmp-code", ports, false, "", 0, 255, "",
        "Only this code of icmp-type. With a range of types the first one's from the first code on, the last one's up to the last code, "
        "and all between (RFC 4301 4.4.1.1). Without it all."},
    KeyInfo{policy_mobility_type, policy, "mobility-type", ports, false, "", 0, 255, "opaque",
            "Only Mobility Headers of this type (RFC 6275), with protocol \"mobility\". Without it all."},
    KeyInfo{
        policy_direction, policy, "direction", word, false, "\"both\"", 0, 0, "both out in",
        "With bypass and discard: both, only what comes from the red side (out), or only what comes in clear from the black side (in). A "
        "discard that is in also keeps back what comes out of a tunnel."},

    KeyInfo{ike_peers, ike, "peers", addresses, false, "", 0, 0, "",
            "Peers with a bucket of their own. The remote address of every connection is among them anyway."},
    KeyInfo{ike_peer_rate, ike, "peer-rate", integer, false, "20", 1, 1000000, "", "Messages a second from one configured peer."},
    KeyInfo{ike_peer_burst, ike, "peer-burst", integer, false, "40", 1, 1000000, "", "Messages from one configured peer at once."},
    KeyInfo{ike_prefix_rate, ike, "prefix-rate", integer, false, "50", 1, 1000000, "", "Messages a second from one network."},
    KeyInfo{ike_prefix_burst, ike, "prefix-burst", integer, false, "100", 1, 1000000, "", "Messages from one network at once."},
    KeyInfo{ike_machine_rate, ike, "machine-rate", integer, false, "5000", 1, 1000000, "", "Messages a second in all."},
    KeyInfo{ike_machine_burst, ike, "machine-burst", integer, false, "10000", 1, 1000000, "", "Messages in all at once."},
};

constexpr bool in_order() {
    for (std::size_t i = 0; i < key_table.size(); ++i)
        if (static_cast<std::size_t>(key_table[i].key) != i) return false;
    for (std::size_t i = 0; i < section_table.size(); ++i)
        if (static_cast<std::size_t>(section_table[i].section) != i) return false;
    return true;
}

static_assert(in_order());

/// The words of `algorithm` are those of the algorithms' own table.
constexpr bool algorithms_named() {
    std::size_t at = 0;
    for (const AlgorithmInfo& row : algorithms) {
        if (all_algorithms.substr(at, row.name.size()) != row.name) return false;
        at += row.name.size() + 1;
    }
    return at == all_algorithms.size() + 1;
}

static_assert(algorithms_named());

std::string one_of(std::string_view words) {
    std::string result = "one of ";
    for (std::size_t at = 0; at < words.size();) {
        const std::size_t end = std::min(words.find(' ', at), words.size());
        result += std::format("{}\"{}\"", at == 0 ? "" : ", ", words.substr(at, end - at));
        at = end + 1;
    }
    return result;
}

} // namespace

std::span<const SectionInfo> sections() { return section_table; }

std::span<const KeyInfo> keys() { return key_table; }

const SectionInfo& info(Section section) { return section_table[static_cast<std::size_t>(section)]; }

const KeyInfo& info(Key key) { return key_table[static_cast<std::size_t>(key)]; }

std::string expected_text(const KeyInfo& key) {
    switch (key.type) {
    case Type::boolean: return "true or false";
    case Type::integer: return std::format("an integer from {} to {}", key.least, key.greatest);
    case Type::integers: return std::format("a list of integers from {} to {}", key.least, key.greatest);
    case Type::word: return one_of(key.words);
    case Type::name: return "a name in quotes";
    case Type::interface: return "the name of a network device, 1 to 15 characters in quotes";
    case Type::path: return "an absolute path in quotes";
    case Type::key_path: return "a path in quotes, absolute or from the folder of this file";
    case Type::address: return "an IPv4 or IPv6 address in quotes";
    case Type::addresses: return "a list of IPv4 or IPv6 addresses in quotes";
    case Type::networks: return "a list of networks in quotes, each \"192.0.2.0/24\", \"192.0.2.1-192.0.2.9\" or one address";
    case Type::protocol: return "\"any\", \"tcp\", \"udp\", \"icmp\", \"icmpv6\", \"sctp\", \"gre\", \"opaque\" or a number from 1 to 255";
    case Type::ports:
        return std::format("{}, or a range as \"{}\"{}", key.greatest > 255 ? "a port number" : "a number from 0 to 255",
                           key.greatest > 255 ? "1000-2000" : "3-5", key.words.empty() ? "" : std::format(", or \"{}\"", key.words));
    case Type::dscp: return "\"copy\" or a number from 0 to 63";
    case Type::clamp: return std::format("true, false or an integer from {} to {}", key.least, key.greatest);
    case Type::key: return "hexadecimal digits in quotes";
    case Type::vlans: return "a table of VLANs, such as { 7 = \"office\" }";
    }
    return {};
}

} // namespace sallyport::config
