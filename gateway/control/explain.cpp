// SPDX-License-Identifier: Apache-2.0
// A made packet through the port's program and a worker's stages, without sending it (gateway/worker/rehearsal.hpp), and what they decided
// in words.
#include "gateway/control/explain.hpp"

#include "gateway/control/inside.hpp"
#include "gateway/wire/ethernet.hpp"
#include "gateway/wire/parse.hpp"
#include "gateway/worker/rehearser.hpp"
#include "gateway/xdp/verdict.hpp"

#include <algorithm>
#include <format>

namespace sallyport::control {

namespace {

/// Runs in the thread of the worker that owns the SA.
struct Visit final : worker::Visitor {
    Visit(worker::Rehearser& its, const Question& asked, std::size_t at, const transform::InboundSa* out_of)
        : rehearser(its), question(asked), port(at), sa(out_of) {}
    void visit() override {
        const std::span<const std::uint8_t> frame = question.frame;
        taken = sa == nullptr ? rehearser.run(port, frame) : rehearser.run_opened(*sa, packet_in(frame));
    }
    worker::Rehearser& rehearser;
    const Question& question;
    std::size_t port;
    const transform::InboundSa* sa;
    bool taken = false;
};

} // namespace

std::span<const std::uint8_t> packet_in(std::span<const std::uint8_t> frame) {
    std::size_t at = wire::ethernet_type_offset;
    while (at + 2 <= frame.size()) {
        const std::uint16_t type = wire::load16(frame.data() + at);
        if (type != wire::ethertype_c_tag && type != wire::ethertype_s_tag) return frame.subspan(at + 2);
        at += wire::tag_size;
    }
    return {};
}

std::optional<Flow> flow_in(std::span<const std::uint8_t> octets) {
    if (octets.size() > largest_frame) return std::nullopt;
    std::vector<std::uint8_t> chunk(chunk_size);
    std::ranges::copy(octets, chunk.begin() + frame_headroom);
    Frame frame;
    frame.chunk = chunk.data();
    frame.begin = frame_headroom;
    frame.end = static_cast<std::uint16_t>(frame_headroom + octets.size());
    wire::parse(frame);
    if (frame.reason != DropReason::none) return std::nullopt;
    return wire::flow_of(frame);
}

Result<Explanation> Gateway::explain(const Question& question) {
    Explainer explainer(*inside_, question);
    return explainer.explain();
}

Result<Explanation> Explainer::explain() {
    const auto& ports = in_.desired.ports;
    const auto at = std::ranges::find(ports, question_.port, &PortSpec::interface);
    if (at == ports.end())
        return std::unexpected(
            Error{ErrorCode::missing, std::format("{} is no port", question_.port), question_.port, "sallyport status shows the ports"});
    port_ = static_cast<std::size_t>(at - ports.begin());
    if (in_.stopped || in_.workers.empty()) return std::unexpected(Error{ErrorCode::refused, "The gateway carries nothing now", {}, {}});
    const bool goes_on = question_.opened ? find_sa() : ask_program();
    if (!goes_on) return std::move(explanation_);
    if (auto done = rehearse(sa_ != nullptr ? sa_->worker : std::uint8_t{0}); !done) return std::unexpected(std::move(done.error()));
    return std::move(explanation_);
}

/// False: the program ends it.
bool Explainer::ask_program() {
    const PortSpec& port = in_.desired.ports[port_];
    const auto verdict = in_.ports->program(port_).judge(
        question_.frame, port, in_.ports->maps(),
        {.ike_served = in_.options.ike_user.has_value(), .generic = in_.options.generic, .limits = in_.desired.ike});
    if (!verdict) {
        add("program", std::format("it was not asked, the rest begins at the socket: {}", verdict.error().sentence));
        return true;
    }
    const xdp::VerdictInfo& info = xdp::verdicts[*verdict];
    const std::string_view to = info.action == SP_DROP ? "dropped" : info.action == SP_KERNEL ? "left to the kernel" : "to the gateway";
    add("program", std::format("{}: {} ({})", to, info.meaning, info.name));
    if (info.action == SP_SOCKET) return true;
    explanation_.ending = info.action == SP_KERNEL ? Ending::kernel : Ending::dropped;
    explanation_.counter = std::format("{}.{}", port.interface, info.name);
    return false;
}

/// The inbound SA that may carry the packet. False: there is none.
bool Explainer::find_sa() {
    const auto flow = flow_in(question_.frame);
    if (!flow) {
        add("packet", "it is not well-formed");
        return false;
    }
    for (const store::Sa* sa : in_.store->all()) {
        if (sa->inbound == nullptr) continue;
        const auto carries = [&](const Selector& selector) { return matches(selector, Direction::inbound, *flow); };
        if (std::ranges::none_of(std::span(sa->inbound->selectors, sa->inbound->selector_count), carries)) continue;
        sa_ = sa->inbound;
        add_rule("sa", std::format("SPI {:#010x} from {} may carry it", sa->spi(), to_string(sa->spec().outer_remote)), sa);
        return true;
    }
    add("sa", "no inbound SA has selectors that this packet matches");
    explanation_.counter = info(DropReason::selector_mismatch).name;
    explanation_.remedy = info(DropReason::selector_mismatch).remedy;
    return false;
}

/// As this worker; where the SA is another one's, once more as that.
Result<void> Explainer::rehearse(std::uint8_t number) {
    for (unsigned tries = 0; tries < 2; ++tries) {
        worker::Rehearser rehearser(number, in_.surroundings(), in_.ports_of(0));
        Visit visit(rehearser, question_, port_, sa_);
        if (!in_.workers[number]->call(visit))
            return std::unexpected(Error{ErrorCode::system, std::format("Worker {} does not answer", number), {}, "restart the gateway"});
        if (!visit.taken)
            return std::unexpected(Error{ErrorCode::invalid, "The packet is longer than a frame can be, or shorter than a header", {}, {}});
        const worker::Step* other = rehearser.rehearsal().last(worker::StepKind::handed_over);
        if (other != nullptr && other->worker < in_.workers.size() && other->worker != number) {
            number = other->worker;
            continue;
        }
        for (const worker::Step& step : rehearser.rehearsal().steps()) tell(step);
        return {};
    }
    return std::unexpected(Error{ErrorCode::system, "The packet's SA changes its worker", {}, "ask again"});
}

} // namespace sallyport::control
