// The server's /mcp as clients of both eras of the protocol see it: agents, sessions, headers, streams, cancellation.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <format>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agents/testing_manager.h"
#include "chat/bounded_json.h"
#include "http/testing/client.h"
#include "ports/clock.h"
#include "protocol/mcp/wire.h"
#include "server/mcp_sessions.h"
#include "server/server.h"
#include "tenants/tenants.h"

namespace engram {
namespace {

using namespace std::chrono_literals;
namespace mcp = protocol::mcp;

class McpTest : public ::testing::Test {
  protected:
    void SetUp() override { start({}); }

    void start(RunAgent run) {
        server_.reset();
        ServeOptions options;
        options.manager = testing::tiny_manager(home_.path());
        options.port = 0;
        options.run = std::move(run);
        options.sampling.temperature = 0;
        auto server = Server::start(std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
        http_ = std::make_unique<http::TestClient>(server_->port());
    }

    struct Answer {
        int status = 0;
        std::string type, session;
        std::vector<OrderedJson> messages;  // the last one is the response
        const OrderedJson &json() const {
            static const OrderedJson kNone;
            return messages.empty() ? kNone : messages.back();
        }
        OrderedJson result() const { return json().value("result", OrderedJson()); }
        std::int64_t error() const { return json().contains("error") ? json()["error"]["code"].get<std::int64_t>() : 0; }
    };
    static std::vector<OrderedJson> messages_of(const http::Reply &reply) {
        std::vector<OrderedJson> messages;
        if (!reply.header("content-type").starts_with("text/event-stream")) {
            if (!reply.body.empty()) messages.push_back(OrderedJson::parse(reply.body, nullptr, false));
            return messages;
        }
        constexpr std::string_view kData = "data: ";
        for (std::size_t at = reply.body.find(kData); at != std::string::npos; at = reply.body.find(kData, at)) {
            const std::size_t end = reply.body.find('\n', at);
            messages.push_back(OrderedJson::parse(reply.body.substr(at + kData.size(), end - at - kData.size()), nullptr, false));
            at = end;
        }
        return messages;
    }
    Answer post(const std::string &body, const std::string &headers) {
        const auto reply = http_->ask("POST", "/mcp", body, headers + key_);
        EXPECT_TRUE(reply.has_value());
        if (!reply) return {};
        return {.status = reply->status,
                .type = reply->header("content-type"),
                .session = reply->header("mcp-session-id"),
                .messages = messages_of(*reply)};
    }

    // The new era.
    static OrderedJson request(const std::string &method, OrderedJson params = OrderedJson::object()) {
        params["_meta"][std::string(mcp::kMetaVersion)] = mcp::kStatelessVersion;
        params["_meta"][std::string(mcp::kMetaCapabilities)] = OrderedJson::object();
        return {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", std::move(params)}};
    }
    Answer ask(const std::string &method, OrderedJson params = OrderedJson::object()) {
        const std::string name = params.value("name", params.value("uri", ""));
        const std::string headers =
            std::format("mcp-protocol-version: {}\r\nmcp-method: {}\r\nmcp-name: {}\r\n", mcp::kStatelessVersion, method, name);
        return post(request(method, std::move(params)).dump(), headers);
    }
    OrderedJson tool(const std::string &name, const OrderedJson &arguments) {
        const Answer answer = ask("tools/call", {{"name", name}, {"arguments", arguments}});
        EXPECT_EQ(answer.status, 200) << answer.json();
        return answer.result();
    }
    void make(const std::string &id, const OrderedJson &card = OrderedJson::object()) {
        const OrderedJson made =
            tool("create_agent",
                 {{"id", id}, {"system_prompt", "You are " + id + "."}, {"description", "Does " + id}, {"card", card}});
        ASSERT_FALSE(made.contains("isError")) << made;
    }

    // The older era.
    Answer in_session(const std::string &method, OrderedJson params = OrderedJson::object()) {
        const OrderedJson body{{"jsonrpc", "2.0"}, {"id", ++id_}, {"method", method}, {"params", std::move(params)}};
        return post(body.dump(), session_headers());
    }
    std::string session_headers() const {
        return session_.empty() ? "" : std::format("mcp-session-id: {}\r\nmcp-protocol-version: 2025-11-25\r\n", session_);
    }
    void begin_session(const std::string &version = "2025-11-25") {
        session_.clear();
        const Answer begun = in_session("initialize", {{"protocolVersion", version},
                                                       {"capabilities", OrderedJson::object()},
                                                       {"clientInfo", {{"name", "test"}, {"version", "1"}}}});
        ASSERT_EQ(begun.status, 200) << begun.json();
        session_ = begun.session;
        ASSERT_GE(session_.size(), 32U);
        begun_ = begun.result();
    }

    testing::TemporaryFolder home_;
    std::unique_ptr<Server> server_;
    std::unique_ptr<http::TestClient> http_;
    std::string key_, session_;
    OrderedJson begun_;
    int id_ = 100;
};

std::string text_of(const OrderedJson &result) {
    return result.contains("content") ? result["content"][0]["text"].get<std::string>() : result.dump();
}

TEST_F(McpTest, TellsWhatItIs) {
    const OrderedJson found = ask("server/discover").result();
    EXPECT_EQ(found["supportedVersions"].dump(), R"(["2026-07-28","2025-11-25","2025-06-18"])");
    EXPECT_EQ(found["resultType"], "complete");
    EXPECT_EQ(found["_meta"][std::string(mcp::kMetaServer)]["name"], "engram");
    EXPECT_TRUE(found["capabilities"].contains("tools"));
    const OrderedJson tools = ask("tools/list").result();
    ASSERT_EQ(tools["tools"].size(), 6U);
    EXPECT_EQ(tools["cacheScope"], "public");
    for (const OrderedJson &one : tools["tools"]) {
        EXPECT_EQ(one["inputSchema"]["type"], "object") << one;
        EXPECT_EQ(one["outputSchema"]["type"], "object") << one;
        EXPECT_TRUE(one["inputSchema"]["required"].is_array()) << one;
        EXPECT_TRUE(one["annotations"].contains("readOnlyHint")) << one;
    }
}

TEST_F(McpTest, AgentsAreMadeFoundAskedAndForked) {
    make("ada", {{"skills", {{{"id", "logs"}, {"description", "Reads logs"}, {"tags", {"unix"}}}}}, {"labels", {"team=a"}}});
    make("bob");
    EXPECT_EQ(tool("list_agents", OrderedJson::object())["structuredContent"]["agents"].size(), 2U);
    const OrderedJson found = tool("find_agents", {{"skill", "unix"}})["structuredContent"]["agents"];
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0]["id"], "ada");
    EXPECT_EQ(found[0]["skills"][0]["id"], "logs");
    const OrderedJson answer = tool("ask_agent", {{"agent", "ada"}, {"message", "What happened?"}, {"max_tokens", 5}});
    ASSERT_FALSE(answer.contains("isError")) << answer;
    const OrderedJson &told = answer["structuredContent"];
    EXPECT_EQ(told["agent"], "ada");
    EXPECT_GT(told["prompt_tokens"], 0);
    EXPECT_GT(told["answer_tokens"], 0);
    EXPECT_EQ(told["steps"].size(), 1U);
    EXPECT_TRUE(text_of(answer).starts_with(told["text"].get<std::string>()));
    const OrderedJson again = tool("ask_agent", {{"agent", "ada"}, {"message", "And then?"}, {"max_tokens", 5}});
    EXPECT_GT(again["structuredContent"]["cached_tokens"], told["prompt_tokens"].get<int>() - 1);
    EXPECT_EQ(tool("fork_agent", {{"agent", "ada"}, {"new_id", "eve"}})["structuredContent"]["turns"], 2);
    EXPECT_EQ(tool("list_agents", OrderedJson::object())["structuredContent"]["agents"].size(), 3U);
}

TEST_F(McpTest, WhatIsWrongWithACallTheModelReads) {
    make("ada");
    const std::vector<std::pair<std::string, OrderedJson>> calls = {
        {"ask_agent", {{"agent", "nobody"}, {"message", "Hello"}}},
        {"ask_agent", {{"agent", "ada"}}},
        {"ask_agent", {{"agent", "ada"}, {"message", ""}}},
        {"ask_agent", {{"agent", "ada"}, {"message", "x"}, {"max_tokens", 0}}},
        {"ask_agent", {{"agent", "ada"}, {"message", "x"}, {"model", "y"}}},
        {"ask_agent", {{"agent", "ada"}, {"approvals", {{"call_1", true}}}}},
        {"create_agent", {{"id", "ada"}}},
        {"create_agent", {{"id", "../ada"}}},
        {"create_agent", {{"id", "x"}, {"card", {{"labels", 3}}}}},
        {"fork_agent", {{"agent", "nobody"}, {"new_id", "x"}}},
        {"delegate", {{"from", "ada"}, {"to", "ada"}, {"task", "x"}}},
        {"delegate", {{"from", "ada"}, {"to", "ada"}}},
        {"find_agents", {{"text", 3}}},
    };
    for (const auto &[name, arguments] : calls) {
        const OrderedJson result = tool(name, arguments);
        EXPECT_TRUE(result.value("isError", false)) << name << " " << arguments << " " << result;
        EXPECT_FALSE(text_of(result).empty());
        const std::string text = text_of(result);
        const int expected = text.contains("there is no agent") ? 404 : text.contains("there is already") ? 409 : 400;
        EXPECT_EQ(result["_meta"].value("engram/status", 0), expected) << name << " " << arguments << " " << result;
    }
    EXPECT_EQ(ask("tools/call", {{"name", "tell_agent"}}).error(), protocol::kRpcInvalidParams);
    EXPECT_EQ(ask("tools/call", {{"name", "ask_agent"}, {"arguments", 3}}).error(), protocol::kRpcInvalidParams);
    EXPECT_EQ(tool("list_agents", OrderedJson::object())["structuredContent"]["agents"].size(), 1U);
}

TEST_F(McpTest, WhoDelegatesRemembersIt) {
    make("boss", {{"colleagues", {"clerk"}}});
    make("clerk");
    make("stranger");
    const OrderedJson refused = tool("delegate", {{"from", "boss"}, {"to", "stranger"}, {"task", "Count."}});
    EXPECT_TRUE(refused.value("isError", false)) << refused;
    const OrderedJson done =
        tool("delegate", {{"from", "boss"}, {"to", "clerk"}, {"task", "Count the ships."}, {"max_tokens", 4}});
    ASSERT_FALSE(done.contains("isError")) << done;
    EXPECT_EQ(done["structuredContent"]["agent"], "clerk");
    const OrderedJson steps = done["structuredContent"]["steps"];
    ASSERT_EQ(steps.size(), 1U) << steps;
    EXPECT_EQ(steps[0]["kind"], "delegation");
    EXPECT_EQ(steps[0]["to"], "clerk");
    ASSERT_TRUE(steps[0].contains("steps")) << steps;
    EXPECT_EQ(steps[0]["steps"][0]["agent"], "clerk") << "what the colleague did";
    const std::string boss = ask("resources/read", {{"uri", "engram://agents/boss/transcript"}}).result().dump();
    EXPECT_NE(boss.find("Count the ships."), std::string::npos) << boss;
    EXPECT_NE(boss.find("I asked clerk."), std::string::npos) << boss;
    const std::string clerk = ask("resources/read", {{"uri", "engram://agents/clerk/transcript"}}).result().dump();
    EXPECT_NE(clerk.find("Count the ships."), std::string::npos) << clerk;
}

TEST_F(McpTest, TranscriptsAreResourcesAndRolesArePrompts) {
    make("ada");
    tool("ask_agent", {{"agent", "ada"}, {"message", "What happened?"}, {"max_tokens", 4}});
    const OrderedJson list = ask("resources/list").result();
    ASSERT_EQ(list["resources"].size(), 1U);
    EXPECT_EQ(list["cacheScope"], "private");
    const std::string uri = list["resources"][0]["uri"];
    const OrderedJson text = ask("resources/read", {{"uri", uri}}).result()["contents"][0];
    EXPECT_EQ(text["uri"], uri);
    EXPECT_TRUE(text["text"].get<std::string>().starts_with("system: You are ada.\n\nuser: What happened?\n\nassistant: "))
        << text;
    const OrderedJson json = ask("resources/read", {{"uri", uri + ".json"}}).result()["contents"][0];
    EXPECT_EQ(json["mimeType"], "application/json");
    EXPECT_EQ(OrderedJson::parse(json["text"].get<std::string>())["messages"].size(), 2U);
    for (const char *missing : {"engram://agents/bob/transcript", "engram://agents//transcript", "file:///etc/passwd", "ada"}) {
        const Answer answer = ask("resources/read", {{"uri", missing}});
        EXPECT_EQ(answer.error(), protocol::kRpcInvalidParams) << missing;
        EXPECT_EQ(answer.json()["error"]["data"]["uri"], missing);
    }
    EXPECT_EQ(ask("resources/templates/list").result()["resourceTemplates"].size(), 2U);

    const OrderedJson prompts = ask("prompts/list").result()["prompts"];
    ASSERT_EQ(prompts.size(), 1U);
    EXPECT_EQ(prompts[0]["arguments"][0]["name"], "task");
    const OrderedJson role = ask("prompts/get", {{"name", "ada"}, {"arguments", {{"task", "Count."}}}}).result();
    ASSERT_EQ(role["messages"].size(), 2U) << role;
    EXPECT_EQ(role["messages"][0]["content"]["text"], "You are ada.");
    EXPECT_EQ(role["messages"][1]["content"]["text"], "Count.");
    EXPECT_EQ(ask("prompts/get", {{"name", "bob"}}).error(), protocol::kRpcInvalidParams);

    const auto completed = [&](const char *type, const char *begun) {
        return ask("completion/complete", {{"ref", {{"type", type}, {"uri", "engram://agents/{id}/transcript"}, {"name", "ada"}}},
                                           {"argument", {{"name", "id"}, {"value", begun}}}});
    };
    EXPECT_EQ(completed("ref/resource", "a").result()["completion"]["values"].dump(), R"(["ada"])");
    EXPECT_EQ(completed("ref/resource", "b").result()["completion"]["total"], 0);
    EXPECT_EQ(completed("ref/other", "a").error(), protocol::kRpcInvalidParams);
}

TEST_F(McpTest, LongListsComeInPages) {
    for (int i = 0; i < 102; ++i) ASSERT_FALSE(tool("create_agent", {{"id", std::format("a{:03}", i)}}).contains("isError"));
    const OrderedJson first = ask("resources/list").result();
    ASSERT_EQ(first["resources"].size(), mcp::kPageSize);
    const OrderedJson second = ask("resources/list", {{"cursor", first["nextCursor"]}}).result();
    ASSERT_EQ(second["resources"].size(), 2U);
    EXPECT_EQ(second["resources"][0]["name"], "a100");
    EXPECT_FALSE(second.contains("nextCursor"));
    EXPECT_EQ(ask("resources/list", {{"cursor", "nonsense"}}).error(), protocol::kRpcInvalidParams);
}

TEST_F(McpTest, ProgressComesAheadOfTheAnswer) {
    make("ada");
    const Answer answer =
        ask("tools/call", {{"name", "ask_agent"},
                           {"arguments", {{"agent", "ada"}, {"message", testing::filler(100)}, {"max_tokens", 8}}},
                           {"_meta", {{"progressToken", "p1"}}}});
    EXPECT_TRUE(answer.type.starts_with("text/event-stream")) << answer.type;
    ASSERT_GE(answer.messages.size(), 3U);  // reading, answering, the response
    double before = 0;
    for (std::size_t i = 0; i + 1 < answer.messages.size(); ++i) {
        const OrderedJson &message = answer.messages[i];
        ASSERT_EQ(message["method"], "notifications/progress") << message;
        EXPECT_EQ(message["params"]["progressToken"], "p1");
        EXPECT_GT(message["params"]["progress"].get<double>(), before);
        before = message["params"]["progress"];
    }
    EXPECT_EQ(answer.json()["id"], 1);
    EXPECT_FALSE(answer.result().contains("isError"));
    EXPECT_TRUE(ask("tools/call", {{"name", "list_agents"}}).type.starts_with("application/json"));
}

TEST_F(McpTest, RequestsOfTheNewEraSayAllByThemselves) {
    const std::string version = std::format("mcp-protocol-version: {}\r\n", mcp::kStatelessVersion);
    const std::string list = "mcp-method: tools/list\r\n";
    const std::string good = request("tools/list").dump();
    const auto refused = [&](const std::string &body, const std::string &headers, std::int64_t code) {
        const Answer answer = post(body, headers);
        EXPECT_EQ(answer.status, 400) << body << headers;
        EXPECT_EQ(answer.error(), code) << answer.json();
        return answer;
    };
    refused(R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}})", version + list, protocol::kRpcInvalidParams);
    refused(good, list, mcp::kHeaderMismatch);
    refused(good, version, mcp::kHeaderMismatch);
    refused(good, version + "mcp-method: tools/call\r\n", mcp::kHeaderMismatch);
    refused(good, "mcp-protocol-version: 2025-11-25\r\n" + list, mcp::kHeaderMismatch);
    OrderedJson other = request("tools/list");
    other["params"]["_meta"][std::string(mcp::kMetaVersion)] = "2099-01-01";
    const Answer unsupported = refused(other.dump(), "mcp-protocol-version: 2099-01-01\r\n" + list, mcp::kUnsupportedVersion);
    EXPECT_EQ(unsupported.json()["error"]["data"]["requested"], "2099-01-01");
    refused("{", version, protocol::kRpcParseError);
    EXPECT_FALSE(refused("[]", version, protocol::kRpcInvalidRequest).json().contains("id"));
    for (const char *method : {"initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such"}) {
        const Answer answer = ask(method);
        EXPECT_EQ(answer.status, 404) << method;
        EXPECT_EQ(answer.error(), protocol::kRpcMethodNotFound) << method;
    }
    EXPECT_EQ(post(R"({"jsonrpc":"2.0","method":"notifications/x"})", version).status, 202);
    EXPECT_EQ(http_->ask("GET", "/mcp")->status, 405);
    EXPECT_EQ(http_->ask("DELETE", "/mcp")->status, 405);
    EXPECT_EQ(http_->ask("POST", "/mcp", good, version + list + "origin: http://example.com\r\n")->status, 403);
}

