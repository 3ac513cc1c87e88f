#include "protocol/openai/testing/wire_samples.h"

#include <gtest/gtest.h>

#include <format>

namespace engram::protocol::openai {
namespace {

std::vector<std::string> random_pieces(std::mt19937_64 &random, std::size_t most) {
    static const std::vector<std::string> kWords = {"a", " word", "ü", "\n", "\"quoted\"", "日本", "", "\\", " 7", "data: "};
    std::vector<std::string> pieces(random() % (most + 1));
    for (std::string &piece : pieces) piece = kWords[random() % kWords.size()];
    return pieces;
}

std::vector<TokenLogprob> random_logprobs(std::mt19937_64 &random, const std::string &text) {
    if (random() % 2 == 0 || text.empty()) return {};
    const TokenLogprob token{.token = 7, .bytes = text, .logprob = -0.25F};
    TokenLogprob chosen = token;
    chosen.alternatives = {token, {.token = 8, .bytes = "\xE2\x80", .logprob = -2.5F}};
    return {chosen};
}

void add_calls(std::mt19937_64 &random, std::uint32_t choice, std::vector<ChatEvent> &events) {
    const auto calls = static_cast<std::uint32_t>(random() % 3);
    for (std::uint32_t i = 0; i < calls; ++i) {
        events.push_back(ChatCallBegin{.choice = choice, .index = i, .id = std::format("call_{}_{}", choice, i), .name = "f"});
        const std::string arguments = std::format(R"({{"n":{},"s":"ü{{"}})", random() % 100);
        const std::size_t cut = 1 + random() % 5;
        events.push_back(ChatCallArguments{.choice = choice, .index = i, .text = arguments.substr(0, cut)});
        events.push_back(ChatCallArguments{.choice = choice, .index = i, .text = arguments.substr(cut)});
        events.push_back(ChatCallEnd{.choice = choice, .index = i});
    }
}

std::vector<ChatEvent> one_choice(std::mt19937_64 &random, std::uint32_t choice, bool thinking_and_calls) {
    std::vector<ChatEvent> events;
    if (thinking_and_calls) {
        for (const std::string &piece : random_pieces(random, 3)) events.push_back(ChatThinking{.choice = choice, .text = piece});
    }
    for (const std::string &piece : random_pieces(random, 6)) {
        events.push_back(ChatText{.choice = choice, .text = piece, .logprobs = random_logprobs(random, piece)});
    }
    if (thinking_and_calls) add_calls(random, choice, events);
    static constexpr FinishReason kReasons[] = {FinishReason::stop, FinishReason::stop_string, FinishReason::length,
                                                FinishReason::context, FinishReason::tool_calls};
    events.push_back(ChatFinished{.choice = choice,
                                  .reason = kReasons[random() % std::size(kReasons)],
                                  .answer_tokens = random() % 50,
                                  .thinking_tokens = random() % 5,
                                  .ttft_ms = 2.5,
                                  .decode_ms = 40,
                                  .warning = random() % 2 == 0 ? "the store is full" : ""});
    return events;
}

void append(OrderedJson &text, const OrderedJson &piece) {
    text = (text.is_string() ? text.get<std::string>() : "") + piece.get<std::string>();
}

void add_call_delta(OrderedJson &message, const OrderedJson &delta) {
    OrderedJson &calls = message["tool_calls"];
    const auto index = delta.at("index").get<std::size_t>();
    if (calls.is_null()) calls = OrderedJson::array();
    EXPECT_LE(index, calls.size()) << "a call's index leaves a gap";
    if (index == calls.size()) calls.push_back(OrderedJson::object());
    OrderedJson &call = calls[index];
    for (const char *name : {"id", "type"}) {
        if (delta.contains(name)) call[name] = delta[name];
    }
    if (delta["function"].contains("name")) call["function"]["name"] = delta["function"]["name"];
    append(call["function"]["arguments"], delta["function"]["arguments"]);
}

void add_delta(OrderedJson &message, const OrderedJson &delta) {
    if (delta.contains("role")) message["role"] = delta["role"];
    for (const char *name : {"content", "reasoning_content"}) {
        // NOLINTNEXTLINE(readability-container-size-empty): JSON's empty() is about something else
        if (delta.contains(name) && !delta[name].is_null() && delta[name] != "") append(message[name], delta[name]);
    }
    if (delta.contains("tool_calls")) {
        for (const OrderedJson &call : delta["tool_calls"]) add_call_delta(message, call);
    }
    if (delta.contains("function_call")) {
        if (delta["function_call"].contains("name")) message["function_call"]["name"] = delta["function_call"]["name"];
        append(message["function_call"]["arguments"], delta["function_call"]["arguments"]);
    }
}

}  // namespace

OrderedJson json_of(std::string_view text) {
    auto json = parse_bounded_json(text, text.size());
    EXPECT_TRUE(json.has_value()) << text;
    return json.value_or(OrderedJson());
}

std::vector<OrderedJson> sse_data(std::string_view frames) {
    std::vector<OrderedJson> list;
    while (!frames.empty()) {
        std::string event;
        if (frames.starts_with("event: ")) {
            event = frames.substr(7, frames.find('\n') - 7);
            frames.remove_prefix(frames.find('\n') + 1);
        }
        const std::size_t end = frames.find("\n\n");
        EXPECT_TRUE(frames.starts_with("data: ") && end != std::string_view::npos) << frames;
        if (end == std::string_view::npos) return list;
        const std::string_view data = frames.substr(6, end - 6);
        frames.remove_prefix(end + 2);
        EXPECT_EQ(data.find('\n'), std::string_view::npos);
        list.push_back(data == "[DONE]" ? OrderedJson("[DONE]") : json_of(data));
        if (!event.empty()) {
            EXPECT_EQ(list.back().value("type", ""), event);
        }
    }
    return list;
}

std::vector<ChatEvent> random_events(std::mt19937_64 &random, std::uint32_t choices, bool thinking_and_calls) {
    ChatStarted started{
        .prompt_tokens = 100 + random() % 100, .cached_tokens = random() % 100, .tier = "disk", .restore_ms = 1.5};
    if (random() % 2 == 0) started.miss = PrefixMiss{.at_token = 3, .reason = "diverged: a date"};
    if (random() % 2 == 0) started.repairs = {"a header was left out"};
    std::vector<ChatEvent> events = {started, ChatProgress{.done = 1, .total = 2}};
    std::vector<std::vector<ChatEvent>> rest;
    for (std::uint32_t i = 0; i < choices; ++i) rest.push_back(one_choice(random, i, thinking_and_calls));
    std::vector<std::size_t> told(choices);
    std::size_t left = choices;
    while (left > 0) {
        const std::size_t i = random() % choices;
        if (told[i] == rest[i].size()) continue;
        events.push_back(rest[i][told[i]++]);
        if (told[i] == rest[i].size()) --left;
    }
    return events;
}

OrderedJson assembled_chat(const std::vector<OrderedJson> &chunks) {
    OrderedJson result = {{"choices", OrderedJson::array()}};
    for (const OrderedJson &chunk : chunks) {
        if (chunk.is_string()) continue;
        for (const auto &[name, value] : chunk.items()) {
            if (name != "choices") result[name] = value;
        }
        for (const OrderedJson &part : chunk.at("choices")) {
            const auto index = part.at("index").get<std::size_t>();
            while (result["choices"].size() <= index) {
                result["choices"].push_back({{"index", result["choices"].size()},
                                             {"message", {{"role", ""}, {"content", nullptr}, {"refusal", nullptr}}},
                                             {"logprobs", nullptr},
                                             {"finish_reason", nullptr}});
            }
            OrderedJson &choice = result["choices"][index];
            add_delta(choice["message"], part.at("delta"));
            if (!part.at("finish_reason").is_null()) choice["finish_reason"] = part["finish_reason"];
            if (part.at("logprobs").is_null()) continue;
            if (choice["logprobs"].is_null()) choice["logprobs"] = {{"content", OrderedJson::array()}, {"refusal", nullptr}};
            for (const OrderedJson &token : part["logprobs"]["content"]) choice["logprobs"]["content"].push_back(token);
        }
    }
    result["object"] = "chat.completion";
    return result;
}

OrderedJson assembled_response(const std::vector<OrderedJson> &events) {
    OrderedJson snapshot = events.at(0).at("response");
    EXPECT_EQ(events[0].at("type"), "response.created");
    OrderedJson &output = snapshot["output"];
    for (const OrderedJson &event : events) {
        const auto type = event.at("type").get<std::string>();
        const auto index = event.value("output_index", std::size_t{0});
        if (type == "response.output_item.added") {
            EXPECT_EQ(index, output.size());
            output.push_back(event.at("item"));
        } else if (type == "response.output_item.done") {
            OrderedJson done = event.at("item");
            OrderedJson &now = output.at(index);
            now["status"] = done.at("status");  // all else was told piece by piece
            if (done.contains("encrypted_content")) now["encrypted_content"] = done["encrypted_content"];
            EXPECT_EQ(now, done);
        } else if (type == "response.content_part.added") {
            EXPECT_EQ(event.at("content_index"), output.at(index)["content"].size());
            output[index]["content"].push_back(event.at("part"));
        } else if (type == "response.content_part.done") {
            EXPECT_EQ(output.at(index)["content"].at(event.at("content_index").get<std::size_t>()), event.at("part"));
        } else if (type == "response.output_text.delta" || type == "response.reasoning_text.delta") {
            EXPECT_EQ(output.at(index)["id"], event.at("item_id"));
            OrderedJson &part = output[index]["content"].at(event.at("content_index").get<std::size_t>());
            append(part["text"], event.at("delta"));
            for (const OrderedJson &token : event.value("logprobs", OrderedJson::array())) part["logprobs"].push_back(token);
        } else if (type == "response.function_call_arguments.delta") {
            EXPECT_EQ(output.at(index)["id"], event.at("item_id"));
            append(output[index]["arguments"], event.at("delta"));
        } else if (type == "response.function_call_arguments.done") {
            EXPECT_EQ(output.at(index)["arguments"], event.at("arguments"));
            EXPECT_EQ(output[index]["name"], event.at("name"));
        }
    }
    const OrderedJson &last = events.back().at("response");
    for (const auto &[name, value] : last.items()) {
        if (name != "output") snapshot[name] = value;
    }
    return snapshot;
}

std::optional<std::vector<ChatMessage>> OneStoredResponse::conversation(std::string_view response_id) const {
    if (response_id != "resp_1") return std::nullopt;
    return std::vector<ChatMessage>{
        {.role = "user", .content = "hi"},
        {.role = "assistant", .content = "", .thinking = "let me see", .tool_calls = {{"call_1", "f", "{}"}}}};
}

std::optional<OrderedJson> OneStoredResponse::item(std::string_view item_id) const {
    static const OrderedJson kItems = json_of(R"([
        {"type":"message","id":"msg_1","role":"user","status":"completed","content":[{"type":"input_text","text":"hi"}]},
        {"type":"function_call","id":"fc_1","call_id":"call_1","name":"f","arguments":"{}","status":"completed"}])");
    for (const OrderedJson &item : kItems) {
        if (item["id"] == item_id) return std::optional<OrderedJson>(std::in_place, item);
    }
    return std::nullopt;
}

}  // namespace engram::protocol::openai
