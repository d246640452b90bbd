// SPDX-License-Identifier: Apache-2.0
// Any octets as a record: one that is taken is written again as it was.
#include "gateway/sa/ike_datagram.hpp"

#include <cstdlib>
#include <cstring>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sallyport::ike_datagram;
    const auto datagram = parse({data, size});
    if (!datagram) return 0;
    const RecordHeader header = header_of(*datagram);
    if (std::memcmp(&header, data, sizeof header) != 0) std::abort();
    if (datagram->message.data() != data + sizeof header || datagram->message.size() != size - sizeof header) std::abort();
    return 0;
}
