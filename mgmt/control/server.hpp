// SPDX-License-Identifier: Apache-2.0
// io.sallyport.Gateway on a socket: takes calls apart, asks the handlers, puts the answers together.
#pragma once

#include "mgmt/control/json.hpp"
#include "mgmt/control/view.hpp"
#include "mgmt/control/watchers.hpp"

#include <memory>
#include <string>

struct sd_event;
struct sd_varlink_server;

namespace sallyport::varlink {

/// Listens from its making to its end. Handlers and loop outlive it; the handlers are called from the loop's thread.
class Server {
public:
    /// The socket's folder exists. A socket that a dead process left is replaced; mode 0660.
    [[nodiscard]] static Result<std::unique_ptr<Server>> listen(const std::string& path, Handlers& handlers, sd_event* loop);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// To all who watch. Threads: that of the loop.
    void publish(const EventView& event) { served_.watchers.publish(event); }

    /// What the calls work on.
    struct Served {
        Handlers& handlers;
        Watchers watchers;
    };

private:
    explicit Server(Handlers& handlers) : served_{handlers, {}} {}
    Served served_;
    sd_varlink_server* server_ = nullptr;
    std::string path_;
};

[[nodiscard]] Json json_of(const StatusView& status);
[[nodiscard]] Json json_of(const SaView& sa);
[[nodiscard]] Json json_of(const PolicyView& policy);
[[nodiscard]] Json json_of(const CounterView& counter);
[[nodiscard]] Json json_of(const IkeSpiView& one);
[[nodiscard]] Json json_of(const EventView& event);
[[nodiscard]] Json json_of(const ExplanationView& explanation);

} // namespace sallyport::varlink
