// SPDX-License-Identifier: Apache-2.0
// sallyport-gateway: the data plane as a process.
#include "gateway/crypto/locked_heap.hpp"
#include "gateway/xdp/names.hpp"
#include "mgmt/daemon/capabilities.hpp"
#include "mgmt/daemon/daemon.hpp"
#include "mgmt/daemon/guard.hpp"
#include "mgmt/journal/journal.hpp"

#include <cstdio>
#include <cstring>
#include <format>
#include <getopt.h>
#include <optional>

namespace {

using namespace sallyport;
using namespace sallyport::daemon;

constexpr const char* usage =
    "usage: sallyport-gateway [--config FILE] [--state DIRECTORY] [--fresh] [--generic] [--ike-user U] [--guard] [--version] [--help]\n"
    "\n"
    "  --config FILE  the configuration (default: /etc/sallyport/sallyport.toml)\n"
    "  --state DIR    where the configuration that was committed last lies (default: the state-directory of\n"
    "                 FILE, $STATE_DIRECTORY or /var/lib/sallyport)\n"
    "  --fresh        take FILE even after a crash, when the configuration that was committed last would be taken\n"
    "  --generic      XDP in generic mode, for devices whose driver has none of its own\n"
    "  --ike-user U   whose process takes IKE messages (default: sallyport-ike; where there is none, nobody does)\n"
    "  --guard        closes the machine before its network comes up, and ends\n"
    "\n"
    "SIGTERM stops it in order, SIGHUP reloads the configuration. See sallyport-gateway(8).\n";

/// Nothing: the process ends with `status`.
std::optional<Arguments> arguments_of(int argc, char** argv, int& status) {
    static constexpr option options[] = {
        {"config", required_argument, nullptr, 'c'},   {"state", required_argument, nullptr, 's'}, {"fresh", no_argument, nullptr, 'f'},
        {"ike-user", required_argument, nullptr, 'i'}, {"generic", no_argument, nullptr, 'g'},     {"guard", no_argument, nullptr, 'G'},
        {"version", no_argument, nullptr, 'v'},        {"help", no_argument, nullptr, 'h'},        {nullptr, 0, nullptr, 0}};
    Arguments arguments;
    for (int letter = 0; (letter = getopt_long(argc, argv, "c:h", options, nullptr)) != -1;) {
        switch (letter) {
        case 'c': arguments.configuration = optarg; break;
        case 's': arguments.state = optarg; break;
        case 'f': arguments.fresh = true; break;
        case 'g': arguments.generic = true; break;
        case 'i': arguments.ike_user = optarg; break;
        case 'G': arguments.guard = true; break;
        case 'v': std::printf("sallyport-gateway %s\n", SALLYPORT_VERSION); return std::nullopt;
        case 'h': std::fputs(usage, stdout); return std::nullopt;
        default:
            std::fputs(usage, stderr);
            status = bad_configuration;
            return std::nullopt;
        }
    }
    if (optind != argc) {
        std::fprintf(stderr, "sallyport-gateway: it takes no argument \"%s\"\n%s", argv[optind], usage);
        status = bad_configuration;
        return std::nullopt;
    }
    return arguments;
}

std::string joined(const std::vector<std::string>& words) {
    std::string result;
    for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
    return result;
}

} // namespace

int main(int argc, char** argv) {
    int status = well;
    const std::optional<Arguments> arguments = arguments_of(argc, argv, status);
    if (!arguments) return status;
    block_signals();
    hide_memory();
    const bool locked_heap = crypto::lock_openssl_memory();
    xdp::learn_program_names(); // a foreign program on a port is refused by name, which only CAP_SYS_ADMIN sees
    if (const auto dropped = drop_capabilities(); !dropped) {
        journal::say(journal::Event::privilege_missing, dropped.error().sentence);
        return failed;
    }
    if (arguments->guard) return raise_guard(*arguments);
    Daemon daemon(*arguments);
    // The configuration is said first: it is what an operator who tries it by hand wants to hear.
    if (const auto missing = missing_capabilities(); !missing.empty()) {
        if (const config::Outcome outcome = config::load(arguments->configuration); !outcome) {
            for (const config::Problem& problem : outcome.error())
                journal::say(journal::Event::configuration_refused, config::to_string(problem));
            return bad_configuration;
        }
        journal::say(journal::Event::privilege_missing, std::format("The process lacks {}", joined(missing)),
                     {.remedy = "start it by its systemd unit, or as root"});
        return failed;
    }
    if (!locked_heap) journal::say(journal::Event::gateway_warning, "OpenSSL keeps its memory in the ordinary heap");
    if (const auto locked = lock_memory(); !locked) journal::say(journal::Event::gateway_warning, locked.error().sentence);
    return daemon.run();
}
