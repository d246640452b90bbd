// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/pinned_array.hpp"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sallyport::state {

using sequence::Unit;

namespace {

std::size_t octets_of(std::size_t count) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (count * sizeof(Unit) + page - 1) / page * page;
}

} // namespace

PinnedArray& PinnedArray::operator=(PinnedArray&& other) noexcept {
    if (this == &other) return *this;
    unmap();
    units_ = std::exchange(other.units_, {});
    map_ = std::exchange(other.map_, -1);
    return *this;
}

PinnedArray::~PinnedArray() { unmap(); }

void PinnedArray::unmap() {
    if (!units_.empty()) munmap(units_.data(), octets_of(units_.size()));
    if (map_ >= 0) close(map_);
}

Result<PinnedArray> PinnedArray::mapped(int map, std::uint32_t count, const std::string& place) {
    const int flags = map >= 0 ? MAP_SHARED | MAP_POPULATE : MAP_PRIVATE | MAP_ANONYMOUS;
    void* memory = mmap(nullptr, octets_of(count), PROT_READ | PROT_WRITE, flags, map, 0);
    if (memory != MAP_FAILED) return PinnedArray({static_cast<Unit*>(memory), count}, map);
    const int failure = errno;
    if (map >= 0) close(map);
    return std::unexpected(system_error(failure, "cannot map memory that outlives the process", place));
}

Result<PinnedArray> PinnedArray::open(const std::string& path) {
    const int map = bpf_obj_get(path.c_str());
    if (map < 0) {
        if (errno == ENOENT) return std::unexpected(Error{ErrorCode::missing, "nothing is pinned there", path, {}});
        return std::unexpected(system_error(errno, "cannot open what is pinned", path));
    }
    bpf_map_info info{};
    std::uint32_t size = sizeof info;
    const bool good = bpf_map_get_info_by_fd(map, &info, &size) == 0 && info.type == BPF_MAP_TYPE_ARRAY &&
                      info.value_size == sizeof(Unit) && (info.map_flags & BPF_F_MMAPABLE) != 0;
    if (!good) {
        close(map);
        return std::unexpected(Error{ErrorCode::conflict, "what is pinned is no memory of this release", path, {}});
    }
    return mapped(map, info.max_entries, path);
}

Result<PinnedArray> PinnedArray::make(const char* name, std::uint32_t count) {
    const bpf_map_create_opts options{.sz = sizeof(bpf_map_create_opts), .map_flags = BPF_F_MMAPABLE};
    const int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(std::uint32_t), sizeof(Unit), count, &options);
    if (map < 0)
        return std::unexpected(system_error(errno, "cannot make memory that outlives the process (" + std::to_string(count) + " units)"));
    return mapped(map, count, name);
}

Result<PinnedArray> PinnedArray::anonymous(std::uint32_t count) { return mapped(-1, count, {}); }

Result<void> PinnedArray::pin(const std::string& path) {
    const std::string next = path + "-next";
    (void)unlink(next.c_str()); // of one that was killed at this
    const bool pinned = bpf_obj_pin(map_, next.c_str()) == 0 && rename(next.c_str(), path.c_str()) == 0;
    if (!pinned) return std::unexpected(system_error(errno, "cannot pin memory that outlives the process", path));
    close(std::exchange(map_, -1)); // the mapping keeps the array, and so does the pin
    return {};
}

void PinnedArray::unpin(const std::string& path) { (void)unlink(path.c_str()); }

} // namespace sallyport::state
