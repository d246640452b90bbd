// SPDX-License-Identifier: Apache-2.0
// A gateway that is none, and its control socket served by a thread: for tests of the socket and of the command line.
#pragma once

#include "mgmt/control/server.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <mutex>
#include <string>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>

#include <systemd/sd-event.h>

namespace sallyport::varlink {

class FakeHandlers : public Handlers {
public:
    StatusView status() override {
        StatusView view;
        view.version = "9.9";
        view.pid = 77;
        view.started = 1700000000;
        view.key_generation = 4;
        view.configuration = "/etc/sallyport/sallyport.toml";
        view.generation = generation;
        view.engine = "ipsec-mb";
        view.chunks = {.all = 16384, .free = 12000, .receiving = 4096, .transmitting = 250, .waiting = 6, .kept = 30, .in_hand = 2};
        view.sas = sa_count;
        view.workers = {{0, 2, 10, 20, 3, 4, 100, 50}, {1, std::nullopt, 0, 0, 0, 0, 0, 0}};
        view.ports = {{"wan0", "black", true, true, "native", "veth", "02:00:00:00:00:01", 1500, {{0, "wan"}}},
                      {"lan0", "red", true, false, "generic", "veth", "02:00:00:00:00:02", 1500, {{7, "office"}}}};
        view.connections = {{"branch", "198.51.100.1", "office", true, ""},
                            {"lab", "198.51.100.2", "wan", false, "the link of lan0 is down"}};
        return view;
    }

    Part<SaView> sas(std::size_t first, std::size_t count) override {
        std::vector<SaView> all;
        for (std::size_t i = 0; i < sa_count; ++i)
            all.push_back({.name = "c" + std::to_string(i / 2),
                           .direction = i % 2 == 0 ? "outbound" : "inbound",
                           .child = 3,
                           .generation = 4,
                           .state = "outbound-switched",
                           .spi = static_cast<std::uint32_t>(0x1000 + i),
                           .local = "192.0.2.1",
                           .remote = "198.51.100.1",
                           .udp_port = 4500,
                           .outer_vpn = "wan",
                           .vpn = "office",
                           .protocol = "esp",
                           .mode = "tunnel",
                           .algorithm = "aes-256-gcm",
                           .esn = true,
                           .refused = i % 2 == 0 ? "" : "there is no durable mark",
                           .remedy = i % 2 == 0 ? "" : "sallyport marks --create",
                           .sequence = 1ULL << 40,
                           .mark = 1ULL << 41,
                           .window = 1024,
                           .worker = 1,
                           .path_mtu = 1500,
                           .largest_inner = 1446,
                           .packets = 5,
                           .octets = 6,
                           .errors = 7,
                           .selectors = {"10.1.0.0/16 - 10.2.0.0/16"}});
        const std::size_t total = all.size();
        all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(first, total)));
        all.resize(std::min(count, all.size()));
        return {std::move(all), total};
    }

    std::vector<PolicyView> policies() override {
        return {{"branch", "office", 1000, "protect", "both", "branch", false, {"10.1.0.0/16 - 10.2.0.0/16"}},
                {"printer", "wan", 2000, "bypass", "outbound", "", true, {"a", "b"}}};
    }

    std::vector<CounterView> counters() override {
        if (broken) throw std::runtime_error("no memory");
        return {{"drop", "", "bad_icv", 3, "the integrity check failed", "compare the keys"},
                {"drop", "", "replayed", 0, "seen before", "look"},
                {"kernel", "wan0", "pass", 12, "to the kernel", ""},
                {"socket", "lan0", "ring_full", 0, "the receive ring was full", "look"}};
    }

    Result<std::vector<ExplanationView>> explain(const QuestionView& given) override {
        question = given;
        if (broken) return std::unexpected(Error{ErrorCode::missing, "wan7 is no port", "wan7", "look at the ports"});
        return std::vector<ExplanationView>{{"as a clear packet",
                                             {{"program", "to the gateway", "", ""}, {"policy", "protect", "branch", "f.toml:7"}},
                                             "dropped",
                                             "bad_icv",
                                             "compare the keys",
                                             ""},
                                            {"out of a tunnel", {{"send", "98 octets", "", ""}}, "sent", "", "", "lan0"}};
    }

    Result<DetachView> detach() override {
        if (broken) return std::unexpected(Error{ErrorCode::system, "the link cannot be removed", "wan0", "do it by hand"});
        detached = true;
        return DetachView{{"lan0", "wan0"}, {"sp-wan"}, true};
    }

    std::expected<std::uint64_t, ReloadError> reload(const std::optional<std::string>& file) override {
        asked = file;
        if (broken)
            return std::unexpected(
                ReloadError{{ErrorCode::invalid, "the configuration has 2 mistakes", {}, {}}, {"f:1:2: one", "f:3:4: two"}});
        return ++generation;
    }

    /// What it was handed, as text.
    Result<void> install(Caller caller, const InstallCall& call, int memfd) override {
        std::string octets(64, '\0');
        const ssize_t size = pread(memfd, octets.data(), octets.size(), 0);
        octets.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
        installed.push_back(std::format("{} {} {} {} {}", call.version, call.generation, call.count, call.hold, octets));
        last_caller = caller;
        if (broken) return std::unexpected(Error{ErrorCode::invalid, "SPIs below 256 are reserved", "install[3] spi", {}});
        return {};
    }
    Result<void> commit(Caller caller, std::uint64_t given) override {
        if (caller != last_caller) return std::unexpected(Error{ErrorCode::missing, "nothing is held", "generation", {}});
        installed.push_back(std::format("commit {}", given));
        return {};
    }
    void closed(Caller caller) override {
        if (caller == last_caller) ++callers_gone;
    }
    Result<std::vector<std::uint32_t>> reserve_spis(std::uint32_t count, std::uint32_t block) override {
        if (block == 3) return std::unexpected(Error{ErrorCode::invalid, "a block has 1, 2, 4, ... 256 SPIs", "block", {}});
        std::vector<std::uint32_t> spis;
        for (std::uint32_t i = 0; i < count; ++i) spis.push_back(0x1000 + i * block);
        return spis;
    }
    Result<std::size_t> release_spis(const std::vector<std::uint32_t>& spis) override { return spis.size(); }
    Result<void> add_ike_spis(const std::vector<std::uint64_t>& spis, std::uint64_t given) override {
        for (const std::uint64_t spi : spis) ike.push_back({spi, given});
        return {};
    }
    Result<std::size_t> remove_ike_spis(const std::vector<std::uint64_t>& spis) override {
        return std::erase_if(ike, [&](const IkeSpiView& one) { return std::ranges::find(spis, one.spi) != spis.end(); });
    }
    Part<IkeSpiView> ike_spis(std::size_t first, std::size_t) override {
        return {{ike.begin() + static_cast<std::ptrdiff_t>(std::min(first, ike.size())), ike.end()}, ike.size()};
    }

    std::vector<std::string> installed;
    Caller last_caller = nullptr;
    std::atomic<unsigned> callers_gone{0};
    std::vector<IkeSpiView> ike;
    std::size_t sa_count = 2;
    bool broken = false;
    bool detached = false;
    std::uint64_t generation = 1;
    std::optional<std::string> asked;
    QuestionView question;
};

