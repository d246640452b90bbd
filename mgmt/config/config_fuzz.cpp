// SPDX-License-Identifier: Apache-2.0
// Any octets as sallyport.toml: never a crash, and never a key in a message. A line "#####" divides files.
#include "mgmt/config/config.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace sallyport;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // Text and octets are the same here.
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::vector<config::Text> texts;
    while (texts.size() < 4) {
        const std::size_t cut = rest.find("#####\n");
        texts.push_back({"f" + std::to_string(texts.size()) + ".toml", rest.substr(0, cut)});
        if (cut == std::string_view::npos) break;
        rest.remove_prefix(cut + 6);
    }
    const config::Outcome outcome = config::parse(texts, [](const std::string& path) -> Result<KeyMaterial> {
        KeyMaterial key;
        key.size = static_cast<std::uint8_t>(path.size() % 65);
        for (std::size_t i = 0; i < key.size; ++i) key.octets[i] = static_cast<std::uint8_t>(path[i]);
        return key;
    });
    if (!outcome && outcome.error().empty()) std::abort();
    if (!outcome) {
        for (const config::Problem& problem : outcome.error())
            if (config::to_string(problem).find('\n') != std::string::npos) std::abort();
        return 0;
    }
    // What is accepted keeps the promises of gateway/sa/desired.hpp.
    for (const SaSpec& sa : outcome->desired.sas)
        if (sa.spi < 256 || sa.selectors.empty() || sa.key.size != info(sa.algorithm).material() ||
            sa.outer_local.family != sa.outer_remote.family)
            std::abort();
    for (const PortSpec& port : outcome->desired.ports)
        if (port.vlans.empty() || port.interface.empty()) std::abort();
    for (const PolicySpec& policy : outcome->desired.policies)
        if (policy.selectors.empty() || (policy.action == PolicyAction::protect) == policy.sa.empty()) std::abort();
    return 0;
}
