// SPDX-License-Identifier: Apache-2.0
// How a control call says that it did not work: a code, a sentence, the place, and what the operator can do.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace sallyport {

enum class ErrorCode : std::uint8_t {
    invalid,     // what was given is malformed or out of range
    missing,     // something named does not exist
    conflict,    // it contradicts something that exists
    refused,     // allowed by form, forbidden by a rule of safety
    exhausted,   // no room, memory, number or time left
    unsupported, // this kernel, processor or device cannot do it
    system,      // a system call failed; the sentence carries its text
};

struct Error {
    ErrorCode code = ErrorCode::invalid;
    std::string sentence; // what went wrong, a full sentence without a newline
    std::string place;    // file:line:column key, interface, record [index] field; may be empty
    std::string remedy;   // what to do; may be empty
};

template <class T>
using Result = std::expected<T, Error>;

/// "place: sentence; remedy" in one line, for the journal and the terminal.
[[nodiscard]] std::string to_string(const Error& error);

/// An Error of code `system` from an errno value: "sentence: strerror".
[[nodiscard]] Error system_error(int errno_value, std::string sentence, std::string place = {}, std::string remedy = {});

} // namespace sallyport
