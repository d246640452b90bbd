// SPDX-License-Identifier: Apache-2.0
#include "gateway/sequence/space.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <random>
#include <set>
#include <vector>

using namespace sallyport;
using namespace sallyport::sequence;

namespace {

constexpr std::uint64_t one = std::uint64_t{1} << 32;

/// The plain reading of RFC 4303 3.4.3 and appendix A2.2, with every number that was ever accepted kept as such.
struct Model {
    std::uint32_t window;
    bool extended;
    std::uint64_t top = 0;
    std::set<std::uint64_t> seen;

    DropReason check(std::uint32_t low, std::uint64_t& number) const {
        if (!extended) {
            number = low;
            return verdict(number);
        }
        const auto top_low = static_cast<std::uint32_t>(top);
        const std::uint64_t top_high = top >> 32;
        const std::uint32_t bottom = top_low - window + 1U;
        if (top_low >= window - 1U) { // case A: the window lies in one subspace
            if (low < bottom && top_high == 0xffff'ffffU) return DropReason::too_old;
            number = (low >= bottom ? top_high : top_high + 1) << 32 | low;
        } else { // case B: it spans two
            if (low >= bottom && top_high == 0) return DropReason::too_old;
            number = (low >= bottom ? top_high - 1 : top_high) << 32 | low;
        }
        return verdict(number);
    }

    DropReason verdict(std::uint64_t number) const {
        if (number == 0) return DropReason::sequence_zero;
        if (number <= top && top - number >= window) return DropReason::too_old;
        return seen.contains(number) ? DropReason::replayed : DropReason::none;
    }

    void accept(std::uint64_t number) {
        seen.insert(number);
        top = std::max(top, number);
        while (top - *seen.begin() >= 4 * std::uint64_t{window}) seen.erase(seen.begin());
    }
};

struct Inbound {
    std::vector<Unit> units;
    Space space;

    explicit Inbound(std::uint32_t window, bool extended, std::uint64_t number = 0) : units(units_of(Direction::inbound, window)) {
        prepare(units.data(), Direction::inbound, window, number);
        space = {.memory = units.data(), .last = number, .window = window, .extended = extended};
    }

    DropReason receive(std::uint32_t low) {
        std::uint64_t number = 0;
        const DropReason reason = check(space, low, number);
        return reason == DropReason::none ? sequence::accept(space, number) : reason;
    }

