// SPDX-License-Identifier: Apache-2.0
// The baseline: the library's own calls on what is really sealed or opened, with nothing of ours around them.
#pragma once

#include "gateway/crypto/crypto.hpp"

#include <cstdint>
#include <functional>
#include <span>

namespace sallyport::bench {

/// Cycles that the library takes for these packets, which are ready-made, in batches of 64. AES-GCM with ipsec-mb: the direct call, each
/// key prefetched as far ahead as the gateway does it. Everything else: what gateway/crypto calls, which is nothing but the library's jobs.
using Bare = std::function<std::uint64_t(std::span<crypto::Packet> packets)>;

/// Octets of the library's own structure for an expanded key.
[[nodiscard]] std::size_t library_key_size(crypto::Engine engine, Algorithm algorithm);

[[nodiscard]] Bare bare(crypto::Engine engine, Algorithm algorithm, Direction direction);

} // namespace sallyport::bench
