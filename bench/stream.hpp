// SPDX-License-Identifier: Apache-2.0
// A stream of packets at a rate, from a thread of its own.
#pragma once

#include "bench/veth.hpp"
#include "bench/world.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace sallyport::bench {

class Stream {
public:
    /// Out of `device` to the MAC: red packets of `inner` octets for the network of pair 0.
    Stream(const char* device, const route::Mac& to, unsigned inner);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// Packets a second, 0: as many as go.
    void begin(double rate);
    /// Gives how many were offered since begin(), whatever the kernel made of them.
    [[nodiscard]] std::uint64_t end();

private:
    void run(double rate);

    static constexpr unsigned burst = 32;
    veth::Generator generator_;
    Memory memory_;
    std::vector<Frame> frames_;
    std::atomic<bool> stop_ = false;
    std::uint64_t offered_ = 0; // the thread's until it has ended
    std::thread thread_;
};

} // namespace sallyport::bench
