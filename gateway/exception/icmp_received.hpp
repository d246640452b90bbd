// SPDX-License-Identifier: Apache-2.0
// Errand icmp_received: ICMP errors from the black side about what we sent (RFC 4301 6.1). They are not authentic, so that nothing but a
// path MTU is taken from them, and that only where they quote a packet that we have sent lately; all others are counted.
#pragma once

#include "gateway/exception/handler.hpp"
#include "gateway/exception/path_mtus.hpp"

namespace sallyport::exception {

class IcmpReceived final : public Handler {
public:
    explicit IcmpReceived(PathMtus& mtus) : mtus_(mtus) {}

    void take(const Frame& frame, std::uint64_t now, Exits& exits) override;
    void look(std::uint64_t now, Exits& exits) override;
    [[nodiscard]] std::uint64_t next() const override { return mtus_.next(); }

private:
    [[nodiscard]] DropReason judge(const Frame& frame, std::uint64_t now);

    PathMtus& mtus_;
};

} // namespace sallyport::exception
