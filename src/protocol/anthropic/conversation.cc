#include "protocol/anthropic/conversation.h"

#include <format>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/anthropic/blocks.h"

namespace engram::protocol::anthropic {
namespace {

constexpr std::size_t kMaxMessages = 100'000;  // the vendor's limit
constexpr std::size_t kMaxBlocks = 100'000;

using Place = BlockText::Place;

class Reader {
  public:
    Reader(const ToolSet &tools, Retention &longest) : texts_(tools, longest) {}

    ApiResult<void> system(const Field &field);
    ApiResult<void> messages(const Field &list);
    Conversation take() && {
        result_.told_tools = texts_.told();
        result_.withdrawn_tools = texts_.withdrawn();
        return std::move(result_);
    }

  private:
    ApiResult<void> system_message(const Field &message, bool user_follows);
    ApiResult<void> user_or_assistant(const Field &message, bool last);
    ApiResult<void> block(const Field &block);
    ApiResult<void> thinking(const Field &block);
    ApiResult<void> tool_use(const Field &block);
    ApiResult<void> tool_result(const Field &block);
    ApiResult<void> all_calls_have_results() const;
    ApiResult<void> end(const Field &last);

    void add_text(std::string_view text);
    ChatMessage &turn();  // the message that the current role's text goes to

