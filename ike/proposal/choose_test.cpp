// SPDX-License-Identifier: Apache-2.0
// RFC 7296 2.7, 3.3; RFC 5282 8; RFC 9370 2.2.1.
#include "ike/proposal/proposal.hpp"

#include <gtest/gtest.h>

namespace sallyport::ike {
namespace {

using enum TransformType;

constexpr auto addke(unsigned number) { return static_cast<TransformType>(5 + number); }

const Transform gcm_256{encryption, 20, 256}, gcm_128{encryption, 20, 128}, cbc_256{encryption, 12, 256}, chacha{encryption, 28};
const Transform prf_256{prf, 5}, prf_512{prf, 7}, sha_256{integrity, 12}, sha_512{integrity, 14}, no_integrity{integrity, 0};
const Transform x25519{key_exchange, 31}, p256{key_exchange, 19}, no_ke{key_exchange, 0};
const Transform esn{sequence_numbers, 1}, no_esn{sequence_numbers, 0};

Proposal ike(std::vector<Transform> transforms, std::uint8_t number = 1) { return {.number = number, .transforms = std::move(transforms)}; }
Proposal esp(std::vector<Transform> transforms, std::uint8_t number = 1) {
    return {.number = number, .protocol = ProtocolId::esp, .spi = {1, 2, 3, 4}, .spi_size = 4, .transforms = std::move(transforms)};
}

std::vector<Transform> chosen(const Proposal& policy, const Proposal& offered, bool additional = true) {
    const auto choice = choose({&policy, 1}, {&offered, 1}, additional);
    return choice ? choice->transforms : std::vector<Transform>{};
}

TEST(Choose, takes_one_transform_of_each_type_in_the_order_of_the_policy) {
    const Proposal policy = ike({gcm_128, gcm_256, prf_512, prf_256, p256, x25519});
    EXPECT_EQ(chosen(policy, ike({gcm_256, gcm_128, prf_256, prf_512, x25519, p256})), (std::vector{gcm_128, prf_512, p256}));
    EXPECT_EQ(chosen(policy, ike({x25519, prf_256, gcm_256})), (std::vector{gcm_256, prf_256, x25519}));
}

TEST(Choose, repeats_number_and_spi_of_the_one_that_fits) {
    const std::vector<Proposal> offered{ike({cbc_256, sha_256, prf_256, x25519}), ike({gcm_256, prf_256, x25519}, 2)};
    const Proposal policy = ike({gcm_256, prf_256, x25519});
    const auto choice = choose({&policy, 1}, offered, true);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->number, 2);
    const Proposal child = esp({gcm_256, esn});
    const Proposal theirs = esp({gcm_256, esn, no_esn}, 3);
    const auto of_child = choose({&child, 1}, {&theirs, 1}, true);
    ASSERT_TRUE(of_child);
    EXPECT_EQ(of_child->number, 3);
    EXPECT_EQ(of_child->spi, theirs.spi);
    EXPECT_EQ(of_child->spi_size, 4);
}

TEST(Choose, goes_by_what_the_operator_wrote_first) {
    const std::vector<Proposal> offered{ike({cbc_256, sha_256, prf_256, x25519}), ike({gcm_256, prf_256, x25519}, 2)};
    const std::vector<Proposal> policy{ike({gcm_256, prf_256, x25519}), ike({cbc_256, sha_256, prf_256, x25519})};
    EXPECT_EQ(choose(policy, offered, true)->number, 2);
}

TEST(Choose, refuses_a_proposal_with_a_type_nobody_knows_or_without_one_that_must_be_there) {
    const Proposal policy = ike({gcm_256, prf_256, x25519});
    EXPECT_TRUE(chosen(policy, ike({gcm_256, prf_256, x25519, {static_cast<TransformType>(13), 1}})).empty());
    EXPECT_TRUE(chosen(policy, ike({gcm_256, prf_256, x25519, esn})).empty());
    EXPECT_TRUE(chosen(policy, ike({gcm_256, x25519})).empty());
    EXPECT_TRUE(chosen(policy, ike({prf_256, x25519})).empty());
    EXPECT_TRUE(chosen(policy, ike({gcm_256, prf_256})).empty());
    EXPECT_TRUE(chosen(esp({gcm_256, esn}), esp({gcm_256})).empty()) << "ESP says how it numbers";
}

TEST(Choose, passes_over_transforms_that_it_does_not_know_or_cannot_read) {
    const Proposal policy = ike({gcm_256, prf_256, x25519});
    const Transform strange{encryption, 999, 256}, unreadable{encryption, 20, 256, false};
    EXPECT_FALSE(chosen(policy, ike({strange, gcm_256, prf_256, x25519})).empty());
    EXPECT_TRUE(chosen(policy, ike({unreadable, prf_256, x25519})).empty());
}

TEST(Choose, wants_the_very_key_length) {
    EXPECT_TRUE(chosen(ike({gcm_256, prf_256, x25519}), ike({gcm_128, prf_256, x25519})).empty());
    EXPECT_TRUE(chosen(ike({gcm_256, prf_256, x25519}), ike({{encryption, 20}, prf_256, x25519})).empty());
    EXPECT_TRUE(chosen(ike({chacha, prf_256, x25519}), ike({{encryption, 28, 256}, prf_256, x25519})).empty());
}

TEST(Choose, gives_a_combined_cipher_no_integrity_algorithm_and_any_other_one) {
    const Proposal combined = ike({gcm_256, prf_256, x25519}), both = ike({gcm_256, cbc_256, prf_256, sha_256, x25519});
    EXPECT_EQ(chosen(combined, ike({gcm_256, prf_256, no_integrity, x25519})), (std::vector{gcm_256, prf_256, no_integrity, x25519}));
    EXPECT_TRUE(chosen(combined, ike({gcm_256, prf_256, sha_256, x25519})).empty());
    EXPECT_EQ(chosen(both, ike({gcm_256, cbc_256, prf_256, sha_256, x25519})), (std::vector{cbc_256, prf_256, sha_256, x25519}));
    EXPECT_TRUE(chosen(both, ike({cbc_256, prf_256, x25519})).empty());
    EXPECT_TRUE(chosen(both, ike({cbc_256, prf_256, no_integrity, x25519})).empty());
    EXPECT_EQ(chosen(both, ike({gcm_256, cbc_256, prf_256, sha_256, no_integrity, x25519}))[0], gcm_256);
}

TEST(Choose, of_a_child_may_go_without_a_key_exchange_where_both_can) {
    EXPECT_EQ(chosen(esp({gcm_256, esn}), esp({gcm_256, no_ke, esn})), (std::vector{gcm_256, no_ke, esn}));
    EXPECT_EQ(chosen(esp({gcm_256, no_ke, x25519, esn}), esp({gcm_256, esn})), (std::vector{gcm_256, esn}));
    EXPECT_TRUE(chosen(esp({gcm_256, x25519, esn}), esp({gcm_256, esn})).empty());
    EXPECT_TRUE(chosen(esp({gcm_256, esn}), esp({gcm_256, x25519, esn})).empty());
}

TEST(Choose, needs_both_to_take_additional_key_exchanges) {
    const Proposal hybrid = ike({gcm_256, prf_256, x25519, {addke(1), 36}});
    EXPECT_FALSE(chosen(hybrid, hybrid).empty());
    EXPECT_TRUE(chosen(hybrid, hybrid, false).empty());
    EXPECT_TRUE(chosen(ike({gcm_256, prf_256, x25519}), hybrid).empty());
    EXPECT_TRUE(chosen(hybrid, ike({gcm_256, prf_256, x25519})).empty());
    const Proposal optional = ike({gcm_256, prf_256, x25519, {addke(1), 36}, {addke(1), 0}});
    EXPECT_EQ(chosen(ike({gcm_256, prf_256, x25519}), optional).back(), (Transform{addke(1), 0}));
    EXPECT_EQ(chosen(optional, ike({gcm_256, prf_256, x25519})), (std::vector{gcm_256, prf_256, x25519}));
}

TEST(Choose, takes_types_of_additional_key_exchanges_that_do_not_follow_each_other) {
    const Proposal gaps = ike({gcm_256, prf_256, x25519, {addke(2), 36}, {addke(5), 37}});
    EXPECT_EQ(chosen(gaps, gaps), gaps.transforms);
}

TEST(Choose, never_takes_one_method_for_two_additional_key_exchanges) {
    const Proposal tight = ike({gcm_256, prf_256, x25519, {addke(1), 36}, {addke(1), 37}, {addke(2), 36}});
    // The first choice of the first type would leave nothing for the second.
    EXPECT_EQ(chosen(tight, tight), (std::vector{gcm_256, prf_256, x25519, Transform{addke(1), 37}, Transform{addke(2), 36}}));
    const Proposal impossible = ike({gcm_256, prf_256, x25519, {addke(1), 36}, {addke(2), 36}});
    EXPECT_TRUE(chosen(impossible, impossible).empty());
    const Proposal none_twice = ike({gcm_256, prf_256, x25519, {addke(1), 0}, {addke(2), 0}});
    EXPECT_FALSE(chosen(none_twice, none_twice).empty());
}

TEST(Choose, wants_a_key_exchange_before_additional_ones) {
    const Proposal headless = esp({gcm_256, esn, {addke(1), 36}});
    EXPECT_TRUE(chosen(headless, headless).empty());
}

TEST(Choose, says_of_which_type_nothing_is_common) {
    const auto why = [](const Proposal& policy, const Proposal& offered) { return choose({&policy, 1}, {&offered, 1}, true).error(); };
    EXPECT_EQ(why(ike({gcm_256, prf_256, x25519}), ike({gcm_128, prf_256, x25519})).type, encryption);
    EXPECT_EQ(why(ike({gcm_256, prf_256, x25519}), ike({gcm_256, prf_512, x25519})).type, prf);
    EXPECT_EQ(why(ike({gcm_256, prf_256, x25519}), ike({gcm_256, prf_256, p256})).type, key_exchange);
    EXPECT_TRUE(why(ike({gcm_256, prf_256, x25519}), esp({gcm_256, esn})).protocol);
    EXPECT_FALSE(choose({}, {}, true));
}

TEST(Verify, takes_what_was_offered_and_nothing_else) {
    const std::vector<Proposal> offered{ike({gcm_256, gcm_128, prf_256, x25519, {addke(1), 36}, {addke(2), 36}, {addke(2), 37}}),
                                        ike({cbc_256, sha_256, sha_512, prf_256, x25519}, 2)};
    const auto good = [&](const Proposal& answer) { return verify(offered, {&answer, 1}).has_value(); };
    EXPECT_TRUE(good(ike({gcm_128, prf_256, x25519, {addke(1), 36}, {addke(2), 37}})));
    EXPECT_TRUE(good(ike({sha_512, cbc_256, x25519, prf_256}, 2)));
    EXPECT_FALSE(good(ike({gcm_128, prf_256, x25519, {addke(1), 36}, {addke(2), 36}}))) << "one method twice";
    EXPECT_FALSE(good(ike({gcm_128, prf_256, x25519, {addke(1), 36}}))) << "a type is missing";
    EXPECT_FALSE(good(ike({cbc_256, sha_256, sha_512, prf_256, x25519}, 2))) << "two of a type";
    EXPECT_FALSE(good(ike({cbc_256, sha_256, prf_256, p256}, 2)));
    EXPECT_FALSE(good(ike({cbc_256, sha_256, prf_256, x25519}, 3)));
    EXPECT_FALSE(good(ike({cbc_256, sha_256, prf_256, x25519, no_esn}, 2)));
    EXPECT_FALSE(good(ike({{encryption, 12, 256, false}, sha_256, prf_256, x25519}, 2)));
    Proposal other = ike({cbc_256, sha_256, prf_256, x25519}, 2);
    other.protocol = ProtocolId::esp;
    EXPECT_FALSE(good(other));
    EXPECT_FALSE(verify(offered, {}));
}

} // namespace
} // namespace sallyport::ike
