// SPDX-License-Identifier: Apache-2.0
// Octets of a message, and the only way in which the codec reads them: from the front, never past the end.
#pragma once

#include "gateway/wire/octets.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace sallyport::ike {

using Octets = std::span<const std::uint8_t>;

/// Takes octets from the front. What is not there reads as zero, and short_of() stays true from then on: ask once, at the end.
class Reader {
public:
    explicit Reader(Octets octets) : rest_(octets) {}

    [[nodiscard]] bool short_of() const { return short_; }
    [[nodiscard]] Octets rest() const { return rest_; }
    [[nodiscard]] bool empty() const { return rest_.empty(); }

    Octets take(std::size_t count) {
        if (count > rest_.size()) {
            short_ = true;
            rest_ = {};
            return {};
        }
        const Octets taken = rest_.first(count);
        rest_ = rest_.subspan(count);
        return taken;
    }
    std::uint8_t take8() {
        const Octets taken = take(1);
        return taken.empty() ? std::uint8_t{0} : taken[0];
    }
    std::uint16_t take16() {
        const Octets taken = take(2);
        return taken.empty() ? std::uint16_t{0} : wire::load16(taken.data());
    }
    std::uint32_t take32() {
        const Octets taken = take(4);
        return taken.empty() ? 0 : wire::load32(taken.data());
    }

private:
    Octets rest_;
    bool short_ = false;
};

} // namespace sallyport::ike
