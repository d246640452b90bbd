// SPDX-License-Identifier: Apache-2.0
#include "ike/proposal/proposal.hpp"

#include <gtest/gtest.h>

namespace sallyport::ike {
namespace {

using enum TransformType;

Proposal of(ProtocolId protocol, std::vector<Transform> transforms) { return {.protocol = protocol, .transforms = std::move(transforms)}; }

TEST(IkeSuite, is_what_the_transforms_say) {
    const auto suite = ike_suite(of(ProtocolId::ike, {{encryption, 12, 192},
                                                      {prf, 7},
                                                      {integrity, 13},
                                                      {key_exchange, 19},
                                                      {additional_key_exchange_7, 37},
                                                      {additional_key_exchange_1, 36}}));
    ASSERT_TRUE(suite);
    EXPECT_EQ(suite->protection.encryption->name, "aes-192-cbc");
    EXPECT_EQ(suite->protection.integrity->name, "hmac-sha2-384");
    EXPECT_EQ(suite->prf, Prf::hmac_sha2_512);
    EXPECT_EQ(suite->exchanges.first, 19);
    ASSERT_EQ(suite->exchanges.count, 2);
    EXPECT_EQ(suite->exchanges.additional[0], 36); // by type, not as they came
    EXPECT_EQ(suite->exchanges.additional[1], 37);
}

TEST(IkeSuite, counts_no_additional_exchange_that_is_none) {
    const auto suite = ike_suite(
        of(ProtocolId::ike,
           {{encryption, 20, 128}, {prf, 5}, {key_exchange, 31}, {additional_key_exchange_1, 0}, {static_cast<TransformType>(8), 36}}));
    ASSERT_TRUE(suite);
    ASSERT_EQ(suite->exchanges.count, 1);
    EXPECT_EQ(suite->exchanges.additional[0], 36);
}

TEST(IkeSuite, of_what_is_not_known_or_not_for_ike_is_none) {
    const Transform cipher{encryption, 20, 256}, function{prf, 5}, method{key_exchange, 31};
    EXPECT_TRUE(ike_suite(of(ProtocolId::ike, {cipher, function, method})));
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {{encryption, 30, 256}, function, method}))) << "implicit IVs are for ESP";
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {{encryption, 11}, function, {integrity, 12}, method}))) << "NULL";
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {{encryption, 3}, function, {integrity, 12}, method}))) << "3DES";
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {cipher, {prf, 2}, method}))) << "HMAC-SHA1";
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {cipher, function})));
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {{encryption, 12, 256}, function, method}))) << "no integrity";
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {{encryption, 12, 256}, function, {integrity, 2}, method})));
    EXPECT_FALSE(ike_suite(of(ProtocolId::ike, {cipher, function, {integrity, 12}, method})));
}

TEST(ChildSuite, of_each_algorithm_of_the_data_plane_comes_back_as_it_is) {
    for (const AlgorithmInfo& row : algorithms) {
        Proposal proposal = of(ProtocolId::esp, transforms_of(row.algorithm, SaProtocol::esp));
        proposal.transforms.push_back({sequence_numbers, sequence_32_bits});
        const auto suite = child_suite(proposal);
        ASSERT_TRUE(suite) << row.name;
        EXPECT_EQ(suite->algorithm, row.algorithm) << row.name;
        EXPECT_EQ(suite->sequence, SequenceKind::short_32);
        EXPECT_EQ(suite->protocol, SaProtocol::esp);
    }
}

TEST(ChildSuite, of_ah_is_what_authenticates_alone) {
    unsigned count = 0;
    for (const AlgorithmInfo& row : algorithms) {
        const std::vector<Transform> transforms = transforms_of(row.algorithm, SaProtocol::ah);
        EXPECT_EQ(!transforms.empty(), row.integrity_only()) << row.name;
        if (transforms.empty()) continue;
        ++count;
        Proposal proposal = of(ProtocolId::ah, transforms);
        proposal.transforms.push_back({sequence_numbers, sequence_extended});
        const auto suite = child_suite(proposal);
        ASSERT_TRUE(suite) << row.name;
        EXPECT_EQ(suite->algorithm, row.algorithm) << row.name;
        EXPECT_EQ(suite->protocol, SaProtocol::ah);
        EXPECT_EQ(suite->sequence, SequenceKind::extended_64);
    }
    EXPECT_EQ(count, 7U);
}

TEST(ChildSuite, without_its_numbering_or_with_a_strange_one_is_none) {
    const Transform cipher{encryption, 20, 256};
    EXPECT_FALSE(child_suite(of(ProtocolId::esp, {cipher})));
    EXPECT_FALSE(child_suite(of(ProtocolId::esp, {cipher, {sequence_numbers, 2}})));
    EXPECT_FALSE(child_suite(of(ProtocolId::esp, {{encryption, 20, 512}, {sequence_numbers, 0}})));
}

TEST(PostQuantum, is_a_proposal_whose_every_choice_has_such_a_key_exchange) {
    const auto quantum = [](std::vector<Transform> transforms) {
        return post_quantum(of(ProtocolId::ike, std::move(transforms)), kex::methods());
    };
    constexpr auto addke1 = additional_key_exchange_1;
    constexpr auto addke2 = static_cast<TransformType>(7);
    EXPECT_TRUE(quantum({{key_exchange, 31}, {addke1, 36}}));
    EXPECT_TRUE(quantum({{key_exchange, 35}}));
    EXPECT_TRUE(quantum({{key_exchange, 31}, {addke1, 35}, {addke1, 37}}));
    EXPECT_FALSE(quantum({{key_exchange, 31}}));
    EXPECT_FALSE(quantum({{key_exchange, 31}, {addke1, 36}, {addke1, 0}}));
    EXPECT_FALSE(quantum({{key_exchange, 31}, {addke1, 36}, {addke1, 19}}));
    EXPECT_FALSE(quantum({{key_exchange, 31}, {key_exchange, 35}}));
    EXPECT_TRUE(quantum({{key_exchange, 31}, {addke1, 36}, {addke1, 0}, {addke2, 37}}));
    EXPECT_FALSE(quantum({}));
}

TEST(Text, of_a_proposal_is_what_an_operator_can_read) {
    EXPECT_EQ(to_string(of(ProtocolId::ike, {{encryption, 20, 256}, {prf, 5}, {key_exchange, 31}, {additional_key_exchange_1, 36}})),
              "aes-256-gcm, prf-hmac-sha2-256, x25519+ml-kem-768");
    EXPECT_EQ(to_string(of(ProtocolId::esp, {{encryption, 20, 128}, {encryption, 12, 256}, {integrity, 12}, {sequence_numbers, 1}})),
              "aes-128-gcm or aes-256-cbc, hmac-sha2-256, esn");
    EXPECT_EQ(to_string(of(ProtocolId::ike, {{encryption, 3}, {prf, 2}, {key_exchange, 2}})), "cipher 3, PRF 2, key exchange 2");
}

} // namespace
} // namespace sallyport::ike
