// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/units.hpp"

#include "gateway/state/checksum.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <utility>

namespace sallyport::state {

using sequence::Unit;
using sequence::units_of;

namespace {

constexpr std::uint64_t magic = 0x5341'4c4c'5950'5254; // "SALLYPRT"
constexpr std::uint64_t layout_version = 2;
constexpr std::uint64_t layout_without_counters = 1;
constexpr std::uint64_t head_magic = 0x53'50'41'43; // "SPAC", in the upper half of a head's first tag word
constexpr const char* map_name = "sallyport_units";

// Words of the header.
constexpr std::size_t magic_word = 0, version_word = 1, count_word = 2, instance_word = 3, checksum_word = 7;
// Words of a head unit.
constexpr std::size_t fingerprint_word = sequence::tag_word + 1;

constexpr const char* remedy = "an empty one takes its place: manual SAs go on from their durable marks, others have to be made anew";

/// Of a head unit: a head of another memory is none of ours.
std::uint64_t checksum_of_head(const Unit& unit, const Instance& instance) {
    std::array<std::uint64_t, 7> words{};
    std::copy_n(unit.words.data() + sequence::tag_word, 5, words.data());
    std::memcpy(&words[5], instance.data(), instance.size());
    return checksum_of(words);
}

std::uint64_t checksum_of_header(const Unit& unit) {
    std::array<std::uint64_t, checksum_word + 2> words{};
    std::copy_n(unit.words.data(), checksum_word, words.data());
    return checksum_of(words);
}

std::uint64_t tag_of(Direction direction, std::uint32_t window) {
    return head_magic << 32 | (direction == Direction::inbound ? window : 0);
}

/// The window (0: outbound) and fingerprint of a head unit; false: it is none.
bool read_head(const Unit& unit, const Instance& instance, std::uint32_t& window, Fingerprint& key) {
    const std::uint64_t tag = unit.words[sequence::tag_word];
    if (tag >> 32 != head_magic || unit.words[checksum_word] != checksum_of_head(unit, instance)) return false;
    window = static_cast<std::uint32_t>(tag);
    std::memcpy(key.data(), unit.words.data() + fingerprint_word, key.size());
    return true;
}

void write_head(Unit& unit, const Instance& instance, std::uint64_t tag, const Fingerprint& key) {
    unit.words[sequence::tag_word] = tag;
    std::memcpy(unit.words.data() + fingerprint_word, key.data(), key.size());
    unit.words[checksum_word] = checksum_of_head(unit, instance);
}

Direction direction_of(std::uint32_t window) { return window == 0 ? Direction::outbound : Direction::inbound; }

} // namespace

Units::Units(PinnedArray array) { parts_.emplace_back(std::move(array)); }

Result<std::unique_ptr<Units>> Units::anonymous(std::uint32_t units) {
    auto memory = PinnedArray::anonymous(units);
    if (!memory) return std::unexpected(std::move(memory.error()));
    std::unique_ptr<Units> result(new Units(std::move(*memory)));
    RAND_bytes(result->instance_.data(), static_cast<int>(result->instance_.size()));
    result->layout_ = layout_version;
    result->write_header(result->parts_.front());
    return result;
}

Result<std::unique_ptr<Units>> Units::pinned(const std::string& path, std::uint32_t least) {
    auto array = PinnedArray::open(path);
    if (!array && array.error().code != ErrorCode::missing && array.error().code != ErrorCode::conflict)
        return std::unexpected(std::move(array.error()));
    if (!array && array.error().code == ErrorCode::missing) return make_pinned(path, least);
    std::optional<Error> refused;
    std::unique_ptr<Units> before;
    if (array) {
        before.reset(new Units(std::move(*array)));
        if (auto good = before->read_header(path); !good) refused = std::move(good.error());
    } else
        refused = std::move(array.error());
    if (refused) {
        refused->remedy = remedy;
        auto empty = make_pinned(path, least);
        if (empty) (*empty)->refused_ = std::move(refused);
        return empty;
    }
    before->find_survivors(before->parts_.front());
    // A space grows by a unit at most, and has one at least.
    if (before->layout_ != layout_version) return make_pinned(path, least + 2 * before->used(), before.get());
    before->path_ = path;
    before->open_further();
    if (before->capacity() < least)
        if (auto added = before->add_part(least - before->capacity() + 1); !added) return std::unexpected(std::move(added.error()));
    return before;
}

/// With all that `before` holds, which is of the layout before this one.
Result<std::unique_ptr<Units>> Units::make_pinned(const std::string& path, std::uint32_t count, const Units* before) {
    auto array = PinnedArray::make(map_name, count);
    if (!array) return std::unexpected(std::move(array.error()));
    std::unique_ptr<Units> result(new Units(std::move(*array)));
    result->path_ = path;
    result->layout_ = layout_version;
    if (before != nullptr)
        result->instance_ = before->instance_;
    else
        RAND_bytes(result->instance_.data(), static_cast<int>(result->instance_.size()));
    result->write_header(result->parts_.front());
    if (before != nullptr) result->copy_survivors(*before);
    result->open_further(); // what lies beside it is of another instance, and goes
    if (auto pinned = result->parts_.front().array.pin(path); !pinned) return std::unexpected(std::move(pinned.error()));
    return result;
}

void Units::write_header(const Part& part) const {
    auto& words = part.units[0].words;
    words[magic_word] = magic;
    words[version_word] = layout_version;
    words[count_word] = part.units.size();
    std::memcpy(&words[instance_word], instance_.data(), instance_.size());
    words[checksum_word] = checksum_of_header(part.units[0]);
}

Result<void> Units::read_header(const std::string& path) {
    const Unit& header = parts_.front().units[0];
    const auto& words = header.words;
    layout_ = words[version_word];
    if (words[magic_word] == magic && layout_ != layout_version && layout_ != layout_without_counters)
        return std::unexpected(Error{ErrorCode::conflict,
                                     "the memory of counters has layout " + std::to_string(layout_) + ", this release knows " +
                                         std::to_string(layout_version) + " and the one before",
                                     path,
                                     {}});
    if (words[magic_word] != magic || words[count_word] != parts_.front().units.size() ||
        words[checksum_word] != checksum_of_header(header))
        return std::unexpected(Error{ErrorCode::conflict, "the memory of counters is damaged", path, {}});
    std::memcpy(instance_.data(), &words[instance_word], instance_.size());
    return {};
}

std::string Units::path_of(std::size_t part) const { return part == 0 ? path_ : path_ + "-" + std::to_string(part); }

/// The arrays beside the first one. One that is damaged or belongs to another one ends the row and is unpinned with all behind it.
void Units::open_further() {
    bool good = true;
    for (std::size_t part = 1;; ++part) {
        auto array = PinnedArray::open(path_of(part));
        if (!array && array.error().code == ErrorCode::missing) return;
        good = good && array && belongs(array->units());
        if (good)
            find_survivors(parts_.emplace_back(std::move(*array)));
        else
            PinnedArray::unpin(path_of(part));
    }
}

bool Units::belongs(std::span<const Unit> units) const {
    const auto& words = units[0].words;
    return words[magic_word] == magic && words[version_word] == layout_version && words[count_word] == units.size() &&
           words[checksum_word] == checksum_of_header(units[0]) &&
           std::memcmp(&words[instance_word], instance_.data(), instance_.size()) == 0;
}

/// It is pinned before anything lies there.
Result<void> Units::add_part(std::uint32_t count) {
    auto array = PinnedArray::make(map_name, count);
    if (!array) return std::unexpected(std::move(array.error()));
    Part part(std::move(*array));
    write_header(part);
    if (auto pinned = part.array.pin(path_of(parts_.size())); !pinned) return pinned;
    parts_.push_back(std::move(part));
    return {};
}

std::uint32_t Units::capacity() const {
    std::size_t units = 0;
    for (const Part& part : parts_) units += part.units.size();
    return static_cast<std::uint32_t>(units);
}

std::uint32_t Units::used() const {
    std::uint32_t units = 0;
    for (const Part& part : parts_) units += part.used;
    return units;
}

unsigned Units::units_of_space(std::uint32_t window) const {
    return units_of(direction_of(window), window) + (layout_ == layout_without_counters ? 0 : 1);
}

void Units::find_survivors(Part& part) {
    const auto count = static_cast<std::uint32_t>(part.units.size());
    for (std::uint32_t i = 1; i < count;) {
        std::uint32_t window = 0;
        Fingerprint key;
        if (!read_head(part.units[i], instance_, window, key) || units_of_space(window) > count - i) {
            ++i;
            continue;
        }
        survivors_.emplace(key, Survivor{&part.units[i], false});
        part.mark_taken(i, units_of_space(window), true);
        i += units_of_space(window);
    }
}

void Units::copy_survivors(const Units& before) {
    for (const auto& [key, survivor] : before.survivors_) {
        const auto window = static_cast<std::uint32_t>(survivor.head->words[sequence::tag_word]);
        Unit* memory = take(units_of_space(window));
        if (memory == nullptr) return; // pinned() asked for room
        std::copy_n(survivor.head, before.units_of_space(window), memory);
        survivors_.emplace(key, Survivor{memory, false});
    }
}

void Units::Part::mark_taken(std::uint32_t first, unsigned count, bool is_taken) {
    for (std::uint32_t i = first; i < first + count; ++i) taken[i] = is_taken;
    used = is_taken ? used + count : used - count;
}

std::uint32_t Units::Part::find_free(unsigned wanted) const {
    const auto count = static_cast<std::uint32_t>(units.size());
    if (count - used < wanted) return 0;
    // From where the last search ended to the end, then from the beginning: mostly the first look finds it.
    for (const auto& [first, end] : {std::pair{next, count}, std::pair{1U, count}}) {
        unsigned run = 0;
        for (std::uint32_t i = first; i < end; ++i) {
            run = taken[i] ? 0 : run + 1;
            if (run == wanted) return i + 1 - wanted;
        }
    }
    return 0;
}

Unit* Units::take(unsigned wanted) {
    for (Part& part : parts_) {
        const std::uint32_t place = part.find_free(wanted);
        if (place == 0) continue;
        part.mark_taken(place, wanted, true);
        part.next = place + wanted;
        return &part.units[place];
    }
    return nullptr;
}

Units::Part& Units::part_of(const Unit* memory) {
    return *std::ranges::find_if(
        parts_, [memory](const Part& part) { return memory >= part.units.data() && memory < part.units.data() + part.units.size(); });
}

Result<Units::Claim> Units::claim(const Fingerprint& key, Direction direction, std::uint32_t window) {
    const auto [first, last] = survivors_.equal_range(key);
    for (auto found = first; found != last; ++found) {
        Unit* head = found->second.head;
        if (head->words[sequence::tag_word] != tag_of(direction, window)) continue;
        survivors_.erase(found);
        return Claim{head, head + units_of(direction, window), true};
    }
    const unsigned wanted = units_of(direction, window) + 1;
    Unit* memory = take(wanted);
    if (memory == nullptr && !path_.empty() && add_part(std::max(capacity(), wanted + 1))) memory = take(wanted);
    if (memory == nullptr)
        return std::unexpected(
            Error{ErrorCode::exhausted,
                  "the memory of counters is full (" + std::to_string(capacity()) + " units), and the kernel gives no more",
                  {},
                  "remove SAs that are not needed any more"});
    for (unsigned i = 0; i < wanted; ++i) memory[i].words.fill(0);
    // Until it is prepared it looks used up, so that a process killed in between leaves nothing that starts again from 0.
    memory->words[sequence::number_word] = ~std::uint64_t{0};
    std::atomic_signal_fence(std::memory_order_seq_cst);
    write_head(*memory, instance_, tag_of(direction, window), key);
    return Claim{memory, memory + wanted - 1, false};
}

void Units::release(Unit* memory) {
    Part& part = part_of(memory);
    const unsigned units = units_of_space(static_cast<std::uint32_t>(memory->words[sequence::tag_word]));
    // First the tag: a space that somebody may still find keeps its number.
    std::atomic_ref(memory->words[sequence::tag_word]).store(0, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    memory->words.fill(0);
    part.mark_taken(static_cast<std::uint32_t>(memory - part.units.data()), units, false);
}

void Units::put_back(Unit* memory, const Fingerprint& key) { survivors_.emplace(key, Survivor{memory, true}); }

Fingerprint Units::fingerprint_of(const Unit* memory) {
    Fingerprint key{};
    std::memcpy(key.data(), memory->words.data() + fingerprint_word, key.size());
    return key;
}

void Units::forget_survivors() {
    std::erase_if(survivors_, [this](const auto& item) {
        if (!item.second.kept) release(item.second.head);
        return !item.second.kept;
    });
}

} // namespace sallyport::state
