// SPDX-License-Identifier: Apache-2.0
// The traffic of the soak test, by one thread: the hosts behind two gateways, and the link between the gateways.
//
//     soak-traffic WINDOW HOST-A TO-A TO-B HOST-B        each link as NAMESPACE:INTERFACE
//
// The hosts send numbered UDP packets in flows, as fast as they come through: of each direction never more than WINDOW are on their way, so
// that whatever is lost was in flight. The link carries frames from one gateway to the other, and mixes garbage in: one in ten is a frame
// of an unknown SPI, with a bad ICV, or one that it carried before. Lines on the standard input:
//     flow DIRECTION SOURCE DESTINATION MAC     0: from A to B; MAC of the gateway's red port
//     go, pause
//     storm       from now on packets may be lost, as a link is about to go down; none is given up meanwhile
//     calm        the links are up: each flow sends one packet at a time until one comes through, and then packets may not be lost any more
//     report      a line of counters: name=value ...
//     quit
#include "tests/soak/link.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <sstream>
#include <unistd.h>

namespace {

using namespace sallyport::soak;

constexpr std::size_t ethernet = 14, udp = 8;
constexpr std::uint32_t magic = 0x736f616b;
constexpr std::uint16_t port = 9000;
constexpr unsigned garbage_share = 9;    // one for so many frames carried
constexpr unsigned kept_frames = 256;    // that may be replayed, of each direction
constexpr unsigned states = 1U << 16;    // numbers of a flow whose fate is remembered
constexpr std::uint32_t patience = 5000; // ms after which a packet is lost
constexpr std::uint32_t storm_patience = 1000;
constexpr std::uint32_t probe_pause = 20; // ms

std::uint32_t milliseconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint32_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
}

struct Head { // of a UDP payload
    std::uint32_t magic;
    std::uint16_t flow, octets; // of the payload
    std::uint64_t number;
};

/// Octets that a payload has behind its head: no two places alike.
struct Pattern {
    Pattern() {
        std::uint64_t state = 88172645463325252U;
        for (std::uint8_t& one : octets) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            one = static_cast<std::uint8_t>(state);
        }
    }
    [[nodiscard]] const std::uint8_t* of(std::uint64_t number) const { return octets.data() + number * 61 % 4096; }
    std::array<std::uint8_t, 8192> octets;
};
const Pattern pattern;

enum class Fate : std::uint8_t { none, out, out_in_storm, come, lost, lost_in_storm };

struct Counters {
    std::uint64_t sent = 0, come = 0, twice = 0, damaged = 0, late = 0, lost = 0, lost_in_storm = 0, not_sent = 0;
};

/// Packets from one host to another, by number.
struct Flow {
    std::vector<std::uint8_t> header; // Ethernet, IP and UDP
    bool ipv6 = false;
    std::uint64_t next = 0, oldest = 0; // number; the first whose fate may be open
    std::uint64_t probe = 0;            // its first number since the storm
    bool through = true;                // one of those has come
    std::vector<Fate> fates = std::vector<Fate>(states);
    std::vector<std::uint32_t> times = std::vector<std::uint32_t>(states);

    [[nodiscard]] Fate& fate(std::uint64_t number) { return fates[number % states]; }
    [[nodiscard]] std::uint32_t& time(std::uint64_t number) { return times[number % states]; }
};

std::uint16_t ones_sum(const std::uint8_t* data, std::size_t octets) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < octets; i += 2) sum += static_cast<std::uint32_t>(data[i] << 8 | data[i + 1]);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

void store16(std::uint8_t* to, std::size_t value) {
    to[0] = static_cast<std::uint8_t>(value >> 8);
    to[1] = static_cast<std::uint8_t>(value);
}

/// Both hosts' view of one direction.
class Direction {
public:
    Direction(Link& from, Link& to, unsigned window) : from_(from), to_(to), window_(window) {}

