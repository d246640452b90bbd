// SPDX-License-Identifier: Apache-2.0
// The traffic of the gateway itself: its devices, routes and reader, kept in step with what is configured and what addresses there are.
#pragma once

#include "gateway/exception/to_kernel.hpp"
#include "gateway/own/plan.hpp"
#include "gateway/own/reader.hpp"
#include "gateway/sa/desired.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sallyport::control {

/// What happened while arrange() brought the kernel in step, for the journal.
struct OwnNews {
    std::vector<Error> warnings; // not said before
    std::vector<std::string> notes;
};

/// Threads: deliver() the exception stage's, the reader its own, the rest the control thread.
class OwnTraffic final : public exception::Machine {
public:
    OwnTraffic(Depot& depot, std::vector<FrameRing*> workers) : reader_(depot, std::move(workers)) {}

    /// `mtus`: by VPN, octets of the largest packet that its tunnels take whole.
    [[nodiscard]] OwnNews arrange(const Desired& desired, const std::vector<route::LocalAddress>& addresses,
                                  const std::map<VpnNumber, unsigned>& mtus);

    [[nodiscard]] DropReason deliver(VpnNumber vpn, const Address& destination, std::span<const std::uint8_t> packet) override;
    [[nodiscard]] own::Reader& reader() { return reader_; }

private:
    struct Entrance {
        std::shared_ptr<own::Tun> tun;
        std::set<Address> here;
    };
    std::shared_ptr<own::Tun> device(const VpnSpec& vpn, unsigned mtu, OwnNews& news);
    void warn(Error error, OwnNews& news);
    void set_routes(const own::Plan& plan, const std::vector<route::LocalAddress>& addresses, OwnNews& news);

    own::Reader reader_;
    std::map<VpnNumber, std::shared_ptr<own::Tun>> devices_;
    std::optional<own::KernelRoutes> routes_;
    std::vector<route::KernelAddress> addresses_; // with which the routes were set
    std::set<std::string> told_;
    std::mutex mutex_; // of what the exception stage reads
    std::map<VpnNumber, Entrance> entrances_;
};

} // namespace sallyport::control
