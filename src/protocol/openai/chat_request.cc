#include "protocol/openai/chat_request.h"

#include <limits>

#include "protocol/openai/tools.h"

namespace engram::protocol::openai {
namespace {

constexpr std::int64_t kMaxChoices = 128;
constexpr std::int64_t kMaxTopLogprobs = 20;

ApiResult<void> read_tools(const Field &body, ChatRequest &chat) {
    const Field tools = body["tools"];
    if (tools.present()) ENGRAM_TRY(tools.must_be_array(0, SIZE_MAX));
    for (const Field &tool : tools.elements()) {
        ENGRAM_TRY(tool.must_be_object());
        ENGRAM_TRY(tool["type"].text());
        if (tool["type"].json() != "function") return tool["type"].wrong("must be \"function\": there are no other tools here");
        ENGRAM_ASSIGN(ChatTool parsed, function_tool(tool["function"], false));
        ENGRAM_TRY(add_tool(std::move(parsed), tool["function"]["name"], chat.tools));
    }
    ENGRAM_ASSIGN(chat.tool_choice, tool_choice_of(body["tool_choice"], chat.tools, ToolShape::nested));
    ENGRAM_ASSIGN(chat.tool_choice.parallel, body["parallel_tool_calls"].boolean_or(true));
    return {};
}

// The deprecated form: functions and function_call, at most one call in an answer.
ApiResult<void> read_functions(const Field &body, ChatRequest &chat) {
    const Field functions = body["functions"];
    ENGRAM_TRY(functions.must_be_array(1, SIZE_MAX));
    if (body["tools"].present()) return functions.wrong("can't stand beside tools; it is the older name of the same");
    for (const Field &function : functions.elements()) {
        ENGRAM_ASSIGN(ChatTool parsed, function_tool(function, false));
        ENGRAM_TRY(add_tool(std::move(parsed), function["name"], chat.tools));
    }
    chat.tool_choice.parallel = false;
    const Field choice = body["function_call"];
    if (choice.is_text()) {
        ENGRAM_TRY(must_be_one_of(choice, {"none", "auto"}));
        if (choice.json() == "none") chat.tool_choice.use = ToolUse::none;
    } else if (choice.present()) {
        ENGRAM_TRY(choice.must_be_object());
        ENGRAM_ASSIGN(chat.tool_choice.name, choice["name"].text_that_is_not_empty());
        chat.tool_choice.use = ToolUse::named;
        for (const ChatTool &tool : chat.tools) {
            if (tool.name == chat.tool_choice.name) return {};
        }
        return choice["name"].wrong("is none of the request's functions");
    }
    return {};
}

ApiResult<void> read_logprobs(const Field &body, ChatRequest &chat) {
    ENGRAM_ASSIGN(const bool wanted, body["logprobs"].boolean_or(false));
    const Field top = body["top_logprobs"];
    ENGRAM_ASSIGN(const std::int64_t number, top.whole_number_or(0, 0, kMaxTopLogprobs));
    if (!wanted && number > 0) return top.wrong("is only possible together with \"logprobs\": true");
    if (wanted) chat.top_logprobs = static_cast<std::uint32_t>(number);
    return {};
}

ApiResult<void> read_thinking(const Field &body, ChatRequest &chat) {
    ENGRAM_ASSIGN(const std::optional<bool> by_effort, thinks_by_effort(body["reasoning_effort"]));
    chat.thinks = by_effort.value_or(chat.thinks);
    ENGRAM_ASSIGN(chat.thinks, body["chat_template_kwargs"]["enable_thinking"].boolean_or(chat.thinks));
    if (const Field budget = body["thinking_budget"]; budget.present()) {
        ENGRAM_ASSIGN(const std::int64_t tokens, budget.whole_number(0, std::numeric_limits<std::int32_t>::max()));
        chat.thinking_tokens = static_cast<std::uint32_t>(tokens);
    }
    return {};
}

// What is documented, and what a model that reads and writes text can't do.
ApiResult<void> refuse_what_is_no_text(const Field &body) {
    if (const Field modalities = body["modalities"]; modalities.present()) {
        ENGRAM_TRY(modalities.must_be_array(1, SIZE_MAX));
        for (const Field &kind : modalities.elements()) {
            if (kind.json() != "text") return kind.wrong("must be \"text\": this model writes text only");
        }
    }
    if (body["audio"].present()) return body["audio"].wrong("is not possible: this model writes text only");
    if (const Field search = body["web_search_options"]; search.present()) {
        return search.wrong("is not possible: this server searches nothing; offer a function tool that does");
    }
    return {};
}

ApiResult<void> read_lengths(const Field &body, ChatRequest &chat) {
    ENGRAM_ASSIGN(const std::optional<std::uint32_t> older, token_limit(body["max_tokens"]));
    ENGRAM_ASSIGN(chat.max_tokens, token_limit(body["max_completion_tokens"]));
    if (!chat.max_tokens) chat.max_tokens = older;
    ENGRAM_ASSIGN(const std::int64_t choices, body["n"].whole_number_or(1, 1, kMaxChoices));
    chat.choices = static_cast<std::uint32_t>(choices);
    return {};
}

}  // namespace

ApiResult<StreamFields> stream_fields(const Field &body) {
    StreamFields fields;
    ENGRAM_ASSIGN(fields.stream, body["stream"].boolean_or(false));
    const Field options = body["stream_options"];
    if (!options.present()) return fields;
    ENGRAM_TRY(options.must_be_object());
    if (!fields.stream) return options.wrong("is only possible together with \"stream\": true");
    ENGRAM_ASSIGN(fields.include_usage, options["include_usage"].boolean_or(false));
    return fields;
}

ApiResult<ChatCompletionRequest> parse_chat_request(const OrderedJson &json, const Sampling &defaults) {
    const Field body(json);
    ENGRAM_TRY(body.must_be_object());
    ChatCompletionRequest request;
    ChatRequest &chat = request.chat;
    ENGRAM_TRY(read_common_fields(body, chat));
    ENGRAM_ASSIGN(chat.messages, chat_messages(body["messages"]));
    if (body["functions"].present()) {
        ENGRAM_TRY(read_functions(body, chat));
        request.legacy_functions = true;
    } else {
        ENGRAM_TRY(read_tools(body, chat));
    }
    ENGRAM_TRY(read_format(body["response_format"], body["response_format"]["json_schema"], chat));
    ENGRAM_ASSIGN(chat.sampling, sampling_of(body, defaults));
    ENGRAM_TRY(read_lengths(body, chat));
    ENGRAM_TRY(read_logprobs(body, chat));
    ENGRAM_TRY(read_thinking(body, chat));
    ENGRAM_TRY(read_memory_fields(body, chat));
    ENGRAM_TRY(refuse_what_is_no_text(body));
    ENGRAM_ASSIGN(const bool goes_on, body["continue_final_message"].boolean_or(false));
    chat.continues_last_message = goes_on && chat.messages.back().role == "assistant" && chat.messages.back().tool_calls.empty();
    ENGRAM_ASSIGN(const StreamFields stream, stream_fields(body));
    request.stream = stream.stream;
    request.include_usage = stream.include_usage;
    return request;
}

}  // namespace engram::protocol::openai
