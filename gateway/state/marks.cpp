// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/marks.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace sallyport::state {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

const std::string file_name = "marks";
constexpr auto busy_tick = 2ms;   // between looks at the counters while they move
constexpr auto idle_tick = 5ms;   // else: 2^12 packets inbound last so long at 800,000 packets a second
constexpr auto rate_span = 20ms;  // a rate is measured over at least this
constexpr auto lower_after = 2s;  // since an inbound mark rose
constexpr auto longest_wait = 1s; // after a failed write

constexpr const char* create_remedy = "if its key was never used before, run 'sallyport marks --create FILE'; else give it a new key first";

std::string label(const std::string& name, Direction direction) {
    return name + (direction == Direction::outbound ? " outbound" : " inbound");
}

std::uint64_t load(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return a + b < a ? ~std::uint64_t{0} : a + b; }

using Key = std::pair<Direction, Fingerprint>;

} // namespace

std::uint64_t reserve_of(Direction direction, std::uint64_t rate) {
    return direction == Direction::outbound ? std::clamp(2 * rate, least_outbound, most_outbound)
                                            : std::clamp(2 * rate, least_inbound, most_inbound);
}

namespace {

/// One manual SA that is in use. The mark has a cache line of its own, the first: the SA's owner reads it with every batch.
struct Followed {
    alignas(64) std::uint64_t mark = 0; // on the disk; atomic_ref
    alignas(64) sequence::Unit* memory = nullptr;
    std::uint64_t* record = nullptr; // the mark as the next version of the file has it
    Followed** user = nullptr;       // where the record says that it is followed
    std::uint64_t serial = 0;
    Direction direction = Direction::outbound;
    std::uint64_t end = 0; // last number of the space
    std::uint64_t rate = 0;
    std::uint64_t measured_number = 0;
    Clock::time_point measured_at;
    Clock::time_point raised_at;

    void raise(std::uint64_t to) {
        std::atomic_ref(mark).store(to, std::memory_order_release);
        raised_at = Clock::now();
    }

    [[nodiscard]] std::uint64_t number() const { return load(memory->words[sequence::number_word]); }

    /// Where an inbound mark left far ahead by a burst should come down to; itself where it should not.
    [[nodiscard]] std::uint64_t lower(Clock::time_point now) const {
        const std::uint64_t reserve = reserve_of(direction, rate);
        const bool far = *record - number() > 4 * reserve && load(memory->words[sequence::wanted_word]) <= number();
        return direction == Direction::inbound && *record > number() && far && now - raised_at > lower_after ? number() + reserve : *record;
    }

    [[nodiscard]] bool settled() { return load(mark) == *record && next() == *record; }
    [[nodiscard]] bool moving() const { return number() != measured_number || rate > 100; }

    void measure(Clock::time_point now) {
        if (now - measured_at < rate_span) return;
        const std::uint64_t current = number();
        const auto span = std::chrono::duration_cast<std::chrono::microseconds>(now - measured_at).count();
        const auto present = static_cast<std::uint64_t>(static_cast<double>(current - measured_number) * 1e6 / static_cast<double>(span));
        // Grows at once, falls slowly: a pause must not shorten what the next burst finds.
        rate = present > rate ? present : (3 * rate + present) / 4;
        measured_number = current;
        measured_at = now;
    }

    /// What the mark should be; itself while less than half of the reserve is used.
    [[nodiscard]] std::uint64_t next() const {
        const std::uint64_t reserve = reserve_of(direction, rate);
        const std::uint64_t reached = std::max(number(), direction == Direction::inbound ? load(memory->words[sequence::wanted_word]) : 0);
        const std::uint64_t left = *record > reached ? *record - reached : 0;
        return left > reserve / 2 ? *record : std::max(*record, std::min(sum(reached, reserve), end));
    }
};

struct Entry {
    MarkRecord record;
    Followed* user = nullptr;
};

} // namespace

struct Marks::Inside {
    std::unique_ptr<Files> files;
    std::optional<Error> refusal; // why nothing is admitted; set by open() only
    Instance units{};
    bool adopt = false; // the file's memory of counters is ours
    bool was_clean = false;

