// SPDX-License-Identifier: Apache-2.0
// Sealing and opening against a reference written straight from the RFCs' layouts with OpenSSL, and published packets.
#include "gateway/transform/testing.hpp"

#include <fstream>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sstream>
#include <utility>

namespace sallyport::transform {
namespace {

using testing::ip_packet;
using testing::OwnedFrame;
using testing::Pair;
using testing::plain_spec;
using Octets = std::vector<std::uint8_t>;

using Case = std::tuple<crypto::Engine, Algorithm, SequenceKind>;

void append(Octets& to, std::span<const std::uint8_t> what) { to.insert(to.end(), what.begin(), what.end()); }

Octets big_endian(std::uint64_t value, unsigned octets) {
    Octets text(octets);
    for (unsigned i = 0; i < octets; ++i) text[octets - 1 - i] = static_cast<std::uint8_t>(value >> 8 * i);
    return text;
}

const EVP_CIPHER* cipher_of(const AlgorithmInfo& row) {
    const std::string bits = std::to_string(8 * row.key);
    switch (row.cipher) {
    case Cipher::aes_cbc: return EVP_get_cipherbyname(("AES-" + bits + "-CBC").c_str());
    case Cipher::aes_gcm: return EVP_get_cipherbyname(("id-aes" + bits + "-GCM").c_str());
    case Cipher::aes_ccm: return EVP_get_cipherbyname(("id-aes" + bits + "-CCM").c_str());
    case Cipher::chacha20_poly1305: return EVP_chacha20_poly1305();
    case Cipher::null: break;
    }
    return EVP_enc_null();
}

/// Enciphers `plain`; `tag` has the size of the ICV, and null is for a cipher without one.
Octets encrypt(const SaSpec& spec, const Octets& nonce, const Octets& aad, const Octets& plain, Octets* tag) {
    const AlgorithmInfo& row = info(spec.algorithm);
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    Octets cipher(plain.size());
    int written = 0;
    EVP_EncryptInit_ex(context, cipher_of(row), nullptr, nullptr, nullptr);
    if (row.cipher == Cipher::aes_ccm) {
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, static_cast<int>(nonce.size()), nullptr);
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(tag->size()), nullptr);
    }
    EVP_EncryptInit_ex(context, nullptr, nullptr, spec.key.octets.data(), nonce.data());
    EVP_CIPHER_CTX_set_padding(context, 0);
    if (row.cipher == Cipher::aes_ccm) EVP_EncryptUpdate(context, nullptr, &written, nullptr, static_cast<int>(plain.size()));
    if (tag != nullptr) EVP_EncryptUpdate(context, nullptr, &written, aad.data(), static_cast<int>(aad.size()));
    EVP_EncryptUpdate(context, cipher.data(), &written, plain.data(), static_cast<int>(plain.size()));
    EVP_EncryptFinal_ex(context, cipher.data() + written, &written);
    if (tag != nullptr) EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag->size()), tag->data());
    EVP_CIPHER_CTX_free(context);
    return cipher;
}

const EVP_MD* hash_of(const AlgorithmInfo& row) {
    return row.integrity_key == 32 ? EVP_sha256() : row.integrity_key == 48 ? EVP_sha384() : EVP_sha512();
}

/// Padding, pad length and next header behind an inner packet (RFC 4303 2.4).
Octets with_trailer(Octets plain, unsigned block, std::uint8_t next_header) {
    std::uint8_t padding = 0;
    while ((plain.size() + 2) % block != 0) plain.push_back(++padding);
    plain.push_back(padding);
    plain.push_back(next_header);
    return plain;
}

