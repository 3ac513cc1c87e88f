// Tool servers as real processes and over real HTTP.
#include "mcp/client.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <format>
#include <fstream>
#include <thread>

#include "http/testing/test_server.h"
#include "mcp/tool_limits.h"

namespace engram::mcp {
namespace {

ServerConfig python(std::vector<std::string> odd = {}) {
    ServerConfig config{.name = "play", .command = "python3", .args = {"-B", ENGRAM_MCP_TEST_SERVER}};
    config.args.insert(config.args.end(), odd.begin(), odd.end());
    return config;
}

std::unique_ptr<Client> connected(const ServerConfig &config) {
    auto client = Client::connect(config, std::stop_token());
    if (!client) {
        ADD_FAILURE() << client.error().message;
        return nullptr;
    }
    return std::move(*client);
}

ToolReply called(Client &client, const std::string &name, OrderedJson arguments = OrderedJson::object()) {
    const auto reply = client.call({.name = name}, std::move(arguments), {}, {});
    if (!reply) ADD_FAILURE() << reply.error().message;
    return reply.value_or(ToolReply{});
}

TEST(McpClient, SpeaksTheNewestVersion) {
    const auto client = connected(python({"junk"}));
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(client->version(), "2026-07-28");
    EXPECT_EQ(client->instructions(), "new");
    const auto tools = client->tools({});
    ASSERT_TRUE(tools) << tools.error().message;
    ASSERT_EQ(tools->size(), 6U) << "all pages";
    EXPECT_EQ(tools->front().name, "echo");
    EXPECT_EQ(tools->front().input_schema, R"({"type":"object","properties":{"text":{"type":"string"}}})");
    EXPECT_EQ(called(*client, "echo", {{"text", "näh\n"}}).text, "näh\n");
}

TEST(McpClient, SpeaksOlderVersions) {
    const auto client = connected(python({"old"}));
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(client->version(), "2025-06-18");
    EXPECT_EQ(client->instructions(), "old");
    EXPECT_EQ(called(*client, "echo", {{"text", "hello"}}).text, "hello");
}

TEST(McpClient, TroubleIsAReply) {
    const auto client = connected(python());
    ASSERT_NE(client, nullptr);
    const ToolReply failed = called(*client, "fail");
    EXPECT_TRUE(failed.failed);
    EXPECT_EQ(failed.text, "it went wrong");
    const ToolReply unknown = called(*client, "no_such_tool");
    EXPECT_TRUE(unknown.failed);
    EXPECT_TRUE(unknown.text.starts_with("Unknown tool")) << unknown.text;
}

TEST(McpClient, TellsProgress) {
    const auto client = connected(python());
    ASSERT_NE(client, nullptr);
    std::vector<double> done;
    const auto reply =
        client->call({.name = "count"}, OrderedJson::object(), [&](const Progress &p) { done.push_back(p.done / p.total); }, {});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(done, (std::vector<double>{1.0 / 3, 2.0 / 3, 1}));
}

// Who is slow to hear of it hears the newest, and the answer in any case.
TEST(McpClient, AFloodOfProgressIsBounded) {
    const auto client = connected(python());
    ASSERT_NE(client, nullptr);
    std::vector<double> done;
    const auto hear = [&](const Progress &progress) {
        // The server answers one thing after the other: then all of the flood is here.
        const bool is_first = done.empty();
        done.push_back(progress.done);
        if (is_first) called(*client, "echo", {{"text", "now"}});
    };
    const auto reply = client->call({.name = "flood"}, OrderedJson::object(), hear, {});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->text, "it is over");
    ASSERT_FALSE(done.empty());
    EXPECT_LE(done.size(), 1U + 64U);
    EXPECT_EQ(done.back(), 1000) << "the newest that isn't too large";
}

// The tool makes the server misbehave, which ends the connection.
void expect_given_up(const std::string &tool, const std::string &why) {
    const auto client = connected(python());
    ASSERT_NE(client, nullptr);
    const auto reply = client->call({.name = tool}, OrderedJson::object(), {}, {});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().message, "the tool server play doesn't answer: " + why);
    EXPECT_TRUE(client->broken());
}

TEST(McpClient, ALineThatIsTooLongEndsIt) { expect_given_up("long", "it sent a line of more than 16 MiB"); }

