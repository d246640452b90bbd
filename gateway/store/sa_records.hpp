// SPDX-License-Identifier: Apache-2.0
// SAs as records of the secret table: the cold part and the key, as gateway/sa/record.hpp lays them down.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/sa/sa.hpp"
#include "gateway/store/secret_table.hpp"

#include <vector>

namespace sallyport::store {

/// An SA that an earlier process left.
struct Left {
    SaSpec spec; // with its key
    SecretTable::Record record = 0;
};

/// Stages a record of it.
[[nodiscard]] Result<SecretTable::Record> stage(SecretTable& table, const SaSpec& spec);

/// All of them, of this release's version and of the one before. Error conflict: one is of another version, or what it says cannot be: then
/// nothing of the table is to be trusted.
[[nodiscard]] Result<std::vector<Left>> load_all(const SecretTable& table);

} // namespace sallyport::store