    mutable std::mutex mutex; // guards all below; never held while the disk works
    std::condition_variable wake_thread;
    std::condition_variable written;
    std::map<Key, Entry> records;
    std::map<std::uint64_t, std::unique_ptr<Followed>> followed; // by serial, which is never used again
    std::uint64_t last_serial = 0;
    bool dirty = false; // a record changed without a mark having to rise: released
    bool stop = false;
    void (*grace_period)() = nullptr;
    std::optional<Error> trouble;
    std::uint64_t writes = 0;
    std::thread thread;

    void read();
    [[nodiscard]] std::string content(bool clean) const;
    void run();
    bool raise_marks();
    void lower_marks();
    [[nodiscard]] bool settled() const;
    [[nodiscard]] Error refuse(const SaSpec& sa, const Error& cause) const;
    void end_thread();
};

void Marks::Inside::read() {
    auto text = files->read(file_name);
    if (!text) {
        refusal = text.error();
        return;
    }
    if (!*text) {
        refusal = Error{ErrorCode::missing, "there are no durable marks: the file does not exist", files->path(file_name), create_remedy};
        return;
    }
    auto marks = parse_marks(**text);
    if (!marks) {
        refusal = Error{ErrorCode::refused, "the durable marks cannot be trusted: " + to_string(marks.error()), files->path(file_name),
                        "give the SAs new keys, then run 'sallyport marks --create FILE'"};
        return;
    }
    adopt = marks->units == units;
    was_clean = marks->clean;
    for (MarkRecord& record : marks->records) {
        const Key key{record.direction, record.key};
        records.emplace(key, Entry{std::move(record)});
    }
    if (auto written_back = replace(*files, file_name, content(false)); !written_back) {
        refusal = written_back.error();
        refusal->remedy = "make the state directory writable for the gateway";
    }
}

std::string Marks::Inside::content(bool clean) const {
    MarksFile file{.clean = clean, .units = units, .records = {}};
    for (const auto& [key, entry] : records) file.records.push_back(entry.record);
    return format_marks(file);
}

/// Without the lock. False: the disk failed.
bool Marks::Inside::raise_marks() {
    std::string text;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> rising; // serial, mark
    {
        const std::lock_guard lock(mutex);
        const auto now = Clock::now();
        for (const auto& [serial, sa] : followed) {
            sa->measure(now);
            const std::uint64_t next = sa->next();
            if (next == load(sa->mark) && next == *sa->record) continue;
            *sa->record = next;
            rising.emplace_back(serial, next);
        }
        if (rising.empty() && !dirty) return true;
        dirty = false;
        text = content(false);
    }
    auto done = replace(*files, file_name, text);
    const std::lock_guard lock(mutex);
    if (!done) {
        trouble = done.error();
        dirty = true;
        return false;
    }
    trouble.reset();
    ++writes;
    // One that was released meanwhile is not followed any more; nothing of it is left to raise.
    for (const auto& [serial, mark] : rising)
        if (const auto found = followed.find(serial); found != followed.end()) found->second->raise(mark);
    written.notify_all();
    return true;
}

/// After a burst an inbound mark is far ahead: after a power cut the peer would be refused until it has sent so many packets. The owner may
/// be between its look at the mark and the entry of a number, so a lower mark goes to the disk only after a grace period.
void Marks::Inside::lower_marks() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> falling; // serial, mark
    {
        const std::lock_guard lock(mutex);
        if (grace_period == nullptr) return;
        const auto now = Clock::now();
        for (const auto& [serial, sa] : followed)
            if (const std::uint64_t lower = sa->lower(now); lower != *sa->record) {
                std::atomic_ref(sa->mark).store(lower, std::memory_order_seq_cst);
                falling.emplace_back(serial, lower);
            }
    }
    if (falling.empty()) return;
    grace_period();
    const std::lock_guard lock(mutex);
    for (const auto& [serial, mark] : falling) {
        const auto found = followed.find(serial);
        if (found == followed.end()) continue;
        Followed& sa = *found->second;
        if (sa.number() <= mark) {
            *sa.record = mark;
            dirty = true;
        } else {
            sa.raise(*sa.record); // it moved meanwhile: the old mark still stands on the disk
        }
    }
}

