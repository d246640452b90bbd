// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/rings.hpp"

#include <cerrno>
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace sallyport::xdp {
namespace {

std::uint32_t* word(void* ring, std::uint64_t offset) { return reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(ring) + offset); }

// As xsk_ring_prod and xsk_ring_cons in xsk.h want them: a producer keeps the other's index moved on by the size of the ring.
template <class Ring>
void set_up(Ring& ring, void* at, const xdp_ring_offset& offsets) {
    ring.mask = ring_entries - 1;
    ring.size = ring_entries;
    ring.producer = word(at, offsets.producer);
    ring.consumer = word(at, offsets.consumer);
    ring.flags = word(at, offsets.flags);
    ring.ring = static_cast<std::byte*>(at) + offsets.desc;
    ring.cached_prod = __atomic_load_n(ring.producer, __ATOMIC_ACQUIRE);
    ring.cached_cons = __atomic_load_n(ring.consumer, __ATOMIC_ACQUIRE);
}

} // namespace

Rings& Rings::operator=(Rings&& other) noexcept {
    std::swap(receive, other.receive);
    std::swap(fill, other.fill);
    std::swap(transmit, other.transmit);
    std::swap(completion, other.completion);
    std::swap(mappings_, other.mappings_);
    return *this;
}

Rings::~Rings() {
    for (const Mapping& mapping : mappings_)
        if (mapping.at) munmap(mapping.at, mapping.octets);
}

Result<Rings> Rings::map(int socket) {
    xdp_mmap_offsets offsets{};
    socklen_t size = sizeof(offsets);
    if (getsockopt(socket, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0)
        return std::unexpected(system_error(errno, "The rings of an AF_XDP socket cannot be found"));
    if (size != sizeof(offsets)) // before Linux 5.4
        return std::unexpected(Error{ErrorCode::unsupported, "The kernel does not tell where the flags of AF_XDP rings are.", "", ""});
    Rings rings;
    const struct {
        const xdp_ring_offset& offset;
        std::size_t entry;
        off_t page;
    } all[] = {{offsets.rx, sizeof(xdp_desc), XDP_PGOFF_RX_RING},
               {offsets.fr, sizeof(std::uint64_t), static_cast<off_t>(XDP_UMEM_PGOFF_FILL_RING)},
               {offsets.tx, sizeof(xdp_desc), static_cast<off_t>(XDP_PGOFF_TX_RING)},
               {offsets.cr, sizeof(std::uint64_t), static_cast<off_t>(XDP_UMEM_PGOFF_COMPLETION_RING)}};
    for (std::size_t i = 0; i < std::size(all); i++) {
        const std::size_t octets = all[i].offset.desc + ring_entries * all[i].entry;
        void* at = mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, socket, all[i].page);
        if (at == MAP_FAILED) return std::unexpected(system_error(errno, "A ring of an AF_XDP socket cannot be mapped"));
        rings.mappings_[i] = {.at = at, .octets = octets};
    }
    set_up(rings.receive, rings.mappings_[0].at, offsets.rx);
    set_up(rings.fill, rings.mappings_[1].at, offsets.fr);
    set_up(rings.transmit, rings.mappings_[2].at, offsets.tx);
    set_up(rings.completion, rings.mappings_[3].at, offsets.cr);
    rings.fill.cached_cons += ring_entries;
    rings.transmit.cached_cons += ring_entries;
    return rings;
}

} // namespace sallyport::xdp
