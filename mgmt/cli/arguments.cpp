// SPDX-License-Identifier: Apache-2.0
// The one file that includes CLI11.
#include "mgmt/cli/arguments.hpp"

#include "gateway/sa/event.hpp"
#include "mgmt/cli/commands.hpp"
#include "mgmt/config/item.hpp"

#include <algorithm>
#include <format>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace sallyport::cli {
namespace {

CLI::App* add(CLI::App& app, const char* name, const char* description, Arguments& to) {
    CLI::App* command = app.add_subcommand(name, description);
    command->add_flag("--json", to.json, "print JSON instead of a table");
    return command;
}

void add_socket(CLI::App* command, Arguments& to) {
    command->add_option("--socket", to.socket, "the gateway's control socket")->type_name("PATH")->capture_default_str();
}

void add_packet(CLI::App* command, Arguments& to) {
    Packet& packet = to.packet;
    command->add_option("PORT", to.name, "where the packet comes in")->required();
    command->add_option("PACKET", packet.octets, "hexadecimal digits of an Ethernet frame or an IP packet; -: from stdin");
    CLI::Option* from = command->add_option("--from", packet.from, "source address of a packet to be made")->type_name("ADDRESS");
    CLI::Option* far = command->add_option("--to", packet.to, "destination address")->type_name("ADDRESS");
    from->needs(far);
    far->needs(from);
    command->add_option("--protocol", packet.protocol, "name or number")->type_name("PROTOCOL")->capture_default_str();
    command->add_option("--source-port", packet.source_port, "")->type_name("NUMBER");
    command->add_option("--destination-port", packet.destination_port, "")->type_name("NUMBER");
    command->add_option("--icmp-type", packet.icmp_type, "")->type_name("NUMBER")->capture_default_str();
    command->add_option("--icmp-code", packet.icmp_code, "")->type_name("NUMBER")->capture_default_str();
    command->add_option("--hop-limit", packet.hop_limit, "")->type_name("NUMBER")->capture_default_str();
    command->add_option("--length", packet.length, "octets of the IP packet")->type_name("OCTETS");
    command->add_option("--vlan", packet.vlan, "tag of the frame")->type_name("ID")->check(CLI::Range(1, 4094));
}

using Commands = std::map<CLI::App*, Command>;

bool is_command(std::string_view word, const Commands& commands) {
    return std::ranges::any_of(commands, [&](const auto& entry) { return entry.first->get_name() == word; });
}

std::string no_command(std::string_view word, const Commands& commands) {
    std::vector<std::string_view> names;
    for (const auto& [command, which] : commands) names.push_back(command->get_name());
    const std::string_view near = config::nearest(word, names);
    return std::format("sallyport: there is no command \"{}\"{}\nRun with --help for more information.\n", config::shown(word),
                       near.empty() ? std::string{} : std::format("; did you mean \"{}\"?", near));
}

} // namespace

std::optional<Arguments> parse(int argc, const char* const* argv, std::string& out, std::string& err, int& status) {
    Arguments result;
    CLI::App app("The command line of the Sallyport VPN gateway.", "sallyport");
    app.require_subcommand(1);
    app.set_version_flag("--version", "sallyport " SALLYPORT_VERSION);
    app.footer("Exit status: 0 it is done, 1 it did not work or the file has mistakes, 2 the words make no sense, 3 no gateway runs.");

    Commands commands;
    CLI::App* check = add(app, "check", "say what is wrong with a configuration file, without touching anything", result);
    check->add_option("FILE", result.file, "sallyport.toml; conf.d/*.toml beside it are read too")->required();
    commands[check] = Command::check;
    CLI::App* show = add(app, "status", "show the gateway, its ports, workers and connections", result);
    commands[show] = Command::status;
    CLI::App* sa = add(app, "sa", "show the security associations, never their keys", result);
    sa->add_option("NAME", result.name, "only those of this connection");
    commands[sa] = Command::sa;
    CLI::App* policy = add(app, "policy", "show the security policies in the order in which they decide", result);
    policy->add_option("NAME", result.name, "only this one");
    commands[policy] = Command::policy;
    CLI::App* counters = add(app, "counters", "show what was counted, and why packets were dropped", result);
    counters->add_flag("--all", result.all, "also what is zero");
    commands[counters] = Command::counters;
    CLI::App* explain = add(app, "explain", "say what would become of a packet, and which rule decides; nothing is sent", result);
    add_packet(explain, result);
    commands[explain] = Command::explain;
    CLI::App* watch = add(app, "watch", "show events as they happen, a line each", result);
    std::vector<std::string> kinds;
    for (const EventKindInfo& kind : event_kinds) kinds.emplace_back(kind.name);
    watch->add_option("--kind", result.kinds, "only these kinds of events")->type_name("KIND")->delimiter(',')->check(CLI::IsMember(kinds));
    watch->add_option("--connection", result.connection, "only events of this connection")->type_name("NAME");
    watch->add_option("--vpn", result.vpn, "only events of this VPN")->type_name("NAME");
    watch->add_option("--count", result.count, "end after so many events")->type_name("NUMBER")->check(CLI::PositiveNumber);
    commands[watch] = Command::watch;
    CLI::App* drops = add(app, "drops", "show every reason for which packets are dropped, and what to do", result);
    drops->add_option("REASON", result.name, "only this one");
    commands[drops] = Command::drops;
    CLI::App* reload = add(app, "reload", "let the gateway read its configuration again; a bad one changes nothing", result);
    reload->add_option("FILE", result.file, "another file than before");
    commands[reload] = Command::reload;
    CLI::App* marks = add(app, "marks", "begin the durable marks of keys that were never used before", result);
    marks->add_option("--create", result.file, "for the connections of this configuration file")->type_name("FILE")->required();
    commands[marks] = Command::marks;
    CLI::App* detach = add(app, "detach", "open the locks: packets pass the machine without the gateway, which ends", result);
    detach->add_option("--run-directory", result.run_directory, "of a gateway that does not run any more")
        ->type_name("DIR")
        ->capture_default_str();
    commands[detach] = Command::detach;
    commands[add(app, "features", "show what this version can do", result)] = Command::features;
    for (CLI::App* command : {show, sa, policy, counters, explain, watch, reload, detach}) add_socket(command, result);

    // CLI11 says of a word that is none only that a command is needed.
    if (const std::string_view first = argc > 1 ? argv[1] : ""; !first.empty() && first.front() != '-' && !is_command(first, commands)) {
        err += no_command(first, commands);
        status = bad_words;
        return std::nullopt;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::ostringstream to_out, to_err;
        const int code = app.exit(error, to_out, to_err);
        out += to_out.str();
        err += to_err.str();
        status = code == 0 ? done : bad_words;
        return std::nullopt;
    }
    for (const auto& [command, which] : commands)
        if (command->parsed()) result.command = which;
    if (detach->parsed() && detach->count("--run-directory") != 0 && detach->count("--socket") == 0)
        result.socket = result.run_directory + "/gateway.varlink";
    return result;
}

} // namespace sallyport::cli
