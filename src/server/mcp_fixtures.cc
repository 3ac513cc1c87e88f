#include "server/mcp_fixtures.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <format>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "core/random_name.h"

namespace engram::server {

using namespace protocol;
namespace mcp = protocol::mcp;

namespace {

// One grey pixel; two samples of silence.
constexpr std::string_view kPng = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mOoBwAAgQCAfhwpxwAAAABJRU5ErkJggg==";
constexpr std::string_view kWav = "UklGRigAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQQAAAAAAAAA";
constexpr std::chrono::milliseconds kPause{50};
constexpr std::size_t kMostStates = 1024;

// --- shapes ---

OrderedJson image() { return {{"type", "image"}, {"data", kPng}, {"mimeType", "image/png"}}; }
OrderedJson audio() { return {{"type", "audio"}, {"data", kWav}, {"mimeType", "audio/wav"}}; }
OrderedJson embedded(std::string_view uri, std::string_view media_type, std::string_view text) {
    return {{"type", "resource"}, {"resource", mcp::text_resource(uri, media_type, text)}};
}
OrderedJson content(std::initializer_list<OrderedJson> parts) {
    OrderedJson list = OrderedJson::array();
    for (const OrderedJson &part : parts) list.push_back(part);
    return {{"content", std::move(list)}};
}
OrderedJson said(std::string_view text) { return content({mcp::text_content(text)}); }
OrderedJson user(OrderedJson part) { return {{"role", "user"}, {"content", std::move(part)}}; }

std::string dumped(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

// --- what is asked of a client ---

OrderedJson form(std::string_view message, OrderedJson properties, OrderedJson required = OrderedJson::array()) {
    return {{"message", message},
            {"requestedSchema", {{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}}}};
}
OrderedJson field(const char *name, const char *type) { return {{name, {{"type", type}}}}; }
OrderedJson elicitation(OrderedJson params) { return {{"method", "elicitation/create"}, {"params", std::move(params)}}; }
OrderedJson name_form(std::string_view message) { return elicitation(form(message, field("name", "string"), {"name"})); }
OrderedJson confirmation() { return elicitation(form("Please confirm", field("ok", "boolean"), {"ok"})); }
OrderedJson sampling_params(std::string_view prompt, int tokens) {
    return {{"messages", OrderedJson::array({user(mcp::text_content(prompt))})}, {"maxTokens", tokens}};
}
OrderedJson sampling(std::string_view prompt, int tokens) {
    return {{"method", "sampling/createMessage"}, {"params", sampling_params(prompt, tokens)}};
}
OrderedJson roots() { return {{"method", "roots/list"}, {"params", OrderedJson::object()}}; }

OrderedJson input_required(OrderedJson requests, const std::string &state = {}) {
    OrderedJson result{{"resultType", "input_required"}, {"inputRequests", std::move(requests)}};
    if (!state.empty()) result["requestState"] = state;
    return result;
}

// A response that has the form of one: an object.
bool responded(const OrderedJson &params, std::string_view name) {
    const Field response = Field(params)["inputResponses"][name];
    return response.present() && response.is_object();
}

std::string response_text(const OrderedJson &params, std::string_view name, std::string_view member) {
    return Field(params)["inputResponses"][name]["content"][member].text_or("").value_or("somebody");
}

// States that were given out, so that one that wasn't is noticed. Thread-safe.
class States {
  public:
    std::string give(std::string about) {
        const std::scoped_lock lock(mutex_);
        std::string state = random_name("state-");
        given_.emplace_back(state, std::move(about));
        if (given_.size() > kMostStates) given_.pop_front();
        return state;
    }
    // What it was given for; an error for one that wasn't; empty: the request has none.
    RpcResult<std::string> about(const OrderedJson &params) const {
        const Field state = Field(params)["requestState"];
        if (!state.present()) return std::string();
        const std::scoped_lock lock(mutex_);
        const auto found = std::ranges::find(given_, state.text().value_or(""), [](const auto &one) { return one.first; });
        if (found == given_.end()) return rpc_fail(kRpcInvalidParams, "requestState isn't one that was given out here");
        return found->second;
    }

  private:
    mutable std::mutex mutex_;
    std::deque<std::pair<std::string, std::string>> given_;  // guarded by mutex_
};

// --- tools ---

using Call = const McpCall &;
using Params = const OrderedJson &;

McpResult mixed(Call, Params, States &) {
    return content({mcp::text_content("Multiple content types test:"), image(),
                    embedded("test://mixed-content-resource", "application/json", R"({"test":"data","value":123})")});
}

McpResult logging(Call call, Params, States &) {
    for (const char *what : {"Tool execution started", "Tool processing data", "Tool execution completed"}) {
        call.log(mcp::LogLevel::info, what);
        std::this_thread::sleep_for(kPause);
    }
    return said("Three messages were logged.");
}

McpResult progress(Call call, Params, States &) {
    for (const int done : {0, 50, 100}) {
        call.progress({.done = static_cast<double>(done), .total = 100, .message = std::format("{} of 100", done)});
        std::this_thread::sleep_for(kPause);
    }
    return said("Three notifications of progress were sent.");
}

// The client's answer to a question as a tool's words, or why there is none.
McpResult told(std::string_view before, const McpResult &answer) {
    if (!answer) return mcp::tool_failure(std::format("The client could not be asked: {}", answer.error().message));
    const Field reply(*answer);
    const std::string content = reply["content"].present() ? reply["content"].compact() : "{}";
    return said(std::format("{}: action={}, content={}", before, reply["action"].text_or("").value_or(""), content));
}

McpResult ask_for_text(Call call, Params params, States &) {
    const std::string prompt = Field(params)["arguments"]["prompt"].text_or("").value_or("");
    const McpResult answer = call.ask("sampling/createMessage", sampling_params(prompt, 100));
    if (!answer) return mcp::tool_failure(std::format("The client could not be asked: {}", answer.error().message));
    return said(std::format("LLM response: {}", Field(*answer)["content"]["text"].text_or("").value_or("")));
}

McpResult ask_person(Call call, Params params, States &) {
    const std::string message = Field(params)["arguments"]["message"].text_or("").value_or("");
    return told("User response", call.ask("elicitation/create", form(message, field("response", "string"), {"response"})));
}

McpResult ask_with_defaults(Call call, Params, States &) {
    OrderedJson properties = OrderedJson::parse(
        R"({"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},
            "score":{"type":"number","default":95.5},
            "status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},
            "verified":{"type":"boolean","default":true}})");
    return told("Elicitation completed", call.ask("elicitation/create", form("Is this right?", std::move(properties))));
}

McpResult ask_with_choices(Call call, Params, States &) {
    OrderedJson properties = OrderedJson::parse(
        R"({"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
            "titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},
                {"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},
            "legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},
            "untitledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"type":"string","enum":["option1","option2","option3"]}},
            "titledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"anyOf":[{"const":"value1","title":"First Choice"},
                {"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}})");
    return told("Elicitation completed", call.ask("elicitation/create", form("Which ones?", std::move(properties))));
}

McpResult needs_sampling(Call call, Params, States &) {
    if (call.client_can("sampling")) return said("The client can be asked for samples.");
    return rpc_fail(mcp::kMissingCapability, "this needs a client that makes samples",
                    {{"requiredCapabilities", {{"sampling", OrderedJson::object()}}}});
}

McpResult streaming(Call call, Params params, States &) {
    call.progress({.done = 50, .total = 100, .message = {}});
    if (responded(params, "user_name") || !call.client_can("elicitation")) return said("The stream is complete.");
    return input_required({{"user_name", name_form("What is your name?")}});
}

McpResult log_when_asked(Call call, Params, States &) {
    call.log(mcp::LogLevel::info, "The tool runs.");
    return said("What was to be logged was logged.");
}

// --- tools that need more of the client before they answer (new era) ---

McpResult needs_name(Call, Params params, States &) {
    if (!responded(params, "user_name")) return input_required({{"user_name", name_form("What is your name?")}});
    return said(std::format("Hello, {}!", response_text(params, "user_name", "name")));
}

McpResult needs_answer(Call, Params params, States &) {
    if (!responded(params, "capital_question")) {
        return input_required({{"capital_question", sampling("What is the capital of France?", 100)}});
    }
    return said(Field(params)["inputResponses"]["capital_question"]["content"]["text"].text_or("").value_or(""));
}

McpResult needs_roots(Call, Params params, States &) {
    if (!responded(params, "client_roots")) return input_required({{"client_roots", roots()}});
    return said(Field(params)["inputResponses"]["client_roots"].compact());
}

McpResult needs_confirmation(Call, Params params, States &states) {
    ENGRAM_ASSIGN(const std::string about, states.about(params));
    if (about == "confirm" && responded(params, "confirm")) return said("state-ok: confirmed");
    return input_required({{"confirm", confirmation()}}, states.give("confirm"));
}

McpResult needs_much(Call, Params params, States &states) {
    ENGRAM_ASSIGN(const std::string about, states.about(params));
    const bool all = responded(params, "user_name") && responded(params, "greeting") && responded(params, "client_roots");
    if (about == "much" && all) return said("All three came.");
    return input_required({{"user_name", name_form("What is your name?")},
                           {"greeting", sampling("Generate a greeting", 50)},
                           {"client_roots", roots()}},
                          states.give("much"));
}

McpResult needs_rounds(Call, Params params, States &states) {
    ENGRAM_ASSIGN(const std::string about, states.about(params));
    if (about == "round 1" && responded(params, "step1")) {
        OrderedJson asked = elicitation(form("Step 2: What is your favorite color?", field("color", "string"), {"color"}));
        return input_required({{"step2", std::move(asked)}}, states.give("round 2"));
    }
    if (about == "round 2" && responded(params, "step2")) {
        return said(std::format("{} it is.", response_text(params, "step2", "color")));
    }
    return input_required({{"step1", name_form("Step 1: What is your name?")}}, states.give("round 1"));
}

McpResult needs_what_client_can(Call call, Params params, States &states) {
    if (Field(params)["inputResponses"].is_object()) return said("The client has answered.");
    OrderedJson requests = OrderedJson::object();
    if (call.client_can("sampling")) requests["sample"] = sampling("Say something", 50);
    if (call.client_can("elicitation")) requests["name"] = name_form("What is your name?");
    if (requests.empty()) return said("The client can't be asked anything.");
    return input_required(std::move(requests), states.give("capabilities"));
}

struct FixtureTool {
    std::string_view name, description;
    McpResult (*call)(Call, Params, States &);
    std::string_view schema = R"({"type":"object","properties":{}})";
};
constexpr std::string_view kSchema2020 = R"({"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
    "$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
    "properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},
        "contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
    "allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
    "if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},
    "then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false})";
constexpr auto kTools = std::to_array<FixtureTool>({
    {"test_simple_text", "Answers with text.",
     [](Call, Params, States &) -> McpResult { return said("This is a simple text response for testing."); }},
    {"test_image_content", "Answers with an image.", [](Call, Params, States &) -> McpResult { return content({image()}); }},
    {"test_audio_content", "Answers with sound.", [](Call, Params, States &) -> McpResult { return content({audio()}); }},
    {"test_embedded_resource", "Answers with a resource.",
     [](Call, Params, States &) -> McpResult {
         return content({embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")});
     }},
    {"test_multiple_content_types", "Answers with text, an image and a resource.", mixed},
    {"test_tool_with_logging", "Logs three messages.", logging},
    {"test_tool_with_progress", "Tells of its progress.", progress},
    {"test_error_handling", "Always fails.",
     [](Call, Params, States &) -> McpResult {
         return mcp::tool_failure("This tool intentionally returns an error for testing");
     }},
    {"test_sampling", "Asks the client for a sample.", ask_for_text,
     R"({"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]})"},
    {"test_elicitation", "Asks the client's user.", ask_person,
     R"({"type":"object","properties":{"message":{"type":"string"}},"required":["message"]})"},
    {"test_elicitation_sep1034_defaults", "Asks with defaults.", ask_with_defaults},
    {"test_elicitation_sep1330_enums", "Asks with choices.", ask_with_choices},
    {"json_schema_2020_12_tool", "Has a schema with much in it.",
     [](Call, Params params, States &) -> McpResult { return said(Field(params)["arguments"].compact()); }, kSchema2020},
    {"test_missing_capability", "Needs a client that makes samples.", needs_sampling},
    {"test_streaming_elicitation", "Tells of its progress and asks.", streaming},
    {"test_logging_tool", "Logs a message when that is wanted.", log_when_asked},
    {"test_input_required_result_elicitation", "Needs a name.", needs_name},
    {"test_input_required_result_sampling", "Needs a sample.", needs_answer},
    {"test_input_required_result_list_roots", "Needs the roots.", needs_roots},
    {"test_input_required_result_request_state", "Needs a confirmation.", needs_confirmation},
    {"test_input_required_result_multiple_inputs", "Needs three things.", needs_much},
    {"test_input_required_result_multi_round", "Needs one thing after the other.", needs_rounds},
    {"test_input_required_result_tampered_state", "Needs its own state back.", needs_confirmation},
    {"test_input_required_result_capabilities", "Needs what the client can give.", needs_what_client_can},
});

// --- prompts and resources ---

McpResult prompt(const std::string &name, const OrderedJson &params) {
    const Field arguments = Field(params)["arguments"];
    const auto argument = [&](std::string_view of) { return arguments[of].text_or("").value_or(""); };
    OrderedJson messages = OrderedJson::array();
    if (name == "test_simple_prompt") {
        messages.push_back(user(mcp::text_content("This is a simple prompt for testing.")));
    } else if (name == "test_prompt_with_arguments") {
        messages.push_back(user(
            mcp::text_content(std::format("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2")))));
    } else if (name == "test_prompt_with_embedded_resource") {
        messages.push_back(user(embedded(argument("resourceUri"), "text/plain", "Embedded resource content for testing.")));
        messages.push_back(user(mcp::text_content("Please process the embedded resource above.")));
    } else if (name == "test_prompt_with_image") {
        messages.push_back(user(image()));
        messages.push_back(user(mcp::text_content("Please analyze the image above.")));
    } else if (name == "test_input_required_result_prompt") {
        if (!responded(params, "user_context")) {
            return input_required({{"user_context", elicitation(form("What context should the prompt use?",
                                                                     field("context", "string"), {"context"}))}});
        }
        messages.push_back(user(mcp::text_content(response_text(params, "user_context", "context"))));
    } else {
        return rpc_fail(kRpcInvalidParams, "there is no such prompt");
    }
    return OrderedJson{{"messages", std::move(messages)}};
}

constexpr std::string_view kPrompts = R"([{"name":"test_simple_prompt","description":"Text."},
    {"name":"test_prompt_with_arguments","description":"Text with arguments.","arguments":[
        {"name":"arg1","description":"First test argument","required":true},
        {"name":"arg2","description":"Second test argument","required":true}]},
    {"name":"test_prompt_with_embedded_resource","description":"A resource.","arguments":[
        {"name":"resourceUri","description":"The resource's address","required":true}]},
    {"name":"test_prompt_with_image","description":"An image."},
    {"name":"test_input_required_result_prompt","description":"Needs a context."}])";