TEST_F(McpTest, SessionsBeginAndEnd) {
    EXPECT_EQ(in_session("tools/list").status, 400);  // before initialize
    begin_session();
    EXPECT_EQ(begun_["protocolVersion"], "2025-11-25");
    EXPECT_EQ(begun_["serverInfo"]["name"], "engram");
    EXPECT_EQ(post(R"({"jsonrpc":"2.0","method":"notifications/initialized"})", session_headers()).status, 202);
    EXPECT_EQ(in_session("tools/list").result()["tools"].size(), 6U);
    EXPECT_FALSE(in_session("tools/list").result().contains("resultType"));
    EXPECT_EQ(in_session("ping").result(), OrderedJson::object());
    EXPECT_EQ(in_session("logging/setLevel", {{"level", "debug"}}).result(), OrderedJson::object());
    EXPECT_EQ(in_session("logging/setLevel", {{"level", "loud"}}).error(), protocol::kRpcInvalidParams);
    EXPECT_EQ(in_session("resources/read", {{"uri", "engram://agents/x/transcript"}}).error(), mcp::kResourceNotFound);
    EXPECT_EQ(in_session("resources/subscribe", {{"uri", "x"}}).error(), protocol::kRpcMethodNotFound);  // isn't offered
    EXPECT_EQ(in_session("server/discover").error(), protocol::kRpcMethodNotFound);
    EXPECT_EQ(post("{}", session_headers()).status, 400);
    EXPECT_EQ(http_->ask("DELETE", "/mcp", "", session_headers())->status, 204);
    EXPECT_EQ(in_session("tools/list").status, 404);
    EXPECT_EQ(http_->ask("DELETE", "/mcp", "", session_headers())->status, 404);
    begin_session("2025-06-18");
    EXPECT_EQ(begun_["protocolVersion"], "2025-06-18");
    begin_session("2024-11-05");
    EXPECT_EQ(begun_["protocolVersion"], "2025-11-25");
}

