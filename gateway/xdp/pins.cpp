// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/pins.hpp"

#include "bpf/options.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace sallyport::xdp {
namespace {

thread_local std::string* libbpf_text = nullptr;

__attribute__((format(printf, 2, 0))) int keep(libbpf_print_level level, const char* format, va_list arguments) {
    if (!libbpf_text || level == LIBBPF_DEBUG) return 0;
    char line[2048];
    const int octets = std::vsnprintf(line, sizeof(line), format, arguments);
    if (octets > 0) libbpf_text->append(line, std::min(static_cast<std::size_t>(octets), sizeof(line) - 1));
    return octets;
}

} // namespace

LibbpfLog::LibbpfLog() : before_(libbpf_text) {
    libbpf_set_print(keep);
    libbpf_text = &text_;
}

LibbpfLog::~LibbpfLog() { libbpf_text = before_; }

std::string LibbpfLog::tail() const {
    constexpr std::size_t most = 400;
    std::string text = text_.size() > most ? text_.substr(text_.size() - most) : text_;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    std::ranges::replace(text, '\n', ' ');
    return text;
}

Result<void> check_pin_directory(const std::string& directory) {
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
        return std::unexpected(system_error(errno, "The directory of the pins cannot be made", directory));
    struct statfs about{};
    if (statfs(directory.c_str(), &about) != 0)
        return std::unexpected(system_error(errno, "The directory of the pins cannot be looked at", directory));
    // Not mounted here: a mount of our own could end with our mount namespace, and with it the lock of the ports.
    if (about.f_type != BPF_FS_MAGIC)
        return std::unexpected(Error{ErrorCode::missing, "This is no BPF file system, so nothing in it would outlive the process.",
                                     directory, "Mount one: mount -t bpf -o mode=0700 bpf " + directory});
    return {};
}

Descriptor open_pinned_map(const std::string& path, const bpf_map* like) {
    Descriptor map(bpf_obj_get(path.c_str()));
    if (!map) return map;
    bpf_map_info info{};
    std::uint32_t size = sizeof(info);
    const bool fits = bpf_map_get_info_by_fd(map.get(), &info, &size) == 0 && info.type == bpf_map__type(like) &&
                      info.key_size == bpf_map__key_size(like) && info.value_size == bpf_map__value_size(like) &&
                      info.max_entries == bpf_map__max_entries(like) && info.map_flags == bpf_map__map_flags(like);
    if (fits) return map;
    unlink(path.c_str());
    return Descriptor{};
}

Result<Descriptor> make_pinned_map(const std::string& path, const bpf_map* like) {
    bpf_map_create_opts options;
    clear(options);
    options.map_flags = bpf_map__map_flags(like);
    Descriptor map(bpf_map_create(bpf_map__type(like), bpf_map__name(like), bpf_map__key_size(like), bpf_map__value_size(like),
                                  bpf_map__max_entries(like), &options));
    if (!map) return std::unexpected(system_error(errno, std::string("The BPF map ") + bpf_map__name(like) + " cannot be made", path));
    if (bpf_obj_pin(map.get(), path.c_str()) != 0)
        return std::unexpected(system_error(errno, std::string("The BPF map ") + bpf_map__name(like) + " cannot be pinned", path));
    return map;
}

} // namespace sallyport::xdp
