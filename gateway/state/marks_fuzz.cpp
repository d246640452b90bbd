// SPDX-License-Identifier: Apache-2.0
// What parse_marks() takes it must make again, octet by octet.
#include "gateway/state/marks_file.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto marks = sallyport::state::parse_marks(text);
    if (marks && sallyport::state::format_marks(*marks) != text) std::abort();
    return 0;
}
