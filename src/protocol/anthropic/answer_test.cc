#include "protocol/anthropic/answer.h"

#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/testing/test_seed.h"

namespace engram::protocol::anthropic {
namespace {

using Json = nlohmann::json;
using Events = std::vector<ChatEvent>;

constexpr std::string_view kPing = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

std::string streamed(const Events &events, const AnswerShape &shape = {.model = "m"}) {
    MessageAnswer answer("msg_1", "req_1", shape, MessageAnswer::Mode::stream);
    std::string frames;
    for (const ChatEvent &event : events) frames += answer.on(event);
    EXPECT_TRUE(answer.finished());
    return frames;
}

Json whole(const Events &events, const AnswerShape &shape = {.model = "m"}) {
    MessageAnswer answer("msg_1", "req_1", shape, MessageAnswer::Mode::whole);
    for (const ChatEvent &event : events) EXPECT_EQ(answer.on(event), "");
    const auto message = answer.message();
    if (!message) ADD_FAILURE() << message.error().message;
    return Json::parse(message.value_or("{}"));
}

// Frames as the vendor's SDK puts them together (its MessageStream); the order of events is checked on the way.
class Assembler {
  public:
    Json read(std::string_view frames) {
        while (!frames.empty()) {
            const auto end = frames.find("\n\n");
            EXPECT_NE(end, std::string_view::npos);
            if (end == std::string_view::npos) break;
            frame(frames.substr(0, end));
            frames.remove_prefix(end + 2);
        }
        EXPECT_TRUE(stopped_);
        return message_;
    }

  private:
    void frame(std::string_view text) {
        const auto line = text.find('\n');
        ASSERT_TRUE(text.starts_with("event: ") && text.substr(line).starts_with("\ndata: ")) << text;
        const Json data = Json::parse(text.substr(line + 7));
        ASSERT_EQ(data["type"].get<std::string>(), text.substr(7, line - 7));
        if (data["type"] == "ping") return;
        EXPECT_FALSE(stopped_) << "nothing follows message_stop";
        if (data["type"] == "message_start") {
            EXPECT_TRUE(message_.is_null());
            message_ = data["message"];
        } else if (data["type"] == "content_block_start") {
            EXPECT_FALSE(open_);
            EXPECT_EQ(data["index"], message_["content"].size());
            message_["content"].push_back(data["content_block"]);
            open_ = true;
            arguments_.clear();
        } else if (data["type"] == "content_block_delta") {
            EXPECT_TRUE(open_);
            EXPECT_EQ(data["index"], message_["content"].size() - 1);
            delta(data["delta"], message_["content"].back());
        } else if (data["type"] == "content_block_stop") {
            EXPECT_TRUE(open_);
            open_ = false;
            if (!arguments_.empty()) message_["content"].back()["input"] = Json::parse(arguments_);
        } else if (data["type"] == "message_delta") {
            EXPECT_FALSE(open_);
            for (const auto &[name, value] : data["delta"].items()) message_[name] = value;
            for (const auto &[name, value] : data["usage"].items()) {
                if (!value.is_null()) message_["usage"][name] = value;
            }
            for (const char *name : {"context_management", "engram"}) {
                if (data.contains(name)) message_[name] = data[name];
            }
        } else {
            EXPECT_EQ(data["type"], "message_stop");
            stopped_ = true;
        }
    }

    void delta(const Json &delta, Json &block) {
        const auto append = [&](const char *member) {
            EXPECT_NE(delta[member], "");
            block[member] = block[member].get<std::string>() + delta[member].get<std::string>();
        };
        if (delta["type"] == "text_delta") {
            EXPECT_EQ(block["type"], "text");
            append("text");
        } else if (delta["type"] == "thinking_delta") {
            EXPECT_EQ(block["type"], "thinking");
            append("thinking");
        } else if (delta["type"] == "signature_delta") {
            block["signature"] = delta["signature"];
        } else {
            EXPECT_EQ(delta["type"], "input_json_delta");
            EXPECT_EQ(block["type"], "tool_use");
            arguments_ += delta["partial_json"].get<std::string>();
        }
    }

