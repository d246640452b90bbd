// SPDX-License-Identifier: Apache-2.0
#include "gateway/own/device.hpp"

#include "gateway/own/netlink.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <net/if.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>
#include <netlink/route/link/inet6.h>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sallyport::own {
namespace {

constexpr const char* no_tun = "the traffic of the gateway itself stays outside the tunnels; look whether there is a /dev/net/tun that the "
                               "gateway may open";
constexpr std::string_view mark = "sallyport: "; // begins the alias of each device of ours

struct FreeLink {
    void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};

using Link = std::unique_ptr<rtnl_link, FreeLink>;

/// The device with what `set` changes in it.
template <class Set>
Result<void> change(const std::string& name, Set set) {
    auto socket = connect();
    if (!socket) return std::unexpected(std::move(socket.error()));
    rtnl_link* found = nullptr;
    if (const int code = rtnl_link_get_kernel(socket->get(), 0, name.c_str(), &found); code < 0)
        return std::unexpected(netlink_error(code, "The device is gone", name));
    const Link now(found);
    const Link wanted(rtnl_link_alloc());
    set(wanted.get());
    if (const int code = rtnl_link_change(socket->get(), now.get(), wanted.get(), 0); code < 0)
        return std::unexpected(netlink_error(code, "The device cannot be set up", name));
    return {};
}

Result<void> prepare(const VpnSpec& vpn, const std::string& name, unsigned mtu) {
    // Before it comes up, or it would speak by itself.
    if (auto done = change(name, [](rtnl_link* link) { rtnl_link_inet6_set_addr_gen_mode(link, rtnl_link_inet6_str2addrgenmode("none")); });
        !done && if_nametoindex(name.c_str()) == 0)
        return done; // a kernel without IPv6 has no such setting
    if (auto done = change(name, [](rtnl_link* link) { rtnl_link_inet_set_conf(link, IPV4_DEVCONF_RP_FILTER, 0); }); !done) return done;
    return change(name, [&](rtnl_link* link) {
        rtnl_link_set_ifalias(link, (std::string(mark) + "the gateway itself in VPN " + vpn.name).c_str());
        rtnl_link_set_mtu(link, mtu);
        rtnl_link_set_flags(link, IFF_UP);
    });
}

} // namespace

std::string device_name(const VpnSpec& vpn) {
    const std::string name = "sp-" + vpn.name;
    return name.size() < IFNAMSIZ ? name : "sp." + std::to_string(vpn.number);
}

Result<std::shared_ptr<Tun>> Tun::open(const VpnSpec& vpn, unsigned mtu) {
    const std::string name = device_name(vpn);
    const auto failed = [&](const char* what) {
        Error error = system_error(errno, what, name, no_tun);
        error.code = ErrorCode::unsupported;
        return std::unexpected(std::move(error));
    };
    const int descriptor = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return failed("No TUN device can be made");
    std::shared_ptr<Tun> tun(new Tun(name, descriptor));
    ifreq request{};
    std::memcpy(request.ifr_name, name.c_str(), name.size());
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(descriptor, TUNSETIFF, &request) != 0) return failed("The TUN device cannot be made or taken up");
    if (ioctl(descriptor, TUNSETPERSIST, 1) != 0 || ioctl(descriptor, TUNSETOFFLOAD, 0) != 0)
        return failed("The TUN device cannot be set up");
    tun->interface_ = if_nametoindex(name.c_str());
    tun->mtu_ = mtu;
    if (auto done = prepare(vpn, name, mtu); !done) return std::unexpected(std::move(done.error()));
    return tun;
}

Tun::~Tun() { close(descriptor_); }

bool Tun::there() const { return if_nametoindex(name_.c_str()) == interface_; }

Result<void> Tun::set_mtu(unsigned mtu) {
    if (mtu == mtu_) return {};
    if (auto done = change(name_, [&](rtnl_link* link) { rtnl_link_set_mtu(link, mtu); }); !done) return done;
    mtu_ = mtu;
    return {};
}

std::size_t Tun::read(std::span<std::uint8_t> packet) {
    const ssize_t octets = ::read(descriptor_, packet.data(), packet.size());
    return octets > 0 ? static_cast<std::size_t>(octets) : 0;
}

bool Tun::write(std::span<const std::uint8_t> packet) {
    return ::write(descriptor_, packet.data(), packet.size()) == static_cast<ssize_t>(packet.size());
}

std::vector<std::string> remove_devices(const std::vector<std::string>& but) {
    std::vector<std::string> removed;
    const auto socket = connect();
    nl_cache* links = nullptr;
    if (!socket || rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &links) < 0) return removed;
    for (nl_object* object = nl_cache_get_first(links); object != nullptr; object = nl_cache_get_next(object)) {
        auto* link = reinterpret_cast<rtnl_link*>(object);
        const char* alias = rtnl_link_get_ifalias(link);
        const char* kind = rtnl_link_get_type(link);
        const std::string name = rtnl_link_get_name(link);
        if (alias == nullptr || !std::string_view(alias).starts_with(mark) || kind == nullptr || std::string_view(kind) != "tun") continue;
        if (std::ranges::find(but, name) == but.end() && rtnl_link_delete(socket->get(), link) == 0) removed.push_back(name);
    }
    nl_cache_free(links);
    return removed;
}

} // namespace sallyport::own
