// SPDX-License-Identifier: Apache-2.0
#include "mgmt/control/json.hpp"

#include <cstdlib>
#include <new>

#include <systemd/sd-json.h>

namespace sallyport::varlink {
namespace {

/// The only way in which sd-json fails with values of ours.
void check(int result) {
    if (result < 0) throw std::bad_alloc();
}

} // namespace

Json::Json(const Json& other) : value_(sd_json_variant_ref(other.value_)) {}

Json::~Json() { sd_json_variant_unref(value_); }

Json::Json(std::string_view text) {
    if (sd_json_variant_new_stringn(&value_, text.data(), text.size()) >= 0) return;
    std::string clean(text);
    for (char& c : clean)
        if (static_cast<unsigned char>(c) >= 0x80 || c == '\0') c = '?';
    check(sd_json_variant_new_stringn(&value_, clean.data(), clean.size()));
}

Json Json::of_boolean(bool value) {
    Json result;
    check(sd_json_variant_new_boolean(&result.value_, value ? 1 : 0));
    return result;
}

Json Json::of_unsigned(std::uint64_t value) {
    Json result;
    check(sd_json_variant_new_unsigned(&result.value_, value));
    return result;
}

Json Json::of_integer(std::int64_t value) {
    Json result;
    check(sd_json_variant_new_integer(&result.value_, value));
    return result;
}

Json Json::object(const Members& members) {
    std::vector<Json> names;
    std::vector<sd_json_variant*> pairs;
    for (const auto& [name, value] : members) {
        if (value.value_ == nullptr) continue;
        names.emplace_back(name);
        pairs.push_back(names.back().value_);
        pairs.push_back(value.value_);
    }
    Json result;
    check(sd_json_variant_new_object(&result.value_, pairs.data(), pairs.size()));
    return result;
}

Json Json::array(const std::vector<Json>& items) {
    std::vector<sd_json_variant*> values;
    values.reserve(items.size());
    for (const Json& item : items) values.push_back(item.value_);
    Json result;
    check(sd_json_variant_new_array(&result.value_, values.data(), values.size()));
    return result;
}

Json Json::with(const char* member, const Json& value) const {
    Json result = *this;
    check(sd_json_variant_set_field(&result.value_, member, value.value_));
    return result;
}

Json Json::borrow(sd_json_variant* value) { return take(sd_json_variant_ref(value)); }

Json Json::take(sd_json_variant* value) {
    Json result;
    result.value_ = value;
    return result;
}

Json Json::parse(const std::string& text) {
    Json result;
    constexpr auto no_flags = static_cast<sd_json_parse_flags_t>(0); // NOLINT(clang-analyzer-optin.core.EnumCastOutOfRange): flags
    if (sd_json_parse(text.c_str(), no_flags, &result.value_, nullptr, nullptr) < 0) return {};
    return result;
}

Json Json::operator[](const char* member) const {
    return sd_json_variant_is_object(value_) != 0 ? borrow(sd_json_variant_by_key(value_, member)) : Json{};
}

std::vector<Json> Json::items() const {
    std::vector<Json> result;
    if (sd_json_variant_is_array(value_) == 0) return result;
    for (std::size_t i = 0; i < sd_json_variant_elements(value_); ++i) result.push_back(borrow(sd_json_variant_by_index(value_, i)));
    return result;
}

bool Json::has_value() const { return value_ != nullptr && sd_json_variant_is_null(value_) == 0; }

std::string Json::text() const { return sd_json_variant_is_string(value_) != 0 ? sd_json_variant_string(value_) : std::string{}; }

std::uint64_t Json::number() const { return sd_json_variant_is_unsigned(value_) != 0 ? sd_json_variant_unsigned(value_) : 0; }

std::int64_t Json::integer() const { return sd_json_variant_is_integer(value_) != 0 ? sd_json_variant_integer(value_) : 0; }

bool Json::flag() const { return sd_json_variant_is_boolean(value_) != 0 && sd_json_variant_boolean(value_) != 0; }

std::string Json::print(bool pretty) const {
    if (value_ == nullptr) return "null";
    char* text = nullptr;
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): flags
    const auto flags = static_cast<sd_json_format_flags_t>(pretty ? SD_JSON_FORMAT_PRETTY | SD_JSON_FORMAT_NEWLINE : 0);
    check(sd_json_variant_format(value_, flags, &text));
    std::string result = text;
    free(text); // made by malloc (sd-json)
    return result;
}

} // namespace sallyport::varlink
