// SPDX-License-Identifier: Apache-2.0
// Clear packets from the black side that the programs of the ports dropped and tell of (RFC 4301 5.2). What was told while no process
// lived is still there.
#pragma once

#include "bpf/shared.h"
#include "gateway/sa/error.hpp"

#include <memory>
#include <vector>

struct ring_buffer;

namespace sallyport::xdp {

/// Threads: one.
class Audits {
public:
    /// `ring`: SharedMaps::audit_ring(), which may be closed afterwards.
    [[nodiscard]] static Result<std::unique_ptr<Audits>> open(int ring);
    ~Audits();
    Audits(const Audits&) = delete;
    Audits& operator=(const Audits&) = delete;

    /// Readable when take() has something to give.
    [[nodiscard]] int descriptor() const;
    /// All there are: at most as many as the ring holds.
    [[nodiscard]] std::vector<sp_audit> take();

private:
    Audits() = default;
    static int on_record(void* self, void* data, std::size_t size);
    ring_buffer* ring_ = nullptr;
    std::vector<sp_audit> taken_;
};

} // namespace sallyport::xdp