/// RFC 4303 2 and 3.3.2, RFC 4106, RFC 4309, RFC 4543, RFC 7634, RFC 8750, RFC 3602 and RFC 2410 with RFC 4868: SPI to ICV around a plain
/// text that has its trailer.
Octets reference(const SaSpec& spec, std::uint64_t number, const Octets& iv, const Octets& plain) {
    const AlgorithmInfo& row = info(spec.algorithm);
    const bool extended = spec.sequence == SequenceKind::extended_64;
    const std::uint8_t* material = spec.key.octets.data();
    Octets esp = big_endian(spec.spi, 4);
    append(esp, big_endian(number & 0xffffffffU, 4));
    append(esp, iv);
    if (row.unique_nonce()) {
        Octets aad = big_endian(spec.spi, 4);
        append(aad, big_endian(extended ? number : number & 0xffffffffU, extended ? 8 : 4));
        Octets nonce(material + row.key, material + row.key + row.salt);
        append(nonce, row.iv != 0 ? iv : big_endian(number, 8));
        Octets tag(row.icv);
        if (row.construction == Construction::gmac) {
            append(aad, iv);
            append(aad, plain);
            encrypt(spec, nonce, aad, {}, &tag);
            append(esp, plain);
        } else {
            append(esp, encrypt(spec, nonce, aad, plain, &tag));
        }
        append(esp, tag);
        return esp;
    }
    append(esp, row.cipher == Cipher::null ? plain : encrypt(spec, iv, {}, plain, nullptr));
    Octets covered = esp;
    if (extended) append(covered, big_endian(number >> 32, 4));
    Octets mac(EVP_MAX_MD_SIZE);
    if (row.integrity_id == 8)
        EVP_Q_mac(nullptr, "CMAC", nullptr, "AES-128-CBC", nullptr, material, row.integrity_key, covered.data(), covered.size(), mac.data(),
                  mac.size(), nullptr);
    else
        HMAC(hash_of(row), material + row.key, row.integrity_key, covered.data(), covered.size(), mac.data(), nullptr);
    append(esp, std::span(mac).first(row.icv));
    return esp;
}

Octets esp_of(const OwnedFrame& owned) { return {owned.frame.at(owned.frame.transport), owned.frame.at(owned.frame.end)}; }

Octets with_hop_taken(Octets packet, std::uint8_t family) {
    wire::decrement_hop_limit(packet.data(), family);
    return packet;
}

Octets octets_of(const std::string& hex) {
    Octets octets;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        octets.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
    return octets;
}

TEST(Reference, AndBothEnginesAgreeWithPublishedPackets) {
    std::ifstream file(SALLYPORT_SOURCE_DIR "/tests/vectors/esp_packets.txt");
    unsigned count = 0;
    for (std::string text; std::getline(file, text);) {
        if (text.starts_with('#')) continue;
        SCOPED_TRACE(text);
        std::istringstream words(text);
        std::string name, numbers, high, key, inner_text, esp_text;
        words >> name >> numbers >> high >> key >> inner_text >> esp_text;
        SaSpec spec = plain_spec(*parse_algorithm(name));
        const Octets esp = octets_of(esp_text), inner = octets_of(inner_text), material = octets_of(key);
        ASSERT_EQ(material.size(), spec.key.size);
        std::ranges::copy(material, spec.key.octets.begin());
        spec.spi = wire::load32(esp.data());
        spec.sequence = numbers == "esn" ? SequenceKind::extended_64 : SequenceKind::short_32;
        const std::uint64_t number = std::stoull(high) << 32 | wire::load32(esp.data() + 4);
        const AlgorithmInfo& row = info(spec.algorithm);
        const Octets iv(esp.begin() + 8, esp.begin() + 8 + row.iv);
        EXPECT_EQ(reference(spec, number, iv, with_trailer(inner, row.block, 4)), esp);
        for (const crypto::Engine engine : crypto::engines) {
            if (!crypto::available(engine)) continue;
            Pair pair(spec, engine, 0, number - 1);
            OwnedFrame owned;
            owned.put_esp(esp);
            EXPECT_EQ(pair.open(owned), DropReason::none);
            EXPECT_EQ(owned.packet(), inner);
            EXPECT_EQ(owned.frame.sequence, number);
        }
        ++count;
    }
    EXPECT_EQ(count, 11U);
}

class Esp : public ::testing::TestWithParam<Case> {
protected:
    void SetUp() override {
        if (!crypto::available(std::get<0>(GetParam()))) GTEST_SKIP() << crypto::describe(std::get<0>(GetParam()));
        spec_ = plain_spec(std::get<1>(GetParam()));
        spec_.sequence = std::get<2>(GetParam());
    }
    crypto::Engine engine() const { return std::get<0>(GetParam()); }
    const AlgorithmInfo& row() const { return info(spec_.algorithm); }
    bool extended() const { return spec_.sequence == SequenceKind::extended_64; }
    /// The IV of the n-th packet: the number itself, or what stands in the packet.
    Octets iv_of(const OwnedFrame& sealed, std::uint64_t number) const {
        if (row().unique_nonce()) return big_endian(number, row().iv);
        return {sealed.frame.at(sealed.frame.transport + 8U), sealed.frame.at(sealed.frame.transport + 8U + row().iv)};
    }

    SaSpec spec_;
};

