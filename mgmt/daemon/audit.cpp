// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/audit.hpp"

#include <algorithm>
#include <format>

namespace sallyport::daemon {

namespace {

void describe_upper(const Flow& flow, AuditLine& line) {
    if (!flow.ports_known) return;
    if (has_type(flow.protocol)) {
        line.fields.type = flow.source_port >> 8U;
        line.fields.code = flow.source_port & 255U;
        line.message += std::format(", type {} code {}", *line.fields.type, *line.fields.code);
    } else {
        line.fields.source_port = flow.source_port;
        line.fields.destination_port = flow.destination_port;
        line.message += std::format(", ports {} and {}", flow.source_port, flow.destination_port);
    }
}

} // namespace

std::optional<AuditLine> Audit::dropped(const control::Told& told, std::uint64_t now) {
    const Event& event = told.event;
    Reason& reason = reasons_[static_cast<std::size_t>(event.reason)];
    if (reason.end == 0) {
        reason.end = now + period;
        reason.lines = 0;
        next_ = std::min(next_, reason.end);
    }
    if (reason.lines >= most_lines) return std::nullopt;
    ++reason.lines;
    if (!event.by_kernel) ++reason.told;
    const DropReasonInfo& about = info(event.reason);
    AuditLine line;
    journal::Fields& fields = line.fields;
    fields = {.connection = told.connection, .peer = told.peer, .vpn = told.vpn, .port = told.port, .remedy = std::string(about.remedy)};
    fields.reason = about.name;
    if (event.spi != 0) fields.spi = event.spi;
    if (event.sequence != 0) fields.sequence = event.sequence;
    line.message = std::format("Dropped a packet ({}): {}", about.name, about.meaning);
    if (event.has_flow) {
        fields.source = to_string(event.flow.source);
        fields.destination = to_string(event.flow.destination);
        fields.protocol = event.flow.protocol;
        line.message += std::format("; {} to {}, protocol {}", fields.source, fields.destination, event.flow.protocol);
        describe_upper(event.flow, line);
        if (event.flow.source.family == Family::ipv6) fields.flow_label = event.flow_label;
    }
    if (fields.spi) line.message += std::format(", SPI {:#010x}", *fields.spi);
    if (fields.sequence) line.message += std::format(", sequence {}", *fields.sequence);
    if (!told.connection.empty()) line.message += std::format(", connection {}", told.connection);
    for (const std::string& selector : told.selectors) fields.selectors += (fields.selectors.empty() ? "" : ", ") + selector;
    if (!fields.selectors.empty()) line.message += std::format(", which carries {}", fields.selectors);
    return line;
}

std::vector<AuditLine> Audit::periods_over(const Drops& drops, std::uint64_t now) {
    std::vector<AuditLine> lines;
    next_ = ~std::uint64_t{0};
    for (std::size_t i = 0; i < reasons_.size(); ++i) {
        Reason& reason = reasons_[i];
        if (reason.end == 0) continue;
        if (now < reason.end) {
            next_ = std::min(next_, reason.end);
            continue;
        }
        reason.end = 0;
        if (drops[i] <= reason.told) continue;
        AuditLine line;
        line.message = std::format("Dropped {} more packets ({}): {}", drops[i] - reason.told, drop_reasons[i].name,
                                   drop_reasons[i].meaning);
        line.fields.reason = drop_reasons[i].name;
        line.fields.count = drops[i] - reason.told;
        line.fields.remedy = drop_reasons[i].remedy;
        lines.push_back(std::move(line));
        reason.told = drops[i];
    }
    return lines;
}

} // namespace sallyport::daemon
