// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/sa_records.hpp"

#include "gateway/sa/record.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

namespace sallyport::store {

using record::PolicyRecord;
using record::SaRecord;
using record::SelectorRecord;

namespace {

// What a record is, and in the lower half the version of what it is made of.
constexpr std::uint32_t sa_tag = 0x5350'0000;     // "SP": SaRecord, then its selectors, packed
constexpr std::uint32_t policy_tag = 0x504f'0000; // "PO"
constexpr std::uint32_t version_bits = 0xffff;
static_assert(record::version <= version_bits);

/// A policy is behind its place in the order.
struct OrderedPolicy {
    std::uint64_t order;
    PolicyRecord policy;
};
static_assert(sizeof(OrderedPolicy) == sizeof(std::uint64_t) + sizeof(PolicyRecord));

Error refusal(std::string sentence) {
    return {ErrorCode::conflict, std::move(sentence), "SA table",
            "its SAs are gone: manual ones come from the configuration, others are made anew"};
}

/// The selectors behind a record of `head` octets.
Result<std::vector<Selector>> selectors_of(std::span<const std::uint8_t> octets, std::size_t head) {
    if (octets.size() < head || (octets.size() - head) % sizeof(SelectorRecord) != 0)
        return std::unexpected(Error{ErrorCode::invalid, "it has a size that none has", {}, {}});
    std::vector<Selector> selectors;
    for (octets = octets.subspan(head); !octets.empty(); octets = octets.subspan(sizeof(SelectorRecord))) {
        auto selector = record::load(*reinterpret_cast<const SelectorRecord*>(octets.data()));
        if (!selector) return std::unexpected(std::move(selector.error()));
        selectors.push_back(*selector);
    }
    return selectors;
}

// SAs are many, and mostly zeros. Packed, a record is octets whose bits say which of its words are not zero, the lowest the first, and then
// for each of these an octet whose bits say which of its octets are not zero, and these.
constexpr std::size_t word_size = 8;
template <class Record>
constexpr std::size_t words_of = sizeof(Record) / word_size;
template <class Record>
constexpr std::size_t mask_size = (words_of<Record> + 7) / 8;
template <>
constexpr std::size_t mask_size<SaRecord> = 8; // it has fewer words in the version before: there the last ones are zero
static_assert(words_of<SaRecord> <= 64);
template <class Record>
constexpr std::size_t most_packed = mask_size<Record> + words_of<Record> * (1 + word_size);

/// A bit for each octet of a word that is not zero.
std::uint8_t octets_in(const std::uint8_t* word) {
    std::uint64_t all = 0;
    std::memcpy(&all, word, sizeof all);
    std::uint8_t bits = 0;
    for (unsigned i = 0; all != 0 && i < word_size; ++i) bits |= static_cast<std::uint8_t>((word[i] != 0 ? 1U : 0U) << i);
    return bits;
}

template <class Record>
std::size_t packed_size_of(const Record& record) {
    static_assert(sizeof(Record) % word_size == 0);
    const auto* octets = reinterpret_cast<const std::uint8_t*>(&record);
    std::size_t size = mask_size<Record>;
    for (std::size_t i = 0; i < words_of<Record>; ++i)
        if (const std::uint8_t bits = octets_in(octets + i * word_size); bits != 0) size += 1U + static_cast<unsigned>(std::popcount(bits));
    return size;
}

/// Gives the end of what it wrote.
template <class Record>
std::uint8_t* pack_one(const Record& record, std::uint8_t* to) {
    std::uint8_t* mask = to;
    std::memset(mask, 0, mask_size<Record>);
    to += mask_size<Record>;
    for (std::size_t i = 0; i < words_of<Record>; ++i) {
        const auto* word = reinterpret_cast<const std::uint8_t*>(&record) + i * word_size;
        const std::uint8_t bits = octets_in(word);
        if (bits == 0) continue;
        mask[i / 8] |= static_cast<std::uint8_t>(1U << (i % 8));
        *to++ = bits;
        for (unsigned octet = 0; octet < word_size; ++octet)
            if ((bits >> octet & 1U) != 0) *to++ = word[octet];
    }
    return to;
}

/// Words that are left zero, whatever the packed record has there.
struct Without {
    std::size_t first = 0, end = 0;
};
static_assert(offsetof(SaRecord, key) % word_size == 0 && sizeof(SaRecord::key) % word_size == 0);
constexpr Without without_key{offsetof(SaRecord, key) / word_size, (offsetof(SaRecord, key) + sizeof(SaRecord::key)) / word_size};

/// False: there are no such octets.
template <class Record>
bool unpack(std::span<const std::uint8_t>& from, Record& record, Without without = {}) {
    record = {};
    if (from.size() < mask_size<Record>) return false;
    const std::uint8_t* mask = from.data();
    from = from.subspan(mask_size<Record>);
    for (std::size_t i = words_of<Record>; i < mask_size<Record> * 8; ++i)
        if ((mask[i / 8] >> (i % 8) & 1U) != 0) return false;
    for (std::size_t i = 0; i < words_of<Record>; ++i) {
        if ((mask[i / 8] >> (i % 8) & 1U) == 0) continue;
        const std::uint8_t bits = from.empty() ? 0 : from.front();
        const std::size_t size = 1U + static_cast<unsigned>(std::popcount(bits));
        if (bits == 0 || from.size() < size) return false;
        auto* word = reinterpret_cast<std::uint8_t*>(&record) + i * word_size;
        const std::uint8_t* next = from.data() + 1;
        if (i < without.first || i >= without.end)
            for (unsigned octet = 0; octet < word_size; ++octet)
                if ((bits >> octet & 1U) != 0) word[octet] = *next++;
        from = from.subspan(size);
    }
    return true;
}

/// A record on its way in or out, with its selectors; it may hold a key.
struct Passing {
    Passing() = default;
    Passing(const Passing&) = delete;
    Passing& operator=(const Passing&) = delete;
    ~Passing() { explicit_bzero(&record, sizeof record); }

