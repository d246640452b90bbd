// SPDX-License-Identifier: Apache-2.0
#include "mgmt/cli/commands.hpp"

#include "gateway/control/gateway.hpp"
#include "gateway/sa/features.hpp"
#include "gateway/state/marks.hpp"
#include "mgmt/control/client.hpp"

#include <ctime>
#include <filesystem>
#include <format>

namespace sallyport::cli {
namespace {

using varlink::CallError;
using varlink::Client;
using varlink::Json;

Json json_of(const config::Problem& problem) {
    return Json::object({{"file", problem.file},
                         {"line", problem.line},
                         {"column", problem.column},
                         {"key", problem.key},
                         {"sentence", problem.sentence},
                         {"remedy", problem.remedy}});
}

Json json_of(const std::vector<config::Problem>& problems) {
    return Json::array_of(problems, [](const config::Problem& one) { return json_of(one); });
}

Json texts(const std::vector<std::string>& items) {
    return Json::array_of(items, [](const std::string& text) { return Json(text); });
}

ExitStatus complain(const Error& error, Printed& printed) {
    printed.err += std::format("sallyport: {}\n", to_string(error));
    return failed;
}

ExitStatus complain(const std::vector<config::Problem>& problems, Printed& printed) {
    for (const config::Problem& problem : problems) printed.err += to_string(problem) + "\n";
    printed.err += problems.size() == 1
                       ? "sallyport: the configuration has a mistake; correct it and try again\n"
                       : std::format("sallyport: the configuration has {} mistakes; correct them and try again\n", problems.size());
    return failed;
}

ExitStatus check(const Arguments& arguments, Printed& printed) {
    const config::Outcome outcome = config::load(arguments.file);
    if (arguments.json) {
        const std::vector<config::Problem> none;
        printed.out += Json::object({{"ok", outcome.has_value()},
                                     {"files", outcome ? texts(outcome->files) : Json::array({})},
                                     {"errors", json_of(outcome ? none : outcome.error())},
                                     {"warnings", json_of(outcome ? outcome->warnings : none)}})
                           .print();
        return outcome ? done : failed;
    }
    if (!outcome) return complain(outcome.error(), printed);
    for (const config::Problem& warning : outcome->warnings) printed.out += std::format("warning: {}\n", to_string(warning));
    const Desired& desired = outcome->desired;
    printed.out += std::format("{} is good: {} ports, {} VPNs, {} connections, {} policies\n", arguments.file, desired.ports.size(),
                               desired.vpns.size(), desired.sas.size() / 2, desired.policies.size());
    return done;
}

ExitStatus marks(const Arguments& arguments, Printed& printed) {
    const config::Outcome outcome = config::load(arguments.file);
    if (!outcome) return complain(outcome.error(), printed);
    const std::string& directory = outcome->desired.settings.state_directory;
    const auto created = state::create_marks(directory, outcome->desired.sas);
    if (!created) return complain(created.error(), printed);
    if (arguments.json) {
        printed.out += Json::object({{"created", texts(created->fresh)},
                                     {"kept", texts(created->kept)},
                                     {"setAside", created->set_aside.empty() ? Json{} : Json(created->set_aside)}})
                           .print();
        return done;
    }
    for (const std::string& one : created->fresh) printed.out += std::format("{}: begins at 0\n", one);
    for (const std::string& one : created->kept) printed.out += std::format("{}: has a mark already, which stays\n", one);
    if (!created->set_aside.empty()) printed.out += std::format("The damaged file of marks is now {}\n", created->set_aside);
    if (created->fresh.empty() && created->kept.empty()) printed.out += "The configuration has no connection with keys given by hand\n";
    return done;
}

/// With a gateway it opens the locks itself and ends; without one that is done here.
ExitStatus detach(const Arguments& arguments, Printed& printed) {
    Json opened;
    auto client = Client::connect(arguments.socket);
    if (!client && !client.error().not_running) return complain(client.error(), printed);
    if (client) {
        auto answer = client->call("Detach");
        if (!answer) return complain(answer.error(), printed);
        opened = std::move(*answer);
    } else {
        Settings settings;
        settings.run_directory = arguments.run_directory;
        const auto done = control::detach(settings);
        if (!done) return complain(done.error(), printed);
        opened = Json::object({{"ports", texts(done->ports)}, {"devices", texts(done->devices)}, {"guard", done->guard}});
    }
    const auto ports = opened["ports"].items(), devices = opened["devices"].items();
    const bool guard = opened["guard"].flag();
    if (arguments.json) {
        printed.out += Json::object({{"detached", true},
                                     {"gatewayRan", client.has_value()},
                                     {"ports", Json::array(ports)},
                                     {"devices", Json::array(devices)},
                                     {"guard", guard}})
                           .print();
        return done;
    }
    const bool nothing = ports.empty() && devices.empty() && !guard;
    printed.out += client    ? "The gateway has ended and its ports are open: packets pass without it\n"
                   : nothing ? "No gateway runs, and none of its locks was left\n"
                             : "No gateway runs; its locks are open, and packets pass without it:\n";
    for (const Json& port : ports) printed.out += std::format("  port {}: programs off, both ways\n", port.text());
    for (const Json& device : devices) printed.out += std::format("  device {}: gone, with its routes\n", device.text());
    if (guard) printed.out += "  guard: its rules are gone until the next boot or start\n";
    return done;
}

ExitStatus reload(const Arguments& arguments, Printed& printed) {
    auto client = Client::connect(arguments.socket);
    if (!client) return complain(client.error(), printed);
    std::error_code error;
    const std::string file = arguments.file.empty() ? "" : std::filesystem::absolute(arguments.file, error).string();
    const auto answer = client->call("Reload", Json::object({{"file", file.empty() ? Json{} : Json(file)}}));
    if (!answer) return complain(answer.error(), printed);
    printed.out += arguments.json ? answer->print()
                                  : std::format("The configuration is in force, generation {}\n", (*answer)["generation"].number());
    return done;
}

/// Only the elements of a list that bear the name; an error where none does.
std::expected<Json, Error> only(const Json& answer, const char* list, const std::string& name) {
    std::vector<Json> found;
    for (const Json& one : answer[list].items())
        if (name.empty() || one["name"].text() == name) found.push_back(one);
    if (!name.empty() && found.empty())
        return std::unexpected(Error{ErrorCode::missing, std::format("nothing is named {}", name), {}, "leave the name out to see all"});
    return Json::object({{list, Json::array(found)}});
}

ExitStatus show(const Arguments& arguments, Printed& printed) {
    auto client = Client::connect(arguments.socket);
    if (!client) return complain(client.error(), printed);
    const bool sa = arguments.command == Command::sa;
    const bool policy = arguments.command == Command::policy;
    const char* const list = sa ? "sas" : "policies";
    const auto answer = sa || policy ? client->call_all(sa ? "Sas" : "Policies", list)
                                     : client->call(arguments.command == Command::status ? "Status" : "Counters");
    if (!answer) return complain(answer.error(), printed);
    Json chosen = *answer;
    if (sa || policy) {
        const auto named = only(*answer, list, arguments.name);
        if (!named) return complain(named.error(), printed);
        chosen = *named;
    }
    if (arguments.json)
        printed.out += chosen.print();
    else if (sa)
        printed.out += sa_text(chosen);
    else if (policy)
        printed.out += policy_text(chosen);
    else if (arguments.command == Command::status)
        printed.out += status_text(chosen, static_cast<std::uint64_t>(time(nullptr)));
    else
        printed.out += counters_text(chosen, arguments.all);
    return done;
}

ExitStatus show_features(const Arguments& arguments, Printed& printed) {
    std::vector<Json> list;
    for (const Feature& feature : features)
        list.push_back(Json::object({{"name", feature.name},
                                     {"source", feature.source},
                                     {"state", feature.state == FeatureState::complete ? "complete" : "partial"},
                                     {"room", feature.room},
                                     {"note", feature.note}}));
    printed.out += arguments.json ? Json::object({{"features", Json::array(list)}}).print() : features_text();
    return done;
}

} // namespace

ExitStatus complain(const CallError& error, Printed& printed) {
    for (const std::string& problem : error.problems) printed.err += problem + "\n";
    complain(error.error, printed);
    return error.not_running ? no_gateway : failed;
}

ExitStatus run(const Arguments& arguments, Printed& printed) {
    switch (arguments.command) {
    case Command::check: return check(arguments, printed);
    case Command::marks: return marks(arguments, printed);
    case Command::detach: return detach(arguments, printed);
    case Command::reload: return reload(arguments, printed);
    case Command::explain: return explain(arguments, printed);
    case Command::drops: return drops(arguments, printed);
    case Command::watch: return watch(arguments, printed);
    case Command::features: return show_features(arguments, printed);
    default: return show(arguments, printed);
    }
}

} // namespace sallyport::cli