TEST_P(Esp, SealsAsTheReferenceAndOpensAgain) {
    Pair pair(spec_, engine());
    std::uint64_t number = 0;
    for (const std::uint8_t family : {std::uint8_t{4}, std::uint8_t{6}})
        for (unsigned length = 48; length < 130; ++length) {
            SCOPED_TRACE(length);
            OwnedFrame owned;
            const Octets before = ip_packet(family, length, 0x2e);
            owned.put_packet(before, family);
            ASSERT_EQ(pair.seal(owned), DropReason::none);
            ++number;
            const Octets inner = with_hop_taken(before, family);
            EXPECT_EQ(esp_of(owned),
                      reference(spec_, number, iv_of(owned, number), with_trailer(inner, row().block, family == 4 ? 4 : 41)));
            const Frame& frame = owned.frame;
            EXPECT_EQ(frame.family, 4);
            EXPECT_EQ(frame.transport - frame.network, 20);
            EXPECT_EQ(frame.sequence, number);
            EXPECT_EQ(wire::checksum_raw(frame.at(frame.network), 20), 0);
            EXPECT_EQ(wire::load16(frame.at(frame.network + 2U)), frame.network_length());
            EXPECT_EQ(frame.at(frame.network)[wire::ipv4_tos], 0x2e);
            ASSERT_EQ(pair.open(owned), DropReason::none);
            EXPECT_EQ(owned.packet(), inner);
            EXPECT_EQ(owned.frame.family, family);
        }
    EXPECT_EQ(pair.sealed.packets, number);
    EXPECT_EQ(pair.opened.packets, number);
    EXPECT_EQ(pair.opened.octets, pair.sealed.octets);
    EXPECT_EQ(pair.sealed.errors + pair.opened.errors, 0U);
}

TEST_P(Esp, SealsInAnIpv6Tunnel) {
    spec_.outer_local = *parse_address("2001:db8::1");
    spec_.outer_remote = *parse_address("2001:db8::2");
    Pair pair(spec_, engine());
    OwnedFrame owned;
    owned.put_packet(ip_packet(4, 100, 0xb9), 4);
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    const std::uint8_t* outer = owned.frame.at(owned.frame.network);
    EXPECT_EQ(owned.frame.family, 6);
    EXPECT_EQ(owned.frame.transport - owned.frame.network, 40);
    EXPECT_EQ(wire::load32(outer) >> 20, 0x6b9U);
    EXPECT_EQ(wire::load16(outer + 4) + 40U, owned.frame.network_length());
    EXPECT_EQ(pair.open(owned), DropReason::none);
    EXPECT_EQ(owned.packet(), with_hop_taken(ip_packet(4, 100, 0xb9), 4));
}

TEST_P(Esp, SealsInUdp) {
    spec_.udp_port = 4501;
    for (const bool ipv6 : {false, true}) {
        spec_.outer_local = *parse_address(ipv6 ? "2001:db8::1" : "192.0.2.1");
        spec_.outer_remote = *parse_address(ipv6 ? "2001:db8::2" : "192.0.2.2");
        Pair pair(spec_, engine());
        OwnedFrame owned;
        owned.put_packet(ip_packet(4, 100), 4);
        ASSERT_EQ(pair.seal(owned), DropReason::none);
        const Octets whole = owned.packet();
        const unsigned ip = ipv6 ? 40 : 20;
        ASSERT_EQ(owned.frame.transport - owned.frame.network, ip + 8);
        EXPECT_EQ(whole[ipv6 ? wire::ipv6_next_header : wire::ipv4_protocol], wire::protocol_udp);
        EXPECT_EQ(ipv6 ? wire::load16(whole.data() + 4) + 40U : wire::load16(whole.data() + 2), whole.size());
        EXPECT_EQ(wire::load16(whole.data() + ip), 4500);
        EXPECT_EQ(wire::load16(whole.data() + ip + 2), 4501);
        EXPECT_EQ(wire::load16(whole.data() + ip + 4), whole.size() - ip);
        if (ipv6)
            EXPECT_EQ(wire::ipv6_upper_checksum_raw(whole.data(), wire::protocol_udp, whole.data() + ip,
                                                    static_cast<unsigned>(whole.size() - ip)),
                      0);
        else
            EXPECT_EQ(wire::load16(whole.data() + ip + 6), 0) << "RFC 3948 2.1";
        EXPECT_EQ(esp_of(owned), reference(spec_, 1, iv_of(owned, 1), with_trailer(with_hop_taken(ip_packet(4, 100), 4), row().block, 4)));
        EXPECT_EQ(pair.open(owned), DropReason::none);
        const unsigned fixed = ip + 8 + 8 + row().iv + row().icv;
        EXPECT_EQ(largest_inner(pair.outbound, 1500), (1500 - fixed) / row().block * row().block - 2);
        EXPECT_EQ(make_fit(pair.inbound, 1500, clamp_mss_off).inner, largest_inner(pair.outbound, 1500));
    }
}

