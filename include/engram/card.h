// What others may know of an agent: to find it, and to give it work; and what it may do. None of it is a part of the agent's
// prompt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace engram {

// Something that an agent is good at, in the shape of an A2A agent card's skill.
struct AgentSkill {
    std::string id;  // 1 to 128 bytes; an agent's skills have different ones
    std::string name;
    std::string description;
    std::vector<std::string> tags;      // single words to be found by
    std::vector<std::string> examples;  // of what it could be asked
    bool operator==(const AgentSkill &) const = default;
};

// What happens when a run's next turn doesn't fit into the agent's context.
enum class Compaction : std::uint8_t {
    stop,       // the run ends and says so
    keep_last,  // the system prompt and the last turns stay
    summarise,  // likewise, and the agent sums up first what goes
};
std::string_view compaction_name(Compaction compaction);  // "stop", "keep_last", "summarise"
std::optional<Compaction> compaction_from_name(std::string_view name);

struct AgentCard {
    std::string owner;                // a person or a team; any text
    std::vector<std::string> labels;  // any texts, such as "team=harbour"
    std::vector<AgentSkill> skills;
    std::vector<std::string> colleagues;  // ids of the agents that it may give work to
    std::string managed_by;               // whose role files keep the agent as they say; empty: nobody's
    std::string team;                     // whose notes it shares; empty: it has none
    std::vector<std::string> tools;       // of those that are configured, what it may call: "files/read_file", "files/*", "*"
    std::vector<std::string> approvals;   // of those, what a person must allow each time, in the same form
    Compaction compaction = Compaction::stop;
    bool operator==(const AgentCard &) const = default;
};

}  // namespace engram
