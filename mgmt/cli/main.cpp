// SPDX-License-Identifier: Apache-2.0
// sallyport: the command line.
#include "mgmt/cli/arguments.hpp"
#include "mgmt/cli/commands.hpp"

#include <csignal>
#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
    using namespace sallyport::cli;
    (void)std::signal(SIGPIPE, SIG_IGN);
    int status = done;
    Printed printed;
    try {
        if (const auto arguments = parse(argc, argv, printed.out, printed.err, status)) status = run(*arguments, printed);
    } catch (const std::exception& error) {
        printed.err += std::string("sallyport: ") + error.what() + "\n";
        status = failed;
    }
    const bool written = std::fputs(printed.out.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
    std::fputs(printed.err.c_str(), stderr);
    return written ? status : failed;
}
