// What OpenAI's clients tell in headers, and heads of answers. Internal to the server.
#pragma once

#include <string>
#include <string_view>

#include "core/random_name.h"
#include "engram/chat.h"
#include "ports/clock.h"
#include "protocol/openai/wire.h"
#include "server/app.h"

namespace engram::server {

// The agent that is to answer, and the client's own key of the conversation where the body names none.
inline void take_client_headers(const http::HttpRequest &request, ChatRequest &chat) {
    chat.agent = request.header("x-engram-agent");
    for (const std::string_view name : {"session-id", "thread-id", "x-session-affinity", "x-session-id"}) {
        if (chat.conversation.empty()) chat.conversation = request.header(name);
    }
}

inline protocol::openai::AnswerHead answer_head(const App &app, std::string_view id_prefix, std::string_view asked_model) {
    return {.id = random_name(id_prefix),
            .created_s = system_clock().wall_ms() / 1000,
            .model = app.answer_model(asked_model),
            .system_fingerprint = app.model().fingerprint};
}

}  // namespace engram::server
