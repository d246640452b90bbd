// SPDX-License-Identifier: Apache-2.0
// The packet memory that all AF_XDP sockets of a gateway share: chunks in a memfd, on huge pages if there are any.
#pragma once

#include "gateway/port/chunks.hpp"
#include "gateway/sa/error.hpp"
#include "gateway/state/descriptor.hpp"

#include <cstdint>

namespace sallyport::xdp {

class Umem {
public:
    /// At least `chunks` chunks (rounded up to whole huge pages), all pages present.
    [[nodiscard]] static Result<Umem> create(std::uint32_t chunks);
    /// The memory that another process made, of just so many chunks. Its content stays as it is.
    [[nodiscard]] static Result<Umem> adopt(Descriptor file, std::uint32_t chunks, bool huge);
    Umem(Umem&& other) noexcept;
    Umem& operator=(Umem&& other) noexcept;
    Umem(const Umem&) = delete;
    Umem& operator=(const Umem&) = delete;
    ~Umem();

    [[nodiscard]] PacketMemory memory() const { return memory_; }
    [[nodiscard]] std::size_t octets() const { return std::size_t{memory_.count} * chunk_size; }
    [[nodiscard]] bool huge_pages() const { return huge_; }
    [[nodiscard]] int descriptor() const { return file_.get(); }
    [[nodiscard]] std::uint64_t inode() const;

private:
    Umem() = default;
    bool make(std::uint32_t chunks, bool huge);
    bool map(Descriptor file, std::size_t octets, bool huge);
    Descriptor file_;
    PacketMemory memory_;
    bool huge_ = false;
};

} // namespace sallyport::xdp
