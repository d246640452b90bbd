// SPDX-License-Identifier: Apache-2.0
// The gateway as those see it who negotiate keys: child SAs and policies by transactions of records, the SPI space, the SPIs of IKE. A
// transaction is one call, or several of one generation that are committed together.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/store/ike_spis.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace sallyport::control {

/// What is said beside the memfd of a call.
struct KeyingCall {
    std::uint64_t version = 0;    // of the records
    std::uint64_t generation = 0; // above the last one that was committed
    std::uint64_t count = 0;      // entries of all tables but that of selectors
    bool hold = false;            // kept until commit(); else brought about at once, with what was held before
};

/// Threads: the control thread.
class Keying {
public:
    using Caller = const void*; // who calls, for as long as he is connected

    struct Inside; // for the files of this folder
    explicit Keying(Inside& inside) : inside_(inside) {}

    /// The records are copied and the memfd is wiped, whatever becomes of them; the descriptor stays the caller's. A call that is refused
    /// ends its generation: what was held with it is gone, and its commit is refused. Error: place is "install[3] spi" or the like.
    [[nodiscard]] Result<void> install(Caller caller, const KeyingCall& call, int memfd);
    [[nodiscard]] Result<void> commit(Caller caller, std::uint64_t generation);
    /// The caller is gone, and so is what he held.
    void leave(Caller caller);
    /// The last one that was committed.
    [[nodiscard]] std::uint64_t generation() const;

    /// See store::SpiSpace.
    [[nodiscard]] Result<std::vector<std::uint32_t>> reserve_spis(std::uint32_t count, std::uint32_t block);
    [[nodiscard]] std::size_t release_spis(std::span<const std::uint32_t> spis);
    /// See store::IkeSpis; what they carry goes by a line of its own from then on (courier::Line::known).
    [[nodiscard]] Result<void> add_ike_spis(std::span<const std::uint64_t> spis, std::uint64_t owner);
    std::size_t remove_ike_spis(std::span<const std::uint64_t> spis);
    [[nodiscard]] const store::IkeSpis& ike_spis() const;

private:
    Inside& inside_;
};

} // namespace sallyport::control
