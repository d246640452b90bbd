// SPDX-License-Identifier: Apache-2.0
// Pieces of configuration for the tests of this room.
#pragma once

#include "mgmt/config/config.hpp"

#include <format>
#include <string>

namespace sallyport::config {

/// Six lines.
inline const std::string ports_text = "[port.wan0]\nrole = \"black\"\n\n[port.lan0]\nrole = \"red\"\n\n";

/// A connection whose heading is the first of its lines, `more` the second and following. `number` is odd: 1, 3, 5 ... for SPIs and keys.
inline std::string connection_text(const std::string& name, const std::string& more = {}, unsigned octets = 64, unsigned number = 1) {
    std::string in, out;
    for (unsigned i = 0; i < octets; ++i) {
        in += std::format("{0}{0}", number);
        out += std::format("{0}{0}", number + 1);
    }
    return std::format("[connection.{}]\n{}local = \"192.0.2.1\"\nremote = \"198.51.100.1\"\nlocal-networks = [\"10.1.0.0/16\"]\n"
                       "remote-networks = [\"10.2.0.0/16\"]\nspi-in = 0x100{}\nspi-out = 0x100{}\nkey-in = \"{}\"\nkey-out = \"{}\"\n",
                       name, more, number, number + 1, in, out);
}

inline const KeyFiles no_key_files = [](const std::string& path) -> Result<KeyMaterial> {
    return std::unexpected(Error{ErrorCode::missing, path + " cannot be read: none here", {}, {}});
};

inline Outcome parse_text(const std::string& text) {
    const std::vector<Text> texts{{"test.toml", text}};
    return parse(texts, no_key_files);
}

} // namespace sallyport::config
