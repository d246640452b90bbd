// SPDX-License-Identifier: Apache-2.0
#include "mgmt/control/server.hpp"

#include "gateway/sa/event.hpp"
#include "mgmt/control/calls.hpp"
#include "mgmt/control/definitions.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <format>
#include <unistd.h>

#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>

namespace sallyport::varlink {
namespace {

constexpr unsigned most_connections = 64;
constexpr unsigned most_connections_of_a_user = 32;

constexpr std::size_t most_octets = 16384; // of a packet to be explained

int no_parameters(sd_varlink* link, sd_json_variant* parameters) {
    static constexpr sd_json_dispatch_field none[] = {{}};
    return sd_varlink_dispatch(link, parameters, none, nullptr);
}

int on_status(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    if (const int result = no_parameters(link, parameters); result != 0) return result;
    return guarded(link, [&] { return sd_varlink_reply(link, json_of(handlers_of(user).status()).get()); });
}

int on_sas(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    return answer_part(link, parameters, "sas",
                       [user](std::size_t first, std::size_t count) { return handlers_of(user).sas(first, count); });
}

int on_policies(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    return answer_part(link, parameters, "policies", [user](std::size_t first, std::size_t count) {
        std::vector<PolicyView> all = handlers_of(user).policies();
        const std::size_t total = all.size();
        all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(first, total)));
        all.resize(std::min(count, all.size()));
        return Part<PolicyView>{std::move(all), total};
    });
}

int on_counters(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    if (const int result = no_parameters(link, parameters); result != 0) return result;
    return guarded(link, [&] {
        const auto make = [](const CounterView& counter) { return json_of(counter); };
        return sd_varlink_reply(link, Json::object({{"counters", Json::array_of(handlers_of(user).counters(), make)}}).get());
    });
}

constexpr auto nullable = SD_JSON_NULLABLE;

int on_watch(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t flags, void* user) {
    struct {
        sd_json_variant* kinds = nullptr;
        const char *connection = nullptr, *vpn = nullptr;
    } given;
    static constexpr sd_json_dispatch_field fields[] = {
        {"kinds", SD_JSON_VARIANT_ARRAY, sd_json_dispatch_variant_noref, offsetof(decltype(given), kinds), nullable},
        {"connection", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(decltype(given), connection), nullable},
        {"vpn", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(decltype(given), vpn), nullable},
        {}};
    if (const int result = sd_varlink_dispatch(link, parameters, fields, &given); result != 0) return result;
    if ((flags & SD_VARLINK_METHOD_MORE) == 0) return sd_varlink_error(link, SD_VARLINK_ERROR_EXPECTED_MORE, nullptr);
    return guarded(link, [&] {
        WatchFilter filter;
        for (const Json& kind : Json::borrow(given.kinds).items()) {
            filter.kinds.push_back(kind.text());
            if (std::ranges::find(event_kinds, filter.kinds.back(), &EventKindInfo::name) == event_kinds.end())
                return sd_varlink_error_invalid_parameter_name(link, "kinds");
        }
        if (given.connection != nullptr) filter.connection = given.connection;
        if (given.vpn != nullptr) filter.vpn = given.vpn;
        if (static_cast<Server::Served*>(user)->watchers.add(link, std::move(filter))) return 0;
        return answer_error(link, "io.sallyport.Gateway.Failed",
                            {ErrorCode::exhausted, std::format("{} already watch", Watchers::most), {}, "end one of them"});
    });
}

Json texts(const std::vector<std::string>& items) {
    return Json::array_of(items, [](const std::string& text) { return Json(text); });
}

struct AskedFor {
    const char *port = nullptr, *octets = nullptr, *from = nullptr, *to = nullptr;
    std::uint8_t protocol = 17, icmp_type = 8, icmp_code = 0, hop_limit = 64;
    std::uint16_t source_port = 0, destination_port = 0, vlan = 0, length = 0;
};

std::optional<std::vector<std::uint8_t>> octets_of(std::string_view digits) {
    std::vector<std::uint8_t> octets;
    if (digits.size() % 2 != 0 || digits.size() > 2 * most_octets) return std::nullopt;
    for (std::size_t i = 0; i < digits.size(); i += 2) {
        std::uint8_t octet = 0;
        const auto [end, error] = std::from_chars(digits.data() + i, digits.data() + i + 2, octet, 16);
        if (error != std::errc{} || end != digits.data() + i + 2) return std::nullopt;
        octets.push_back(octet);
    }
    return octets;
}

