// SPDX-License-Identifier: Apache-2.0
#include "gateway/exception/neighbours.hpp"

namespace sallyport::exception {

namespace {

// Where the frame would go now.
route::NextHop route_of(const route::Fib& fib, const Frame& frame) {
    const bool ipv4 = frame.family == 4;
    const std::uint8_t* destination = frame.at(frame.network + (ipv4 ? 16U : 24U)); // RFC 791 3.1, RFC 8200 3
    const Role out = (frame.flags & frame_to_red) != 0 ? Role::red : Role::black;
    return fib.lookup(frame.vpn, out, ipv4 ? Family::ipv4 : Family::ipv6, destination, frame.spi);
}

} // namespace

Neighbours::Neighbours(const tables::Published<route::Fib>& fib, Asker& asker, Handler* errors, const WaitingLimits& limits)
    // NOLINTNEXTLINE(bugprone-throw-keyword-missing): it is no exception, only its namespace is called so
    : fib_(fib), asker_(asker), errors_(errors), waiting_(limits) {
    found_.reserve(limits.all);
    dropped_.reserve(limits.all);
}

void Neighbours::take(const Frame& frame, std::uint64_t now, Exits& exits) {
    const route::NextHop hop = route_of(fib_.read(), frame);
    if (hop.reason == DropReason::neighbour_unresolved) {
        const Neighbour neighbour{hop.interface, hop.gateway};
        if (waiting_.put(frame, neighbour, now, dropped_)) asker_.ask(neighbour);
    } else {
        found_.push_back(frame); // found meanwhile, or the route has changed: the worker has the say
    }
    give(now, exits);
}

void Neighbours::look(std::uint64_t now, Exits& exits) {
    if (waiting_.empty()) return;
    const route::Fib& fib = fib_.read();
    const std::vector<Neighbour> all = waiting_.neighbours();
    for (const Neighbour& neighbour : all)
        if (fib.knows(neighbour.interface, neighbour.address)) waiting_.release(neighbour, found_);
    waiting_.expire(now, dropped_);
    due_.clear();
    waiting_.due(now, due_);
    for (const Neighbour& neighbour : due_) asker_.ask(neighbour);
    give(now, exits);
}

std::uint64_t Neighbours::next() const { return waiting_.empty() ? never : waiting_.next(); }

void Neighbours::leave(Exits& exits) {
    waiting_.expire(never, dropped_);
    errors_ = nullptr;
    give(never, exits);
}

void Neighbours::give(std::uint64_t now, Exits& exits) {
    for (Frame& frame : found_) {
        frame.flags |= frame_waited;
        exits.again(frame);
    }
    for (const Frame& frame : dropped_) {
        // Whose packet it was is known only where it was not sealed.
        const bool clear = (frame.flags & (frame_to_red | frame_bypassed)) != 0 && (frame.flags & frame_ours) == 0;
        if (errors_ != nullptr && clear && frame.reason == DropReason::neighbour_unresolved)
            errors_->take(frame, now, exits);
        else
            exits.drop(frame, frame.reason);
    }
    found_.clear();
    dropped_.clear();
}

} // namespace sallyport::exception
