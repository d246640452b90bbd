// SPDX-License-Identifier: Apache-2.0
#include "gateway/xdp/names.hpp"

#include "gateway/state/descriptor.hpp"

#include <bpf/bpf.h>
#include <cstring>
#include <map>

namespace sallyport::xdp {
namespace {

std::map<std::uint32_t, std::string>& learned() {
    static std::map<std::uint32_t, std::string> names;
    return names;
}

/// Of an XDP program; empty where it is none or may not be seen.
std::string ask(std::uint32_t id) {
    const Descriptor program(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    std::uint32_t size = sizeof(info);
    if (!program || bpf_prog_get_info_by_fd(program.get(), &info, &size) != 0 || info.type != BPF_PROG_TYPE_XDP) return {};
    return {info.name, strnlen(info.name, sizeof(info.name))};
}

} // namespace

void learn_program_names() {
    std::uint32_t id = 0;
    while (bpf_prog_get_next_id(id, &id) == 0)
        if (std::string name = ask(id); !name.empty()) learned()[id] = std::move(name);
}

std::string program_name(std::uint32_t id) {
    if (std::string name = ask(id); !name.empty()) return name;
    const auto found = learned().find(id);
    return found == learned().end() ? std::string{} : found->second;
}

} // namespace sallyport::xdp
