// SPDX-License-Identifier: Apache-2.0
#include "ike/engine/fragments.hpp"

namespace sallyport::ike {
namespace {

bool same_message(const Fragments& fragments, const Fragment& fragment) {
    return !fragments.plain.empty() && fragments.id == fragment.message_id;
}

} // namespace

std::expected<void, Ignored> judge(const Fragments& fragments, const Fragment& fragment) {
    if (fragment.number == 0 || fragment.number > fragment.total) return std::unexpected(Ignored::bad_fragment);
    if (fragment.total > most_fragments) return std::unexpected(Ignored::fragment_limit);
    // RFC 7383 2.5: the first one alone says what is inside.
    if (fragment.number != 1 && fragment.inner != PayloadType::none) return std::unexpected(Ignored::bad_fragment);
    if (!same_message(fragments, fragment)) return {};
    if (fragment.total < fragments.plain.size()) return std::unexpected(Ignored::bad_fragment);
    if (fragment.total == fragments.plain.size() && !fragments.plain[fragment.number - 1].empty())
        return std::unexpected(Ignored::repeated);
    return {};
}

std::expected<bool, Ignored> keep(Fragments& fragments, const Fragment& fragment, Octets plain, std::size_t longest) {
    // More fragments than before: the sender has cut it anew (RFC 7383 2.6).
    if (!same_message(fragments, fragment) || fragment.total > fragments.plain.size()) {
        fragments = {};
        fragments.id = fragment.message_id;
        fragments.plain.resize(fragment.total);
    }
    if (plain.empty()) return std::unexpected(Ignored::bad_fragment);
    if (fragments.octets + plain.size() > longest) {
        fragments = {};
        return std::unexpected(Ignored::fragment_limit);
    }
    fragments.plain[fragment.number - 1].assign(plain.begin(), plain.end());
    fragments.octets += plain.size();
    if (fragment.number == 1) {
        fragments.inner = fragment.inner;
        fragments.flags = fragment.flags;
    }
    return ++fragments.there == fragments.plain.size();
}

std::vector<std::uint8_t> join(Fragments& fragments) {
    std::vector<std::uint8_t> whole;
    whole.reserve(fragments.octets);
    for (const std::vector<std::uint8_t>& piece : fragments.plain) whole.insert(whole.end(), piece.begin(), piece.end());
    fragments = {};
    return whole;
}

} // namespace sallyport::ike
