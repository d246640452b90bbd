// SPDX-License-Identifier: Apache-2.0
#include "gateway/transform/registry.hpp"

#include "gateway/mode/tunnel.hpp"

namespace sallyport::transform {
namespace {

crypto::Engine& chosen() {
    static crypto::Engine engine = crypto::best_engine();
    return engine;
}

/// Octets of the IP header before what is sealed that an outer packet has too.
unsigned kept(const OutboundSa& sa, SaMode mode) {
    switch (mode) {
    case SaMode::tunnel: return 0;
    case SaMode::transport: return sa.outer_length;
    case SaMode::beet: break;
    }
    return (sa.rules & mode::beet_inner_ipv6) != 0 ? wire::ipv6_size : wire::ipv4_size;
}

} // namespace

void use(crypto::Engine engine) { chosen() = engine; }

crypto::Engine engine_in_use() { return chosen(); }

std::uint8_t row_of(Algorithm algorithm, SaMode mode, SaProtocol protocol) {
    return row_of(Kind{.protocol = protocol, .mode = mode, .engine = chosen(), .algorithm = algorithm});
}

const Transform& transform(std::uint8_t row) { return row < esp_rows ? esp_transforms[row] : ah_transforms[row - esp_rows]; }

unsigned largest_inner(const OutboundSa& sa, unsigned outer_mtu) {
    const Transform& row = transform(sa.transform);
    const unsigned around = sa.before_esp() + (sa.outer_length == wire::ipv4_size ? row.around_ipv4 : row.around_ipv6);
    if (outer_mtu < around + row.block) return 0;
    return (outer_mtu - around) / row.block * row.block - row.trailer + kept(sa, kind_of(sa.transform).mode);
}

std::uint32_t key_size(std::uint8_t row) { return suite_of(row).key_size; }

std::uint8_t key_row(std::uint8_t row) { return row_of(engine_of(row), algorithm_of(row)); }

SaMode mode_of(std::uint8_t row) { return kind_of(row).mode; }

bool is_ah(const InboundSa& sa) { return sa.transform >= esp_rows; }

} // namespace sallyport::transform
