// Requests that are accepted and refused, one line each, and random ones.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <string>

#include "core/testing/test_seed.h"
#include "protocol/anthropic/request.h"
#include "protocol/anthropic/testing/requests.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram::protocol::anthropic {
namespace {

struct Case {
    std::string_view members;  // put over the smallest request
    std::string_view error;    // empty: accepted
};

void check(std::span<const Case> cases) {
    for (const Case &one : cases) {
        const auto request = parse_messages_request(request_with(one.members), no_headers(), Sampling{});
        EXPECT_EQ(request ? "" : request.error().message, one.error) << one.members;
        EXPECT_TRUE(request.has_value() || request.error().kind == ApiErrorKind::invalid_request) << one.members;
    }
}

TEST(AnthropicRequestTable, Accepted) {
    constexpr std::array<std::string_view, 40> kMembers{
        "{}",
        R"({"max_tokens":0})",
        R"({"max_tokens":5.0})",
        R"({"stream":true})",
        R"({"stream":null,"temperature":null,"top_p":null,"top_k":null,"tools":null,"tool_choice":null,"system":null})",
        R"({"temperature":1})",
        R"({"temperature":0,"top_p":1,"top_k":0})",
        R"({"stop_sequences":[]})",
        R"({"system":[]})",
        R"({"system":"s"})",
        R"({"tools":[]})",
        R"({"tools":[],"tool_choice":{"type":"auto"}})",
        R"({"tool_choice":{"type":"none"}})",
        R"({"metadata":{}})",
        R"({"metadata":{"user_id":"x","other":1}})",
        R"({"service_tier":"auto"})",
        R"({"service_tier":"standard_only","speed":"fast","inference_geo":"eu"})",
        R"({"container":"c","mcp_servers":[{"type":"url","url":"https://example.com","name":"n"}]})",
        R"({"container":{"id":"c","skills":[]}})",
        R"({"context_management":{"edits":[]}})",
        R"({"output_config":{"effort":"a new one","task_budget":{"type":"tokens","total":9}}})",
        R"({"output_config":{}})",
        R"({"thread":{"type":"create"}})",
        R"({"fallbacks":"default","fallback_credit_token":"t","billing_policy":{"bill_to":"self"}})",
        R"({"compaction":null})",
        R"({"diagnostics":{"previous_message_id":"msg_1"}})",
        R"({"thinking":{"type":"adaptive","display":"updates","block_binding":{}}})",
        R"({"a_field_of_next_year":{"deep":[1,2,3]}})",
        R"({"messages":[{"role":"user","content":"x","name":"unknown"}]})",
        R"({"messages":[{"role":"assistant","content":"first"},{"role":"user","content":"x"}]})",
        R"({"messages":[{"role":"system","content":"first"},{"role":"user","content":"x"}]})",
        R"({"messages":[{"role":"user","content":[{"type":"text","text":" ","citations":null}]}]})",
        R"({"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":null}]}]})",
        R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"s"}]}]})",
        R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"text","text":"y"},)"
        R"({"type":"code_execution_tool_result","tool_use_id":"s","content":{}}]},{"role":"user","content":"z"}]})",
        R"({"tools":[{"name":"a","input_schema":{"type":"object","properties":null,"required":null}}]})",
        R"({"tools":[{"type":null,"name":"a","description":"d","input_schema":{"type":"object","$defs":{}},"allowed_callers":["direct"]}]})",
        R"({"tools":[{"name":"a","input_schema":{"type":"object"},"input_examples":[{"x":1}]}],"tool_choice":{"type":"any"}})",
        R"({"tools":[{"type":"text_editor_20241022","name":"str_replace_editor"}]})",
        R"({"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}})",
    };
    for (const std::string_view members : kMembers) check(std::array{Case{members, ""}});
}

