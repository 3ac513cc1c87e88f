// From a client's message to a run of an agent, and from the run's result to what the task says. Internal to the server.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engram/agents.h"
#include "engram/teams.h"
#include "protocol/a2a/errors.h"
#include "protocol/a2a/values.h"
#include "teams/colleagues.h"

namespace engram::server {

// Whether the agent is some context's memory (kContextLabel), so that lists of agents to talk to leave it out.
bool is_context(const AgentInfo &agent);

// What the model reads of a message: texts, and data and files of text as marked blocks. content_type_not_supported: other files,
// and addresses, which nobody fetches here.
protocol::a2a::A2aResult<std::string> text_of(const protocol::a2a::Message &message);

// Of the media types that the client takes the answer in. content_type_not_supported.
protocol::a2a::A2aResult<AnswerFormat> format_of(const std::vector<std::string> &accepted_output_modes);

// The agent that a context is the memory of. A context at an agent's address begins as a fork of that agent, so that its contexts
// don't mix. At the server's own address a context may name an agent, and is then that agent itself; otherwise it begins with
// nothing.
std::string memory_of(const AgentManager &agents, const std::string &agent, const std::string &context);
// Makes it where there is none yet. not_found: the agent; over_budget and others of AgentManager.
Result<void> ensure_memory(AgentManager &agents, const std::string &agent, const std::string &memory);

// --- approval by a person ---

std::string pending_text(const std::vector<ChatToolCall> &calls);  // JSON, for the store
// What the person is asked: a sentence, and the calls as data.
protocol::a2a::Message question(const std::vector<ChatToolCall> &calls);
// The answer to it: {"approvals":{"call_1":true}} in a data part, or one word ("yes", "no") for all calls that wait. Nothing: it
// says neither.
std::optional<std::map<std::string, bool>> approvals_in(const protocol::a2a::Message &message, std::string_view pending);

protocol::a2a::Message agent_says(std::string text);
// The task's answer: text, or data where JSON was asked for and came.
protocol::a2a::Artifact answer_artifact(std::string text, AnswerFormat format);

}  // namespace engram::server
