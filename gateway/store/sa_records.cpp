// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/sa_records.hpp"

#include "gateway/sa/record.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace sallyport::store {

using record::PolicyRecord;
using record::SaRecord;
using record::SelectorRecord;

namespace {

// What a record is, and in the lower half the version of what it is made of.
constexpr std::uint32_t sa_tag = 0x5341'0000;     // "SA"
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

/// The record proper is read and written where it lies: no copy of a key stays anywhere else.
template <class Record>
const Record* head_of(std::span<const std::uint8_t> octets) {
    const bool good = octets.size() >= sizeof(Record) && (octets.size() - sizeof(Record)) % sizeof(SelectorRecord) == 0;
    return good ? reinterpret_cast<const Record*>(octets.data()) : nullptr;
}

Result<std::vector<Selector>> selectors_of(std::span<const std::uint8_t> octets) {
    std::vector<Selector> selectors;
    for (; !octets.empty(); octets = octets.subspan(sizeof(SelectorRecord))) {
        auto selector = record::load(*reinterpret_cast<const SelectorRecord*>(octets.data()));
        if (!selector) return std::unexpected(std::move(selector.error()));
        selectors.push_back(*selector);
    }
    return selectors;
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
    const std::uint32_t tag = table.tag(record);
    const std::uint32_t version = tag & version_bits;
    const bool known = version == record::version || version == record::version_before;
    const auto* sa = known && tag - version == sa_tag ? head_of<SaRecord>(octets) : nullptr;
    const auto* policy = known && tag - version == policy_tag ? head_of<OrderedPolicy>(octets) : nullptr;
    if (sa == nullptr && policy == nullptr)
        return std::unexpected(refusal("the SA table has records of a version that this release does not know"));
    const auto selectors = selectors_of(octets.subspan(sa != nullptr ? sizeof(SaRecord) : sizeof(OrderedPolicy)));
    if (!selectors) return std::unexpected(refusal("a selector of the SA table cannot be: " + to_string(selectors.error())));
    if (sa != nullptr) {
        auto spec = record::load(*sa, *selectors);
        if (!spec) return std::unexpected(refusal("an SA of the SA table cannot be: " + to_string(spec.error())));
        all.sas.push_back({std::move(*spec), record});
        return {};
    }
    auto spec = record::load(policy->policy, *selectors);
    if (!spec) return std::unexpected(refusal("a policy of the SA table cannot be: " + to_string(spec.error())));
    all.policies.push_back({std::move(*spec), policy->order, record});
    return {};
}

} // namespace

bool current(const SecretTable& table, SecretTable::Record record) { return (table.tag(record) & version_bits) == record::version; }

Result<SecretTable::Record> stage(SecretTable& table, const SaSpec& spec) {
    SecretTable::Record result = 0;
    const auto room = stage_room<SaRecord>(table, sa_tag, spec.selectors, result);
    if (!room) return std::unexpected(room.error());
    return record::store(spec, 0, **room).transform([result] { return result; });
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
