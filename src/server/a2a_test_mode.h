// What the protocol's compatibility kit wants to see: it names the behaviour in the first words of a message's id, and a server
// in test mode behaves so instead of asking a model. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/a2a/values.h"

namespace engram::server {

struct ScriptStatus {
    protocol::a2a::TaskState state;
    std::string_view text = {};  // of the status's message; empty: none
};
struct ScriptArtifact {
    protocol::a2a::Part part;
    bool append = false, last = true;
};
struct ScriptWait {
    std::chrono::milliseconds time;
};
struct ScriptMessage {  // instead of a task
    std::string_view text;
};
using ScriptStep = std::variant<ScriptStatus, ScriptArtifact, ScriptWait, ScriptMessage>;

// Nothing: the message asks for no certain behaviour.
std::optional<std::vector<ScriptStep>> script_of(std::string_view message_id);

}  // namespace engram::server
