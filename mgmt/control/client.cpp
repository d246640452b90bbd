// SPDX-License-Identifier: Apache-2.0
#include "mgmt/control/client.hpp"

#include <cerrno>
#include <cstring>
#include <format>
#include <optional>

#include <systemd/sd-varlink.h>

namespace sallyport::varlink {
namespace {

constexpr std::uint64_t patience = 10'000'000; // microseconds
const std::string prefix = "io.sallyport.Gateway.";

CallError failed(ErrorCode code, std::string sentence, std::string remedy) {
    return {{code, std::move(sentence), {}, std::move(remedy)}, false, {}};
}

CallError connect_error(int error, const std::string& path) {
    if (error == ENOENT || error == ECONNREFUSED) {
        CallError result = failed(ErrorCode::missing, std::format("no gateway listens at {}", path),
                                  "start it: systemctl start sallyport-gateway; or name its socket: --socket PATH");
        result.not_running = true;
        return result;
    }
    if (error == EACCES || error == EPERM)
        return failed(ErrorCode::refused, std::format("you may not speak to the gateway at {}", path),
                      "call it as root, or join the socket's group");
    return failed(ErrorCode::system, std::format("the gateway at {} cannot be reached: {}", path, std::strerror(error)), {});
}

/// What an error answer says, in our words.
CallError answered(const std::string& id, const Json& parameters) {
    if (id == prefix + "Failed" || id == prefix + "ConfigurationRefused") {
        CallError result = failed(ErrorCode::refused, parameters["sentence"].text(), parameters["remedy"].text());
        result.error.place = parameters["place"].text();
        for (const Json& problem : parameters["problems"].items()) result.problems.push_back(problem.text());
        return result;
    }
    if (id.ends_with("InvalidParameter"))
        return failed(ErrorCode::invalid, std::format("the gateway does not take the parameter {}", parameters["parameter"].text()),
                      "compare the versions of sallyport and sallyport-gateway");
    if (id.ends_with("MethodNotFound") || id.ends_with("InterfaceNotFound"))
        return failed(ErrorCode::unsupported, "the gateway does not know this call",
                      "compare the versions of sallyport and sallyport-gateway");
    if (id.ends_with("TimedOut") || id.ends_with("Timeout"))
        return failed(ErrorCode::system, "the gateway did not answer within ten seconds",
                      "look at its journal: journalctl -u sallyport-gateway");
    if (id.ends_with("Disconnected"))
        return failed(ErrorCode::system, "the gateway closed the connection", "look at its journal: journalctl -u sallyport-gateway");
    return failed(ErrorCode::system, std::format("the gateway answered {}", id), {});
}

} // namespace

std::string socket_path(const std::string& run_directory) { return run_directory + "/gateway.varlink"; }

std::expected<Client, CallError> Client::connect(const std::string& path) {
    sd_varlink* link = nullptr;
    if (path.empty() || path[0] != '/' || path.size() > 107)
        return std::unexpected(failed(ErrorCode::invalid, "the socket is an absolute path of at most 107 octets", {}));
    const int result = sd_varlink_connect_address(&link, path.c_str());
    if (result < 0) return std::unexpected(connect_error(-result, path));
    (void)sd_varlink_set_relative_timeout(link, patience);
    (void)sd_varlink_set_allow_fd_passing_output(link, 1);
    return Client(link, path);
}

Client::~Client() {
    if (link_ != nullptr) sd_varlink_close_unref(link_);
}

std::expected<Json, CallError> Client::call(const std::string& method, const Json& parameters, int descriptor) {
    if (descriptor >= 0)
        if (const int pushed = sd_varlink_push_dup_fd(link_, descriptor); pushed < 0)
            return std::unexpected(failed(ErrorCode::system, std::format("a descriptor cannot be passed: {}", std::strerror(-pushed)), {}));
    sd_json_variant* reply = nullptr;
    const char* error = nullptr;
    const int result = sd_varlink_call(link_, (prefix + method).c_str(), parameters.get(), &reply, &error);
    if (result < 0) return std::unexpected(result == -ETIMEDOUT ? answered("TimedOut", {}) : connect_error(-result, path_));
    Json answer = Json::borrow(reply);
    if (error != nullptr) return std::unexpected(answered(error, answer));
    return answer;
}

namespace {

/// What comes back while a watch is on.
struct Watching {
    const std::function<bool(const Json&)>& take;
    bool wanted = true;
    std::optional<CallError> error;
};

int on_reply(sd_varlink*, sd_json_variant* parameters, const char* error, sd_varlink_reply_flags_t, void* user) {
    auto& watching = *static_cast<Watching*>(user);
    if (error != nullptr)
        watching.error = answered(error, Json::borrow(parameters));
    else if (watching.wanted)
        watching.wanted = watching.take(Json::borrow(parameters));
    return 0;
}

} // namespace

std::expected<void, CallError> Client::watch(const Json& parameters, const std::function<bool(const Json&)>& take) {
    Watching watching{take, true, std::nullopt};
    sd_varlink_set_userdata(link_, &watching);
    (void)sd_varlink_set_relative_timeout(link_, ~std::uint64_t{0}); // nothing may happen for long
    int result = sd_varlink_bind_reply(link_, on_reply);
    if (result >= 0) result = sd_varlink_observe(link_, (prefix + "Watch").c_str(), parameters.get());
    while (result >= 0 && watching.wanted && !watching.error) {
        result = sd_varlink_process(link_);
        if (result == 0) result = sd_varlink_wait(link_, ~std::uint64_t{0});
    }
    if (watching.error) return std::unexpected(std::move(*watching.error));
    if (result < 0)
        return std::unexpected(result == -ENOTCONN || result == -ECONNRESET ? answered("Disconnected", {}) : connect_error(-result, path_));
    return {};
}

std::expected<Json, CallError> Client::call_all(const std::string& method, const char* list) {
    std::vector<Json> all;
    for (;;) {
        auto part = call(method, Json::object({{"first", all.size()}}));
        if (!part) return part;
        const std::vector<Json> items = (*part)[list].items();
        all.insert(all.end(), items.begin(), items.end());
        if (items.empty() || all.size() >= (*part)["total"].number()) return Json::object({{list, Json::array(all)}});
    }
}

} // namespace sallyport::varlink
