// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/marks.hpp"

#include "gateway/state/memory_disk.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <future>
#include <random>
#include <thread>

using namespace sallyport;
using namespace sallyport::state;
using namespace std::chrono_literals;
using sequence::number_word;
using sequence::Space;
using sequence::Unit;

namespace {

constexpr Instance here{1}, elsewhere{2};

SaSpec sa(Direction direction, std::string name = "office", std::uint8_t seed = 1) {
    SaSpec spec{.name = std::move(name), .direction = direction, .spi = 0x1000, .algorithm = Algorithm::aes_256_cbc_hmac_sha2_256_128};
    spec.key.size = static_cast<std::uint8_t>(info(spec.algorithm).material());
    spec.key.octets.fill(seed);
    spec.window = 64;
    return spec;
}

std::string file_of(std::span<const SaSpec> sas, std::uint64_t mark = 0, const Instance& units = here, bool clean = false) {
    MarksFile file{.clean = clean, .units = units, .records = {}};
    for (const SaSpec& spec : sas) file.records.push_back({spec.direction, mark, fingerprint_of(spec), spec.name});
    return format_marks(file);
}

/// The gateway's part: memory of one SA, and the space in it.
struct Used {
    std::vector<Unit>& memory;
    Space space;

    /// The memory outlives the marks that follow it, as it does in the gateway.
    static std::vector<Unit>& lasting(const SaSpec& spec) {
        static std::deque<std::vector<Unit>> all;
        return all.emplace_back(sequence::units_of(spec.direction, spec.window));
    }

    explicit Used(const SaSpec& spec) : memory(lasting(spec)) {
        space = {.memory = memory.data(), .last = sequence::extended_end, .window = spec.window, .extended = true};
    }

    Result<void> admit(Marks& marks, const SaSpec& spec, bool survived = false) {
        const auto admission = marks.admit(spec, fingerprint_of(spec), memory.data(), survived);
        if (!admission) return std::unexpected(admission.error());
        space.mark = admission->mark;
        if (spec.direction == Direction::inbound) space.last = admission->floor;
        return {};
    }

    [[nodiscard]] std::uint64_t number() const { return memory[0].words[number_word]; }
    [[nodiscard]] std::uint64_t mark() const { return std::atomic_ref(*space.mark).load(); }
};

template <class Condition>
bool soon(Condition condition) {
    for (int i = 0; i < 5000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(1ms);
    }
    return false;
}

std::unique_ptr<Marks> marks_on(MemoryDisk& disk, const Instance& units = here) {
    return Marks::open(std::make_unique<MemoryFiles>(disk), units);
}

MarksFile on_disk(MemoryDisk& disk) {
    const std::lock_guard lock(disk.mutex);
    return parse_marks(disk.durable.at("marks")->durable).value();
}

} // namespace

