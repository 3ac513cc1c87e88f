#include <algorithm>
#include <format>
#include <utility>

#include "core/base64.h"
#include "protocol/openai/responses_request.h"
#include "protocol/openai/tools.h"

namespace engram::protocol::openai {
namespace {

constexpr std::string_view kThinkingMark = "engram-thinking:";
constexpr std::size_t kMaxItems = 100'000;
constexpr std::size_t kMaxParts = 100'000;              // of one item
constexpr std::size_t kMaxReferences = 1024;            // each is a look-up
constexpr std::size_t kMaxReferredBytes = 32UZ << 20U;  // of what they stand for: fifty bytes would else be any number

ApiResult<std::string> joined_parts(const Field &parts) {
    std::string text;
    if (parts.present()) ENGRAM_TRY(parts.must_be_array(0, kMaxParts));
    for (const Field &part : parts.elements()) {
        ENGRAM_ASSIGN(const std::string piece, part["text"].text());
        text += piece;
    }
    return text;
}

// Puts items one after the other to the conversation. A model's turn comes as several items (reasoning, message, calls): they
// become one message. Results go behind the answer that made the call, wherever they stand in the input.
class Conversation {
  public:
    explicit Conversation(std::vector<ChatMessage> &messages) : messages_(messages) {}

    ApiResult<void> add(const Field &item) {
        const std::string type = type_of(item);
        if (type == "message") return message(item);
        if (type == "function_call") return function_call(item);
        if (type == "function_call_output") return function_call_output(item);
        if (type == "reasoning") return reasoning(item);
        return item["type"].wrong(std::format("\"{}\" is no item that can be read here", type));
    }

    static std::string type_of(const Field &item) {
        const Field type = item["type"];
        if (type.is_text()) return type.json().get<std::string>();
        return item["role"].present() ? "message" : item["id"].present() ? "item_reference" : "";
    }

  private:
    ApiResult<void> message(const Field &item) {
        ENGRAM_ASSIGN(const std::string role, item["role"].text());
        ENGRAM_TRY(must_be_one_of(item["role"], {"user", "assistant", "system", "developer"}));
        ENGRAM_ASSIGN(std::string text, content_text(item["content"], {"input_text", "output_text", "text"}));
        if (role == "assistant") {
            join_text(answer().content, text);
            return {};
        }
        thinking_.clear();  // nothing came of it
        turn_is_open_ = false;
        messages_.push_back({.role = role == "developer" ? "system" : role, .content = std::move(text)});
        return {};
    }

    ApiResult<void> function_call(const Field &item) {
        ENGRAM_ASSIGN(std::string id, item["call_id"].text_that_is_not_empty());
        ENGRAM_ASSIGN(const std::string name, item["name"].text_that_is_not_empty());
        ENGRAM_ASSIGN(const std::string space, item["namespace"].text_or(""));
        answer().tool_calls.push_back({std::move(id), qualified_name(space, name), call_arguments(item["arguments"])});
        return {};
    }

    ApiResult<void> function_call_output(const Field &item) {
        ENGRAM_ASSIGN(const std::string id, item["call_id"].text_that_is_not_empty());
        ENGRAM_ASSIGN(std::string text, content_text(item["output"], {"input_text", "output_text", "text"}));
        for (std::size_t i = messages_.size(); i-- > 0;) {
            const auto &calls = messages_[i].tool_calls;
            if (std::ranges::none_of(calls, [&](const ChatToolCall &call) { return call.id == id; })) continue;
            std::size_t behind = i + 1;
            while (behind < messages_.size() && messages_[behind].role == "tool") {
                if (messages_[behind].tool_call_id == id)
                    return item["call_id"].wrong(std::format("call \"{}\" has two outputs", id));
                ++behind;
            }
            turn_is_open_ = turn_is_open_ && behind != messages_.size();
            messages_.insert(messages_.begin() + static_cast<std::ptrdiff_t>(behind),
                             {.role = "tool", .content = std::move(text), .tool_call_id = id});
            return {};
        }
        return item["call_id"].wrong(std::format("no tool call found for function call output with call_id \"{}\"", id));
    }

    // Its own text when the client kept that, else what it keeps for us, else the summary.
    ApiResult<void> reasoning(const Field &item) {
        ENGRAM_ASSIGN(std::string text, joined_parts(item["content"]));
        if (text.empty() && item["encrypted_content"].is_text()) {
            text = unsealed_thinking(item["encrypted_content"].json().get_ref<const std::string &>()).value_or("");
        }
        if (text.empty()) {
            ENGRAM_ASSIGN(text, joined_parts(item["summary"]));
        }
        join_text(turn_is_open_ ? messages_.back().thinking : thinking_, text);
        return {};
    }

