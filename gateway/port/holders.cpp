// SPDX-License-Identifier: Apache-2.0
#include "gateway/port/holders.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace sallyport {
namespace {

constexpr auto relaxed = std::memory_order_relaxed; // the rings between the holders order what they do

bool is_hand(Holder holder) { return holder >= Holder::stage; }

std::string name_of(Holder holder) {
    switch (holder) {
    case Holder::others: return "others";
    case Holder::free: return "the free ones";
    case Holder::port: return "a port";
    case Holder::passing: return "a ring between threads";
    case Holder::stage: return "the exception stage";
    case Holder::reader: return "the reader of own traffic";
    default: return "worker " + std::to_string(static_cast<unsigned>(holder) - static_cast<unsigned>(Holder::worker));
    }
}

[[noreturn]] void end(const std::string& why) {
    std::fprintf(stderr, "Packet memory: %s\n", why.c_str());
    std::abort();
}

} // namespace

Holders::Holders(std::uint32_t chunks, Holder all) : holder_(checked ? chunks : 0) {
    for (std::atomic<Holder>& one : holder_) one.store(all, relaxed);
}

void Holders::write_down(std::uint32_t chunk, Holder from, Holder to) {
    if (chunk >= holder_.size()) end("there is no chunk " + std::to_string(chunk) + " of " + std::to_string(holder_.size()));
    const Holder now = holder_[chunk].load(relaxed);
    const bool unknown = now == Holder::others || (from == Holder::others && now != Holder::free);
    if (now != from && !unknown)
        end("chunk " + std::to_string(chunk) + " goes from " + name_of(from) + " to " + name_of(to) + " and is with " + name_of(now));
    holder_[chunk].store(to, relaxed);
    if (is_hand(now)) counted_[static_cast<std::size_t>(now)].fetch_sub(1, relaxed);
    if (is_hand(to)) counted_[static_cast<std::size_t>(to)].fetch_add(1, relaxed);
}

void Holders::look(Holder holder, std::size_t count) const {
    const std::size_t has = counted_[static_cast<std::size_t>(holder)].load(relaxed);
    if (has == count) return;
    std::string which;
    for (std::size_t chunk = 0; chunk < holder_.size() && which.size() < 60; ++chunk)
        if (holder_[chunk].load(relaxed) == holder) which.append(" ").append(std::to_string(chunk));
    end(name_of(holder) + " has " + std::to_string(has) + " chunks and knows of " + std::to_string(count) + ":" + which);
}

} // namespace sallyport
