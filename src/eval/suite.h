// A suite: conversations that are told to a model, and questions about them with what a right answer holds. One JSON file; what
// each member means and how answers are scored is in docs/EVAL.md.
//
// A suite is a foreign file: its size and depth are bounded, and an error names the place in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/tool_call.h"
#include "engram/agents.h"
#include "engram/error.h"

namespace engram::eval {

inline constexpr std::size_t kMaxSuiteBytes = 256UZ << 20U;

// What must hold of a right answer; every member that is given. At least one is.
struct Expectation {
    std::vector<std::string> contains;  // each as a whole word or phrase
    std::vector<std::string> absent;    // none of them
    std::vector<std::string> any_of;    // at least one of them, anywhere
    std::optional<ToolCall> tool_call;  // exactly this one
    bool no_tool_call = false;
    std::vector<std::string> items;  // graded: the share of them that is there
    bool list_lines = false;         // a line that begins with "- " and holds none of the items makes the score 0
};

struct Question {
    std::string task;  // questions of one task make one row of the table
    std::string role = "user";
    std::string content;
    std::uint32_t max_tokens = 64;
    Expectation expect;
};

struct Conversation {
    std::string id;
    std::string tools;  // as AgentSpec::tools
    std::vector<Message> messages;
    std::vector<Question> questions;
};

struct Suite {
    std::string name, description;
    std::uint64_t seed = 0;
    std::vector<Conversation> conversations;
};

// invalid_argument: "conversations[3].questions[0].expect.items: …"; incompatible: another format than 1.
Result<Suite> parse_suite(std::string_view json);
// The same from a file; not_found, io. The error names the file.
Result<Suite> read_suite(const std::filesystem::path &file);

}  // namespace engram::eval
