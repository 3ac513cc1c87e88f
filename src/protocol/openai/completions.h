// POST /v1/completions: text that the model goes on with, without template; and its answer.
//
// A request may hold several prompts, each as text or as token ids. Whoever knows the vocabulary makes text of token ids first:
//
//     for prompt i:  if (!prompt.tokens.empty()) prompt.text = …;
//                    ChatRequest chat = request.chat;  chat.raw_prompt = prompt.text;
//
// and runs one chat for each; choice c of prompt i is the answer's choice i × n + c. Refused: suffix, best_of other than n (all
// choices are answered), logprobs of an echoed prompt. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engram/chat.h"
#include "protocol/field.h"
#include "protocol/openai/request_fields.h"
#include "protocol/openai/wire.h"

namespace engram::protocol::openai {

struct CompletionPrompt {
    std::string text;
    std::vector<std::int32_t> tokens;  // not empty: the prompt came so, and `text` is still to be made of it
};

struct CompletionRequest {
    ChatRequest chat;  // without a prompt
    std::vector<CompletionPrompt> prompts;
    bool echo = false;  // the prompt stands before what was generated
    bool stream = false;
    bool include_usage = false;
};

ApiResult<CompletionRequest> parse_completion_request(const OrderedJson &json, const Sampling &defaults = default_sampling());

// The events of prompt `prompt` go in with its index; the rest is like ChatStream and ChatCollector (chat_answer.h).
class CompletionStream {
  public:
    CompletionStream(AnswerHead head, const CompletionRequest &request);

    std::string frames(std::size_t prompt, const ChatEvent &event);
    std::string end();
    std::string fail(const ApiError &error);

  private:
    std::string frame(std::size_t index, const OrderedJson &choice);

    AnswerHead head_;
    std::vector<std::string> echo_;  // of each prompt; empty: not wanted
    std::uint32_t choices_;          // of each prompt
    bool include_usage_;
    Usage usage_;
    std::map<std::size_t, std::size_t> characters_;  // told of each choice
    std::map<std::size_t, ChatStarted> started_;
};

class CompletionCollector {
  public:
    CompletionCollector(AnswerHead head, const CompletionRequest &request);

    void add(std::size_t prompt, const ChatEvent &event);
    OrderedJson json() const;

  private:
    struct Choice {
        std::string text;
        std::vector<TokenLogprob> logprobs;
        FinishReason reason = FinishReason::stop;
    };

    AnswerHead head_;
    std::vector<std::string> echo_;
    std::uint32_t choices_;
    Usage usage_;
    std::map<std::size_t, Choice> answers_;
    std::map<std::size_t, ChatStarted> started_;
    ChatStarted last_started_;
    ChatFinished last_finished_;
};

}  // namespace engram::protocol::openai
