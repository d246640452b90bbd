// SPDX-License-Identifier: Apache-2.0
#include "gateway/state/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace sallyport::state {

namespace {

constexpr std::size_t largest_file = std::size_t{256} << 20; // octets; a file beyond this is none of ours

class Directory final : public Files {
public:
    Directory(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {
        struct stat status{};
        if (geteuid() == 0 && fstat(descriptor, &status) == 0) owner_ = {status.st_uid, status.st_gid};
    }
    ~Directory() override { ::close(descriptor_); } // gives up the lock
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    Result<std::optional<std::string>> read(const std::string& name) override {
        const int handle = openat(descriptor_, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (handle < 0) {
            if (errno == ENOENT) return std::nullopt;
            return std::unexpected(system_error(errno, "cannot open the file", path(name)));
        }
        std::string content;
        std::array<char, 65536> buffer;
        ssize_t got = 0;
        while ((got = ::read(handle, buffer.data(), buffer.size())) > 0 && content.size() <= largest_file)
            content.append(buffer.data(), static_cast<std::size_t>(got));
        const int failure = errno;
        ::close(handle);
        if (got < 0) return std::unexpected(system_error(failure, "cannot read the file", path(name)));
        if (content.size() > largest_file) return std::unexpected(Error{ErrorCode::invalid, "the file is too large", path(name), {}});
        return content;
    }

    int create(const std::string& name) override {
        const int handle = openat(descriptor_, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
        if (handle < 0) return -errno;
        // Root makes marks for the gateway's user.
        if (owner_ && fchown(handle, owner_->first, owner_->second) != 0) {
            const int failure = errno;
            ::close(handle);
            return -failure;
        }
        return handle;
    }

    long write(int handle, const char* octets, std::size_t size) override {
        const ssize_t put = ::write(handle, octets, size);
        return put < 0 ? -errno : put;
    }

    int sync(int handle) override { return fsync(handle) == 0 ? 0 : -errno; }

    void close(int handle) override { ::close(handle); }

    int rename(const std::string& from, const std::string& to) override {
        return renameat(descriptor_, from.c_str(), descriptor_, to.c_str()) == 0 ? 0 : -errno;
    }

    int sync_directory() override { return fsync(descriptor_) == 0 ? 0 : -errno; }

    void remove(const std::string& name) override { unlinkat(descriptor_, name.c_str(), 0); }

    std::string path(const std::string& name) const override { return path_ + "/" + name; }

private:
    int descriptor_;
    std::string path_;
    std::optional<std::pair<uid_t, gid_t>> owner_; // of the directory; nothing where only its owner can be here
};

int write_all(Files& files, int handle, std::string_view content) {
    while (!content.empty()) {
        const long put = files.write(handle, content.data(), content.size());
        if (put == -EINTR) continue;
        if (put <= 0) return put == 0 ? -EIO : static_cast<int>(put);
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    return files.sync(handle);
}

} // namespace

Result<std::unique_ptr<Files>> open_directory(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return std::unexpected(system_error(errno, "cannot open the state directory", path));
    // A process that was killed a moment ago may still hold the lock.
    for (int tries = 0; flock(descriptor, LOCK_EX | LOCK_NB) != 0; ++tries) {
        const int failure = errno;
        if (failure == EINTR || (failure == EWOULDBLOCK && tries < 100)) {
            usleep(20'000);
            continue;
        }
        close(descriptor);
        if (failure != EWOULDBLOCK) return std::unexpected(system_error(failure, "cannot lock the state directory", path));
        return std::unexpected(Error{ErrorCode::conflict, "another process holds the state directory", path,
                                     "stop the other gateway, or give each a state directory of its own"});
    }
    return std::make_unique<Directory>(descriptor, path);
}

Result<void> replace(Files& files, const std::string& name, std::string_view content) {
    const std::string fresh = name + ".new";
    const auto failed = [&](int result, const char* sentence) {
        files.remove(fresh);
        return std::unexpected(system_error(-result, sentence, files.path(name)));
    };
    const int handle = files.create(fresh);
    if (handle < 0) return failed(handle, "cannot create the file's next version");
    const int written = write_all(files, handle, content);
    files.close(handle);
    if (written < 0) return failed(written, "cannot write the file's next version");
    if (const int renamed = files.rename(fresh, name); renamed < 0) return failed(renamed, "cannot put the file's next version in place");
    if (const int synced = files.sync_directory(); synced < 0) return failed(synced, "cannot sync the directory");
    return {};
}

} // namespace sallyport::state
