#include "protocol/openai/completions.h"

#include <gtest/gtest.h>

#include "core/testing/test_seed.h"
#include "protocol/openai/testing/wire_samples.h"

namespace engram::protocol::openai {
namespace {

const AnswerHead kHead{.id = "cmpl-1", .created_s = 1700000000, .model = "engram-nano"};

CompletionRequest parsed(std::string_view body) {
    auto request = parse_completion_request(json_of(body));
    if (!request) ADD_FAILURE() << request.error().message;
    return request.value_or(CompletionRequest{});
}

TEST(CompletionRequestTest, Prompts) {
    EXPECT_EQ(parsed(R"({"prompt":"Once"})").prompts.at(0).text, "Once");
    const CompletionRequest texts = parsed(R"({"prompt":["a","b"]})");
    ASSERT_EQ(texts.prompts.size(), 2U);
    EXPECT_EQ(texts.prompts[1].text, "b");
    const CompletionRequest tokens = parsed(R"({"prompt":[1,2,3]})");
    ASSERT_EQ(tokens.prompts.size(), 1U);
    EXPECT_EQ(tokens.prompts[0].tokens, (std::vector<std::int32_t>{1, 2, 3}));
    const CompletionRequest lists = parsed(R"({"prompt":[[1,2],[3]]})");
    ASSERT_EQ(lists.prompts.size(), 2U);
    EXPECT_EQ(lists.prompts[1].tokens, std::vector<std::int32_t>{3});
}

TEST(CompletionRequestTest, Fields) {
    const CompletionRequest request = parsed(R"({"model":"m","prompt":"a","n":2,"best_of":2,"logprobs":3,"stream":true,
        "stream_options":{"include_usage":true},"stop":"\n","prompt_cache_key":"k"})");
    EXPECT_EQ(request.chat.max_tokens, 16U);
    EXPECT_EQ(request.chat.choices, 2U);
    EXPECT_EQ(request.chat.top_logprobs, 3U);
    EXPECT_EQ(request.chat.conversation, "k");
    EXPECT_TRUE(request.stream && request.include_usage);
    EXPECT_FALSE(request.echo);
    EXPECT_EQ(parsed(R"({"prompt":"a","max_tokens":0,"echo":true})").chat.max_tokens, 0U);
}

TEST(CompletionAnswerTest, Whole) {
    CompletionCollector answer(kHead, parsed(R"({"prompt":["Ü","b"],"echo":true})"));
    answer.add(0, ChatStarted{.prompt_tokens = 3, .cached_tokens = 2, .tier = "memory"});
    answer.add(1, ChatStarted{.prompt_tokens = 4, .tier = "none"});
    answer.add(1, ChatText{.text = "x"});
    answer.add(1, ChatFinished{.reason = FinishReason::length, .answer_tokens = 1});
    answer.add(0, ChatText{.text = "y"});
    answer.add(0, ChatFinished{.reason = FinishReason::stop, .answer_tokens = 2});
    OrderedJson json = answer.json();
    EXPECT_EQ(json["engram"]["tier"], "memory");
    json.erase("engram");
    EXPECT_EQ(dump(json), dump(json_of(R"({"id":"cmpl-1","object":"text_completion","created":1700000000,"model":"engram-nano",
        "system_fingerprint":null,"choices":[{"text":"Üy","index":0,"logprobs":null,"finish_reason":"stop"},
            {"text":"bx","index":1,"logprobs":null,"finish_reason":"length"}],
        "usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,
            "prompt_tokens_details":{"cached_tokens":2,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,
                "rejected_prediction_tokens":0}}})")));
}

TEST(CompletionAnswerTest, LogProbabilitiesStandSideBySide) {
    TokenLogprob first{.token = 1, .bytes = "ü", .logprob = -0.5F};
    first.alternatives = {first, {.token = 2, .bytes = "u", .logprob = -1.5F}};
    const TokenLogprob half{.token = 3, .bytes = "\xE2\x80", .logprob = -0.25F};
    CompletionCollector answer(kHead, parsed(R"({"prompt":"a"})"));
    answer.add(0, ChatStarted{});
    answer.add(0, ChatText{.text = "ü…", .logprobs = {first, half}});
    EXPECT_EQ(answer.json()["choices"][0]["logprobs"],
              json_of(R"({"tokens":["ü","bytes:\\xe2\\x80"],"token_logprobs":[-0.5,-0.25],"top_logprobs":[{"ü":-0.5,"u":-1.5},{}],
                  "text_offset":[0,1]})"));
}

TEST(CompletionAnswerTest, ChunksPutTogetherAreTheWholeAnswer) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 200; ++round) {
        CompletionRequest request =
            parsed(R"({"prompt":["Once","upon"],"n":2,"stream":true,"stream_options":{"include_usage":true}})");
        request.echo = random() % 2 == 0;
        CompletionStream stream(kHead, request);
        CompletionCollector answer(kHead, request);
        std::string frames;
        for (const std::size_t prompt : {std::size_t{1}, std::size_t{0}}) {
            for (const ChatEvent &event : random_events(random, 2, false)) {
                frames += stream.frames(prompt, event);
                answer.add(prompt, event);
            }
        }
        frames += stream.end();
        std::map<std::size_t, std::string> texts, reasons;
        std::map<std::size_t, OrderedJson> offsets;
        OrderedJson usage;
        for (const OrderedJson &chunk : sse_data(frames)) {
            if (chunk.is_string()) continue;
            usage = chunk["usage"];
            for (const OrderedJson &choice : chunk["choices"]) {
                const auto index = choice["index"].get<std::size_t>();
                texts[index] += choice["text"].get<std::string>();
                if (!choice["finish_reason"].is_null()) reasons[index] = choice["finish_reason"];
                if (choice["logprobs"].is_null()) continue;
                for (const OrderedJson &offset : choice["logprobs"]["text_offset"]) offsets[index].push_back(offset);
            }
        }
        const OrderedJson whole = answer.json();
        EXPECT_EQ(usage, whole["usage"]);
        ASSERT_EQ(whole["choices"].size(), 4U);
        for (std::size_t i = 0; i < 4; ++i) {
            EXPECT_EQ(texts[i], whole["choices"][i]["text"].get<std::string>());
            EXPECT_EQ(reasons[i], whole["choices"][i]["finish_reason"].get<std::string>());
            EXPECT_EQ(offsets[i].is_null(), whole["choices"][i]["logprobs"].is_null());
        }
    }
}

}  // namespace
}  // namespace engram::protocol::openai