TEST_P(Esp, RefusesEachWrongOctetAndKeepsNoPlainText) {
    const Octets plain = with_trailer(ip_packet(4, 60), row().block, 4);
    Pair pair(spec_, engine());
    const Octets esp = pair.seal_raw(plain, 1);
    for (std::size_t i = 4; i < esp.size(); ++i) {
        SCOPED_TRACE(i);
        Octets wrong = esp;
        wrong[i] ^= 0x04; // the number becomes another one that is new
        OwnedFrame owned;
        owned.put_esp(wrong);
        EXPECT_EQ(pair.open(owned), DropReason::bad_icv);
        const std::uint8_t* text = owned.frame.at(owned.frame.transport + 8U + row().iv);
        EXPECT_TRUE(std::all_of(text, text + plain.size(), [](std::uint8_t octet) { return octet == 0; }));
    }
    EXPECT_EQ(pair.opened.errors, esp.size() - 4);
    OwnedFrame owned;
    owned.put_esp(esp);
    EXPECT_EQ(pair.open(owned), DropReason::none) << "the window must not have moved";
}

TEST_P(Esp, RefusesTruncationsAtEveryOffset) {
    const Octets plain = with_trailer(ip_packet(4, 60), row().block, 4);
    Pair pair(spec_, engine());
    const Octets esp = pair.seal_raw(plain, 1);
    for (std::size_t length = 0; length < esp.size(); ++length) {
        SCOPED_TRACE(length);
        OwnedFrame owned;
        owned.put_esp(std::span(esp).first(length));
        const std::size_t around = 8U + row().iv + row().icv;
        const bool formed = length >= around + row().block && (row().block == 4 || (length - around) % row().block == 0);
        EXPECT_EQ(pair.open(owned), formed ? DropReason::bad_icv : DropReason::malformed_esp);
    }
}

TEST_P(Esp, KeepsANumberOnceInOneBatchAndInTwo) {
    Pair pair(spec_, engine());
    const Octets esp = pair.seal_raw(with_trailer(ip_packet(4, 60), row().block, 4), 5);
    OwnedFrame first, second, third;
    first.put_esp(esp);
    second.put_esp(esp);
    third.put_esp(esp);
    pair.open({&first, &second});
    EXPECT_EQ(first.frame.reason, DropReason::none);
    EXPECT_EQ(second.frame.reason, DropReason::replayed);
    EXPECT_EQ(pair.open(third), DropReason::replayed);
    OwnedFrame zero;
    zero.put_esp(pair.seal_raw(with_trailer(ip_packet(4, 60), row().block, 4), 0));
    EXPECT_EQ(pair.open(zero), DropReason::sequence_zero);
}

TEST_P(Esp, CarriesNumbersOverTheRollOfTheLowHalf) {
    constexpr std::uint64_t start = 0x3'ffff'fff0ULL;
    Pair pair(spec_, engine(), extended() ? start : start & 0xffffffffU, extended() ? start : start & 0xffffffffU);
    for (unsigned i = 1; i <= 40; ++i) {
        OwnedFrame owned;
        owned.put_packet(ip_packet(4, 64), 4);
        const DropReason reason = pair.seal(owned);
        if (!extended() && i > 15) { // 2^32 - 1 is the last
            EXPECT_EQ(reason, DropReason::sequence_exhausted);
            continue;
        }
        ASSERT_EQ(reason, DropReason::none);
        EXPECT_EQ(pair.open(owned), DropReason::none) << i;
        EXPECT_EQ(owned.frame.sequence, (extended() ? start : start & 0xffffffffU) + i);
    }
}

