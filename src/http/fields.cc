#include "http/fields.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "http/server.h"

namespace engram::http {

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view HttpRequest::parameter(std::string_view name) const {
    for (const auto &[key, value] : path_parameters) {
        if (key == name) return value;
    }
    return {};
}

std::optional<std::string_view> HttpRequest::query_value(std::string_view name) const {
    for (const auto &[key, value] : query) {
        if (key == name) return value;
    }
    return std::nullopt;
}

std::string_view HttpRequest::header(std::string_view name) const {
    for (const auto &[key, value] : headers) {
        if (same_name(key, name)) return value;
    }
    return {};
}

}  // namespace engram::http
