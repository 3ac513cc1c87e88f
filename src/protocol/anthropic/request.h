// The bodies of POST /v1/messages and /v1/messages/count_tokens as the neutral ChatRequest.
//
//     ENGRAM_ASSIGN(const OrderedJson body, parse_body(bytes, max_bytes));
//     ENGRAM_ASSIGN(MessagesRequest request, parse_messages_request(body, headers, defaults));
//
// The measure is the vendor's documentation. Members and beta headers that are unknown, or that mean nothing here (service_tier,
// container, mcp_servers, context_management, fallbacks, effort, …), change nothing; those that would change what the answer
// means, and can't be kept (compaction, going on with a thread), are refused. conversation.h says how messages are read, tools.h
// which tools. Pure.
#pragma once

#include <string>
#include <vector>

#include "engram/chat.h"
#include "protocol/anthropic/answer.h"
#include "protocol/anthropic/lookup.h"
#include "protocol/field.h"

namespace engram::protocol::anthropic {

struct MessagesRequest {
    // Whose memory it is: `agent` is the header x-engram-agent. `conversation` is the first of: the headers
    // x-claude-code-session-id, x-session-affinity and x-session-id; the session that metadata.user_id names (JSON text with a
    // session_id, or "…_session_ID"); metadata.user_id as it is.
    ChatRequest chat;
    bool stream = false;
    AnswerShape shape;                        // what the answer must know of the request
    std::vector<std::string> left_out_tools;  // tools that run at the vendor: the model doesn't get them
};

// `defaults` is the sampling of a request that says nothing about it. max_tokens 0 asks for reading the prompt and no answer.
// invalid_request, in the vendor's words (errors.h).
ApiResult<MessagesRequest> parse_messages_request(const OrderedJson &body, const Lookup &headers, const Sampling &defaults);

// The same without max_tokens: the prompt that the tokens are counted of is the one that parse_messages_request would make.
ApiResult<MessagesRequest> parse_count_request(const OrderedJson &body, const Lookup &headers);

}  // namespace engram::protocol::anthropic
