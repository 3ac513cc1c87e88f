// A running server whose agents do what a test's messages say, and clients of its A2A addresses.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "chat/bounded_json.h"
#include "engine/testing/tiny_models.h"
#include "http/testing/test_server.h"
#include "server/server.h"

namespace engram::server {

class A2aTest : public ::testing::Test {
  protected:
    void SetUp() override { start(); }
    void TearDown() override;
    void start();
    void restart();
    void obstruct(const std::string &sql);  // changes the store of tasks behind the server's back
    void add_agent(const std::string &id, const std::string &system_prompt);

    struct Answer {
        int status = 0;
        OrderedJson json;
        std::string text, etag, media_type;
    };
    // With the version 1.0, unless `headers` says another one.
    Answer ask(const char *method, const std::string &target, const OrderedJson &body = {}, std::string headers = {});
    // A JSON-RPC call at the server's own address, or at an agent's: its result, or its error under "error".
    OrderedJson call(const std::string &method, const OrderedJson &params, const std::string &agent = {});
    OrderedJson call_0_3(const std::string &method, const OrderedJson &params);

    static OrderedJson message(const std::string &text, const OrderedJson &members = OrderedJson::object());
    // The task that a message became.
    OrderedJson send(const std::string &text, const OrderedJson &members = OrderedJson::object(), const std::string &agent = {});
    static std::string answer_in(const OrderedJson &task);  // the text of its artifact
    static std::string state_of(const OrderedJson &task);
    OrderedJson get(const std::string &task);
    // The data of a stream's events.
    static std::vector<OrderedJson> events_in(const std::string &body);
    static std::string request(const std::string &method, const std::string &target, const std::string &body);

    // What the agents do, by the message's first word: "wait" until let_go() or stopped; "approve" needs an approval of call_1
    // and then says what was decided; "approve both" of a colleague's, and of that one's colleague's, one after the other; "fail"
    // fails; "forget" answers what can't be written down; anything else is answered by the model, in eight tokens.
    Result<RunResult> run(AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop);
    void let_go();

    ServeOptions options_;
    engram::testing::TemporaryFolder home_;
    std::unique_ptr<Server> server_;

    std::mutex mutex_;  // for what follows
    std::condition_variable_any changed_;
    bool may_go_ = false;
    int waiting_ = 0;
    std::vector<std::string> warnings_;
};

}  // namespace engram::server
