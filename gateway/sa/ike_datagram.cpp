// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/ike_datagram.hpp"

#include <algorithm>
#include <cstring>

namespace sallyport::ike_datagram {
namespace {

Address address_of(const std::array<std::uint8_t, 16>& octets, std::uint8_t family) {
    return {octets, family == 4 ? Family::ipv4 : Family::ipv6};
}

/// Of IPv4 only the first four octets mean something.
bool clean(const Address& address) {
    return std::ranges::all_of(std::span(address.octets).subspan(address.size()), [](std::uint8_t octet) { return octet == 0; });
}

std::string_view fault(const RecordHeader& header) {
    if (header.layout != layout) return "another layout";
    if (header.transport != static_cast<std::uint8_t>(Transport::udp) || header.connection != 0) return "a transport that is not known";
    if (header.family != 4 && header.family != 6) return "no family of addresses";
    if (header.ecn > 3 || header.zero != 0 || header.more_zero != 0) return "octets that must be zero";
    if (header.local_port == 0 || header.remote_port == 0) return "a port that is zero";
    return {};
}

} // namespace

std::expected<Datagram, std::string_view> parse(std::span<const std::uint8_t> record) {
    RecordHeader header;
    if (record.size() < sizeof header + least_message) return std::unexpected("too short");
    if (record.size() > sizeof header + most_message) return std::unexpected("too long");
    std::memcpy(&header, record.data(), sizeof header);
    if (const std::string_view what = fault(header); !what.empty()) return std::unexpected(what);
    const Datagram datagram{.local = address_of(header.local, header.family),
                            .remote = address_of(header.remote, header.family),
                            .local_port = header.local_port,
                            .remote_port = header.remote_port,
                            .vpn = header.vpn,
                            .port = header.port,
                            .ecn = header.ecn,
                            .received = header.received,
                            .message = record.subspan(sizeof header)};
    if (!clean(datagram.local) || !clean(datagram.remote)) return std::unexpected("octets that must be zero");
    return datagram;
}

RecordHeader header_of(const Datagram& datagram) {
    return {.layout = layout,
            .transport = static_cast<std::uint8_t>(Transport::udp),
            .ecn = datagram.ecn,
            .family = static_cast<std::uint8_t>(datagram.local.family),
            .zero = 0,
            .vpn = datagram.vpn,
            .port = datagram.port,
            .local_port = datagram.local_port,
            .remote_port = datagram.remote_port,
            .connection = 0,
            .more_zero = 0,
            .local = datagram.local.octets,
            .remote = datagram.remote.octets,
            .received = datagram.received};
}

std::vector<std::uint8_t> record_of(const Datagram& datagram) {
    const RecordHeader header = header_of(datagram);
    std::vector<std::uint8_t> record(sizeof header + datagram.message.size());
    std::memcpy(record.data(), &header, sizeof header);
    std::ranges::copy(datagram.message, record.begin() + sizeof header);
    return record;
}

} // namespace sallyport::ike_datagram