    Json message_;
    std::string arguments_;
    bool open_ = false, stopped_ = false;
};

const Events kToolTurn{
    ChatStarted{.prompt_tokens = 100, .cached_tokens = 60, .tier = "disk"},
    ChatProgress{.done = 20, .total = 40},
    ChatThinking{.text = "I must "},
    ChatThinking{.text = "look."},
    ChatText{.text = "\n\n"},
    ChatText{.text = "Let me"},
    ChatText{.text = " \"look\"."},
    ChatText{.text = "\n"},
    ChatCallBegin{.index = 0, .id = "toolu_1", .name = "weather"},
    ChatCallArguments{.index = 0, .text = "{\"city\":"},
    ChatCallArguments{.index = 0, .text = " \"Lisbon\"}"},
    ChatCallEnd{.index = 0},
    ChatText{.text = "\n"},
    ChatCallBegin{.index = 1, .id = "toolu_2", .name = "time"},
    ChatCallEnd{.index = 1},
    ChatFinished{.reason = FinishReason::tool_calls, .answer_tokens = 30, .thinking_tokens = 5},
};

TEST(AnthropicAnswer, AStreamInTheDocumentedOrder) {
    const std::string head =
        "event: message_start\ndata: "
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"m\",\"content\":[],\"container\":null,\"diagnostics\":null,\"stop_details\":null,\"stop_reason\":null,"
        "\"stop_sequence\":null,\"usage\":{\"input_tokens\":40,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":60,"
        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":0,"
        "\"output_tokens_details\":null,\"server_tool_use\":null,\"service_tier\":\"standard\",\"inference_geo\":null,"
        "\"speed\":null}}}\n\n";
    const auto block = [](std::string_view json) {
        const std::string type = Json::parse(json)["type"];
        return "event: " + type + "\ndata: " + std::string(json) + "\n\n";
    };
    EXPECT_EQ(
        streamed(kToolTurn),
        head + std::string(kPing) + std::string(kPing) +
            block(
                R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})") +
            block(R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"I must "}})") +
            block(R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"look."}})") +
            block(R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"msg_1.0"}})") +
            block(R"({"type":"content_block_stop","index":0})") +
            block(R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":null}})") +
            block(R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\n\nLet me"}})") +
            block(R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":" \"look\"."}})") +
            block(R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"\n"}})") +
            block(R"({"type":"content_block_stop","index":1})") +
            block(R"({"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather",)"
                  R"("input":{},"caller":{"type":"direct"}}})") +
            block(R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}})") +
            block(
                R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":" \"Lisbon\"}"}})") +
            block(R"({"type":"content_block_stop","index":2})") +
            block(R"({"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"toolu_2","name":"time",)"
                  R"("input":{},"caller":{"type":"direct"}}})") +
            block(R"({"type":"content_block_stop","index":3})") +
            block(
                R"({"type":"message_delta","delta":{"container":null,"stop_details":null,"stop_reason":"tool_use",)"
                R"("stop_sequence":null},"usage":{"input_tokens":40,"cache_creation_input_tokens":0,"cache_read_input_tokens":60,)"
                R"("output_tokens":30,"output_tokens_details":{"thinking_tokens":5},"server_tool_use":null}})") +
            block(R"({"type":"message_stop"})"));
}

