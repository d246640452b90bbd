// SPDX-License-Identifier: Apache-2.0
// A netlink socket of libnl for requests that wait for the kernel's answer, for the files of this folder.
#pragma once

#include "gateway/sa/error.hpp"

#include <memory>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string>
#include <utility>

namespace sallyport::own {

struct FreeSocket {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};

using Socket = std::unique_ptr<nl_sock, FreeSocket>;

inline Error netlink_error(int code, std::string sentence, std::string place = {}) {
    return {ErrorCode::system, std::move(sentence) + ": " + nl_geterror(code), std::move(place), {}};
}

inline Result<Socket> connect() {
    Socket socket(nl_socket_alloc());
    if (const int code = socket ? nl_connect(socket.get(), NETLINK_ROUTE) : -NLE_NOMEM; code < 0)
        return std::unexpected(netlink_error(code, "A netlink socket cannot be opened"));
    return socket;
}

} // namespace sallyport::own
