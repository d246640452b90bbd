// SPDX-License-Identifier: Apache-2.0
// A directory whose files are replaced durably: after a power cut at any instant a file is whole, the old one or the new one.
#pragma once

#include "gateway/sa/error.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::state {

/// The few calls that durable replacement needs, so that tests can put a failing disk or a power cut in their place. Names are of files in
/// one directory. Calls that give an int give 0 (create: a handle, write: octets) or a negative errno value.
class Files {
public:
    virtual ~Files() = default;
    /// Nothing: no file of that name.
    [[nodiscard]] virtual Result<std::optional<std::string>> read(const std::string& name) = 0;
    [[nodiscard]] virtual int create(const std::string& name) = 0; // mode 0600, the directory's owner; one that is there is emptied
    [[nodiscard]] virtual long write(int handle, const char* octets, std::size_t size) = 0;
    [[nodiscard]] virtual int sync(int handle) = 0;
    virtual void close(int handle) = 0;
    [[nodiscard]] virtual int rename(const std::string& from, const std::string& to) = 0;
    [[nodiscard]] virtual int sync_directory() = 0;
    virtual void remove(const std::string& name) = 0;
    [[nodiscard]] virtual std::string path(const std::string& name) const = 0; // for messages
};

/// A directory of the system, locked against other processes for as long as the object lives.
/// Error conflict: another process holds it (waits up to two seconds for one that is just dying).
[[nodiscard]] Result<std::unique_ptr<Files>> open_directory(const std::string& path);

/// Writes name.new, syncs it, renames it over `name`, syncs the directory. After an error `name` holds the old or the new content; nothing
/// may be built on the new one.
[[nodiscard]] Result<void> replace(Files& files, const std::string& name, std::string_view content);

} // namespace sallyport::state
