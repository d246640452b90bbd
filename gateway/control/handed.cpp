// SPDX-License-Identifier: Apache-2.0
#include "gateway/control/handed.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sallyport::control {

namespace {

constexpr const char* place = "memfd";

std::unexpected<Error> refused(std::string sentence, std::string remedy = {}) {
    return std::unexpected(Error{ErrorCode::refused, std::move(sentence), place, std::move(remedy)});
}

std::unexpected<Error> failed(const char* sentence, std::string remedy = {}) {
    return std::unexpected(system_error(errno, sentence, place, std::move(remedy)));
}

Result<std::size_t> checked_size(int memfd, std::size_t largest) {
    const int seals = fcntl(memfd, F_GET_SEALS);
    if (seals < 0) return refused("the descriptor is no memfd");
    if ((seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_GROW) == 0)
        return refused("the memfd's size is not sealed", "seal it with F_SEAL_SHRINK and F_SEAL_GROW");
    if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
        return refused("the memfd is sealed against writing: its keys could not be wiped", "seal its size only");
    struct stat status{};
    if (fstat(memfd, &status) != 0) return failed("the memfd cannot be looked at");
    if (status.st_size <= 0 || static_cast<std::uint64_t>(status.st_size) > largest)
        return refused("the memfd is empty or larger than a call");
    return static_cast<std::size_t>(status.st_size);
}

bool read_all(int memfd, void* to, std::size_t size) {
    for (std::size_t at = 0; at < size;) {
        const ssize_t part = pread(memfd, static_cast<char*>(to) + at, size - at, static_cast<off_t>(at));
        if (part < 0 && errno == EINTR) continue;
        if (part == 0) errno = EIO;
        if (part <= 0) return false;
        at += static_cast<std::size_t>(part);
    }
    return true;
}

bool overwrite(int memfd, std::size_t size) {
    static constexpr std::array<char, 65536> zeros{};
    for (std::size_t at = 0; at < size;) {
        const ssize_t part = pwrite(memfd, zeros.data(), std::min(zeros.size(), size - at), static_cast<off_t>(at));
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) return false;
        at += static_cast<std::size_t>(part);
    }
    return true;
}

} // namespace

Result<HandedRecords> HandedRecords::take(int memfd, std::size_t largest) {
    const auto size = checked_size(memfd, largest);
    if (!size) return std::unexpected(size.error());
    void* memory = mmap(nullptr, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return failed("there is no memory for the records");
    HandedRecords records(memory, *size);
    madvise(memory, *size, MADV_DONTDUMP);
    if (mlock(memory, *size) != 0)
        return failed("memory for the records cannot be locked", "give the gateway CAP_IPC_LOCK, or raise its limit of locked memory");
    if (!read_all(memfd, memory, *size)) return failed("the memfd cannot be read");
    if (!overwrite(memfd, *size)) return failed("the memfd cannot be overwritten: its keys stay where they are", "make it writable");
    return records;
}

HandedRecords::~HandedRecords() {
    if (memory_ == nullptr) return;
    explicit_bzero(memory_, size_);
    munmap(memory_, size_);
}

} // namespace sallyport::control