int on_explain(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    AskedFor given;
    constexpr auto unsigned_number = SD_JSON_VARIANT_UNSIGNED;
    static constexpr sd_json_dispatch_field fields[] = {
        {"port", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(AskedFor, port), SD_JSON_MANDATORY},
        {"octets", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(AskedFor, octets), nullable},
        {"from", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(AskedFor, from), nullable},
        {"to", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(AskedFor, to), nullable},
        {"protocol", unsigned_number, sd_json_dispatch_uint8, offsetof(AskedFor, protocol), no_flags},
        {"icmpType", unsigned_number, sd_json_dispatch_uint8, offsetof(AskedFor, icmp_type), no_flags},
        {"icmpCode", unsigned_number, sd_json_dispatch_uint8, offsetof(AskedFor, icmp_code), no_flags},
        {"hopLimit", unsigned_number, sd_json_dispatch_uint8, offsetof(AskedFor, hop_limit), no_flags},
        {"sourcePort", unsigned_number, sd_json_dispatch_uint16, offsetof(AskedFor, source_port), no_flags},
        {"destinationPort", unsigned_number, sd_json_dispatch_uint16, offsetof(AskedFor, destination_port), no_flags},
        {"vlan", unsigned_number, sd_json_dispatch_uint16, offsetof(AskedFor, vlan), no_flags},
        {"length", unsigned_number, sd_json_dispatch_uint16, offsetof(AskedFor, length), no_flags},
        {}};
    if (const int result = sd_varlink_dispatch(link, parameters, fields, &given); result != 0) return result;
    if (!may_change(link)) return answer_not_allowed(link);
    return guarded(link, [&] {
        const auto text = [](const char* one) { return one == nullptr ? std::string() : std::string(one); };
        const auto octets = octets_of(text(given.octets));
        if (!octets) return sd_varlink_error_invalid_parameter_name(link, "octets");
        const auto answer = handlers_of(user).explain({given.port, *octets, text(given.from), text(given.to), given.protocol,
                                                       given.source_port, given.destination_port, given.icmp_type, given.icmp_code,
                                                       given.hop_limit, given.vlan, given.length});
        if (!answer) return answer_error(link, "io.sallyport.Gateway.Failed", answer.error());
        const auto make = [](const ExplanationView& one) { return json_of(one); };
        return sd_varlink_reply(link, Json::object({{"explanations", Json::array_of(*answer, make)}}).get());
    });
}

int on_detach(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    if (const int result = no_parameters(link, parameters); result != 0) return result;
    if (!may_change(link)) return answer_not_allowed(link);
    return guarded(link, [&] {
        const Result<DetachView> done = handlers_of(user).detach();
        if (!done) return answer_error(link, "io.sallyport.Gateway.Failed", done.error());
        const Json answer = Json::object({{"ports", texts(done->ports)}, {"devices", texts(done->devices)}, {"guard", done->guard}});
        return sd_varlink_reply(link, answer.get());
    });
}

int on_reload(sd_varlink* link, sd_json_variant* parameters, sd_varlink_method_flags_t, void* user) {
    const char* file = nullptr;
    static constexpr sd_json_dispatch_field fields[] = {
        {"file", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, 0, SD_JSON_NULLABLE}, {}};
    if (const int result = sd_varlink_dispatch(link, parameters, fields, &file); result != 0) return result;
    if (!may_change(link)) return answer_not_allowed(link);
    if (file != nullptr && file[0] != '/') return sd_varlink_error_invalid_parameter_name(link, "file");
    return guarded(link, [&] {
        const auto done = handlers_of(user).reload(file == nullptr ? std::nullopt : std::optional<std::string>(file));
        if (done) return sd_varlink_reply(link, Json::object({{"generation", *done}}).get());
        const ReloadError& why = done.error();
        if (why.problems.empty()) return answer_error(link, "io.sallyport.Gateway.Failed", why.error);
        return answer_error(link, "io.sallyport.Gateway.ConfigurationRefused", why.error, &why.problems);
    });
}

/// sd-varlink takes descriptors of those connections only that were told to.
int on_connect(sd_varlink_server*, sd_varlink* link, void*) {
    if (may_change(link)) (void)sd_varlink_set_allow_fd_passing_input(link, 1);
    return 0;
}

void on_disconnect(sd_varlink_server*, sd_varlink* link, void* user) {
    static_cast<Server::Served*>(user)->watchers.remove(link);
    handlers_of(user).closed(link);
}

