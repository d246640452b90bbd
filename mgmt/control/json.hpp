// SPDX-License-Identifier: Apache-2.0
// JSON as the control socket and `sallyport --json` speak it: sd-json's values with an owner.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct sd_json_variant;

namespace sallyport::varlink {

/// A value that cannot be changed; copies share it. Empty: no value, which reads as zero, "" and an empty list.
class Json {
public:
    using Members = std::vector<std::pair<std::string_view, Json>>;

    Json() = default;
    Json(const Json& other);
    Json(Json&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
    Json& operator=(Json other) noexcept {
        std::swap(value_, other.value_);
        return *this;
    }
    ~Json();

    Json(std::string_view text); // octets that are no UTF-8 become "?"
    Json(const char* text) : Json(std::string_view(text)) {}
    Json(const std::string& text) : Json(std::string_view(text)) {}
    Json(std::same_as<bool> auto value) : Json(of_boolean(value)) {}
    Json(std::unsigned_integral auto value)
        requires(!std::same_as<decltype(value), bool>)
        : Json(of_unsigned(value)) {}
    Json(std::signed_integral auto value) : Json(of_integer(value)) {}

    [[nodiscard]] static Json object(const Members& members); // members without a value are left out
    [[nodiscard]] static Json array(const std::vector<Json>& items);
    template <class T, class F>
    [[nodiscard]] static Json array_of(const std::vector<T>& items, F make) {
        std::vector<Json> made;
        made.reserve(items.size());
        for (const T& item : items) made.push_back(make(item));
        return array(made);
    }
    [[nodiscard]] static Json borrow(sd_json_variant* value); // takes a reference of its own
    [[nodiscard]] static Json take(sd_json_variant* value);   // takes the caller's reference
    [[nodiscard]] static Json parse(const std::string& text); // empty where it is no JSON

    [[nodiscard]] Json with(const char* member, const Json& value) const; // an object with this member set
    [[nodiscard]] Json operator[](const char* member) const;
    [[nodiscard]] std::vector<Json> items() const;
    [[nodiscard]] bool has_value() const; // neither empty nor null
    [[nodiscard]] std::string text() const;
    [[nodiscard]] std::uint64_t number() const;
    [[nodiscard]] std::int64_t integer() const;
    [[nodiscard]] bool flag() const;
    [[nodiscard]] std::string print(bool pretty = true) const; // ends with a newline where pretty
    [[nodiscard]] sd_json_variant* get() const { return value_; }

private:
    static Json of_boolean(bool value);
    static Json of_unsigned(std::uint64_t value);
    static Json of_integer(std::int64_t value);
    sd_json_variant* value_ = nullptr;
};

} // namespace sallyport::varlink
