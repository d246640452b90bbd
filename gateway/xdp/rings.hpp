// SPDX-License-Identifier: Apache-2.0
// The four rings of an AF_XDP socket, mapped through its descriptor: that of a socket just made, or of one that a dead process left. libxdp
// makes and maps rings in one go and has no call for the second; its inline functions that work on mapped rings are used here too.
#pragma once

#include "gateway/sa/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <xdp/xsk.h>

namespace sallyport::xdp {

/// Entries of each of a socket's four rings, a power of two.
inline constexpr std::uint32_t ring_entries = 2048;

class Rings {
public:
    Rings() = default; // none
    /// The socket has all four, of ring_entries each; fill and completion ring are its own. Where the rings stand is taken as it is found.
    [[nodiscard]] static Result<Rings> map(int socket);
    Rings(Rings&& other) noexcept { *this = std::move(other); }
    Rings& operator=(Rings&& other) noexcept;
    Rings(const Rings&) = delete;
    Rings& operator=(const Rings&) = delete;
    ~Rings();

    xsk_ring_cons receive{};
    xsk_ring_prod fill{};
    xsk_ring_prod transmit{};
    xsk_ring_cons completion{};

private:
    struct Mapping {
        void* at = nullptr;
        std::size_t octets = 0;
    };
    std::array<Mapping, 4> mappings_{};
};

} // namespace sallyport::xdp
