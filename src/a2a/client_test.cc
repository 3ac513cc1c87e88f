// The client against a server that says what the test wants it to: what real servers do is shown in server/a2a_test and with
// two programs in tests/.
#include "a2a/client.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "http/testing/test_server.h"

namespace engram::a2a {
namespace {

using http::HttpRequest;
using http::HttpResponder;
using protocol::a2a::TaskState;

class A2aClientTest : public ::testing::Test {
  protected:
    struct Asked {
        std::string path, method, version, key;
        OrderedJson params;
    };

    // A card that offers one interface at this server.
    std::string card(std::string_view binding, std::string_view version, bool streaming, std::string_view path = "/agent") const {
        return std::format(R"({{"name":"legal","description":"Reads contracts.","capabilities":{{"streaming":{}}},
            "supportedInterfaces":[{{"url":"{}{}","protocolBinding":"{}","protocolVersion":"{}"}}]}})",
                           streaming, server_->address(), path, binding, version);
    }

    Result<void> take(const HttpRequest &request, HttpResponder &responder) {
        Asked asked{.path = request.path,
                    .method = "",
                    .version = std::string(request.header("a2a-version")),
                    .key = std::string(request.header("x-key")),
                    .params = OrderedJson::object()};
        if (!request.body.empty()) {
            OrderedJson body = OrderedJson::parse(request.body);
            asked.method = body.value("method", "");
            asked.params = body.contains("params") ? body["params"] : body;
        }
        std::string answer;
        {
            const std::scoped_lock lock(mutex_);
            asked_.push_back(asked);
            std::vector<std::string> &answers = answers_[request.path.ends_with(".json") ? "card" : asked.method + request.path];
            if (!answers.empty()) answer = answers.front();
            if (answers.size() > 1) answers.erase(answers.begin());
        }
        if (answer.empty()) {
            responder.send({.status = 404, .headers = {}, .body = R"({"error":{"code":404,"message":"nothing here"}})"});
        } else if (answer.starts_with("data:")) {
            responder.send({.status = 200, .headers = {{"content-type", "text/event-stream"}}, .body = answer});
        } else if (answer.starts_with("401")) {
            responder.send({.status = 401, .headers = {}, .body = "{}"});
        } else {
            responder.send({.status = 200, .headers = {{"content-type", "application/json"}}, .body = answer});
        }
        return {};
    }

    void answers(const std::string &to, std::vector<std::string> with) {
        const std::scoped_lock lock(mutex_);
        answers_[to] = std::move(with);
    }
    static std::string result(std::string_view json) { return std::format(R"({{"jsonrpc":"2.0","id":1,"result":{}}})", json); }
    static std::string task(std::string_view state, std::string_view text) {
        return std::format(
            R"({{"id":"t1","contextId":"c1","status":{{"state":"{}"}},"artifacts":[{{"artifactId":"a","parts":[{{"text":"{}"}}]}}]}})",
            state, text);
    }

    Client client(std::string_view path = "/agent") {
        RemoteConfig config{.name = "legal", .url = server_->address() + std::string(path)};
        config.headers = {{"X-Key", "k1"}};
        config.timeout = std::chrono::seconds(20);
        return Client(std::move(config));
    }

    std::vector<Asked> asked() {
        const std::scoped_lock lock(mutex_);
        return asked_;
    }

    std::mutex mutex_;
    std::vector<Asked> asked_;
    std::map<std::string, std::vector<std::string>> answers_;
    http::HttpHandler handler_ = [this](const HttpRequest &request, HttpResponder &responder) {
        return take(request, responder);
    };
    std::unique_ptr<http::HttpServer> server_ = http::start_server(
        {http::make_route("GET", "/agent/.well-known/agent-card.json", handler_),
         http::make_route("GET", "/.well-known/agent-card.json", handler_), http::make_route("POST", "/agent", handler_),
         http::make_route("POST", "/agent/message:send", handler_), http::make_route("POST", "/agent/message:stream", handler_),
         http::make_route("GET", "/agent/tasks/{task}", handler_),
         http::make_route("POST", "/agent/tasks/{task}:cancel", handler_)});
};