class ServedHandlers : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "sallyport-control-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        folder = pattern;
        path = folder + "/gateway.varlink";
        ASSERT_GE(sd_event_new(&loop), 0);
        auto made = Server::listen(path, handlers, loop);
        ASSERT_TRUE(made) << made.error().sentence;
        server = std::move(*made);
        stop = eventfd(0, EFD_CLOEXEC);
        sd_event_add_io(
            loop, nullptr, stop, 1 /* EPOLLIN */,
            [](sd_event_source* source, int, unsigned, void*) { return sd_event_exit(sd_event_source_get_event(source), 0); }, nullptr);
        posted = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        sd_event_add_io(
            loop, nullptr, posted, 1 /* EPOLLIN */,
            [](sd_event_source*, int fd, unsigned, void* self) {
                eventfd_t ignored = 0;
                (void)eventfd_read(fd, &ignored);
                static_cast<ServedHandlers*>(self)->publish();
                return 0;
            },
            this);
        thread = std::thread([this] { sd_event_loop(loop); });
    }

    void TearDown() override {
        if (thread.joinable()) {
            eventfd_write(stop, 1);
            thread.join();
        }
        server.reset();
        sd_event_unref(loop);
        close(stop);
        close(posted);
        std::filesystem::remove_all(folder);
    }

    /// An event happens, `times` times in one moment.
    void post(const EventView& event, unsigned times = 1) {
        {
            const std::scoped_lock lock(mutex);
            waiting.insert(waiting.end(), times, event);
        }
        (void)eventfd_write(posted, 1);
    }

    FakeHandlers handlers;
    std::string folder, path;
    std::unique_ptr<Server> server;

private:
    void publish() {
        const std::scoped_lock lock(mutex);
        for (const EventView& event : waiting) server->publish(event);
        waiting.clear();
    }

    sd_event* loop = nullptr;
    std::mutex mutex;
    std::vector<EventView> waiting;
    int stop = -1, posted = -1;
    std::thread thread;
};

} // namespace sallyport::varlink
