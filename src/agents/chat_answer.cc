#include "agents/chat_answer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/random_name.h"

namespace engram {

std::vector<ChatEvent> ChatAnswer::add(TurnPiece piece) {
    std::vector<AnswerPart> parts = reader_.add(piece.text);
    return events_of(std::move(parts), std::move(piece));
}

std::vector<ChatEvent> ChatAnswer::finish(TurnPiece last) {
    std::vector<AnswerPart> parts = reader_.add(last.text);
    std::ranges::move(reader_.finish(), std::back_inserter(parts));
    return events_of(std::move(parts), std::move(last));
}

std::vector<ChatEvent> ChatAnswer::events_of(std::vector<AnswerPart> parts, TurnPiece piece) {
    const auto is = [](AnswerPart::Kind kind) { return [kind](const AnswerPart &part) { return part.kind == kind; }; };
    if (std::ranges::any_of(parts, is(AnswerPart::Kind::thinking))) thinking_tokens_ += piece.tokens;
    std::ranges::move(piece.logprobs, std::back_inserter(logprobs_));
    // Log probabilities are of what is said: those of tokens that turn out to be something else are left out.
    if (!parts.empty() && std::ranges::none_of(parts, is(AnswerPart::Kind::text))) logprobs_.clear();
    std::vector<ChatEvent> events;
    const std::uint32_t choice = form_.choice;
    for (AnswerPart &part : parts) {
        switch (part.kind) {
            case AnswerPart::Kind::thinking:
                thinking_ += part.text;
                events.emplace_back(ChatThinking{.choice = choice, .text = std::move(part.text)});
                break;
            case AnswerPart::Kind::text:
                text_ += part.text;
                events.emplace_back(
                    ChatText{.choice = choice, .text = std::move(part.text), .logprobs = std::exchange(logprobs_, {})});
                break;
            case AnswerPart::Kind::call_begin:
                open_call_ = {.name = std::move(part.text), .arguments = {}, .id = random_name(form_.call_id_prefix)};
                events.emplace_back(
                    ChatCallBegin{.choice = choice, .index = n_calls_++, .id = open_call_.id, .name = open_call_.name});
                break;
            case AnswerPart::Kind::call_arguments:
                open_call_.arguments += part.text;
                events.emplace_back(ChatCallArguments{.choice = choice, .index = n_calls_ - 1, .text = std::move(part.text)});
                break;
            case AnswerPart::Kind::call_end:
                if (part.whole) calls_.push_back(std::exchange(open_call_, {}));
                events.emplace_back(ChatCallEnd{.choice = choice, .index = n_calls_ - 1});
                break;
        }
    }
    return events;
}

MessageRow ChatAnswer::message(std::int64_t now_ms) const {
    return {.role = "assistant",
            .content = form_.begun + text_,
            .created_ms = now_ms,
            .tool_calls = tool_calls_json(calls_),
            .thinking = thinking_};
}

ChatFinished ChatAnswer::finished(const TurnResult &result, const std::string &stop_string) const {
    ChatFinished finished{.choice = form_.choice,
                          .reason = FinishReason::stop,
                          .stop_string = stop_string,
                          .answer_tokens = result.tokens.size(),
                          .thinking_tokens = thinking_tokens_,
                          .ttft_ms = result.ttft_ms,
                          .decode_ms = result.decode_ms,
                          .committed = result.committed,
                          .warning = result.warning};
    if (result.finish == "stop_string") finished.reason = FinishReason::stop_string;
    if (result.finish == "length") finished.reason = FinishReason::length;
    if (result.finish == "context") finished.reason = FinishReason::context;
    if (result.finish == "cancelled") finished.reason = FinishReason::cancelled;
    if (finished.reason == FinishReason::stop && !calls_.empty()) finished.reason = FinishReason::tool_calls;
    return finished;
}

}  // namespace engram
