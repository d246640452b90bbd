// SPDX-License-Identifier: Apache-2.0
// Pins in a bpffs and libbpf's voice, for the files of this folder.
#pragma once

#include "gateway/sa/error.hpp"
#include "gateway/state/descriptor.hpp"

#include <string>

struct bpf_map;

namespace sallyport::xdp {

/// While it lives, what libbpf says in this thread is kept instead of printed.
class LibbpfLog {
public:
    LibbpfLog();
    ~LibbpfLog();
    LibbpfLog(const LibbpfLog&) = delete;
    LibbpfLog& operator=(const LibbpfLog&) = delete;
    /// The last lines, in one line.
    [[nodiscard]] std::string tail() const;

private:
    std::string* before_;
    std::string text_;
};

/// Is the directory in a bpffs? Makes the last part of the path if it is missing.
[[nodiscard]] Result<void> check_pin_directory(const std::string& directory);

/// The pinned map, if it has the shape of `like` (type, sizes, flags); none and unpinned if it has another one; none if there is none.
[[nodiscard]] Descriptor open_pinned_map(const std::string& path, const bpf_map* like);

/// A new map of the shape of `like`, pinned there.
[[nodiscard]] Result<Descriptor> make_pinned_map(const std::string& path, const bpf_map* like);

} // namespace sallyport::xdp