// One that asks and asks, and reads nothing of what it is answered.
TEST(McpClient, AServerThatDoesNotReadIsGivenUp) { expect_given_up("ask", "it doesn't read what it is answered"); }

TEST(McpClient, AStoppedCallIsCancelledThere) {
    const auto client = connected(python());
    ASSERT_NE(client, nullptr);
    std::stop_source stop;
    std::jthread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        stop.request_stop();
    });
    const auto reply = client->call({.name = "sleep"}, OrderedJson::object(), {}, stop.get_token());
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::cancelled);
    const OrderedJson told = OrderedJson::parse(called(*client, "where").text);
    EXPECT_EQ(told[3].size(), 1U) << "the server heard of it, and serves others";
}

TEST(McpClient, ACallHasATimeLimit) {
    ServerConfig config = python();
    config.timeout = std::chrono::milliseconds(100);
    const auto client = connected(config);
    ASSERT_NE(client, nullptr);
    const auto reply = client->call({.name = "sleep"}, OrderedJson::object(), {}, {});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().message, "the tool server play didn't answer within 100 ms");
}

TEST(McpClient, AServerGetsItsEnvironmentAndNotOurs) {
    ::setenv("SECRET", "ours", 1);  // NOLINT(concurrency-mt-unsafe): before there are threads
    ServerConfig config = python();
    config.env = {{"TOKEN", "its own"}};
    config.cwd = std::filesystem::temp_directory_path().string();
    const auto client = connected(config);
    ASSERT_NE(client, nullptr);
    const OrderedJson told = OrderedJson::parse(called(*client, "where").text);
    EXPECT_EQ(std::filesystem::path(told[0].get<std::string>()), std::filesystem::canonical(config.cwd));
    EXPECT_EQ(told[1], "its own");
    EXPECT_TRUE(told[2].is_null());
}

TEST(McpClient, WhoseServerDiesIsTold) {
    const auto client = connected(python());
    ASSERT_NE(client, nullptr);
    const auto reply = client->call({.name = "die"}, OrderedJson::object(), {}, {});
    ASSERT_FALSE(reply);
    EXPECT_TRUE(reply.error().message.starts_with("the tool server play doesn't answer: it ")) << reply.error().message;
    EXPECT_TRUE(client->broken());
    EXPECT_FALSE(client->call({.name = "echo"}, OrderedJson::object(), {}, {}));
}

// It is told to end when the thread that forked it ends, and whoever needs a server first may be a thread of one call.
TEST(McpClient, AServerOutlivesTheThreadThatAskedForIt) {
    std::unique_ptr<Client> client;
    std::jthread([&] { client = connected(python()); }).join();
    ASSERT_NE(client, nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // a signal would have come
    EXPECT_EQ(called(*client, "echo", {{"text", "still here"}}).text, "still here") << "by the same process: a client starts one";
    EXPECT_FALSE(client->broken());
}

TEST(McpClient, WhatCannotBeStartedIsAnError) {
    const auto missing = Client::connect({.name = "x", .command = "engram-no-such-program"}, std::stop_token());
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message,
              "x: there is no program engram-no-such-program in PATH; install it, or give its whole path");
    const auto ends = Client::connect({.name = "x", .command = "false"}, std::stop_token());
    ASSERT_FALSE(ends);
    EXPECT_TRUE(ends.error().message.starts_with("the tool server x doesn't answer: ")) << ends.error().message;
}

