// Who a request comes from, and what he may do. Values only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram {

inline constexpr std::string_view kDefaultTenant = "default";  // exists without being made

enum class Scope : std::uint8_t {
    chat = 1,    // requests to the model
    agents = 2,  // the own tenant's agents: list, create, change, delete
    admin = 4,   // other tenants, metrics, keys, choosing the model
};

class Scopes {
  public:
    constexpr Scopes() = default;
    static constexpr Scopes all() { return Scopes(7); }
    static constexpr Scopes usual() { return Scopes(3); }  // chat and agents: of a key whose maker didn't say
    // "chat,agents": at least one, each a scope's name. invalid_argument.
    static Result<Scopes> parse(std::string_view text);

    constexpr bool has(Scope scope) const { return (bits_ & static_cast<std::uint8_t>(scope)) != 0; }
    constexpr void add(Scope scope) { bits_ |= static_cast<std::uint8_t>(scope); }
    std::string text() const;  // as parse() reads it
    bool operator==(const Scopes &) const = default;

  private:
    constexpr explicit Scopes(std::uint8_t bits) : bits_(bits) {}
    std::uint8_t bits_ = 0;
};

struct Principal {
    std::string tenant;
    Scopes scopes;
    std::string key_id;  // empty: this machine's user, while there are no keys

    // Whose agents a request may name. For everybody else's the answer is that there is no such agent.
    bool may_act_for(std::string_view other) const { return other == tenant || scopes.has(Scope::admin); }
    bool operator==(const Principal &) const = default;
};

}  // namespace engram
