// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/store.hpp"

#include "gateway/sa/record.hpp"
#include "gateway/store/testing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>

using namespace sallyport;
using namespace sallyport::store;

namespace {

struct Setting {
    std::unique_ptr<state::Units> units = state::Units::anonymous(1000).value();
    Store store{*units, nullptr, 4};

    /// The error of a transaction that must fail and leave everything as it was.
    Error refused(const Transaction& transaction) {
        const std::size_t size = store.size();
        const std::uint32_t used = units->used();
        auto applied = store.apply(transaction);
        EXPECT_FALSE(applied);
        EXPECT_EQ(store.size(), size);
        EXPECT_EQ(units->used(), used);
        return applied ? Error{} : applied.error();
    }
};

} // namespace

TEST(Store, InstallsBothDirections) {
    Setting given;
    auto applied = given.store.apply(
        {.install = {spec_of("office", Direction::outbound, 0x1001), spec_of("office", Direction::inbound, 0x1002)}});
    ASSERT_TRUE(applied) << to_string(applied.error());
    ASSERT_EQ(applied->added.size(), 2U);
    EXPECT_TRUE(applied->gone.empty());
    const Sa* out = given.store.find("office", Direction::outbound);
    const Sa* in = given.store.find("office", Direction::inbound);
    ASSERT_TRUE(out != nullptr && in != nullptr);
    EXPECT_EQ(given.store.find("elsewhere", Direction::inbound), nullptr);
    ASSERT_TRUE(out->outbound != nullptr && out->inbound == nullptr);
    ASSERT_TRUE(in->inbound != nullptr && in->outbound == nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(out->outbound) % 64, 0U);
    EXPECT_EQ(out->outbound->number, out->number);
    EXPECT_EQ(given.store.find(in->number), in);
    EXPECT_EQ(in->inbound->spi, 0x1002U);
    EXPECT_EQ(in->inbound->selectors[0], in->spec().selectors[0]);
    EXPECT_EQ(in->inbound->selector_count, 1);
    EXPECT_EQ(in->inbound->space.window, 1024U);
    EXPECT_EQ(out->worker, in->worker);
    EXPECT_EQ(given.store.all().size(), 2U);
    // The key is not kept but in its expanded form.
    EXPECT_EQ(out->spec().key.size, 0);
    for (const std::uint8_t octet : out->spec().key.octets) EXPECT_EQ(octet, 0);
    EXPECT_EQ(sequence::take(out->outbound->space, 3).first, 1U);
    EXPECT_EQ(out->sequence_number(), 3U);
    in->inbound->counters->packets = 5;
    EXPECT_EQ(in->counters().packets, 5U);
}

TEST(Store, OwnersGoRound) {
    Setting given;
    std::vector<SaSpec> specs;
    for (std::uint32_t i = 0; i < 8; ++i) specs.push_back(spec_of("sa" + std::to_string(i), Direction::outbound, 0x1000 + i));
    specs[3].owner = 2;
    const auto applied = given.store.apply({.install = std::move(specs)}).value();
    std::vector<unsigned> owners;
    for (const Sa* sa : applied.added) owners.push_back(sa->worker);
    EXPECT_EQ(owners, (std::vector<unsigned>{0, 1, 2, 2, 3, 0, 1, 2}));
    EXPECT_EQ(applied.added[4]->outbound->worker, 3);
}

TEST(Store, UpdateUnderTheSameKeyGoesOn) {
    Setting given;
    (void)given.store.apply({.install = {spec_of("office", Direction::inbound, 0x1002)}}).value();
    const Sa* before = given.store.find("office", Direction::inbound);
    EXPECT_EQ(sequence::accept(before->inbound->space, 10), DropReason::none);
    before->inbound->counters->packets = 7;
    const std::uint32_t used = given.units->used();
    SaSpec changed = spec_of("office", Direction::inbound, 0x1002);
    changed.selectors.push_back({.local = parse_range("10.3.0.0/16").value(), .remote = parse_range("10.2.0.0/16").value()});
    const auto applied = given.store.apply({.update = {changed}}).value();
    ASSERT_EQ(applied.gone, std::vector<const Sa*>{before});
    ASSERT_EQ(applied.added.size(), 1U);
    const Sa* after = applied.added[0];
    EXPECT_EQ(given.store.find("office", Direction::inbound), after);
    EXPECT_EQ(after->number, before->number);
    EXPECT_EQ(after->worker, before->worker);
    EXPECT_EQ(after->inbound->selector_count, 2);
    EXPECT_EQ(before->inbound->selector_count, 1) << "workers still read it";
    given.store.drain();
    EXPECT_EQ(sequence::accept(after->inbound->space, 10), DropReason::replayed);
    EXPECT_EQ(after->counters().packets, 7U);
    EXPECT_EQ(given.units->used(), used);
}