    // The message of the turn that the model is in; a new one when its last message is complete.
    ChatMessage &answer() {
        if (!turn_is_open_) messages_.push_back({.role = "assistant", .content = "", .thinking = std::exchange(thinking_, {})});
        turn_is_open_ = true;
        return messages_.back();
    }

    std::vector<ChatMessage> &messages_;
    std::string thinking_;       // of reasoning items, for the message or call behind them
    bool turn_is_open_ = false;  // the last message is an answer, and what comes next of the model belongs to it
};

// Stored items that an input names, as many and as large as one request may have them.
class References {
  public:
    explicit References(const StoredResponses &stored) : stored_(stored) {}

    ApiResult<OrderedJson> find(const Field &item) {
        ENGRAM_ASSIGN(const std::string id, item["id"].text_that_is_not_empty());
        if (++count_ > kMaxReferences) {
            return item.wrong(
                std::format("is one reference too many: at most {} stored items are read for one request", kMaxReferences));
        }
        std::optional<OrderedJson> found = stored_.item(id);
        if (!found) return item["id"].wrong(std::format("item with id \"{}\" not found", id));
        bytes_ += Field(*found).compact().size();
        if (bytes_ > kMaxReferredBytes) {
            return item.wrong(std::format("refers to more than is read: the stored items of one request have at most {} bytes",
                                          kMaxReferredBytes));
        }
        return std::move(*found);
    }

  private:
    const StoredResponses &stored_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

std::string made_id(const char *prefix, std::string_view id_suffix, std::size_t index) {
    return std::format("{}_{}_in{}", prefix, id_suffix, index);
}

// An item as input_items lists it: with type, id and status, contents as parts.
OrderedJson listed_item(const Field &item, std::string_view id_suffix, std::size_t index) {
    OrderedJson json = item.json();
    const std::string type = Conversation::type_of(item);
    json["type"] = type;
    if (!item["id"].is_text()) {
        const char *prefix = type == "message" ? "msg" : type == "function_call" ? "fc" : type == "reasoning" ? "rs" : "fco";
        json["id"] = made_id(prefix, id_suffix, index);
    }
    if (type != "reasoning" && !item["status"].is_text()) json["status"] = "completed";
    if (type == "message" && item["content"].is_text()) {
        OrderedJson part = {{"type", "input_text"}, {"text", item["content"].json()}};
        if (item["role"].json() == "assistant") {
            part = {{"type", "output_text"}, {"text", item["content"].json()}, {"annotations", OrderedJson::array()}};
        }
        json["content"] = OrderedJson::array({part});
    }
    return json;
}

// Every call has its result: a conversation that goes on without one can't be rendered.
ApiResult<void> check_outputs(const Field &input, const std::vector<ChatMessage> &messages) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
        for (const ChatToolCall &call : messages[i].tool_calls) {
            bool found = false;
            for (std::size_t j = i + 1; j < messages.size() && messages[j].role == "tool" && !found; ++j) {
                found = messages[j].tool_call_id == call.id;
            }
            if (!found) return input.wrong(std::format("no tool output found for function call \"{}\"", call.id));
        }
    }
    return {};
}

}  // namespace

void join_text(std::string &text, std::string_view more) {
    if (!text.empty() && !more.empty()) text += '\n';
    text += more;
}

std::string sealed_thinking(std::string_view thinking) { return base64(std::string(kThinkingMark).append(thinking)); }

std::optional<std::string> unsealed_thinking(std::string_view sealed) {
    const std::optional<std::string> text = from_base64(sealed);
    if (!text || !text->starts_with(kThinkingMark)) return std::nullopt;
    return text->substr(kThinkingMark.size());
}

ApiResult<void> read_input(const Field &input, const StoredResponses &stored, std::string_view id_suffix,
                           std::vector<ChatMessage> &messages, OrderedJson &items) {
    items = OrderedJson::array();
    if (input.is_text()) {
        const OrderedJson message = {{"type", "message"}, {"role", "user"}, {"content", input.json()}};
        const Field field(message, "input");
        ENGRAM_TRY(Conversation(messages).add(field));
        items.push_back(listed_item(field, id_suffix, 0));
        return check_outputs(input, messages);
    }
    if (input.present() && !input.is_array()) return input.wrong("must be a string or a list of items");
    if (input.present()) ENGRAM_TRY(input.must_be_array(0, kMaxItems));
    Conversation conversation(messages);
    References references(stored);
    for (const Field &item : input.elements()) {
        ENGRAM_TRY(item.must_be_object());
        OrderedJson referred;
        if (Conversation::type_of(item) == "item_reference") {
            ENGRAM_ASSIGN(referred, references.find(item));
        }
        const Field actual = referred.is_null() ? item : Field(referred, item.place());
        ENGRAM_TRY(conversation.add(actual));
        items.push_back(listed_item(actual, id_suffix, items.size()));
    }
    return check_outputs(input, messages);
}

}  // namespace engram::protocol::openai
