#include "server/testing/a2a_fixture.h"

#include <format>

#include "core/random_name.h"
#include "engram/teams.h"
#include "sqlite/database.h"

namespace engram::server {

using namespace std::chrono_literals;

void A2aTest::start() {
    ServeOptions options = options_;
    options.manager.home = home_.path();
    options.manager.model = engram::testing::tiny_options("tiny-llama", 2048);
    options.manager.storage.block_tokens = 32;
    options.port = 0;
    options.sampling = {};
    options.run = [this](AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
        return run(agents, request, sink, std::move(stop));
    };
    options.warn = [this](std::string_view sentence) {
        const std::scoped_lock lock(mutex_);
        warnings_.emplace_back(sentence);
    };
    auto server = Server::start(std::move(options));
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
}

void A2aTest::TearDown() {
    let_go();
    server_.reset();
}

void A2aTest::restart() {
    ASSERT_TRUE(server_->stop(0ms));
    server_.reset();
    start();
}

void A2aTest::obstruct(const std::string &sql) {
    auto database = sqlite::Database::open(home_.path() / "tasks.db");
    ASSERT_TRUE(database) << database.error().message;
    const auto done = database->execute(sql);
    ASSERT_TRUE(done) << done.error().message;
}

void A2aTest::add_agent(const std::string &id, const std::string &system_prompt) {
    const OrderedJson card{{"skills", OrderedJson::array({{{"id", "logs"}, {"tags", OrderedJson::array({"ops"})}}})}};
    const Answer made =
        ask("POST", "/v1/agents", {{"id", id}, {"system_prompt", system_prompt}, {"description", "Reads logs."}, {"card", card}});
    ASSERT_EQ(made.status, 201) << made.text;
}

A2aTest::Answer A2aTest::ask(const char *method, const std::string &target, const OrderedJson &body, std::string headers) {
    if (!headers.contains("A2A-Version")) headers += "A2A-Version: 1.0\r\n";
    if (!headers.contains("Content-Type")) headers += "Content-Type: application/json\r\n";
    http::TestClient client(server_->port());
    const auto reply = client.ask(method, target, body.is_null() ? "" : body.dump(), headers);
    EXPECT_TRUE(reply.has_value()) << method << " " << target;
    if (!reply) return {};
    return {.status = reply->status,
            .json = OrderedJson::parse(reply->body, nullptr, false),
            .text = reply->body,
            .etag = reply->header("etag"),
            .media_type = reply->header("content-type")};
}

OrderedJson A2aTest::call(const std::string &method, const OrderedJson &params, const std::string &agent) {
    const std::string target = agent.empty() ? "/a2a" : "/a2a/agents/" + agent;
    const Answer answer = ask("POST", target, {{"jsonrpc", "2.0"}, {"id", 1}, {"method", method}, {"params", params}});
    EXPECT_EQ(answer.status, 200) << answer.text;
    EXPECT_EQ(answer.json.value("id", 0), 1) << answer.text;
    if (answer.json.contains("error")) return {{"error", answer.json["error"]}};
    return answer.json.value("result", OrderedJson());
}

OrderedJson A2aTest::call_0_3(const std::string &method, const OrderedJson &params) {
    const Answer answer =
        ask("POST", "/a2a", {{"jsonrpc", "2.0"}, {"id", "x"}, {"method", method}, {"params", params}}, "A2A-Version: \r\n");
    EXPECT_EQ(answer.status, 200) << answer.text;
    if (answer.json.contains("error")) return {{"error", answer.json["error"]}};
    return answer.json.value("result", OrderedJson());
}

OrderedJson A2aTest::message(const std::string &text, const OrderedJson &members) {
    OrderedJson json{{"messageId", random_name("m-")}, {"role", "ROLE_USER"}, {"parts", OrderedJson::array({{{"text", text}}})}};
    json.update(members);
    return json;
}

OrderedJson A2aTest::send(const std::string &text, const OrderedJson &members, const std::string &agent) {
    const OrderedJson result = call("SendMessage", {{"message", message(text, members)}}, agent);
    EXPECT_TRUE(result.contains("task")) << result.dump();
    return result.value("task", OrderedJson::object());
}

std::string A2aTest::answer_in(const OrderedJson &task) {
    const auto place = OrderedJson::json_pointer("/artifacts/0/parts/0/text");
    return task.contains(place) ? task[place].get<std::string>() : "(none)";
}

std::string A2aTest::state_of(const OrderedJson &task) {
    const auto place = OrderedJson::json_pointer("/status/state");
    return task.contains(place) ? task[place].get<std::string>() : "(none)";
}

OrderedJson A2aTest::get(const std::string &task) { return call("GetTask", {{"id", task}}); }

std::vector<OrderedJson> A2aTest::events_in(const std::string &body) {
    std::vector<OrderedJson> events;
    for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos;) {
        const std::size_t end = body.find("\n\n", at);
        events.push_back(OrderedJson::parse(body.substr(at + 6, end - at - 6), nullptr, false));
        at = end;
    }
    return events;
}

std::string A2aTest::request(const std::string &method, const std::string &target, const std::string &body) {
    return std::format(
        "{} {} HTTP/1.1\r\nHost: localhost\r\nA2A-Version: 1.0\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\n\r\n{}",
        method, target, body.size(), body);
}

Result<RunResult> A2aTest::run(AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
    const std::string text = request.messages.empty() ? "" : request.messages.front().content;
    const auto waits = [](std::vector<std::string> ids) {
        RunResult result{.end = RunEnd::approval};
        for (std::string &id : ids)
            result.pending.push_back({.id = std::move(id), .name = "erase", .arguments = R"({"file":"x"})"});
        return result;
    };
    if (text.starts_with("approve both")) return waits({"pilot/call_1", "pilot/clerk/call_2"});
    if (request.approvals.contains("pilot/clerk/call_2")) return RunResult{.text = "Both are decided."};
    if (request.approvals.contains("pilot/call_1")) return waits({"pilot/clerk/call_2"});
    if (!request.approvals.empty()) {
        const auto decided = request.approvals.find("call_1");
        return RunResult{.text = decided != request.approvals.end() && decided->second ? "It was allowed." : "It was denied."};
    }
    if (text.starts_with("approve")) return waits({"call_1"});
    if (text.starts_with("forget")) return RunResult{.text = "I won't know.", .committed = false, .warning = "the disk is full"};
    if (text.starts_with("fail")) return fail(ErrorCode::engine, "the engine failed in this test");
    if (text.starts_with("wait")) {
        sink(RunAnswering{.agent = request.agent, .event = ChatStarted{.agent = request.agent, .prompt_tokens = 1}});
        for (const char *piece : {"begun ", "and "}) sink(RunAnswering{.agent = request.agent, .event = ChatText{.text = piece}});
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        const bool went = changed_.wait(lock, stop, [this] { return may_go_; });
        --waiting_;
        if (!went) return fail(ErrorCode::cancelled, "stopped");
        return RunResult{.text = "begun and done"};
    }
    RunRequest shorter = request;
    shorter.max_tokens = 8;
    return Runner({}).run(agents, shorter, sink, std::move(stop));
}

void A2aTest::let_go() {
    const std::scoped_lock lock(mutex_);
    may_go_ = true;
    changed_.notify_all();
}

}  // namespace engram::server