TEST(Reserve, IsTwoSecondsWithinItsBounds) {
    EXPECT_EQ(reserve_of(Direction::outbound, 0), 65536U);
    EXPECT_EQ(reserve_of(Direction::outbound, 32768), 65536U);
    EXPECT_EQ(reserve_of(Direction::outbound, 100'000), 200'000U);
    EXPECT_EQ(reserve_of(Direction::outbound, 14'880'000), 1048576U);
    EXPECT_EQ(reserve_of(Direction::inbound, 0), 4096U);
    EXPECT_EQ(reserve_of(Direction::inbound, 100'000), 200'000U);
    EXPECT_EQ(reserve_of(Direction::inbound, 1'400'000), 2'800'000U);
}

TEST(Marks, NoNumberIsGivenBeforeItsMarkIsDurable) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::outbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(used.mark(), 65536U);
    EXPECT_EQ(on_disk(disk).records[0].mark, 65536U);
    EXPECT_EQ(sequence::take(used.space, 64).first, 1U);
    // Less than half used: nothing is written.
    const std::uint64_t writes = marks->writes();
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(marks->writes(), writes);
}

TEST(Marks, AMarkIsExtendedWhenHalfIsUsed) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::outbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    for (int i = 0; i < 40'000 / 64; ++i) ASSERT_EQ(sequence::take(used.space, 64).count, 64U);
    EXPECT_TRUE(soon([&] { return used.mark() >= 40'000 / 64 * 64 + 65536; }));
    EXPECT_LE(used.mark(), used.number() + most_outbound);
    EXPECT_GE(on_disk(disk).records[0].mark, used.mark());
}

TEST(Marks, TheReserveGrowsWithTheRate) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::inbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(used.mark(), 4096U);
    // About 100,000 packets a second: after a while two seconds of them are reserved.
    std::uint64_t number = 0;
    EXPECT_TRUE(soon([&] {
        for (int i = 0; i < 150; ++i)
            if (sequence::accept(used.space, number + 1) == DropReason::none) ++number;
        return used.mark() > number + 60'000;
    }));
}

TEST(Marks, AfterAPowerCutSendingStartsBehindAndReceivingAboveTheMark) {
    MemoryDisk disk;
    const SaSpec out = sa(Direction::outbound), in = sa(Direction::inbound);
    const SaSpec both[] = {out, in};
    disk.boot({{"marks", file_of(both)}});
    {
        const auto marks = marks_on(disk);
        Used sender(out), receiver(in);
        ASSERT_TRUE(sender.admit(*marks, out));
        ASSERT_TRUE(receiver.admit(*marks, in));
        ASSERT_TRUE(marks->settle(5000));
        EXPECT_EQ(sequence::take(sender.space, 10).first, 1U);
        EXPECT_EQ(sequence::accept(receiver.space, 7), DropReason::none);
        const auto found = disk.after_cut(false, 0);
        const std::lock_guard lock(disk.mutex);
        disk.cut_at = disk.calls;
    }
    disk.boot(disk.after_cut(false, 0));
    const auto marks = marks_on(disk, elsewhere);
    Used sender(out), receiver(in);
    ASSERT_TRUE(sender.admit(*marks, out));
    ASSERT_TRUE(receiver.admit(*marks, in));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(sequence::take(sender.space, 1).first, 65537U);
    std::uint64_t number = 0;
    for (std::uint32_t low = 4096 - 63; low <= 4096; ++low)
        EXPECT_NE(sequence::check(receiver.space, low, number), DropReason::none) << low;
    EXPECT_EQ(sequence::check(receiver.space, 4097, number), DropReason::none);
    EXPECT_EQ(number, 4097U);
}

TEST(Marks, ACleanStopBurnsNoNumber) {
    MemoryDisk disk;
    const SaSpec out = sa(Direction::outbound), in = sa(Direction::inbound);
    const SaSpec both[] = {out, in};
    disk.boot({{"marks", file_of(both)}});
    {
        const auto marks = marks_on(disk);
        Used sender(out), receiver(in);
        ASSERT_TRUE(sender.admit(*marks, out));
        ASSERT_TRUE(receiver.admit(*marks, in));
        ASSERT_TRUE(marks->settle(5000));
        EXPECT_EQ(sequence::take(sender.space, 10).count, 10U);
        EXPECT_EQ(sequence::accept(receiver.space, 7), DropReason::none);
        EXPECT_FALSE(on_disk(disk).clean);
        ASSERT_TRUE(marks->close());
    }
    const MarksFile file = on_disk(disk);
    EXPECT_TRUE(file.clean);
    for (const MarkRecord& record : file.records) EXPECT_EQ(record.mark, record.direction == Direction::outbound ? 10U : 7U);
    const auto marks = marks_on(disk, elsewhere);
    EXPECT_FALSE(on_disk(disk).clean) << "taken away durably before use";
    Used sender(out), receiver(in);
    ASSERT_TRUE(sender.admit(*marks, out));
    ASSERT_TRUE(receiver.admit(*marks, in));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(sequence::take(sender.space, 1).first, 11U);
    std::uint64_t number = 0;
    EXPECT_EQ(sequence::check(receiver.space, 7, number), DropReason::too_old);
    EXPECT_EQ(sequence::check(receiver.space, 8, number), DropReason::none);
}

TEST(Marks, AfterAKillWithTheSameMemoryItGoesOnExactly) {
    MemoryDisk disk;
    const SaSpec out = sa(Direction::outbound), in = sa(Direction::inbound);
    const SaSpec both[] = {out, in};
    disk.boot({{"marks", file_of(both)}});
    Used sender(out), receiver(in);
    {
        const auto marks = marks_on(disk);
        ASSERT_TRUE(sender.admit(*marks, out));
        ASSERT_TRUE(receiver.admit(*marks, in));
        ASSERT_TRUE(marks->settle(5000));
        EXPECT_EQ(sequence::take(sender.space, 10).count, 10U);
        EXPECT_EQ(sequence::accept(receiver.space, 7), DropReason::none);
    } // killed: no close()
    const auto marks = marks_on(disk);
    ASSERT_TRUE(sender.admit(*marks, out, true));
    ASSERT_TRUE(receiver.admit(*marks, in, true));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(sequence::take(sender.space, 1).first, 11U);
    std::uint64_t number = 0;
    EXPECT_EQ(sequence::check(receiver.space, 7, number), DropReason::replayed);
    EXPECT_EQ(sequence::check(receiver.space, 6, number), DropReason::none) << "the window is still there";
}

TEST(Marks, MemoryThatDoesNotBelongToTheFileIsNotBelieved) {
    const SaSpec spec = sa(Direction::outbound);
    struct Try {
        Instance units;
        std::uint64_t left;
        bool clean;
        std::uint64_t first;
    };
    for (const Try& given : {Try{elsewhere, 50, false, 101}, Try{here, ~std::uint64_t{0}, false, 101}, Try{here, 50, true, 101},
                             Try{here, 50, false, 51}, Try{here, 100, true, 101}}) {
        MemoryDisk disk;
        disk.boot({{"marks", file_of({&spec, 1}, 100, here, given.clean)}});
        const auto marks = marks_on(disk, given.units);
        Used used(spec);
        used.memory[0].words[number_word] = given.left;
        ASSERT_TRUE(used.admit(*marks, spec, true));
        ASSERT_TRUE(marks->settle(5000));
        EXPECT_EQ(sequence::take(used.space, 1).first, given.first) << given.left << given.clean;
    }
}

TEST(Refusal, AFileThatWasPutBackIsFoundOut) {
    // A file from before a reboot, or one made anew for a key that was in use, names another memory: the numbers were used all the same.
    for (const Instance& units : {here, elsewhere})
        for (const Direction direction : {Direction::outbound, Direction::inbound}) {
            MemoryDisk disk;
            const SaSpec spec = sa(direction);
            disk.boot({{"marks", file_of({&spec, 1}, 100)}});
            const auto marks = marks_on(disk, units);
            Used used(spec);
            used.memory[0].words[number_word] = 101;
            const auto admitted = used.admit(*marks, spec, true);
            ASSERT_FALSE(admitted);
            EXPECT_NE(admitted.error().sentence.find("an old file was put back"), std::string::npos);
        }
}

TEST(Marks, ManyPowerCutsNeverRepeatANumberNorAcceptOneTwice) {
    std::mt19937 random(17);
    MemoryDisk disk;
    const SaSpec out = sa(Direction::outbound), in = sa(Direction::inbound);
    const SaSpec both[] = {out, in};
    disk.boot({{"marks", file_of(both)}});
    std::uint64_t given = 0, accepted = 0;
    std::uint8_t boot = 10;
    for (int round = 0; round < 60; ++round) {
        {
            const auto marks = marks_on(disk, Instance{++boot});
            Used sender(out), receiver(in);
            ASSERT_TRUE(sender.admit(*marks, out));
            ASSERT_TRUE(receiver.admit(*marks, in));
            {
                const std::lock_guard lock(disk.mutex);
                disk.cut_at = disk.calls + static_cast<long>(random() % 4000);
            }
            for (int i = 0; i < 300; ++i) {
                const auto numbers = sequence::take(sender.space, static_cast<unsigned>(1 + random() % 3000));
                if (numbers.count != 0) {
                    ASSERT_GT(numbers.first, given) << round;
                    given = numbers.first + numbers.count - 1;
                }
                const std::uint64_t next = receiver.number() + 1 + random() % 300;
                if (sequence::accept(receiver.space, next) == DropReason::none) {
                    ASSERT_GT(next, accepted) << round;
                    accepted = next;
                }
                if (i % 10 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
            }
        }
        disk.boot(disk.after_cut(random() % 2 == 0, random() % 400));
    }
    EXPECT_GT(given, 100'000U);
    EXPECT_GT(accepted, 10'000U);
}

TEST(Marks, AFullDiskStopsSendingAndIsGotOver) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::outbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    {
        const std::lock_guard lock(disk.mutex);
        disk.write_error = -ENOSPC;
    }
    sequence::Numbers numbers;
    while ((numbers = sequence::take(used.space, 64)).reason == DropReason::none) {
    }
    EXPECT_EQ(numbers.reason, DropReason::mark_not_durable);
    EXPECT_EQ(used.number(), 65536U);
    ASSERT_TRUE(soon([&] { return marks->trouble().has_value(); }));
    EXPECT_NE(marks->trouble()->sentence.find("No space left"), std::string::npos);
    EXPECT_FALSE(marks->settle(50));
    EXPECT_EQ(sequence::take(used.space, 1).count, 0U);
    {
        const std::lock_guard lock(disk.mutex);
        disk.write_error = 0;
    }
    ASSERT_TRUE(soon([&] { return sequence::take(used.space, 1).count == 1; }));
    EXPECT_EQ(used.number(), 65537U);
    EXPECT_FALSE(marks->trouble());
}

TEST(Marks, NobodyWaitsForAStuckDisk) {
    MemoryDisk disk;
    const SaSpec both[] = {sa(Direction::outbound), sa(Direction::inbound)};
    disk.boot({{"marks", file_of(both)}});
    const auto marks = marks_on(disk);
    Used first(both[0]), second(both[1]);
    ASSERT_TRUE(first.admit(*marks, both[0]));
    ASSERT_TRUE(marks->settle(5000));
    disk.stuck = true;
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(sequence::take(first.space, 60).count, 60U);
    ASSERT_TRUE(soon([&] { return disk.waiting.load(); }));
    auto control = std::async(std::launch::async, [&] {
        const bool admitted = second.admit(*marks, both[1]).has_value();
        (void)marks->trouble();
        (void)marks->writes();
        marks->release(first.space.mark);
        return admitted;
    });
    const bool returned = control.wait_for(10s) == std::future_status::ready;
    EXPECT_TRUE(disk.waiting) << "the write is still on its way";
    EXPECT_FALSE(marks->settle(20));
    EXPECT_EQ(second.mark(), 0U);
    disk.stuck = false;
    ASSERT_TRUE(returned);
    EXPECT_TRUE(control.get());
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(second.mark(), 4096U);
    EXPECT_TRUE(soon([&] { return on_disk(disk).records[0].mark == 60'000; })) << "what was released keeps its exact number";
}

TEST(Marks, APeerThatJumpedAheadIsFollowed) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::inbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    // The peer's power was cut: it goes on up to 2^20 further.
    EXPECT_EQ(sequence::accept(used.space, 1'000'000), DropReason::mark_not_durable);
    ASSERT_TRUE(soon([&] { return sequence::accept(used.space, 1'000'001) == DropReason::none; }));
    EXPECT_GE(on_disk(disk).records[0].mark, 1'000'001U);
}

TEST(Marks, WhatIsReleasedKeepsItsExactNumber) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::outbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    Used twin(spec);
    const auto again = twin.admit(*marks, spec);
    ASSERT_FALSE(again);
    EXPECT_NE(again.error().sentence.find("in use already"), std::string::npos);
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(sequence::take(used.space, 30).count, 30U);
    marks->release(used.space.mark);
    EXPECT_TRUE(soon([&] { return on_disk(disk).records[0].mark == 30; }));
    ASSERT_TRUE(twin.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(sequence::take(twin.space, 1).first, 31U);
    ASSERT_TRUE(marks->close());
    EXPECT_EQ(on_disk(disk).records[0].mark, 31U);
}

TEST(Marks, AnInboundMarkComesDownAfterABurst) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::inbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    const auto marks = marks_on(disk);
    static std::atomic<int> graces = 0;
    marks->set_grace_period([] { ++graces; });
    Used used(spec);
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(sequence::accept(used.space, 300'000), DropReason::mark_not_durable);
    ASSERT_TRUE(soon([&] { return sequence::accept(used.space, 300'000) == DropReason::none; }));
    ASSERT_TRUE(soon([&] { return used.mark() > 700'000; })) << "the jump looks like a burst";
    ASSERT_TRUE(soon([&] { return used.mark() == 304'096; })) << used.mark();
    ASSERT_TRUE(soon([&] { return on_disk(disk).records[0].mark == 304'096; }));
    EXPECT_GE(graces, 1);
    EXPECT_EQ(sequence::accept(used.space, 300'001), DropReason::none);
    EXPECT_EQ(sequence::accept(used.space, 304'097), DropReason::mark_not_durable);
    ASSERT_TRUE(soon([&] { return sequence::accept(used.space, 304'097) == DropReason::none; }));
}

TEST(Marks, AShortSpaceHasNoMarkBeyondItsEnd) {
    MemoryDisk disk;
    SaSpec spec = sa(Direction::outbound);
    spec.sequence = SequenceKind::short_32;
    disk.boot({{"marks", file_of({&spec, 1}, sequence::short_end - 5)}});
    const auto marks = marks_on(disk);
    Used used(spec);
    used.space.last = sequence::short_end;
    ASSERT_TRUE(used.admit(*marks, spec));
    ASSERT_TRUE(marks->settle(5000));
    EXPECT_EQ(used.mark(), sequence::short_end);
    const auto numbers = sequence::take(used.space, 64);
    EXPECT_EQ(numbers.count, 5U);
    EXPECT_EQ(numbers.reason, DropReason::sequence_exhausted);
    ASSERT_TRUE(marks->settle(5000));
}

TEST(Refusal, SaysWhatToDo) {
    const SaSpec spec = sa(Direction::outbound);
    const SaSpec other = sa(Direction::outbound, "office", 9);
    const std::string good = file_of({&spec, 1});
    std::string damaged = good;
    damaged[40] = static_cast<char>(damaged[40] ^ 1);
    struct Try {
        std::map<std::string, std::string> files;
        const char* sentence;
    };
    for (const Try& given :
         {Try{{}, "does not exist"}, Try{{{"marks", ""}}, "cannot be trusted"}, Try{{{"marks", damaged}}, "cannot be trusted"},
          Try{{{"marks", file_of({&other, 1})}}, "older than the key"}, Try{{{"marks", file_of({})}}, "do not know the key"}}) {
        MemoryDisk disk;
        disk.boot(given.files);
        const auto marks = marks_on(disk);
        Used used(spec);
        const auto admitted = used.admit(*marks, spec);
        ASSERT_FALSE(admitted) << given.sentence;
        EXPECT_EQ(admitted.error().code, ErrorCode::refused);
        EXPECT_NE(admitted.error().sentence.find(given.sentence), std::string::npos) << to_string(admitted.error());
        EXPECT_NE(admitted.error().remedy.find("marks --create"), std::string::npos);
        EXPECT_EQ(admitted.error().place, "sa office outbound");
        EXPECT_TRUE(marks->close());
        EXPECT_EQ(disk.now.size(), given.files.size()) << "nothing is written over what cannot be read";
    }
}

TEST(Refusal, AReadOnlyDirectoryRefuses) {
    MemoryDisk disk;
    const SaSpec spec = sa(Direction::outbound);
    disk.boot({{"marks", file_of({&spec, 1})}});
    disk.create_error = -EROFS;
    const auto marks = marks_on(disk);
    Used used(spec);
    const auto admitted = used.admit(*marks, spec);
    ASSERT_FALSE(admitted);
    EXPECT_NE(admitted.error().sentence.find("Read-only file system"), std::string::npos);
    EXPECT_EQ(admitted.error().remedy, "make the state directory writable for the gateway");
}

TEST(Refusal, AMissingDirectoryRefuses) {
    const SaSpec spec = sa(Direction::outbound);
    const auto marks = Marks::open("/nonexistent/sallyport", here);
    Used used(spec);
    const auto admitted = used.admit(*marks, spec);
    ASSERT_FALSE(admitted);
    EXPECT_NE(admitted.error().remedy.find("marks --create"), std::string::npos);
    EXPECT_TRUE(marks->settle(10));
    EXPECT_TRUE(marks->close());
}

TEST(CreateMarks, OnlyForKeysThatTheFileDoesNotKnow) {
    std::string directory = (std::filesystem::temp_directory_path() / "sallyport-marks-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    const std::string state = directory + "/state";
    SaSpec keyed = sa(Direction::inbound, "by-ike");
    keyed.manual = false;
    const SaSpec first[] = {sa(Direction::outbound), keyed};
    auto created = create_marks(state, first);
    ASSERT_TRUE(created) << to_string(created.error());
    EXPECT_EQ(created->fresh, std::vector<std::string>{"office outbound"});
    struct stat status{};
    ASSERT_EQ(stat((state + "/marks").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    {
        const auto marks = Marks::open(state, here);
        Used used(first[0]);
        ASSERT_TRUE(used.admit(*marks, first[0]));
        ASSERT_TRUE(marks->settle(5000));
        EXPECT_EQ(sequence::take(used.space, 5).count, 5U);
        const auto running = create_marks(state, first);
        ASSERT_FALSE(running);
        EXPECT_EQ(running.error().code, ErrorCode::conflict);
        ASSERT_TRUE(marks->close());
    }
    const SaSpec more[] = {sa(Direction::outbound), sa(Direction::inbound)};
    created = create_marks(state, more);
    ASSERT_TRUE(created);
    EXPECT_EQ(created->kept, std::vector<std::string>{"office outbound"});
    EXPECT_EQ(created->fresh, std::vector<std::string>{"office inbound"});
    {
        const auto marks = Marks::open(state, here);
        Used used(first[0]);
        ASSERT_TRUE(used.admit(*marks, first[0]));
        ASSERT_TRUE(marks->settle(5000));
        EXPECT_EQ(sequence::take(used.space, 1).first, 6U) << "creating again must not start from 0";
    }
    std::filesystem::resize_file(state + "/marks", 30);
    created = create_marks(state, more);
    ASSERT_TRUE(created);
    EXPECT_EQ(created->fresh.size(), 2U);
    EXPECT_EQ(created->set_aside, state + "/marks.damaged");
    std::filesystem::remove_all(directory);
}
