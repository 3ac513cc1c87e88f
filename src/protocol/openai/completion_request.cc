#include <format>

#include "protocol/openai/chat_request.h"
#include "protocol/openai/completions.h"

namespace engram::protocol::openai {
namespace {

constexpr std::int64_t kMaxChoices = 128;
constexpr std::int64_t kMaxLogprobs = 5;
constexpr std::uint32_t kDefaultMaxTokens = 16;  // documented
constexpr std::size_t kMaxPrompts = 2048;
constexpr std::size_t kMaxAnswers = 2048;  // of all prompts: they have one place among those that wait

ApiResult<CompletionPrompt> one_prompt(const Field &prompt) {
    CompletionPrompt result;
    if (prompt.is_text()) {
        ENGRAM_ASSIGN(result.text, prompt.text_that_is_not_empty());
    } else if (prompt.is_array()) {
        ENGRAM_ASSIGN(result.tokens, token_ids(prompt));
    } else {
        return prompt.wrong("must be a string, a list of token ids, or a list of those");
    }
    return result;
}

ApiResult<std::vector<CompletionPrompt>> prompts_of(const Field &prompt) {
    if (!prompt.present()) return prompt.wrong("is missing");
    std::vector<Field> list = prompt.elements();
    const bool several = !list.empty() && !list.front().is_number();
    if (!several) list = {prompt};
    if (several) ENGRAM_TRY(prompt.must_be_array(1, kMaxPrompts));
    std::vector<CompletionPrompt> result;
    for (const Field &field : list) {
        ENGRAM_ASSIGN(CompletionPrompt parsed, one_prompt(field));
        result.push_back(std::move(parsed));
    }
    return result;
}

ApiResult<void> refuse_what_is_not_done(const Field &body, const CompletionRequest &request) {
    ENGRAM_ASSIGN(const std::string suffix, body["suffix"].text_or(""));
    if (!suffix.empty()) return body["suffix"].wrong("is not possible: this server only goes on with a text");
    ENGRAM_ASSIGN(const std::int64_t best_of, body["best_of"].whole_number_or(request.chat.choices, 1, kMaxChoices));
    if (best_of != request.chat.choices) return body["best_of"].wrong("must equal n: every answer that is generated is returned");
    if (request.echo && request.chat.top_logprobs) {
        return body["logprobs"].wrong("is not possible together with echo: the prompt's own probabilities aren't kept");
    }
    return {};
}

}  // namespace

ApiResult<CompletionRequest> parse_completion_request(const OrderedJson &json, const Sampling &defaults) {
    const Field body(json);
    ENGRAM_TRY(body.must_be_object());
    CompletionRequest request;
    ChatRequest &chat = request.chat;
    ENGRAM_TRY(read_common_fields(body, chat));
    ENGRAM_ASSIGN(request.prompts, prompts_of(body["prompt"]));
    ENGRAM_ASSIGN(chat.sampling, sampling_of(body, defaults));
    chat.max_tokens = kDefaultMaxTokens;
    if (body["max_tokens"].present()) {
        ENGRAM_ASSIGN(chat.max_tokens, token_limit(body["max_tokens"]));
    }
    ENGRAM_ASSIGN(const std::int64_t choices, body["n"].whole_number_or(1, 1, kMaxChoices));
    chat.choices = static_cast<std::uint32_t>(choices);
    if (request.prompts.size() * chat.choices > kMaxAnswers) {
        return body["n"].wrong(std::format("is {} for each of {} prompts: at most {} answers are given to one request", choices,
                                           request.prompts.size(), kMaxAnswers));
    }
    if (body["logprobs"].present()) {
        ENGRAM_ASSIGN(const std::int64_t number, body["logprobs"].whole_number(0, kMaxLogprobs));
        chat.top_logprobs = static_cast<std::uint32_t>(number);
    }
    ENGRAM_ASSIGN(request.echo, body["echo"].boolean_or(false));
    ENGRAM_TRY(read_memory_fields(body, chat));
    ENGRAM_TRY(refuse_what_is_not_done(body, request));
    ENGRAM_ASSIGN(const StreamFields stream, stream_fields(body));
    request.stream = stream.stream;
    request.include_usage = stream.include_usage;
    return request;
}

}  // namespace engram::protocol::openai
