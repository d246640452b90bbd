// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/sa_records.hpp"

#include "gateway/sa/record.hpp"

#include <utility>

namespace sallyport::store {

using record::SaRecord;
using record::SelectorRecord;

namespace {

constexpr std::uint32_t sa_tag = 0x5341'0000; // "SA", then the version of the record
static_assert(record::version <= 0xffff);

Error refusal(std::string sentence) {
    return {ErrorCode::conflict, std::move(sentence), "SA table",
            "its SAs are gone: manual ones come from the configuration, others are made anew"};
}

Result<SaSpec> load(std::span<const std::uint8_t> octets) {
    if (octets.size() < sizeof(SaRecord) || (octets.size() - sizeof(SaRecord)) % sizeof(SelectorRecord) != 0)
        return std::unexpected(refusal("a record of the SA table has a size that no SA has"));
    // Read where it lies: no copy of the key stays anywhere else.
    const auto& sa = *reinterpret_cast<const SaRecord*>(octets.data());
    std::vector<Selector> selectors;
    for (std::size_t at = sizeof(SaRecord); at < octets.size(); at += sizeof(SelectorRecord)) {
        const auto selector = record::load(*reinterpret_cast<const SelectorRecord*>(octets.data() + at));
        if (!selector) return std::unexpected(refusal("a selector of the SA table cannot be: " + to_string(selector.error())));
        selectors.push_back(*selector);
    }
    auto spec = record::load(sa, selectors);
    if (!spec) return std::unexpected(refusal("a record of the SA table cannot be: " + to_string(spec.error())));
    return spec;
}

} // namespace

Result<SecretTable::Record> stage(SecretTable& table, const SaSpec& spec) {
    auto staged = table.stage(sizeof(SaRecord) + spec.selectors.size() * sizeof(SelectorRecord), sa_tag | record::version);
    if (!staged) return std::unexpected(std::move(staged.error()));
    auto& sa = *reinterpret_cast<SaRecord*>(staged->octets.data());
    if (auto stored = record::store(spec, 0, sa); !stored) return std::unexpected(std::move(stored.error()));
    auto* selectors = reinterpret_cast<SelectorRecord*>(staged->octets.data() + sizeof(SaRecord));
    for (const Selector& selector : spec.selectors) record::store(selector, *selectors++);
    return staged->record;
}

Result<std::vector<Left>> load_all(const SecretTable& table) {
    std::vector<Left> result;
    for (const SecretTable::Record record : table.records()) {
        if (table.tag(record) != (sa_tag | record::version))
            return std::unexpected(refusal("the SA table has records of a version that this release does not know"));
        auto spec = load(table.octets(record));
        if (!spec) return std::unexpected(std::move(spec.error()));
        result.push_back({std::move(*spec), record});
    }
    return result;
}

} // namespace sallyport::store
