// SPDX-License-Identifier: Apache-2.0
// Any octets on the control socket, as the messages of one connection with a descriptor beside them: no call breaks the server, and what
// the handlers get is what the interface promises them.
#include "mgmt/control/server.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <systemd/sd-event.h>

namespace {

using namespace sallyport;
using namespace sallyport::varlink;

void check(bool good) {
    if (!good) std::abort();
}

class Fake final : public Handlers {
public:
    StatusView status() override { return {}; }
    Part<SaView> sas(std::size_t first, std::size_t count) override {
        check(count <= 500);
        return {{}, first};
    }
    std::vector<PolicyView> policies() override { return {{}}; }
    std::vector<CounterView> counters() override { return {{}}; }
    Result<std::vector<ExplanationView>> explain(const QuestionView& question) override {
        check(question.octets.size() <= 16384);
        return std::vector<ExplanationView>{{}};
    }
    Result<DetachView> detach() override { return DetachView{}; }
    std::expected<std::uint64_t, ReloadError> reload(const std::optional<std::string>& file) override {
        if (file) return std::unexpected(ReloadError{{ErrorCode::invalid, *file, {}, {}}, {*file}});
        return 1;
    }
    Result<void> install(Caller caller, const InstallCall&, int memfd) override {
        check(caller != nullptr && fcntl(memfd, F_GETFD) >= 0);
        return {};
    }
    Result<void> commit(Caller, std::uint64_t) override { return {}; }
    void closed(Caller) override {}
    Result<std::vector<std::uint32_t>> reserve_spis(std::uint32_t count, std::uint32_t block) override {
        check(count != 0 && block != 0);
        return std::vector<std::uint32_t>{count};
    }
    Result<std::size_t> release_spis(const std::vector<std::uint32_t>& spis) override { return spis.size(); }
    Result<void> add_ike_spis(const std::vector<std::uint64_t>&, std::uint64_t) override { return {}; }
    Result<std::size_t> remove_ike_spis(const std::vector<std::uint64_t>& spis) override { return spis.size(); }
    Part<IkeSpiView> ike_spis(std::size_t first, std::size_t) override { return {{{}}, first}; }
};

struct World {
    World() {
        check(sd_event_new(&loop) >= 0);
        auto made = Server::listen(path, handlers, loop);
        check(made.has_value());
        server = std::move(*made);
    }
    /// What is there to do, and the answers read, so that none of them stops the server.
    void run(int link) const {
        std::array<char, 65536> answers;
        for (int done = 1; done > 0;) {
            done = sd_event_run(loop, 0);
            while (link >= 0 && recv(link, answers.data(), answers.size(), MSG_DONTWAIT) > 0) done = 1;
        }
    }
    Fake handlers;
    sd_event* loop = nullptr;
    std::string path = "/tmp/sallyport-fuzz-" + std::to_string(getpid());
    std::unique_ptr<Server> server;
};

/// The octets, and a descriptor beside the first of them.
void send_all(int link, const std::uint8_t* data, std::size_t size) {
    const int beside = open("/dev/null", O_RDONLY | O_CLOEXEC);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof beside)> room{};
    iovec part{const_cast<std::uint8_t*>(data), size}; // NOLINT(cppcoreguidelines-pro-type-const-cast): it is only read
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof beside);
    std::memcpy(CMSG_DATA(header), &beside, sizeof beside);
    check(sendmsg(link, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(size));
    close(beside);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static World world;
    if (size == 0 || size > 16384) return 0;
    const int link = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(link >= 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    world.path.copy(address.sun_path, sizeof address.sun_path - 1);
    check(connect(link, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    send_all(link, data, size);
    world.run(link);
    close(link);
    world.run(-1);
    return 0;
}
