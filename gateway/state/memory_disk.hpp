// SPDX-License-Identifier: Apache-2.0
// A disk of tests: it knows what of its content a power cut leaves, takes one octet a write, and fails when told.
#pragma once

#include "gateway/state/files.hpp"

#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

namespace sallyport::state {

class MemoryDisk {
public:
    struct File {
        std::string content;
        std::string durable; // at the last sync
    };
    using Directory = std::map<std::string, std::shared_ptr<File>>;

    std::mutex mutex;
    Directory now;
    Directory durable; // at the last sync
    long calls = 0;
    long cut_at = -1;    // this call and all behind it fail: the power is gone
    int write_error = 0; // negative errno of every write
    int create_error = 0;
    int sync_error = 0;
    std::atomic<bool> stuck = false; // sync() does not return
    std::atomic<bool> waiting = false;

    [[nodiscard]] bool off() { return cut_at >= 0 && calls >= cut_at; }
    /// One more call; true: no power.
    [[nodiscard]] bool step() {
        if (off()) return true;
        ++calls;
        return false;
    }

    /// What the next boot may find: of each file that was not synced so many octets, of renames not synced all or none.
    [[nodiscard]] std::map<std::string, std::string> after_cut(bool renamed, std::size_t unsynced_octets) {
        std::map<std::string, std::string> found;
        for (const auto& [name, file] : renamed ? now : durable) {
            const bool synced = file->content == file->durable;
            found[name] = synced ? file->content : unsynced_octets == 0 ? file->durable : file->content.substr(0, unsynced_octets);
        }
        return found;
    }

    void boot(const std::map<std::string, std::string>& found) {
        now.clear();
        for (const auto& [name, content] : found) now[name] = std::make_shared<File>(content, content);
        durable = now;
        cut_at = -1;
        calls = 0;
    }
};

class MemoryFiles final : public Files {
public:
    explicit MemoryFiles(MemoryDisk& disk) : disk_(disk) {}

    Result<std::optional<std::string>> read(const std::string& name) override {
        const std::lock_guard lock(disk_.mutex);
        const auto found = disk_.now.find(name);
        if (found == disk_.now.end()) return std::nullopt;
        return found->second->content;
    }

    int create(const std::string& name) override {
        const std::lock_guard lock(disk_.mutex);
        if (disk_.step()) return -EIO;
        if (disk_.create_error != 0) return disk_.create_error;
        auto& file = disk_.now[name];
        if (file == nullptr) file = std::make_shared<MemoryDisk::File>();
        file->content.clear();
        open_.push_back(file);
        return static_cast<int>(open_.size() - 1);
    }

    long write(int handle, const char* octets, std::size_t size) override {
        const std::lock_guard lock(disk_.mutex);
        if (disk_.step()) return -EIO;
        if (disk_.write_error != 0) return disk_.write_error;
        open_[static_cast<std::size_t>(handle)]->content.append(octets, 1);
        return size > 0 ? 1 : 0;
    }

    int sync(int handle) override {
        for (; disk_.stuck; usleep(1000)) disk_.waiting = true;
        disk_.waiting = false;
        const std::lock_guard lock(disk_.mutex);
        if (disk_.step()) return -EIO;
        if (disk_.sync_error != 0) return disk_.sync_error;
        auto& file = *open_[static_cast<std::size_t>(handle)];
        file.durable = file.content;
        return 0;
    }

    void close(int) override {}

    int rename(const std::string& from, const std::string& to) override {
        const std::lock_guard lock(disk_.mutex);
        if (disk_.step()) return -EIO;
        disk_.now[to] = disk_.now[from];
        disk_.now.erase(from);
        return 0;
    }

    int sync_directory() override {
        const std::lock_guard lock(disk_.mutex);
        if (disk_.step()) return -EIO;
        disk_.durable = disk_.now;
        return 0;
    }

    void remove(const std::string& name) override {
        const std::lock_guard lock(disk_.mutex);
        if (!disk_.step()) disk_.now.erase(name);
    }

    std::string path(const std::string& name) const override { return "/disk/" + name; }

private:
    MemoryDisk& disk_;
    std::vector<std::shared_ptr<MemoryDisk::File>> open_;
};

} // namespace sallyport::state
