// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/known_keys.hpp"

#include "gateway/state/checksum.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace sallyport::state {

namespace {

// The first unit is the header; then a ring of entries, four in a unit.
constexpr std::uint64_t magic = 0x5341'4c4c'594b'4559; // "SALLYKEY"
constexpr std::uint64_t layout_version = 1;
constexpr std::uint32_t entries_in_unit = 4;
constexpr std::uint32_t units = 1 + KnownKeys::most / entries_in_unit;
constexpr std::size_t magic_word = 0, version_word = 1, most_word = 2, checksum_word = 3, count_word = 4;
constexpr std::uint64_t manual_bit = 1;

} // namespace

Fingerprint identity_of(const SaSpec& sa) {
    SaSpec plain;
    plain.direction = Direction::outbound;
    plain.algorithm = sa.algorithm;
    plain.key = sa.key;
    return fingerprint_of(plain);
}

Result<std::unique_ptr<KnownKeys>> KnownKeys::anonymous() {
    auto array = PinnedArray::anonymous(units);
    if (!array) return std::unexpected(std::move(array.error()));
    std::unique_ptr<KnownKeys> result(new KnownKeys(std::move(*array)));
    result->write_header();
    return result;
}

Result<std::unique_ptr<KnownKeys>> KnownKeys::pinned(const std::string& path) {
    std::optional<Error> refused;
    if (auto array = PinnedArray::open(path)) {
        std::unique_ptr<KnownKeys> result(new KnownKeys(std::move(*array)));
        if (result->read()) return result;
        refused = Error{ErrorCode::conflict, "the memory of known keys is damaged or of another layout", path,
                        "an empty one takes its place"};
    } else if (array.error().code == ErrorCode::conflict)
        refused = std::move(array.error());
    else if (array.error().code != ErrorCode::missing)
        return std::unexpected(std::move(array.error()));

    auto array = PinnedArray::make("sallyport_keys", units);
    if (!array) return std::unexpected(std::move(array.error()));
    std::unique_ptr<KnownKeys> result(new KnownKeys(std::move(*array)));
    result->write_header();
    if (auto done = result->array_.pin(path); !done) return std::unexpected(std::move(done.error()));
    result->refused_ = std::move(refused);
    return result;
}

KnownKeys::Print KnownKeys::print_of(const Fingerprint& key) {
    Print print;
    std::memcpy(print.data(), key.data(), sizeof print);
    print[1] &= ~manual_bit;
    return print;
}

std::uint64_t* KnownKeys::entry(std::uint64_t number) const {
    const std::uint64_t place = number % most;
    return array_.units()[1 + place / entries_in_unit].words.data() + place % entries_in_unit * 2;
}

std::uint64_t& KnownKeys::count() const { return array_.units()[0].words[count_word]; }

void KnownKeys::write_header() {
    auto& words = array_.units()[0].words;
    words[magic_word] = magic;
    words[version_word] = layout_version;
    words[most_word] = most;
    words[checksum_word] = checksum_of(std::span(words).first(checksum_word));
}

bool KnownKeys::read() {
    if (array_.units().size() != units) return false;
    const auto& words = array_.units()[0].words;
    if (words[magic_word] != magic || words[version_word] != layout_version || words[most_word] != most ||
        words[checksum_word] != checksum_of(std::span(words).first(checksum_word)))
        return false;
    for (std::uint64_t number = count() - std::min<std::uint64_t>(count(), most); number < count(); ++number) {
        const auto place = static_cast<std::uint32_t>(number % most);
        remember(print_at(place), place);
    }
    return true;
}

KnownKeys::Print KnownKeys::print_at(std::uint32_t place) const { return {entry(place)[0], entry(place)[1] & ~manual_bit}; }

std::optional<std::uint32_t> KnownKeys::place_of(const Print& print) const {
    return where_.find(print[0], [&](std::uint32_t place) { return print_at(place) == print; });
}

/// One that was added before is known by its later place.
void KnownKeys::remember(const Print& print, std::uint32_t place) {
    if (const auto before = place_of(print)) where_.erase(print[0], *before);
    where_.insert(print[0], place);
}

/// What lies there, if it is not known by a later place.
void KnownKeys::forget(std::uint32_t place) {
    const std::uint64_t hash = print_at(place)[0];
    if (where_.find(hash, [place](std::uint32_t one) { return one == place; })) where_.erase(hash, place);
}

KnownKeys::Use KnownKeys::use(const Fingerprint& key) const {
    const auto found = place_of(print_of(key));
    if (!found) return Use::none;
    return (entry(*found)[1] & manual_bit) != 0 ? Use::manual : Use::negotiated;
}

void KnownKeys::add(const Fingerprint& key, bool manual) {
    const Print print = print_of(key);
    const std::uint64_t number = count();
    const auto place = static_cast<std::uint32_t>(number % most);
    if (number >= most) forget(place);
    std::uint64_t* words = entry(number);
    words[0] = print[0];
    words[1] = print[1] | (manual ? manual_bit : 0);
    std::atomic_signal_fence(std::memory_order_seq_cst); // whenever the process is killed, what is counted is there
    std::atomic_ref(count()).store(number + 1, std::memory_order_relaxed);
    remember(print, place);
}

} // namespace sallyport::state
