// SPDX-License-Identifier: Apache-2.0
// Writes what is made from tables: sallyport.toml(5), sallyport-drops(7), the journal's catalog.
// generate-pages page TEMPLATE | drops TEMPLATE | catalog, to stdout.
#include "mgmt/journal/events.hpp"
#include "mgmt/man/page.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    std::string text;
    if ((what == "page" || what == "drops") && argc == 3) {
        std::ifstream file(argv[2]);
        const std::string page_template{std::istreambuf_iterator<char>(file), {}};
        text = what == "page" ? sallyport::man::toml_page(page_template) : sallyport::man::drops_page(page_template);
    } else if (what == "catalog" && argc == 2) {
        text = sallyport::journal::catalog();
    }
    if (text.empty() || std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
        std::fputs("usage: generate-pages page TEMPLATE | drops TEMPLATE | catalog\n", stderr);
        return 1;
    }
    return 0;
}
