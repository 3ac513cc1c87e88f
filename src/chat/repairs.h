// What clients change in every request though it means nothing, taken out before the prompt is rendered: otherwise nothing behind
// it could be reused. Pure.
//
//   - Lines `x-anthropic-…: …` in front of a system text (a billing line whose hash changes with each conversation): left out.
//   - Tools in another order: put in the order of their names.
//   - Results of several calls in another order than the calls: put in theirs.
//
// Other repairs live where the knowledge for them is: texts that differ in what doesn't matter in message_identity.h, system
// messages in the middle of a conversation in conversation.h, other tokens for the same text in prefix.h.
#pragma once

#include <string>
#include <vector>

#include "chat/conversation.h"

namespace engram {

struct RepairedPrompt {
    std::vector<TemplateMessage> messages;
    std::string tools;
    std::vector<std::string> repairs;  // what was done, one sentence each, to be told to the client
};

// `tools` as checked_tools (tool_call.h) gives them.
RepairedPrompt repair_prompt(std::vector<TemplateMessage> messages, std::string tools);

}  // namespace engram
