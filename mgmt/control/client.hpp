// SPDX-License-Identifier: Apache-2.0
// A caller of io.sallyport.Gateway.
#pragma once

#include "gateway/sa/error.hpp"
#include "mgmt/control/json.hpp"

#include <functional>
#include <string>
#include <vector>

struct sd_varlink;

namespace sallyport::varlink {

/// Where the gateway of a run directory listens.
[[nodiscard]] std::string socket_path(const std::string& run_directory);

/// What went wrong with a call. `problems` are those of a configuration (ConfigurationRefused), else empty.
struct CallError {
    Error error;
    bool not_running = false; // nobody listens there
    std::vector<std::string> problems;
};

/// A connection to a gateway. Calls wait for their answer, at most ten seconds.
class Client {
public:
    [[nodiscard]] static std::expected<Client, CallError> connect(const std::string& path);
    Client(Client&& other) noexcept : link_(std::exchange(other.link_, nullptr)), path_(std::move(other.path_)) {}
    Client& operator=(Client&&) = delete;
    ~Client();

    /// `method` without the interface: "Status". A descriptor is passed beside the call; it stays the caller's.
    [[nodiscard]] std::expected<Json, CallError> call(const std::string& method, const Json& parameters = {}, int descriptor = -1);
    /// Calls again and again with `first`, and joins what stands in `list`, for lists that come in parts.
    [[nodiscard]] std::expected<Json, CallError> call_all(const std::string& method, const char* list);

    /// Calls Watch and gives each answer to `take`, the first of kind "watching" too, until that says false (then there is no error) or the
    /// gateway goes. The connection is good for nothing else afterwards.
    [[nodiscard]] std::expected<void, CallError> watch(const Json& parameters, const std::function<bool(const Json&)>& take);

private:
    explicit Client(sd_varlink* link, std::string path) : link_(link), path_(std::move(path)) {}
    sd_varlink* link_;
    std::string path_;
};

} // namespace sallyport::varlink
