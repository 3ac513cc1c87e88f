#include "tenants/principal.h"

#include <algorithm>
#include <array>
#include <format>
#include <ranges>
#include <utility>

namespace engram {
namespace {

constexpr auto kNames = std::to_array<std::pair<std::string_view, Scope>>(
    {{"chat", Scope::chat}, {"agents", Scope::agents}, {"admin", Scope::admin}});

}  // namespace

Result<Scopes> Scopes::parse(std::string_view text) {
    Scopes scopes;
    for (const auto piece : std::views::split(text, ',')) {
        const std::string_view name(piece.begin(), piece.end());
        const auto *known = std::ranges::find(kNames, name, &std::pair<std::string_view, Scope>::first);
        if (known == kNames.end()) {
            return fail(
                ErrorCode::invalid_argument,
                std::format("\"{}\" isn't a list of scopes: one or more of chat, agents, admin, with commas between", text));
        }
        scopes.add(known->second);
    }
    if (scopes == Scopes()) return fail(ErrorCode::invalid_argument, "a key needs a scope: chat, agents or admin");
    return scopes;
}

std::string Scopes::text() const {
    std::string text;
    for (const auto &[name, scope] : kNames) {
        if (has(scope)) text += (text.empty() ? "" : ",") + std::string(name);
    }
    return text;
}

}  // namespace engram
