// SPDX-License-Identifier: Apache-2.0
// What the process before left of its SAs: they go on with their keys, numbers, windows and counters.
#include "gateway/control/inside.hpp"

#include <algorithm>
#include <utility>

namespace sallyport::control {

namespace {

constexpr const char* kept_name = "sas"; // with the keeper

} // namespace

/// Those that the process before left in the secret table, or an empty table where there is none, or none that can be trusted.
Result<std::vector<store::Left>> Gateway::Inside::take_table() {
    std::vector<store::Left> left;
    if (Descriptor kept = keeper.take(kept_name)) {
        auto adopted = store::SecretTable::adopt(std::move(kept));
        auto loaded = adopted ? store::load_all(**adopted) : std::unexpected(std::move(adopted.error()));
        if (loaded) {
            table = std::move(*adopted);
            return std::move(*loaded);
        }
        note(Level::error, loaded.error());
        if (adopted) (*adopted)->wipe();
    }
    auto made = store::SecretTable::make();
    if (!made) return std::unexpected(std::move(made.error()));
    table = std::move(*made);
    if (!table->secret())
        note(Level::warning, "The kernel does not let us have secret memory: keys that the next process adopts lie in ordinary memory", {},
             "start the kernel with secretmem.enable=1");
    if (auto done = keeper.keep(kept_name, table->descriptor()); !done) note(Level::error, done.error());
    return left;
}

/// SAs that came by the configuration follow the one of now: those of `wanted` that are the same go on, and are taken out of it. Others go
/// on as they were.
void Gateway::Inside::adopt(std::vector<store::Left> left, std::vector<SaSpec>& wanted) {
    std::vector<store::SecretTable::Record> discarded;
    std::size_t count = 0;
    for (store::Left& one : left) {
        const SaName name = store::name_of(one.spec);
        const store::SecretTable::Record record = one.record;
        const bool configured = one.spec.generation == 0;
        const auto at = std::ranges::find_if(wanted, [&](const SaSpec& sa) { return store::name_of(sa) == name; });
        const auto print = prints.find(name);
        if (configured && (at == wanted.end() || !same(*at, one.spec) || print->second != state::fingerprint_of(one.spec))) {
            discarded.push_back(record);
            continue;
        }
        if (!configured && one.spec.owner >= static_cast<int>(ports->queues())) one.spec.owner = -1;
        store::Transaction transaction;
        transaction.adopt.push_back(std::move(one));
        if (const auto applied = store->apply(transaction)) {
            into_tables(*applied);
            if (configured) wanted.erase(at);
            ++count;
            continue;
        } else if (!configured) // what the configuration wants is tried again, and said then
            note(Level::error, "An SA of the gateway before this one cannot go on: " + applied.error().sentence, name.name + (name.direction == Direction::outbound ? " outbound" : " inbound"),
                 applied.error().remedy);
        discarded.push_back(record);
    }
    store->discard(discarded);
    if (count != 0) note(Level::information, std::to_string(count) + " SAs of the gateway before this one go on");
}

} // namespace sallyport::control