    [[nodiscard]] std::uint64_t top() const { return units[0].words[number_word]; }
};

struct Setting {
    std::uint32_t window;
    bool extended;
    std::uint64_t start;
};

class AgainstTheModel : public testing::TestWithParam<Setting> {};

} // namespace

// Steps of every size: in order, small jumps, late ones, duplicates, jumps over several windows, anything at all.
TEST_P(AgainstTheModel, RandomSteps) {
    const Setting& setting = GetParam();
    std::mt19937_64 random(setting.window * 2 + (setting.extended ? 1U : 0U));
    std::vector<Unit> units(units_of(Direction::inbound, setting.window));
    const Space space{.memory = units.data(), .window = setting.window, .extended = setting.extended};
    units[0].words[number_word] = setting.start;
    Model model{.window = setting.window, .extended = setting.extended, .top = setting.start, .seen = {}};
    unsigned accepted = 0;
    for (int step = 0; step < 300'000; ++step) {
        const std::uint64_t w = setting.window;
        std::uint64_t wish = model.top + 1;
        switch (random() % 16) {
        case 0:
        case 1:
        case 2: wish = model.top + 1 + random() % 70; break;
        case 3:
        case 4:
        case 5:
        case 6: wish = model.top - random() % w; break;
        case 7: wish = model.top - w + random() % 3; break;
        case 8: wish = model.top - random() % (2 * w); break;
        case 9: wish = model.top + random() % (3 * w); break;
        case 10:
            // Anything; rarely, and not where 32 bits are all there are.
            if (setting.extended && random() % 4096 == 0) wish = random();
            break;
        default: break;
        }
        if (!setting.extended && wish > short_end) wish = model.top + 1; // below zero
        const auto low = static_cast<std::uint32_t>(wish);
        std::uint64_t expected_number = 0, number = 0;
        const DropReason expected = model.check(low, expected_number);
        ASSERT_EQ(check(space, low, number), expected) << step << " top " << model.top << " low " << low;
        if (expected != DropReason::none) continue;
        ASSERT_EQ(number, expected_number) << step;
        if (number - model.top > one / 2 && number > model.top && random() % 64 != 0)
            continue; // as if its ICV were wrong: nothing may have changed
        ASSERT_EQ(accept(space, number), DropReason::none);
        ASSERT_EQ(accept(space, number), DropReason::replayed); // its copy in the same batch
        model.accept(number);
        ASSERT_EQ(units[0].words[number_word], model.top);
        ++accepted;
    }
    EXPECT_GT(accepted, 50'000U);
    // At the end every number of the window, not only those met.
    for (std::uint64_t age = 0; age < setting.window && age < model.top; ++age) {
        std::uint64_t number = 0;
        ASSERT_EQ(check(space, static_cast<std::uint32_t>(model.top - age), number), model.verdict(model.top - age)) << age;
    }
}

INSTANTIATE_TEST_SUITE_P(Windows, AgainstTheModel,
                         testing::Values(Setting{32, true, 0}, Setting{64, true, 0}, Setting{128, true, 0}, Setting{1024, true, 0},
                                         Setting{65536, true, 0}, Setting{32, true, one - 5000}, Setting{64, true, one - 5000},
                                         Setting{512, true, one - 5000}, Setting{1024, true, 7 * one - 5000},
                                         Setting{65536, true, one - 100'000}, Setting{1024, true, ~std::uint64_t{0} - 1000 * one},
                                         Setting{32, false, 0}, Setting{64, false, 0}, Setting{1024, false, 0}, Setting{65536, false, 0}),
                         [](const auto& given) {
                             return "w" + std::to_string(given.param.window) + (given.param.extended ? "_esn_" : "_short_") +
                                    std::to_string(given.param.start);
                         });

TEST(Inbound, InOrderAcrossTheEdgeOfTheSubspace) {
    Inbound in(1024, true, one - 3000);
    for (std::uint64_t number = one - 2999; number < one + 3000; ++number)
        ASSERT_EQ(in.receive(static_cast<std::uint32_t>(number)), DropReason::none) << number;
    EXPECT_EQ(in.top(), one + 2999);
}

TEST(Inbound, ShuffledInsideTheWindowAndEachTwice) {
    std::mt19937 random(3);
    Inbound in(1024, true, one - 5000);
    for (std::uint64_t base = one - 4999; base < one + 5000; base += 1024) {
        std::vector<std::uint64_t> numbers;
        for (std::uint64_t i = 0; i < 1024; ++i) numbers.push_back(base + i);
        std::shuffle(numbers.begin(), numbers.end(), random);
        for (const std::uint64_t number : numbers) {
            ASSERT_EQ(in.receive(static_cast<std::uint32_t>(number)), DropReason::none) << number;
            ASSERT_EQ(in.receive(static_cast<std::uint32_t>(number)), DropReason::replayed) << number;
        }
    }
}

TEST(Inbound, TwoCopiesInOneBatch) {
    const Inbound in(64, true);
    std::uint64_t first = 0, second = 0;
    EXPECT_EQ(check(in.space, 9, first), DropReason::none);
    EXPECT_EQ(check(in.space, 9, second), DropReason::none);
    EXPECT_EQ(accept(in.space, first), DropReason::none);
    EXPECT_EQ(accept(in.space, second), DropReason::replayed);
}

TEST(Inbound, OneOfABatchFallsOutOfTheWindowThatAnotherMoved) {
    const Inbound in(32, true, 100);
    std::uint64_t early = 0, late = 0;
    EXPECT_EQ(check(in.space, 101, early), DropReason::none);
    EXPECT_EQ(check(in.space, 133, late), DropReason::none);
    EXPECT_EQ(accept(in.space, late), DropReason::none);
    EXPECT_EQ(accept(in.space, early), DropReason::too_old);
}

TEST(Inbound, AForgedJumpWhoseIcvFailsChangesNothing) {
    Inbound in(64, true, one - 1);
    std::uint64_t number = 0;
    EXPECT_EQ(check(in.space, 0xffffffbf, number), DropReason::none);
    EXPECT_EQ(number, one + 0xffffffbf);
    EXPECT_EQ(in.top(), one - 1);
    EXPECT_EQ(in.receive(0), DropReason::none);
    EXPECT_EQ(in.top(), one);
}

TEST(Inbound, NothingUpToThePreparedNumberIsTakenAgain) {
    Inbound in(64, false, 1000);
    for (std::uint32_t low = 1; low <= 1000; ++low) ASSERT_NE(in.receive(low), DropReason::none) << low;
    EXPECT_EQ(in.receive(1001), DropReason::none);
    EXPECT_EQ(in.receive(1000), DropReason::too_old);
    // The floor holds even if the bits were lost.
    in.units[1].words.fill(0);
    EXPECT_EQ(in.receive(990), DropReason::too_old);
    EXPECT_EQ(in.receive(1003), DropReason::none);
    EXPECT_EQ(in.receive(1002), DropReason::none);
}

TEST(Inbound, TheFloorHoldsAboveTheHighestToo) {
    for (const bool extended : {false, true}) {
        Inbound in(64, extended, 1000);
        in.space.last = 2000;
        EXPECT_EQ(in.receive(1001), DropReason::too_old);
        EXPECT_EQ(in.receive(2000), DropReason::too_old);
        EXPECT_EQ(in.receive(2001), DropReason::none);
        EXPECT_EQ(in.receive(2000), DropReason::too_old) << "inside the window, below the floor";
    }
}

TEST(Inbound, WithoutEsnTheEndIsTheEnd) {
    Inbound in(64, false, short_end - 2);
    EXPECT_EQ(in.receive(0xffffffff), DropReason::none);
    EXPECT_EQ(in.receive(0), DropReason::sequence_zero);
    EXPECT_EQ(in.receive(1), DropReason::too_old);
    EXPECT_EQ(in.receive(0xfffffffe), DropReason::none);
}

TEST(Inbound, AboveTheMarkIsRefusedAndAskedFor) {
    Inbound in(64, true);
    std::uint64_t mark = 10;
    in.space.mark = &mark;
    EXPECT_EQ(in.receive(10), DropReason::none);
    EXPECT_EQ(in.receive(11), DropReason::mark_not_durable);
    EXPECT_EQ(in.receive(5000), DropReason::mark_not_durable);
    EXPECT_EQ(in.receive(12), DropReason::mark_not_durable);
    EXPECT_EQ(in.top(), 10U);
    EXPECT_EQ(in.units[0].words[wanted_word], 5000U);
    EXPECT_EQ(in.receive(3), DropReason::none); // inside the window the mark is no matter
    mark = 6000;
    EXPECT_EQ(in.receive(5000), DropReason::none);
}

namespace {

struct Outbound {
    std::vector<Unit> units = std::vector<Unit>(1);
    Space space{.memory = units.data(), .last = extended_end, .extended = true};

    [[nodiscard]] std::uint64_t counter() const { return units[0].words[number_word]; }
};

} // namespace

TEST(Outbound, NumbersBeginWithOneAndNeverRepeat) {
    const Outbound out;
    std::uint64_t next = 1;
    std::mt19937 random(5);
    for (int i = 0; i < 10'000; ++i) {
        const auto wanted = static_cast<unsigned>(random() % 65);
        const Numbers numbers = take(out.space, wanted);
        ASSERT_EQ(numbers.first, next);
        ASSERT_EQ(numbers.count, wanted);
        ASSERT_EQ(numbers.reason, DropReason::none);
        next += wanted;
        ASSERT_EQ(out.counter(), next - 1);
    }
}

TEST(Outbound, GoesOnBehindThePreparedNumber) {
    Outbound out;
    prepare(out.units.data(), Direction::outbound, 0, 70'000);
    EXPECT_EQ(take(out.space, 1).first, 70'001U);
}

TEST(Outbound, StopsAtTheEnd) {
    Outbound out;
    out.space.last = short_end;
    out.units[0].words[number_word] = short_end - 3;
    Numbers numbers = take(out.space, 64);
    EXPECT_EQ(numbers.first, short_end - 2);
    EXPECT_EQ(numbers.count, 3U);
    EXPECT_EQ(numbers.reason, DropReason::sequence_exhausted);
    numbers = take(out.space, 1);
    EXPECT_EQ(numbers.count, 0U);
    EXPECT_EQ(numbers.reason, DropReason::sequence_exhausted);
    EXPECT_EQ(out.counter(), short_end);
    out.space.last = extended_end;
    out.units[0].words[number_word] = extended_end - 1;
    numbers = take(out.space, 64);
    EXPECT_EQ(numbers.count, 1U);
    EXPECT_EQ(take(out.space, 64).count, 0U);
}

TEST(Outbound, StopsAtTheMarkUntilItIsRaised) {
    Outbound out;
    std::uint64_t mark = 5;
    out.space.mark = &mark;
    Numbers numbers = take(out.space, 64);
    EXPECT_EQ(numbers.count, 5U);
    EXPECT_EQ(numbers.reason, DropReason::mark_not_durable);
    EXPECT_EQ(take(out.space, 1).count, 0U);
    mark = 100;
    numbers = take(out.space, 64);
    EXPECT_EQ(numbers.first, 6U);
    EXPECT_EQ(numbers.count, 64U);
    EXPECT_EQ(numbers.reason, DropReason::none);
    // A mark beyond the end, or one behind the counter, gives nothing that must not be given.
    mark = ~std::uint64_t{0};
    out.space.last = 80;
    numbers = take(out.space, 64);
    EXPECT_EQ(numbers.count, 11U);
    EXPECT_EQ(numbers.reason, DropReason::sequence_exhausted);
    mark = 3;
    EXPECT_EQ(take(out.space, 1).count, 0U);
    EXPECT_EQ(out.counter(), 81U - 1U);
}