TEST(AnthropicAnswer, AWholeMessage) {
    MessageAnswer answer("msg_1", "req_1", {.model = "m", .retention = Retention::one_hour}, MessageAnswer::Mode::whole);
    for (const ChatEvent &event : kToolTurn) EXPECT_EQ(answer.on(event), "");
    EXPECT_EQ(
        answer.message().value(),
        R"({"id":"msg_1","type":"message","role":"assistant","model":"m","content":[)"
        R"({"type":"thinking","thinking":"I must look.","signature":"msg_1.0"},)"
        R"({"type":"text","text":"\n\nLet me \"look\".\n","citations":null},)"
        R"({"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Lisbon"},"caller":{"type":"direct"}},)"
        R"({"type":"tool_use","id":"toolu_2","name":"time","input":{},"caller":{"type":"direct"}}],)"
        R"("container":null,"diagnostics":null,"stop_details":null,"stop_reason":"tool_use","stop_sequence":null,)"
        R"("usage":{"input_tokens":0,"cache_creation_input_tokens":40,"cache_read_input_tokens":60,)"
        R"("cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":40},"output_tokens":30,)"
        R"("output_tokens_details":{"thinking_tokens":5},"server_tool_use":null,"service_tier":"standard","inference_geo":null,)"
        R"("speed":null}})");
}

TEST(AnthropicAnswer, StopReasons) {
    const auto reasons = [](FinishReason reason, std::string stop_string) {
        const Events events{ChatStarted{.prompt_tokens = 1}, ChatText{.text = "x"},
                            ChatFinished{.reason = reason, .stop_string = std::move(stop_string)}};
        const Json message = whole(events);
        return message["stop_reason"].get<std::string>() + " " + message["stop_sequence"].dump();
    };
    EXPECT_EQ(reasons(FinishReason::stop, ""), "end_turn null");
    EXPECT_EQ(reasons(FinishReason::stop_string, "END"), "stop_sequence \"END\"");
    EXPECT_EQ(reasons(FinishReason::length, ""), "max_tokens null");
    EXPECT_EQ(reasons(FinishReason::context, ""), "model_context_window_exceeded null");
    EXPECT_EQ(reasons(FinishReason::tool_calls, ""), "tool_use null");
}

TEST(AnthropicAnswer, AWarningIsToldInAMemberOfItsOwn) {
    const Events events{ChatStarted{}, ChatText{.text = "Hi"}, ChatFinished{.committed = false, .warning = "the disk is full"}};
    EXPECT_EQ(whole(events)["engram"], Json::parse(R"({"committed":false,"warning":"the disk is full"})"));
    EXPECT_EQ(Assembler().read(streamed(events)), whole(events));
    EXPECT_FALSE(whole({ChatStarted{}, ChatFinished{}}).contains("engram"));
}

TEST(AnthropicAnswer, UsageAddsUpToThePrompt) {
    for (const Retention retention : {Retention::standard, Retention::five_minutes, Retention::one_hour}) {
        const Json usage = whole({ChatStarted{.prompt_tokens = 1000, .cached_tokens = 768}, ChatFinished{}},
                                 {.model = "m", .retention = retention})["usage"];
        const auto count = [](const Json &value) { return value.get<std::uint64_t>(); };
        EXPECT_EQ(
            count(usage["input_tokens"]) + count(usage["cache_read_input_tokens"]) + count(usage["cache_creation_input_tokens"]),
            1000U);
        EXPECT_EQ(count(usage["cache_creation"]["ephemeral_5m_input_tokens"]) +
                      count(usage["cache_creation"]["ephemeral_1h_input_tokens"]),
                  count(usage["cache_creation_input_tokens"]));
        EXPECT_EQ(count(usage["cache_creation_input_tokens"]), retention == Retention::standard ? 0U : 232U);
        EXPECT_EQ(count(usage["cache_creation"]["ephemeral_1h_input_tokens"]), retention == Retention::one_hour ? 232U : 0U);
    }
}

TEST(AnthropicAnswer, ReadingThePromptOnly) {
    const Json message = whole({ChatStarted{.prompt_tokens = 9}, ChatFinished{.reason = FinishReason::length}});
    EXPECT_EQ(message["content"], Json::array());
    EXPECT_EQ(message["stop_reason"], "max_tokens");
    EXPECT_EQ(message["usage"]["output_tokens"], 0);
}

