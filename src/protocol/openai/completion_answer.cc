#include <algorithm>
#include <format>
#include <utility>

#include "protocol/openai/completions.h"
#include "protocol/openai/errors.h"

namespace engram::protocol::openai {
namespace {

OrderedJson head_json(const AnswerHead &head) {
    return {{"id", head.id},
            {"object", "text_completion"},
            {"created", head.created_s},
            {"model", head.model},
            {"system_fingerprint", text_or_null(head.system_fingerprint)}};
}

std::vector<std::string> echo_of(const CompletionRequest &request) {
    std::vector<std::string> texts;
    for (const CompletionPrompt &prompt : request.prompts) texts.push_back(request.echo ? prompt.text : "");
    return texts;
}

std::size_t character_count(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

bool is_utf8(std::string_view bytes) {
    try {
        (void)OrderedJson(bytes).dump();
        return true;
    } catch (const OrderedJson::type_error &) {
        return false;
    }
}

// A token that is no whole character is written as its bytes, "bytes:\xe2\x80".
std::string token_text(const std::string &bytes) {
    if (is_utf8(bytes)) return bytes;
    std::string text = "bytes:";
    for (const char byte : bytes) text += std::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    return text;
}

// Lists side by side, one element for each token; offsets in characters from the text's begin.
OrderedJson logprobs_lists(const std::vector<TokenLogprob> &tokens, std::size_t offset) {
    if (tokens.empty()) return {};
    OrderedJson json = {{"tokens", OrderedJson::array()},
                        {"token_logprobs", OrderedJson::array()},
                        {"top_logprobs", OrderedJson::array()},
                        {"text_offset", OrderedJson::array()}};
    for (const TokenLogprob &token : tokens) {
        json["tokens"].push_back(token_text(token.bytes));
        json["token_logprobs"].push_back(token.logprob);
        OrderedJson top = OrderedJson::object();
        for (const TokenLogprob &alternative : token.alternatives) top[token_text(alternative.bytes)] = alternative.logprob;
        json["top_logprobs"].push_back(std::move(top));
        json["text_offset"].push_back(offset);
        offset += character_count(token.bytes);
    }
    return json;
}

// What a model says in answer to raw text is all text, also where a template would have called it thinking.
ChatText as_text(const ChatEvent &event) {
    if (const auto *thinking = std::get_if<ChatThinking>(&event)) return {.choice = thinking->choice, .text = thinking->text};
    return std::get<ChatText>(event);
}

bool is_text(const ChatEvent &event) {
    return std::holds_alternative<ChatText>(event) || std::holds_alternative<ChatThinking>(event);
}

const char *reason_text(FinishReason reason) { return reason == FinishReason::tool_calls ? "stop" : finish_reason(reason); }

}  // namespace

CompletionStream::CompletionStream(AnswerHead head, const CompletionRequest &request)
    : head_(std::move(head)), echo_(echo_of(request)), choices_(request.chat.choices), include_usage_(request.include_usage) {}

std::string CompletionStream::frame(std::size_t index, const OrderedJson &choice) {
    OrderedJson json = head_json(head_);
    OrderedJson part = {{"text", ""}, {"index", index}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
    part.update(choice);
    json["choices"] = OrderedJson::array({part});
    if (include_usage_) json["usage"] = nullptr;
    return sse_frame(json);
}

std::string CompletionStream::frames(std::size_t prompt, const ChatEvent &event) {
    std::string frames;
    if (const auto *started = std::get_if<ChatStarted>(&event)) {
        usage_.add(*started);
        started_[prompt] = *started;
        for (std::size_t i = prompt * choices_; i < (prompt + 1) * choices_ && !echo_.at(prompt).empty(); ++i) {
            frames += frame(i, {{"text", echo_[prompt]}});
            characters_[i] = character_count(echo_[prompt]);
        }
    } else if (is_text(event)) {
        const ChatText text = as_text(event);
        const std::size_t index = prompt * choices_ + text.choice;
        std::size_t &told = characters_[index];
        frames = frame(index, {{"text", text.text}, {"logprobs", logprobs_lists(text.logprobs, told)}});
        told += character_count(text.text);
    } else if (const auto *finished = std::get_if<ChatFinished>(&event)) {
        usage_.add(*finished);
        const std::size_t index = prompt * choices_ + finished->choice;
        OrderedJson json = head_json(head_);
        const OrderedJson part = {
            {"text", ""}, {"index", index}, {"logprobs", nullptr}, {"finish_reason", reason_text(finished->reason)}};
        json["choices"] = OrderedJson::array({part});
        if (include_usage_) json["usage"] = nullptr;
        json["engram"] = engram_json(started_[prompt], *finished);
        frames = sse_frame(json);
    }
    return frames;
}

std::string CompletionStream::end() {
    std::string frames;
    if (include_usage_) {
        OrderedJson json = head_json(head_);
        json["choices"] = OrderedJson::array();
        json["usage"] = usage_.chat_json();
        frames = sse_frame(json);
    }
    return frames.append(kSseDone);
}

std::string CompletionStream::fail(const ApiError &error) { return sse_frame({{"error", error_object(error)}}).append(kSseDone); }

CompletionCollector::CompletionCollector(AnswerHead head, const CompletionRequest &request)
    : head_(std::move(head)), echo_(echo_of(request)), choices_(request.chat.choices) {}

void CompletionCollector::add(std::size_t prompt, const ChatEvent &event) {
    if (const auto *started = std::get_if<ChatStarted>(&event)) {
        usage_.add(*started);
        started_[prompt] = *started;
        for (std::size_t i = 0; i < choices_; ++i) answers_[prompt * choices_ + i].text = echo_.at(prompt);
    } else if (is_text(event)) {
        const ChatText text = as_text(event);
        Choice &choice = answers_[prompt * choices_ + text.choice];
        choice.text += text.text;
        choice.logprobs.insert(choice.logprobs.end(), text.logprobs.begin(), text.logprobs.end());
    } else if (const auto *finished = std::get_if<ChatFinished>(&event)) {
        usage_.add(*finished);
        answers_[prompt * choices_ + finished->choice].reason = finished->reason;
        last_started_ = started_[prompt];
        last_finished_ = *finished;
    }
}

OrderedJson CompletionCollector::json() const {
    OrderedJson json = head_json(head_);
    json["choices"] = OrderedJson::array();
    for (const auto &[index, choice] : answers_) {
        json["choices"].push_back({{"text", choice.text},
                                   {"index", index},
                                   {"logprobs", logprobs_lists(choice.logprobs, character_count(echo_.at(index / choices_)))},
                                   {"finish_reason", reason_text(choice.reason)}});
    }
    json["usage"] = usage_.chat_json();
    json["engram"] = engram_json(last_started_, last_finished_);
    return json;
}

}  // namespace engram::protocol::openai
