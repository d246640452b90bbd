// SPDX-License-Identifier: Apache-2.0
// Which keys have been used for sealing since the machine started: the last 262,144 of them, in memory that outlives the process. A key
// that is known is never installed for sealing a second time, whoever asks and whatever was forgotten otherwise.
#pragma once

#include "gateway/index/index.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/state/marks_file.hpp"
#include "gateway/state/pinned_array.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sallyport::state {

/// Which key it is, whatever SA uses it: its keyed hash as fingerprint_of() of an outbound SA with this key and SPI 0 has it.
[[nodiscard]] Fingerprint identity_of(const SaSpec& sa);

/// Threads: the control thread.
class KnownKeys {
public:
    static constexpr std::uint32_t most = 262144;

    /// Opens the array pinned at `path`, or makes one. One that is damaged or of a layout that this release does not know is replaced by
    /// an empty one: refused() says why.
    [[nodiscard]] static Result<std::unique_ptr<KnownKeys>> pinned(const std::string& path);
    /// Memory of this process, for tests.
    [[nodiscard]] static Result<std::unique_ptr<KnownKeys>> anonymous();

    /// Why what lay at the path was not adopted; nothing: it was, or there was nothing.
    [[nodiscard]] const std::optional<Error>& refused() const { return refused_; }

    enum class Use : std::uint8_t { none, negotiated, manual };
    /// How it was used for sealing.
    [[nodiscard]] Use use(const Fingerprint& key) const;
    /// From now on it is known, and the one that came longest ago may not be any more. Before the first packet is sealed with it.
    void add(const Fingerprint& key, bool manual);

private:
    using Print = std::array<std::uint64_t, 2>; // the first 127 bits of the fingerprint, and one: manual
    explicit KnownKeys(PinnedArray array) : array_(std::move(array)) {}
    [[nodiscard]] static Print print_of(const Fingerprint& key);
    [[nodiscard]] std::uint64_t* entry(std::uint64_t number) const; // two words
    [[nodiscard]] Print print_at(std::uint32_t place) const;
    [[nodiscard]] std::optional<std::uint32_t> place_of(const Print& print) const; // the latest
    void remember(const Print& print, std::uint32_t place);
    void forget(std::uint32_t place);
    [[nodiscard]] std::uint64_t& count() const;
    void write_header();
    [[nodiscard]] bool read();

    PinnedArray array_;
    index::Index where_; // by print without its last bit: the place in the ring
    std::optional<Error> refused_;
};

} // namespace sallyport::state
