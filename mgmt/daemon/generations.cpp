// SPDX-License-Identifier: Apache-2.0
#include "mgmt/daemon/generations.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <format>
#include <sys/stat.h>

namespace sallyport::daemon {
namespace {

constexpr const char* file_name = "committed";

std::vector<config::Source> sources_of(const state::Committed& committed) {
    std::vector<config::Source> sources;
    for (const state::Committed::Part& part : committed.parts)
        sources.push_back({part.kind == state::Committed::Kind::key, part.name, part.octets});
    return sources;
}

std::string default_state() {
    const char* given = std::getenv("STATE_DIRECTORY"); // of systemd; NOLINT(concurrency-mt-unsafe): before there are threads
    return given != nullptr && given[0] == '/' ? given : "/var/lib/sallyport";
}

} // namespace

/// A folder of its own, for the state directory is locked by the marks.
Result<void> Generations::open(const std::string& state_directory) {
    const std::string wanted = state_directory + "/configuration";
    if (files_ && directory_ == wanted) return {};
    std::error_code ignored;
    std::filesystem::create_directories(state_directory, ignored); // what matters is said by who opens it
    if (mkdir(wanted.c_str(), 0700) != 0 && errno != EEXIST)
        return std::unexpected(
            system_error(errno, "The configuration cannot be kept", wanted, "look at the rights of the state directory"));
    auto opened = state::open_directory(wanted);
    if (!opened) return std::unexpected(std::move(opened.error()));
    files_ = std::move(*opened);
    directory_ = wanted;
    return {};
}

Result<std::optional<state::Committed>> Generations::read() {
    auto text = files_->read(file_name);
    if (!text) return std::unexpected(std::move(text.error()));
    if (!*text) return std::nullopt;
    auto committed = state::parse_committed(**text);
    if (!committed) {
        committed.error().place = files_->path(file_name) + " " + committed.error().place;
        return std::unexpected(std::move(committed.error()));
    }
    return std::move(*committed);
}

std::expected<Generations::Choice, std::vector<config::Problem>> Generations::choose(const std::string& file,
                                                                                     const std::optional<std::string>& state, bool fresh) {
    started_with_ = file;
    config::Outcome outcome = config::load(file);
    const std::string directory = state ? *state : outcome ? outcome->desired.settings.state_directory : default_state();
    Choice choice;
    std::optional<state::Committed> kept;
    if (std::filesystem::exists(directory + "/configuration/" + file_name) && !fresh) {
        auto read_back = open(directory).and_then([this] { return read(); });
        if (read_back)
            kept = std::move(*read_back);
        else
            choice.notes.push_back(std::format("What was kept of the configuration is not used: {}", to_string(read_back.error())));
    }
    if (kept && kept->started_with != file) kept.reset();
    if (kept && (!kept->closed || !outcome)) {
        auto last = config::parse(sources_of(*kept));
        if (!last) {
            choice.notes.push_back("The configuration that was committed last is none for this release: the file is taken");
        } else if (outcome && outcome->sources == last->sources) {
            // Nothing was edited.
        } else {
            choice.notes.push_back(
                outcome ? std::format("{} has changes that were not committed; sallyport reload takes them", file)
                        : std::format("{} has mistakes: the gateway starts with the configuration that was committed last", file));
            if (!outcome) choice.problems = std::move(outcome.error());
            choice.loaded = std::move(*last);
            return choice;
        }
    }
    if (!outcome) return std::unexpected(std::move(outcome.error()));
    choice.loaded = std::move(*outcome);
    return choice;
}

Result<void> Generations::keep(const config::Loaded& loaded, const std::string& state_directory) {
    if (auto opened = open(state_directory); !opened) return opened;
    state::Committed next{.closed = false, .started_with = started_with_, .parts = {}};
    for (const config::Source& source : loaded.sources)
        next.parts.push_back({source.key ? state::Committed::Kind::key : state::Committed::Kind::text, source.name, source.octets});
    if (auto written = state::replace(*files_, file_name, state::format_committed(next)); !written) return written;
    keeps_ = true;
    return {};
}

/// What is kept is read again: it has keys, which are not held in memory for that.
Result<void> Generations::close() {
    if (!keeps_) return {};
    auto kept = read();
    if (!kept) return std::unexpected(std::move(kept.error()));
    if (!*kept) return {};
    (*kept)->closed = true;
    return state::replace(*files_, file_name, state::format_committed(**kept));
}

} // namespace sallyport::daemon
