// SPDX-License-Identifier: Apache-2.0
// What the engine is made of: exchanges, each with its tables of payloads, and extensions, each a record of functions for fixed points of
// the exchanges. Neither names another; the engine is given lists of them.
#pragma once

#include "ike/engine/sa.hpp"

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

namespace sallyport::ike {

class Context;

/// A message of the peer's, opened and read. What `contents` points to lies in `octets` or `plain`, wherever this is moved.
struct Received {
    Header header;
    Path path;
    Message octets; // as it came; of a fragmented one the first fragment
    std::vector<std::uint8_t> plain;
    Chain clear; // outside SK; of IKE_SA_INIT everything
    Octets clear_octets;
    Contents contents; // of what is protected; of IKE_SA_INIT of `clear`
};

/// What stands between codec and cipher sees of a message, one that is not repeated, whole also where it travels in fragments.
struct PlainMessage {
    const Header& header;
    bool outbound = false;
    Octets clear;                          // payloads before SK
    PayloadType inner = PayloadType::none; // the first type inside SK
    std::uint8_t flags = 0;                // the critical octet of SK
    Octets plain;
};

/// Why an exchange does not come to its end.
struct Refusal {
    NotifyType type = NotifyType::invalid_syntax; // what the peer is told
    std::vector<std::uint8_t> data;               // with it
    std::string sentence;                         // what the operator is told
};
using Verdict = std::expected<void, Refusal>;

/// What a responder says, and what then becomes of the IKE SA.
struct Answer {
    Writer payloads;
    bool end = false; // the IKE SA dies with it, and this is why
    std::string sentence;
    // Of IKE_SA_INIT, where nothing is kept then:
    bool keyless = false; // it is an error
    bool silent = false;  // there is nothing to say
};

using StateSet = std::uint8_t;
[[nodiscard]] constexpr StateSet in(IkeState state) { return static_cast<StateSet>(1U << static_cast<unsigned>(state)); }

struct Exchange {
    ExchangeType type;
    std::string_view name;
    std::span<const PayloadRule> request, response; // of what is inside SK
    StateSet states;                                // in which a request of the peer is heard
    Task<Answer> (*respond)(Context, const Received& request);
    bool one_way = false; // nobody answers it
};

/// One thing that IKE can do besides RFC 7296's bare exchanges. Each function is called in the exchanges of `point`, in the order of the
/// list of extensions; null: nothing is to do there. An initiator: offer, then conclude. A responder: examine, then answer.
struct Extension {
    std::string_view name;
    std::string_view source; // RFC, or draft and revision
    Task<Verdict> (*offer)(Context, ExchangeType point, Writer& request) = nullptr;
    Task<Verdict> (*examine)(Context, ExchangeType point, const Received& request) = nullptr;
    Task<Verdict> (*answer)(Context, ExchangeType point, const Received& request, Writer& response) = nullptr;
    Task<Verdict> (*conclude)(Context, ExchangeType point, const Received& response) = nullptr;
    /// Can both sides do what transform types 6 to 12 ask for? Without it a proposal that has them has an unknown type (RFC 9370 2.2.1).
    bool (*additional)(const IkeSa&) = nullptr;
    /// It needs another IKE_INTERMEDIATE exchange before IKE_AUTH.
    bool (*pending)(const IkeSa&) = nullptr;
    /// Between codec and cipher, of every protected message.
    void (*plain)(IkeSa&, const PlainMessage&) = nullptr;
};

struct Registry {
    std::span<const Exchange> exchanges;
    std::span<const Extension* const> extensions;
    /// What brings a new IKE SA up, from its first message on.
    Task<> (*connect)(Context) = nullptr;
    /// What takes one of its children away, and what ends it.
    Task<> (*delete_child)(Context, std::uint32_t spi_in) = nullptr;
    Task<> (*delete_ike_sa)(Context) = nullptr;
    /// What asks a silent peer whether it is there.
    Task<> (*probe)(Context) = nullptr;

    [[nodiscard]] const Exchange* find(ExchangeType type) const { // null: not known
        for (const Exchange& row : exchanges)
            if (row.type == type) return &row;
        return nullptr;
    }
};

} // namespace sallyport::ike
