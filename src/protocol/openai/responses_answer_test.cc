#include "protocol/openai/responses_answer.h"

#include <gtest/gtest.h>

#include "core/testing/test_seed.h"
#include "protocol/openai/testing/wire_samples.h"

namespace engram::protocol::openai {
namespace {

const AnswerHead kHead{.id = "resp_2", .created_s = 1700000000, .model = "engram-nano"};

ResponsesRequest request_of(std::string_view body) {
    auto request = parse_responses_request(json_of(body), OneStoredResponse(), "2");
    if (!request) ADD_FAILURE() << request.error().message;
    return std::move(request).value_or(ResponsesRequest{});
}

struct Told {
    std::vector<OrderedJson> events;
    OrderedJson response;
    ChatMessage message;
};

Told told(const ResponsesRequest &request, const std::vector<ChatEvent> &events) {
    ResponsesAnswer answer(kHead, request, "2");
    std::string frames = answer.begin();
    for (const ChatEvent &event : events) frames += answer.frames(event);
    frames += answer.end(1700000005);
    return {sse_data(frames), answer.response(), answer.message()};
}

const std::vector<ChatEvent> kEvents = {
    ChatStarted{.prompt_tokens = 20, .cached_tokens = 16, .tier = "disk", .restore_ms = 1.5},
    ChatThinking{.text = "hm"},
    ChatText{.text = "Hi"},
    ChatText{.text = "!"},
    ChatCallBegin{.index = 0, .id = "call_1", .name = "files__read"},
    ChatCallArguments{.text = "{\"a\":"},
    ChatCallArguments{.text = "1}"},
    ChatCallEnd{},
    ChatFinished{.reason = FinishReason::tool_calls, .answer_tokens = 9, .thinking_tokens = 2, .ttft_ms = 3, .decode_ms = 40}};

constexpr std::string_view kRequest = R"({"input":"hi","stream":true,"tools":[{"type":"namespace","name":"files","tools":[
    {"type":"function","name":"read"}]}]})";

TEST(ResponsesAnswerTest, Events) {
    const Told all = told(request_of(kRequest), kEvents);
    const std::vector<const char *> expected = {
        R"({"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"rs_2_0","type":"reasoning","status":"in_progress","summary":[],"content":[]}})",
        R"({"type":"response.content_part.added","sequence_number":3,"output_index":0,"item_id":"rs_2_0","content_index":0,"part":{"type":"reasoning_text","text":""}})",
        R"({"type":"response.reasoning_text.delta","sequence_number":4,"output_index":0,"item_id":"rs_2_0","content_index":0,"delta":"hm"})",
        R"({"type":"response.reasoning_text.done","sequence_number":5,"output_index":0,"item_id":"rs_2_0","content_index":0,"text":"hm"})",
        R"({"type":"response.content_part.done","sequence_number":6,"output_index":0,"item_id":"rs_2_0","content_index":0,"part":{"type":"reasoning_text","text":"hm"}})",
        R"({"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"id":"rs_2_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"hm"}]}})",
        R"({"type":"response.output_item.added","sequence_number":8,"output_index":1,"item":{"id":"msg_2_1","type":"message","status":"in_progress","role":"assistant","content":[]}})",
        R"({"type":"response.content_part.added","sequence_number":9,"output_index":1,"item_id":"msg_2_1","content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}})",
        R"({"type":"response.output_text.delta","sequence_number":10,"output_index":1,"item_id":"msg_2_1","content_index":0,"delta":"Hi","logprobs":[]})",
        R"({"type":"response.output_text.delta","sequence_number":11,"output_index":1,"item_id":"msg_2_1","content_index":0,"delta":"!","logprobs":[]})",
        R"({"type":"response.output_text.done","sequence_number":12,"output_index":1,"item_id":"msg_2_1","content_index":0,"text":"Hi!","logprobs":[]})",
        R"({"type":"response.content_part.done","sequence_number":13,"output_index":1,"item_id":"msg_2_1","content_index":0,"part":{"type":"output_text","text":"Hi!","annotations":[],"logprobs":[]}})",
        R"({"type":"response.output_item.done","sequence_number":14,"output_index":1,"item":{"id":"msg_2_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi!","annotations":[],"logprobs":[]}]}})",
        R"({"type":"response.output_item.added","sequence_number":15,"output_index":2,"item":{"id":"fc_2_2","type":"function_call","status":"in_progress","call_id":"call_1","name":"read","arguments":"","namespace":"files"}})",
        R"({"type":"response.function_call_arguments.delta","sequence_number":16,"output_index":2,"item_id":"fc_2_2","delta":"{\"a\":"})",
        R"({"type":"response.function_call_arguments.delta","sequence_number":17,"output_index":2,"item_id":"fc_2_2","delta":"1}"})",
        R"({"type":"response.function_call_arguments.done","sequence_number":18,"output_index":2,"item_id":"fc_2_2","name":"read","arguments":"{\"a\":1}"})",
        R"({"type":"response.output_item.done","sequence_number":19,"output_index":2,"item":{"id":"fc_2_2","type":"function_call","status":"completed","call_id":"call_1","name":"read","arguments":"{\"a\":1}","namespace":"files"}})"};
    ASSERT_EQ(all.events.size(), expected.size() + 3);
    EXPECT_EQ(all.events[0]["type"], "response.created");
    EXPECT_EQ(all.events[0]["sequence_number"], 0);
    EXPECT_EQ(all.events[0]["response"]["status"], "in_progress");
    EXPECT_TRUE(all.events[0]["response"]["usage"].is_null());
    EXPECT_EQ(all.events[1]["type"], "response.in_progress");
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(dump(all.events[i + 2]), expected[i]);
    EXPECT_EQ(all.events.back()["type"], "response.completed");
    EXPECT_EQ(all.events.back()["sequence_number"], 20);
    EXPECT_EQ(all.events.back()["response"], all.response);
}