void Marks::Inside::run() {
    auto pause = Clock::duration{0};
    for (;;) {
        const auto began = Clock::now();
        const bool good = raise_marks();
        if (good) lower_marks();
        const auto took = Clock::now() - began;
        std::unique_lock lock(mutex);
        if (stop) return;
        if (!good) {
            pause = std::min<Clock::duration>(longest_wait, pause * 2 + 50ms);
            wake_thread.wait_for(lock, pause, [this] { return stop; });
            continue;
        }
        pause = Clock::duration{0};
        if (followed.empty() && !dirty) {
            wake_thread.wait(lock, [this] { return stop || dirty || !followed.empty(); });
            continue;
        }
        const bool moving = std::ranges::any_of(followed, [](const auto& item) { return item.second->moving(); });
        // With very many SAs the look itself takes its time: at most a tenth of this core.
        wake_thread.wait_for(lock, std::max<Clock::duration>(moving ? busy_tick : idle_tick, std::min<Clock::duration>(took * 9, 200ms)),
                             [this] { return stop || dirty; });
    }
}

bool Marks::Inside::settled() const {
    return !dirty && std::ranges::all_of(followed, [](const auto& item) { return item.second->settled(); });
}

Error Marks::Inside::refuse(const SaSpec& sa, const Error& cause) const {
    return {ErrorCode::refused, to_string(Error{cause.code, cause.sentence, cause.place, {}}), "sa " + label(sa.name, sa.direction),
            cause.remedy};
}

void Marks::Inside::end_thread() {
    {
        const std::lock_guard lock(mutex);
        stop = true;
    }
    wake_thread.notify_all();
    if (thread.joinable()) thread.join();
}

Marks::Marks(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}

Marks::~Marks() { inside_->end_thread(); }

std::unique_ptr<Marks> Marks::open(const std::string& directory, const Instance& units) {
    auto files = open_directory(directory);
    if (files) return open(std::move(*files), units);
    auto inside = std::make_unique<Inside>();
    inside->refusal = files.error();
    if (inside->refusal->remedy.empty()) inside->refusal->remedy = create_remedy;
    return std::unique_ptr<Marks>(new Marks(std::move(inside)));
}

std::unique_ptr<Marks> Marks::open(std::unique_ptr<Files> files, const Instance& units) {
    auto inside = std::make_unique<Inside>();
    inside->files = std::move(files);
    inside->units = units;
    inside->read();
    if (!inside->refusal) inside->thread = std::thread([raw = inside.get()] { raw->run(); });
    return std::unique_ptr<Marks>(new Marks(std::move(inside)));
}

void Marks::set_grace_period(void (*grace_period)()) {
    const std::lock_guard lock(inside_->mutex);
    inside_->grace_period = grace_period;
}

Result<Admission> Marks::admit(const SaSpec& sa, const Fingerprint& key, sequence::Unit* memory, bool survived) {
    Inside& in = *inside_;
    if (in.refusal) return std::unexpected(in.refuse(sa, *in.refusal));
    const std::lock_guard lock(in.mutex);
    const auto found = in.records.find({sa.direction, key});
    if (found == in.records.end()) {
        const bool older = std::ranges::any_of(
            in.records, [&](const auto& item) { return item.second.record.name == sa.name && item.first.first == sa.direction; });
        const char* sentence = older ? "the durable marks are older than the key: they know another one"
                                     : "the durable marks do not know the key";
        return std::unexpected(in.refuse(sa, {ErrorCode::refused, sentence, in.files->path(file_name), create_remedy}));
    }
    MarkRecord& record = found->second.record;
    if (found->second.user != nullptr)
        return std::unexpected(
            in.refuse(sa, {ErrorCode::conflict, "its key is in use already", in.files->path(file_name), "give each SA a key of its own"}));
    const std::uint64_t left = load(memory->words[sequence::number_word]);
    // What claim() left unprepared holds no number at all. Whichever file the memory went with: a number that it has for this key was used.
    if (survived && left > record.mark && left != ~std::uint64_t{0})
        return std::unexpected(in.refuse(sa, {ErrorCode::refused,
                                              "the durable marks are older than the numbers in memory: an old file was put back, or marks "
                                              "were created for a key in use",
                                              in.files->path(file_name), "give the SA a new key, at both gateways"}));
    const bool adopted = survived && in.adopt && (in.was_clean ? left == record.mark : left <= record.mark);
    if (!adopted)
        sequence::prepare(memory, sa.direction, sa.window, record.mark);
    else
        memory->words[sequence::wanted_word] = 0;
    auto follow = std::make_unique<Followed>();
    follow->mark = record.mark;
    follow->memory = memory;
    follow->record = &record.mark;
    follow->user = &found->second.user;
    follow->serial = ++in.last_serial;
    follow->direction = sa.direction;
    follow->end = sa.sequence == SequenceKind::short_32 ? sequence::short_end : sequence::extended_end;
    follow->measured_number = follow->number();
    follow->measured_at = follow->raised_at = Clock::now();
    const Admission admission{.mark = &follow->mark, .floor = adopted ? 0 : record.mark};
    found->second.user = follow.get();
    in.followed.emplace(follow->serial, std::move(follow));
    in.wake_thread.notify_all();
    return admission;
}