// A colleague's call that a person must allow is told with whose it is, and decided about by its id.
TEST_F(McpTest, AColleaguesCallWaitsForAPerson) {
    std::map<std::string, bool> decided;
    start([&](AgentManager &, const RunRequest &request, const RunSink &, std::stop_token) -> Result<RunResult> {
        decided = request.approvals;
        if (!decided.empty()) return RunResult{.text = request.delegate_to + " is done."};
        RunResult waits{.end = RunEnd::approval};
        waits.pending.push_back({.id = "clerk/call_1", .name = "stamp", .arguments = "{}"});
        return waits;
    });
    make("boss", {{"colleagues", {"clerk"}}});
    const OrderedJson waits = tool("delegate", {{"from", "boss"}, {"to", "clerk"}, {"task", "Stamp it."}});
    EXPECT_EQ(waits["structuredContent"]["end"], "approval");
    EXPECT_EQ(waits["structuredContent"]["pending"][0]["agent"], "clerk");
    EXPECT_TRUE(text_of(waits).contains("clerk/call_1: stamp of clerk {}")) << text_of(waits);
    const OrderedJson done = tool("delegate", {{"from", "boss"}, {"to", "clerk"}, {"approvals", {{"clerk/call_1", false}}}});
    EXPECT_EQ(done["structuredContent"]["text"], "clerk is done.");
    EXPECT_EQ(decided, (std::map<std::string, bool>{{"clerk/call_1", false}}));
}

