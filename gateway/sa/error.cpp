// SPDX-License-Identifier: Apache-2.0
#include "gateway/sa/error.hpp"

#include <system_error>
#include <utility>

namespace sallyport {

std::string to_string(const Error& error) {
    std::string text;
    if (!error.place.empty()) text = error.place + ": ";
    text += error.sentence;
    if (!error.remedy.empty()) {
        if (text.ends_with('.')) text.pop_back();
        text += "; " + error.remedy;
    }
    return text;
}

Error system_error(int errno_value, std::string sentence, std::string place, std::string remedy) {
    sentence += ": " + std::generic_category().message(errno_value);
    return {ErrorCode::system, std::move(sentence), std::move(place), std::move(remedy)};
}

} // namespace sallyport
