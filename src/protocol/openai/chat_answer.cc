#include "protocol/openai/chat_answer.h"

#include <string_view>
#include <utility>

#include "protocol/openai/errors.h"

namespace engram::protocol::openai {
namespace {

OrderedJson head_json(const AnswerHead &head, const char *object) {
    return {{"id", head.id},       {"object", object},          {"created", head.created_s},
            {"model", head.model}, {"service_tier", "default"}, {"system_fingerprint", text_or_null(head.system_fingerprint)}};
}

const char *reason_text(FinishReason reason, const ChatAnswerOptions &options) {
    return reason == FinishReason::tool_calls && options.legacy_functions ? "function_call" : finish_reason(reason);
}

OrderedJson content_logprobs(const std::vector<TokenLogprob> &tokens) {
    if (tokens.empty()) return {};
    return {{"content", logprobs_json(tokens)}, {"refusal", nullptr}};
}

OrderedJson call_begin_delta(const ChatCallBegin &call, bool legacy) {
    const OrderedJson function = {{"name", call.name}, {"arguments", ""}};
    if (legacy) return {{"function_call", function}};
    const OrderedJson begin = {{"index", call.index}, {"id", call.id}, {"type", "function"}, {"function", function}};
    return {{"tool_calls", OrderedJson::array({begin})}};
}

OrderedJson call_arguments_delta(const ChatCallArguments &piece, bool legacy) {
    const OrderedJson function = {{"arguments", piece.text}};
    if (legacy) return {{"function_call", function}};
    const OrderedJson more = {{"index", piece.index}, {"function", function}};
    return {{"tool_calls", OrderedJson::array({more})}};
}

}  // namespace

OrderedJson ChatStream::chunk() const { return head_json(head_, "chat.completion.chunk"); }

std::string ChatStream::delta_frame(std::uint32_t choice, OrderedJson delta, OrderedJson logprobs) {
    std::string frames;
    if (!std::exchange(begun_[choice], true)) {
        const bool says_something = delta.contains("content");
        const OrderedJson content = says_something ? OrderedJson("") : OrderedJson();
        frames = delta_frame(choice, {{"role", "assistant"}, {"content", content}, {"refusal", nullptr}}, {});
    }
    OrderedJson json = chunk();
    const OrderedJson part = {
        {"index", choice}, {"delta", std::move(delta)}, {"logprobs", std::move(logprobs)}, {"finish_reason", nullptr}};
    json["choices"] = OrderedJson::array({part});
    if (options_.include_usage) json["usage"] = nullptr;
    return frames + sse_frame(json);
}

std::string ChatStream::finish_frame(const ChatFinished &finished) {
    std::string frames;
    if (!begun_[finished.choice]) frames = delta_frame(finished.choice, {{"content", ""}});
    OrderedJson json = chunk();
    const OrderedJson part = {{"index", finished.choice},
                              {"delta", OrderedJson::object()},
                              {"logprobs", nullptr},
                              {"finish_reason", reason_text(finished.reason, options_)}};
    json["choices"] = OrderedJson::array({part});
    if (options_.include_usage) json["usage"] = nullptr;
    json["engram"] = engram_json(started_, finished);
    return frames + sse_frame(json);
}

std::string ChatStream::frames(const ChatEvent &event) {
    if (const auto *started = std::get_if<ChatStarted>(&event)) {
        started_ = *started;
        usage_.add(*started);
    } else if (const auto *thinking = std::get_if<ChatThinking>(&event)) {
        return delta_frame(thinking->choice, {{"reasoning_content", thinking->text}});
    } else if (const auto *text = std::get_if<ChatText>(&event)) {
        return delta_frame(text->choice, {{"content", text->text}}, content_logprobs(text->logprobs));
    } else if (const auto *begin = std::get_if<ChatCallBegin>(&event)) {
        return delta_frame(begin->choice, call_begin_delta(*begin, options_.legacy_functions));
    } else if (const auto *piece = std::get_if<ChatCallArguments>(&event)) {
        return delta_frame(piece->choice, call_arguments_delta(*piece, options_.legacy_functions));
    } else if (const auto *finished = std::get_if<ChatFinished>(&event)) {
        usage_.add(*finished);
        return finish_frame(*finished);
    }
    return {};  // progress is told by pings, the end of a call by what follows
}

std::string ChatStream::end() {
    std::string frames;
    if (options_.include_usage) {
        OrderedJson json = chunk();
        json["choices"] = OrderedJson::array();
        json["usage"] = usage_.chat_json();
        frames = sse_frame(json);
    }
    return frames.append(kSseDone);
}

std::string ChatStream::fail(const ApiError &error) { return sse_frame({{"error", error_object(error)}}).append(kSseDone); }

void ChatCollector::add(const ChatEvent &event) {
    if (const auto *started = std::get_if<ChatStarted>(&event)) {
        started_ = *started;
        usage_.add(*started);
    } else if (const auto *thinking = std::get_if<ChatThinking>(&event)) {
        choices_[thinking->choice].thinking += thinking->text;
    } else if (const auto *text = std::get_if<ChatText>(&event)) {
        Choice &choice = choices_[text->choice];
        choice.text += text->text;
        choice.logprobs.insert(choice.logprobs.end(), text->logprobs.begin(), text->logprobs.end());
    } else if (const auto *begin = std::get_if<ChatCallBegin>(&event)) {
        choices_[begin->choice].calls.push_back({begin->id, begin->name, {}});
    } else if (const auto *piece = std::get_if<ChatCallArguments>(&event)) {
        choices_[piece->choice].calls.back().arguments += piece->text;
    } else if (const auto *finished = std::get_if<ChatFinished>(&event)) {
        choices_[finished->choice].reason = finished->reason;
        usage_.add(*finished);
        finished_ = *finished;
    }
}

OrderedJson ChatCollector::choice_json(std::uint32_t index, const Choice &choice) const {
    const bool only_calls = choice.text.empty() && !choice.calls.empty();
    OrderedJson message = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    if (only_calls) message["content"] = nullptr;
    if (!choice.thinking.empty()) message["reasoning_content"] = choice.thinking;
    for (const ChatToolCall &call : choice.calls) {
        const OrderedJson function = {{"name", call.name}, {"arguments", call.arguments}};
        if (options_.legacy_functions) {
            message["function_call"] = function;
        } else {
            message["tool_calls"].push_back({{"id", call.id}, {"type", "function"}, {"function", function}});
        }
    }
    return {{"index", index},
            {"message", std::move(message)},
            {"logprobs", content_logprobs(choice.logprobs)},
            {"finish_reason", reason_text(choice.reason, options_)}};
}

OrderedJson ChatCollector::json() const {
    OrderedJson json = head_json(head_, "chat.completion");
    json["choices"] = OrderedJson::array();
    for (const auto &[index, choice] : choices_) json["choices"].push_back(choice_json(index, choice));
    json["usage"] = usage_.chat_json();
    json["engram"] = engram_json(started_, finished_);
    return json;
}

}  // namespace engram::protocol::openai
