// The agents of other servers that are configured as colleagues for the agents here, in the file that names the tool servers too:
//
//     {"a2aAgents": {
//         "legal": {"url": "https://example.com/a2a/legal", "headers": {"Authorization": "Bearer ${LEGAL_KEY}"}}}}
//
// `url` is the agent's card, or where it lies under /.well-known/agent-card.json. Optional members: `description` (what the
// agents here are told; otherwise what the card says); `timeout` (milliseconds for one task; ten minutes otherwise); `disabled`;
// `tenants` (whose agents may ask it; only the tenant "default" otherwise). How such files are read: config/json_entries.h.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/json_entries.h"
#include "engram/error.h"

namespace engram::a2a {

struct RemoteConfig {
    std::string name;  // by which an agent's card names it as a colleague: 1 to 64 of A-Z a-z 0-9 _ -
    std::string url;
    std::string description;
    std::map<std::string, std::string> headers;
    std::chrono::milliseconds timeout{600'000};
    std::vector<std::string> tenants{"default"};
    bool operator==(const RemoteConfig &) const = default;
};

// Those that aren't disabled, in the file's order; nullopt: the file has no "a2aAgents". `name` stands in messages.
// invalid_argument: what is wrong and where.
Result<std::optional<std::vector<RemoteConfig>>> parse_remote_list(std::string_view json, std::string_view name,
                                                                   const Environment &environment);

}  // namespace engram::a2a
