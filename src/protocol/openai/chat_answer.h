// The answer of chat completions, out of ChatEvents: as chunks while it is written, or whole.
//
//     ChatStream stream(head, {.include_usage = request.include_usage});
//     for each event: send(stream.frames(event));          // often empty
//     send(stream.end());                                  // or stream.fail(error), when it broke off
//
//     ChatCollector answer(head);
//     for each event: answer.add(event);
//     send(dump(answer.json()));
//
// Chunks put together the way the official package does it (contents and arguments appended, everything else taken from the last
// chunk that has it) are the whole answer. A choice's first chunk carries the role, its last the finish_reason and Engram's
// account (engram_json). Thinking is `reasoning_content`, beside `content`, as other local servers have it. Pure; one object for
// one answer, used by one thread at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engram/chat.h"
#include "protocol/api_error.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {

struct ChatAnswerOptions {
    bool include_usage = false;     // of the stream: a last chunk without choices
    bool legacy_functions = false;  // a call is a `function_call`
};

class ChatStream {
  public:
    ChatStream(AnswerHead head, ChatAnswerOptions options) : head_(std::move(head)), options_(options) {}

    std::string frames(const ChatEvent &event);
    std::string end();                        // the usage, when it was asked for, and [DONE]
    std::string fail(const ApiError &error);  // in place of end: the error, which the package throws

  private:
    OrderedJson chunk() const;
    std::string delta_frame(std::uint32_t choice, OrderedJson delta, OrderedJson logprobs = {});
    std::string finish_frame(const ChatFinished &finished);

    AnswerHead head_;
    ChatAnswerOptions options_;
    ChatStarted started_;
    Usage usage_;
    std::map<std::uint32_t, bool> begun_;  // choices whose role was told
};

class ChatCollector {
  public:
    explicit ChatCollector(AnswerHead head, ChatAnswerOptions options = {}) : head_(std::move(head)), options_(options) {}

    void add(const ChatEvent &event);
    OrderedJson json() const;

  private:
    struct Choice {
        std::string text, thinking;
        std::vector<ChatToolCall> calls;
        std::vector<TokenLogprob> logprobs;
        FinishReason reason = FinishReason::stop;
    };
    OrderedJson choice_json(std::uint32_t index, const Choice &choice) const;

    AnswerHead head_;
    ChatAnswerOptions options_;
    ChatStarted started_;
    ChatFinished finished_;  // of the choice that ended last
    Usage usage_;
    std::map<std::uint32_t, Choice> choices_;
};

}  // namespace engram::protocol::openai