TEST(ResponsesAnswerTest, TheObject) {
    const Told all = told(request_of(R"({"input":"hi"})"), {kEvents[0], kEvents[2], ChatFinished{.answer_tokens = 3}});
    EXPECT_TRUE(all.events.empty()) << "it wasn't asked to stream";
    EXPECT_EQ(dump(all.response), dump(json_of(R"({"id":"resp_2","object":"response","created_at":1700000000,"status":"completed",
        "completed_at":1700000005,"error":null,"incomplete_details":null,"model":"engram-nano",
        "output":[{"id":"msg_2_0","type":"message","status":"completed","role":"assistant",
            "content":[{"type":"output_text","text":"Hi","annotations":[],"logprobs":[]}]}],
        "background":false,"instructions":null,"max_output_tokens":null,"max_tool_calls":null,"metadata":{},"parallel_tool_calls":true,
        "previous_response_id":null,"prompt_cache_key":null,"prompt_cache_retention":null,"reasoning":{"effort":null,"summary":null},
        "safety_identifier":null,"service_tier":"default","store":true,"temperature":1.0,
        "text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,"top_p":1.0,
        "truncation":"disabled","user":null,
        "usage":{"input_tokens":20,"input_tokens_details":{"cached_tokens":16,"cache_write_tokens":4},"output_tokens":3,
            "output_tokens_details":{"reasoning_tokens":0},"total_tokens":23},
        "engram":{"cached_tokens":16,"computed_tokens":4,"tier":"disk","restore_ms":1.5,"ttft_ms":0.0,"decode_ms":0.0}})")));
}

TEST(ResponsesAnswerTest, TheMessageThatIsKept) {
    EXPECT_EQ(
        told(request_of(kRequest), kEvents).message,
        (ChatMessage{
            .role = "assistant", .content = "Hi!", .thinking = "hm", .tool_calls = {{"call_1", "files__read", R"({"a":1})"}}}));
}

TEST(ResponsesAnswerTest, AnAnswerThatWasCutIsIncomplete) {
    const Told all = told(request_of(kRequest), {kEvents[0], kEvents[2], ChatFinished{.reason = FinishReason::length}});
    EXPECT_EQ(all.events.back()["type"], "response.incomplete");
    EXPECT_EQ(all.response["status"], "incomplete");
    EXPECT_EQ(all.response["incomplete_details"]["reason"], "max_output_tokens");
    EXPECT_EQ(all.response["output"][0]["status"], "incomplete");
    EXPECT_TRUE(all.response["completed_at"].is_null());
}

TEST(ResponsesAnswerTest, ACallThatWasCutIsKeptAsOneThatCanBeRead) {
    const Told all =
        told(request_of(kRequest), {kEvents[0], kEvents[4], kEvents[5], ChatFinished{.reason = FinishReason::length}});
    EXPECT_EQ(all.response["output"][0]["arguments"], "{\"a\":");
    EXPECT_EQ(all.response["output"][0]["status"], "incomplete");
    EXPECT_EQ(all.message.tool_calls.at(0).arguments, R"({"unparsed":"{\"a\":"})");
}

TEST(ResponsesAnswerTest, AnErrorInTheMiddleFails) {
    ResponsesAnswer answer(kHead, request_of(kRequest), "2");
    std::string frames = answer.begin();
    for (const std::size_t i : {0U, 2U}) frames += answer.frames(kEvents[i]);
    frames += answer.fail({.kind = ApiErrorKind::prompt_too_long, .tokens = 9, .max_tokens = 8});
    const std::vector<OrderedJson> events = sse_data(frames);
    EXPECT_EQ(events.back()["type"], "response.failed");
    const OrderedJson &response = events.back()["response"];
    EXPECT_EQ(response["status"], "failed");
    EXPECT_EQ(response["error"]["code"], "context_length_exceeded");
    EXPECT_EQ(
        response["error"]["message"],
        "This model's maximum context length is 8 tokens. However, your messages resulted in 9 tokens. Please reduce the length "
        "of the messages.");
    EXPECT_EQ(response["output"][0]["status"], "incomplete");
}

TEST(ResponsesAnswerTest, ThinkingIsSealedWhenTheClientAsksForIt) {
    const ResponsesRequest request = request_of(R"({"input":"hi","stream":true,"include":["reasoning.encrypted_content"]})");
    const Told all = told(request, {kEvents[0], kEvents[1], ChatFinished{}});
    EXPECT_EQ(unsealed_thinking(all.response["output"][0]["encrypted_content"].get<std::string>()), "hm");
}

TEST(ResponsesAnswerTest, EventsPutTogetherAreTheResponse) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 100; ++round) {
        const ResponsesRequest request = request_of(
            random() % 2 == 0
                ? R"({"input":"hi","stream":true})"
                : R"({"input":"hi","stream":true,"include":["reasoning.encrypted_content","message.output_text.logprobs"]})");
        const Told all = told(request, random_events(random, 1, true));
        EXPECT_EQ(nlohmann::json::parse(dump(assembled_response(all.events))), nlohmann::json::parse(dump(all.response)));
        for (std::size_t i = 0; i < all.events.size(); ++i) EXPECT_EQ(all.events[i]["sequence_number"], i);
    }
}

// What a client sends back of an answer is the message that was kept of it.
TEST(ResponsesAnswerTest, OutputItemsReadAsInputAreTheMessage) {
    std::mt19937_64 random(test_seed());
    for (int round = 0; round < 100; ++round) {
        const Told all = told(request_of(R"({"input":"hi","stream":true})"), random_events(random, 1, true));
        OrderedJson input = all.response["output"];
        for (const ChatToolCall &call : all.message.tool_calls) {
            input.push_back({{"type", "function_call_output"}, {"call_id", call.id}, {"output", "ok"}});
        }
        if (input.empty() || input.back()["type"] == "reasoning") continue;  // thinking without an answer says nothing
        std::vector<ChatMessage> messages;
        OrderedJson items;
        ASSERT_TRUE(read_input(Field(input, "input"), OneStoredResponse(), "3", messages, items).has_value());
        EXPECT_EQ(messages.at(0), all.message);
    }
}

}  // namespace
}  // namespace engram::protocol::openai
