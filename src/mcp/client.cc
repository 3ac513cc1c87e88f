#include "mcp/client.h"

#include <algorithm>
#include <array>
#include <format>
#include <set>

#include "core/base64.h"
#include "mcp/tool_limits.h"

namespace engram::mcp {
namespace {

using namespace protocol;

// Those that begin with `initialize`, newest first.
constexpr auto kVersions = std::to_array<std::string_view>({"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"});
constexpr std::chrono::milliseconds kAgreeTimeout{60'000};  // a package runner may have to fetch the server first
constexpr std::size_t kMaxPages = 1000;
constexpr std::size_t kMaxDepth = 32;  // of a schema, where headers are looked for

// Errors that only a stateless server knows (schema of 2026-07-28).
constexpr auto kStatelessErrors = std::to_array<std::int64_t>({-32020, -32021, -32022});

OrderedJson client_info() { return {{"name", "engram"}, {"version", engram::version()}}; }

std::string text_member(const OrderedJson &object, const char *name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number_member(const OrderedJson &object, const char *name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::unexpected<Error> refused(const ServerConfig &config, std::string_view method, const RpcError &error) {
    return fail(ErrorCode::io, std::format("the tool server {} refuses {}: {}", config.name, method, error.message));
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as a schema that is bounded
void find_headers(const OrderedJson &schema, std::vector<std::string> &path, Tool &tool) {
    const auto properties = schema.find("properties");
    if (properties == schema.end() || !properties->is_object() || path.size() > kMaxDepth) return;
    std::size_t path_bytes = 0;
    for (const std::string &name : path) path_bytes += name.size();
    for (const auto &[name, property] : properties->items()) {
        if (!property.is_object() || path_bytes + name.size() > kMaxHeaderPathBytes) continue;
        path.push_back(name);
        const std::string header = text_member(property, "x-mcp-header");
        if (!header.empty() && tool.headers.size() < kMaxToolHeaders) tool.headers.emplace_back(path, header);
        find_headers(property, path, tool);
        path.pop_back();
    }
}

// As a header's value: printable ASCII as it is, everything else in the form that the specification gives for it.
std::string header_value(const OrderedJson &value) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    const auto plain = [](unsigned char c) { return c >= 0x20 && c < 0x7f; };
    const bool is_plain = std::ranges::all_of(text, plain) && !text.starts_with(' ') && !text.ends_with(' ') &&
                          !(text.starts_with("=?base64?") && text.ends_with("?="));
    return is_plain ? text : std::format("=?base64?{}?=", base64(text));
}

std::string what_it_is(const OrderedJson &block, std::string_view kind) {
    const std::string mime = text_member(block, "mimeType");
    return std::format("[{} was here{}; this model reads text only]", kind, mime.empty() ? "" : " (" + mime + ")");
}

std::string block_text(const OrderedJson &block) {
    const std::string type = text_member(block, "type");
    if (type == "text") return text_member(block, "text");
    if (type == "image") return what_it_is(block, "an image");
    if (type == "audio") return what_it_is(block, "a sound");
    if (type == "resource_link") {
        return std::format("[{}: {}]", text_member(block, "name"), text_member(block, "uri"));
    }
    if (type == "resource" && block.contains("resource") && block["resource"].is_object()) {
        const OrderedJson &resource = block["resource"];
        if (!resource.contains("text")) return what_it_is(resource, "a file");
        return std::format("{}:\n{}", text_member(resource, "uri"), text_member(resource, "text"));
    }
    return {};
}

}  // namespace

std::string content_text(const OrderedJson &result) {
    std::string text;
    const auto content = result.find("content");
    if (content != result.end() && content->is_array()) {
        for (const OrderedJson &block : *content) {
            const std::string one = block.is_object() ? block_text(block) : std::string();
            if (!one.empty()) text += (text.empty() ? "" : "\n") + one;
        }
    }
    const auto structured = result.find("structuredContent");
    if (text.empty() && structured != result.end() && !structured->is_null()) {
        text = structured->dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    }
    return text;
}

std::vector<Tool> tools_of(const OrderedJson &result) {
    std::vector<Tool> tools;
    const auto list = result.find("tools");
    if (list == result.end() || !list->is_array()) return tools;
    for (const OrderedJson &json : *list) {
        if (!json.is_object()) continue;
        Tool tool{.name = text_member(json, "name"), .description = text_member(json, "description")};
        const auto schema = json.find("inputSchema");
        if (tool.name.empty() || schema == json.end() || !schema->is_object()) continue;
        if (tool.description.empty()) tool.description = text_member(json, "title");
        tool.input_schema = schema->dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
        if (tool.name.size() + tool.description.size() + tool.input_schema.size() > kMaxToolBytes) continue;
        std::vector<std::string> path;
        find_headers(*schema, path, tool);
        tools.push_back(std::move(tool));
    }
    return tools;
}

bool Client::stateless() const { return version_ == kStateless; }

Result<RpcResult<OrderedJson>> Client::ask(const std::string &method, OrderedJson params, Asking asking) {
    if (stateless()) {
        OrderedJson &meta = params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = kStateless;
        meta["io.modelcontextprotocol/clientInfo"] = client_info();
        meta["io.modelcontextprotocol/clientCapabilities"] = OrderedJson::object();
        asking.headers.emplace_back("Mcp-Method", method);
        if (const std::string name = text_member(params, "name"); !name.empty())
            asking.headers.emplace_back("Mcp-Name", header_value(name));
    }
    return link_->ask(method, std::move(params), asking);
}

// Tries the stateless version first: a server that doesn't know it says so, with an error of its own or with silence.
Result<void> Client::agree(const std::stop_token &stop) {
    version_ = kStateless;
    link_->speak(version_);
    const auto found = ask("server/discover", OrderedJson::object(), {.stop = stop, .timeout = kAgreeTimeout});
    if (found && *found) {
        const OrderedJson &result = **found;
        const auto versions = result.find("supportedVersions");
        if (versions != result.end() && versions->is_array() && std::ranges::contains(*versions, OrderedJson(kStateless))) {
            instructions_ = text_member(result, "instructions");
            return {};
        }
    }
    if (!found && (found.error().code == ErrorCode::cancelled || link_->broken())) return std::unexpected(found.error());
    if (found && !*found && std::ranges::contains(kStatelessErrors, found->error().code)) {
        const OrderedJson &data = found->error().data;
        const bool older = data.is_object() && data.contains("supported") && data["supported"].is_array() &&
                           std::ranges::any_of(kVersions, [&](std::string_view version) {
                               return std::ranges::contains(data["supported"], OrderedJson(version));
                           });
        if (!older) return refused(config_, "server/discover", found->error());
    }
    return initialize(stop);
}

Result<void> Client::initialize(const std::stop_token &stop) {
    version_ = kVersions.front();
    link_->speak({});
    const OrderedJson params{
        {"protocolVersion", version_}, {"capabilities", OrderedJson::object()}, {"clientInfo", client_info()}};
    ENGRAM_ASSIGN(const RpcResult<OrderedJson> answer, ask("initialize", params, {.stop = stop, .timeout = kAgreeTimeout}));
    if (!answer) return refused(config_, "initialize", answer.error());
    version_ = text_member(*answer, "protocolVersion");
    if (!std::ranges::contains(kVersions, version_)) {
        return fail(ErrorCode::incompatible, std::format("the tool server {} speaks MCP {}, which this Engram doesn't",
                                                         config_.name, version_.empty() ? "without a version" : version_));
    }
    instructions_ = text_member(*answer, "instructions");
    link_->speak(version_);
    return link_->tell("notifications/initialized", OrderedJson::object());
}

Result<std::unique_ptr<Client>> Client::connect(const ServerConfig &config, std::unique_ptr<Link> link, std::stop_token stop) {
    std::unique_ptr<Client> client(new Client(config, std::move(link)));
    ENGRAM_TRY(client->agree(stop));
    return client;
}

Result<std::unique_ptr<Client>> Client::connect(const ServerConfig &config, std::stop_token stop) {
    ENGRAM_ASSIGN(std::unique_ptr<Link> link, config.command.empty() ? open_http_link(config) : start_stdio_link(config));
    return connect(config, std::move(link), std::move(stop));
}

Result<std::vector<Tool>> Client::tools(const std::stop_token &stop) {
    std::vector<Tool> tools;
    std::set<std::string> cursors;  // a server that gives one twice would never end
    std::string cursor;
    std::size_t bytes = 0;
    const auto has_room = [&] { return cursors.size() < kMaxPages && tools.size() < kMaxTools && bytes < kMaxToolsBytes; };
    do {
        OrderedJson params = OrderedJson::object();
        if (!cursor.empty()) params["cursor"] = cursor;
        ENGRAM_ASSIGN(const RpcResult<OrderedJson> answer,
                      ask("tools/list", std::move(params), {.stop = stop, .timeout = config_.timeout}));
        if (!answer) {
            if (answer.error().code == kRpcMethodNotFound) return tools;  // it has none
            return refused(config_, "tools/list", answer.error());
        }
        for (Tool &tool : tools_of(*answer)) {
            bytes += tool.name.size() + tool.description.size() + tool.input_schema.size();
            if (tools.size() < kMaxTools && bytes <= kMaxToolsBytes) tools.push_back(std::move(tool));
        }
        cursor = text_member(*answer, "nextCursor");
    } while (!cursor.empty() && cursors.insert(cursor).second && has_room());
    return tools;
}

Result<ToolReply> Client::call(const Tool &tool, OrderedJson arguments, const std::function<void(const Progress &)> &on_progress,
                               const std::stop_token &stop) {
    Asking asking{.stop = stop, .timeout = config_.timeout};
    if (stateless()) {
        for (const auto &[path, header] : tool.headers) {
            const OrderedJson *value = &arguments;
            for (const std::string &name : path) {
                const auto found = value->is_object() ? value->find(name) : value->end();
                if (found == value->end()) {
                    value = nullptr;
                    break;
                }
                value = &*found;
            }
            if (value != nullptr && !value->is_null()) asking.headers.emplace_back("Mcp-Param-" + header, header_value(*value));
        }
    }
    if (on_progress) {
        asking.on_notification = [&](const RpcNotification &told) {
            if (told.method != "notifications/progress") return;
            on_progress({.done = number_member(told.params, "progress"),
                         .total = number_member(told.params, "total"),
                         .message = text_member(told.params, "message")});
        };
    }
    ENGRAM_ASSIGN(const RpcResult<OrderedJson> answer,
                  ask("tools/call", {{"name", tool.name}, {"arguments", std::move(arguments)}}, std::move(asking)));
    if (!answer) return ToolReply{.text = answer.error().message, .failed = true};
    if (text_member(*answer, "resultType") == "input_required") {
        return ToolReply{.text = "This tool asks a person for something, and nobody can be asked here.", .failed = true};
    }
    const auto is_error = answer->find("isError");
    return ToolReply{.text = content_text(*answer),
                     .failed = is_error != answer->end() && is_error->is_boolean() && is_error->get<bool>()};
}

}  // namespace engram::mcp
