#include "protocol/anthropic/request.h"

#include <format>
#include <string_view>
#include <utility>

#include "protocol/anthropic/cache_control.h"
#include "protocol/anthropic/conversation.h"
#include "protocol/anthropic/errors.h"
#include "protocol/anthropic/tools.h"

namespace engram::protocol::anthropic {
namespace {

constexpr std::int64_t kMostTokens = INT32_MAX;
constexpr std::int64_t kLeastThinkingBudget = 1024;
constexpr std::size_t kMaxStops = 8192;
constexpr std::size_t kMaxStopBytes = 4UZ << 10U;      // of one
constexpr std::size_t kMaxAllStopBytes = 64UZ << 10U;  // of all: they are looked for with each token
constexpr std::size_t kMaxUserIdBytes = 64UZ << 10U;

enum class Purpose : std::uint8_t { answer, count };

ApiResult<void> refuse_what_cannot_be_kept(const Field &body) {
    if (body["compaction"].present())
        return body["compaction"].wrong("this server doesn't summarise conversations; leave it out");
    const Field thread = body["thread"];
    if (thread["type"].is_text() && thread["type"].text() == "continue") {
        return thread.wrong("this server holds no threads; send all messages of the conversation");
    }
    return {};
}

ApiResult<void> read_sampling(const Field &body, Sampling &sampling) {
    if (body["temperature"].present()) {
        ENGRAM_ASSIGN(const double temperature, body["temperature"].number(0, 1));
        sampling.temperature = static_cast<float>(temperature);
    }
    if (body["top_p"].present()) {
        ENGRAM_ASSIGN(const double top_p, body["top_p"].number(0, 1));
        sampling.top_p = static_cast<float>(top_p);
    }
    if (body["top_k"].present()) {
        ENGRAM_ASSIGN(const std::int64_t top_k, body["top_k"].whole_number(0, INT32_MAX));
        sampling.top_k = static_cast<std::int32_t>(top_k);
    }
    const Field stops = body["stop_sequences"];
    if (!stops.present()) return {};
    ENGRAM_TRY(stops.must_be_array(0, kMaxStops));
    std::size_t bytes = 0;
    for (const Field &stop : stops.elements()) {
        ENGRAM_ASSIGN(std::string text, stop.text());
        if (text.size() > kMaxStopBytes) return stop.wrong(std::format("must have at most {} bytes", kMaxStopBytes));
        bytes += text.size();
        if (bytes > kMaxAllStopBytes) return stops.wrong(std::format("must have at most {} bytes together", kMaxAllStopBytes));
        if (text.find_first_not_of(" \t\r\n") == std::string::npos)
            return stop.wrong("each stop sequence must contain non-whitespace");
        sampling.stop.push_back(std::move(text));
    }
    return {};
}

ApiResult<void> read_thinking(const Field &thinking, const Lookup &headers, MessagesRequest &request) {
    if (!thinking.present()) return {};
    ENGRAM_TRY(thinking.must_be_object());
    ENGRAM_ASSIGN(const std::string type, thinking["type"].text());
    if (type == "enabled") {
        const Field budget = thinking["budget_tokens"];
        ENGRAM_ASSIGN(const std::int64_t tokens, budget.whole_number(kLeastThinkingBudget, kMostTokens));
        request.chat.thinking_tokens = static_cast<std::uint32_t>(tokens);
        const std::uint32_t most = request.chat.max_tokens.value_or(0);  // counting, and reading without answering, have none
        const bool between_calls = headers("anthropic-beta").contains("interleaved-thinking");
        if (most != 0 && tokens >= most && !between_calls) {
            return wrong_field("max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`.");
        }
    } else if (type != "adaptive" && type != "disabled" && type != "between_tools") {
        return thinking["type"].wrong(R"(must be "adaptive", "enabled", "between_tools" or "disabled")");
    }
    request.chat.thinks = type == "enabled" || type == "adaptive";
    ENGRAM_ASSIGN(const std::string display, thinking["display"].text_or("summarized"));
    request.shape.shows_thinking = display != "omitted";
    return {};
}

ApiResult<void> read_format(const Field &body, ChatRequest &chat) {
    if (body["output_config"].present()) ENGRAM_TRY(body["output_config"].must_be_object());
    const Field now = body["output_config"]["format"], before = body["output_format"];
    const Field format = now.present() ? now : before;
    if (!format.present()) return {};
    ENGRAM_TRY(format.must_be_object());
    ENGRAM_ASSIGN(const std::string type, format["type"].text());
    if (type != "json_schema") return format["type"].wrong("must be \"json_schema\"");
    ENGRAM_TRY(format["schema"].must_be_object());
    chat.format = AnswerFormat::json_schema;
    chat.schema = format["schema"].compact();
    return {};
}

// Claude Code writes {"device_id":…,"account_uuid":…,"session_id":…}; older versions of it "user_…_account_…_session_…".
std::string session_of(const std::string &user_id) {
    if (const auto json = parse_bounded_json(user_id, kMaxUserIdBytes); json && json->is_object()) {
        const auto session = json->find("session_id");
        if (session != json->end() && session->is_string() && !session->get_ref<const std::string &>().empty())
            return session->get<std::string>();
    }
    constexpr std::string_view kMark = "_session_";
    const auto mark = user_id.rfind(kMark);
    const bool names_one = user_id.starts_with("user_") && mark != std::string::npos && mark + kMark.size() < user_id.size();
    return names_one ? user_id.substr(mark + kMark.size()) : user_id;
}

ApiResult<void> read_identity(const Field &body, const Lookup &headers, ChatRequest &chat) {
    chat.agent = headers("x-engram-agent");
    if (body["metadata"].present()) ENGRAM_TRY(body["metadata"].must_be_object());
    ENGRAM_ASSIGN(const std::string user_id, body["metadata"]["user_id"].text_or(""));
    for (const std::string_view name : {"x-claude-code-session-id", "x-session-affinity", "x-session-id"}) {
        chat.conversation = headers(name);
        if (!chat.conversation.empty()) return {};
    }
    chat.conversation = session_of(user_id);
    return {};
}

ApiResult<MessagesRequest> parse(const Field &body, const Lookup &headers, const Sampling &defaults, Purpose purpose) {
    MessagesRequest request;
    ChatRequest &chat = request.chat;
    chat.sampling = defaults;
    ENGRAM_ASSIGN(chat.model, body["model"].text_that_is_not_empty());
    chat.max_tokens = 0;
    if (purpose == Purpose::answer) {
        ENGRAM_ASSIGN(const std::int64_t most, body["max_tokens"].whole_number(0, kMostTokens));
        chat.max_tokens = static_cast<std::uint32_t>(most);
    }
    ENGRAM_ASSIGN(request.stream, body["stream"].boolean_or(false));
    ENGRAM_TRY(refuse_what_cannot_be_kept(body));
    ENGRAM_TRY(read_sampling(body, chat.sampling));
    ENGRAM_TRY(read_thinking(body["thinking"], headers, request));
    ENGRAM_TRY(read_format(body, chat));
    ENGRAM_TRY(read_identity(body, headers, chat));
    ENGRAM_TRY(note_cache_control(body, chat.retention));
    ENGRAM_ASSIGN(ToolSet tools, read_tools(body["tools"], chat.retention));
    ENGRAM_ASSIGN(Conversation conversation, read_conversation(body["system"], body["messages"], tools, chat.retention));
    ENGRAM_ASSIGN(chat.tool_choice,
                  read_tool_choice(body["tool_choice"], conversation.told_tools, conversation.withdrawn_tools, tools));
    // A forced call is the whole answer.
    if (chat.tool_choice.use == ToolUse::required || chat.tool_choice.use == ToolUse::named) chat.thinks = false;
    chat.tools = std::move(tools.shown);
    chat.messages = std::move(conversation.messages);
    chat.told_tools = std::move(conversation.told_tools);
    chat.withdrawn_tools = std::move(conversation.withdrawn_tools);
    chat.continues_last_message = conversation.continues_last_message;
    request.left_out_tools = std::move(tools.left_out);
    request.shape.model = chat.model;
    request.shape.retention = chat.retention;
    request.shape.reports_context_management = body["context_management"].present();
    request.shape.reports_cache_miss = body["diagnostics"].present();
    return request;
}

}  // namespace

ApiResult<MessagesRequest> parse_messages_request(const OrderedJson &body, const Lookup &headers, const Sampling &defaults) {
    return parse(Field(body), headers, defaults, Purpose::answer).transform_error(in_vendors_words);
}

ApiResult<MessagesRequest> parse_count_request(const OrderedJson &body, const Lookup &headers) {
    return parse(Field(body), headers, {}, Purpose::count).transform_error(in_vendors_words);
}

}  // namespace engram::protocol::anthropic
