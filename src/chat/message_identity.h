// By what a conversation is recognised when its client sends all of it again: not its bytes, but what was said.
//
// Clients change what doesn't matter: they leave out the thinking of old answers, trim white space at the ends of texts, give
// calls other ids, and write a call's arguments or a tool's schema with other spacing or another order of members. Two messages
// that differ in no more than that are the same; so are two lists of tools that differ in their order only. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/conversation.h"
#include "core/ids.h"

namespace engram {

// The JSON text with members in the order of their names and without white space; a text that is no JSON as it is.
std::string canonical_json(std::string_view text);

// A list of tools (tool_call.h: checked_tools) in the order of their names, members in theirs as the client sent them. The order
// is always the same, so that tools at the front of a prompt don't change it.
std::string ordered_tools(std::string_view tools);

// Element i says what was said up to and with messages[i], and with which tools.
std::vector<Digest> prefix_digests(std::string_view tools, std::span<const TemplateMessage> messages);

// Leading messages that are the same.
std::size_t common_messages(std::span<const TemplateMessage> a, std::span<const TemplateMessage> b);

}  // namespace engram
