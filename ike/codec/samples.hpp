// SPDX-License-Identifier: Apache-2.0
// Messages for tests, octet by octet from the formats and not by way of Writer. Not linked into any program.
#pragma once

#include "ike/codec/message.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::ike::samples {

using Bytes = std::vector<std::uint8_t>;

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

/// What is no hexadecimal digit stands between.
inline Bytes hex(std::string_view text) {
    Bytes bytes;
    unsigned digits = 0, value = 0;
    for (const char c : text) {
        const std::size_t digit = std::string_view("0123456789abcdef").find(c);
        if (digit == std::string_view::npos) continue;
        value = value * 16 + static_cast<unsigned>(digit);
        if (++digits % 2 == 0) bytes.push_back(static_cast<std::uint8_t>(value));
        value %= 16;
    }
    return bytes;
}

inline Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }
inline Bytes bytes_of(Octets octets) { return {octets.begin(), octets.end()}; }
inline Bytes fill(std::size_t size, std::uint8_t value = 0x5a) { return Bytes(size, value); }

inline void store16_at(Bytes& bytes, std::size_t at, std::size_t value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8U);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

/// Behind a generic header.
inline Bytes payload(PayloadType next, const Bytes& body, std::uint8_t flags = 0) {
    Bytes header{static_cast<std::uint8_t>(next), flags, 0, 0};
    store16_at(header, 2, body.size() + 4);
    return header + body;
}

using Parts = std::vector<std::pair<PayloadType, Bytes>>;

/// Payloads in this order.
inline Bytes chain(const Parts& parts, std::uint8_t flags = 0) {
    Bytes bytes;
    for (std::size_t i = 0; i < parts.size(); ++i)
        bytes = bytes + payload(i + 1 < parts.size() ? parts[i + 1].first : PayloadType::none, parts[i].second, flags);
    return bytes;
}

/// A transform or proposal: its Last Substruc, its length and what is behind.
inline Bytes substructure(std::uint8_t last, const Bytes& rest) {
    Bytes header{last, 0, 0, 0};
    store16_at(header, 2, rest.size() + 4);
    return header + rest;
}

inline Bytes transform_of(std::uint8_t type, std::uint8_t id, bool more, const Bytes& attributes = {}) {
    return substructure(more ? 3 : 0, Bytes{type, 0, 0, id} + attributes);
}

/// So many transforms, all the same.
inline Bytes transforms(std::size_t count) {
    Bytes bytes;
    for (std::size_t i = 0; i < count; ++i) bytes = bytes + transform_of(2, 5, i + 1 < count);
    return bytes;
}

inline Bytes proposal_of(std::uint8_t number, bool more, std::uint8_t count, const Bytes& rest, std::uint8_t protocol = 1,
                         std::uint8_t spi_size = 0) {
    return substructure(more ? 2 : 0, Bytes{number, protocol, spi_size, count} + rest);
}

inline Bytes selector4(std::string_view from = "0a010000", std::string_view to = "0a01ffff", std::string_view ports = "0000ffff") {
    return hex("07000010") + hex(ports) + hex(from) + hex(to);
}

/// At the very end of its memory, so that AddressSanitizer sees a read past it.
class Exact {
public:
    explicit Exact(Octets octets) : memory_(std::make_unique<std::uint8_t[]>(octets.size())), size_(octets.size()) {
        std::ranges::copy(octets, memory_.get());
    }
    [[nodiscard]] Octets octets() const { return {memory_.get(), size_}; }

private:
    std::unique_ptr<std::uint8_t[]> memory_;
    std::size_t size_;
};

/// An IKE_SA_INIT request: AES-GCM-16 with 256 bits, HMAC-SHA-256, X25519.
inline const Bytes init_request = hex("a1a2a3a4a5a6a7a8 0000000000000000 2120220800000000 00000098"
                                      "22000028 00000024 01010003 0300000c 01000014 800e0100 03000008 02000005 00000008 0400001f"
                                      "28000028 001f0000 f0b4fd8be480349293ab61f0505ebb5bafccdf8a4127de221e6ef3db20e03d29"
                                      "29000024 101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
                                      "00000008 0000402e");

/// The IKE_AUTH request behind it: all of it is in SK, whose first payload is IDi.
inline const Bytes auth_request = hex(
    "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b82e20230800000001000000ca230000ae0000000000000001d3e3a65a5f38780b42eb61df7b80"
    "71cbe6891c12b6a25b6a23e4b59ad9707e3207137a3cf08d321f390a073409eca9bb9ef97952131bc28525cfa2c37a6adad1fd9fb7d8"
    "6da1e40434cc9314a10be431b03d0f6de648415c0d8d389e181f4b444a0acd377cd4f09d1f7f8e1c270769285be313e6407ce8ab2269"
    "3e02de3669cca47cd2ab993f3a46f09e21ca5d0696efff22fc588f60a9ef2a2b9b671a06362e55ce");

/// The second of two fragments of the same: nothing of it says what is inside.
inline const Bytes auth_fragment = hex(
    "a1a2a3a4a5a6a7a8b1b2b3b4b5b6b7b835202308000000010000007e000000620002000200000000000000030d696e791c1723664a0e"
    "765053c88c55c5bb4e1252d4ed07e5302db01d98ed30301959a10016042e916a5b4284f7e2cc53f9fb3cb0c715c12df8f25b007b0536"
    "ce67b8f442bb1a8162b7ce0b6a62886923dd");

/// What is in SK of an IKE_AUTH request, and more than there would be in one.
inline const Parts auth_inside = {
    {PayloadType::identification_initiator, hex("02000000") + bytes_of("a.example.net")},
    {PayloadType::certificate, hex("04") + fill(20)},
    {PayloadType::certificate_request, hex("04") + fill(20, 7)},
    {PayloadType::identification_responder, hex("02000000") + bytes_of("b.example.net")},
    {PayloadType::authentication, hex("02000000") + fill(32)},
    {PayloadType::configuration, hex("01000000")},
    {PayloadType::security_association,
     proposal_of(1, false, 2, hex("c0000001") + transform_of(1, 20, true, hex("800e0080")) + transform_of(5, 0, false), 3, 4)},
    {PayloadType::traffic_selector_initiator, hex("02000000") + selector4() + selector4("0a030000", "0a030000", "01bb01bb")},
    {PayloadType::traffic_selector_responder, hex("01000000 083a0028 8000 80ff 20010db8000000000000000000000000"
                                                  "20010db8ffffffffffffffffffffffff")},
    {PayloadType::notify, hex("00004007")},
    {PayloadType::delete_payload, hex("03040002 c0000002 c0000003")},
    {PayloadType::vendor_id, bytes_of("sallyport")},
    {PayloadType::notify, hex("03044009 c0000009")},
};

} // namespace sallyport::ike::samples
