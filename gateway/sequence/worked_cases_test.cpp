// SPDX-License-Identifier: Apache-2.0
// Worked cases of ESN: the algorithm of RFC 4303 A2.2 and A2.3 by hand, window sizes 1 to 2^31.
#include "gateway/sequence/space.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace sallyport;
using namespace sallyport::sequence;

namespace {

/// Memory of a large window, given by the kernel only where it is touched.
class LazyUnits {
public:
    explicit LazyUnits(std::uint32_t window) : size_(units_of(Direction::inbound, window) * sizeof(Unit)) {
        memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }

    ~LazyUnits() { munmap(memory_, size_); }

    LazyUnits(const LazyUnits&) = delete;
    LazyUnits& operator=(const LazyUnits&) = delete;

    [[nodiscard]] Unit* get() const { return static_cast<Unit*>(memory_); }

private:
    std::size_t size_;
    void* memory_;
};

enum class Then { set_bit, advance, zero, duplicate, none };

struct Case {
    unsigned number;
    std::uint32_t window;
    std::uint64_t highest;
    std::uint32_t low;
    Then then;
    std::uint64_t result; // set_bit: age; advance: the new top
    bool seen = false;    // the number's own bit is set before
};

constexpr auto one = std::uint64_t{1} << 32;

// clang-format off
constexpr Case cases[] = {
    {1, 64, 0x0, 0x1, Then::advance, 0x1},
    {2, 64, 0x0, 0x0, Then::zero, 0},
    {3, 64, 0x0, 0x40, Then::advance, 0x40},
    {4, 64, 0x0, 0xFFFFFFC1, Then::none, 0},
    {5, 64, 0x0, 0xFFFFFFFF, Then::none, 0},
    {6, 64, 0x0, 0xFFFFFFC0, Then::advance, 0xffffffc0},
    {7, 64, 0x1, 0x1, Then::duplicate, 0, true},
    {8, 64, 0xA, 0xFFFFFFCB, Then::none, 0},
    {9, 64, 0xA, 0xFFFFFFCA, Then::advance, 0xffffffca},
    {10, 64, 0x3E, 0xFFFFFFFF, Then::none, 0},
    {11, 64, 0x3F, 0x0, Then::zero, 0},
    {12, 64, 0x3F, 0xFFFFFFFF, Then::advance, 0xffffffff},
    {13, 64, 0x40, 0x1, Then::set_bit, 63},
    {14, 64, 0x40, 0x0, Then::advance, one},
    {15, 64, 0x64, 0x25, Then::set_bit, 63},
    {16, 64, 0x64, 0x24, Then::advance, one + 0x24},
    {17, 64, 0x64, 0x64, Then::duplicate, 0, true},
    {18, 64, 0x64, 0x80000064, Then::advance, 0x80000064},
    {19, 64, 0xFFFFFFFF, 0xFFFFFFC0, Then::set_bit, 63},
    {20, 64, 0xFFFFFFFF, 0xFFFFFFBF, Then::advance, one + 0xffffffbf},
    {21, 64, 0xFFFFFFFF, 0x0, Then::advance, one},
    {22, 64, 0xFFFFFFFF, 0x5, Then::advance, one + 5},
    {23, 64, 0xFFFFFFFF, 0xFFFFFFFF, Then::duplicate, 0, true},
    {24, 64, one, 0xFFFFFFFF, Then::set_bit, 1},
    {25, 64, one, 0xFFFFFFC1, Then::set_bit, 63},
    {26, 64, one, 0xFFFFFFC0, Then::advance, one + 0xffffffc0},
    {27, 64, one, 0x0, Then::duplicate, 0, true},
    {28, 64, one + 0x3E, 0xFFFFFFFF, Then::set_bit, 63},
    {29, 64, one + 0x3F, 0xFFFFFFFF, Then::advance, one + 0xffffffff},
    {30, 64, one + 0x3F, 0x0, Then::set_bit, 63},
    {31, 64, 5 * one + 0x10, 0xFFFFFFF0, Then::set_bit, 32},
    {32, 64, 5 * one + 0x10, 0xFFFFFFD0, Then::advance, 5 * one + 0xffffffd0},
    {33, 64, 5 * one + 0x10, 0x11, Then::advance, 5 * one + 0x11},
    {34, 64, 5 * one + 0x10, 0x10, Then::duplicate, 0, true},
    {35, 64, 5 * one + 0x10, 0xFFFFFFF0, Then::duplicate, 0, true},
    {36, 1, one, 0xFFFFFFFF, Then::advance, one + 0xffffffff},
    {37, 1, one, 0x0, Then::duplicate, 0, true},
    {38, 1, 0x0, 0x0, Then::zero, 0},
    {39, 1, 0x0, 0xFFFFFFFF, Then::advance, 0xffffffff},
    {40, 65536, one + 0xFFFE, 0xFFFFFFFF, Then::set_bit, 65535},
    {41, 65536, one + 0xFFFF, 0xFFFFFFFF, Then::advance, one + 0xffffffff},
    {42, 65536, one, 0xFFFF0001, Then::set_bit, 65535},
    {43, 65536, one, 0xFFFF0000, Then::advance, one + 0xffff0000},
    {44, 65536, 2 * one + 0x12345, 0x2346, Then::set_bit, 65535},
    {45, 65536, 2 * one + 0x12345, 0x2345, Then::advance, 3 * one + 0x2345},
    {46, 64, 0xFFFFFFFFFFFFFFFF, 0x0, Then::zero, 0}, // 2^64 does not exist, its 64 bits are 0
    {47, 64, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFF, Then::advance, 0xffffffffffffffff},
    {48, 64, 0xFFFFFFFF00000005, 0xFFFFFFF0, Then::set_bit, 21},
    {49, 2147483648, one + 0x80000000, 0x80000000, Then::duplicate, 0, true},
    {50, 2147483648, one + 0x7FFFFFFE, 0xFFFFFFFF, Then::set_bit, 2147483647},
    {51, 2147483648, one + 0x7FFFFFFF, 0xFFFFFFFF, Then::advance, one + 0xffffffff},
};
// clang-format on

class WorkedCase : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(WorkedCase, GivesTheSheetsVerdict) {
    const Case& given = GetParam();
    const LazyUnits units(given.window);
    Unit* memory = units.get();
    const Space space{.memory = memory, .window = given.window, .extended = true};
    memory->words[number_word] = given.highest;
    if (given.seen) {
        const std::uint64_t low_distance = static_cast<std::uint32_t>(static_cast<std::uint32_t>(given.highest) - given.low);
        const std::uint64_t number = given.highest - low_distance;
        detail::word_of(space, number) |= detail::bit_of(space, number);
    }
    std::uint64_t number = 0;
    const DropReason reason = check(space, given.low, number);
    EXPECT_EQ(memory->words[number_word], given.highest);
    switch (given.then) {
    case Then::zero: EXPECT_EQ(reason, DropReason::sequence_zero); return;
    case Then::duplicate: EXPECT_EQ(reason, DropReason::replayed); return;
    case Then::none: EXPECT_EQ(reason, DropReason::too_old); return;
    case Then::set_bit:
        ASSERT_EQ(reason, DropReason::none);
        EXPECT_EQ(given.highest - number, given.result);
        EXPECT_EQ(accept(space, number), DropReason::none);
        EXPECT_EQ(memory->words[number_word], given.highest);
        break;
    case Then::advance:
        ASSERT_EQ(reason, DropReason::none);
        EXPECT_EQ(number, given.result);
        EXPECT_EQ(accept(space, number), DropReason::none);
        EXPECT_EQ(memory->words[number_word], given.result);
        break;
    }
    EXPECT_EQ(static_cast<std::uint32_t>(number), given.low);
    EXPECT_EQ(accept(space, number), DropReason::replayed); // the same packet again
    EXPECT_EQ(check(space, given.low, number), DropReason::replayed);
}

INSTANTIATE_TEST_SUITE_P(Sheet, WorkedCase, testing::ValuesIn(cases),
                         [](const auto& given) { return "case" + std::to_string(given.param.number); });
