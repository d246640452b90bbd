// SPDX-License-Identifier: Apache-2.0
// IANA's numbers of IKEv2 ("Internet Key Exchange Version 2 (IKEv2) Parameters") by their names there.
#pragma once

#include <cstdint>
#include <string_view>

namespace sallyport::ike {

enum class ExchangeType : std::uint8_t {
    ike_sa_init = 34,
    ike_auth = 35,
    create_child_sa = 36,
    informational = 37,
    ike_session_resume = 38, // RFC 5723
    gsa_auth = 39,           // RFC 9838, as the next two and 42
    gsa_registration = 40,
    gsa_rekey = 41,
    gsa_inband_rekey = 42,
    ike_intermediate = 43, // RFC 9242
    ike_followup_ke = 44,  // RFC 9370
};

enum class PayloadType : std::uint8_t {
    none = 0,
    security_association = 33,
    key_exchange = 34,
    identification_initiator = 35,
    identification_responder = 36,
    certificate = 37,
    certificate_request = 38,
    authentication = 39,
    nonce = 40,
    notify = 41,
    delete_payload = 42,
    vendor_id = 43,
    traffic_selector_initiator = 44,
    traffic_selector_responder = 45,
    encrypted = 46,
    configuration = 47,
    extensible_authentication = 48,
    generic_secure_password = 49, // RFC 6467
    group_identification = 50,    // RFC 9838, as the next two
    group_security_association = 51,
    key_download = 52,
    encrypted_fragment = 53, // RFC 7383
    puzzle_solution = 54,    // RFC 8019
};

enum class NotifyType : std::uint16_t {
    // Errors (RFC 7296 3.10.1)
    unsupported_critical_payload = 1,
    invalid_ike_spi = 4,
    invalid_major_version = 5,
    invalid_syntax = 7,
    invalid_message_id = 9,
    invalid_spi = 11,
    no_proposal_chosen = 14,
    invalid_ke_payload = 17,
    authentication_failed = 24,
    single_pair_required = 34,
    no_additional_sas = 35,
    internal_address_failure = 36,
    failed_cp_required = 37,
    ts_unacceptable = 38,
    invalid_selectors = 39,
    unacceptable_addresses = 40,
    unexpected_nat_detected = 41,
    temporary_failure = 43,
    child_sa_not_found = 44,
    state_not_found = 47, // RFC 9370
    // Status
    initial_contact = 16384,
    set_window_size = 16385,
    additional_ts_possible = 16386,
    ipcomp_supported = 16387,
    nat_detection_source_ip = 16388,
    nat_detection_destination_ip = 16389,
    cookie = 16390,
    use_transport_mode = 16391,
    http_cert_lookup_supported = 16392,
    rekey_sa = 16393,
    esp_tfc_padding_not_supported = 16394,
    non_first_fragments_also = 16395,
    mobike_supported = 16396,                // RFC 4555
    childless_ikev2_supported = 16418,       // RFC 6023
    ikev2_fragmentation_supported = 16430,   // RFC 7383
    signature_hash_algorithms = 16431,       // RFC 7427
    intermediate_exchange_supported = 16438, // RFC 9242
    additional_key_exchange = 16441,         // RFC 9370
};

/// RFC 7296 3.10.1: what is below 16384 says that the request failed.
[[nodiscard]] constexpr bool is_error(NotifyType type) { return static_cast<std::uint16_t>(type) < 16384; }

enum class ProtocolId : std::uint8_t { none = 0, ike = 1, ah = 2, esp = 3 };

enum class TransformType : std::uint8_t {
    encryption = 1,
    prf = 2,
    integrity = 3,
    key_exchange = 4,
    sequence_numbers = 5,          // "Extended Sequence Numbers" of RFC 7296
    additional_key_exchange_1 = 6, // RFC 9370, to 12
    additional_key_exchange_7 = 12,
};

enum class IdType : std::uint8_t {
    ipv4_addr = 1,
    fqdn = 2,
    rfc822_addr = 3,
    ipv6_addr = 5,
    der_asn1_dn = 9,
    der_asn1_gn = 10,
    key_id = 11,
    null = 13, // RFC 7619
};

enum class AuthMethod : std::uint8_t {
    rsa_digital_signature = 1,
    shared_key_mic = 2,
    ecdsa_p256 = 9, // RFC 4754
    ecdsa_p384 = 10,
    ecdsa_p521 = 11,
    null = 13,              // RFC 7619
    digital_signature = 14, // RFC 7427
};

enum class CertificateEncoding : std::uint8_t { pkcs7 = 1, x509_signature = 4, crl = 7, ocsp = 14, raw_public_key = 15 };

// RFC 7296 3.3.5
inline constexpr std::uint16_t attribute_key_length = 14;

// Transform ids that have a meaning of their own everywhere.
inline constexpr std::uint16_t transform_none = 0;                          // of INTEG and KE
inline constexpr std::uint16_t sequence_32_bits = 0, sequence_extended = 1; // of SN

/// "IKE_SA_INIT"; "exchange 77" has no name and gives an empty one.
[[nodiscard]] std::string_view name_of(ExchangeType type);
/// "NO_PROPOSAL_CHOSEN"; empty where this has no name for it.
[[nodiscard]] std::string_view name_of(NotifyType type);
/// "SA", "KE", "IDi", as the figures of RFC 7296 have them; empty likewise.
[[nodiscard]] std::string_view name_of(PayloadType type);

} // namespace sallyport::ike
