// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/device.hpp"

#include <net/if.h> // first: the kernel's headers then leave out what it has

#include "gateway/port/frame.hpp"
#include "gateway/state/descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <memory>
#include <optional>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace sallyport::xdp {
namespace {

constexpr unsigned ethernet_octets = 14;
constexpr unsigned tag_octets = 4;

// One ioctl on the device; false: errno says why.
bool device_call(const std::string& name, unsigned long request, ifreq& call) {
    Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)); // any will do, and this one the unit allows
    if (!socket) return false;
    std::strncpy(call.ifr_name, name.c_str(), sizeof(call.ifr_name) - 1);
    return ioctl(socket.get(), request, &call) == 0;
}

bool ethtool_call(const std::string& name, void* data) {
    ifreq call{};
    call.ifr_data = static_cast<char*>(data);
    return device_call(name, SIOCETHTOOL, call);
}

// An ethtool structure with a variable tail, as words so that it is aligned.
template <class T>
struct Tailed {
    explicit Tailed(std::size_t tail_octets) : words((sizeof(T) + tail_octets) / sizeof(std::uint64_t) + 1) {}
    T* operator->() { return reinterpret_cast<T*>(words.data()); }
    void* data() { return words.data(); }
    std::vector<std::uint64_t> words;
};

// The device's features by name: what `ethtool -k` shows.
class Features {
public:
    static std::optional<Features> read(const std::string& device) {
        Tailed<ethtool_sset_info> info(sizeof(std::uint32_t));
        info->cmd = ETHTOOL_GSSET_INFO;
        info->sset_mask = 1ULL << ETH_SS_FEATURES;
        if (!ethtool_call(device, info.data()) || info->sset_mask == 0) return std::nullopt;
        Features features(device);
        const std::uint32_t count = info->data[0];
        Tailed<ethtool_gstrings> strings(std::size_t{count} * ETH_GSTRING_LEN);
        strings->cmd = ETHTOOL_GSTRINGS;
        strings->string_set = ETH_SS_FEATURES;
        strings->len = count;
        if (!ethtool_call(device, strings.data())) return std::nullopt;
        for (std::uint32_t i = 0; i < count; i++) {
            const char* text = reinterpret_cast<const char*>(strings->data) + std::size_t{i} * ETH_GSTRING_LEN;
            features.names_.emplace_back(text, strnlen(text, ETH_GSTRING_LEN));
        }
        if (!features.refresh()) return std::nullopt;
        return features;
    }

    // Is it there and on?
    [[nodiscard]] bool on(const char* name) const {
        auto at = std::ranges::find(names_, name);
        if (at == names_.end()) return false;
        const auto bit = static_cast<std::size_t>(at - names_.begin());
        return (blocks_[bit / 32].active >> (bit % 32) & 1) != 0;
    }

    // Switches it off where it is on; true: it is off now.
    bool off(const char* name) {
        if (!on(name)) return true;
        const auto bit = static_cast<std::size_t>(std::ranges::find(names_, name) - names_.begin());
        Tailed<ethtool_sfeatures> set(blocks_.size() * sizeof(ethtool_set_features_block));
        set->cmd = ETHTOOL_SFEATURES;
        set->size = static_cast<std::uint32_t>(blocks_.size());
        set->features[bit / 32].valid = 1U << (bit % 32);
        return ethtool_call(device_, set.data()) && refresh() && !on(name);
    }

private:
    explicit Features(std::string device) : device_(std::move(device)) {}

    bool refresh() {
        const std::size_t count = (names_.size() + 31) / 32;
        Tailed<ethtool_gfeatures> get(count * sizeof(ethtool_get_features_block));
        get->cmd = ETHTOOL_GFEATURES;
        get->size = static_cast<std::uint32_t>(count);
        if (!ethtool_call(device_, get.data())) return false;
        blocks_.assign(get->features, get->features + count);
        return true;
    }

    std::string device_;
    std::vector<std::string> names_;
    std::vector<ethtool_get_features_block> blocks_;
};

// Drivers that hand a frame over with the tag that the sender's stack put beside it, whatever rx-vlan-hw-parse says.
bool passes_tags_beside(const std::string& driver) {
    static constexpr std::array drivers{"veth", "macvlan", "bonding", "bridge", "team"};
    return std::ranges::find(drivers, driver) != drivers.end();
}

unsigned receive_queues_of(const std::string& name) {
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    if (!ethtool_call(name, &channels)) return 1; // a driver without channels has one queue
    return std::max(1U, channels.rx_count + channels.combined_count);
}

} // namespace

std::uint32_t largest_mtu() { return largest_frame - ethernet_octets - 2 * tag_octets; }

