// SPDX-License-Identifier: Apache-2.0
// IKE fragmentation is agreed upon (RFC 7383 2.3); the fragments themselves are the engine's.
#include "ike/extension/extensions.hpp"
#include "ike/extension/support.hpp"

namespace sallyport::ike::extension {

using Agreed = Support<NotifyType::ikev2_fragmentation_supported, Feature::fragmentation>;
constinit const Extension fragmentation{.name = "message fragmentation",
                                        .source = "RFC 7383",
                                        .offer = Agreed::offer,
                                        .examine = Agreed::examine,
                                        .answer = Agreed::answer,
                                        .conclude = Agreed::conclude};

} // namespace sallyport::ike::extension