TEST(AnthropicRequestTable, RefusedForItsTopLevelFields) {
    check(std::array<Case, 33>{{
        {R"({"model":null})", "model: Field required"},
        {R"({"model":""})", "model: must not be empty"},
        {R"({"model":7})", "model: must be a string"},
        {R"({"max_tokens":null})", "max_tokens: Field required"},
        {R"({"max_tokens":-1})", "max_tokens: must be a whole number from 0 to 2147483647"},
        {R"({"max_tokens":1.5})", "max_tokens: must be a whole number from 0 to 2147483647"},
        {R"({"max_tokens":"16"})", "max_tokens: must be a whole number from 0 to 2147483647"},
        {R"({"stream":"yes"})", "stream: must be true or false"},
        {R"({"temperature":1.01})", "temperature: must be a number from 0 to 1"},
        {R"({"top_p":-0.1})", "top_p: must be a number from 0 to 1"},
        {R"({"top_k":-1})", "top_k: must be a whole number from 0 to 2147483647"},
        {R"({"stop_sequences":"END"})", "stop_sequences: must be an array"},
        {R"({"stop_sequences":["END",1]})", "stop_sequences.1: must be a string"},
        {R"({"stop_sequences":["END"," \n"]})", "stop_sequences.1: each stop sequence must contain non-whitespace"},
        {R"({"thinking":true})", "thinking: must be an object"},
        {R"({"thinking":{}})", "thinking.type: Field required"},
        {R"({"thinking":{"type":"hard"}})", R"(thinking.type: must be "adaptive", "enabled", "between_tools" or "disabled")"},
        {R"({"thinking":{"type":"enabled"}})", "thinking.budget_tokens: Field required"},
        {R"({"thinking":{"type":"enabled","budget_tokens":1023}})",
         "thinking.budget_tokens: must be a whole number from 1024 to 2147483647"},
        {R"({"max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":2000}})",
         "`max_tokens` must be greater than `thinking.budget_tokens`."},
        {R"({"output_config":7})", "output_config: must be an object"},
        {R"({"output_config":{"format":{"type":"xml"}}})", "output_config.format.type: must be \"json_schema\""},
        {R"({"output_config":{"format":{"type":"json_schema"}}})", "output_config.format.schema: Field required"},
        {R"({"output_format":{"type":"json_schema","schema":[]}})", "output_format.schema: must be an object"},
        {R"({"metadata":"me"})", "metadata: must be an object"},
        {R"({"metadata":{"user_id":1}})", "metadata.user_id: must be a string"},
        {R"({"cache_control":{"type":"forever"}})", "cache_control.type: must be \"ephemeral\""},
        {R"({"cache_control":{"type":"ephemeral","ttl":"2h"}})", "cache_control.ttl: must be \"5m\" or \"1h\""},
        {R"({"system":7})", "system: must be a string or an array of blocks"},
        {R"({"system":[{"type":"text","text":""}]})", "system.0.text: text content blocks must be non-empty"},
        {R"({"system":[{"type":"image"}]})", "system.0.type: must be \"text\""},
        {R"({"compaction":{"type":"summarize"}})", "compaction: this server doesn't summarise conversations; leave it out"},
        {R"({"thread":{"type":"continue","previous_message_id":"m"}})",
         "thread: this server holds no threads; send all messages of the conversation"},
    }});
}