TEST(Store, UpdateWithANewKeyStartsANewSeries) {
    Setting given;
    (void)given.store.apply({.install = {spec_of("office", Direction::outbound, 0x1001)}}).value();
    const Sa* before = given.store.find("office", Direction::outbound);
    EXPECT_EQ(sequence::take(before->outbound->space, 9).count, 9U);
    const auto applied = given.store.apply({.update = {spec_of("office", Direction::outbound, 0x2001)}}).value();
    EXPECT_EQ(sequence::take(applied.added[0]->outbound->space, 1).first, 1U);
    EXPECT_EQ(sequence::take(before->outbound->space, 1).first, 10U) << "its worker may still be in it";
    const std::uint32_t used = given.units->used();
    given.store.drain();
    EXPECT_EQ(given.units->used(), used - 2);
}

TEST(Store, ChildrenOfOneConnectionLiveSideBySide) {
    Setting given;
    SaSpec first = spec_of("office", Direction::inbound, 0x1001), second = spec_of("office", Direction::inbound, 0x1002);
    first.child = 1;
    second.child = 2;
    (void)given.store.apply({.install = {first}}).value();
    (void)given.store.apply({.install = {second}}).value();
    EXPECT_EQ(given.store.find("office", Direction::inbound), nullptr);
    EXPECT_EQ(given.store.find("office", Direction::inbound, 1)->spi(), 0x1001U);
    EXPECT_EQ(given.store.find("office", Direction::inbound, 2)->spi(), 0x1002U);
    EXPECT_EQ(given.refused({.install = {second}}).place, "install[0] office inbound name");
    EXPECT_TRUE(given.store.uses_spi(0x1001));
    (void)given.store.apply({.remove = {{"office", Direction::inbound, 1}}}).value();
    EXPECT_FALSE(given.store.uses_spi(0x1001));
    EXPECT_EQ(given.store.size(), 1U);
    // Another key would be another child.
    SaSpec other = spec_of("office", Direction::inbound, 0x1002);
    other.child = 2;
    other.key.octets[9] ^= 1;
    EXPECT_EQ(given.refused({.update = {other}}).place, "update[0] office inbound key");
}

TEST(Store, WhatIsAbandonedWasNeverThere) {
    Setting given;
    (void)given.store.apply({.install = {spec_of("office", Direction::inbound, 0x1002)}}).value();
    const Sa* before = given.store.find("office", Direction::inbound);
    const std::uint32_t used = given.units->used();
    SaSpec changed = spec_of("office", Direction::inbound, 0x1002);
    changed.red_vpn = 3;
    auto prepared = given.store.prepare({.install = {spec_of("office", Direction::outbound, 0x1001)}, .update = {changed}});
    ASSERT_TRUE(prepared);
    ASSERT_EQ(prepared->made.size(), 2U);
    EXPECT_EQ(given.store.find("office", Direction::inbound), before) << "nobody sees it before";
    EXPECT_EQ(given.store.size(), 1U);
    given.store.abandon(std::move(*prepared));
    EXPECT_EQ(given.units->used(), used);
    EXPECT_EQ(sequence::accept(before->inbound->space, 10), DropReason::none);
    (void)given.store.apply({.install = {spec_of("office", Direction::outbound, 0x1001)}, .update = {changed}}).value();
    EXPECT_EQ(given.store.size(), 2U);
}

TEST(Store, WhatNumbersStandOnDoesNotChangeUnderALiveKey) {
    Setting given;
    (void)given.store.apply({.install = {spec_of("office", Direction::inbound, 0x1002)}}).value();
    SaSpec changed = spec_of("office", Direction::inbound, 0x1002);
    changed.window = 64;
    EXPECT_EQ(given.refused({.update = {changed}}).place, "update[0] office inbound window");
    changed = spec_of("office", Direction::inbound, 0x1002);
    changed.sequence = SequenceKind::short_32;
    EXPECT_EQ(given.refused({.update = {changed}}).code, ErrorCode::refused);
    changed = spec_of("office", Direction::inbound, 0x1002);
    changed.owner = 3;
    EXPECT_EQ(given.refused({.update = {changed}}).place, "update[0] office inbound owner");
    changed = spec_of("office", Direction::inbound, 0x3002);
    changed.window = 64;
    EXPECT_TRUE(given.store.apply({.update = {changed}}));
}