TEST_F(A2aClientTest, AStreamIsReadAsItComes) {
    answers("card", {card("JSONRPC", "1.0", true)});
    std::string stream;
    for (
        const char *event :
        {R"({"task":{"id":"t1","contextId":"c1","status":{"state":"TASK_STATE_SUBMITTED"}}})",
         R"({"artifactUpdate":{"taskId":"t1","contextId":"c1","artifact":{"artifactId":"a","parts":[{"text":"It is"}]}}})",
         R"({"artifactUpdate":{"taskId":"t1","contextId":"c1","append":true,"artifact":{"artifactId":"a","parts":[{"text":" sound."}]}}})",
         R"({"statusUpdate":{"taskId":"t1","contextId":"c1","status":{"state":"TASK_STATE_COMPLETED"},"metadata":{"m":1}}})"}) {
        stream += "data: " + result(event) + "\n\n";
    }
    answers("SendStreamingMessage/agent", {stream});
    std::vector<std::string> pieces;
    Client legal = client();
    const auto answer = legal.ask({.text = "Is it sound?", .context_id = "c0", .metadata = R"({"engram":{"chain":["a"]}})"},
                                  {.text = [&](std::string_view piece) { pieces.emplace_back(piece); },
                                   .begun = [&](const std::string &context) { pieces.push_back(context); }},
                                  {});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->text(), "It is sound.");
    EXPECT_EQ(pieces, (std::vector<std::string>{"c1", "It is", " sound."}));
    EXPECT_EQ(answer->context_id() + answer->metadata(), R"(c1{"m":1})");
    const Asked sent = asked().back();
    EXPECT_EQ(sent.version + sent.key, "1.0k1");
    EXPECT_EQ(sent.params["message"]["parts"][0]["text"], "Is it sound?");
    EXPECT_EQ(sent.params["message"]["contextId"], "c0");
    EXPECT_EQ(sent.params["message"]["metadata"]["engram"]["chain"][0], "a");
}

TEST_F(A2aClientTest, WithoutStreamsATaskIsLookedAt) {
    for (const auto &[binding, version, send, get] : {std::array{"JSONRPC", "1.0", "SendMessage/agent", "GetTask/agent"},
                                                      std::array{"JSONRPC", "0.3", "message/send/agent", "tasks/get/agent"},
                                                      std::array{"HTTP+JSON", "1.0", "/agent/message:send", "/agent/tasks/t1"}}) {
        const bool rpc = std::string_view(binding) == "JSONRPC";
        const bool old = std::string_view(version) == "0.3";
        const auto wrapped = [&](const std::string &json) { return rpc ? result(json) : json; };
        const std::string working = task(old ? "working" : "TASK_STATE_WORKING", "half"),
                          done = task(old ? "completed" : "TASK_STATE_COMPLETED", "whole");
        answers("card", {card(binding, version, false)});
        answers(send, {wrapped(old ? R"({"kind":"task",)" + working.substr(1) : R"({"task":)" + working + "}")});
        answers(get, {wrapped(working), wrapped(done)});
        Client legal = client();
        const auto answer = legal.ask({.text = "?"}, {}, {});
        ASSERT_TRUE(answer) << binding << version << answer.error().message;
        EXPECT_EQ(answer->text(), "whole");
        EXPECT_EQ(answer->state(), TaskState::completed);
    }
}

TEST_F(A2aClientTest, AStreamThatBreaksOffIsGoneOnWithByLooking) {
    answers("card", {card("JSONRPC", "1.0", true)});
    answers("SendStreamingMessage/agent", {"data: " + result(R"({"task":)" + task("TASK_STATE_WORKING", "ha") + "}") + "\n\n"});
    answers("GetTask/agent",
            {result(task("TASK_STATE_WORKING", "half")), result(task("TASK_STATE_INPUT_REQUIRED", "Which one?"))});
    Client legal = client();
    const auto answer = legal.ask({.text = "?"}, {}, {});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->state(), TaskState::input_required);
    EXPECT_EQ(answer->text(), "Which one?");
    // One that has not even said which task it is can't be gone on with.
    answers("SendStreamingMessage/agent",
            {"data: " + result(R"({"statusUpdate":{"status":{"state":"TASK_STATE_WORKING"}}})") + "\n\n"});
    EXPECT_EQ(legal.ask({.text = "?"}, {}, {}).error().code, ErrorCode::io);
}

