// Webhooks of A2A clients: what a running server tells them, and what it tells them after it was away.
#include "server/a2a_task_store.h"
#include "server/testing/a2a_fixture.h"

namespace engram::server {
namespace {

class A2aPushTest : public A2aTest {
  protected:
    A2aPushTest() { options_.a2a_private_hooks = true; }
    void SetUp() override {
        hooks_ = http::start_server(
            {http::make_route("POST", "/hook", [this](const http::HttpRequest &request, http::HttpResponder &responder) {
                const std::scoped_lock lock(mutex_);
                if (refusals_ > 0) {
                    --refusals_;
                    responder.send({.status = 500, .headers = {}, .body = ""});
                } else {
                    got_.push_back(request);
                    responder.send({.status = 200, .headers = {}, .body = ""});
                }
                return Result<void>{};
            })});
        A2aTest::SetUp();
    }
    OrderedJson hook() const {
        return {{"url", hooks_->address() + "/hook"},
                {"token", "t0ken"},
                {"authentication", {{"scheme", "Bearer"}, {"credentials", "secret"}}}};
    }
    void refuse(int times) {
        const std::scoped_lock lock(mutex_);
        refusals_ = times;
    }
    std::size_t waiting_notifications() const {
        const auto store = A2aTaskStore::open(home_.path() / "tasks.db");
        EXPECT_TRUE(store);
        return store ? (*store)->waiting_notifications()->size() : 0;
    }
    std::vector<http::HttpRequest> got(std::size_t count) {
        EXPECT_TRUE(http::eventually([&] {
            const std::scoped_lock lock(mutex_);
            return got_.size() >= count;
        }));
        const std::scoped_lock lock(mutex_);
        return got_;
    }