TEST_P(Esp, JudgesProperlySealedContents) {
    Pair pair(spec_, engine());
    std::uint64_t number = 0;
    const auto open_plain = [&](const Octets& plain, std::uint8_t outer_class = 0) {
        OwnedFrame owned;
        owned.put_esp(pair.seal_raw(plain, ++number));
        owned.frame.traffic_class = outer_class;
        return pair.open(owned);
    };
    const unsigned block = row().block;
    const Octets packet = ip_packet(4, 46); // with the trailer 48: no padding with either block
    EXPECT_EQ(open_plain(with_trailer(packet, block, 4)), DropReason::none);
    EXPECT_EQ(open_plain(with_trailer(packet, block, 59)), DropReason::dummy);
    EXPECT_EQ(pair.opened.errors, 0U) << "a dummy is no error";
    EXPECT_EQ(open_plain(with_trailer(packet, block, 6)), DropReason::bad_next_header);
    EXPECT_EQ(open_plain(with_trailer(packet, block, 41)), DropReason::malformed_inner);
    Octets plain = with_trailer(packet, block, 4);
    plain[plain.size() - 2] = static_cast<std::uint8_t>(plain.size() - 1);
    EXPECT_EQ(open_plain(plain), DropReason::bad_padding);
    plain = with_trailer(ip_packet(4, 44), block, 4);
    plain[44] ^= 1;
    EXPECT_EQ(open_plain(plain), DropReason::bad_padding);
    plain = ip_packet(4, 46);
    plain.resize(646); // TFC
    EXPECT_EQ(open_plain(with_trailer(plain, block, 4)), DropReason::none);
    EXPECT_EQ(open_plain(with_trailer(ip_packet(4, 46, 0), block, 4), 3), DropReason::ecn_illegal);
    EXPECT_EQ(open_plain(with_trailer(ip_packet(4, 46, 2), block, 4), 3), DropReason::none);
    EXPECT_EQ(pair.opened.packets, 3U);
    OwnedFrame owned;
    owned.put_esp(pair.seal_raw(with_trailer(packet, block, 4), 3));
    EXPECT_EQ(pair.open(owned), DropReason::replayed) << "what was authentic has entered the window, whatever it held";
}

TEST_P(Esp, SendsDummies) {
    Pair pair(spec_, engine());
    OwnedFrame owned;
    mode::make_dummy(owned.frame, 300);
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    EXPECT_EQ(owned.frame.family, 4);
    EXPECT_EQ(pair.open(owned), DropReason::dummy);
    EXPECT_EQ(pair.opened.errors, 0U);
}

TEST_P(Esp, DropsBeforeItTakesANumber) {
    spec_.mtu = 200;
    Pair pair(spec_, engine());
    OwnedFrame large, expired, stump, good;
    large.put_packet(ip_packet(4, 200), 4);
    Octets packet = ip_packet(4, 64);
    packet[wire::ipv4_ttl] = 1;
    expired.put_packet(packet, 4);
    stump.put_packet(std::span(packet).first(19), 4);
    good.put_packet(ip_packet(4, 64), 4);
    pair.seal({&large, &expired, &stump, &good});
    EXPECT_EQ(large.frame.reason, DropReason::too_big);
    EXPECT_EQ(expired.frame.reason, DropReason::ttl_expired);
    EXPECT_EQ(stump.frame.reason, DropReason::malformed_ip);
    EXPECT_EQ(good.frame.reason, DropReason::none);
    EXPECT_EQ(good.frame.sequence, 1U);
    EXPECT_EQ(pair.sealed.errors, 2U) << "what is too big may yet be cut";
    // The largest that fits: outer header, ESP, IV, text and ICV are exactly the limit.
    const unsigned fixed = 20 + 8 + row().iv + row().icv;
    const unsigned largest = (200 - fixed) / row().block * row().block - 2;
    OwnedFrame fits, over;
    fits.put_packet(ip_packet(4, largest), 4);
    over.put_packet(ip_packet(4, largest + 1), 4);
    EXPECT_EQ(pair.seal(fits), DropReason::none);
    EXPECT_LE(fits.frame.network_length(), 200U);
    EXPECT_EQ(pair.seal(over), DropReason::too_big);
}

