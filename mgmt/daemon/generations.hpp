// SPDX-License-Identifier: Apache-2.0
// Which configuration a daemon starts with, and what it keeps for its next start. After an orderly stop that is the file, for the operator
// may have edited it; after a death it is the generation that was committed last, never a file that is half edited.
#pragma once

#include "gateway/state/committed.hpp"
#include "gateway/state/files.hpp"
#include "mgmt/config/config.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sallyport::daemon {

class Generations {
public:
    /// What a daemon begins with, and what it has to say about that.
    struct Choice {
        config::Loaded loaded;
        std::vector<std::string> notes;        // for the journal
        std::vector<config::Problem> problems; // of the file, where the kept generation is taken in its place
    };

    /// `state` overrides where the state directory is looked for; else what the file says, else $STATE_DIRECTORY, else
    /// /var/lib/sallyport. With `fresh` what was kept is not looked at. Error: the problems of the file, and nothing is kept.
    [[nodiscard]] std::expected<Choice, std::vector<config::Problem>> choose(const std::string& file,
                                                                             const std::optional<std::string>& state, bool fresh);

    /// Keeps the generation durably. Error: the old one is kept.
    [[nodiscard]] Result<void> keep(const config::Loaded& loaded, const std::string& state_directory);
    /// The gateway stops in order: the next start takes the file.
    [[nodiscard]] Result<void> close();

private:
    [[nodiscard]] Result<void> open(const std::string& state_directory);
    [[nodiscard]] Result<std::optional<state::Committed>> read();
    std::string started_with_;
    std::string directory_; // of `files_`
    std::unique_ptr<state::Files> files_;
    bool keeps_ = false; // something lies there
};

} // namespace sallyport::daemon
