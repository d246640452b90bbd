// SPDX-License-Identifier: Apache-2.0
// What the tests of this folder install, and where. Only tests include it.
#pragma once

#include "gateway/store/store.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sallyport::store {

inline SaSpec spec_of(std::string name, Direction direction, std::uint32_t spi, Algorithm algorithm = Algorithm::aes_128_gcm_16) {
    SaSpec spec{.name = std::move(name), .direction = direction, .spi = spi};
    spec.outer_local = parse_address("192.0.2.1").value();
    spec.outer_remote = parse_address("192.0.2.2").value();
    spec.algorithm = algorithm;
    spec.key.size = static_cast<std::uint8_t>(info(algorithm).material());
    std::memcpy(spec.key.octets.data(), &spi, sizeof spi);
    spec.key.octets[8] = direction == Direction::outbound ? 1 : 2;
    spec.selectors.push_back({.local = parse_range("10.1.0.0/16").value(), .remote = parse_range("10.2.0.0/16").value()});
    spec.manual = false;
    return spec;
}

/// What outlives gateways, for one after the other.
struct Lives {
    std::unique_ptr<state::Units> units = state::Units::anonymous(1000).value();
    std::unique_ptr<state::KnownKeys> known = state::KnownKeys::anonymous().value();
    std::unique_ptr<SecretTable> table = SecretTable::make(1 << 20).value();
    std::optional<Store> store;

    Lives() { next(); }
    Store& next() {
        store.reset();
        return store.emplace(*units, nullptr, 4, Lasting{.known = known.get(), .table = table.get()});
    }
    std::vector<std::string> names() const {
        std::vector<std::string> result;
        const auto all = load_all(*table).value();
        for (const Left& left : all.sas) result.push_back(left.spec.name);
        std::ranges::sort(result);
        return result;
    }
};

using Names = std::vector<std::string>;

} // namespace sallyport::store
