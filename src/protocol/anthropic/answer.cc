#include "protocol/anthropic/answer.h"

#include <algorithm>
#include <format>
#include <utility>
#include <variant>

#include "protocol/anthropic/errors.h"

namespace engram::protocol::anthropic {
namespace {

constexpr std::size_t kMaxArgumentsBytes = 64UZ << 20U;

std::string text_of(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

bool is_white(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

std::string_view stop_reason(FinishReason reason) {
    switch (reason) {
        case FinishReason::stop:
        case FinishReason::cancelled: return "end_turn";
        case FinishReason::stop_string: return "stop_sequence";
        case FinishReason::length: return "max_tokens";
        case FinishReason::context: return "model_context_window_exceeded";
        case FinishReason::tool_calls: return "tool_use";
    }
    return "end_turn";
}

ApiError stopped_early() {
    return {.kind = ApiErrorKind::overloaded,
            .message = "The server stopped before the answer was complete; send the request again."};
}

OrderedJson arguments(const std::string &text) {
    auto json = parse_bounded_json(text, kMaxArgumentsBytes);
    return json && json->is_object() ? std::move(*json) : OrderedJson::object();
}

// The vendor's reasons compare two requests; Engram knows what became of the stored prefix.
OrderedJson cache_miss(const ChatStarted &started) {
    const std::uint64_t computed = started.prompt_tokens - std::min(started.cached_tokens, started.prompt_tokens);
    if (started.miss->reason.starts_with("incompatible"))
        return {{"type", "model_changed"}, {"cache_missed_input_tokens", computed}};
    return {{"type", "unavailable"}, {"explanation", started.miss->reason}, {"at_token", started.miss->at_token}};
}

}  // namespace

MessageAnswer::MessageAnswer(std::string message_id, std::string request_id, AnswerShape shape, Mode mode)
    : message_id_(std::move(message_id)), request_id_(std::move(request_id)), shape_(std::move(shape)), mode_(mode) {}

std::string MessageAnswer::on(const ChatEvent &event) {
    if (finished_) return {};
    std::visit(
        [this](const auto &value) {
            if constexpr (requires { value.choice; }) {
                if (value.choice != 0) return;
            }
            take(value);
        },
        event);
    return std::exchange(frames_, {});
}

void MessageAnswer::take(const ChatStarted &started) {
    started_ = started;
    emit("message_start", {{"type", "message_start"}, {"message", head()}});
    if (mode_ == Mode::stream) frames_ += ping_frame();
}

void MessageAnswer::take(const ChatProgress &) {
    if (mode_ == Mode::stream) frames_ += ping_frame();
}

void MessageAnswer::take(const ChatWaiting &) {
    if (mode_ == Mode::stream) frames_ += ping_frame();
}

void MessageAnswer::take(const ChatThinking &thinking) { add(Block::thinking, thinking.text); }

void MessageAnswer::take(const ChatText &text) { add(Block::text, text.text); }

void MessageAnswer::take(const ChatCallArguments &piece) {
    if (open_ == Block::tool_use && !piece.text.empty()) delta({{"type", "input_json_delta"}, {"partial_json", piece.text}});
}

void MessageAnswer::take(const ChatCallEnd &) {
    if (open_ == Block::tool_use) close();
}

void MessageAnswer::add(Block kind, std::string_view text) {
    if (text.empty()) return;
    std::string joined;
    if (open_ != kind) {
        if (held_for_ != kind) held_.clear();
        held_for_ = kind;
        held_ += text;
        if (is_white(held_)) return;
        joined = std::exchange(held_, {});
        text = joined;
        close();
        open(kind, kind == Block::text ? OrderedJson{{"type", "text"}, {"text", ""}, {"citations", nullptr}}
                                       : OrderedJson{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
    }
    if (kind == Block::text) {
        delta({{"type", "text_delta"}, {"text", text}});
    } else if (shape_.shows_thinking) {
        delta({{"type", "thinking_delta"}, {"thinking", text}});
    }
}

void MessageAnswer::take(const ChatCallBegin &call) {
    close();
    open(Block::tool_use, {{"type", "tool_use"},
                           {"id", call.id},
                           {"name", call.name},
                           {"input", OrderedJson::object()},
                           {"caller", {{"type", "direct"}}}});
}

void MessageAnswer::open(Block kind, OrderedJson block) {
    open_ = kind;
    held_.clear();
    emit("content_block_start", {{"type", "content_block_start"}, {"index", index_}, {"content_block", block}});
    if (mode_ == Mode::whole) block_ = std::move(block);
}

void MessageAnswer::delta(OrderedJson delta) {
    if (mode_ == Mode::whole) {
        text_ += delta.back().get_ref<const std::string &>();
        return;
    }
    emit("content_block_delta", {{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}});
}

void MessageAnswer::close() {
    held_.clear();
    if (open_ == Block::none) return;
    const std::string signature = std::format("{}.{}", message_id_, index_);
    if (mode_ == Mode::stream) {
        if (open_ == Block::thinking) delta({{"type", "signature_delta"}, {"signature", signature}});
        emit("content_block_stop", {{"type", "content_block_stop"}, {"index", index_}});
    } else {
        if (open_ == Block::text) block_["text"] = text_;
        if (open_ == Block::tool_use) block_["input"] = arguments(text_);
        if (open_ == Block::thinking) {
            block_["thinking"] = text_;
            block_["signature"] = signature;
        }
        content_.push_back(std::exchange(block_, {}));
        text_.clear();
    }
    open_ = Block::none;
    ++index_;
}

void MessageAnswer::take(const ChatFinished &finished) {
    close();
    finished_ = true;
    cancelled_ = finished.reason == FinishReason::cancelled;
    if (cancelled_) {
        if (mode_ == Mode::stream) frames_ += error_frame(stopped_early(), request_id_);
        return;
    }
    OrderedJson delta{{"container", nullptr}, {"stop_details", nullptr}, {"stop_reason", stop_reason(finished.reason)}};
    delta["stop_sequence"] = finished.reason == FinishReason::stop_string ? OrderedJson(finished.stop_string) : OrderedJson();
    OrderedJson known = usage();
    OrderedJson end{{"type", "message_delta"},
                    {"delta", std::move(delta)},
                    {"usage",
                     {{"input_tokens", known["input_tokens"]},
                      {"cache_creation_input_tokens", known["cache_creation_input_tokens"]},
                      {"cache_read_input_tokens", known["cache_read_input_tokens"]},
                      {"output_tokens", finished.answer_tokens},
                      {"output_tokens_details", {{"thinking_tokens", finished.thinking_tokens}}},
                      {"server_tool_use", nullptr}}}};
    if (shape_.reports_context_management) end["context_management"] = {{"applied_edits", OrderedJson::array()}};
    if (!finished.committed) end["engram"]["committed"] = false;
    if (!finished.warning.empty()) end["engram"]["warning"] = finished.warning;
    emit("message_delta", end);
    emit("message_stop", {{"type", "message_stop"}});
    if (mode_ == Mode::whole) end_ = std::move(end);
}

ApiResult<std::string> MessageAnswer::message() const {
    if (cancelled_) return std::unexpected(stopped_early());
    if (mode_ != Mode::whole || !finished_) {
        return std::unexpected(
            ApiError{.kind = ApiErrorKind::internal, .message = "the answer is not complete; please report this"});
    }
    OrderedJson message = head();
    message["content"] = content_;
    for (const auto &[name, value] : end_["delta"].items()) message[name] = value;
    for (const auto &[name, value] : end_["usage"].items()) message["usage"][name] = value;
    for (const char *name : {"context_management", "engram"}) {
        if (end_.contains(name)) message[name] = end_[name];
    }
    return text_of(message);
}

OrderedJson MessageAnswer::usage() const {
    const std::uint64_t read = std::min(started_.cached_tokens, started_.prompt_tokens);
    const std::uint64_t computed = started_.prompt_tokens - read;
    const bool marked = shape_.retention != Retention::standard;
    const std::uint64_t created = marked ? computed : 0;
    const bool for_an_hour = shape_.retention >= Retention::one_hour;
    return {
        {"input_tokens", computed - created},
        {"cache_creation_input_tokens", created},
        {"cache_read_input_tokens", read},
        {"cache_creation",
         {{"ephemeral_5m_input_tokens", for_an_hour ? 0 : created}, {"ephemeral_1h_input_tokens", for_an_hour ? created : 0}}},
        {"output_tokens", 0},
        {"output_tokens_details", nullptr},
        {"server_tool_use", nullptr},
        {"service_tier", "standard"},
        {"inference_geo", nullptr},
        {"speed", nullptr}};
}

OrderedJson MessageAnswer::head() const {
    OrderedJson message{{"id", message_id_},
                        {"type", "message"},
                        {"role", "assistant"},
                        {"model", shape_.model},
                        {"content", OrderedJson::array()},
                        {"container", nullptr},
                        {"diagnostics", nullptr},
                        {"stop_details", nullptr},
                        {"stop_reason", nullptr},
                        {"stop_sequence", nullptr},
                        {"usage", usage()}};
    if (shape_.reports_cache_miss && started_.miss) message["diagnostics"] = {{"cache_miss_reason", cache_miss(started_)}};
    return message;
}

void MessageAnswer::emit(std::string_view event, const OrderedJson &data) {
    if (mode_ == Mode::stream) frames_ += std::format("event: {}\ndata: {}\n\n", event, text_of(data));
}

std::string ping_frame() { return "event: ping\ndata: {\"type\":\"ping\"}\n\n"; }

std::string error_frame(const ApiError &error, std::string_view request_id) {
    return std::format("event: error\ndata: {}\n\n", error_body(error, request_id));
}

std::string token_count(std::uint64_t tokens, const AnswerShape &shape) {
    OrderedJson body{{"input_tokens", tokens}};
    if (shape.reports_context_management) body["context_management"] = {{"original_input_tokens", tokens}};
    return text_of(body);
}

}  // namespace engram::protocol::anthropic
