// SPDX-License-Identifier: Apache-2.0
// Any octets as a datagram of rtnetlink: nothing past a message is read, and of what was understood a Fib can be made. A message is cut to
// what is there, as the library cuts it before it calls us.
#include "gateway/route/picture.hpp"

#include <algorithm>
#include <cstring>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <memory>

namespace {

using namespace sallyport;
using namespace sallyport::route;

/// Ports on the interfaces of the corpus.
Picture make_picture() {
    Picture picture;
    picture.arrange({{"wan", 0, 254}, {"one", 1, 101}}, {{"wan0", Role::black, {{0, 0}}, {}}, {"red1", Role::red, {{0, 1}, {7, 1}}, {}}});
    picture.link({.interface = 2, .name = "wan0", .mac = {2, 0, 0, 0, 0, 2}, .mtu = 1500, .up = true});
    picture.link({.interface = 3, .name = "red1", .mac = {2, 0, 0, 0, 0, 3}, .mtu = 1500, .up = true});
    return picture;
}

void take(Picture& picture, nlmsghdr* message) {
    const bool gone = message->nlmsg_type % 4 == 1; // RTM_DEL...
    if (const auto link = parse_link(message); link && message->nlmsg_type < RTM_NEWADDR)
        gone ? picture.link_gone(link->interface) : picture.link(*link);
    if (const auto address = parse_address_message(message); address && message->nlmsg_type < RTM_NEWROUTE)
        gone ? picture.address_gone(*address) : picture.address(*address);
    if (const auto route = parse_route(message); route && message->nlmsg_type < RTM_NEWNEIGH)
        gone ? picture.route_gone(*route) : picture.route(*route, message->nlmsg_flags);
    if (const auto neighbour = parse_neighbour(message); neighbour && message->nlmsg_type >= RTM_NEWNEIGH)
        (void)(gone ? picture.neighbour_gone(*neighbour) : picture.neighbour(*neighbour));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 8192) return 0;
    Picture picture = make_picture();
    while (size >= sizeof(nlmsghdr)) {
        nlmsghdr header;
        std::memcpy(&header, data, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size) header.nlmsg_len = static_cast<std::uint32_t>(size);
        const auto copy = std::make_unique<std::uint32_t[]>((header.nlmsg_len + 3) / 4); // aligned as netlink has it
        std::memcpy(copy.get(), data, header.nlmsg_len);
        std::memcpy(copy.get(), &header, sizeof header);
        take(picture, reinterpret_cast<nlmsghdr*>(copy.get()));
        const std::size_t step = std::min<std::size_t>((header.nlmsg_len + 3U) & ~3U, size);
        data += step;
        size -= step;
    }
    if (picture.changed()) (void)picture.build();
    (void)picture.local_addresses();
    return 0;
}
