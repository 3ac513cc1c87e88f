// The two JSON sections of an agent file: its header and its transcript. Pure functions.
//
// A text that isn't UTF-8 (a transcript may hold any bytes) can't stand in JSON: it is written in hexadecimal under its name with
// "_hex" appended, so that what comes back is what went in.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agents/agent_file.h"
#include "engram/error.h"

namespace engram {

std::string header_json(const AgentFileContent &content);
std::string messages_json(std::span<const MessageRow> messages);

// Errors are `corrupt` (or `incompatible` for a newer format) and say what is wrong, without the file's name.
Result<AgentFileContent> parse_header_json(std::string_view text);  // agent, written_by; a manifest with only its fingerprint set
Result<std::vector<MessageRow>> parse_messages_json(std::string_view text);

}  // namespace engram
