#include "teams/tool_name.h"

#include <algorithm>
#include <format>

#include "core/field_hasher.h"

namespace engram {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::size_t kHashDigits = 8;

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

}  // namespace engram