TEST_P(Esp, KeepsTheOrderOfEachSaInAMixedBatch) {
    SaSpec other = spec_;
    other.spi = 0x4321;
    other.key.octets[0] ^= 0xff;
    Pair one(spec_, engine()), two(other, engine());
    std::array<OwnedFrame, 64> owned;
    std::vector<Frame*> frames;
    for (unsigned i = 0; i < 64; ++i) {
        owned[i].put_packet(ip_packet(4, 64 + i), 4);
        owned[i].frame.outbound = i % 3 == 0 ? &two.outbound : &one.outbound;
        frames.push_back(&owned[i].frame);
    }
    const Transform& calls = transform(row_of(engine(), spec_.algorithm));
    calls.seal(frames);
    std::uint64_t last[2] = {};
    for (unsigned i = 0; i < 64; ++i) {
        ASSERT_EQ(frames[i]->reason, DropReason::none);
        EXPECT_EQ(frames[i]->sequence, ++last[i % 3 == 0]);
        EXPECT_EQ(wire::load32(frames[i]->at(frames[i]->transport)), i % 3 == 0 ? 0x4321U : 0x1234U);
        frames[i]->inbound = i % 3 == 0 ? &two.inbound : &one.inbound;
    }
    calls.open(frames);
    for (unsigned i = 0; i < 64; ++i) {
        ASSERT_EQ(frames[i]->reason, DropReason::none);
        EXPECT_EQ(owned[i].packet(), with_hop_taken(ip_packet(4, 64 + i), 4));
    }
}

TEST_P(Esp, FillsPacketsUpWithZeros) {
    const auto sealed_size = [&](std::uint16_t padding, unsigned length) {
        spec_.tfc_padding = padding;
        spec_.mtu = 1400;
        Pair pair(spec_, engine());
        OwnedFrame owned;
        owned.put_packet(ip_packet(4, length), 4);
        EXPECT_EQ(pair.seal(owned), DropReason::none);
        const unsigned size = owned.frame.network_length();
        EXPECT_EQ(pair.open(owned), DropReason::none);
        EXPECT_EQ(owned.packet(), with_hop_taken(ip_packet(4, length), 4)) << "the receiver cuts it off";
        const std::uint8_t* behind = owned.frame.at(owned.frame.end);
        const unsigned filled = padding == 0
                                    ? 0
                                    : std::min((length + padding - 1U) / padding * padding, largest_inner(pair.outbound, 1400)) - length;
        EXPECT_TRUE(std::all_of(behind, behind + filled, [](std::uint8_t octet) { return octet == 0; }));
        return size;
    };
    EXPECT_EQ(sealed_size(256, 60), sealed_size(0, 256));
    EXPECT_EQ(sealed_size(256, 257), sealed_size(0, 512));
    EXPECT_EQ(sealed_size(256, 512), sealed_size(0, 512));
    const unsigned full = sealed_size(tfc_full, 60);
    EXPECT_EQ(full, sealed_size(tfc_full, 1200));
    EXPECT_EQ(full, sealed_size(1024, 1100)) << "never beyond what fits";
    EXPECT_LE(full, 1400U);
    EXPECT_GT(full, 1400U - row().block);
}

TEST_P(Esp, NoPacketPassesTheHardLifetime) {
    Pair pair(spec_, engine());
    pair.sealed.packet_limit = 2;
    OwnedFrame a, b, c;
    for (OwnedFrame* owned : {&a, &b, &c}) owned->put_packet(ip_packet(4, 64), 4);
    pair.seal({&a, &b, &c});
    EXPECT_EQ(b.frame.reason, DropReason::none);
    EXPECT_EQ(c.frame.reason, DropReason::lifetime_over);
    EXPECT_EQ(c.packet(), with_hop_taken(ip_packet(4, 64), 4)) << "it has not been sealed";
    pair.opened.octet_limit = 100;
    pair.open({&a, &b});
    EXPECT_EQ(a.frame.reason, DropReason::none);
    EXPECT_EQ(b.frame.reason, DropReason::lifetime_over) << "in one batch, too";
    EXPECT_EQ(pair.opened.packets, 1U);
    OwnedFrame small;
    small.put_esp(pair.seal_raw(with_trailer(ip_packet(4, 36), row().block, 4), 9));
    EXPECT_EQ(pair.open(small), DropReason::lifetime_over) << "a smaller one would fit, but it is over";
    Pair octets(spec_, engine());
    octets.sealed.octet_limit = 150;
    for (OwnedFrame* owned : {&a, &b, &c}) owned->put_packet(ip_packet(4, 64), 4);
    for (OwnedFrame* owned : {&a, &b, &c}) owned->frame.reason = DropReason::none;
    octets.seal({&a, &b, &c});
    EXPECT_EQ(b.frame.reason, DropReason::none);
    EXPECT_EQ(c.frame.reason, DropReason::lifetime_over);
    EXPECT_EQ(octets.sealed.octets, 128U);
}

