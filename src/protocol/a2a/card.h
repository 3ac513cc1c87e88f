// Agent cards: what an agent is, what it is good at, and where and how it is spoken to. Pure.
#pragma once

#include <span>
#include <string>

#include "chat/bounded_json.h"
#include "engram/agents.h"
#include "protocol/a2a/values.h"

namespace engram::protocol::a2a {

struct CardFacts {
    std::string name, description;
    std::string version;  // of whoever answers
    std::string url;      // "http://127.0.0.1:8000/a2a": of both bindings
    std::vector<AgentSkill> skills;
    bool needs_key = false;
};

// What an agent says of itself; whoever has no skills can talk.
CardFacts facts_of(const AgentInfo &agent);
// The server's, with its agents as skills.
CardFacts facts_of(std::span<const AgentInfo> agents);

OrderedJson card_json(const CardFacts &facts);
// Version 0.3's shape, and beside it the interfaces of 1.0, so that a client of either version finds its own.
OrderedJson card_json_0_3(const CardFacts &facts);

}  // namespace engram::protocol::a2a