// Neither the program nor what it started stays when the client goes, also when it takes no hint.
TEST(McpClient, NothingStaysBehind) {
    const std::filesystem::path file = std::filesystem::temp_directory_path() / std::format("engram-mcp-{}", ::getpid());
    ServerConfig config{.name = "x", .command = "sh"};
    config.args = {
        "-c", std::format("trap '' TERM; sleep 600 & echo $! > {}; exec python3 -B {}", file.string(), ENGRAM_MCP_TEST_SERVER)};
    connected(config).reset();
    std::ifstream stream(file);
    pid_t child = 0;
    stream >> child;
    ASSERT_GT(child, 0);
    const auto is_there = [&] { return ::kill(child, 0) == 0; };
    for (int i = 0; i < 500 && is_there(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(is_there());
    std::filesystem::remove(file);
}

// --- over HTTP ---

using namespace engram::http;

// A server of the old kind: a session, and answers as streams of which the first ends before its time. With the tool `cut` its
// connections break: within the first stream, and within an event of the second; with `lost` they all do.
class OldServer {
  public:
    Result<void> post(const HttpRequest &request, HttpResponder &responder) {
        const OrderedJson asked = OrderedJson::parse(request.body, nullptr, false);
        const std::string method = asked.value("method", "");
        if (method == "initialize") {
            responder.send(
                {.headers = {{"Content-Type", "application/json"}, {"Mcp-Session-Id", "s1"}},
                 .body = answer(asked, {{"protocolVersion", "2025-11-25"}, {"capabilities", OrderedJson::object()}}).dump()});
            return {};
        }
        if (request.header("Mcp-Session-Id") != "s1") {
            responder.send({.status = 400, .body = "Bad Request: no session"});
            return {};
        }
        EXPECT_EQ(request.header("MCP-Protocol-Version"), "2025-11-25");
        if (!asked.contains("id")) {
            if (method == "notifications/cancelled") cancelled = asked["params"]["requestId"].get<std::int64_t>();
            responder.send({.status = 202});
            return {};
        }
        tool_ = asked["params"].value("name", "");
        if (tool_ == "sleep") {
            begun = asked["id"].get<std::int64_t>();
            static_cast<void>(eventually([&] { return request.stop.stop_requested(); }));
            return {};
        }
        waits_ = answer(asked, {{"content", {{{"type", "text"}, {"text", "late"}}}}});
        responder.start(200, {{"Content-Type", "text/event-stream"}});
        responder.write("id: 1\nretry: 200\ndata:\n\n");
        if (tool_ == "any") responder.end();
        return {};
    }
    Result<void> get(const HttpRequest &request, HttpResponder &responder) {
        EXPECT_EQ(request.header("Last-Event-ID"), "1");
        responder.start(200, {{"Content-Type", "text/event-stream"}});
        if (++gets == 1 ? tool_ != "any" : tool_ == "lost") {
            responder.write("id: 2\ndata: {");
            return {};  // within a stream: the connection is closed
        }
        responder.write(R"(data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"})"
                        "\n\n");
        responder.write(std::format("id: 2\nevent: message\ndata: {}\n\n", waits_.dump()));
        responder.end();
        return {};
    }
    Result<void> remove(const HttpRequest &request, HttpResponder &responder) {
        ended = request.header("Mcp-Session-Id");
        responder.send({.status = 204});
        return {};
    }
    std::unique_ptr<HttpServer> start() {
        const auto to = [this](auto method) {
            return [this, method](const HttpRequest &request, HttpResponder &responder) {
                return (this->*method)(request, responder);
            };
        };
        return start_server({make_route("POST", "/mcp", to(&OldServer::post)), make_route("GET", "/mcp", to(&OldServer::get)),
                             make_route("DELETE", "/mcp", to(&OldServer::remove))});
    }

    std::string ended;
    std::atomic<int> gets = 0;
    std::atomic<std::int64_t> begun = 0, cancelled = 0;  // ids of calls

  private:
    static OrderedJson answer(const OrderedJson &asked, OrderedJson result) {
        return {{"jsonrpc", "2.0"}, {"id", asked["id"]}, {"result", std::move(result)}};
    }
    OrderedJson waits_;
    std::string tool_;
};

TEST(McpClientOverHttp, TakesUpAnAnswerThatBrokeOff) {
    OldServer server;
    const auto http = server.start();
    auto client = connected({.name = "old", .url = std::format("http://127.0.0.1:{}/mcp", http->port())});
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(client->version(), "2025-11-25");
    EXPECT_EQ(called(*client, "any").text, "late");
    EXPECT_TRUE(client->tools_have_changed());
    EXPECT_FALSE(client->tools_have_changed());
    client.reset();
    EXPECT_EQ(server.ended, "s1");
}

TEST(McpClientOverHttp, TakesUpAnAnswerWhoseConnectionBroke) {
    OldServer server;
    const auto http = server.start();
    const auto client = connected({.name = "old", .url = std::format("http://127.0.0.1:{}/mcp", http->port())});
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(called(*client, "cut").text, "late");
    EXPECT_EQ(server.gets.load(), 2);
    server.gets = 0;
    EXPECT_FALSE(client->call({.name = "lost"}, OrderedJson::object(), {}, {})) << "not for ever";
    EXPECT_EQ(server.gets.load(), 3);
}

