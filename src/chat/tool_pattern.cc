#include "chat/tool_pattern.h"

#include <algorithm>
#include <format>

namespace engram {
namespace {

bool fits(std::string_view pattern, std::string_view text) {
    // The last '*' that was met, and how much of the text it stands for so far.
    std::size_t p = 0, t = 0, star = std::string_view::npos, after_star = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            after_star = t;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++after_star;
        } else {
            return false;
        }
    }
    return std::ranges::all_of(pattern.substr(p), [](char c) { return c == '*'; });
}

}  // namespace

bool tool_matches(std::span<const std::string> patterns, std::string_view server, std::string_view tool) {
    const std::string whole = std::format("{}/{}", server, tool);
    return std::ranges::any_of(patterns, [&](const std::string &pattern) { return fits(pattern, whole); });
}

bool server_matches(std::span<const std::string> patterns, std::string_view server) {
    return std::ranges::any_of(patterns, [&](const std::string &pattern) {
        const std::size_t slash = pattern.find('/');
        return fits(std::string_view(pattern).substr(0, slash), server);
    });
}

}  // namespace engram