Result<Device> find_device(const std::string& name) {
    Device device;
    device.name = name;
    device.ifindex = name.size() < IFNAMSIZ ? if_nametoindex(name.c_str()) : 0;
    if (device.ifindex == 0)
        return std::unexpected(Error{ErrorCode::missing, "There is no network device of this name.", name, "Look at \"ip link\"."});
    ifreq call{};
    if (!device_call(name, SIOCGIFHWADDR, call)) return std::unexpected(system_error(errno, "The link-layer address cannot be read", name));
    if (call.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return std::unexpected(Error{ErrorCode::unsupported, "This is no Ethernet device.", name, "Choose an Ethernet device as port."});
    std::memcpy(device.mac.data(), call.ifr_hwaddr.sa_data, device.mac.size());
    call = {};
    if (!device_call(name, SIOCGIFMTU, call)) return std::unexpected(system_error(errno, "The MTU cannot be read", name));
    device.mtu = static_cast<std::uint32_t>(call.ifr_mtu);
    if (device.mtu > largest_mtu())
        return std::unexpected(
            Error{ErrorCode::unsupported,
                  "The MTU " + std::to_string(device.mtu) + " does not fit into one buffer: frames over one buffer are not carried.", name,
                  "Set an MTU of at most " + std::to_string(largest_mtu()) + "."});
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    if (ethtool_call(name, &info)) device.driver.assign(info.driver, strnlen(info.driver, sizeof(info.driver)));
    device.receive_queues = receive_queues_of(name);
    device.tags_beside = passes_tags_beside(device.driver);
    return device;
}

Error tags_beside_error(const Device& device, const std::string& why) {
    const std::string other = "give each VPN a port of its own, or choose another device.";
    return {ErrorCode::unsupported,
            "The driver (" + device.driver + ") keeps VLAN tags beside the frame, where they cannot be seen" +
                (why.empty() ? std::string(".") : ": " + why + "."),
            device.name, why.empty() ? "Take tags-beside-frame = false away, " + other : "G" + other.substr(1)};
}

std::string tags_beside_warning(const Device& device, const std::string& why) {
    return "The driver (" + device.driver + ") of " + device.name +
           " keeps VLAN tags beside the frame: a tagged frame from its link comes in as if it had no tag" +
           (why.empty() ? ", as tags-beside-frame = false wants it." : ", and cannot be told: " + why + ".");
}

Result<std::vector<std::string>> prepare_device(Device& device, bool generic) {
    std::vector<std::string> notes;
    auto features = Features::read(device.name);
    auto switch_off = [&](const char* name) {
        if (!features || !features->on(name)) return true;
        if (!features->off(name)) return false;
        notes.push_back(std::string(name) + " of " + device.name + " is switched off: it changes frames before they are looked at.");
        return true;
    };
    for (const char* merging : {"rx-lro", "rx-gro-hw", generic ? "rx-gro" : "rx-gro-list"})
        if (!switch_off(merging))
            return std::unexpected(Error{ErrorCode::unsupported,
                                         std::string(merging) + " merges received frames and cannot be switched off.", device.name,
                                         "Choose another device as port."});
    for (const char* parsing : {"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"})
        if (!switch_off(parsing)) device.tags_beside = true;
    return notes;
}

Result<Descriptor> open_filter(const Device& device, std::span<const std::array<std::uint8_t, 6>> groups) {
    if (auto features = Features::read(device.name); features && features->on("rx-vlan-filter")) (void)features->off("rx-vlan-filter");
    Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)); // of no protocol: it receives nothing
    if (!socket) return std::unexpected(system_error(errno, "The filter of the device cannot be opened", device.name));
    for (const auto& group : groups) {
        packet_mreq membership{};
        membership.mr_ifindex = static_cast<int>(device.ifindex);
        membership.mr_type = PACKET_MR_MULTICAST;
        membership.mr_alen = static_cast<unsigned short>(group.size());
        std::ranges::copy(group, membership.mr_address);
        if (setsockopt(socket.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof(membership)) != 0)
            return std::unexpected(system_error(errno, "The device takes no multicast group", device.name));
    }
    return socket;
}

Result<void> set_receive_queues(const Device& device, unsigned queues) {
    if (device.receive_queues == queues) return {};
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    bool done = ethtool_call(device.name, &channels);
    if (done) {
        channels.cmd = ETHTOOL_SCHANNELS;
        if (channels.max_combined >= queues) {
            channels.combined_count = queues;
            channels.rx_count = 0;
        } else {
            channels.combined_count = 0;
            channels.rx_count = queues;
        }
        done = ethtool_call(device.name, &channels);
    } else if (queues == 1) {
        return {};
    }
    if (!done)
        return std::unexpected(system_error(errno,
                                            "The device has " + std::to_string(device.receive_queues) + " receive queues and " +
                                                std::to_string(queues) + " are wanted, but their number cannot be changed",
                                            device.name, "Set \"queues\" to the device's number or use \"ethtool -L\"."));
    return {};
}

} // namespace sallyport::xdp