// To a server of the old kind a connection that ends has broken, and its work goes on: it has to be told.
TEST(McpClientOverHttp, AStoppedCallIsCancelledThere) {
    OldServer server;
    const auto http = server.start();
    const auto client = connected({.name = "old", .url = std::format("http://127.0.0.1:{}/mcp", http->port())});
    ASSERT_NE(client, nullptr);
    std::stop_source stop;
    const std::jthread later([&] {
        EXPECT_TRUE(eventually([&] { return server.begun != 0; }));
        stop.request_stop();
    });
    const auto reply = client->call({.name = "sleep"}, OrderedJson::object(), {}, stop.get_token());
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ErrorCode::cancelled);
    EXPECT_EQ(server.cancelled.load(), server.begun.load());
}

TEST(McpClientOverHttp, ACallThatTakesTooLongIsCancelledThere) {
    OldServer server;
    const auto http = server.start();
    const auto client = connected(
        {.name = "old", .url = std::format("http://127.0.0.1:{}/mcp", http->port()), .timeout = std::chrono::milliseconds(1000)});
    ASSERT_NE(client, nullptr);
    EXPECT_FALSE(client->call({.name = "sleep"}, OrderedJson::object(), {}, {}));
    EXPECT_NE(server.begun.load(), 0);
    EXPECT_EQ(server.cancelled.load(), server.begun.load());
}

