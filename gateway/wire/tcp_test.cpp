// SPDX-License-Identifier: Apache-2.0
#include "gateway/wire/tcp.hpp"

#include "gateway/wire/checksum.hpp"
#include "gateway/wire/octets.hpp"

#include <vector>

namespace sallyport::wire {
namespace {

using Octets = std::vector<std::uint8_t>;

/// A SYN with these options (padded by the caller to a multiple of 4) and a right checksum over itself.
Octets syn(const Octets& options) {
    Octets tcp(tcp_size);
    store16(tcp.data(), 40000);
    store16(tcp.data() + 2, 443);
    tcp[tcp_data_offset] = static_cast<std::uint8_t>((tcp_size + options.size()) / 4 << 4);
    tcp[tcp_flags] = tcp_syn;
    tcp.insert(tcp.end(), options.begin(), options.end());
    store_raw(tcp.data() + tcp_checksum, checksum_raw(tcp.data(), static_cast<unsigned>(tcp.size())));
    return tcp;
}

bool clamp(Octets& tcp, std::uint16_t largest) { return clamp_mss(tcp.data(), static_cast<unsigned>(tcp.size()), largest); }

bool sound(const Octets& tcp) { return checksum_raw(tcp.data(), static_cast<unsigned>(tcp.size())) == 0; }

TEST(ClampMss, LowersAndMendsTheChecksum) {
    for (const unsigned before : {1461U, 1460U, 9000U, 65535U}) {
        const auto high = static_cast<std::uint8_t>(before >> 8), low = static_cast<std::uint8_t>(before);
        for (const Octets& options : {Octets{2, 4, high, low}, Octets{1, 2, 4, high, low, 1, 1, 0}, Octets{3, 3, 7, 2, 4, high, low, 0},
                                      Octets{4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, high, low}}) {
            Octets tcp = syn(options);
            ASSERT_TRUE(sound(tcp));
            EXPECT_TRUE(clamp(tcp, 1406));
            EXPECT_TRUE(sound(tcp));
            EXPECT_FALSE(clamp(tcp, 1406)) << "it is 1406 now";
            EXPECT_TRUE(clamp(tcp, 1405));
            EXPECT_TRUE(sound(tcp));
        }
    }
}

TEST(ClampMss, LeavesEverythingElseAlone) {
    const Octets cases[] = {
        {},                             // no option
        {2, 4, 5, 0x7e},                // 1406: no larger
        {0, 0, 0, 0, 2, 4, 255, 255},   // behind the end of the list
        {2, 3, 255, 255},               // of another length
        {2, 5, 255, 255, 0, 0, 0, 0},   // of another length
        {9, 0, 2, 4, 255, 255, 0, 0},   // a length that does not lead on
        {9, 1, 2, 4, 255, 255, 0, 0},   // the same
        {9, 200, 2, 4, 255, 255, 0, 0}, // a length past the header
        {1, 1, 1, 2},                   // cut within the option
        {1, 1, 2, 4},                   // the same
        {1, 2, 4, 255},                 // the same
        {2, 4, 255, 255, 29, 4, 1, 1},  // TCP-AO behind
        {29, 4, 1, 1, 2, 4, 255, 255},  // TCP-AO before
    };
    for (const Octets& options : cases) {
        Octets tcp = syn(options);
        const Octets before = tcp;
        EXPECT_FALSE(clamp(tcp, 1406)) << testing::PrintToString(options);
        EXPECT_EQ(tcp, before);
    }
}

TEST(ClampMss, ReadsNothingBehindTheEnd) {
    Octets tcp = syn({2, 4, 255, 255});
    for (unsigned there = tcp_size; there < tcp.size(); ++there) {
        Octets cut(tcp.begin(), tcp.begin() + there);
        const Octets before = cut;
        EXPECT_FALSE(clamp(cut, 1406)) << "the header says it is longer";
        EXPECT_EQ(cut, before);
    }
    tcp[tcp_data_offset] = 0x40; // shorter than a header
    EXPECT_FALSE(clamp(tcp, 1406));
}

} // namespace
} // namespace sallyport::wire
