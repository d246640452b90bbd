// SPDX-License-Identifier: Apache-2.0
// The test is the service manager: it listens at NOTIFY_SOCKET, and passes descriptors to a process of its own.
#include "mgmt/daemon/descriptor_store.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sallyport::daemon {
namespace {

Descriptor memory() { return Descriptor(memfd_create("test", MFD_CLOEXEC)); }

ino_t inode_of(int descriptor) {
    struct stat about{};
    return fstat(descriptor, &about) == 0 ? about.st_ino : 0;
}

class Manager : public testing::Test {
protected:
    struct Message {
        std::string text;
        Descriptor descriptor;
    };

    void SetUp() override {
        socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const std::string name = "sallyport-store-test-" + std::to_string(getpid()); // abstract: nothing is left behind
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::memcpy(address.sun_path + 1, name.data(), name.size());
        const auto octets = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        ASSERT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), octets), 0);
        setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
    }
    void TearDown() override { unsetenv("NOTIFY_SOCKET"); }

    /// The next message; empty text: none waits.
    Message next() {
        std::array<char, 512> text{};
        alignas(cmsghdr) std::array<char, 256> control{};
        iovec part{.iov_base = text.data(), .iov_len = text.size()};
        msghdr header{};
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        const ssize_t octets = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
        Message message;
        if (octets > 0) message.text.assign(text.data(), static_cast<std::size_t>(octets));
        for (cmsghdr* one = CMSG_FIRSTHDR(&header); one != nullptr; one = CMSG_NXTHDR(&header, one))
            if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SCM_RIGHTS) {
                int descriptor = -1;
                std::memcpy(&descriptor, CMSG_DATA(one), sizeof descriptor);
                message.descriptor = Descriptor(descriptor);
            }
        return message;
    }

    Descriptor socket_;
};

TEST_F(Manager, KeepsUnderOneNameOne) {
    DescriptorStore store;
    const Descriptor first = memory(), second = memory();
    ASSERT_TRUE(store.keep("umem", first.get()));
    Message told = next();
    EXPECT_EQ(told.text, "FDSTORE=1\nFDPOLL=0\nFDNAME=umem");
    EXPECT_EQ(inode_of(told.descriptor.get()), inode_of(first.get()));
    ASSERT_TRUE(store.keep("umem", second.get()));
    EXPECT_EQ(next().text, "FDSTOREREMOVE=1\nFDNAME=umem");
    told = next();
    EXPECT_EQ(inode_of(told.descriptor.get()), inode_of(second.get()));
    store.forget("umem");
    EXPECT_EQ(next().text, "FDSTOREREMOVE=1\nFDNAME=umem");
    store.forget("umem"); // it knows that there is nothing any more
    EXPECT_EQ(next().text, "");
}

TEST_F(Manager, ForgetsByTheBeginningOfTheName) {
    DescriptorStore store;
    for (const char* name : {"xsk-0-0", "sas", "xsk-memory"}) ASSERT_TRUE(store.keep(name, memory().get()));
    for (int i = 0; i < 3; ++i) (void)next();
    store.forget_all("xsk-");
    EXPECT_EQ(next().text, "FDSTOREREMOVE=1\nFDNAME=xsk-0-0");
    EXPECT_EQ(next().text, "FDSTOREREMOVE=1\nFDNAME=xsk-memory");
    EXPECT_EQ(next().text, "");
}

TEST_F(Manager, ADescriptorThatIsNoneIsRefused) {
    DescriptorStore store;
    EXPECT_FALSE(store.keep("umem", -1));
}

TEST(NoManager, NothingIsKeptAndNothingGoesWrong) {
    unsetenv("NOTIFY_SOCKET");
    DescriptorStore store;
    EXPECT_TRUE(store.keep("umem", memory().get()));
    EXPECT_FALSE(store.take("umem"));
    store.settle();
}

/// In a child: what is passed lies at descriptor 3 and on.
TEST_F(Manager, WhatWasPassedIsTakenOnceAndLeftoversGo) {
    const Descriptor first = memory(), second = memory(), third = memory();
    const pid_t child = fork();
    if (child == 0) {
        const std::array originals{fcntl(first.get(), F_DUPFD, 100), fcntl(second.get(), F_DUPFD, 100), fcntl(third.get(), F_DUPFD, 100)};
        for (int i = 0; i < 3; ++i) dup2(originals[static_cast<std::size_t>(i)], 3 + i);
        setenv("LISTEN_FDS", "3", 1);
        setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
        setenv("LISTEN_FDNAMES", "ports:umem:of-another-release", 1);
        DescriptorStore store;
        const Descriptor taken = store.take("umem");
        const bool right = inode_of(taken.get()) == inode_of(originals[1]) && (fcntl(taken.get(), F_GETFD) & FD_CLOEXEC) != 0 &&
                           !store.take("umem") && store.take("ports") && std::getenv("LISTEN_FDS") == nullptr;
        store.forget_leftovers();
        _exit(right && fcntl(5, F_GETFD) < 0 ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(next().text, "FDSTOREREMOVE=1\nFDNAME=of-another-release");
    EXPECT_EQ(next().text, "");
}

} // namespace
} // namespace sallyport::daemon
