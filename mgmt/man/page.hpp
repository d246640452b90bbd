// SPDX-License-Identifier: Apache-2.0
// sallyport.toml(5), made from the table of keys, and sallyport-drops(7), made from that of drop reasons.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::man {

/// The template with every section and key, in mdoc(7), in the place of its line "@SECTIONS@".
[[nodiscard]] std::string toml_page(std::string_view page_template);

/// The template with every drop reason in the place of its line "@REASONS@".
[[nodiscard]] std::string drops_page(std::string_view page_template);

} // namespace sallyport::man