TEST(AnthropicAnswer, BlocksOfWhiteSpaceAloneAreNone) {
    const Json message = whole({ChatStarted{}, ChatThinking{.text = "\n\n"}, ChatText{.text = "\n"}, ChatText{.text = "Hi "},
                                ChatCallBegin{.id = "1", .name = "a"}, ChatCallEnd{}, ChatText{.text = " \n"}, ChatFinished{}});
    ASSERT_EQ(message["content"].size(), 2U);
    EXPECT_EQ(message["content"][0]["text"], "\nHi ");
    EXPECT_EQ(message["content"][1]["type"], "tool_use");
}

TEST(AnthropicAnswer, HiddenThinkingLeavesItsSignature) {
    const AnswerShape shape{.model = "m", .shows_thinking = false};
    const Events events{ChatStarted{}, ChatThinking{.text = "secret"}, ChatText{.text = "Hi"}, ChatFinished{}};
    EXPECT_FALSE(streamed(events, shape).contains("secret"));
    const Json message = whole(events, shape);
    EXPECT_EQ(message["content"][0], Json::parse(R"({"type":"thinking","thinking":"","signature":"msg_1.0"})"));
    EXPECT_EQ(message["content"][1]["text"], "Hi");
    EXPECT_EQ(Assembler().read(streamed(events, shape)), message);
}

TEST(AnthropicAnswer, ACallThatWasCutOff) {
    const Events events{ChatStarted{}, ChatCallBegin{.id = "1", .name = "a"}, ChatCallArguments{.text = "{\"x\": [1, "},
                        ChatFinished{.reason = FinishReason::length}};
    const Json message = whole(events);
    EXPECT_EQ(message["content"][0]["input"], Json::object());
    EXPECT_EQ(message["stop_reason"], "max_tokens");
    EXPECT_TRUE(streamed(events).contains("event: content_block_stop\n"));
}

TEST(AnthropicAnswer, ACancelledAnswerEndsWithAnError) {
    const Events events{ChatStarted{}, ChatText{.text = "Hi"}, ChatFinished{.reason = FinishReason::cancelled}};
    EXPECT_TRUE(streamed(events).ends_with(
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"The server stopped "
        "before the "
        "answer was complete; send the request again.\"},\"request_id\":\"req_1\"}\n\n"));
    MessageAnswer answer("msg_1", "req_1", {}, MessageAnswer::Mode::whole);
    EXPECT_EQ(answer.message().error().kind, ApiErrorKind::internal) << "not finished";
    for (const ChatEvent &event : events) answer.on(event);
    EXPECT_EQ(answer.message().error().kind, ApiErrorKind::overloaded);
}

TEST(AnthropicAnswer, WhatTheRequestAskedToBeTold) {
    const AnswerShape shape{.model = "m", .reports_context_management = true, .reports_cache_miss = true};
    const auto events = [](std::string reason) {
        return Events{
            ChatStarted{.prompt_tokens = 50, .cached_tokens = 8, .miss = PrefixMiss{.at_token = 12, .reason = std::move(reason)}},
            ChatFinished{}};
    };
    const Json diverged = whole(events("diverged: the system message changed"), shape);
    EXPECT_EQ(diverged["context_management"], Json::parse(R"({"applied_edits":[]})"));
    EXPECT_EQ(diverged["diagnostics"]["cache_miss_reason"],
              Json::parse(R"({"type":"unavailable","explanation":"diverged: the system message changed","at_token":12})"));
    EXPECT_EQ(whole(events("incompatible: other weights"), shape)["diagnostics"]["cache_miss_reason"],
              Json::parse(R"({"type":"model_changed","cache_missed_input_tokens":42})"));
    EXPECT_TRUE(whole({ChatStarted{}, ChatFinished{}}, shape)["diagnostics"].is_null());
    EXPECT_TRUE(whole(events("evicted"))["diagnostics"].is_null());
    EXPECT_FALSE(whole(events("evicted")).contains("context_management"));
    EXPECT_EQ(Assembler().read(streamed(events("evicted"), shape)), whole(events("evicted"), shape));
}