// A run that goes on until it is stopped.
RunAgent endless(std::atomic<int> &running) {
    return [&running](AgentManager &, const RunRequest &, const RunSink &, std::stop_token stop) -> Result<RunResult> {
        ++running;
        while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
        --running;
        return RunResult{.text = "cut", .end = RunEnd::cancelled};
    };
}

bool becomes(const std::atomic<int> &value, int wanted) {
    for (int tries = 0; tries < 60'000 && value != wanted; ++tries) std::this_thread::sleep_for(1ms);
    return value == wanted;
}

constexpr std::string_view kCancel = R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}})";

TEST_F(McpTest, ACancelledRequestStops) {
    std::atomic<int> running = 0;
    start(endless(running));
    make("ada");
    begin_session();
    http::TestClient other(server_->port());
    const OrderedJson call{{"jsonrpc", "2.0"},
                           {"id", 7},
                           {"method", "tools/call"},
                           {"params", {{"name", "ask_agent"}, {"arguments", {{"agent", "ada"}, {"message", "Go on."}}}}}};
    const std::string body = call.dump();
    other.send(std::format("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}", body.size(),
                           session_headers(), body));
    ASSERT_TRUE(becomes(running, 1));
    EXPECT_EQ(in_session("ping").status, 200);  // meanwhile
    EXPECT_EQ(post(std::string(kCancel), session_headers()).status, 202);
    EXPECT_TRUE(becomes(running, 0));
    const auto reply = other.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 202);
    EXPECT_EQ(reply->body, "");
}

