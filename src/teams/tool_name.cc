#include "teams/tool_name.h"

#include <algorithm>
#include <format>

#include "core/field_hasher.h"

namespace engram {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kHashDigits = 8;

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

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

std::string model_tool_name(std::string_view server, std::string_view tool) {
    std::string name = std::format("{}__{}", server, tool);
    if (name.size() <= kMaxName && std::ranges::all_of(name, is_plain)) return name;
    FieldHasher hasher("engram tool name");
    hasher.add(server);
    hasher.add(tool);
    std::ranges::replace_if(name, [](char c) { return !is_plain(c); }, '_');
    name.resize(std::min(name.size(), kMaxName - kHashDigits - 1));
    return std::format("{}_{}", name, hasher.finish().hex().substr(0, kHashDigits));
}

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