TEST(AnthropicRequestTable, RefusedForItsTools) {
    check(std::array<Case, 20>{{
        {R"({"tools":{}})", "tools: must be an array"},
        {R"({"tools":["a"]})", "tools.0: must be an object"},
        {R"({"tools":[{"input_schema":{"type":"object"}}]})", "tools.0.name: Field required"},
        {R"({"tools":[{"name":"a b","input_schema":{"type":"object"}}]})",
         R"(tools.0.name: must be 1 to 128 letters, digits, "_" or "-")"},
        {R"({"tools":[{"name":"","input_schema":{"type":"object"}}]})",
         R"(tools.0.name: must be 1 to 128 letters, digits, "_" or "-")"},
        {R"({"tools":[{"name":"a","description":[],"input_schema":{"type":"object"}}]})",
         "tools.0.description: must be a string"},
        {R"({"tools":[{"name":"a"}]})", "tools.0.input_schema: Field required"},
        {R"({"tools":[{"name":"a","input_schema":"object"}]})", "tools.0.input_schema: must be an object"},
        {R"({"tools":[{"name":"a","input_schema":{}}]})", "tools.0.input_schema.type: Field required"},
        {R"({"tools":[{"name":"a","input_schema":{"type":"string"}}]})", "tools.0.input_schema.type: must be \"object\""},
        {R"({"tools":[{"name":"a","input_schema":{"type":"object","properties":[]}}]})",
         "tools.0.input_schema.properties: must be an object"},
        {R"({"tools":[{"name":"a","input_schema":{"type":"object","required":[1]}}]})",
         "tools.0.input_schema.required.0: must be a string"},
        {R"({"tools":[{"name":"a","input_schema":{"type":"object"}},{"name":"a","input_schema":{"type":"object"}}]})",
         "tools: Tool names must be unique."},
        {R"({"tools":[{"type":"computer_20250124","name":"computer","display_width_px":1,"display_height_px":1}]})",
         "tools.0.type: \"computer_20250124\" answers with pictures, and this model reads text only"},
        {R"({"tools":[{"type":"teleport_20300101","name":"t"}]})",
         "tools.0.type: \"teleport_20300101\" is no tool that is known here; use a custom tool with an input_schema"},
        {R"({"tools":[{"type":"web_search_20250305","name":"web_search"}]})",
         "tools: \"web_search\" runs at the vendor and isn't available here; leave it out, or give tools of your own"},
        {R"({"tool_choice":{"type":"any"}})", "tool_choice: tool_choice may only be specified while providing `tools`."},
        {R"({"tool_choice":"auto"})", "tool_choice: must be an object"},
        {R"({"tool_choice":{"type":"required"}})", R"(tool_choice.type: must be "auto", "any", "tool" or "none")"},
        {R"({"tools":[{"name":"a","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"b"}})",
         "tool_choice: Tool 'b' not found in provided tools"},
    }});
}

TEST(AnthropicRequestTable, RefusedForItsMessages) {
    check(std::array<Case, 27>{{
        {R"({"messages":null})", "messages: Field required"},
        {R"({"messages":[]})", "messages: at least one message is required"},
        {R"({"messages":"Hi"})", "messages: must be an array"},
        {R"({"messages":["Hi"]})", "messages.0: must be an object"},
        {R"({"messages":[{"content":"x"}]})", "messages.0.role: Field required"},
        {R"({"messages":[{"role":"user","content":"x"},{"role":"tool","content":"x"}]})",
         R"(messages.1.role: must be "user", "assistant" or "system", not "tool")"},
        {R"({"messages":[{"role":"user"}]})", "messages.0.content: Field required"},
        {R"({"messages":[{"role":"user","content":7}]})", "messages.0.content: must be a string or an array of blocks"},
        {R"({"messages":[{"role":"user","content":""}]})",
         "messages.0: all messages must have non-empty content except for the optional final assistant message"},
        {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[]},{"role":"user","content":"y"}]})",
         "messages.1: all messages must have non-empty content except for the optional final assistant message"},
        {R"({"messages":[{"role":"user","content":[{"type":"text","text":""}]}]})",
         "messages.0.content.0.text: text content blocks must be non-empty"},
        {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages.0.content.0.text: Field required"},
        {R"({"messages":[{"role":"user","content":[{"text":"x"}]}]})", "messages.0.content.0.type: Field required"},
        {R"({"messages":[{"role":"user","content":[{"type":"video"}]}]})",
         "messages.0.content.0.type: \"video\" is no block type that is allowed here"},
        {R"({"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.com/a.png"}}]}]})",
         "messages.0.content.0: an image can't be read: this model reads text only"},
        {R"({"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","data":"AA=="}}]}]})",
         "messages.0.content.0.source: a PDF or another file can't be read: this model reads text only"},
        {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y "}]})",
         "messages.1: final assistant content cannot end with trailing whitespace"},
        {R"({"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]}]})",
         "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1. Each `tool_result` block must have a "
         "corresponding `tool_use` block in the previous message."},
        {R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"a","input":{}}]},)"
         R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1"},{"type":"tool_result","tool_use_id":"t1"}]}]})",
         "messages.1.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: t1"},
        {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"a","input":{}},)"
         R"({"type":"tool_use","id":"t2","name":"a","input":{}}]},{"role":"user","content":"y"}]})",
         "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1, t2. Each `tool_use` block "
         "must "
         "have a corresponding `tool_result` block in the next message."},
        {R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"a","input":{}}]}]})",
         "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1. Each `tool_use` block must "
         "have a corresponding `tool_result` block in the next message."},
        {R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"a","input":[]}]}]})",
         "messages.0.content.0.input: must be an object"},
        {R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"a","input":{}},)"
         R"({"type":"tool_use","id":"t1","name":"a","input":{}}]}]})",
         "messages.0.content.1.id: `tool_use` ids must be unique: t1"},
        {R"({"messages":[{"role":"user","content":[{"type":"tool_use","id":"t1","name":"a","input":{}}]}]})",
         "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages"},
        {R"({"messages":[{"role":"assistant","content":[{"type":"tool_result","tool_use_id":"t1"}]}]})",
         "messages.0.content.0: `tool_result` blocks can only be in `user` messages"},
        {R"({"messages":[{"role":"user","content":"x"},{"role":"system"}]})", "messages.1.content: Field required"},
        {R"({"messages":[{"role":"user","content":[{"type":"container_upload","file_id":"f"}]}]})",
         "messages: at least one message with content that this model can read is required"},
    }});
}