Json json_of(const WorkerView& worker) {
    return Json::object({{"index", worker.index},
                         {"core", worker.core ? Json(*worker.core) : Json{}},
                         {"sealed", worker.sealed},
                         {"opened", worker.opened},
                         {"bypassed", worker.bypassed},
                         {"handedOver", worker.handed_over},
                         {"rounds", worker.rounds},
                         {"sleeps", worker.sleeps}});
}

Json json_of(const PortView& port) {
    const auto vlan = [](const VlanView& one) { return Json::object({{"id", one.id}, {"vpn", one.vpn}}); };
    return Json::object({{"interface", port.interface},
                         {"role", port.role},
                         {"present", port.present},
                         {"up", port.up},
                         {"mode", port.mode},
                         {"driver", port.driver},
                         {"mac", port.mac},
                         {"mtu", port.mtu},
                         {"vlans", Json::array_of(port.vlans, vlan)}});
}

Json json_of(const ConnectionView& one) {
    return Json::object({{"name", one.name}, {"peer", one.peer}, {"vpn", one.vpn}, {"up", one.up}, {"reason", one.reason}});
}

Json json_of(const ChunksView& chunks) {
    return Json::object({{"all", chunks.all},
                         {"free", chunks.free},
                         {"receiving", chunks.receiving},
                         {"transmitting", chunks.transmitting},
                         {"waiting", chunks.waiting},
                         {"kept", chunks.kept},
                         {"inHand", chunks.in_hand}});
}

} // namespace

Json json_of(const StatusView& status) {
    return Json::object({{"version", status.version},
                         {"pid", status.pid},
                         {"started", status.started},
                         {"configuration", status.configuration},
                         {"generation", status.generation},
                         {"keyGeneration", status.key_generation},
                         {"engine", status.engine},
                         {"zeroCopy", status.zero_copy},
                         {"hugePages", status.huge_pages},
                         {"chunks", json_of(status.chunks)},
                         {"sas", status.sas},
                         {"sasRefused", status.sas_refused},
                         {"policies", status.policies},
                         {"routes", status.routes},
                         {"neighbours", status.neighbours},
                         {"resyncs", status.resyncs},
                         {"trouble", status.trouble},
                         {"workers", Json::array_of(status.workers, [](const WorkerView& one) { return json_of(one); })},
                         {"ports", Json::array_of(status.ports, [](const PortView& one) { return json_of(one); })},
                         {"connections", Json::array_of(status.connections, [](const ConnectionView& one) { return json_of(one); })}});
}

Json json_of(const SaView& sa) {
    return Json::object({{"name", sa.name},
                         {"direction", sa.direction},
                         {"child", sa.child},
                         {"generation", sa.generation},
                         {"state", sa.state},
                         {"spi", sa.spi},
                         {"local", sa.local},
                         {"remote", sa.remote},
                         {"udpPort", sa.udp_port},
                         {"outerVpn", sa.outer_vpn},
                         {"vpn", sa.vpn},
                         {"protocol", sa.protocol},
                         {"mode", sa.mode},
                         {"algorithm", sa.algorithm},
                         {"esn", sa.esn},
                         {"sequence", sa.sequence},
                         {"mark", sa.mark ? Json(*sa.mark) : Json{}},
                         {"window", sa.window},
                         {"worker", sa.worker},
                         {"pathMtu", sa.path_mtu},
                         {"largestInner", sa.largest_inner},
                         {"packets", sa.packets},
                         {"octets", sa.octets},
                         {"errors", sa.errors},
                         {"selectors", texts(sa.selectors)},
                         {"refused", sa.refused},
                         {"remedy", sa.remedy}});
}

Json json_of(const PolicyView& policy) {
    return Json::object({{"name", policy.name},
                         {"vpn", policy.vpn},
                         {"priority", policy.priority},
                         {"action", policy.action},
                         {"direction", policy.direction},
                         {"sa", policy.sa.empty() ? Json{} : Json(policy.sa)},
                         {"usable", policy.usable},
                         {"selectors", texts(policy.selectors)}});
}

Json json_of(const CounterView& counter) {
    return Json::object({{"group", counter.group},
                         {"port", counter.port.empty() ? Json{} : Json(counter.port)},
                         {"name", counter.name},
                         {"value", counter.value},
                         {"meaning", counter.meaning},
                         {"remedy", counter.remedy}});
}

