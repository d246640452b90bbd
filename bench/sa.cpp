// SPDX-License-Identifier: Apache-2.0
// What an SA costs beside packets: octets of memory, and time of the control thread when very many are installed by the door of those who
// negotiate keys, under traffic at a fifth of what the gateway carries. Each run is a whole gateway on veth pairs in a process of its own,
// lan0 - red0 [gateway] black0 - wan0; memory is what has grown, as the kernel, the allocator and the gateway count it.
//     bench-sa [--count PAIRS] [--series N] [--core N] [--json FILE]
#include "bench/bare.hpp"
#include "bench/measure.hpp"
#include "bench/stream.hpp"
#include "bench/veth.hpp"
#include "bench/world.hpp"
#include "gateway/control/gateway.hpp"
#include "gateway/sa/record.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <malloc.h>
#include <optional>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace sallyport;
using namespace sallyport::bench;

constexpr unsigned pairs_of_call = record::most_sas / 2;
constexpr VpnNumber red_vpn = 1;
constexpr double least_stream = 0.5; // seconds

double seconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

template <class T>
T must(Result<T> result) {
    if (!result) {
        std::fprintf(stderr, "%s\n", to_string(result.error()).c_str());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

Address ipv4(std::uint32_t value) {
    Address address;
    for (unsigned i = 0; i < 4; ++i) address.octets[i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
    return address;
}

/// Pair `number` is that of a peer of its own, with a key that nobody has used before and a network of its own behind it.
SaSpec spec_of(unsigned number, Direction direction) {
    SaSpec spec;
    spec.name = "branch-" + std::to_string(number);
    spec.direction = direction;
    spec.child = 1;
    spec.spi = 0x1000 + number;
    spec.outer_local = ipv4(0xc0000201U);
    spec.outer_remote = number == 0 ? ipv4(0xc0000202U) : ipv4(0x64000000U + number);
    spec.red_vpn = red_vpn;
    spec.algorithm = Algorithm::aes_128_gcm_16;
    spec.key.size = static_cast<std::uint8_t>(info(spec.algorithm).material());
    RAND_bytes(spec.key.octets.data(), spec.key.size);
    const std::uint32_t first = SaPairs::destination(number) - 1;
    spec.selectors = {{.local = {ipv4(0x0a000000), ipv4(0x0affffff)}, .remote = {ipv4(first), ipv4(first + 15)}}};
    spec.window = 1024;
    spec.manual = false;
    return spec;
}

/// A call of the door: pairs from `first` up to `end`, and a policy for the first one if `carries`.
class Call {
public:
    Call(unsigned first, unsigned end, bool carries = false) {
        record::Changes changes;
        for (unsigned number = first; number < end; ++number)
            for (const Direction direction : {Direction::inbound, Direction::outbound})
                changes.install.push_back(spec_of(number, direction));
        const SaSpec& sa = changes.install.back();
        if (carries)
            changes.policies.push_back({sa.name, red_vpn, 100, PolicyAction::protect, sa.selectors, sa.name, PolicyReach::both, {}});
        count_ = changes.sas() + changes.policies.size();
        std::vector<std::uint8_t> octets(must(record::encoded_size(changes)));
        must(record::encode(changes, octets));
        memfd_ = memfd_create("records", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        const bool good = write(memfd_, octets.data(), octets.size()) == static_cast<ssize_t>(octets.size()) &&
                          fcntl(memfd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
        if (!good) std::perror("memfd"), std::exit(1);
    }
    Call(Call&& other) noexcept : memfd_(std::exchange(other.memfd_, -1)), count_(other.count_) {}
    ~Call() {
        if (memfd_ >= 0) close(memfd_);
    }
    void install(control::Keying& door, std::uint64_t generation, bool hold) const {
        must(door.install(&door, {.version = record::version, .generation = generation, .count = count_, .hold = hold}, memfd_));
    }

private:
    int memfd_ = -1;
    std::size_t count_ = 0;
};

/// Octets, of the whole process.
struct Memory {
    double locked = 0; // hot parts and key contexts
    double units = 0;  // numbers, windows, counters: pinned
    double table = 0;  // what the next process finds, keys included
    double heap = 0;   // everything else, tables of the workers included

    Memory operator-(const Memory& other) const {
        return {locked - other.locked, units - other.units, table - other.table, heap - other.heap};
    }
    Memory operator/(double number) const { return {locked / number, units / number, table / number, heap / number}; }
    [[nodiscard]] double all() const { return locked + units + table + heap; }
};

Memory memory_of(const control::Gateway& gateway) {
    Memory memory;
    const auto heap = mallinfo2();
    memory.heap = static_cast<double>(heap.uordblks + heap.hblkhd);
    memory.units = static_cast<double>(gateway.status().units_used * sizeof(sequence::Unit));
    std::ifstream file("/proc/self/smaps");
    bool secret = false, anonymous = false;
    double resident = 0;
    for (std::string line; std::getline(file, line);) {
        if (line.find('-') < line.find(' ')) { // the head of a mapping: its range
            secret = line.contains("secretmem") || line.contains("memfd:sallyport-sas");
            anonymous = line.contains(" rw-p ") && line.ends_with(" 0 "); // no name
        } else if (line.starts_with("Rss:"))
            resident = std::strtod(line.c_str() + 4, nullptr) * 1024;
        else if (line.starts_with("VmFlags:") && secret)
            memory.table += resident;
        else if (line.starts_with("VmFlags:") && anonymous && line.contains(" dd")) // MADV_DONTDUMP: the store's locked memory
            memory.locked += resident;
    }
    return memory;
}

struct Measured {
    Memory memory;                   // an SA
    double install = 0, wall = 0;    // seconds
    double maximum = 0, offered = 0; // packets a second
    double lost = 0, lost_without = 0, sent = 0;
    bool good = false;
};

struct Silent final : control::Observer {
    void note(const control::Note& note) override {
        if (note.level == control::Level::error) std::fprintf(stderr, "%s %s\n", note.sentence.c_str(), note.place.c_str());
    }
};

Desired wanted(unsigned core) {
    Desired desired;
    desired.settings.queues = 1;
    desired.settings.cores = {core};
    desired.settings.run_directory = veth::run_directory;
    desired.settings.state_directory = std::string(veth::run_directory) + "/state";
    desired.vpns = {{"wan", wan_vpn, 254}, {"red", red_vpn, 101}};
    desired.ports = {{.interface = "black0", .role = Role::black, .vlans = {{.id = 0, .vpn = wan_vpn}}, .listen = {}},
                     {.interface = "red0", .role = Role::red, .vlans = {{.id = 0, .vpn = red_vpn}}, .listen = {}}};
    return desired;
}

class Run {
public:
    explicit Run(unsigned core)
        : gateway_(must(control::Gateway::start(wanted(core), silent_))), stream_("lan0", veth::mac_of("red0"), 64) {
        Call(0, 1, true).install(gateway_->keying(), 1, false);
    }

    Measured measure(unsigned count) {
        Measured result;
        const double rate = flood();
        result.maximum = rate;
        result.offered = rate / 5;
        std::vector<Call> calls;
        for (unsigned first = 1; first <= count; first += pairs_of_call)
            calls.emplace_back(first, std::min(first + pairs_of_call, count + 1));
        const Memory before = memory_of(*gateway_);
        double wall = 0;
        result.lost = under_traffic(result.offered, [&] {
            const double begin = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
            for (const Call& call : calls) call.install(gateway_->keying(), 2, &call != &calls.back());
            result.install = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
            wall = seconds(CLOCK_MONOTONIC) - begin;
        });
        result.wall = wall;
        result.memory = (memory_of(*gateway_) - before) / (2.0 * count);
        result.lost_without = under_traffic(result.offered, [&] { serve(wall); });
        result.sent = result.offered * (wall + least_stream);
        result.good = gateway_->sa_count() == 2 * (count + std::size_t{1});
        return result;
    }

private:
    /// The control thread's own loop.
    void serve(double time) {
        for (const double end = seconds(CLOCK_MONOTONIC) + time; seconds(CLOCK_MONOTONIC) < end;) {
            pollfd wait{.fd = gateway_->descriptor(), .events = POLLIN, .revents = 0};
            if (poll(&wait, 1, 10) > 0) gateway_->dispatch();
        }
    }
    [[nodiscard]] std::uint64_t carried() const { return gateway_->counters().ports[0].transmitted; }

    /// Packets a second that come out while more go in than it carries.
    double flood() {
        stream_.begin(0);
        serve(0.2);
        const std::uint64_t first = carried();
        const double begin = seconds(CLOCK_MONOTONIC);
        serve(1);
        const double rate = static_cast<double>(carried() - first) / (seconds(CLOCK_MONOTONIC) - begin);
        static_cast<void>(stream_.end());
        serve(0.1);
        return rate;
    }
    /// Packets lost of a stream that begins before `work` and ends behind it.
    template <class Work>
    double under_traffic(double rate, Work work) {
        const std::uint64_t before = carried();
        stream_.begin(rate);
        serve(least_stream / 2);
        work();
        serve(least_stream / 2);
        const std::uint64_t sent = stream_.end();
        serve(0.2);
        return static_cast<double>(sent) - static_cast<double>(carried() - before);
    }

    Silent silent_;
    std::unique_ptr<control::Gateway> gateway_;
    Stream stream_;
};

/// The worker has a core to itself where there are two; everybody else shares the others.
void leave_core(unsigned core) {
    cpu_set_t others;
    CPU_ZERO(&others);
    const auto count = static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN));
    for (unsigned one = 0; one < count; ++one)
        if (one != core || count == 1) CPU_SET(one, &others);
    if (sched_setaffinity(0, sizeof others, &others) != 0) std::perror("sched_setaffinity");
}

int run_once(unsigned core, unsigned count, Measured& result) {
    if (!veth::enter()) return 1;
    leave_core(core);
    if (!veth::address_ports() || mkdir(wanted(core).settings.state_directory.c_str(), 0700) != 0) return 1;
    {
        Run run(core);
        const sched_param ordinary{}; // the control thread; those of the worker and of the stream stay as they were made
        sched_setscheduler(0, SCHED_OTHER, &ordinary);
        result = run.measure(count);
    }
    veth::leave();
    return 0;
}

/// In a process of its own, whose memory has held nothing before.
std::optional<Measured> run_apart(unsigned core, unsigned count) {
    auto* shared = static_cast<Measured*>(mmap(nullptr, sizeof(Measured), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    if (shared == MAP_FAILED) return std::nullopt;
    *shared = {};
    std::fflush(stdout); // else the child says it again
    const pid_t child = fork();
    if (child == 0) std::exit(run_once(core, count, *shared));
    int status = 1;
    waitpid(child, &status, 0);
    const Measured result = *shared;
    munmap(shared, sizeof *shared);
    if (status != 0 || !result.good) {
        std::fprintf(stderr, "the run failed (%d)\n", status);
        return std::nullopt;
    }
    return result;
}

template <class Value>
Row row_of(const char* name, const char* unit, const std::vector<Measured>& runs, Value value, std::optional<double> baseline) {
    std::vector<double> values;
    for (const Measured& run : runs) values.push_back(value(run));
    std::ranges::sort(values);
    return {name, unit, values[values.size() / 2], values.front(), values.back(), baseline};
}

void say(const Measured& run, unsigned count) {
    const Memory& memory = run.memory;
    std::printf("an SA: %.0f hot part and key context, %.0f numbers, window and counters, %.0f record for the next process, %.0f heap\n",
                memory.locked, memory.units, memory.table, memory.heap);
    std::printf(
        "%u pairs: %.2f s of the control thread in %.2f s; %.0f packets a second at most, at %.0f lost %.0f of %.0f, without %.0f\n", count,
        run.install, run.wall, run.maximum, run.offered, run.lost, run.sent, run.lost_without);
    std::fflush(stdout);
}

bool bar(const char* name, double value, double most, const char* unit) {
    std::printf("bar: %s at most %.0f %s: %.2f, %s\n", name, most, unit, value, value <= most ? "met" : "not met");
    return value <= most;
}

std::optional<unsigned> count_from(const std::vector<std::string>& arguments) {
    unsigned count = 100'000;
    if (arguments.empty()) return count;
    if (arguments.size() != 2 || arguments[0] != "--count") return std::nullopt;
    const std::string& text = arguments[1];
    const bool good = std::from_chars(text.data(), text.data() + text.size(), count).ptr == text.data() + text.size();
    return good && count >= 1000 && count <= 120'000 ? std::optional(count) : std::nullopt; // more keys are not remembered
}

} // namespace

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto pace = pace_from(arguments);
    const auto count = pace ? count_from(arguments) : std::nullopt;
    if (!count) {
        std::fprintf(stderr, "bench-sa [--count PAIRS] [--series N] [--core N] [--realtime] [--json FILE]; from 1000 to 120000 pairs\n");
        return 2;
    }
    const auto key = static_cast<double>(library_key_size(transform::engine_in_use(), Algorithm::aes_128_gcm_16));
    std::printf("%s, core %d, %u runs; AES-128-GCM, window 1024, one selector\n", crypto::describe(transform::engine_in_use()).c_str(),
                pace->core, pace->series);
    std::vector<Measured> runs;
    for (unsigned i = 0; i < pace->series; ++i) {
        const auto run = run_apart(static_cast<unsigned>(pace->core), *count);
        if (!run) return finish(false, {}, *pace);
        say(*run, *count);
        runs.push_back(*run);
    }
    print_head();
    const std::vector rows{row_of(
                               "sa/memory", "octets", runs, [&](const Measured& run) { return run.memory.all() - key; }, key),
                           row_of(
                               "sa/install", "s", runs, [](const Measured& run) { return run.install; }, std::nullopt),
                           row_of(
                               "sa/loss", "packets", runs, [](const Measured& run) { return run.lost; },
                               row_of("", "", runs, [](const Measured& run) { return run.lost_without; }, std::nullopt).median)};
    for (const Row& row : rows) print(row);
    bar("sa/memory", rows[0].median, 700, "octets beside the key structure");
    bar("sa/install", rows[1].median * 100'000 / *count, 2, "s");
    bar("sa/loss", rows[2].median, *rows[2].baseline, "packets, as without");
    return finish(true, rows, *pace);
}