    BlockText texts_;
    Conversation result_;
    std::string role_;                                          // of the message that is being read
    std::vector<std::string> calls_;                            // ids of the last assistant turn's calls, in its order
    std::string calls_place_;                                   // the last message with calls
    std::set<std::string, std::less<>> unanswered_, answered_;  // of those
    std::set<std::string, std::less<>> ids_;                    // of all calls
};

ChatMessage &Reader::turn() {
    std::vector<ChatMessage> &list = result_.messages;
    if (list.empty() || list.back().role != role_) list.push_back({.role = role_, .content = {}});
    return list.back();
}

void Reader::add_text(std::string_view text) {
    std::string &content = turn().content;
    if (role_ == "user" && !content.empty()) content += '\n';
    content += text;
}

ApiResult<void> Reader::system(const Field &field) {
    if (field.is_array()) {
        for (const Field &block : field.elements()) {
            ENGRAM_TRY(block.must_be_object());
            ENGRAM_ASSIGN(const std::string type, block["type"].text());
            if (type != "text") return block["type"].wrong("must be \"text\"");
        }
    }
    ENGRAM_ASSIGN(std::string text, texts_.read_content(field, Place::message));
    if (!text.empty()) result_.messages.push_back({.role = "system", .content = std::move(text)});
    return {};
}

ApiResult<void> Reader::messages(const Field &list) {
    ENGRAM_TRY(list.must_be_array(0, kMaxMessages));
    const std::vector<Field> messages = list.elements();
    if (messages.empty()) return list.wrong("at least one message is required");
    std::size_t last_user = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        ENGRAM_TRY(messages[i].must_be_object());
        ENGRAM_ASSIGN(const std::string role, messages[i]["role"].text());
        if (role == "user") last_user = i;
        if (role != "user" && role != "assistant" && role != "system") {
            return messages[i]["role"].wrong(std::format(R"(must be "user", "assistant" or "system", not "{}")", role));
        }
    }
    const std::size_t before = result_.messages.size();
    for (std::size_t i = 0; i < messages.size(); ++i) {
        role_ = messages[i]["role"].json().get<std::string>();
        if (role_ == "system") {
            ENGRAM_TRY(system_message(messages[i], i < last_user));
        } else {
            ENGRAM_TRY(user_or_assistant(messages[i], i + 1 == messages.size()));
        }
    }
    ENGRAM_TRY(end(messages.back()));
    if (result_.messages.size() == before)
        return list.wrong("at least one message with content that this model can read is required");
    return {};
}

ApiResult<void> Reader::end(const Field &last) {
    ENGRAM_TRY(all_calls_have_results());
    if (role_ != "assistant" || result_.messages.empty() || result_.messages.back().role != "assistant") return {};
    const std::string &text = result_.messages.back().content;
    if (!text.empty() && std::string_view(" \t\r\n").contains(text.back())) {
        return last.wrong("final assistant content cannot end with trailing whitespace");
    }
    result_.continues_last_message = true;
    return {};
}

ApiResult<void> Reader::system_message(const Field &message, bool user_follows) {
    const Field content = message["content"];
    if (!content.present() && !message["output_config"].present()) return content.wrong("is missing");
    ENGRAM_ASSIGN(const std::string clear_at, message["clear_at"].text_or("never"));
    ENGRAM_ASSIGN(std::string text, texts_.read_content(content, Place::message));
    const bool cleared = clear_at == "next_user_message" && user_follows;
    if (!text.empty() && !cleared) result_.messages.push_back({.role = "system", .content = std::move(text)});
    return {};
}

ApiResult<void> Reader::user_or_assistant(const Field &message, bool last) {
    const Field content = message["content"];
    if (!content.present()) return content.wrong("is missing");
    if (!content.is_text() && !content.is_array()) return content.wrong("must be a string or an array of blocks");
    if (content.json().empty() || (content.is_text() && content.json().get_ref<const std::string &>().empty())) {
        if (last && role_ == "assistant") return {};
        return message.wrong("all messages must have non-empty content except for the optional final assistant message");
    }
    const bool goes_on = !result_.messages.empty() && result_.messages.back().role == "assistant";
    if (role_ == "assistant" && !goes_on) {
        ENGRAM_TRY(all_calls_have_results());
        answered_.clear();
        calls_.clear();
    }
    if (content.is_text()) {
        add_text(content.json().get_ref<const std::string &>());
        return {};
    }
    ENGRAM_TRY(content.must_be_array(0, kMaxBlocks));
    for (const Field &part : content.elements()) ENGRAM_TRY(block(part));
    if (role_ == "assistant" && !unanswered_.empty()) calls_place_ = message.place();
    return {};
}

ApiResult<void> Reader::block(const Field &block) {
    ENGRAM_TRY(block.must_be_object());
    ENGRAM_ASSIGN(const std::string type, block["type"].text());
    if (type == "thinking" || type == "tool_use" || type == "tool_result") {
        const std::string_view owner = type == "tool_result" ? "user" : "assistant";
        if (role_ != owner) return block.wrong(std::format("`{}` blocks can only be in `{}` messages", type, owner));
        ENGRAM_TRY(texts_.note(block));
        if (type == "thinking") return thinking(block);
        return type == "tool_use" ? tool_use(block) : tool_result(block);
    }
    ENGRAM_ASSIGN(const std::optional<std::string> text, texts_.read(block, type, Place::message));
    if (text) add_text(*text);
    return {};
}

ApiResult<void> Reader::thinking(const Field &block) {
    ENGRAM_ASSIGN(const std::string text, block["thinking"].text());
    if (text.empty()) return {};  // it was hidden from the client: the agent remembers it
    std::string &thinking = turn().thinking;
    if (!thinking.empty()) thinking += '\n';
    thinking += text;
    return {};
}

ApiResult<void> Reader::tool_use(const Field &block) {
    ChatToolCall call;
    ENGRAM_ASSIGN(call.id, block["id"].text_that_is_not_empty());
    ENGRAM_ASSIGN(call.name, block["name"].text_that_is_not_empty());
    ENGRAM_TRY(block["input"].must_be_object());
    call.arguments = block["input"].compact();
    if (!ids_.insert(call.id).second) return block["id"].wrong(std::format("`tool_use` ids must be unique: {}", call.id));
    unanswered_.insert(call.id);
    calls_.push_back(call.id);
    turn().tool_calls.push_back(std::move(call));
    return {};
}

ApiResult<void> Reader::tool_result(const Field &block) {
    ENGRAM_ASSIGN(std::string id, block["tool_use_id"].text_that_is_not_empty());
    if (unanswered_.erase(id) == 0) {
        if (answered_.contains(id)) {
            return block.wrong(
                std::format("each tool_use must have a single result. Found multiple `tool_result` blocks with id: {}", id));
        }
        return block.wrong(
            std::format("unexpected `tool_use_id` found in `tool_result` blocks: {}. Each `tool_result` block must have "
                        "a corresponding `tool_use` block in the previous message.",
                        id));
    }
    answered_.insert(id);
    ENGRAM_ASSIGN(std::string text, texts_.read_content(block["content"], Place::tool_result));
    ENGRAM_ASSIGN(const bool failed, block["is_error"].boolean_or(false));
    if (failed) text.insert(0, text.empty() ? "Error" : "Error: ");
    result_.messages.push_back({.role = "tool", .content = std::move(text), .tool_call_id = std::move(id)});
    return {};
}

ApiResult<void> Reader::all_calls_have_results() const {
    if (unanswered_.empty()) return {};
    std::string ids;
    for (const std::string &id : calls_) {
        if (unanswered_.contains(id)) ids += ids.empty() ? id : ", " + id;
    }
    return wrong_field(calls_place_,
                       std::format("{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each "
                                   "`tool_use` block must have a corresponding `tool_result` block in the next message.",
                                   calls_place_, ids));
}

}  // namespace

ApiResult<Conversation> read_conversation(const Field &system, const Field &messages, const ToolSet &tools, Retention &longest) {
    Reader reader(tools, longest);
    ENGRAM_TRY(reader.system(system));
    ENGRAM_TRY(reader.messages(messages));
    return std::move(reader).take();
}

}  // namespace engram::protocol::anthropic
