// SPDX-License-Identifier: Apache-2.0
#include "gateway/store/secret_table.hpp"

#include "gateway/state/checksum.hpp"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

namespace sallyport::store {

namespace {

constexpr std::size_t slot_size = 16;                  // octets
constexpr std::uint64_t magic = 0x5341'4c4c'5953'4153; // "SALLYSAS"
constexpr std::uint64_t layout_version = 2;
constexpr std::uint64_t never = ~std::uint64_t{0}; // transaction that no record lives to see

/// How a record says with which transaction it dies: no single damage makes one of these.
constexpr std::uint64_t death(std::uint64_t transaction) { return transaction * 0x9e37'79b9'7f4a'7c15; }

/// What comes before it in the program has happened when the process is killed behind it: instructions retire in order, so only the
/// compiler has to be held.
void in_order() { std::atomic_signal_fence(std::memory_order_seq_cst); }

void store(std::uint64_t& word, std::uint64_t value) {
    in_order();
    std::atomic_ref(word).store(value, std::memory_order_relaxed);
    in_order();
}

/// None: this kernel has no such thing, or does not allow it.
Descriptor make_secret(std::size_t size) {
    Descriptor descriptor(static_cast<int>(syscall(SYS_memfd_secret, O_CLOEXEC)));
    if (!descriptor || ftruncate(descriptor.get(), static_cast<off_t>(size)) != 0) return {};
    return descriptor;
}

Descriptor make_plain(std::size_t size) {
    Descriptor descriptor(memfd_create("sallyport-sas", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
    if (!descriptor && errno == EINVAL) // before Linux 6.3
        descriptor = Descriptor(memfd_create("sallyport-sas", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!descriptor || ftruncate(descriptor.get(), static_cast<off_t>(size)) != 0 ||
        fcntl(descriptor.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return {};
    return descriptor;
}

/// Null: no memory, or it may not be locked. `secret`: found out by the seals, which a memfd_secret has not.
std::uint8_t* map(int descriptor, std::size_t size, bool& secret) {
    secret = fcntl(descriptor, F_GET_SEALS) < 0;
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) return nullptr;
    madvise(memory, size, MADV_DONTDUMP);
    if (secret || mlock2(memory, size, MLOCK_ONFAULT) == 0) return static_cast<std::uint8_t*>(memory);
    munmap(memory, size);
    return nullptr;
}

Error refusal(const char* sentence) {
    return {ErrorCode::conflict, sentence, "SA table", "its SAs are gone: manual ones come from the configuration, others are made anew"};
}

std::uint64_t checksum(std::span<const std::uint8_t> octets) {
    return state::checksum_of({reinterpret_cast<const std::uint64_t*>(octets.data()), octets.size() / sizeof(std::uint64_t)});
}

} // namespace

struct SecretTable::Head {
    std::uint64_t magic, layout, slots, checksum;
    std::uint64_t committed; // last transaction in force
    std::uint64_t used;      // slots, the head included, that were ever used
};

struct SecretTable::RecordHead {
    std::uint64_t born; // 0: no record begins here; never: its octets are being written
    std::uint64_t dies; // 0: it stays
    std::uint32_t size; // octets behind this head
    std::uint32_t tag;
    std::uint64_t checksum; // of birth, size, tag and octets

    [[nodiscard]] static std::uint32_t slots_for(std::size_t octets) {
        return static_cast<std::uint32_t>((sizeof(RecordHead) + octets + slot_size - 1) / slot_size);
    }
    [[nodiscard]] std::uint32_t slots() const { return slots_for(size); }
    /// To the end of its last slot, where zeros fill it.
    [[nodiscard]] std::span<std::uint8_t> body() {
        return {reinterpret_cast<std::uint8_t*>(this) + sizeof(RecordHead), slots() * slot_size - sizeof(RecordHead)};
    }
    [[nodiscard]] std::uint64_t sum(std::uint64_t birth) {
        const std::uint64_t words[] = {birth, std::uint64_t{tag} << 32 | size, store::checksum(body())};
        return state::checksum_of(words);
    }
};

constexpr std::uint32_t SecretTable::first_slot() { return (sizeof(Head) + slot_size - 1) / slot_size; }

SecretTable::SecretTable(Descriptor descriptor, std::uint8_t* memory, std::size_t size, bool secret)
    : descriptor_(std::move(descriptor)), memory_(memory), size_(size), secret_(secret) {}

SecretTable::~SecretTable() { munmap(memory_, size_); }

SecretTable::Head& SecretTable::head() const { return *reinterpret_cast<Head*>(memory_); }

SecretTable::RecordHead& SecretTable::at(Record record) const { return *reinterpret_cast<RecordHead*>(memory_ + record * slot_size); }

Result<std::unique_ptr<SecretTable>> SecretTable::make(std::size_t octets, Kind kind) {
    bool secret = false;
    Descriptor descriptor = kind == Kind::secret ? make_secret(octets) : Descriptor{};
    std::uint8_t* memory = descriptor ? map(descriptor.get(), octets, secret) : nullptr;
    if (memory == nullptr) {
        descriptor = make_plain(octets);
        memory = descriptor ? map(descriptor.get(), octets, secret) : nullptr;
    }
    if (memory == nullptr)
        return std::unexpected(system_error(errno, "no locked memory for the SA table", {},
                                            "give the gateway CAP_IPC_LOCK, or raise its limit of locked memory"));
    std::unique_ptr<SecretTable> table(new SecretTable(std::move(descriptor), memory, octets, secret));
    Head& head = table->head();
    head = {.magic = magic, .layout = layout_version, .slots = octets / slot_size, .checksum = 0, .committed = 1, .used = first_slot()};
    head.checksum = checksum({memory, offsetof(Head, checksum)});
    return table;
}

Result<std::unique_ptr<SecretTable>> SecretTable::adopt(Descriptor descriptor) {
    struct stat status{};
    const bool good = fstat(descriptor.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= off_t{sizeof(Head)};
    const auto size = static_cast<std::size_t>(status.st_size);
    bool secret = false;
    std::uint8_t* memory = good ? map(descriptor.get(), size, secret) : nullptr;
    if (memory == nullptr) return std::unexpected(refusal("what was kept is no memory that could be mapped and locked"));
    std::unique_ptr<SecretTable> table(new SecretTable(std::move(descriptor), memory, size, secret));
    if (auto read = table->read(); !read) {
        table->wipe();
        return std::unexpected(std::move(read.error()));
    }
    return table;
}

Result<void> SecretTable::read() {
    const Head& head = this->head();
    if (head.magic == magic && head.layout != layout_version)
        return std::unexpected(refusal("the SA table has a layout that this release does not know"));
    if (head.magic != magic || head.checksum != checksum({memory_, offsetof(Head, checksum)}))
        return std::unexpected(refusal("the head of the SA table is damaged"));
    if (head.slots != size_ / slot_size || head.used < first_slot() || head.used > head.slots)
        return std::unexpected(refusal("the SA table has not the size that its head says"));
    std::uint32_t free = first_slot(); // where the free slots begin that end before this one
    const auto end_run = [&](std::uint32_t slot) {
        if (slot != free) give_free(free, slot - free);
    };
    std::uint32_t slot = free;
    while (slot < head.used) {
        if (at(slot).born == 0) {
            ++slot;
            continue;
        }
        end_run(slot);
        const std::uint64_t left = head.used - slot;
        const std::uint32_t slots = left >= RecordHead::slots_for(0) ? at(slot).slots() : 0;
        if (slots == 0 || slots > left || !read_record(slot)) return std::unexpected(refusal("a record of the SA table is damaged"));
        slot += slots;
        free = slot;
    }
    end_run(slot);
    return {};
}

/// What a transaction left that never came into force, or was not yet tidied up after it did, goes. False: it is damaged.
bool SecretTable::read_record(std::uint32_t slot) {
    RecordHead& record = at(slot);
    const std::uint64_t committed = head().committed;
    const bool dead = record.dies == death(committed);
    if (record.born == never || dead) {
        wipe(slot);
        return true;
    }
    if (record.born > committed + 1 || (record.dies != 0 && record.dies != death(committed + 1))) return false;
    if (record.checksum != record.sum(record.born)) return false;
    if (record.born > committed) {
        wipe(slot);
        return true;
    }
    store(record.dies, 0);
    return true;
}

/// What was ever used; where the head does not say it, what there is. The kernel itself clears what is left of a memfd_secret.
void SecretTable::wipe() {
    const std::uint64_t used = head().used * slot_size;
    if (used >= first_slot() * slot_size && used <= size_) return explicit_bzero(memory_, used);
    for (off_t from = 0; (from = lseek(descriptor_.get(), from, SEEK_DATA)) >= 0;) {
        const off_t to = lseek(descriptor_.get(), from, SEEK_HOLE);
        explicit_bzero(memory_ + from, static_cast<std::size_t>(to - from));
        from = to;
    }
}

std::vector<SecretTable::Record> SecretTable::records() const {
    std::vector<Record> result;
    const std::uint64_t committed = head().committed;
    for (std::uint32_t slot = first_slot(); slot < head().used;) {
        const RecordHead& record = at(slot);
        if (record.born != 0 && record.born <= committed) result.push_back(slot);
        slot += record.born == 0 ? 1 : record.slots();
    }
    return result;
}

std::span<const std::uint8_t> SecretTable::octets(Record record) const { return at(record).body().first(at(record).size); }

SecretTable::Record SecretTable::record_of(const std::uint8_t* octets) const {
    return static_cast<Record>((octets - sizeof(RecordHead) - memory_) / static_cast<std::ptrdiff_t>(slot_size));
}

std::uint32_t SecretTable::tag(Record record) const { return at(record).tag; }

/// The shortest free run that is long enough, else slots that were never used; 0: none.
SecretTable::Record SecretTable::take_free(std::uint32_t slots) {
    const auto shortest = free_by_length_.lower_bound({slots, 0});
    if (shortest == free_by_length_.end()) {
        const std::uint64_t used = head().used;
        return used + slots <= head().slots ? static_cast<Record>(used) : 0;
    }
    const auto [length, first] = *shortest;
    free_by_length_.erase(shortest);
    free_.erase(first);
    if (length > slots) give_free(first + slots, length - slots);
    return first;
}

/// Joined with what is free before and behind it.
void SecretTable::give_free(Record first, std::uint32_t slots) {
    auto behind = free_.lower_bound(first);
    if (behind != free_.end() && behind->first == first + slots) {
        slots += behind->second;
        free_by_length_.erase({behind->second, behind->first});
        behind = free_.erase(behind);
    }
    if (behind != free_.begin())
        if (const auto before = std::prev(behind); before->first + before->second == first) {
            first = before->first;
            slots += before->second;
            free_by_length_.erase({before->second, before->first});
            free_.erase(before);
        }
    free_.emplace(first, slots);
    free_by_length_.emplace(slots, first);
}

Result<SecretTable::Staged> SecretTable::stage(std::size_t size, std::uint32_t tag) {
    const std::uint32_t wanted = RecordHead::slots_for(size);
    const Record slot = take_free(wanted);
    if (slot == 0)
        return std::unexpected(Error{ErrorCode::exhausted, "the SA table is full", {}, "remove SAs that are not needed any more"});
    // A head takes more than a slot: at every instant what is not zero is behind a birth that says so.
    RecordHead& record = at(slot);
    store(record.born, never);
    record.size = static_cast<std::uint32_t>(size);
    record.tag = tag;
    in_order();
    if (slot == head().used) store(head().used, slot + wanted);
    coming_.push_back(slot);
    return Staged{slot, record.body().first(size)};
}

void SecretTable::stage_removal(Record record) {
    store(at(record).dies, death(head().committed + 1));
    going_.push_back(record);
}

void SecretTable::commit() {
    const std::uint64_t next = head().committed + 1;
    for (const Record slot : std::exchange(coming_, {})) {
        RecordHead& record = at(slot);
        record.checksum = record.sum(next);
        store(record.born, next);
    }
    store(head().committed, next);
    for (const Record record : std::exchange(going_, {})) wipe(record);
}

void SecretTable::roll_back() {
    for (const Record record : std::exchange(coming_, {})) wipe(record);
    for (const Record record : std::exchange(going_, {})) store(at(record).dies, 0);
}

void SecretTable::wipe(Record slot) {
    RecordHead& record = at(slot);
    const std::uint32_t slots = record.slots();
    store(record.born, never);
    explicit_bzero(record.body().data(), record.body().size());
    record = {.born = never, .dies = 0, .size = 0, .tag = 0, .checksum = 0};
    store(record.born, 0);
    give_free(slot, slots);
}

} // namespace sallyport::store