TEST_P(Esp, StopsAtTheDurableMark) {
    Pair pair(spec_, engine());
    std::uint64_t mark = 2;
    pair.outbound.space.mark = &mark;
    OwnedFrame a, b, c;
    for (OwnedFrame* owned : {&a, &b, &c}) owned->put_packet(ip_packet(4, 64), 4);
    pair.seal({&a, &b, &c});
    EXPECT_EQ(a.frame.reason, DropReason::none);
    EXPECT_EQ(b.frame.reason, DropReason::none);
    EXPECT_EQ(c.frame.reason, DropReason::mark_not_durable);
    EXPECT_NE(wire::load32(c.frame.at(c.frame.network)), 0U);
}

TEST_P(Esp, WhatIsNotSealedDoesNotLeave) {
    if (engine() != crypto::Engine::openssl) return; // the library of the other engine has no calls that fail
    Pair pair(spec_, engine());
    struct alignas(64) Unusable { // a key context as OpenSSL's engine has it, whose cipher and key were never chosen
        EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
        EVP_MAC_CTX* mac = nullptr;
        EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        Unusable() { mac = EVP_MAC_CTX_new(hmac); }
        Unusable(const Unusable&) = delete;
        Unusable& operator=(const Unusable&) = delete;
        ~Unusable() {
            EVP_CIPHER_CTX_free(cipher);
            EVP_MAC_CTX_free(mac);
            EVP_MAC_free(hmac);
        }
    } unusable;
    void* const usable = std::exchange(pair.outbound.space.key, &unusable);
    OwnedFrame first, second;
    for (OwnedFrame* owned : {&first, &second}) owned->put_packet(ip_packet(4, 64), 4);
    pair.seal({&first, &second});
    EXPECT_EQ(first.frame.reason, DropReason::crypto_failed);
    EXPECT_EQ(second.frame.reason, DropReason::crypto_failed);
    EXPECT_EQ(pair.sealed.errors, 2U);
    pair.outbound.space.key = usable;
    OwnedFrame good;
    good.put_packet(ip_packet(4, 64), 4);
    EXPECT_EQ(pair.seal(good), DropReason::none);
    EXPECT_EQ(good.frame.sequence, 3U) << "numbers that may be on the wire are not given again";
}

TEST_P(Esp, NeedsRoomBehindThePacket) {
    Pair pair(spec_, engine());
    const auto octets = ip_packet(4, 64);
    for (const unsigned room : {tail_room, tail_room - 1}) {
        OwnedFrame owned;
        owned.frame.network = static_cast<std::uint16_t>(chunk_size - room - octets.size());
        owned.frame.begin = static_cast<std::uint16_t>(owned.frame.network - 14);
        owned.frame.end = static_cast<std::uint16_t>(chunk_size - room);
        owned.frame.family = 4;
        std::ranges::copy(octets, owned.frame.at(owned.frame.network));
        EXPECT_EQ(pair.seal(owned), room == tail_room ? DropReason::none : DropReason::too_big);
    }
}

/// Several senders of one key have prefixes of their own before the number (RFC 6054); a receiver takes the IV as it comes.
TEST_P(Esp, PutsThePrefixIntoTheIv) {
    if (!row().unique_nonce() || row().iv == 0) return;
    Pair pair(spec_, engine());
    pair.outbound.iv_prefix = 0xabcdef00;
    OwnedFrame owned;
    owned.put_packet(ip_packet(4, 64), 4);
    ASSERT_EQ(pair.seal(owned), DropReason::none);
    EXPECT_EQ(wire::load64(owned.frame.at(owned.frame.transport) + wire::esp_size), 0xabcdef0000000001U);
    EXPECT_EQ(pair.open(owned), DropReason::none);
    EXPECT_EQ(owned.packet(), with_hop_taken(ip_packet(4, 64), 4));
}

std::vector<Case> every_case() {
    std::vector<Case> cases;
    for (const crypto::Engine engine : crypto::engines)
        for (const AlgorithmInfo& row : algorithms)
            for (const SequenceKind kind : {SequenceKind::short_32, SequenceKind::extended_64})
                cases.emplace_back(engine, row.algorithm, kind);
    return cases;
}

INSTANTIATE_TEST_SUITE_P(Transform, Esp, ::testing::ValuesIn(every_case()), [](const ::testing::TestParamInfo<Case>& param) {
    std::string name = std::get<0>(param.param) == crypto::Engine::openssl ? "openssl_" : "ipsec_mb_";
    for (const char c : sallyport::info(std::get<1>(param.param)).name) name += c == '-' ? '_' : c;
    return name + (std::get<2>(param.param) == SequenceKind::extended_64 ? "_esn" : "_short");
});

