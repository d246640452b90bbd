// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/sa_records.hpp"

#include "gateway/sa/record.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <utility>

namespace sallyport::store {

using record::PolicyRecord;
using record::SaRecord;
using record::SelectorRecord;

namespace {

// What a record is, and in the lower half the version of what it is made of.
constexpr std::uint32_t packed_sa_tag = 0x5350'0000; // "SP": SaRecord, then its selectors, packed
constexpr std::uint32_t policy_tag = 0x504f'0000;    // "PO"
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

// SAs are many, and mostly zeros. Packed, a record is a word whose bits say which of its words are not zero, the lowest the first, and then
// these.
template <class Record>
constexpr std::size_t words_of = sizeof(Record) / sizeof(std::uint64_t);

template <class Record>
std::uint64_t word_at(const Record& record, std::size_t i) {
    static_assert(sizeof(Record) % sizeof(std::uint64_t) == 0 && words_of<Record> < 64);
    std::uint64_t word = 0;
    std::memcpy(&word, reinterpret_cast<const char*>(&record) + i * sizeof word, sizeof word);
    return word;
}

template <class Record>
std::size_t packed_size(const Record& record) {
    std::size_t words = 1;
    for (std::size_t i = 0; i < words_of<Record>; ++i) words += static_cast<std::size_t>(word_at(record, i) != 0);
    return words * sizeof(std::uint64_t);
}

template <class Record>
void pack(const Record& record, std::uint64_t*& to) {
    std::uint64_t& bits = *to++;
    bits = 0;
    for (std::size_t i = 0; i < words_of<Record>; ++i)
        if (const std::uint64_t word = word_at(record, i); word != 0) {
            bits |= std::uint64_t{1} << i;
            *to++ = word;
        }
}

/// False: there are no such words.
template <class Record>
bool unpack(std::span<const std::uint64_t>& from, Record& record) {
    record = {};
    if (from.empty()) return false;
    const std::uint64_t bits = from.front();
    if (bits >> words_of<Record> != 0 || static_cast<std::size_t>(std::popcount(bits)) >= from.size()) return false;
    from = from.subspan(1);
    for (std::size_t i = 0; i < words_of<Record>; ++i)
        if ((bits >> i & 1U) != 0) {
            std::memcpy(reinterpret_cast<char*>(&record) + i * sizeof(std::uint64_t), from.data(), sizeof(std::uint64_t));
            from = from.subspan(1);
        }
    return true;
}

/// A record on its way in or out; it holds a key.
struct Passing {
    Passing() = default;
    Passing(const Passing&) = delete;
    Passing& operator=(const Passing&) = delete;
    ~Passing() { explicit_bzero(&record, sizeof record); }
    SaRecord record{};
};

Result<SaSpec> load_packed(std::span<const std::uint8_t> octets) {
    std::span words(reinterpret_cast<const std::uint64_t*>(octets.data()), octets.size() / sizeof(std::uint64_t));
    Passing passing;
    bool good = octets.size() % sizeof(std::uint64_t) == 0 && unpack(words, passing.record);
    std::vector<Selector> selectors;
    for (SelectorRecord one; good && !words.empty();) {
        good = unpack(words, one);
        auto selector = record::load(one);
        if (!selector) return std::unexpected(std::move(selector.error()));
        selectors.push_back(*selector);
    }
    if (!good) return std::unexpected(Error{ErrorCode::invalid, "its words are not those that it says", {}, {}});
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
    if (!known || (kind != packed_sa_tag && kind != policy_tag))
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
    if (auto stored = record::store(spec, 0, passing.record); !stored) return std::unexpected(std::move(stored.error()));
    std::vector<SelectorRecord> selectors(spec.selectors.size());
    std::size_t size = packed_size(passing.record);
    for (std::size_t i = 0; i < selectors.size(); ++i) {
        record::store(spec.selectors[i], selectors[i]);
        size += packed_size(selectors[i]);
    }
    auto staged = table.stage(size, packed_sa_tag | record::version);
    if (!staged) return std::unexpected(std::move(staged.error()));
    auto* to = reinterpret_cast<std::uint64_t*>(staged->octets.data());
    pack(passing.record, to);
    for (const SelectorRecord& selector : selectors) pack(selector, to);
    return staged->record;
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
