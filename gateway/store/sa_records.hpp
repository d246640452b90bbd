// SPDX-License-Identifier: Apache-2.0
// SAs, with their keys, and negotiated policies as records of the secret table, as gateway/sa/record.hpp lays them down; SAs packed,
// without the octets of it that are zero.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/sa/record.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/store/secret_table.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace sallyport::store {

/// An SA that an earlier process left.
struct Left {
    SaSpec spec; // with its key
    SecretTable::Record record = 0;
};

/// A policy that it left, and which of them it is in their order.
struct LeftPolicy {
    PolicySpec spec;
    std::uint64_t order = 0;
    SecretTable::Record record = 0;
};

struct AllLeft {
    std::vector<Left> sas;
    std::vector<LeftPolicy> policies; // in their order
};

/// It is of this release's version: it can stay as it is.
[[nodiscard]] bool current(const SecretTable& table, SecretTable::Record record);

/// Stages a record of it.
[[nodiscard]] Result<SecretTable::Record> stage(SecretTable& table, const SaSpec& spec);
[[nodiscard]] Result<SecretTable::Record> stage(SecretTable& table, const PolicySpec& spec, std::uint64_t order);

// What an SA was asked to be is seldom asked for again: it stays packed, in the table, or without one in a PackedSa.
using PackedSa = std::unique_ptr<const std::uint8_t[]>;
/// Without its key. Error invalid: its name has no place in a record.
[[nodiscard]] Result<PackedSa> pack(const SaSpec& spec);
/// A copy without the key.
[[nodiscard]] PackedSa pack(const std::uint8_t* packed);
/// All but its key; `packed` are the octets of a record of this release's version, or of a PackedSa.
[[nodiscard]] SaSpec unpack(const std::uint8_t* packed);
/// The same without the selectors, in less time.
[[nodiscard]] record::SaRecord head_of(const std::uint8_t* packed);

/// All of them, of this release's version and of the one before. Error conflict: one is of a version that this release does not know, or
/// what it says cannot be: then nothing of the table is to be trusted.
[[nodiscard]] Result<AllLeft> load_all(const SecretTable& table);

} // namespace sallyport::store