TEST(Store, RemoveGivesEverythingBackAfterTheGracePeriod) {
    Setting given;
    for (int round = 0; round < 5; ++round) {
        const auto applied = given.store.apply(
            {.install = {spec_of("office", Direction::outbound, 0x1001), spec_of("office", Direction::inbound, 0x1002)}});
        ASSERT_TRUE(applied);
        const auto* key = static_cast<const volatile std::uint8_t*>(applied->added[0]->outbound->space.key);
        const std::size_t size = transform::key_size(applied->added[0]->row);
        unsigned set = 0;
        for (std::size_t i = 0; i < size; ++i) set += key[i] != 0;
        EXPECT_GT(set, 0U);
        const auto removed = given.store.apply({.remove = {{"office", Direction::outbound}, {"office", Direction::inbound}}});
        ASSERT_TRUE(removed);
        EXPECT_EQ(removed->gone.size(), 2U);
        EXPECT_EQ(given.store.size(), 0U);
        EXPECT_EQ(sequence::take(removed->gone[0]->outbound->space, 1).count, 1U) << "workers still read it";
        given.store.drain();
        for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(key[i], 0) << "the key is wiped";
        EXPECT_EQ(given.units->used(), 1U);
    }
}

TEST(Store, OneBadEntryAndNothingHappens) {
    Setting given;
    (void)given.store.apply({.install = {spec_of("office", Direction::inbound, 0x1002)}}).value();
    SaSpec bad = spec_of("third", Direction::outbound, 255);
    const Error error = given.refused(
        {.install = {spec_of("first", Direction::outbound, 0x2000), spec_of("second", Direction::inbound, 0x2001), bad},
         .remove = {{"office", Direction::inbound}}});
    EXPECT_EQ(error.place, "install[2] third outbound spi");
    EXPECT_NE(given.store.find("office", Direction::inbound), nullptr);
    EXPECT_EQ(given.store.find("first", Direction::outbound), nullptr);
}

TEST(Store, FieldsAreChecked) {
    Setting given;
    const auto place = [&](auto change, Direction direction = Direction::inbound) {
        SaSpec spec = spec_of("a", direction, 0x1000);
        change(spec);
        return given.refused({.install = {spec}}).place;
    };
    EXPECT_EQ(place([](SaSpec& spec) { spec.name.clear(); }), "install[0]  inbound name");
    EXPECT_EQ(place([](SaSpec& spec) { spec.outer_remote = parse_address("2001:db8::1").value(); }), "install[0] a inbound outer_remote");
    EXPECT_EQ(place([](SaSpec& spec) { spec.key.size = 16; }), "install[0] a inbound key");
    EXPECT_EQ(place([](SaSpec& spec) { spec.window = 16; }), "install[0] a inbound window");
    EXPECT_EQ(place([](SaSpec& spec) { spec.window = 100; }), "install[0] a inbound window");
    EXPECT_EQ(place([](SaSpec& spec) { spec.window = 131072; }), "install[0] a inbound window");
    EXPECT_EQ(place([](SaSpec& spec) { spec.selectors.clear(); }), "install[0] a inbound selectors");
    EXPECT_EQ(place([](SaSpec& spec) { std::swap(spec.selectors[0].local.first, spec.selectors[0].local.last); }),
              "install[0] a inbound selectors");
    EXPECT_EQ(place([](SaSpec& spec) { spec.selectors[0].remote = parse_range("::/0").value(); }), "install[0] a inbound selectors");
    EXPECT_EQ(place([](SaSpec& spec) { spec.dscp_value = 64; }, Direction::outbound), "install[0] a outbound dscp_value");
    EXPECT_EQ(place([](SaSpec& spec) { spec.hop_limit = 0; }, Direction::outbound), "install[0] a outbound hop_limit");
    EXPECT_EQ(place([](SaSpec& spec) { spec.owner = 4; }), "install[0] a inbound owner");
}