TEST(AnthropicAnswer, OnlyTheFirstChoiceIsTold) {
    const Json message = whole({ChatStarted{}, ChatText{.choice = 1, .text = "other"}, ChatFinished{.choice = 1},
                                ChatText{.text = "Hi"}, ChatFinished{}, ChatText{.text = "late"}});
    EXPECT_EQ(message["content"][0]["text"], "Hi");
}

TEST(AnthropicAnswer, CountsAndFramesOfTheirOwn) {
    EXPECT_EQ(token_count(14, {}), R"({"input_tokens":14})");
    EXPECT_EQ(token_count(14, {.reports_context_management = true}),
              R"({"input_tokens":14,"context_management":{"original_input_tokens":14}})");
    EXPECT_EQ(ping_frame(), kPing);
    EXPECT_EQ(error_frame({.kind = ApiErrorKind::internal, .message = "x"}, "req_9"),
              "event: error\ndata: "
              "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"},\"request_id\":\"req_9\"}\n\n");
}

Events random_answer(std::mt19937_64 &random) {
    const auto below = [&](std::uint64_t n) { return random() % n; };
    constexpr std::array<std::string_view, 9> kPieces{"a", " ", "\n\n", "é", "\"", "\\", "{}", "event: x\n\ndata", "\xFF"};
    const std::uint64_t prompt = below(1000);
    Events events{ChatStarted{.prompt_tokens = prompt, .cached_tokens = below(prompt + 1)}};
    if (below(4) == 0) std::get<ChatStarted>(events[0]).miss = PrefixMiss{.at_token = 1, .reason = "evicted"};
    std::uint32_t calls = 0;
    for (std::uint64_t parts = below(6); parts > 0; --parts) {
        const std::uint64_t kind = below(4);
        for (std::uint64_t pieces = below(4); pieces > 0 && kind < 2; --pieces) {
            const std::string piece(kPieces.at(below(kPieces.size())));
            if (kind == 0) events.emplace_back(ChatThinking{.text = piece});
            if (kind == 1) events.emplace_back(ChatText{.text = piece});
        }
        if (kind == 2) events.emplace_back(ChatProgress{.done = 1, .total = 2});
        if (kind != 3) continue;
        events.emplace_back(ChatCallBegin{.index = calls, .id = "toolu_" + std::to_string(calls), .name = "f"});
        const std::string arguments = below(2) == 0 ? "" : R"({"k":["v", 1.5, null], "é":{"x":true}})";
        for (std::size_t at = 0; at < arguments.size();) {
            const std::size_t size = arguments.find("é", at) == at ? 2 : 1;  // whole characters
            events.emplace_back(ChatCallArguments{.index = calls, .text = arguments.substr(at, size)});
            at += size;
        }
        events.emplace_back(ChatCallEnd{.index = calls++});
    }
    constexpr std::array kReasons{FinishReason::stop, FinishReason::stop_string, FinishReason::length, FinishReason::context,
                                  FinishReason::tool_calls};
    events.emplace_back(ChatFinished{.reason = kReasons.at(below(kReasons.size())),
                                     .stop_string = "END",
                                     .answer_tokens = below(500),
                                     .thinking_tokens = below(50)});
    return events;
}

TEST(AnthropicAnswer, TheStreamPutTogetherIsTheMessage) {
    std::mt19937_64 random(test_seed());
    constexpr std::array kRetentions{Retention::standard, Retention::five_minutes, Retention::one_hour};
    for (int i = 0; i < 1000; ++i) {
        const Events events = random_answer(random);
        const AnswerShape shape{.model = "m",
                                .retention = kRetentions.at(random() % kRetentions.size()),
                                .shows_thinking = random() % 2 == 0,
                                .reports_context_management = random() % 2 == 0,
                                .reports_cache_miss = random() % 2 == 0};
        EXPECT_EQ(Assembler().read(streamed(events, shape)), whole(events, shape));
    }
}

}  // namespace
}  // namespace engram::protocol::anthropic