// Pieces that requests are made of, put together at random.
TEST(AnthropicRequestTable, RandomBodies) {
    std::mt19937_64 random(test_seed());
    constexpr std::array<std::string_view, 12> kBlocks{
        R"({"type":"text","text":"a"})",
        R"({"type":"thinking","thinking":"t","signature":"s"})",
        R"({"type":"tool_use","id":"1","name":"f","input":{"x":[1,{"y":null}]}})",
        R"({"type":"tool_use","id":"2","name":"g","input":{}})",
        R"({"type":"tool_result","tool_use_id":"1","content":"r"})",
        R"({"type":"tool_result","tool_use_id":"2","content":[{"type":"text","text":"r"},{"type":"tool_reference","tool_name":"g"}]})",
        R"({"type":"document","source":{"type":"text","data":"d"}})",
        R"({"type":"tool_addition","tool":{"type":"tool_reference","name":"g"}})",
        R"({"type":"redacted_thinking","data":"d"})",
        R"({"type":"image"})",
        R"({"type":"text","text":""})",
        R"({"type":"compaction","content":"c"})"};
    constexpr std::array<std::string_view, 3> kRoles{"user", "assistant", "system"};
    const auto below = [&](std::size_t n) { return random() % n; };
    constexpr int kBodies = 5000;
    int accepted = 0;
    for (int i = 0; i < kBodies; ++i) {
        std::string body = R"({"model":"m","max_tokens":1,"tools":[{"name":"f","input_schema":{"type":"object"}},)"
                           R"({"name":"g","input_schema":{"type":"object"},"defer_loading":true}],"messages":[)";
        const std::size_t count = 1 + below(4);
        for (std::size_t m = 0; m < count; ++m) {
            body += m == 0 ? "" : ",";
            body += R"({"role":")" + std::string(kRoles.at(m % 2 == below(8) % 2 ? below(3) : m % 2)) + R"(","content":[)";
            const std::size_t blocks = 1 + below(3);
            for (std::size_t b = 0; b < blocks; ++b) body += (b == 0 ? "" : ",") + std::string(kBlocks.at(below(kBlocks.size())));
            body += "]}";
        }
        body += "]}";
        if (below(4) == 0) {
            for (std::size_t n = 1 + below(3); n > 0; --n) body[below(body.size())] = static_cast<char>(below(256));
        }
        if (below(8) == 0) body.resize(below(body.size()));
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(body.data()), body.size());
        const auto json = parse_body(body, body.size());
        if (json && parse_messages_request(*json, no_headers(), Sampling{})) ++accepted;
    }
    EXPECT_GT(accepted, kBodies / 100) << "most bodies are to be refused, but not nearly all";
}

}  // namespace
}  // namespace engram::protocol::anthropic