    [[nodiscard]] Result<void> take(const SaSpec& spec) {
        selectors.resize(spec.selectors.size());
        for (std::size_t i = 0; i < selectors.size(); ++i) record::store(spec.selectors[i], selectors[i]);
        return record::store(spec, 0, record);
    }
    [[nodiscard]] std::size_t packed_size() const {
        std::size_t size = packed_size_of(record);
        for (const SelectorRecord& selector : selectors) size += packed_size_of(selector);
        return size;
    }
    void pack(std::uint8_t* to) const {
        to = pack_one(record, to);
        for (const SelectorRecord& selector : selectors) to = pack_one(selector, to);
    }
    [[nodiscard]] PackedSa packed() const {
        auto packed = std::make_unique_for_overwrite<std::uint8_t[]>(packed_size());
        pack(packed.get());
        return packed;
    }
    /// What packed() or the table has, which we wrote ourselves.
    void take(const std::uint8_t* packed) {
        std::span from(packed, most_packed<SaRecord>);
        (void)unpack(from, record, without_key);
        selectors.resize(record.selectors);
        for (SelectorRecord& selector : selectors) {
            from = {from.data(), most_packed<SelectorRecord>};
            (void)unpack(from, selector);
        }
    }

    SaRecord record{};
    std::vector<SelectorRecord> selectors;
};

Result<SaSpec> load_packed(std::span<const std::uint8_t> octets) {
    Passing passing;
    bool good = unpack(octets, passing.record);
    std::vector<Selector> selectors;
    for (SelectorRecord one; good && !octets.empty();) {
        good = unpack(octets, one);
        auto selector = record::load(one);
        if (!selector) return std::unexpected(std::move(selector.error()));
        selectors.push_back(*selector);
    }
    if (!good) return std::unexpected(Error{ErrorCode::invalid, "its octets are not those that it says", {}, {}});
    return record::load(passing.record, selectors);
}

Result<LeftPolicy> load_policy(std::span<const std::uint8_t> octets, SecretTable::Record record) {
    const auto selectors = selectors_of(octets, sizeof(OrderedPolicy));
    if (!selectors) return std::unexpected(selectors.error());
    const auto& ordered = *reinterpret_cast<const OrderedPolicy*>(octets.data());
    auto spec = record::load(ordered.policy, *selectors);
    if (!spec) return std::unexpected(std::move(spec.error()));
    return LeftPolicy{std::move(*spec), ordered.order, record};
}

template <class Record>
Result<Record*> stage_room(SecretTable& table, std::uint32_t tag, const std::vector<Selector>& selectors, SecretTable::Record& record) {
    auto staged = table.stage(sizeof(Record) + selectors.size() * sizeof(SelectorRecord), tag | record::version);
    if (!staged) return std::unexpected(std::move(staged.error()));
    record = staged->record;
    auto* to = reinterpret_cast<SelectorRecord*>(staged->octets.data() + sizeof(Record));
    for (const Selector& selector : selectors) record::store(selector, *to++);
    return reinterpret_cast<Record*>(staged->octets.data());
}

Result<void> load(const SecretTable& table, SecretTable::Record record, AllLeft& all) {
    const std::span<const std::uint8_t> octets = table.octets(record);
    const std::uint32_t version = table.tag(record) & version_bits;
    const std::uint32_t kind = table.tag(record) - version;
    const bool known = version == record::version || version == record::version_before;
    if (!known || (kind != sa_tag && kind != policy_tag))
        return std::unexpected(refusal("the SA table has records of a version that this release does not know"));
    if (kind == policy_tag) {
        auto policy = load_policy(octets, record);
        if (!policy) return std::unexpected(refusal("a policy of the SA table cannot be: " + to_string(policy.error())));
        all.policies.push_back(std::move(*policy));
        return {};
    }
    auto spec = load_packed(octets);
    if (!spec) return std::unexpected(refusal("an SA of the SA table cannot be: " + to_string(spec.error())));
    all.sas.push_back({std::move(*spec), record});
    return {};
}

} // namespace

bool current(const SecretTable& table, SecretTable::Record record) { return (table.tag(record) & version_bits) == record::version; }

Result<SecretTable::Record> stage(SecretTable& table, const SaSpec& spec) {
    Passing passing;
    if (auto taken = passing.take(spec); !taken) return std::unexpected(std::move(taken.error()));
    auto staged = table.stage(passing.packed_size(), sa_tag | record::version);
    if (!staged) return std::unexpected(std::move(staged.error()));
    passing.pack(staged->octets.data());
    return staged->record;
}

Result<PackedSa> pack(const SaSpec& spec) {
    Passing passing;
    if (auto taken = passing.take(spec); !taken) return std::unexpected(std::move(taken.error()));
    passing.record.key = {};
    return passing.packed();
}

PackedSa pack(const std::uint8_t* packed) {
    Passing passing;
    passing.take(packed);
    return passing.packed();
}

SaRecord head_of(const std::uint8_t* packed) {
    SaRecord record;
    std::span from(packed, most_packed<SaRecord>);
    (void)unpack(from, record, without_key);
    return record;
}

SaSpec unpack(const std::uint8_t* packed) {
    Passing passing;
    passing.take(packed);
    std::vector<Selector> selectors;
    selectors.reserve(passing.selectors.size());
    for (const SelectorRecord& selector : passing.selectors) selectors.push_back(record::load(selector).value_or(Selector{}));
    auto spec = record::load(passing.record, selectors);
    if (!spec) return {}; // never: it was stored
    spec->key = KeyMaterial{};
    return std::move(*spec);
}

Result<SecretTable::Record> stage(SecretTable& table, const PolicySpec& spec, std::uint64_t order) {
    SecretTable::Record result = 0;
    const auto room = stage_room<OrderedPolicy>(table, policy_tag, spec.selectors, result);
    if (!room) return std::unexpected(room.error());
    (*room)->order = order;
    return record::store(spec, 0, (*room)->policy).transform([result] { return result; });
}

Result<AllLeft> load_all(const SecretTable& table) {
    AllLeft all;
    for (const SecretTable::Record record : table.records())
        if (auto loaded = load(table, record, all); !loaded) return std::unexpected(std::move(loaded.error()));
    std::ranges::sort(all.policies, {}, &LeftPolicy::order);
    return all;
}

} // namespace sallyport::store
