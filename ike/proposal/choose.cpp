// SPDX-License-Identifier: Apache-2.0
#include "ike/proposal/proposal.hpp"

#include <algorithm>

namespace sallyport::ike {
namespace {

bool has_type(const Proposal& proposal, TransformType type) {
    return std::ranges::any_of(proposal.transforms, [&](const Transform& transform) { return transform.type == type; });
}

bool offers(const Proposal& proposal, const Transform& wanted) {
    return std::ranges::any_of(proposal.transforms, [&](const Transform& transform) { return transform.usable && transform == wanted; });
}

Transform none_of(TransformType type) { return {type, transform_none, 0, true}; }

bool takes_none(TransformType type) {
    return type == TransformType::integrity || type == TransformType::key_exchange || is_additional(type);
}

/// Types of an offered proposal, in ascending order, each once.
std::vector<TransformType> types_of(const Proposal& proposal) {
    std::vector<TransformType> types;
    for (const Transform& transform : proposal.transforms) types.push_back(transform.type);
    std::ranges::sort(types);
    const auto rest = std::ranges::unique(types);
    types.erase(rest.begin(), rest.end());
    return types;
}

/// Both sides' values of one type, in the order of the policy. A type that one side lacks has NONE there, where it can have it.
std::vector<Transform> common(const Proposal& policy, const Proposal& offered, TransformType type) {
    std::vector<Transform> values;
    const bool asked = has_type(offered, type), wanted = has_type(policy, type);
    if (asked && wanted) {
        for (const Transform& transform : policy.transforms)
            if (transform.type == type && offers(offered, transform)) values.push_back(transform);
    } else if (takes_none(type)) {
        const Transform none = none_of(type);
        if (asked ? offers(offered, none) : offers(policy, none)) values.push_back(none);
    }
    return values;
}

/// One proposal of ours against one of theirs.
class Match {
public:
    Match(const Proposal& policy, const Proposal& offered, bool additional) : policy_(policy), offered_(offered), additional_(additional) {}

    [[nodiscard]] std::optional<Proposal> choose() {
        if (!possible()) return std::nullopt;
        chosen_ = {offered_.number, offered_.protocol, offered_.spi, offered_.spi_size, {}};
        types_ = types_of(offered_);
        for (const TransformType type : types_of(policy_))
            if (!has_type(offered_, type)) types_.push_back(type);
        std::ranges::sort(types_);
        if (!from(0)) return std::nullopt;
        // What was not offered is not answered: it was NONE on our side.
        std::erase_if(chosen_.transforms, [&](const Transform& transform) { return !has_type(offered_, transform.type); });
        return chosen_;
    }
    /// How far it came; for whom nothing fits.
    [[nodiscard]] TransformType furthest() const { return furthest_; }

private:
    bool possible() {
        const ProtocolRule& rule = *find_rule(offered_.protocol);
        for (const Transform& transform : offered_.transforms)
            if (rule.need(transform.type) == Need::never || (is_additional(transform.type) && !additional_)) return failed(transform.type);
        for (unsigned number = 1; number < rule.types.size(); ++number) {
            const auto type = static_cast<TransformType>(number);
            if (rule.need(type) == Need::must && !has_type(offered_, type)) return failed(type);
        }
        // ADDKE without a key exchange before it: SK(0) would be missing (RFC 9370 is silent).
        for (const Transform& transform : offered_.transforms)
            if (is_additional(transform.type) && !has_type(offered_, TransformType::key_exchange)) return failed(transform.type);
        return true;
    }
    bool failed(TransformType type) {
        furthest_ = std::max(furthest_, type);
        return false;
    }
    /// Tries the values of one type after the other; at most 12 types deep, and values are few where it matters (ADDKE).
    bool from(std::size_t place) {
        if (place == types_.size()) return true;
        const TransformType type = types_[place];
        for (const Transform& value : values(type)) {
            chosen_.transforms.push_back(value);
            if (from(place + 1)) return true;
            chosen_.transforms.pop_back();
        }
        return failed(type);
    }
    [[nodiscard]] std::vector<Transform> values(TransformType type) const {
        std::vector<Transform> values = common(policy_, offered_, type);
        if (type == TransformType::integrity && has_cipher()) {
            // A combined cipher takes no INTEG, or NONE (RFC 5282 8); any other needs one.
            if (combined())
                return offers(offered_, none_of(type)) || !has_type(offered_, type) ? std::vector{none_of(type)} : std::vector<Transform>{};
            std::erase(values, none_of(type));
        }
        if (is_additional(type))
            std::erase_if(values, [&](const Transform& value) { return value.id != transform_none && taken(value.id); });
        return values;
    }
    [[nodiscard]] bool has_cipher() const {
        return !chosen_.transforms.empty() && chosen_.transforms.front().type == TransformType::encryption;
    }
    [[nodiscard]] bool combined() const {
        const Transform& cipher = chosen_.transforms.front();
        for (const AlgorithmInfo& row : algorithms)
            if (row.encryption_id == cipher.id) return row.integrity_id == 0;
        return false;
    }
    [[nodiscard]] bool taken(std::uint16_t id) const {
        return std::ranges::any_of(chosen_.transforms, [&](const Transform& value) { return is_additional(value.type) && value.id == id; });
    }

    const Proposal& policy_;
    const Proposal& offered_;
    bool additional_;
    Proposal chosen_;
    std::vector<TransformType> types_;
    TransformType furthest_ = TransformType::encryption;
};

} // namespace

std::expected<Proposal, NoChoice> choose(std::span<const Proposal> policy, std::span<const Proposal> offered, bool additional) {
    NoChoice why{.protocol = true};
    for (const Proposal& ours : policy) {
        for (const Proposal& theirs : offered) {
            if (theirs.protocol != ours.protocol || find_rule(theirs.protocol) == nullptr) continue;
            why.protocol = false;
            Match match(ours, theirs, additional);
            if (std::optional<Proposal> chosen = match.choose()) return *std::move(chosen);
            why.type = std::max(why.type, match.furthest());
        }
    }
    return std::unexpected(why);
}

std::expected<void, std::string_view> verify(std::span<const Proposal> offered, std::span<const Proposal> answer) {
    const auto wrong = [](std::string_view what) { return std::unexpected(what); };
    if (answer.size() != 1) return wrong("it does not choose exactly one proposal");
    const Proposal& chosen = answer.front();
    const auto ours = std::ranges::find(offered, chosen.number, &Proposal::number);
    if (ours == offered.end() || ours->protocol != chosen.protocol) return wrong("it chooses a proposal that was not offered");
    const std::vector<TransformType> types = types_of(*ours);
    if (chosen.transforms.size() != types.size() || types_of(chosen) != types)
        return wrong("it does not choose one transform of each type that was offered");
    std::vector<std::uint16_t> methods;
    for (const Transform& transform : chosen.transforms) {
        if (!offers(*ours, transform)) return wrong("it chooses a transform that was not offered");
        if (is_additional(transform.type) && transform.id != transform_none) methods.push_back(transform.id);
    }
    std::ranges::sort(methods);
    if (std::ranges::adjacent_find(methods) != methods.end()) return wrong("it chooses one additional key exchange twice");
    return {};
}

} // namespace sallyport::ike
