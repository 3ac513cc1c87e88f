// Runs as JSON, the same on the command line and over HTTP. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "chat/bounded_json.h"
#include "engram/teams.h"

namespace engram {

// {"agent", "answer", "end", "pending": [{"id", "agent", "name", "arguments"}], "steps": […], "usage": {…}, "thinking"?,
// "warning"?}
OrderedJson run_json(const std::string &agent, const RunResult &result);
// {"kind", "agent", …}, with the steps of whoever the work was given to.
OrderedJson step_json(const RunStep &step);
// As far as it can be read: what is missing, or of another type, is empty.
RunStep step_of(const OrderedJson &json);
// An event's name and data: text, thinking, prefill, tool_begins, tool_progress, tool_ends; no name: nothing that a client needs.
std::pair<std::string_view, OrderedJson> run_event_json(const RunEvent &event);
// A call of RunResult::pending of a run of `agent`'s: as above.
OrderedJson pending_json(const std::string &agent, const ChatToolCall &call);
// A call's arguments as JSON, or as text when the model wrote something else.
OrderedJson call_json(const ChatToolCall &call);

}  // namespace engram
