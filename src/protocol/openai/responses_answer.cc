#include "protocol/openai/responses_answer.h"

#include <format>
#include <utility>

#include "protocol/openai/errors.h"

namespace engram::protocol::openai {
namespace {

bool is_cut(FinishReason reason) { return reason == FinishReason::length || reason == FinishReason::context; }

}  // namespace

ResponsesAnswer::ResponsesAnswer(AnswerHead head, const ResponsesRequest &request, std::string_view id_suffix)
    : head_(std::move(head)),
      echo_(request.echo),
      namespaces_(request.namespaces),
      id_suffix_(id_suffix),
      encrypted_thinking_(request.encrypted_thinking),
      streams_(request.stream) {}

std::string ResponsesAnswer::event(std::string_view type, const OrderedJson &data) {
    if (!streams_) return {};
    OrderedJson json = {{"type", type}, {"sequence_number", sequence_++}};
    json.update(data);
    return sse_frame(json, type);
}

std::string ResponsesAnswer::lifecycle(std::string_view type) {
    return streams_ ? event(type, {{"response", response()}}) : std::string();
}

OrderedJson ResponsesAnswer::place() const {
    const char *prefix = kind_ == ItemKind::thinking ? "rs" : kind_ == ItemKind::text ? "msg" : "fc";
    return {{"output_index", output_.size()}, {"item_id", std::format("{}_{}_{}", prefix, id_suffix_, output_.size())}};
}

OrderedJson ResponsesAnswer::open_part() const {
    if (kind_ == ItemKind::thinking) return {{"type", "reasoning_text"}, {"text", text_}};
    return {{"type", "output_text"}, {"text", text_}, {"annotations", OrderedJson::array()}, {"logprobs", logprobs_}};
}

// The open item as it is: with its content only once it is done.
OrderedJson ResponsesAnswer::open_item(std::string_view status) const {
    const bool done = status != "in_progress";
    const OrderedJson content = done ? OrderedJson::array({open_part()}) : OrderedJson::array();
    OrderedJson item = {{"id", place()["item_id"]}};
    if (kind_ == ItemKind::thinking) {
        item.update({{"type", "reasoning"}, {"status", status}, {"summary", OrderedJson::array()}, {"content", content}});
        if (encrypted_thinking_) item["encrypted_content"] = done ? OrderedJson(sealed_thinking(text_)) : OrderedJson();
    } else if (kind_ == ItemKind::text) {
        item.update({{"type", "message"}, {"status", status}, {"role", "assistant"}, {"content", content}});
    } else {
        const auto name = namespaces_.find(call_.name);
        const bool plain = name == namespaces_.end();
        item.update({{"type", "function_call"},
                     {"status", status},
                     {"call_id", call_.id},
                     {"name", plain ? call_.name : name->second.name},
                     {"arguments", done ? text_ : ""}});
        if (!plain) item["namespace"] = name->second.space;
    }
    return item;
}

std::string ResponsesAnswer::open(ItemKind kind) {
    kind_ = kind;
    text_.clear();
    logprobs_ = OrderedJson::array();
    std::string frames =
        event("response.output_item.added", {{"output_index", output_.size()}, {"item", open_item("in_progress")}});
    if (kind == ItemKind::call) return frames;
    OrderedJson data = place();
    data.update({{"content_index", 0}, {"part", open_part()}});
    return frames + event("response.content_part.added", data);
}

std::string ResponsesAnswer::close(std::string_view status) {
    if (kind_ == ItemKind::none) return {};
    std::string frames;
    OrderedJson data = place();
    if (kind_ == ItemKind::call) {
        const OrderedJson item = open_item(status);
        data.update({{"name", item["name"]}, {"arguments", text_}});
        frames = event("response.function_call_arguments.done", data);
        call_.arguments = call_arguments(Field(OrderedJson(text_)));  // a call that was cut off is kept as one that can be read
        message_.tool_calls.push_back(std::move(call_));
        call_ = {};
        frames += event("response.output_item.done", {{"output_index", output_.size()}, {"item", item}});
        output_.push_back(item);
    } else {
        data["content_index"] = 0;
        OrderedJson part_data = data;
        part_data["part"] = open_part();
        data["text"] = text_;
        const bool is_text = kind_ == ItemKind::text;
        if (is_text) data["logprobs"] = logprobs_;
        frames = event(is_text ? "response.output_text.done" : "response.reasoning_text.done", data);
        frames += event("response.content_part.done", part_data);
        OrderedJson item = open_item(status);
        frames += event("response.output_item.done", {{"output_index", output_.size()}, {"item", item}});
        output_.push_back(std::move(item));
        join_text(is_text ? message_.content : message_.thinking, text_);
    }
    kind_ = ItemKind::none;
    return frames;
}

std::string ResponsesAnswer::add_text(ItemKind kind, const std::string &text, const std::vector<TokenLogprob> &logprobs) {
    std::string frames;
    if (kind_ != kind) {
        frames = close("completed");
        frames += open(kind);
    }
    text_ += text;
    OrderedJson data = place();
    data.update({{"content_index", 0}, {"delta", text}});
    if (kind == ItemKind::thinking) return frames + event("response.reasoning_text.delta", data);
    data["logprobs"] = logprobs_json(logprobs);
    for (const OrderedJson &token : data["logprobs"]) logprobs_.push_back(token);
    return frames + event("response.output_text.delta", data);
}

std::string ResponsesAnswer::begin_call(const ChatCallBegin &call) {
    std::string frames = close("completed");
    call_ = {.id = call.id, .name = call.name, .arguments = {}};
    return frames + open(ItemKind::call);
}

std::string ResponsesAnswer::begin() {
    std::string frames = lifecycle("response.created");
    return frames += lifecycle("response.in_progress");
}

std::string ResponsesAnswer::frames(const ChatEvent &chat_event) {
    if (const auto *started = std::get_if<ChatStarted>(&chat_event)) {
        started_ = *started;
        usage_.add(*started);
    } else if (const auto *thinking = std::get_if<ChatThinking>(&chat_event)) {
        return add_text(ItemKind::thinking, thinking->text, {});
    } else if (const auto *text = std::get_if<ChatText>(&chat_event)) {
        return add_text(ItemKind::text, text->text, text->logprobs);
    } else if (const auto *begin = std::get_if<ChatCallBegin>(&chat_event)) {
        return begin_call(*begin);
    } else if (const auto *piece = std::get_if<ChatCallArguments>(&chat_event)) {
        text_ += piece->text;
        OrderedJson data = place();
        data["delta"] = piece->text;
        return event("response.function_call_arguments.delta", data);
    } else if (std::holds_alternative<ChatCallEnd>(chat_event)) {
        return close("completed");
    } else if (const auto *finished = std::get_if<ChatFinished>(&chat_event)) {
        finished_ = *finished;
        usage_.add(*finished);
        return close(is_cut(finished->reason) || finished->reason == FinishReason::cancelled ? "incomplete" : "completed");
    }
    return {};
}

std::string ResponsesAnswer::end(std::int64_t completed_s) {
    if (finished_.reason == FinishReason::cancelled) {
        status_ = Status::cancelled;
    } else if (is_cut(finished_.reason)) {
        status_ = Status::incomplete;
    } else {
        status_ = Status::completed;
        completed_s_ = completed_s;
    }
    return lifecycle(status_ == Status::completed ? "response.completed" : "response.incomplete");
}

std::string ResponsesAnswer::fail(const ApiError &error) {
    std::string frames = close("incomplete");
    status_ = Status::failed;
    error_ = {{"code", error_code(error).empty() ? "invalid_prompt" : error_code(error)}, {"message", error_message(error)}};
    return frames + lifecycle("response.failed");
}

OrderedJson ResponsesAnswer::response() const {
    static constexpr const char *kNames[] = {"in_progress", "completed", "incomplete", "cancelled", "failed"};
    OrderedJson json = {{"id", head_.id},
                        {"object", "response"},
                        {"created_at", head_.created_s},
                        {"status", kNames[static_cast<std::size_t>(status_)]},
                        {"completed_at", completed_s_ ? OrderedJson(*completed_s_) : OrderedJson()},
                        {"error", error_},
                        {"incomplete_details", nullptr},
                        {"model", head_.model},
                        {"output", output_}};
    if (status_ == Status::incomplete) json["incomplete_details"] = {{"reason", "max_output_tokens"}};
    json.update(echo_);
    const bool over = status_ != Status::in_progress;
    json["usage"] = over ? usage_.responses_json() : OrderedJson();
    if (over) json["engram"] = engram_json(started_, finished_);
    return json;
}

ChatMessage ResponsesAnswer::message() const { return message_; }

}  // namespace engram::protocol::openai
