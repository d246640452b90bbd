// SPDX-License-Identifier: Apache-2.0
// What became of a message that was not acted upon: one row a reason. Counters, the journal and the tests read it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sallyport::ike {

enum class Ignored : std::uint8_t {
    too_short,
    wrong_length,
    major_version,
    ikev1,
    no_initiator_spi,
    bad_init_header,
    no_responder_spi,
    unknown_spi,
    other_peer_spi,
    no_request,
    wrong_exchange,
    old_message_id,
    future_message_id,
    repeated,
    in_work,
    malformed,
    not_protected,
    not_expected,
    bad_icv,
    bad_fragment,
    fragment_limit,
    unsupported_critical,
    no_connection,
    no_proposal,
    bad_key_exchange,
    cookie_wanted,
    half_open_limit,
    invalid_payloads,
    no_memory,
};

struct IgnoredInfo {
    Ignored reason;
    std::string_view name; // as `sallyport ike` and the metrics have it
    std::string_view meaning;
};
inline constexpr std::array ignored_reasons{
    IgnoredInfo{Ignored::too_short, "too-short", "less than an IKE header"},
    IgnoredInfo{Ignored::wrong_length, "wrong-length", "the header's length is not that of the datagram"},
    IgnoredInfo{Ignored::major_version, "major-version", "a version above 2"},
    IgnoredInfo{Ignored::ikev1, "ikev1", "version 1, which is historic (RFC 9395)"},
    IgnoredInfo{Ignored::no_initiator_spi, "no-initiator-spi", "the initiator's SPI is zero"},
    IgnoredInfo{Ignored::bad_init_header, "bad-init-header",
                "an IKE_SA_INIT request with a message id, a responder's SPI or without I flag"},
    IgnoredInfo{Ignored::no_responder_spi, "no-responder-spi", "no responder's SPI in an exchange that needs one"},
    IgnoredInfo{Ignored::unknown_spi, "unknown-spi", "an IKE SA that is not here"},
    IgnoredInfo{Ignored::other_peer_spi, "other-peer-spi", "our SPI with one that is not this peer's"},
    IgnoredInfo{Ignored::no_request, "no-request", "a response that nobody waits for"},
    IgnoredInfo{Ignored::wrong_exchange, "wrong-exchange", "a response of another exchange than its request"},
    IgnoredInfo{Ignored::old_message_id, "old-message-id", "a request long answered"},
    IgnoredInfo{Ignored::future_message_id, "future-message-id", "a request beyond the window"},
    IgnoredInfo{Ignored::repeated, "repeated", "a request that was answered; the answer went out again"},
    IgnoredInfo{Ignored::in_work, "in-work", "a request that is being worked on"},
    IgnoredInfo{Ignored::malformed, "malformed", "payloads that cannot be read"},
    IgnoredInfo{Ignored::not_protected, "not-protected", "no SK payload in an exchange that has one"},
    IgnoredInfo{Ignored::not_expected, "not-expected", "an exchange that the IKE SA cannot have now"},
    IgnoredInfo{Ignored::bad_icv, "bad-icv", "not authentic"},
    IgnoredInfo{Ignored::bad_fragment, "bad-fragment", "a fragment whose numbers cannot be"},
    IgnoredInfo{Ignored::fragment_limit, "fragment-limit", "more fragments than are kept"},
    IgnoredInfo{Ignored::unsupported_critical, "unsupported-critical", "an unknown payload that must not be skipped"},
    IgnoredInfo{Ignored::no_connection, "no-connection", "no connection for these addresses"},
    IgnoredInfo{Ignored::no_proposal, "no-proposal", "no proposal that a connection takes"},
    IgnoredInfo{Ignored::bad_key_exchange, "bad-key-exchange", "a value of a key exchange that fails its tests"},
    IgnoredInfo{Ignored::cookie_wanted, "cookie-wanted", "asked for a cookie"},
    IgnoredInfo{Ignored::half_open_limit, "half-open-limit", "too many IKE SAs that are not authenticated"},
    IgnoredInfo{Ignored::invalid_payloads, "invalid-payloads", "a payload is missing, or there are too many"},
    IgnoredInfo{Ignored::no_memory, "no-memory", "the arena of secrets is full"},
};

struct Counters {
    std::array<std::uint64_t, ignored_reasons.size()> ignored{};
    std::uint64_t received = 0, sent = 0, retransmitted = 0;
    [[nodiscard]] std::uint64_t operator[](Ignored reason) const { return ignored[static_cast<std::size_t>(reason)]; }
    void add(Ignored reason) { ++ignored[static_cast<std::size_t>(reason)]; }
};

} // namespace sallyport::ike