TEST_F(McpTest, AClientThatLeavesCancels) {
    std::atomic<int> running = 0;
    start(endless(running));
    make("ada");
    http::TestClient other(server_->port());
    const std::string body =
        request("tools/call", {{"name", "ask_agent"}, {"arguments", {{"agent", "ada"}, {"message", "Go on."}}}}).dump();
    other.send(
        std::format("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nmcp-protocol-version: {}\r\n"
                    "mcp-method: tools/call\r\nmcp-name: ask_agent\r\n\r\n{}",
                    body.size(), mcp::kStatelessVersion, body));
    ASSERT_TRUE(becomes(running, 1));
    other.leave();
    EXPECT_TRUE(becomes(running, 0));
}

TEST_F(McpTest, TenantsSeeTheirOwn) {
    make("ada");
    TenantStore store = TenantStore::open(tenants_path(home_.path())).value();
    const std::int64_t now = system_clock().wall_ms();
    std::map<std::string, std::string> keys;
    for (const char *tenant : {"red", "blue"}) {
        ASSERT_TRUE(store.set_tenant(tenant, [](Quota &quota) { quota.agents = 1; }, now));
        keys[tenant] = store.create_key({.tenant = tenant, .label = {}, .scopes = Scopes::parse("agents").value()}, now)->text;
    }
    const auto chat_only = store.create_key({.tenant = "red", .label = {}, .scopes = Scopes::parse("chat").value()}, now);
    start({});
    EXPECT_EQ(ask("tools/list").status, 401);
    key_ = std::format("x-api-key: {}\r\n", chat_only->text);
    EXPECT_EQ(ask("tools/list").status, 403);
    key_ = std::format("authorization: Bearer {}\r\n", keys["red"]);
    EXPECT_EQ(tool("list_agents", OrderedJson::object())["structuredContent"]["agents"].size(), 0U);
    EXPECT_EQ(ask("resources/read", {{"uri", "engram://agents/ada/transcript"}}).error(), protocol::kRpcInvalidParams);
    make("mine");
    EXPECT_TRUE(tool("create_agent", {{"id", "more"}}).value("isError", false));  // the quota
    begin_session();
    EXPECT_EQ(in_session("ping").status, 200);
    key_ = std::format("x-api-key: {}\r\n", keys["blue"]);
    EXPECT_EQ(in_session("ping").status, 404);  // another tenant's session
    EXPECT_EQ(tool("list_agents", OrderedJson::object())["structuredContent"]["agents"].size(), 0U);
}