TEST_F(A2aClientTest, WhoeverStopsCancelsTheTask) {
    answers("card", {card("HTTP+JSON", "1.0", false)});
    answers("/agent/message:send", {R"({"task":)" + task("TASK_STATE_WORKING", "") + "}"});
    answers("/agent/tasks/t1", {task("TASK_STATE_WORKING", "")});
    answers("/agent/tasks/t1:cancel", {task("TASK_STATE_CANCELED", "")});
    Client legal = client();
    std::stop_source stop;
    const std::jthread later([&] {
        http::eventually([&] { return asked().size() > 3; });
        stop.request_stop();
    });
    const auto answer = legal.ask({.text = "?"}, {}, stop.get_token());
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::cancelled) << answer.error().message;
    EXPECT_EQ(asked().back().path, "/agent/tasks/t1:cancel");
}

TEST_F(A2aClientTest, WhatIsWrongIsSaid) {
    const auto complaint = [&](const Question &question = {.text = "?"}) {
        Client legal = client();
        const auto answer = legal.ask(question, {}, {});
        return answer ? "an answer" : std::format("{}: {}", error_code_name(answer.error().code), answer.error().message);
    };
    EXPECT_TRUE(complaint().contains("io: the card of legal can't be had: ")) << complaint();
    EXPECT_TRUE(complaint().contains("HTTP status 404"));
    answers("card", {"3"});
    EXPECT_TRUE(complaint().contains("is no card")) << complaint();
    answers("card", {card("GRPC", "1.0", true)});
    EXPECT_TRUE(complaint().starts_with("unsupported: ")) << complaint();
    answers("card", {card("JSONRPC", "1.0", false)});
    answers("SendMessage/agent", {R"({"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"out of order"}})"});
    EXPECT_TRUE(complaint().ends_with("refuses: out of order")) << complaint();
    answers("SendMessage/agent", {R"({"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no such task"}})"});
    EXPECT_TRUE(complaint({.text = "?", .task_id = "t9"}).starts_with("not_found: ")) << complaint();
    answers("SendMessage/agent", {"401"});
    EXPECT_TRUE(complaint().contains("wants a key")) << complaint();
    for (const char *nonsense : {"{", "[]", "{}", R"({"jsonrpc":"2.0","id":1,"result":{"kind":"dream"}})"}) {
        answers("SendMessage/agent", {nonsense});
        EXPECT_TRUE(complaint().starts_with("io: ")) << nonsense << " " << complaint();
    }
}

// A key that is meant for one server doesn't go to another that its card names.
TEST_F(A2aClientTest, KeysStayWithTheirServer) {
    std::mutex mutex;
    std::string key = "nobody came";
    const auto other = http::start_server(
        {http::make_route("POST", "/agent", [&](const HttpRequest &request, HttpResponder &responder) -> Result<void> {
            const std::scoped_lock lock(mutex);
            key = std::string(request.header("x-key"));
            responder.send({.body = result(R"({"message":{"messageId":"m","role":"ROLE_AGENT","parts":[{"text":"yes"}]}})")});
            return {};
        })});
    answers("card", {std::format(
                        R"({{"supportedInterfaces":[{{"url":"{}/agent","protocolBinding":"JSONRPC","protocolVersion":"1.0"}}]}})",
                        other->address())});
    Client legal = client();
    const auto answer = legal.ask({.text = "?"}, {}, {});
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->text(), "yes");
    const std::scoped_lock lock(mutex);
    EXPECT_EQ(key, "");
    EXPECT_EQ(asked().back().key, "k1") << "the card's own server gets it";
}

}  // namespace
}  // namespace engram::a2a
