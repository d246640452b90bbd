// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/sa_records.hpp"

#include "gateway/sa/record.hpp"

#include <algorithm>
#include <cstring>
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

/// The selectors behind a record of `head` octets.
Result<std::vector<Selector>> selectors_of(std::span<const std::uint8_t> octets, std::size_t head) {
    if (octets.size() < head || (octets.size() - head) % sizeof(SelectorRecord) != 0)
        return std::unexpected(refusal("a record of the SA table has a size that none has"));
    std::vector<Selector> selectors;
    for (octets = octets.subspan(head); !octets.empty(); octets = octets.subspan(sizeof(SelectorRecord))) {
        auto selector = record::load(*reinterpret_cast<const SelectorRecord*>(octets.data()));
        if (!selector) return std::unexpected(refusal("a selector of the SA table cannot be: " + to_string(selector.error())));
        selectors.push_back(*selector);
    }
    return selectors;
}

/// The record proper is read where it lies, one of the version before from a copy that is wiped: no key stays anywhere else.
Result<SaSpec> load_sa(std::span<const std::uint8_t> octets, std::uint32_t version) {
    const std::size_t head = version == record::version ? sizeof(SaRecord) : record::sa_record_before;
    const auto selectors = selectors_of(octets, head);
    if (!selectors) return std::unexpected(selectors.error());
    SaRecord copy{};
    if (version != record::version) std::memcpy(&copy, octets.data(), head);
    auto spec = record::load(version == record::version ? *reinterpret_cast<const SaRecord*>(octets.data()) : copy, *selectors);
    explicit_bzero(&copy, sizeof copy);
    if (!spec) return std::unexpected(refusal("an SA of the SA table cannot be: " + to_string(spec.error())));
    return spec;
}

Result<LeftPolicy> load_policy(std::span<const std::uint8_t> octets, SecretTable::Record record) {
    const auto selectors = selectors_of(octets, sizeof(OrderedPolicy));
    if (!selectors) return std::unexpected(selectors.error());
    const auto& ordered = *reinterpret_cast<const OrderedPolicy*>(octets.data());
    auto spec = record::load(ordered.policy, *selectors);
    if (!spec) return std::unexpected(refusal("a policy of the SA table cannot be: " + to_string(spec.error())));
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
    if (kind == sa_tag) return load_sa(octets, version).transform([&](SaSpec&& spec) { all.sas.push_back({std::move(spec), record}); });
    return load_policy(octets, record).transform([&](LeftPolicy&& policy) { all.policies.push_back(std::move(policy)); });
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
