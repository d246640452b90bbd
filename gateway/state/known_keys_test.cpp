// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/known_keys.hpp"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

using namespace sallyport;
using namespace sallyport::state;
using Use = KnownKeys::Use;

namespace {

Fingerprint key(std::uint32_t number) {
    Fingerprint result{};
    std::memcpy(result.data(), &number, sizeof number);
    result[8] = 0xff; // the octet whose lowest bit is not part of a print
    return result;
}

/// A bpffs of the test's own, in a mount namespace of its own.
class PinnedKeys : public testing::Test {
protected:
    static void SetUpTestSuite() {
        ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "the test needs root: run it by ./dev";
        ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-bpf-XXXXXX").string();
        directory = mkdtemp(pattern.data());
        ASSERT_EQ(mount("bpf", directory.c_str(), "bpf", 0, nullptr), 0);
    }

    static void TearDownTestSuite() {
        umount(directory.c_str());
        std::filesystem::remove(directory);
    }

    void SetUp() override { unlink(path().c_str()); }

    static std::string path() { return directory + "/keys"; }

    static inline std::string directory;
};

} // namespace

TEST(KnownKeys, IdentityIsTheKeyWhateverUsesIt) {
    SaSpec sa;
    sa.algorithm = Algorithm::aes_128_cbc_hmac_sha2_256_128;
    sa.spi = 0x1000;
    sa.key.size = 48;
    sa.key.octets[0] = 1;
    SaSpec other = sa;
    other.spi = 0x2000;
    other.direction = Direction::inbound;
    EXPECT_NE(fingerprint_of(sa), fingerprint_of(other));
    EXPECT_EQ(identity_of(sa), identity_of(other));
    other.key.octets[0] = 2;
    EXPECT_NE(identity_of(sa), identity_of(other));
}

TEST(KnownKeys, TheLastOnesAreKnown) {
    const auto known = KnownKeys::anonymous().value();
    for (std::uint32_t i = 0; i < KnownKeys::most; ++i) known->add(key(i), i % 2 == 1);
    EXPECT_EQ(known->use(key(0)), Use::negotiated);
    EXPECT_EQ(known->use(key(1)), Use::manual);
    EXPECT_EQ(known->use(key(KnownKeys::most - 1)), Use::manual);
    EXPECT_EQ(known->use(key(KnownKeys::most)), Use::none);
    known->add(key(0), false); // counts from now on
    known->add(key(KnownKeys::most), false);
    EXPECT_EQ(known->use(key(0)), Use::negotiated);
    EXPECT_EQ(known->use(key(1)), Use::none) << "the oldest made place";
    EXPECT_EQ(known->use(key(2)), Use::negotiated);
    EXPECT_EQ(known->use(key(KnownKeys::most)), Use::negotiated);
}

TEST_F(PinnedKeys, OutliveTheProcess) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto known = KnownKeys::pinned(path());
        if (!known) _exit(1);
        (*known)->add(key(1), false);
        (*known)->add(key(2), true);
        raise(SIGKILL);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    const auto known = KnownKeys::pinned(path()).value();
    EXPECT_FALSE(known->refused());
    EXPECT_EQ(known->use(key(1)), Use::negotiated);
    EXPECT_EQ(known->use(key(2)), Use::manual);
    EXPECT_EQ(known->use(key(3)), Use::none);
}

TEST_F(PinnedKeys, OfAnotherLayoutOrDamagedAreRefusedAndMadeAnew) {
    for (const std::size_t word : {0, 1, 2, 3}) {
        unlink(path().c_str());
        KnownKeys::pinned(path()).value()->add(key(1), false);
        {
            const auto array = PinnedArray::open(path()).value();
            array.units()[0].words[word] += 1;
        }
        const auto known = KnownKeys::pinned(path()).value();
        ASSERT_TRUE(known->refused()) << word;
        EXPECT_EQ(known->use(key(1)), Use::none);
        known->add(key(2), false);
        const auto again = KnownKeys::pinned(path()).value();
        EXPECT_FALSE(again->refused());
        EXPECT_EQ(again->use(key(2)), Use::negotiated);
    }
}

TEST_F(PinnedKeys, SomethingElsePinnedThereIsRefused) {
    const int map = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 64, 10, nullptr);
    ASSERT_GE(map, 0);
    ASSERT_EQ(bpf_obj_pin(map, path().c_str()), 0);
    close(map);
    EXPECT_TRUE(KnownKeys::pinned(path()).value()->refused());
    unlink(path().c_str());
    ASSERT_TRUE(PinnedArray::make("small", 10).value().pin(path()));
    EXPECT_TRUE(KnownKeys::pinned(path()).value()->refused());
}
