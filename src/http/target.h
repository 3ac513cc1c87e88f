// The target of a request line: path and query, and their escapes. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace engram::http {

struct Target {
    std::string_view path;  // begins with '/', or is "*"
    std::string_view query;
};

// Takes "/path?query", "http://localhost/path?query" and "*" apart; nothing for anything else.
std::optional<Target> split_target(std::string_view target);

// Nothing when an escape isn't '%' and two hexadecimal digits, or stands for a zero byte.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

// "a=1&b" as names and values; nothing when an escape is wrong.
std::optional<HttpFields> parse_query(std::string_view query);

}  // namespace engram::http
