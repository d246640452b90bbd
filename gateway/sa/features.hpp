// SPDX-License-Identifier: Apache-2.0
// What Sallyport can do, one line a feature: `sallyport features` and the table in README.md are printed from it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport {

enum class FeatureState : std::uint8_t {
    complete, // what the document asks for is there
    partial,  // `note` says what is missing
};

struct Feature {
    std::string_view name;
    std::string_view source; // RFC, or draft with its revision
    FeatureState state;
    std::string_view room; // folder where it lives
    std::string_view note; // limits; may be empty
};

inline constexpr std::array features{
    Feature{"ESP, tunnel mode, IPv4 and IPv6 in either", "RFC 4303", FeatureState::complete, "gateway/transform", ""},
    Feature{"ESP, transport mode, with the checksum rules of NAT", "RFC 4303 section 3.1.1, RFC 7296 section 2.23.1",
            FeatureState::complete, "gateway/mode", "what the gateway itself says to its peer"},
    Feature{"ESP, BEET mode", "RFC 7402 appendix B", FeatureState::complete, "gateway/mode",
            "between one local and one remote address; the flow label is the SA's own"},
    Feature{"AH, tunnel and transport mode", "RFC 4302", FeatureState::complete, "gateway/transform",
            "no source routes, routing or fragment headers before it"},
    Feature{"ESP in UDP, both forms taken at any time, keepalives", "RFC 3948", FeatureState::partial, "gateway/mode",
            "the peer's address does not change by itself"},
    Feature{"AES-GCM-16, 128, 192 and 256 bits", "RFC 4106", FeatureState::complete, "gateway/transform",
            "with manual keys only for tests (RFC 8221)"},
    Feature{"ChaCha20-Poly1305", "RFC 7634", FeatureState::complete, "gateway/transform", "with manual keys only for tests (RFC 8221)"},
    Feature{"AES-CCM-16 and -8, 128, 192 and 256 bits", "RFC 4309", FeatureState::complete, "gateway/transform",
            "with manual keys only for tests (RFC 8221); ICVs of 12 octets are not there"},
    Feature{"AES-GCM, AES-CCM-8 and ChaCha20-Poly1305 with implicit IV", "RFC 8750", FeatureState::complete, "gateway/transform",
            "likewise"},
    Feature{"AES-CBC, 128, 192 and 256 bits", "RFC 3602", FeatureState::complete, "gateway/transform", "always with HMAC-SHA2"},
    Feature{"NULL encryption with AES-GMAC, 128, 192 and 256 bits", "RFC 4543", FeatureState::complete, "gateway/transform",
            "the IV is part of the AAD, as all others have it; with manual keys only for tests; with AH too"},
    Feature{"NULL encryption with HMAC-SHA2", "RFC 2410", FeatureState::complete, "gateway/transform", ""},
    Feature{"HMAC-SHA2-256-128, -384-192, -512-256", "RFC 4868", FeatureState::complete, "gateway/transform",
            "with AES-CBC or NULL, and with AH"},
    Feature{"AES-CMAC-96", "RFC 4494", FeatureState::complete, "gateway/transform", "with NULL, and with AH"},
    Feature{"Sequence numbers of 32 bits, anti-replay windows to 65536", "RFC 4303 section 3.4.3", FeatureState::complete,
            "gateway/sequence", ""},
    Feature{"Extended sequence numbers", "RFC 4303 section 2.2.1, appendix A", FeatureState::complete, "gateway/sequence", ""},
    Feature{"TFC padding", "RFC 4303 section 2.7", FeatureState::complete, "gateway/mode", ""},
    Feature{"Lifetimes in packets, octets and seconds, soft and hard", "RFC 4301 section 4.4.2.1", FeatureState::complete,
            "gateway/control", "of negotiated SAs"},
    Feature{"Dummy packets", "RFC 4303 section 2.6", FeatureState::complete, "gateway/mode", ""},
    Feature{"ECN in tunnels", "RFC 6040", FeatureState::complete, "gateway/mode", ""},
    Feature{"Path MTU by tunnel, from ICMP errors that quote what was sent", "RFC 4301 section 8.2", FeatureState::partial,
            "gateway/exception", "no probing"},
    Feature{"ICMP errors to the sources of dropped packets", "RFC 4301 section 6, RFC 1812, RFC 4443", FeatureState::complete,
            "gateway/exception", ""},
    Feature{"The MSS of TCP connections inside is clamped", "RFC 9293 section 3.7.1", FeatureState::complete, "gateway/wire", ""},
    Feature{"Fragments: reassembly before opening, ports by the first one, cutting before or after sealing", "RFC 4301 sections 7, 8.2.1",
            FeatureState::complete, "gateway/exception", "a reassembled packet has at most 3700 octets"},
    Feature{"Security policies: protect, bypass, discard; selector check on receipt", "RFC 4301", FeatureState::partial, "gateway/tables",
            "addresses, protocol, ports, ICMP and Mobility types, OPAQUE; no names"},
    Feature{"Keys given by hand with durable marks", "RFC 4301 section 4.5.1", FeatureState::complete, "gateway/state", ""},
    Feature{"VPNs: a routing table of the kernel each, by port or VLAN", "", FeatureState::complete, "gateway/route", ""},
    Feature{"Traffic of the gateway itself through its tunnels", "RFC 4301 section 4.4.1", FeatureState::complete, "gateway/own",
            "by a TUN device for each VPN; one address counts in one VPN"},
    Feature{"Locks against clear text on black ports and at boot", "RFC 4301 section 5", FeatureState::complete, "gateway/guard", ""},
    Feature{"VLANs without an interface of the kernel: ARP and neighbour discovery by the gateway", "RFC 826, RFC 4861",
            FeatureState::partial, "gateway/exception", "addresses by the configuration; no router advertisements"},
    Feature{"AF_XDP ports, native and generic", "", FeatureState::complete, "gateway/xdp", ""},
};

} // namespace sallyport