constexpr std::string_view kResources = R"([
    {"uri":"test://static-text","name":"static-text","description":"A text.","mimeType":"text/plain"},
    {"uri":"test://static-binary","name":"static-binary","description":"An image.","mimeType":"image/png"},
    {"uri":"test://watched-resource","name":"watched-resource","description":"A text to subscribe to.","mimeType":"text/plain"}])";
constexpr std::string_view kTemplates = R"([{"uriTemplate":"test://template/{id}/data","name":"template",
    "description":"Data with an id.","mimeType":"application/json"}])";

McpResult resource(const std::string &uri, mcp::Era era) {
    constexpr std::string_view kBegin = "test://template/", kEnd = "/data";
    OrderedJson contents;
    if (uri == "test://static-text") {
        contents = mcp::text_resource(uri, "text/plain", "This is the content of the static text resource.");
    } else if (uri == "test://watched-resource") {
        contents = mcp::text_resource(uri, "text/plain", "Watched resource content");
    } else if (uri == "test://static-binary") {
        contents = {{"uri", uri}, {"mimeType", "image/png"}, {"blob", kPng}};
    } else if (uri.starts_with(kBegin) && uri.ends_with(kEnd) && uri.size() > kBegin.size() + kEnd.size()) {
        const std::string id = uri.substr(kBegin.size(), uri.size() - kBegin.size() - kEnd.size());
        const OrderedJson data{{"id", id}, {"templateTest", true}, {"data", std::format("Data for ID: {}", id)}};
        contents = mcp::text_resource(uri, "application/json", dumped(data));
    } else {
        return rpc_fail(era == mcp::Era::stateless ? kRpcInvalidParams : mcp::kResourceNotFound, "there is no such resource",
                        {{"uri", uri}});
    }
    return OrderedJson{{"contents", OrderedJson::array({std::move(contents)})}};
}