TEST(McpSessionsTest, ATenantHasSoManyAndForSoLong) {
    server::McpSessions sessions;
    const auto begin = std::chrono::steady_clock::time_point() + 1h;
    const std::string other = sessions.add("blue", std::make_shared<server::McpSession>(), begin);
    const std::string first = sessions.add("red", std::make_shared<server::McpSession>(), begin);
    const std::string second = sessions.add("red", std::make_shared<server::McpSession>(), begin);
    EXPECT_NE(first, second);
    EXPECT_NE(sessions.find(first, "red", begin + 1s), nullptr);
    EXPECT_EQ(sessions.find(first, "blue", begin + 1s), nullptr);
    for (std::size_t i = 2; i < server::McpSessions::kMostOfTenant + 1; ++i) {
        sessions.add("red", std::make_shared<server::McpSession>(), begin + 2s);
    }
    EXPECT_EQ(sessions.find(second, "red", begin + 3s), nullptr);  // the one that was left alone for longest
    EXPECT_NE(sessions.find(first, "red", begin + 3s), nullptr);
    EXPECT_NE(sessions.find(other, "blue", begin + 3s), nullptr);
    EXPECT_EQ(sessions.find(first, "red", begin + 3s + server::McpSessions::kLife + 1s), nullptr);
    EXPECT_FALSE(sessions.remove(other, "red"));
    EXPECT_TRUE(sessions.remove(other, "blue"));
}

}  // namespace
}  // namespace engram
