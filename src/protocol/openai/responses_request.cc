#include "protocol/openai/responses_request.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "protocol/openai/chat_request.h"
#include "protocol/openai/tools.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {
namespace {

constexpr std::int64_t kMaxTopLogprobs = 20;

constexpr std::array<std::string_view, 4> kUnaskedTools = {"web_search", "web_search_preview", "image_generation", "tool_search"};

ApiResult<void> read_function(const Field &tool, const std::string &space, ResponsesRequest &request) {
    ENGRAM_ASSIGN(ChatTool parsed, function_tool(tool, true));
    std::string shown = qualified_name(space, parsed.name);
    if (!space.empty()) request.namespaces[shown] = {space, parsed.name};
    parsed.name = std::move(shown);
    return add_tool(std::move(parsed), tool["name"], request.chat.tools);
}

// A function of a request as the response repeats it.
OrderedJson told_tool(const Field &tool) {
    OrderedJson json = tool.json();
    for (const char *name : {"description", "parameters"}) {
        if (!json.contains(name)) json[name] = nullptr;
    }
    if (!json.contains("strict") || json["strict"].is_null()) json["strict"] = true;
    return json;
}

ApiResult<void> read_tools(const Field &body, ResponsesRequest &request, OrderedJson &told) {
    const Field tools = body["tools"];
    if (tools.present()) ENGRAM_TRY(tools.must_be_array(0, SIZE_MAX));
    for (const Field &tool : tools.elements()) {
        ENGRAM_TRY(tool.must_be_object());
        ENGRAM_ASSIGN(const std::string type, tool["type"].text());
        if (type == "function") {
            ENGRAM_TRY(read_function(tool, {}, request));
            told.push_back(told_tool(tool));
        } else if (type == "namespace") {
            ENGRAM_ASSIGN(const std::string space, check_name(tool["name"]));
            ENGRAM_TRY(tool["tools"].must_be_array(1, SIZE_MAX));
            for (const Field &inner : tool["tools"].elements()) {
                if (inner["type"].json() != "function") return inner["type"].wrong("must be \"function\"");
                ENGRAM_TRY(read_function(inner, space, request));
            }
            told.push_back(tool.json());
        } else if (std::ranges::find(kUnaskedTools, type) == kUnaskedTools.end()) {
            return tool["type"].wrong(std::format("\"{}\" is not possible: this server runs no tools of its own", type));
        }
    }
    ENGRAM_ASSIGN(request.chat.tool_choice, tool_choice_of(body["tool_choice"], request.chat.tools, ToolShape::flat));
    ENGRAM_ASSIGN(request.chat.tool_choice.parallel, body["parallel_tool_calls"].boolean_or(true));
    return {};
}

ApiResult<void> read_include(const Field &body, ResponsesRequest &request) {
    const Field include = body["include"];
    if (include.present()) ENGRAM_TRY(include.must_be_array(0, SIZE_MAX));
    bool logprobs = false;
    for (const Field &part : include.elements()) {
        ENGRAM_ASSIGN(const std::string name, part.text());
        logprobs |= name == "message.output_text.logprobs";
        request.encrypted_thinking |= name == "reasoning.encrypted_content";
    }
    ENGRAM_ASSIGN(const std::int64_t top, body["top_logprobs"].whole_number_or(0, 0, kMaxTopLogprobs));
    if (logprobs || top > 0) request.chat.top_logprobs = static_cast<std::uint32_t>(top);
    return {};
}

ApiResult<void> refuse_what_is_not_done(const Field &body) {
    ENGRAM_ASSIGN(const bool background, body["background"].boolean_or(false));
    if (background) return body["background"].wrong("is not possible: answers are given while the client waits");
    if (body["conversation"].present()) {
        return body["conversation"].wrong(
            "is not possible: use previous_response_id, or prompt_cache_key to name a conversation");
    }
    if (body["prompt"].present()) return body["prompt"].wrong("is not possible: this server keeps no prompt templates");
    return {};
}

ApiResult<void> read_messages(const Field &body, const StoredResponses &stored, std::string_view id_suffix,
                              ResponsesRequest &request) {
    ChatRequest &chat = request.chat;
    ENGRAM_ASSIGN(std::string instructions, body["instructions"].text_or(""));
    ENGRAM_ASSIGN(const std::string previous, body["previous_response_id"].text_or(""));
    std::vector<ChatMessage> messages;
    if (!previous.empty()) {
        auto earlier = stored.conversation(previous);
        if (!earlier) {
            return body["previous_response_id"].wrong(std::format("previous response with id \"{}\" not found", previous));
        }
        messages = std::move(*earlier);
    }
    if (!body["input"].present() && previous.empty()) return body["input"].wrong("is missing");
    ENGRAM_TRY(read_input(body["input"], stored, id_suffix, messages, request.input_items));
    if (!instructions.empty()) {
        chat.messages.push_back({.role = "system", .content = std::move(instructions)});
        request.instruction_messages = 1;
    }
    std::ranges::move(messages, std::back_inserter(chat.messages));
    if (chat.messages.empty()) return body["input"].wrong("must not be empty");
    return {};
}

OrderedJson or_null(const Field &field) { return field.json(); }

OrderedJson member_or(const Field &object, const char *name, const OrderedJson &otherwise) {
    return object[name].present() ? object[name].json() : otherwise;
}

OrderedJson echo_json(const Field &body, const ResponsesRequest &request, OrderedJson tools) {
    const Field text = body["text"];
    const Sampling &sampling = request.chat.sampling;
    return {{"background", false},
            {"instructions", or_null(body["instructions"])},
            {"max_output_tokens", or_null(body["max_output_tokens"])},
            {"max_tool_calls", or_null(body["max_tool_calls"])},
            {"metadata", member_or(body, "metadata", OrderedJson::object())},
            {"parallel_tool_calls", request.chat.tool_choice.parallel},
            {"previous_response_id", or_null(body["previous_response_id"])},
            {"prompt_cache_key", or_null(body["prompt_cache_key"])},
            {"prompt_cache_retention", or_null(body["prompt_cache_retention"])},
            {"reasoning", {{"effort", or_null(body["reasoning"]["effort"])}, {"summary", or_null(body["reasoning"]["summary"])}}},
            {"safety_identifier", or_null(body["safety_identifier"])},
            {"service_tier", "default"},
            {"store", request.store},
            {"temperature", readable(sampling.temperature)},
            {"text",
             {{"format", member_or(text, "format", {{"type", "text"}})}, {"verbosity", member_or(text, "verbosity", "medium")}}},
            {"tool_choice", member_or(body, "tool_choice", "auto")},
            {"tools", std::move(tools)},
            {"top_logprobs", request.chat.top_logprobs.value_or(0)},
            {"top_p", readable(sampling.top_p)},
            {"truncation", member_or(body, "truncation", "disabled")},
            {"user", or_null(body["user"])}};
}

}  // namespace

