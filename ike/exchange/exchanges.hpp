// SPDX-License-Identifier: Apache-2.0
// Every exchange of this program: its payloads by message, and the functions of both sides.
#pragma once

#include "ike/engine/engine.hpp"

#include <array>

namespace sallyport::ike::exchange {

// Each side reads from top to bottom in the exchange's own file.
Task<Verdict> ask_ike_sa_init(Context context);
Task<Answer> respond_ike_sa_init(Context context, const Received& request);
Task<Verdict> ask_ike_intermediate(Context context);
Task<Answer> respond_ike_intermediate(Context context, const Received& request);
Task<Verdict> ask_ike_auth(Context context);
Task<Answer> respond_ike_auth(Context context, const Received& request);
Task<Answer> respond_informational(Context context, const Received& request);
/// Our D for one child, by our inbound SPI.
Task<Reply> ask_delete(Context context, ProtocolId protocol, std::uint32_t spi_in);

// Whole flows:
/// IKE_SA_INIT, as many IKE_INTERMEDIATE as the extensions need, IKE_AUTH.
Task<> connect(Context context);
Task<> delete_child(Context context, std::uint32_t spi_in);
Task<> delete_ike_sa(Context context);
Task<> probe(Context context);

namespace rules {

using enum PayloadType;

// RFC 7296 1.2, C.1. A response may be N(COOKIE) or an error alone, which the initiator looks at first.
inline constexpr std::array ike_sa_init{PayloadRule{security_association, 1, 1}, PayloadRule{key_exchange, 1, 1}, PayloadRule{nonce, 1, 1}};
// RFC 9242 3.2: whatever the extensions put in.
inline constexpr std::array<PayloadRule, 0> ike_intermediate{};
// RFC 7296 1.2, C.2; without SA, TSi and TSr: RFC 6023.
inline constexpr std::array ike_auth_request{PayloadRule{identification_initiator, 1, 1},
                                             PayloadRule{identification_responder, 0, 1},
                                             PayloadRule{authentication, 1, 1},
                                             PayloadRule{certificate, 0, 8},
                                             PayloadRule{certificate_request, 0, 8},
                                             PayloadRule{security_association, 0, 1},
                                             PayloadRule{traffic_selector_initiator, 0, 1},
                                             PayloadRule{traffic_selector_responder, 0, 1}};
inline constexpr std::array ike_auth_response{PayloadRule{identification_responder, 0, 1},
                                              PayloadRule{authentication, 0, 1},
                                              PayloadRule{certificate, 0, 8},
                                              PayloadRule{security_association, 0, 1},
                                              PayloadRule{traffic_selector_initiator, 0, 1},
                                              PayloadRule{traffic_selector_responder, 0, 1}};
inline constexpr std::array<PayloadRule, 0> informational{};

} // namespace rules

inline constexpr std::array exchanges{
    Exchange{ExchangeType::ike_sa_init, "IKE_SA_INIT", rules::ike_sa_init, rules::ike_sa_init, 0, respond_ike_sa_init},
    Exchange{ExchangeType::ike_intermediate, "IKE_INTERMEDIATE", rules::ike_intermediate, rules::ike_intermediate, in(IkeState::half_open),
             respond_ike_intermediate},
    Exchange{ExchangeType::ike_auth, "IKE_AUTH", rules::ike_auth_request, rules::ike_auth_response, in(IkeState::half_open),
             respond_ike_auth},
    Exchange{ExchangeType::informational, "INFORMATIONAL", rules::informational, rules::informational,
             in(IkeState::established) | in(IkeState::deleting), respond_informational},
};

} // namespace sallyport::ike::exchange
