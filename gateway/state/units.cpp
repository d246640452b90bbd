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

Units::Units(PinnedArray array)
    : array_(std::move(array)), units_(array_.units().data()), count_(static_cast<std::uint32_t>(array_.units().size())), taken_(count_) {}

Result<std::unique_ptr<Units>> Units::anonymous(std::uint32_t units) {
    auto memory = PinnedArray::anonymous(units);
    if (!memory) return std::unexpected(std::move(memory.error()));
    std::unique_ptr<Units> result(new Units(std::move(*memory)));
    result->write_header(nullptr);
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
    before->find_survivors();
    if (before->layout_ == layout_version && before->count_ >= least) return before;
    // A space grows by a unit at most, and has one at least.
    return make_pinned(path, least + 2 * before->used_, before.get());
}

/// With all that `before` holds.
Result<std::unique_ptr<Units>> Units::make_pinned(const std::string& path, std::uint32_t count, const Units* before) {
    auto array = PinnedArray::make(map_name, count);
    if (!array) return std::unexpected(std::move(array.error()));
    std::unique_ptr<Units> result(new Units(std::move(*array)));
    result->write_header(before != nullptr ? &before->instance_ : nullptr);
    if (before != nullptr) result->copy_survivors(*before);
    if (auto pinned = result->array_.pin(path); !pinned) return std::unexpected(std::move(pinned.error()));
    return result;
}

/// `instance` null: a new one.
void Units::write_header(const Instance* instance) {
    layout_ = layout_version;
    if (instance != nullptr)
        instance_ = *instance;
    else
        RAND_bytes(instance_.data(), static_cast<int>(instance_.size()));
    auto& words = units_[0].words;
    words[magic_word] = magic;
    words[version_word] = layout_version;
    words[count_word] = count_;
    std::memcpy(&words[instance_word], instance_.data(), instance_.size());
    words[checksum_word] = checksum_of_header(units_[0]);
    taken_[0] = true;
}

Result<void> Units::read_header(const std::string& path) {
    const auto& words = units_[0].words;
    layout_ = words[version_word];
    if (words[magic_word] == magic && layout_ != layout_version && layout_ != layout_without_counters)
        return std::unexpected(Error{ErrorCode::conflict,
                                     "the memory of counters has layout " + std::to_string(layout_) + ", this release knows " +
                                         std::to_string(layout_version) + " and the one before",
                                     path,
                                     {}});
    if (words[magic_word] != magic || words[count_word] != count_ || words[checksum_word] != checksum_of_header(units_[0]))
        return std::unexpected(Error{ErrorCode::conflict, "the memory of counters is damaged", path, {}});
    std::memcpy(instance_.data(), &words[instance_word], instance_.size());
    taken_[0] = true;
    return {};
}

unsigned Units::units_of_space(std::uint32_t window) const {
    return units_of(direction_of(window), window) + (layout_ == layout_without_counters ? 0 : 1);
}

void Units::find_survivors() {
    for (std::uint32_t i = 1; i < count_;) {
        std::uint32_t window = 0;
        Fingerprint key;
        if (!read_head(units_[i], instance_, window, key) || units_of_space(window) > count_ - i) {
            ++i;
            continue;
        }
        survivors_.emplace(key, Survivor{i, false});
        mark_taken(i, units_of_space(window), true);
        i += units_of_space(window);
    }
}

void Units::copy_survivors(const Units& before) {
    std::uint32_t place = 1;
    for (const auto& [key, survivor] : before.survivors_) {
        const auto window = static_cast<std::uint32_t>(before.units_[survivor.place].words[sequence::tag_word]);
        const unsigned units = units_of_space(window);
        if (units > count_ - place) return; // pinned() asked for room
        std::copy_n(before.units_ + survivor.place, before.units_of_space(window), units_ + place);
        survivors_.emplace(key, Survivor{place, false});
        mark_taken(place, units, true);
        place += units;
    }
}

void Units::mark_taken(std::uint32_t first, unsigned units, bool taken) {
    for (std::uint32_t i = first; i < first + units; ++i) taken_[i] = taken;
    used_ = taken ? used_ + units : used_ - units;
}

std::uint32_t Units::find_free(unsigned wanted) const {
    // From where the last search ended to the end, then from the beginning: mostly the first look finds it.
    for (const auto& [first, end] : {std::pair{next_, count_}, std::pair{1U, count_}}) {
        unsigned run = 0;
        for (std::uint32_t i = first; i < end; ++i) {
            run = taken_[i] ? 0 : run + 1;
            if (run == wanted) return i + 1 - wanted;
        }
    }
    return 0;
}

Result<Units::Claim> Units::claim(const Fingerprint& key, Direction direction, std::uint32_t window) {
    const auto [first, last] = survivors_.equal_range(key);
    for (auto found = first; found != last; ++found) {
        Unit& head = units_[found->second.place];
        if (head.words[sequence::tag_word] != tag_of(direction, window)) continue;
        survivors_.erase(found);
        return Claim{&head, &head + units_of(direction, window), true};
    }
    const unsigned wanted = units_of(direction, window) + 1;
    const std::uint32_t place = find_free(wanted);
    if (place == 0)
        return std::unexpected(Error{ErrorCode::exhausted,
                                     "the memory of counters is full (" + std::to_string(count_) + " units)",
                                     {},
                                     "restart the gateway: it makes room for what is configured"});
    mark_taken(place, wanted, true);
    next_ = place + wanted;
    for (std::uint32_t i = place; i < place + wanted; ++i) units_[i].words.fill(0);
    // Until it is prepared it looks used up, so that a process killed in between leaves nothing that starts again from 0.
    units_[place].words[sequence::number_word] = ~std::uint64_t{0};
    std::atomic_signal_fence(std::memory_order_seq_cst);
    write_head(units_[place], instance_, tag_of(direction, window), key);
    return Claim{&units_[place], &units_[place] + wanted - 1, false};
}

void Units::release(Unit* memory) {
    const auto place = static_cast<std::uint32_t>(memory - units_);
    const unsigned units = units_of_space(static_cast<std::uint32_t>(memory->words[sequence::tag_word]));
    // First the tag: a space that somebody may still find keeps its number.
    std::atomic_ref(memory->words[sequence::tag_word]).store(0, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    memory->words.fill(0);
    mark_taken(place, units, false);
}

void Units::put_back(Unit* memory, const Fingerprint& key) {
    survivors_.emplace(key, Survivor{static_cast<std::uint32_t>(memory - units_), true});
}

void Units::forget_survivors() {
    std::erase_if(survivors_, [this](const auto& item) {
        if (!item.second.kept) release(&units_[item.second.place]);
        return !item.second.kept;
    });
}

} // namespace sallyport::state