void Marks::release(std::uint64_t* mark) {
    static_assert(std::is_standard_layout_v<Followed> && offsetof(Followed, mark) == 0);
    auto* followed = reinterpret_cast<Followed*>(mark);
    const std::lock_guard lock(inside_->mutex);
    if (!inside_->files) return; // closed: the number is written
    *followed->record = followed->number();
    *followed->user = nullptr;
    inside_->followed.erase(followed->serial);
    inside_->dirty = true;
    inside_->wake_thread.notify_all();
}

bool Marks::settle(unsigned milliseconds) {
    std::unique_lock lock(inside_->mutex);
    if (inside_->refusal) return inside_->followed.empty();
    inside_->wake_thread.notify_all();
    return inside_->written.wait_for(lock, std::chrono::milliseconds(milliseconds), [this] { return inside_->settled(); });
}

Result<void> Marks::close() {
    inside_->end_thread();
    const std::lock_guard lock(inside_->mutex);
    if (inside_->refusal || !inside_->files) {
        inside_->files.reset(); // nothing was ever admitted; what is left is the lock
        return {};
    }
    for (const auto& [serial, sa] : inside_->followed) *sa->record = sa->number();
    inside_->followed.clear();
    auto done = replace(*inside_->files, file_name, inside_->content(true));
    inside_->files.reset(); // and its lock
    inside_->refusal = Error{ErrorCode::refused, "the durable marks are closed", {}, {}};
    return done;
}

std::optional<Error> Marks::trouble() const {
    const std::lock_guard lock(inside_->mutex);
    return inside_->trouble;
}

std::uint64_t Marks::writes() const {
    const std::lock_guard lock(inside_->mutex);
    return inside_->writes;
}

Result<Created> create_marks(const std::string& directory, std::span<const SaSpec> sas) {
    if (mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST)
        return std::unexpected(system_error(errno, "cannot make the state directory", directory));
    auto files = open_directory(directory);
    if (!files) {
        if (files.error().code == ErrorCode::conflict) files.error().remedy = "stop the gateway, create the marks, start it again";
        return std::unexpected(files.error());
    }
    auto text = (*files)->read(file_name);
    if (!text) return std::unexpected(text.error());
    Created created;
    MarksFile marks;
    if (*text) {
        auto parsed = parse_marks(**text);
        if (parsed) {
            marks = std::move(*parsed);
        } else {
            if (const int moved = (*files)->rename(file_name, file_name + ".damaged"); moved != 0)
                return std::unexpected(system_error(-moved, "cannot set the damaged file aside", (*files)->path(file_name)));
            created.set_aside = (*files)->path(file_name + ".damaged");
        }
    }
    for (const SaSpec& sa : sas) {
        if (!sa.manual) continue;
        const Fingerprint key = fingerprint_of(sa);
        const bool known = std::ranges::any_of(marks.records, [&](const auto& r) { return r.direction == sa.direction && r.key == key; });
        (known ? created.kept : created.fresh).push_back(label(sa.name, sa.direction));
        if (!known) marks.records.push_back({.direction = sa.direction, .mark = 0, .key = key, .name = sa.name});
    }
    if (auto done = replace(**files, file_name, format_marks(marks)); !done) return std::unexpected(done.error());
    return created;
}

} // namespace sallyport::state