TEST(Store, NamesAndSpisAreUnique) {
    Setting given;
    (void)given.store.apply({.install = {spec_of("a", Direction::inbound, 0x1000)}}).value();
    EXPECT_EQ(given.refused({.install = {spec_of("a", Direction::inbound, 0x2000)}}).code, ErrorCode::conflict);
    EXPECT_EQ(given.refused({.update = {spec_of("b", Direction::inbound, 0x2000)}}).code, ErrorCode::missing);
    EXPECT_EQ(given.refused({.remove = {{"b", Direction::inbound}}}).place, "remove[0] b inbound name");
    EXPECT_EQ(given.refused({.install = {spec_of("b", Direction::inbound, 1000), spec_of("b", Direction::inbound, 1001)}}).place,
              "install[1] b inbound name");
    EXPECT_EQ(given.refused({.install = {spec_of("b", Direction::inbound, 0x1000)}}).place, "install[0] b inbound spi");
    EXPECT_EQ(given.refused({.install = {spec_of("b", Direction::inbound, 1000), spec_of("c", Direction::inbound, 1000)}}).place,
              "install[1] c inbound spi");
    // Outbound SPIs are the peers' choice, each for itself; another outer VPN has SPIs of its own; one that leaves makes place.
    SaSpec other = spec_of("vpn", Direction::inbound, 0x1000), elsewhere = spec_of("c", Direction::outbound, 0x1000);
    other.outer_vpn = 3;
    elsewhere.outer_remote = parse_address("192.0.2.3").value();
    EXPECT_TRUE(given.store.apply({.install = {spec_of("b", Direction::outbound, 0x1000), elsewhere, other}}));
    EXPECT_EQ(given.refused({.install = {spec_of("e", Direction::outbound, 0x1000)}}).place, "install[0] e outbound spi");
    EXPECT_TRUE(given.store.apply({.install = {spec_of("e", Direction::outbound, 0x1000)}, .remove = {{"b", Direction::outbound}}}));
    EXPECT_TRUE(given.store.apply({.install = {spec_of("d", Direction::inbound, 0x1000)}, .remove = {{"a", Direction::inbound}}}));
    given.store.drain();
}

TEST(Store, AManualAeadKeyServesOneDirectionOfOneSa) {
    Setting given;
    SaSpec out = spec_of("a", Direction::outbound, 0x1000), in = spec_of("a", Direction::inbound, 0x1001);
    out.manual = in.manual = true;
    in.key = out.key;
    const Error error = given.refused({.install = {out, in}});
    EXPECT_EQ(error.code, ErrorCode::refused);
    EXPECT_EQ(error.place, "install[1] a inbound key");
    ASSERT_TRUE(given.store.apply({.install = {out}}));
    EXPECT_EQ(given.refused({.install = {in}}).code, ErrorCode::refused);
    EXPECT_TRUE(given.store.apply({.update = {out}})) << "its own key is no other's";
    ASSERT_TRUE(given.store.apply({.remove = {{"a", Direction::outbound}}}));
    given.store.drain();
    EXPECT_TRUE(given.store.apply({.install = {in}}));
    // CBC with HMAC has no nonce that could repeat.
    out = spec_of("b", Direction::outbound, 0x2000, Algorithm::aes_128_cbc_hmac_sha2_256_128);
    in = spec_of("b", Direction::inbound, 0x2001, Algorithm::aes_128_cbc_hmac_sha2_256_128);
    out.manual = in.manual = true;
    in.key = out.key;
    EXPECT_TRUE(given.store.apply({.install = {out, in}}));
}

TEST(Store, FullMemoryOfCountersRollsBack) {
    Setting given;
    std::vector<SaSpec> specs;
    for (std::uint32_t i = 0; i < 400; ++i) specs.push_back(spec_of("sa" + std::to_string(i), Direction::inbound, 0x1000 + i));
    const Error error = given.refused({.install = specs});
    EXPECT_EQ(error.code, ErrorCode::exhausted);
    EXPECT_EQ(error.place, "install[249] sa249 inbound");
    specs.resize(249);
    EXPECT_TRUE(given.store.apply({.install = specs}));
}