Json json_of(const EventView& event) {
    const auto text = [](const std::string& one) { return one.empty() ? Json{} : Json(one); };
    const auto number = [](const auto& one) { return one ? Json(*one) : Json{}; };
    return Json::object({{"time", event.time},
                         {"kind", event.kind},
                         {"meaning", event.meaning},
                         {"connection", text(event.connection)},
                         {"direction", text(event.direction)},
                         {"peer", text(event.peer)},
                         {"vpn", text(event.vpn)},
                         {"port", text(event.port)},
                         {"spi", number(event.spi)},
                         {"sequence", number(event.sequence)},
                         {"reason", text(event.reason)},
                         {"remedy", text(event.remedy)},
                         {"policy", text(event.policy)},
                         {"source", text(event.source)},
                         {"destination", text(event.destination)},
                         {"protocol", number(event.protocol)},
                         {"sourcePort", number(event.source_port)},
                         {"type", number(event.type)},
                         {"code", number(event.code)},
                         {"destinationPort", number(event.destination_port)},
                         {"udpPort", number(event.udp_port)},
                         {"newPeer", text(event.new_peer)},
                         {"newUdpPort", number(event.new_udp_port)},
                         {"oldPathMtu", number(event.old_path_mtu)},
                         {"pathMtu", number(event.path_mtu)},
                         {"largestInner", number(event.largest_inner)},
                         {"generation", number(event.generation)},
                         {"count", event.count},
                         {"leftOut", event.left_out}});
}

Json json_of(const ExplanationView& explanation) {
    const auto text = [](const std::string& one) { return one.empty() ? Json{} : Json(one); };
    const auto decision = [&](const DecisionView& one) {
        return Json::object({{"stage", one.stage}, {"text", one.text}, {"rule", text(one.rule)}, {"place", text(one.place)}});
    };
    return Json::object({{"heading", explanation.heading},
                         {"decisions", Json::array_of(explanation.decisions, decision)},
                         {"ending", explanation.ending},
                         {"counter", text(explanation.counter)},
                         {"remedy", text(explanation.remedy)},
                         {"port", text(explanation.port)}});
}

Result<std::unique_ptr<Server>> Server::listen(const std::string& path, Handlers& handlers, sd_event* loop) {
    std::unique_ptr<Server> server(new Server(handlers));
    const auto failed = [&](int result, std::string_view what) {
        return std::unexpected(
            system_error(-result, std::format("the control socket {} {}", path, what), path, "look at its folder and who else uses it"));
    };
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): flags
    const auto flags = static_cast<sd_varlink_server_flags_t>(SD_VARLINK_SERVER_ACCOUNT_UID | SD_VARLINK_SERVER_INHERIT_USERDATA);
    int result = sd_varlink_server_new(&server->server_, flags);
    if (result < 0) return failed(result, "cannot be made");
    sd_varlink_server* raw = server->server_;
    sd_varlink_server_set_userdata(raw, &server->served_);
    (void)sd_varlink_server_bind_connect(raw, on_connect);
    (void)sd_varlink_server_set_info(raw, "Sallyport", "sallyport-gateway", SALLYPORT_VERSION, "https://sallyport.invalid/");
    (void)sd_varlink_server_set_connections_max(raw, most_connections);
    (void)sd_varlink_server_set_connections_per_uid_max(raw, most_connections_of_a_user);
    result = sd_varlink_server_add_interface(raw, &vl_interface_sallyport_gateway);
    if (result >= 0)
        result = sd_varlink_server_bind_method_many(
            raw, "io.sallyport.Gateway.Status", on_status, "io.sallyport.Gateway.Sas", on_sas, "io.sallyport.Gateway.Policies", on_policies,
            "io.sallyport.Gateway.Counters", on_counters, "io.sallyport.Gateway.Detach", on_detach, "io.sallyport.Gateway.Reload",
            on_reload, "io.sallyport.Gateway.Watch", on_watch, "io.sallyport.Gateway.Explain", on_explain);
    if (result >= 0) result = bind_keying(raw);
    if (result >= 0) result = sd_varlink_server_bind_disconnect(raw, on_disconnect);
    if (result < 0) return failed(result, "cannot offer its interface");
    result = sd_varlink_server_listen_address(raw, path.c_str(), 0660);
    if (result < 0) return failed(result, "cannot be opened");
    server->path_ = path;
    result = sd_varlink_server_attach_event(raw, loop, SD_EVENT_PRIORITY_NORMAL);
    if (result < 0) return failed(result, "cannot be served");
    return server;
}

Server::~Server() {
    sd_varlink_server_unref(server_);
    if (!path_.empty()) unlink(path_.c_str());
}

} // namespace sallyport::varlink
