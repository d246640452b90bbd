// SPDX-License-Identifier: Apache-2.0
#include "mgmt/journal/journal.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <format>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace sallyport::journal {
namespace {

Listener listener = nullptr;
void* listener_user = nullptr;

std::string_view word(Priority priority) {
    switch (priority) {
    case Priority::err: return "error: ";
    case Priority::warning: return "warning: ";
    default: return "";
    }
}

/// One event is one line, whatever a name in it holds.
std::string flat(std::string_view text) {
    std::string result;
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            result += std::format("\\x{:02x}", static_cast<unsigned char>(c));
        else
            result += c;
    return result;
}

std::string whole(std::string_view message, const Fields& fields) {
    std::string text = fields.place.empty() ? std::string(message) : std::format("{}: {}", fields.place, message);
    if (!fields.remedy.empty()) text += "; " + fields.remedy;
    return flat(text);
}

} // namespace

std::string catalog() {
    std::string text = "# SPDX-License-Identifier: Apache-2.0\n# Made from the table in mgmt/journal/events.hpp.\n";
    for (const EventInfo& event : events)
        text += std::format(
            "\n-- {}\nSubject: Sallyport: {}\nDefined-By: Sallyport\nDocumentation: man:sallyport-gateway(8)\n\n{}\n\nWhat to do: {}\n",
            event.id, event.name, event.meaning, event.remedy);
    return text;
}

std::vector<std::string> record(Event event, std::string_view message, const Fields& fields) {
    const EventInfo& about = info(event);
    std::vector<std::string> result{"MESSAGE=" + whole(message, fields), std::format("PRIORITY={}", static_cast<int>(about.priority)),
                                    std::format("MESSAGE_ID={}", about.id), std::format("EVENT={}", about.name)};
    const auto add = [&](std::string_view name, const std::string& value) {
        if (!value.empty()) result.push_back(std::format("{}={}", name, flat(value)));
    };
    add("CONNECTION", fields.connection);
    add("PEER", fields.peer);
    if (fields.spi) result.push_back(std::format("SPI={:#010x}", *fields.spi));
    add("VPN", fields.vpn);
    add("PORT", fields.port);
    add("PLACE", fields.place);
    add("REASON", fields.reason);
    add("SOURCE", fields.source);
    add("DESTINATION", fields.destination);
    const auto add_number = [&](std::string_view name, const auto& value) {
        if (value) result.push_back(std::format("{}={}", name, *value));
    };
    add_number("PROTOCOL", fields.protocol);
    add_number("SOURCE_PORT", fields.source_port);
    add_number("DESTINATION_PORT", fields.destination_port);
    add_number("TYPE", fields.type);
    add_number("CODE", fields.code);
    add_number("FLOW_LABEL", fields.flow_label);
    add("SELECTORS", fields.selectors);
    add_number("SEQUENCE", fields.sequence);
    add_number("COUNT", fields.count);
    return result;
}

std::string line(Event event, std::string_view message, const Fields& fields, std::uint64_t microseconds) {
    const auto seconds = static_cast<time_t>(microseconds / 1000000);
    tm parts{};
    gmtime_r(&seconds, &parts);
    return std::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {}{}\n", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec, microseconds / 1000 % 1000, word(info(event).priority),
                       whole(message, fields));
}

bool stderr_is_journal() {
    const char* stream = getenv("JOURNAL_STREAM");
    struct stat status{};
    if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
    return std::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

void say(Event event, std::string_view message, const Fields& fields) {
    if (listener != nullptr) return listener(event, message, fields, listener_user);
    std::vector<std::string> fields_of = record(event, message, fields);
    std::vector<iovec> parts;
    for (std::string& one : fields_of) parts.push_back({one.data(), one.size()});
    // Gives 0 where no journal runs.
    (void)sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
    if (stderr_is_journal()) return;
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    const std::string text = line(event, message, fields,
                                  static_cast<std::uint64_t>(now.tv_sec) * 1000000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000);
    (void)!write(STDERR_FILENO, text.data(), text.size());
}

void listen(Listener new_listener, void* user) {
    listener = new_listener;
    listener_user = user;
}

} // namespace sallyport::journal
