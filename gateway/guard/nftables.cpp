// SPDX-License-Identifier: Apache-2.0
#include "gateway/guard/nftables.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nftables/libnftables.h>

namespace sallyport::guard {
namespace {

struct Free {
    void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

using Context = std::unique_ptr<nft_ctx, Free>;

Context make_context() {
    Context context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (context && (nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0)) context.reset();
    return context;
}

// The first line of what it says; the second only shows the place.
std::string first_line(const char* said) {
    std::string text = said != nullptr ? said : "";
    text.resize(std::min(text.find('\n'), std::min<std::size_t>(text.size(), 300)));
    return text.empty() ? "no reason given" : text;
}

} // namespace

Result<void> carry_out(const std::string& commands) {
    const Context context = make_context();
    if (!context) return std::unexpected(Error{ErrorCode::system, "The library of the kernel's packet filter cannot be used", {}, {}});
    if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0) return {};
    return std::unexpected(Error{ErrorCode::system,
                                 "The kernel's packet filter refuses our rules: " + first_line(nft_ctx_get_error_buffer(context.get())),
                                 {},
                                 "look whether this kernel has nf_tables"});
}

bool table_exists(const std::string& name) {
    const Context context = make_context();
    return context && nft_run_cmd_from_buffer(context.get(), ("list table inet " + name).c_str()) == 0;
}

} // namespace sallyport::guard
