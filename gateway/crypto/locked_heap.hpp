// SPDX-License-Identifier: Apache-2.0
// What OpenSSL keeps of keys (cipher and HMAC contexts, its generator's state) it takes from a heap of its own here: locked, in no core
// dump, wiped when it is given back.
#pragma once

namespace sallyport::crypto {

/// From now on OpenSSL takes all its memory from there. Before anything else of OpenSSL is called in the process; false: it was too late.
[[nodiscard]] bool lock_openssl_memory();

} // namespace sallyport::crypto
