// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/umem.hpp"

#include <cerrno>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sallyport::xdp {
namespace {

constexpr std::size_t huge_page = 2U << 20;
constexpr std::uint32_t most_chunks = 1U << 20; // 4 GiB: chunk offsets of all rings stay far from wrapping

} // namespace

Umem::Umem(Umem&& other) noexcept : file_(std::move(other.file_)), memory_(std::exchange(other.memory_, {})), huge_(other.huge_) {}

Umem& Umem::operator=(Umem&& other) noexcept {
    std::swap(file_, other.file_);
    std::swap(memory_, other.memory_);
    std::swap(huge_, other.huge_);
    return *this;
}

Umem::~Umem() {
    if (memory_.base) munmap(memory_.base, octets());
}

bool Umem::make(std::uint32_t chunks, bool huge) {
    std::size_t octets = std::size_t{chunks} * chunk_size;
    octets = (octets + huge_page - 1) / huge_page * huge_page;
    Descriptor file(memfd_create("sallyport-packets", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0U)));
    return file && ftruncate(file.get(), static_cast<off_t>(octets)) == 0 && map(std::move(file), octets, huge);
}

bool Umem::map(Descriptor file, std::size_t octets, bool huge) {
    void* at = mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
    if (at == MAP_FAILED) return false;
    file_ = std::move(file);
    memory_ = {.base = static_cast<std::uint8_t*>(at), .count = static_cast<std::uint32_t>(octets / chunk_size)};
    huge_ = huge;
    return true;
}

Result<Umem> Umem::create(std::uint32_t chunks) {
    if (chunks == 0 || chunks > most_chunks)
        return std::unexpected(Error{
            ErrorCode::invalid,
            "The packet memory has 1 to " + std::to_string(most_chunks) + " chunks, not " + std::to_string(chunks) + ".", "frames", ""});
    Umem umem;
    if (!umem.make(chunks, true) && !umem.make(chunks, false))
        return std::unexpected(system_error(errno, "There is no memory for " + std::to_string(chunks) + " packet chunks", "frames",
                                            "Configure fewer frames."));
    return umem;
}

Result<Umem> Umem::adopt(Descriptor file, std::uint32_t chunks, bool huge) {
    const std::size_t octets = std::size_t{chunks} * chunk_size;
    struct stat about{};
    if (fstat(file.get(), &about) != 0 || chunks == 0 || about.st_size != static_cast<off_t>(octets))
        return std::unexpected(Error{ErrorCode::invalid, "the packet memory has another size", "", ""});
    Umem umem;
    if (!umem.map(std::move(file), octets, huge)) return std::unexpected(system_error(errno, "the packet memory cannot be mapped"));
    return umem;
}

std::uint64_t Umem::inode() const {
    struct stat about{};
    return fstat(file_.get(), &about) == 0 ? about.st_ino : 0;
}

} // namespace sallyport::xdp