// A stateless server wants to know from the headers what is asked.
TEST(McpClientOverHttp, SaysInHeadersWhatItAsks) {
    std::vector<std::string> heard;
    const auto post = [&](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
        const OrderedJson asked = OrderedJson::parse(request.body, nullptr, false);
        heard.push_back(std::format("{} {} {} {}", request.header("MCP-Protocol-Version"), request.header("Mcp-Method"),
                                    request.header("Mcp-Name"), request.header("Mcp-Param-Region")));
        EXPECT_EQ(asked["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        OrderedJson result{{"resultType", "complete"}};
        if (asked["method"] == "server/discover") result["supportedVersions"] = {"2026-07-28"};
        if (asked["method"] == "tools/list") {
            result["tools"] = OrderedJson::parse(
                R"([{"name":"böse","inputSchema":{"type":"object","properties":{"at":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}}}])");
        }
        if (asked["method"] == "tools/call") result["structuredContent"] = {{"ok", true}};
        responder.send({.headers = {{"Content-Type", "application/json"}},
                        .body = OrderedJson{{"jsonrpc", "2.0"}, {"id", asked["id"]}, {"result", result}}.dump()});
        return {};
    };
    const auto http = start_server({make_route("POST", "/mcp", post)});
    const auto client = connected({.name = "new", .url = std::format("http://127.0.0.1:{}/mcp", http->port())});
    ASSERT_NE(client, nullptr);
    const auto tools = client->tools({});
    ASSERT_TRUE(tools && tools->size() == 1);
    const auto reply = client->call(tools->front(), {{"at", {{"region", "us west"}}}}, {}, {});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->text, R"({"ok":true})");
    EXPECT_EQ(heard, (std::vector<std::string>{"2026-07-28 server/discover  ", "2026-07-28 tools/list  ",
                                               "2026-07-28 tools/call =?base64?YsO2c2U=?= us west"}));
}

// A server with pages of tools without end.
TEST(McpClientOverHttp, AServersToolsAreBounded) {
    std::size_t in_page = 1000, bytes_each = 0;
    int pages = 0;
    const auto post = [&](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
        const OrderedJson asked = OrderedJson::parse(request.body, nullptr, false);
        OrderedJson result{{"resultType", "complete"}};
        if (asked["method"] == "server/discover") result["supportedVersions"] = {"2026-07-28"};
        if (asked["method"] == "tools/list") {
            ++pages;
            result["tools"] = OrderedJson::array();
            for (std::size_t i = 0; i < in_page; ++i)
                result["tools"].push_back({{"name", std::format("t{}", i)},
                                           {"description", std::string(bytes_each, 'd')},
                                           {"inputSchema", {{"type", "object"}}}});
            result["nextCursor"] = std::to_string(pages);
        }
        responder.send({.headers = {{"Content-Type", "application/json"}},
                        .body = OrderedJson{{"jsonrpc", "2.0"}, {"id", asked["id"]}, {"result", result}}.dump()});
        return {};
    };
    const auto http = start_server({make_route("POST", "/mcp", post)});
    const auto client = connected({.name = "new", .url = std::format("http://127.0.0.1:{}/mcp", http->port())});
    ASSERT_NE(client, nullptr);
    const auto many = client->tools({});
    ASSERT_TRUE(many) << many.error().message;
    EXPECT_EQ(many->size(), kMaxTools);
    EXPECT_EQ(pages, 5) << "no more is asked for";
    in_page = 40;
    bytes_each = kMaxToolBytes - 1024;
    pages = 0;
    const auto large = client->tools({});
    ASSERT_TRUE(large) << large.error().message;
    std::size_t bytes = 0;
    for (const Tool &tool : *large) bytes += tool.name.size() + tool.description.size() + tool.input_schema.size();
    EXPECT_LE(bytes, kMaxToolsBytes);
    EXPECT_GT(bytes, kMaxToolsBytes - kMaxToolBytes);
    EXPECT_EQ(pages, 2);
}

TEST(McpClientOverHttp, SaysWhatIsWrong) {
    int status = 401;
    const auto post = [&](const HttpRequest &, HttpResponder &responder) -> Result<void> {
        responder.send({.status = status, .headers = {{"Content-Type", "text/plain"}}, .body = "no\nmore"});
        return {};
    };
    const auto http = start_server({make_route("POST", "/mcp", post)});
    const std::string url = std::format("http://127.0.0.1:{}/mcp", http->port());
    const auto complaint = [&] { return Client::connect({.name = "x", .url = url}, std::stop_token()).error().message; };
    EXPECT_TRUE(complaint().contains("refuses with status 401: give it what it wants in \"headers\"")) << complaint();
    status = 500;
    EXPECT_EQ(complaint(), std::format("the tool server x at {} answered with status 500: no", url));
    EXPECT_EQ(Client::connect({.name = "x", .url = "mailto:me"}, std::stop_token()).error().code, ErrorCode::invalid_argument);
}

TEST(McpContent, IsText) {
    const OrderedJson result = OrderedJson::parse(R"({"content":[{"type":"text","text":"a"},
        {"type":"image","data":"AA==","mimeType":"image/png"},{"type":"resource","resource":{"uri":"file:///x","text":"y"}},
        {"type":"resource","resource":{"uri":"file:///z","blob":"AA=="}},{"type":"resource_link","uri":"u","name":"n"},{"type":"new"},3]})");
    EXPECT_EQ(content_text(result),
              "a\n[an image was here (image/png); this model reads text only]\nfile:///x:\ny\n"
              "[a file was here; this model reads text only]\n[n: u]");
    EXPECT_EQ(content_text(OrderedJson::parse(R"({"content":"x"})")), "");
    EXPECT_EQ(content_text(OrderedJson(3)), "");
    EXPECT_TRUE(
        tools_of(OrderedJson::parse(R"({"tools":[1,{"name":"a"},{"inputSchema":{}},{"name":3,"inputSchema":{}}]})")).empty());
}

TEST(McpContent, ToolsAreWithinLimits) {
    OrderedJson schema{{"type", "object"}};
    for (int i = 0; i < 30; ++i) {
        const std::string name(300, 'n');
        schema = {{"properties", {{name, schema}, {"x", {{"x-mcp-header", "X"}}}}}};
    }
    OrderedJson wide{{"properties", OrderedJson::object()}};
    for (int i = 0; i < 200; ++i) wide["properties"][std::format("p{}", i)] = {{"x-mcp-header", "P"}};
    const OrderedJson huge{{"description", std::string(kMaxToolBytes, 'd')}};
    const std::vector<Tool> tools = tools_of({{"tools",
                                               {{{"name", "deep"}, {"inputSchema", schema}},
                                                {{"name", "wide"}, {"inputSchema", wide}},
                                                {{"name", "huge"}, {"inputSchema", huge}}}}});
    ASSERT_EQ(tools.size(), 2U) << "what is too large is left out";
    EXPECT_EQ(tools[0].headers.size(), 4U) << "a path of names has a limit";
    EXPECT_EQ(tools[1].headers.size(), kMaxToolHeaders);
}

}  // namespace
}  // namespace engram::mcp