ApiResult<ResponsesRequest> parse_responses_request(const OrderedJson &json, const StoredResponses &stored,
                                                    std::string_view id_suffix, const Sampling &defaults) {
    const Field body(json);
    ENGRAM_TRY(body.must_be_object());
    ResponsesRequest request;
    ChatRequest &chat = request.chat;
    OrderedJson tools = OrderedJson::array();
    ENGRAM_TRY(refuse_what_is_not_done(body));
    ENGRAM_TRY(read_common_fields(body, chat));
    ENGRAM_TRY(read_messages(body, stored, id_suffix, request));
    ENGRAM_TRY(read_tools(body, request, tools));
    for (const char *name : {"text", "reasoning"}) {
        if (body[name].present()) ENGRAM_TRY(body[name].must_be_object());
    }
    ENGRAM_TRY(read_format(body["text"]["format"], body["text"]["format"], chat));
    ENGRAM_TRY(must_be_one_of(body["text"]["verbosity"], {"low", "medium", "high"}));
    ENGRAM_ASSIGN(chat.sampling, sampling_of(body, defaults));
    ENGRAM_ASSIGN(chat.max_tokens, token_limit(body["max_output_tokens"]));
    ENGRAM_TRY(body["max_tool_calls"].whole_number_or(0, 0, INT32_MAX));
    ENGRAM_ASSIGN(const std::optional<bool> thinks, thinks_by_effort(body["reasoning"]["effort"]));
    chat.thinks = thinks.value_or(chat.thinks);
    ENGRAM_TRY(must_be_one_of(body["reasoning"]["summary"], {"auto", "concise", "detailed", "none"}));
    ENGRAM_TRY(read_include(body, request));
    ENGRAM_TRY(read_memory_fields(body, chat));
    ENGRAM_TRY(must_be_one_of(body["truncation"], {"auto", "disabled"}));
    request.chat.may_truncate = body["truncation"].json() == "auto";
    ENGRAM_ASSIGN(request.store, body["store"].boolean_or(true));
    ENGRAM_ASSIGN(request.stream, body["stream"].boolean_or(false));
    request.echo = echo_json(body, request, std::move(tools));
    return request;
}

}  // namespace engram::protocol::openai
