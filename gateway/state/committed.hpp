// SPDX-License-Identifier: Apache-2.0
// The generation of the configuration that was committed last, whole, as the gateway keeps it for the next start: the texts that were read
// and the keys of files beside them. The file, of mode 0600:
//
//     sallyport-committed 1
//     state open                                     or closed: the gateway was stopped in order
//     for /etc/sallyport/sallyport.toml              what the gateway was started with
//     text <octets> /etc/sallyport/sallyport.toml    then so many octets and a newline
//     key <octets> /etc/sallyport/office.key         the same
//     sha256 <64 hexadecimal digits>                 of all before it
#pragma once

#include "gateway/sa/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::state {

struct Committed {
    enum class Kind : std::uint8_t { text, key };
    struct Part {
        Kind kind = Kind::text;
        std::string name; // path; no control characters
        std::string octets;
        bool operator==(const Part&) const = default;
    };

    bool closed = false;
    std::string started_with; // path
    std::vector<Part> parts;  // the first is a text
};

[[nodiscard]] std::string format_committed(const Committed& committed);
/// Takes what format_committed() makes and nothing else. Error: place is the line or part.
[[nodiscard]] Result<Committed> parse_committed(std::string_view text);

} // namespace sallyport::state
