// Small questions about text that the readers of answers ask. Internal to them. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "chat/bounded_json.h"

namespace engram::answer_text {

inline constexpr std::string_view kSpace = " \t\r\n";
inline constexpr std::size_t kMaxNameBytes = 256;
inline constexpr std::size_t kMaxCallBytes = 4UZ << 20U;
inline constexpr std::string_view kPythonTag = "<|python_tag|>";

inline std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kSpace);
    return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Where white space ends.
inline std::size_t spaces(std::string_view text, std::size_t at = 0) {
    return std::min(text.find_first_not_of(kSpace, at), text.size());
}

// Whether the text may go on to begin with `mark`.
inline bool begins_like(std::string_view text, std::string_view mark) {
    return text.size() < mark.size() && mark.starts_with(text);
}

inline std::string json_of(std::string_view text) {
    return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace engram::answer_text
