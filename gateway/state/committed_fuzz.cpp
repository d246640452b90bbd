// SPDX-License-Identifier: Apache-2.0
// What parse_committed() takes it must make again, octet by octet. The checksum is made right first: no fuzzer would find it.
#include "gateway/state/committed.hpp"
#include "gateway/state/marks_file.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sallyport::state;
    std::string text(reinterpret_cast<const char*>(data), size);
    if (parse_committed(text) && format_committed(*parse_committed(text)) != text) std::abort();
    text += "sha256 " + sha256(text) + "\n";
    const auto committed = parse_committed(text);
    if (committed && format_committed(*committed) != text) std::abort();
    return 0;
}
