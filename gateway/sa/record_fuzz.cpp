// SPDX-License-Identifier: Apache-2.0
// What decode() takes, encode() makes again, and decode() takes that as the same.
#include "gateway/sa/record.hpp"

#include <cstdlib>

using namespace sallyport;

namespace {

std::vector<std::uint8_t> encoded(const record::Changes& changes) {
    const auto size = record::encoded_size(changes);
    if (!size) std::abort();
    std::vector<std::uint8_t> octets(*size);
    if (!record::encode(changes, octets)) std::abort();
    return octets;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto changes = record::decode({data, size});
    if (!changes) {
        if (changes.error().place.empty() || changes.error().sentence.empty()) std::abort();
        return 0;
    }
    std::size_t selectors = 0;
    for (const auto* list : {&changes->install, &changes->update})
        for (const SaSpec& sa : *list) selectors += sa.selectors.size();
    for (const PolicySpec& policy : changes->policies) selectors += policy.selectors.size();
    if (selectors > record::most_selectors) return 0; // shared ones, which encode() writes once for each
    const std::vector<std::uint8_t> first = encoded(*changes);
    const auto again = record::decode(first);
    if (!again || encoded(*again) != first) std::abort();
    return 0;
}