TEST(Store, UnitsForHoldsWhatIsAskedFor) {
    std::vector<SaSpec> specs;
    for (std::uint32_t i = 0; i < 30'000; ++i) specs.push_back(spec_of("sa" + std::to_string(i), Direction::inbound, 0x1000 + i));
    EXPECT_GE(Store::units_for(specs), 120'001U);
    EXPECT_EQ(Store::units_for({}), 65536U);
}

TEST(Store, ManualSasGoOnFromTheirMarks) {
    std::string directory = (std::filesystem::temp_directory_path() / "sallyport-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    SaSpec out = spec_of("office", Direction::outbound, 0x1001), in = spec_of("office", Direction::inbound, 0x1002);
    out.manual = in.manual = true;
    const std::vector<SaSpec> both{out, in};
    std::uint64_t last = 0;
    for (int round = 0; round < 3; ++round) {
        const auto units = state::Units::anonymous(100).value();
        const auto marks = state::Marks::open(directory, units->instance());
        Store store(*units, marks.get(), 1);
        auto applied = store.apply({.install = both});
        if (round == 0) {
            ASSERT_FALSE(applied);
            EXPECT_EQ(applied.error().code, ErrorCode::refused);
            EXPECT_EQ(applied.error().place, "install[0] office outbound");
            EXPECT_EQ(units->used(), 1U);
        } else {
            ASSERT_TRUE(applied) << to_string(applied.error());
            ASSERT_TRUE(marks->settle(5000));
            const sequence::Numbers numbers = sequence::take(applied->added[0]->outbound->space, 10);
            EXPECT_EQ(numbers.count, 10U);
            EXPECT_EQ(numbers.first, last + 1);
            last += 10;
        }
        ASSERT_TRUE(marks->close());
        // What the operator does once.
        ASSERT_TRUE(round > 0 || state::create_marks(directory, both));
    }
    std::filesystem::remove_all(directory);
}

/// Somebody makes marks of 0 for a key that was in use: the numbers in memory know better, with every try again.
TEST(Store, NumbersInMemoryRefuseMarksOfZero) {
    std::string directory = (std::filesystem::temp_directory_path() / "sallyport-store-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    for (const Direction direction : {Direction::outbound, Direction::inbound}) {
        SaSpec spec = spec_of("office", direction, 0x1001);
        spec.manual = true;
        ASSERT_TRUE(state::create_marks(directory, {&spec, 1}));
        const auto units = state::Units::anonymous(100).value();
        const auto left = units->claim(state::fingerprint_of(spec), direction, spec.window).value();
        sequence::prepare(left.memory, direction, spec.window, 5000);
        units->put_back(left.memory, state::fingerprint_of(spec)); // as a process that was killed leaves it
        const auto marks = state::Marks::open(directory, units->instance());
        Store store(*units, marks.get(), 1);
        for (int round = 0; round < 3; ++round) {
            const auto applied = store.apply({.install = {spec}});
            ASSERT_FALSE(applied) << round;
            EXPECT_EQ(applied.error().code, ErrorCode::refused);
            units->forget_survivors();
        }
        ASSERT_TRUE(marks->close());
    }
    std::filesystem::remove_all(directory);
}

TEST(Store, TheTableHoldsWhatIsInstalled) {
    Lives given;
    SaSpec in = spec_of("a", Direction::inbound, 0x1000, Algorithm::aes_256_cbc_hmac_sha2_256_128);
    in.generation = 7;
    in.child = 3;
    in.window = 64;
    in.selectors.push_back({.local = parse_range("2001:db8::/32").value(), .remote = parse_range("::-::5").value(), .protocol = 6});
    ASSERT_TRUE(given.store->apply({.install = {in, spec_of("b", Direction::outbound, 0x1001)}}));
    auto left = load_all(*given.table).value().sas;
    ASSERT_EQ(left.size(), 2U);
    const SaSpec& same = left[0].spec;
    EXPECT_EQ(same.name, "a");
    EXPECT_EQ(same.direction, Direction::inbound);
    EXPECT_EQ(same.generation, 7U);
    EXPECT_EQ(same.child, 3U);
    EXPECT_EQ(same.spi, 0x1000U);
    EXPECT_EQ(same.window, 64U);
    EXPECT_EQ(same.outer_remote, in.outer_remote);
    EXPECT_EQ(same.selectors, in.selectors);
    EXPECT_EQ(same.key.size, in.key.size);
    EXPECT_EQ(same.key.octets, in.key.octets);
    EXPECT_FALSE(same.manual);
    // Nothing of a transaction that is refused; of an update the new one; nothing of what is gone.
    EXPECT_FALSE(given.store->apply({.install = {spec_of("c", Direction::inbound, 0x1002), spec_of("c", Direction::inbound, 0x1003)}}));
    EXPECT_EQ(given.names(), (Names{"a", "b"}));
    in.selectors.pop_back();
    ASSERT_TRUE(given.store->apply({.update = {in}, .remove = {{"b", Direction::outbound}}}));
    given.store->drain();
    left = load_all(*given.table).value().sas;
    ASSERT_EQ(left.size(), 1U);
    EXPECT_EQ(left[0].spec.selectors, in.selectors);
}

TEST(Store, TheTableHoldsPoliciesInTheirOrder) {
    Lives given;
    std::vector<PolicySpec> policies;
    for (const char* name : {"first", "second", "third"})
        policies.push_back({.name = name,
                            .vpn = 2,
                            .priority = 5,
                            .action = PolicyAction::discard,
                            .selectors = spec_of("x", Direction::inbound, 0x1000).selectors,
                            .sa = {}});
    policies[0].action = PolicyAction::protect;
    policies[0].sa = "office";
    for (const std::size_t i : {2U, 0U, 1U}) ASSERT_TRUE(stage(*given.table, policies[i], i + 10));
    given.table->commit();
    const auto all = load_all(*given.table).value();
    ASSERT_EQ(all.policies.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(all.policies[i].spec.name, policies[i].name);
        EXPECT_EQ(all.policies[i].order, i + 10);
        EXPECT_EQ(all.policies[i].spec.sa, policies[i].sa);
        EXPECT_EQ(all.policies[i].spec.action, policies[i].action);
        EXPECT_EQ(all.policies[i].spec.vpn, 2);
        EXPECT_EQ(all.policies[i].spec.priority, 5U);
        EXPECT_EQ(all.policies[i].spec.selectors, policies[i].selectors);
    }
    EXPECT_TRUE(all.sas.empty());
}

TEST(Store, ATableOfTheVersionBeforeIsAdoptedAndWrittenAnew) {
    Lives given;
    SaSpec sa = spec_of("a", Direction::outbound, 0x1001);
    const auto claim = given.units->claim(state::fingerprint_of(sa), Direction::outbound, sa.window).value();
    sequence::prepare(claim.memory, Direction::outbound, sa.window, 41);
    given.units->put_back(claim.memory, state::fingerprint_of(sa));
    // As a gateway of that version wrote it: the same words under another version.
    const SecretTable::Record now = stage(*given.table, sa).value();
    const auto written = given.table->octets(now);
    const std::vector<std::uint8_t> octets(written.begin(), written.end());
    given.table->roll_back();
    std::ranges::copy(octets, given.table->stage(octets.size(), 0x5350'0000 | record::version_before).value().octets.begin());
    given.table->commit();

    const auto all = load_all(*given.table);
    ASSERT_TRUE(all) << to_string(all.error());
    const auto applied = given.store->apply({.adopt = all->sas});
    ASSERT_TRUE(applied) << to_string(applied.error());
    EXPECT_EQ(sequence::take(applied->added[0]->outbound->space, 1).first, 42U);
    ASSERT_EQ(given.table->records().size(), 1U);
    EXPECT_TRUE(current(*given.table, given.table->records()[0])) << "the release after this one reads it too";
    EXPECT_EQ(load_all(*given.table).value().sas[0].spec.key.octets, sa.key.octets);
}

TEST(Store, WhatIsZeroTakesNoRoomInTheTable) {
    Lives given;
    SaSpec plain = spec_of("branch-17", Direction::inbound, 0x1000), rich = spec_of("b", Direction::outbound, 0x1001);
    rich.outer_local = *parse_address("2001:db8:a::1");
    rich.outer_remote = *parse_address("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    rich.name = std::string(63, 'n');
    rich.generation = ~std::uint64_t{0};
    rich.selectors.push_back({*parse_range("2001:db8::/32"), *parse_range("::/0"), 6, {1, 2}, {7, 8}});
    rich.selectors.push_back({*parse_range("0.0.0.0/0"), *parse_range("0.0.0.0/0")});
    ASSERT_TRUE(given.store->apply({.install = {plain, rich}}));
    const auto left_over = load_all(*given.table);
    ASSERT_TRUE(left_over) << to_string(left_over.error());
    const std::vector<Left>& all = left_over->sas;
    ASSERT_EQ(all.size(), 2U);
    EXPECT_LE(given.table->octets(all[0].record).size(), 112U) << "with its head in nine slots";
    for (const auto& [spec, left] : {std::pair{&plain, &all[0]}, std::pair{&rich, &all[1]}}) {
        EXPECT_EQ(left->spec.name, spec->name);
        EXPECT_EQ(left->spec.generation, spec->generation);
        EXPECT_EQ(left->spec.outer_remote, spec->outer_remote);
        EXPECT_EQ(left->spec.key.octets, spec->key.octets);
        EXPECT_EQ(left->spec.selectors, spec->selectors);
    }
}

TEST(Store, AllAreByNameDirectionAndChild) {
    Setting given;
    const auto names = [&] {
        std::string text;
        for (const Sa* sa : given.store.all())
            text += sa->name() + (sa->direction() == Direction::outbound ? ">" : "<") + std::to_string(sa->spec().child) + " ";
        return text;
    };
    EXPECT_EQ(names(), "");
    SaSpec second = spec_of("b", Direction::inbound, 0x1001);
    second.child = 10;
    (void)given.store.apply({.install = {spec_of("c", Direction::inbound, 0x1002), second, spec_of("b", Direction::outbound, 0x1003)}});
    EXPECT_EQ(names(), "b>0 b<10 c<0 ");
    second.child = 9;
    second.spi = 0x1004;
    (void)given.store.apply({.install = {second, spec_of("a", Direction::inbound, 0x1005)}, .remove = {{"c", Direction::inbound}}});
    EXPECT_EQ(names(), "a<0 b>0 b<9 b<10 ");
    given.store.drain();
    std::size_t met = 0;
    given.store.each([&](const Sa& sa) { met += given.store.find(sa.number) == &sa ? 1 : 0; });
    EXPECT_EQ(met, 4U);
}

// The numbers belong to the last one that goes on with them, whatever is drained when.
TEST(Store, ManyUpdatesUnderOneKeyBeforeADrain) {
    Lives given;
    SaSpec spec = spec_of("a", Direction::inbound, 0x1001);
    ASSERT_TRUE(given.store->apply({.install = {spec}}));
    EXPECT_EQ(sequence::accept(given.store->find("a", Direction::inbound)->inbound->space, 10), DropReason::none);
    const std::uint32_t used = given.units->used();
    for (std::uint16_t vpn = 1; vpn < 5; ++vpn) {
        spec.red_vpn = vpn;
        ASSERT_TRUE(given.store->apply({.update = {spec}}));
        if (vpn == 2) given.store->drain();
    }
    auto prepared = given.store->prepare({.update = {spec}});
    ASSERT_TRUE(prepared);
    given.store->abandon(std::move(*prepared));
    given.store->drain();
    EXPECT_EQ(given.units->used(), used);
    EXPECT_EQ(given.names(), Names{"a"});
    EXPECT_EQ(sequence::accept(given.store->find("a", Direction::inbound)->inbound->space, 10), DropReason::replayed);
    ASSERT_TRUE(given.store->apply({.remove = {{"a", Direction::inbound}}}));
    given.store->drain();
    EXPECT_EQ(given.units->used(), 1U);
}

TEST(Store, ATableOfAnotherVersionOrNonsenseIsRefused) {
    for (const int kind : {0, 1, 2}) {
        Lives given;
        ASSERT_TRUE(given.store->apply({.install = {spec_of("a", Direction::inbound, 0x1000)}}));
        const auto octets = given.table->octets(given.table->records()[0]);
        std::vector<std::uint8_t> copy(octets.begin(), octets.end());
        if (kind == 1) copy[0] = 0; // no name
        if (kind == 2) copy.pop_back();
        const std::uint32_t tag = given.table->tag(given.table->records()[0]) + (kind == 0 ? 2 : 0);
        std::ranges::copy(copy, given.table->stage(copy.size(), tag).value().octets.begin());
        given.table->commit();
        const auto left = load_all(*given.table);
        ASSERT_FALSE(left) << kind;
        EXPECT_EQ(left.error().code, ErrorCode::conflict);
    }
}

TEST(Store, AnAdoptedSaGoesOnWithItsNumbersWindowAndCounters) {
    Lives given;
    ASSERT_TRUE(given.store->apply({.install = {spec_of("a", Direction::outbound, 0x1001), spec_of("a", Direction::inbound, 0x1002)}}));
    EXPECT_EQ(sequence::take(given.store->find("a", Direction::outbound)->outbound->space, 9).count, 9U);
    given.store->find("a", Direction::outbound)->outbound->counters->packets = 9;
    EXPECT_EQ(sequence::accept(given.store->find("a", Direction::inbound)->inbound->space, 5), DropReason::none);
    // The process dies: the units are found again with their heads.
    for (const Direction direction : {Direction::outbound, Direction::inbound}) {
        const Sa* sa = given.store->find("a", direction);
        given.units->put_back(sa->space().memory, state::Units::fingerprint_of(sa->space().memory));
    }
    Store& store = given.next();
    const auto applied = store.apply({.adopt = load_all(*given.table).value().sas});
    ASSERT_TRUE(applied) << to_string(applied.error());
    EXPECT_EQ(sequence::take(store.find("a", Direction::outbound)->outbound->space, 1).first, 10U);
    EXPECT_EQ(store.find("a", Direction::outbound)->counters().packets, 9U);
    EXPECT_EQ(sequence::accept(store.find("a", Direction::inbound)->inbound->space, 5), DropReason::replayed);
    EXPECT_EQ(given.names(), (Names{"a", "a"})) << "they stay in the table";
    ASSERT_TRUE(store.apply({.remove = {{"a", Direction::outbound}, {"a", Direction::inbound}}}));
    store.drain();
    EXPECT_EQ(given.names(), Names{});
    EXPECT_EQ(given.units->used(), 1U);
}

TEST(Store, WithoutItsNumbersAnSaIsNotAdopted) {
    for (const Direction direction : {Direction::outbound, Direction::inbound}) {
        Lives given;
        ASSERT_TRUE(given.store->apply({.install = {spec_of("a", direction, 0x1001)}}));
        given.units = state::Units::anonymous(1000).value();
        Store& store = given.next();
        const auto left = load_all(*given.table).value().sas;
        const auto applied = store.apply({.adopt = left});
        ASSERT_FALSE(applied);
        EXPECT_EQ(applied.error().code, ErrorCode::refused);
        EXPECT_EQ(given.units->used(), 1U);
        store.discard(std::vector{left[0].record});
        EXPECT_EQ(given.names(), Names{});
    }
}

TEST(Store, AKeyIsNeverInstalledForSealingASecondTime) {
    Lives given;
    for (const Algorithm algorithm : {Algorithm::aes_128_gcm_16, Algorithm::aes_128_cbc_hmac_sha2_256_128}) {
        const std::string name = std::string(info(algorithm).name);
        const SaSpec first = spec_of(name, Direction::outbound, 0x1001, algorithm);
        SaSpec other = first;
        other.name += "-again";
        other.spi = 0x2001;
        EXPECT_EQ(given.store->apply({.install = {first, other}}).error().place, "install[1] " + other.name + " outbound key");
        ASSERT_TRUE(given.store->apply({.install = {first}}));
        ASSERT_TRUE(given.store->apply({.update = {first}})) << "its own series goes on";
        const auto refused = given.store->apply({.install = {other}});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::refused);
        EXPECT_EQ(refused.error().remedy.substr(0, 14), "take a new key");
        ASSERT_TRUE(given.store->apply({.remove = {{name, Direction::outbound}}}));
        given.store->drain();
        EXPECT_FALSE(given.store->apply({.install = {other}})) << "nor when it is gone";
        given.table = SecretTable::make(1 << 20).value();
        given.units = state::Units::anonymous(1000).value();
        Store& store = given.next();
        EXPECT_FALSE(store.apply({.install = {first}})) << "nor by the next process, whatever else was lost";
        other.manual = true;
        EXPECT_FALSE(store.apply({.install = {other}})) << "nor by hand";
        other.direction = Direction::inbound;
        EXPECT_TRUE(store.apply({.install = {other}})) << "to open with it is another matter";
        ASSERT_TRUE(store.apply({.remove = {{other.name, Direction::inbound}}}));
        store.drain();
    }
}

TEST(Store, AKeyGivenByHandGoesOnFromItsMarks) {
    Lives given;
    SaSpec sa = spec_of("a", Direction::outbound, 0x1001);
    sa.manual = true;
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(given.store->apply({.install = {sa}}));
        ASSERT_TRUE(given.store->apply({.remove = {{"a", Direction::outbound}}}));
        given.store->drain();
    }
    sa.manual = false;
    EXPECT_EQ(given.store->apply({.install = {sa}}).error().code, ErrorCode::refused);
}

TEST(Store, NumbersThatNobodyAdoptedAreNotStartedAgain) {
    Lives given;
    const SaSpec sa = spec_of("a", Direction::outbound, 0x1001);
    ASSERT_TRUE(given.store->apply({.install = {sa}}));
    given.units->put_back(given.store->find("a", Direction::outbound)->space().memory, state::fingerprint_of(sa));
    given.known = state::KnownKeys::anonymous().value(); // that memory was damaged, and the table too
    Store& store = given.next();
    EXPECT_EQ(store.apply({.install = {sa}}).error().code, ErrorCode::refused);
}

TEST(Store, AHundredThousandSasInSeconds) {
    std::vector<SaSpec> specs;
    for (std::uint32_t i = 0; i < 50'000; ++i) {
        specs.push_back(spec_of("sa" + std::to_string(i), Direction::outbound, 0x10000 + i));
        specs.push_back(spec_of("sa" + std::to_string(i), Direction::inbound, 0x10000 + i));
    }
    const auto units = state::Units::anonymous(Store::units_for(specs)).value();
    const auto known = state::KnownKeys::anonymous().value();
    const auto table = SecretTable::make().value();
    Store store(*units, nullptr, 2, {.known = known.get(), .table = table.get()});
    const auto cpu = [] { // what others do on the same cores does not count
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return std::chrono::milliseconds(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
    };
    const auto begin = cpu();
    const auto applied = store.apply({.install = std::move(specs)});
    const auto took = cpu() - begin;
    ASSERT_TRUE(applied) << to_string(applied.error());
    EXPECT_EQ(store.size(), 100'000U);
    std::printf("100,000 SAs installed in %lld ms\n", static_cast<long long>(took.count()));
    EXPECT_LT(took.count(), 20'000);
    const auto before_sorting = cpu();
    EXPECT_EQ(store.all().size(), 100'000U);
    std::printf("put in order in %lld ms\n", static_cast<long long>((cpu() - before_sorting).count()));
}