    std::unique_ptr<http::HttpServer> hooks_;
    std::vector<http::HttpRequest> got_;  // guarded by mutex_
    int refusals_ = 0;                    // likewise
};

TEST_F(A2aPushTest, WebhooksHearOfEachChangeInOrder) {
    refuse(2);  // tried again, and nothing overtakes it
    const OrderedJson sent =
        call("SendMessage", {{"message", message("hello")}, {"configuration", {{"taskPushNotificationConfig", hook()}}}});
    const auto all = got(3);
    ASSERT_GE(all.size(), 3U);
    EXPECT_EQ(all[0].header("authorization"), "Bearer secret");
    EXPECT_EQ(all[0].header("x-a2a-notification-token"), "t0ken");
    EXPECT_EQ(all[0].header("content-type"), "application/a2a+json");
    const OrderedJson first = OrderedJson::parse(all[0].body);
    EXPECT_EQ(state_of(first["statusUpdate"]), "TASK_STATE_WORKING");
    EXPECT_EQ(first["statusUpdate"]["taskId"], sent["task"]["id"]);
    EXPECT_EQ(OrderedJson::parse(all[1].body)["artifactUpdate"]["artifact"]["parts"][0]["text"], answer_in(sent["task"]));
    EXPECT_EQ(state_of(OrderedJson::parse(all[2].body)["statusUpdate"]), "TASK_STATE_COMPLETED");
}

TEST_F(A2aPushTest, WhatAHookDidNotTakeComesAfterARestartOnce) {
    refuse(1000);
    const OrderedJson sent =
        call("SendMessage", {{"message", message("hello")}, {"configuration", {{"taskPushNotificationConfig", hook()}}}});
    ASSERT_EQ(state_of(sent["task"]), "TASK_STATE_COMPLETED");
    restart();
    refuse(0);
    got(3);
    EXPECT_TRUE(http::eventually([this] { return waiting_notifications() == 0; }));
    restart();
    const auto all = got(3);
    ASSERT_EQ(all.size(), 3U);
    EXPECT_EQ(all[0].header("authorization"), "Bearer secret");
    EXPECT_EQ(state_of(OrderedJson::parse(all[0].body)["statusUpdate"]), "TASK_STATE_WORKING");
    EXPECT_EQ(state_of(OrderedJson::parse(all[2].body)["statusUpdate"]), "TASK_STATE_COMPLETED");
}

TEST_F(A2aPushTest, WhatAnOrderlyEndFailedIsToldAfterTheNextStart) {
    refuse(1000);
    const OrderedJson task =
        call("SendMessage", {{"message", message("wait")},
                             {"configuration", {{"taskPushNotificationConfig", hook()}, {"returnImmediately", true}}}})["task"];
    EXPECT_TRUE(http::eventually([&] { return state_of(get(task["id"])) == "TASK_STATE_WORKING"; }));
    restart();
    refuse(0);
    const auto all = got(2);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(state_of(OrderedJson::parse(all[0].body)["statusUpdate"]), "TASK_STATE_WORKING");
    const OrderedJson last = OrderedJson::parse(all[1].body)["statusUpdate"];
    EXPECT_EQ(last["taskId"], task["id"]);
    EXPECT_EQ(state_of(last), "TASK_STATE_FAILED");
}

TEST_F(A2aPushTest, ConfigurationsAreKeptUntilTheyAreDeleted) {
    const std::string task = send("approve")["id"];
    const std::string target = "/a2a/tasks/" + task + "/pushNotificationConfigs";
    const Answer made = ask("POST", target, hook());
    ASSERT_EQ(made.status, 200) << made.text;
    EXPECT_EQ(made.json["taskId"], task);
    const std::string id = made.json["id"];
    restart();
    EXPECT_EQ(ask("GET", target + "/" + id).json, made.json);
    EXPECT_EQ(ask("GET", target).json["configs"].size(), 1U);
    EXPECT_EQ(call("ListTaskPushNotificationConfigs", {{"taskId", task}})["configs"][0], made.json);
    EXPECT_EQ(answer_in(send("yes", {{"taskId", task}})), "It was allowed.");
    EXPECT_GE(got(3).size(), 3U);
    const std::string one = target + "/" + id;
    for (int i = 0; i < 2; ++i) EXPECT_EQ(ask("DELETE", one).status, 200) << "deleting twice is deleting once";
    EXPECT_EQ(ask("GET", one).status, 404);
    EXPECT_EQ(call("GetTaskPushNotificationConfig", {{"taskId", task}, {"id", id}})["error"]["code"], -32001);
    EXPECT_EQ(ask("POST", "/a2a/tasks/nothing/pushNotificationConfigs", hook()).status, 404);
}

TEST_F(A2aPushTest, ATaskHasSoMany) {
    const std::string task = send("approve")["id"];
    const std::string target = "/a2a/tasks/" + task + "/pushNotificationConfigs";
    OrderedJson one;
    for (int i = 0; i < 16; ++i) {
        const Answer made = ask("POST", target, hook());
        ASSERT_EQ(made.status, 200) << i << ": " << made.text;
        one = made.json;
    }
    const Answer refused = ask("POST", target, hook());
    EXPECT_EQ(refused.status, 400) << refused.text;
    EXPECT_TRUE(refused.text.contains("a task has at most 16 push configurations: delete one first")) << refused.text;
    EXPECT_EQ(ask("GET", target).json["configs"].size(), 16U);
    EXPECT_EQ(ask("POST", target, one).status, 200) << "one that is there is replaced";
    EXPECT_EQ(ask("DELETE", target + "/" + one["id"].get<std::string>()).status, 200);
    EXPECT_EQ(ask("POST", target, hook()).status, 200);
}

TEST_F(A2aPushTest, ThreePointThreeIsToldTheTask) {
    const std::string task = send("approve")["id"];
    const OrderedJson config{{"url", hooks_->address() + "/hook"}};
    ASSERT_FALSE(
        call_0_3("tasks/pushNotificationConfig/set", {{"taskId", task}, {"pushNotificationConfig", config}}).contains("error"));
    send("yes", {{"taskId", task}});
    const OrderedJson last = OrderedJson::parse(got(3).back().body);
    EXPECT_EQ(last["kind"], "task");
    EXPECT_EQ(last["status"]["state"], "completed");
}

TEST_F(A2aTest, HooksMayNotReachThisMachine) {
    const std::string task = send("approve")["id"];
    const std::string http = "http://";
    for (const std::string &url :
         {http + "127.0.0.1:9/x", http + "localhost/x", http + "[::1]/", http + "10.0.0.1/", std::string("file:///etc/passwd")}) {
        const OrderedJson refused = call("CreateTaskPushNotificationConfig", {{"taskId", task}, {"url", url}});
        EXPECT_EQ(refused["error"]["code"], -32602) << url;
    }
    EXPECT_EQ(call("SendMessage",
                   {{"message", message("hello")},
                    {"configuration", {{"taskPushNotificationConfig", {{"url", "http://127.0.0.1/"}}}}}})["error"]["code"],
              -32602);
    EXPECT_EQ(call("ListTasks", {})["totalSize"], 1) << "no task was made";
}

}  // namespace
}  // namespace engram::server