class McpFixtures : public McpOffer {
  public:
    OrderedJson capabilities() const override {
        const OrderedJson empty = OrderedJson::object();
        return {{"tools", empty},
                {"resources", {{"subscribe", true}}},
                {"prompts", empty},
                {"completions", empty},
                {"logging", empty}};
    }
    std::string instructions() const override { return "What the protocol's conformance tests expect."; }

    McpResult list_tools(const McpCall &, const OrderedJson &) override {
        OrderedJson list = OrderedJson::array();
        for (const FixtureTool &tool : kTools) {
            list.push_back(
                {{"name", tool.name}, {"description", tool.description}, {"inputSchema", OrderedJson::parse(tool.schema)}});
        }
        return OrderedJson{{"tools", std::move(list)}};
    }
    McpResult call_tool(const McpCall &call, const OrderedJson &params) override {
        const std::string name = Field(params)["name"].text_or("").value_or("");
        const auto tool = std::ranges::find(kTools, name, &FixtureTool::name);
        if (tool == kTools.end()) return rpc_fail(kRpcInvalidParams, "there is no such tool");
        return tool->call(call, params, states_);
    }
    McpResult list_resources(const McpCall &, const OrderedJson &) override {
        return OrderedJson{{"resources", OrderedJson::parse(kResources)}};
    }
    McpResult list_resource_templates(const McpCall &, const OrderedJson &) override {
        return OrderedJson{{"resourceTemplates", OrderedJson::parse(kTemplates)}};
    }
    McpResult read_resource(const McpCall &call, const OrderedJson &params) override {
        return resource(Field(params)["uri"].text_or("").value_or(""), call.meta.era);
    }
    McpResult list_prompts(const McpCall &, const OrderedJson &) override {
        return OrderedJson{{"prompts", OrderedJson::parse(kPrompts)}};
    }
    McpResult get_prompt(const McpCall &, const OrderedJson &params) override {
        return prompt(Field(params)["name"].text_or("").value_or(""), params);
    }
    McpResult complete(const McpCall &, const OrderedJson &) override {
        return OrderedJson{{"completion", {{"values", OrderedJson::array()}, {"total", 0}, {"hasMore", false}}}};
    }

  private:
    States states_;
};

}  // namespace

std::unique_ptr<McpOffer> make_mcp_fixtures() { return std::make_unique<McpFixtures>(); }

}  // namespace engram::server
