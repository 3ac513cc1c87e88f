// A workflow as its YAML file says it (docs/WORKFLOWS.md): read, and checked as far as can be without running it. Pure.
//
// What this returns is sound: all references lead to inputs or to nodes that are waited for, the graph has no circle, and no two
// nodes add to one agent's memory in an order that is left to chance.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"
#include "engram/chat.h"
#include "workflow/expression.h"

namespace engram::workflow {

inline constexpr std::size_t kMaxNodes = 200;
inline constexpr std::size_t kMaxAgents = 200;  // that it may make
inline constexpr std::size_t kMaxItems = 1000;  // of one for_each

enum class InputType : std::uint8_t { text, number, boolean, list, json };
std::string_view input_type_name(InputType type);

struct Input {
    std::string name;
    InputType type = InputType::text;
    std::string description;
    std::optional<OrderedJson> otherwise;  // the default
};

struct Route {  // who may get a task; all that is given must hold
    std::vector<std::string> agents;
    std::string skill, label, words;
};

struct Retry {
    std::uint32_t times = 0;
    std::chrono::milliseconds wait{1000};  // doubles with each
};

enum class MemoryUse : std::uint8_t {
    keep,  // the agent remembers the turn
    fork,  // it doesn't
};

struct Node {
    std::string name;
    int line = 1;

    // One of: an agent's id, a choice, or (neither) a text.
    std::string agent;
    std::optional<Route> route;
    Template text;  // the prompt, where there is an agent or a choice

    std::vector<std::string> needs;  // all that it waits for, those that it refers to included, in the definition's order
    std::optional<Expression> when, for_each;
    std::uint32_t parallel = 0;  // of for_each; 0: as many as may
    Retry retry;
    std::chrono::milliseconds timeout{0};  // of an attempt; 0: none
    MemoryUse memory = MemoryUse::keep;
    bool json = false;
    std::string schema;  // empty: any JSON object, where `json`
    std::uint32_t max_tokens = 1024;
    Sampling sampling;

    bool asks() const { return !agent.empty() || route.has_value(); }
};

struct Output {
    std::string name;
    Template text;
};

struct Definition {
    std::string name, description;
    std::vector<Input> inputs;
    std::vector<AgentSpec> agents;
    std::uint32_t parallel = 8;
    std::chrono::milliseconds timeout{0};  // of the run; 0: none
    std::vector<Node> nodes;
    std::vector<Output> outputs;

    const Node *find(std::string_view node) const;  // null: there is none
};

// `file` stands in messages. invalid_argument: all complaints, each on a line of its own, "FILE:LINE: sentence".
Result<Definition> parse_definition(std::string_view yaml, std::string_view file);

// The inputs of a run: what is given, in the declared types, and defaults for the rest. A text is read as the type that the input
// has. invalid_argument: unknown, missing, or of another type.
Result<OrderedJson> complete_inputs(const Definition &definition, const OrderedJson &given);

}  // namespace engram::workflow
