// Tools in messages' texts, for templates that know none: calls stand, and are asked for, in the style that answers are read in.
// Pure.
#pragma once

#include <string_view>
#include <vector>

#include "chat/conversation.h"
#include "engram/error.h"

namespace engram {

// Calls stand behind their answers' texts. invalid_argument: a message's calls can't be read.
Result<void> calls_as_text(std::vector<TemplateMessage> &messages, const AnswerStyle &style);

// Results become messages of the user; those that follow each other become one, since such templates want users and assistants in
// turns.
void results_as_text(std::vector<TemplateMessage> &messages);

// `tools` (checked_tools) are described in front of the system text: they stay the same where that changes with the day or the
// folder.
void tools_as_text(std::vector<TemplateMessage> &messages, std::string_view tools, const AnswerStyle &style);

}  // namespace engram