TEST(Registry, TellsItsKindsApart) {
    for (unsigned row = 0; row < row_count; ++row) EXPECT_EQ(row_of(kind_of(static_cast<std::uint8_t>(row))), row);
    EXPECT_EQ(ah_algorithms.size(), 7U);
    EXPECT_LT(row_of(Kind{.protocol = SaProtocol::ah, .mode = SaMode::beet, .algorithm = Algorithm::aes_128_gcm_16}), row_count);
}

TEST(Registry, HasARowForEachAlgorithmOfEachEngine) {
    for (const crypto::Engine engine : crypto::engines)
        for (const AlgorithmInfo& algorithm : algorithms) {
            const std::uint8_t row = row_of(engine, algorithm.algorithm);
            ASSERT_LT(row, row_count);
            EXPECT_EQ(algorithm_of(row), algorithm.algorithm);
            EXPECT_EQ(engine_of(row), engine);
            EXPECT_EQ(transform(row).block, algorithm.block);
            EXPECT_EQ(transform(row).around_ipv4, 8 + algorithm.iv + algorithm.icv);
            EXPECT_EQ(key_size(row) % 64, 0U);
        }
    use(crypto::Engine::openssl);
    EXPECT_EQ(engine_of(row_of(Algorithm::aes_128_gcm_16)), crypto::Engine::openssl);
    use(crypto::best_engine());
}

// Against what sealing really adds, octet by octet.
TEST(LargestInner, IsTheLargestThatFits) {
    for (const crypto::Engine engine : crypto::engines)
        for (const AlgorithmInfo& algorithm : algorithms)
            for (const unsigned outer : {20U, 40U}) {
                OutboundSa sa;
                sa.outer_length = static_cast<std::uint8_t>(outer);
                sa.transform = row_of(engine, algorithm.algorithm);
                const unsigned around = outer + 8 + algorithm.iv + algorithm.icv;
                const auto whole = [&](unsigned inner) {
                    return around + (inner + 2 + algorithm.block - 1) / algorithm.block * algorithm.block;
                };
                for (unsigned mtu = 0; mtu < 2000; ++mtu) {
                    const unsigned inner = largest_inner(sa, mtu);
                    EXPECT_TRUE(inner == 0 || whole(inner) <= mtu) << mtu;
                    EXPECT_GT(whole(inner + 1), mtu) << mtu;
                }
            }
    OutboundSa sa;
    sa.outer_length = 20;
    sa.transform = row_of(Algorithm::aes_128_gcm_16);
    EXPECT_EQ(largest_inner(sa, 1500), 1446U);
    sa.transform = row_of(Algorithm::aes_256_cbc_hmac_sha2_256_128);
    EXPECT_EQ(largest_inner(sa, 1500), 1438U);
    sa.outer_length = 40;
    sa.transform = row_of(Algorithm::chacha20_poly1305);
    EXPECT_EQ(largest_inner(sa, 1500), 1426U);
}

TEST(Build, RefusesWhatContradictsItself) {
    SaSpec spec = plain_spec(Algorithm::aes_128_gcm_16);
    const std::uint8_t row = row_of(spec.algorithm);
    const auto key = testing::allocate<std::uint8_t>(key_size(row));
    sequence::Unit unit;
    SaCounters counters;
    const Place place{.row = row, .key = key.get(), .units = &unit, .counters = &counters};
    EXPECT_FALSE(build_inbound(spec, place, {}).has_value()) << "direction";
    spec.outer_remote = *parse_address("2001:db8::1");
    EXPECT_FALSE(build_outbound(spec, place).has_value()) << "families";
    spec.outer_remote = spec.outer_local;
    spec.key.size = 19;
    EXPECT_FALSE(build_outbound(spec, place).has_value()) << "key size";
    spec.key.size = 20;
    EXPECT_FALSE(build_outbound(spec, {.row = row_of(Algorithm::aes_256_gcm_16), .key = key.get(), .units = &unit, .counters = &counters})
                     .has_value());
    EXPECT_TRUE(build_outbound(spec, place).has_value());
    spec.direction = Direction::inbound;
    spec.window = 100;
    EXPECT_FALSE(build_inbound(spec, place, {}).has_value()) << "window";
    wipe_key(row, key.get());
}

} // namespace
} // namespace sallyport::transform
