// SPDX-License-Identifier: Apache-2.0
// A numbered UDP stream, for bench/peers.py.
//     bench-peers send FROM TO SIZE RATE SECONDS RUN    packets of SIZE octets, IP header included, RATE a second; prints how many, and
//     seconds bench-peers receive AT                            for each line "RUN" on stdin: how many different ones of this run have
//     come, once
//                                                       none has come for 100 ms
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

constexpr std::uint16_t port = 7100;
constexpr unsigned headers = 28; // IPv4, UDP
constexpr unsigned burst = 16;
constexpr std::size_t most = std::size_t{1} << 24; // packets of a run

struct Mark {
    std::uint32_t run, number;
};

sockaddr_in address(const char* text, std::uint16_t at) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(at);
    if (inet_pton(AF_INET, text, &result.sin_addr) != 1) std::exit(2);
    return result;
}

int bound(const char* text, std::uint16_t at) {
    const int one = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const sockaddr_in here = address(text, at);
    const int size = 64 << 20, never = IP_PMTUDISC_DONT; // a router whose way is narrow cuts them
    if (one < 0 || bind(one, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
        setsockopt(one, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0 ||
        setsockopt(one, IPPROTO_IP, IP_MTU_DISCOVER, &never, sizeof never) != 0) {
        std::perror(text);
        std::exit(1);
    }
    return one;
}

/// Room for a burst of packets that all begin with a mark.
struct Burst {
    explicit Burst(std::size_t size) : octets(burst * size) {
        for (unsigned i = 0; i < burst; ++i) {
            parts[i] = {octets.data() + i * size, size};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
    }
    [[nodiscard]] char* at(unsigned i) const { return static_cast<char*>(parts[i].iov_base); }

    std::vector<char> octets;
    std::array<iovec, burst> parts{};
    std::array<mmsghdr, burst> messages{};
};

int send_stream(char** words) {
    const int link = bound(words[0], port);
    const sockaddr_in far = address(words[1], port);
    if (connect(link, reinterpret_cast<const sockaddr*>(&far), sizeof far) != 0) return std::perror(words[1]), 1;
    const auto size = static_cast<std::size_t>(std::atoi(words[2]));
    const double rate = std::atof(words[3]), time = std::atof(words[4]);
    Mark mark{.run = static_cast<std::uint32_t>(std::atoi(words[5])), .number = 0};
    if (size < headers + sizeof mark || rate <= 0 || rate * time > most) return 2;
    Burst packets(size - headers);
    const auto step = static_cast<long>(1e9 * burst / rate);
    const auto bursts = static_cast<std::uint64_t>(rate * time / burst);
    timespec next{};
    clock_gettime(CLOCK_MONOTONIC, &next);
    const timespec first = next;
    for (std::uint64_t i = 0; i < bursts; ++i) {
        for (unsigned j = 0; j < burst; ++j, ++mark.number) std::memcpy(packets.at(j), &mark, sizeof mark);
        for (int sent = 0; sent < static_cast<int>(burst);) {
            const int count = sendmmsg(link, &packets.messages[static_cast<unsigned>(sent)], burst - static_cast<unsigned>(sent), 0);
            if (count <= 0) return std::perror("sendmmsg"), 1;
            sent += count;
        }
        next.tv_nsec += step;
        next.tv_sec += next.tv_nsec / 1'000'000'000;
        next.tv_nsec %= 1'000'000'000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    }
    clock_gettime(CLOCK_MONOTONIC, &next);
    std::printf("%u %.3f\n", mark.number,
                static_cast<double>(next.tv_sec - first.tv_sec) + static_cast<double>(next.tv_nsec - first.tv_nsec) / 1e9);
    return 0;
}

class Receiver {
public:
    explicit Receiver(int link) : link_(link), thread_([this] { run(); }) {}
    ~Receiver() {
        stop_ = true;
        thread_.join();
    }
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    [[nodiscard]] std::uint64_t different(std::uint32_t run) {
        for (std::uint64_t before = come_ - 1; before != come_;) {
            before = come_;
            usleep(100'000);
        }
        return run == run_ ? different_.load() : 0;
    }

private:
    void run() {
        const timeval soon{.tv_sec = 0, .tv_usec = 20'000};
        setsockopt(link_, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
        Burst packets(2048);
        while (!stop_) {
            const int count = recvmmsg(link_, packets.messages.data(), burst, MSG_WAITFORONE, nullptr);
            for (int i = 0; i < count; ++i) take(packets.at(static_cast<unsigned>(i)));
        }
    }
    void take(const char* octets) {
        Mark mark;
        std::memcpy(&mark, octets, sizeof mark);
        if (mark.run != run_) {
            run_ = mark.run;
            different_ = 0;
            std::fill_n(seen_.get(), most, false);
        }
        ++come_;
        if (mark.number < most && !seen_[mark.number]) ++different_;
        if (mark.number < most) seen_[mark.number] = true;
    }

    int link_;
    std::unique_ptr<bool[]> seen_{new bool[most]()};
    std::atomic<std::uint32_t> run_ = 0;
    std::atomic<std::uint64_t> come_ = 0, different_ = 0;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

int receive_stream(const char* at) {
    Receiver receiver(bound(at, port));
    std::printf("ready\n");
    std::fflush(stdout);
    for (std::array<char, 32> line{}; std::fgets(line.data(), line.size(), stdin) != nullptr;) {
        std::printf("%llu\n", static_cast<unsigned long long>(receiver.different(static_cast<std::uint32_t>(std::atoi(line.data())))));
        std::fflush(stdout);
    }
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (what == "send" && argc == 8) return send_stream(argv + 2);
    if (what == "receive" && argc == 3) return receive_stream(argv[2]);
    std::fprintf(stderr, "bench-peers is part of ./dev bench peers\n");
    return 2;
}
