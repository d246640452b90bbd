// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/audits.hpp"

#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sallyport::xdp {

Result<std::unique_ptr<Audits>> Audits::open(int ring) {
    std::unique_ptr<Audits> audits(new Audits());
    audits->ring_ = ring_buffer__new(ring, on_record, audits.get(), nullptr);
    if (audits->ring_ == nullptr) return std::unexpected(system_error(errno, "The BPF ring of audited packets cannot be read"));
    return audits;
}

Audits::~Audits() { ring_buffer__free(ring_); }

int Audits::descriptor() const { return ring_buffer__epoll_fd(ring_); }

int Audits::on_record(void* self, void* data, std::size_t size) {
    if (size < sizeof(sp_audit)) return 0; // of a program of another version
    auto& taken = static_cast<Audits*>(self)->taken_;
    if (taken.size() == SP_AUDIT_OCTETS / sizeof(sp_audit)) return -ENOBUFS; // ends this round
    std::memcpy(&taken.emplace_back(), data, sizeof(sp_audit));
    return 0;
}

std::vector<sp_audit> Audits::take() {
    (void)ring_buffer__consume(ring_);
    return std::exchange(taken_, {});
}

} // namespace sallyport::xdp