    bool add_flow(const std::string& source, const std::string& destination, const std::string& mac) {
        Flow flow;
        flow.ipv6 = source.find(':') != std::string::npos;
        const std::size_t network = flow.ipv6 ? 40 : 20;
        flow.header.resize(ethernet + network + udp);
        std::uint8_t* at = flow.header.data();
        if (std::sscanf(mac.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", at, at + 1, at + 2, at + 3, at + 4, at + 5) != 6) return false;
        at[6] = 2;
        store16(at + 12, flow.ipv6 ? 0x86dd : 0x0800);
        at += ethernet;
        const int family = flow.ipv6 ? AF_INET6 : AF_INET;
        at[0] = flow.ipv6 ? 0x60 : 0x45;
        at[flow.ipv6 ? 6 : 9] = IPPROTO_UDP;
        at[flow.ipv6 ? 7 : 8] = 64;
        if (inet_pton(family, source.c_str(), at + (flow.ipv6 ? 8 : 12)) != 1 ||
            inet_pton(family, destination.c_str(), at + (flow.ipv6 ? 24 : 16)) != 1)
            return false;
        at += network;
        store16(at, port);
        store16(at + 2, port + flows_.size());
        flows_.push_back(std::move(flow));
        return true;
    }

    /// What the window lets out, in runs of one flow. True: something was sent.
    bool send(std::uint32_t now) {
        if (flows_.empty()) return false;
        if (probing_) return send_probes(now);
        const unsigned room = outstanding_ < window_ ? static_cast<unsigned>(std::min<std::uint64_t>(window_ - outstanding_, burst)) : 0;
        if (room == 0) return false;
        for (unsigned i = 0; i < room; ++i) write(flows_[(turn_ + i / 8) % flows_.size()], now);
        turn_ += (room + 7) / 8;
        return put_out() != 0;
    }

    bool receive() {
        const auto come = to_.receive();
        for (const Octets frame : come) judge(frame);
        return !come.empty();
    }

    void storm() {
        storm_ = true;
        for (Flow& flow : flows_)
            for (std::uint64_t number = flow.oldest; number < flow.next; ++number)
                if (flow.fate(number) == Fate::out) flow.fate(number) = Fate::out_in_storm;
    }
    void calm() {
        storm_ = probing_ = true;
        for (Flow& flow : flows_) {
            flow.probe = flow.next;
            flow.through = false;
        }
    }
    /// Packets whose time is over are lost.
    void look(std::uint32_t now) {
        if (probing_ && std::ranges::all_of(flows_, &Flow::through)) {
            storm_ = probing_ = false;
            calm_since_ = now;
        }
        if (storm_) return;
        for (Flow& flow : flows_)
            for (; flow.oldest < flow.next; ++flow.oldest) {
                Fate& fate = flow.fate(flow.oldest);
                if (fate != Fate::out && fate != Fate::out_in_storm) continue;
                const bool in_storm = fate == Fate::out_in_storm;
                const std::uint32_t age = in_storm ? now - calm_since_ : now - flow.time(flow.oldest);
                if (age < (in_storm ? storm_patience : patience)) break;
                fate = in_storm ? Fate::lost_in_storm : Fate::lost;
                ++(in_storm ? counters_.lost_in_storm : counters_.lost);
                --outstanding_;
            }
    }
    void report(const std::string& name, std::ostream& out) {
        out << name << ".sent=" << counters_.sent << ' ' << name << ".come=" << counters_.come << ' ' << name
            << ".twice=" << counters_.twice << ' ' << name << ".damaged=" << counters_.damaged << ' ' << name << ".late=" << counters_.late
            << ' ' << name << ".lost=" << counters_.lost << ' ' << name << ".lost_in_storm=" << counters_.lost_in_storm << ' ' << name
            << ".not_sent=" << counters_.not_sent << ' ' << name << ".outstanding=" << outstanding_ << ' ' << name << ".storm=" << storm_
            << ' ';
    }

private:
    bool send_probes(std::uint32_t now) {
        if (now - probed_ < probe_pause || outstanding_ > 2 * window_) return false;
        probed_ = now;
        for (Flow& flow : flows_)
            if (!flow.through) write(flow, now);
        return put_out() != 0;
    }

    /// The flow's next packet, into the outbox.
    void write(Flow& flow, std::uint32_t now) {
        const std::uint64_t number = flow.next++;
        // A third short, a third long, a third in between.
        const std::uint64_t chance = number * 0x9e3779b97f4a7c15U >> 33;
        const std::size_t longest = 1400 - (flow.header.size() - ethernet);
        const std::size_t octets = chance % 3 == 0   ? 24 + chance / 3 % 64
                                   : chance % 3 == 1 ? longest - chance / 3 % 32
                                                     : 24 + chance / 3 % (longest - 24);
        std::uint8_t* frame = out_.room();
        std::memcpy(frame, flow.header.data(), flow.header.size());
        std::uint8_t* at = frame + ethernet;
        const std::size_t network = flow.header.size() - ethernet - udp;
        if (flow.ipv6) {
            store16(at + 4, udp + octets);
        } else {
            store16(at + 2, network + udp + octets);
            store16(at + 10, ones_sum(at, network));
        }
        at += network;
        store16(at + 4, udp + octets);
        const Head head{magic, static_cast<std::uint16_t>(&flow - flows_.data()), static_cast<std::uint16_t>(octets), number};
        std::memcpy(at + udp, &head, sizeof head);
        std::memcpy(at + udp + sizeof head, pattern.of(number), octets - sizeof head);
        out_.added(flow.header.size() + octets);
        flow.fate(number) = storm_ ? Fate::out_in_storm : Fate::out;
        flow.time(number) = now;
        written_.push_back({&flow, number});
    }

    /// Sends the outbox: how many the link took. What it refused is as if it had never been.
    unsigned put_out() {
        const unsigned count = out_.count();
        outstanding_ += count;
        counters_.sent += count;
        from_.send(out_, refused_);
        for (const unsigned place : refused_) {
            const auto [flow, number] = written_[place];
            flow->fate(number) = Fate::none;
            --outstanding_;
            --counters_.sent;
            ++counters_.not_sent;
        }
        out_.clear();
        written_.clear();
        return count - static_cast<unsigned>(refused_.size());
    }

    void judge(Octets frame) {
        const std::size_t network = frame.size() > ethernet && frame[12] == 0x86 ? 40 : 20;
        const std::size_t begin = ethernet + network + udp;
        Head head{};
        if (frame.size() < begin + sizeof head) return; // the kernels' own housekeeping
        std::memcpy(&head, frame.data() + begin, sizeof head);
        if (head.magic != magic) return;
        Flow* flow = head.flow < flows_.size() ? &flows_[head.flow] : nullptr;
        const bool whole = flow != nullptr && head.octets == frame.size() - begin && head.number < flow->next &&
                           std::memcmp(frame.data() + begin + sizeof head, pattern.of(head.number), head.octets - sizeof head) == 0;
        if (!whole) {
            ++counters_.damaged;
            return;
        }
        if (head.number >= flow->probe) flow->through = true;
        arrive(*flow, head.number);
    }

    void arrive(Flow& flow, std::uint64_t number) {
        Fate& fate = flow.fate(number);
        if (flow.next - number > states || fate == Fate::come || fate == Fate::none) {
            ++counters_.twice;
            return;
        }
        ++counters_.come;
        if (fate == Fate::lost || fate == Fate::lost_in_storm) {
            ++counters_.late;
            --(fate == Fate::lost ? counters_.lost : counters_.lost_in_storm);
        } else {
            --outstanding_;
        }
        fate = Fate::come;
    }

    Link& from_;
    Link& to_;
    std::uint64_t window_, outstanding_ = 0;
    std::vector<Flow> flows_;
    Outbox out_;
    struct Written {
        Flow* flow;
        std::uint64_t number;
    };
    std::vector<Written> written_; // beside out_
    std::vector<unsigned> refused_;
    std::size_t turn_ = 0;
    bool storm_ = false, probing_ = false;
    std::uint32_t calm_since_ = 0, probed_ = 0;
    Counters counters_;
};

/// One way of the link between the gateways.
class Carrier {
public:
    Carrier(Link& from, Link& to) : from_(from), to_(to) {}

    bool run() {
        const auto come = from_.receive();
        if (come.empty()) return false;
        for (const Octets frame : come) carry(frame);
        to_.send(out_, refused_);
        for (const unsigned place : refused_) {
            ++(kinds_[place] == good ? refused_good_ : kinds_[place] == other ? refused_others_ : refused_garbage_);
            kinds_[place] = other; // what never arrived is no replay
        }
        for (unsigned i = 0; i < out_.count(); ++i)
            if (kinds_[i] == good) kept_[++kept_count_ % kept_frames].assign(out_[i].begin(), out_[i].end());
        out_.clear();
        kinds_.clear();
        return true;
    }
    void report(const std::string& name, std::ostream& out) {
        out << name << ".carried=" << carried_ << ' ' << name << ".others=" << others_ << ' ' << name << ".refused=" << refused_good_ << ' '
            << name << ".unknown_spi=" << made_[0] << ' ' << name << ".bad_icv=" << made_[1] << ' ' << name << ".replays=" << made_[2]
            << ' ' << name << ".garbage_refused=" << refused_garbage_ << ' ' << name << ".others_refused=" << refused_others_ << ' ' << name
            << ".overflown=" << from_.overflown() << ' ';
    }

private:
    enum Kind : std::uint8_t { good, garbage, other };

    void put(Octets frame, Kind kind) {
        out_.add(frame);
        kinds_.push_back(kind);
    }

    void carry(Octets frame) {
        const bool ipv6 = frame.size() > ethernet + 48 && frame[12] == 0x86 && frame[ethernet + 6] == IPPROTO_ESP;
        const bool ipv4 = frame.size() > ethernet + 28 && frame[12] == 0x08 && frame[13] == 0 && frame[ethernet + 9] == IPPROTO_ESP;
        if (!ipv4 && !ipv6) {
            ++others_;
            return put(frame, other);
        }
        ++carried_;
        const bool mix = carried_ % garbage_share == 0;
        if (mix && turn_ == 1) { // before the good one, whose number would be a replay then
            frame.back() ^= 1;
            put(frame, garbage);
            frame.back() ^= 1;
        }
        put(frame, good);
        if (!mix) return;
        if (turn_ == 0) {
            std::uint8_t& spi = frame[ethernet + (ipv6 ? 40 : 20)];
            spi ^= 0x80; // the gateways give out none with this bit
            put(frame, garbage);
        } else if (turn_ == 2) {
            std::vector<std::uint8_t>& again = kept_[carried_ * 7 % kept_frames];
            if (again.empty()) return; // not so many yet
            put(again, garbage);
        }
        ++made_[turn_];
        turn_ = (turn_ + 1) % 3;
    }

    Link& from_;
    Link& to_;
    Outbox out_;
    std::vector<Kind> kinds_; // beside out_
    std::vector<unsigned> refused_;
    std::array<std::vector<std::uint8_t>, kept_frames> kept_; // that arrived
    std::uint64_t kept_count_ = 0;
    std::array<std::uint64_t, 3> made_{};
    unsigned turn_ = 0;
    std::uint64_t carried_ = 0, others_ = 0, refused_good_ = 0, refused_garbage_ = 0, refused_others_ = 0;
};

class Traffic {
public:
    Traffic(unsigned window, char** links)
        : host_a_(links[0]), to_a_(links[1]), to_b_(links[2]), host_b_(links[3]),
          directions_{Direction(host_a_, host_b_, window), Direction(host_b_, host_a_, window)},
          carriers_{Carrier(to_a_, to_b_), Carrier(to_b_, to_a_)} {
        fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    }

    void run() {
        while (!over_) {
            const std::uint32_t now = milliseconds();
            bool busy = false;
            for (unsigned again = 0; again < 16; ++again) {
                for (Carrier& carrier : carriers_) busy |= carrier.run();
                for (Direction& direction : directions_) {
                    busy |= direction.receive();
                    if (going_) busy |= direction.send(now);
                }
            }
            if (now - looked_ >= 50) {
                for (Direction& direction : directions_) direction.look(now);
                looked_ = now;
            }
            listen(busy);
        }
    }

private:
    /// Commands; with nothing to do it waits a moment for a frame.
    void listen(bool busy) {
        std::array<pollfd, 5> waits{{{STDIN_FILENO, POLLIN, 0},
                                     {host_a_.descriptor(), POLLIN, 0},
                                     {to_a_.descriptor(), POLLIN, 0},
                                     {to_b_.descriptor(), POLLIN, 0},
                                     {host_b_.descriptor(), POLLIN, 0}}};
        if (poll(waits.data(), busy ? 1 : waits.size(), busy ? 0 : 1) <= 0 || waits[0].revents == 0) return;
        std::array<char, 4096> text;
        const ssize_t count = read(STDIN_FILENO, text.data(), text.size());
        if (count == 0) over_ = true;
        if (count > 0) said_.append(text.data(), static_cast<std::size_t>(count));
        for (std::size_t end; (end = said_.find('\n')) != std::string::npos; said_.erase(0, end + 1)) obey(said_.substr(0, end));
    }

    void obey(const std::string& line) {
        std::istringstream words(line);
        std::string command;
        words >> command;
        if (command == "flow") {
            unsigned direction = 2;
            std::string source, destination, mac;
            words >> direction >> source >> destination >> mac;
            if (direction > 1 || !directions_[direction].add_flow(source, destination, mac)) {
                std::fprintf(stderr, "no flow: %s\n", line.c_str());
                std::exit(1);
            }
        } else if (command == "go" || command == "pause") {
            going_ = command == "go";
        } else if (command == "storm") {
            for (Direction& direction : directions_) direction.storm();
        } else if (command == "calm") {
            for (Direction& direction : directions_) direction.calm();
        } else if (command == "report") {
            report();
        } else {
            over_ = true;
        }
    }

    void report() {
        std::ostringstream out;
        for (unsigned i = 0; i < 2; ++i) {
            directions_[i].report(i == 0 ? "ab" : "ba", out);
            carriers_[i].report(i == 0 ? "ab" : "ba", out);
        }
        out << "a.overflown=" << host_a_.overflown() << " b.overflown=" << host_b_.overflown();
        std::puts(out.str().c_str());
        std::fflush(stdout);
    }

    Link host_a_, to_a_, to_b_, host_b_;
    std::array<Direction, 2> directions_;
    std::array<Carrier, 2> carriers_;
    bool going_ = false, over_ = false;
    std::uint32_t looked_ = 0;
    std::string said_;
};

} // namespace

int main(int argc, char** argv) {
    const int window = argc == 6 ? std::atoi(argv[1]) : 0;
    if (window < 1 || window > 4096) {
        std::fprintf(stderr, "usage: soak-traffic WINDOW HOST-A TO-A TO-B HOST-B\n");
        return 2;
    }
    const auto traffic = std::make_unique<Traffic>(static_cast<unsigned>(window), argv + 2);
    traffic->run();
    return 0;
}
