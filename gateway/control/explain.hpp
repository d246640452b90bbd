// SPDX-License-Identifier: Apache-2.0
// Puts an explanation together. Only the files of this folder include it.
#pragma once

#include "gateway/control/inside.hpp"
#include "gateway/worker/rehearsal.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace sallyport::control {

/// What lies behind the Ethernet header and its tags; empty: nothing does.
[[nodiscard]] std::span<const std::uint8_t> packet_in(std::span<const std::uint8_t> frame);
/// What selectors see of a frame; nothing where it is malformed.
[[nodiscard]] std::optional<Flow> flow_in(std::span<const std::uint8_t> frame);

/// Lives for one question, in the control thread.
class Explainer {
public:
    Explainer(Gateway::Inside& in, const Question& question) : in_(in), question_(question) {}
    [[nodiscard]] Result<Explanation> explain();

private:
    bool ask_program();
    bool find_sa();
    Result<void> rehearse(std::uint8_t number);

    // explain_text.cpp
    void add(std::string stage, std::string text);
    void add_rule(std::string stage, std::string text, const store::Sa* sa);
    void tell(const worker::Step& step);
    void tell_policy(const worker::Step& step);
    void tell_found(const worker::Step& step);
    void tell_opened(const worker::Step& step);
    void tell_way(const worker::Step& step);
    void tell_exception(const worker::Step& step);
    void tell_dropped(const worker::Step& step);
    [[nodiscard]] std::string vpn(VpnNumber number) const;
    [[nodiscard]] const PolicySpec* policy_of(std::uint32_t number) const;
    [[nodiscard]] std::string place_of(const store::Sa& sa) const;
    [[nodiscard]] const std::string& port_name(std::size_t port) const;

    Gateway::Inside& in_;
    const Question& question_;
    std::size_t port_ = 0;
    const transform::InboundSa* sa_ = nullptr; // question_.opened: the one that may carry it
    Explanation explanation_;
};

} // namespace sallyport::control
