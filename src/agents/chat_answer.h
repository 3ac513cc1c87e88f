// One choice of a chat's answer while it is written: pieces of text in, events out, and in the end the transcript's message.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agents/turn.h"
#include "chat/answer_reader.h"
#include "engram/chat.h"
#include "registry/registry.h"

namespace engram {

class ChatAnswer {
  public:
    struct Form {
        std::uint32_t choice = 0;
        std::string call_id_prefix;
        std::string begun;  // text of the answer that the prompt ended with: part of the message, and not told again
    };
    ChatAnswer(AnswerReader reader, Form form) : reader_(std::move(reader)), form_(std::move(form)) {}

    std::vector<ChatEvent> add(TurnPiece piece);
    std::vector<ChatEvent> finish(TurnPiece last);

    std::uint32_t choice() const { return form_.choice; }

    // After finish().
    MessageRow message(std::int64_t now_ms) const;
    ChatFinished finished(const TurnResult &result, const std::string &stop_string) const;

  private:
    std::vector<ChatEvent> events_of(std::vector<AnswerPart> parts, TurnPiece piece);

    AnswerReader reader_;
    const Form form_;
    std::string text_, thinking_;
    std::vector<ToolCall> calls_;
    ToolCall open_call_;
    std::uint32_t n_calls_ = 0;  // begun
    std::uint64_t thinking_tokens_ = 0;
    std::vector<TokenLogprob> logprobs_;  // of tokens whose text isn't told yet
};

}  // namespace engram
