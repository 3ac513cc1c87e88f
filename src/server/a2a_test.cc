// A2A clients at a running server, in both bindings and both versions.
#include <format>

#include "server/a2a_task_store.h"
#include "server/testing/a2a_fixture.h"
#include "tenants/tenants.h"

namespace engram::server {
namespace {

using namespace std::chrono_literals;

TEST_F(A2aTest, CardsSayWhereAndHow) {
    add_agent("analyst", "You analyse.");
    const Answer card = ask("GET", "/.well-known/agent-card.json");
    ASSERT_EQ(card.status, 200);
    EXPECT_EQ(card.json["supportedInterfaces"][0]["url"], "http://localhost/a2a");
    EXPECT_EQ(card.json["skills"].size(), 1U) << "agents are shown to whoever has a key";
    EXPECT_FALSE(card.etag.empty());
    EXPECT_FALSE(card.json.contains("preferredTransport"));
    const Answer before = ask("GET", "/.well-known/agent-card.json", {}, "A2A-Version: \r\n");
    EXPECT_EQ(before.json["preferredTransport"], "JSONRPC");
    EXPECT_EQ(before.json["url"], "http://localhost/a2a");
    EXPECT_NE(before.etag, card.etag);
    EXPECT_EQ(ask("GET", "/.well-known/agent-card.json", {}, "A2A-Version: 99.0\r\n").status, 400);
    const Answer own = ask("GET", "/a2a/agents/analyst/.well-known/agent-card.json");
    EXPECT_EQ(own.json["name"], "analyst");
    EXPECT_EQ(own.json["skills"][0]["id"], "logs");
    EXPECT_EQ(own.json["supportedInterfaces"][1]["url"], "http://localhost/a2a/agents/analyst");
    EXPECT_EQ(ask("GET", "/a2a/agents/nobody/.well-known/agent-card.json").status, 404);
    const OrderedJson extended = call("GetExtendedAgentCard", {});
    ASSERT_EQ(extended["skills"].size(), 2U);
    EXPECT_EQ(extended["skills"][1]["id"], "analyst");
    EXPECT_EQ(ask("GET", "/a2a/extendedAgentCard").json, extended);
}

TEST_F(A2aTest, AMessageBecomesATask) {
    const OrderedJson task = send("hello");
    EXPECT_EQ(state_of(task), "TASK_STATE_COMPLETED");
    EXPECT_NE(answer_in(task), "(none)");
    ASSERT_EQ(task["history"].size(), 1U);
    EXPECT_EQ(task["history"][0]["parts"][0]["text"], "hello");
    EXPECT_EQ(task["history"][0]["taskId"], task["id"]);
    EXPECT_GT(task["metadata"]["engram"]["promptTokens"], 0);
    const OrderedJson again = get(task["id"]);
    EXPECT_EQ(again, task);
    EXPECT_FALSE(call("GetTask", {{"id", task["id"]}, {"historyLength", 0}}).contains("history"));
    EXPECT_EQ(call("GetTask", {{"id", "nothing"}})["error"]["code"], -32001);
    EXPECT_EQ(call("SendMessage", {{"message", message("x", {{"taskId", "nothing"}})}})["error"]["code"], -32001);
    EXPECT_EQ(call("SendMessage", {{"message", message("x", {{"taskId", task["id"]}})}})["error"]["code"], -32004)
        << "it is over";
    EXPECT_EQ(call("CancelTask", {{"id", task["id"]}})["error"]["code"], -32002);
    EXPECT_EQ(call("SubscribeToTask", {{"id", task["id"]}})["error"]["code"], -32004);
}

TEST_F(A2aTest, HttpAndJsonDoTheSame) {
    const Answer sent = ask("POST", "/a2a/message:send", {{"message", message("hello")}});
    ASSERT_EQ(sent.status, 200) << sent.text;
    EXPECT_EQ(sent.media_type, "application/json");
    const OrderedJson task = sent.json["task"];
    EXPECT_EQ(state_of(task), "TASK_STATE_COMPLETED");
    const std::string target = "/a2a/tasks/" + task["id"].get<std::string>();
    EXPECT_EQ(ask("GET", target).json, task);
    EXPECT_FALSE(ask("GET", target + "?historyLength=0").json.contains("history"));
    EXPECT_EQ(ask("GET", "/a2a/tasks").json["tasks"][0]["id"], task["id"]);
    const Answer missing = ask("GET", "/a2a/tasks/nothing");
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(missing.json["error"]["details"][0]["reason"], "TASK_NOT_FOUND");
    EXPECT_EQ(ask("POST", target + ":cancel").json["error"]["details"][0]["reason"], "TASK_NOT_CANCELABLE");
    EXPECT_EQ(ask("POST", target + ":subscribe").status, 400);
    EXPECT_EQ(ask("GET", target + ":subscribe").status, 400);
    EXPECT_EQ(ask("POST", "/a2a/message:send", OrderedJson::object()).status, 400);
}

TEST_F(A2aTest, ThatAnAnswerCouldNotBeWrittenDownIsTold) {
    const OrderedJson task = send("forget it");
    EXPECT_EQ(state_of(task), "TASK_STATE_COMPLETED");
    EXPECT_EQ(task["metadata"]["engram"]["committed"], false);
    EXPECT_EQ(task["metadata"]["engram"]["warning"], "the disk is full");
    EXPECT_EQ(get(task["id"]), task);
    EXPECT_FALSE(send("hello")["metadata"]["engram"].contains("committed"));
}

TEST_F(A2aTest, VersionsAndFormsAreChecked) {
    const OrderedJson rpc{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "SendMessage"}, {"params", {{"message", message("x")}}}};
    EXPECT_EQ(ask("POST", "/a2a", rpc, "A2A-Version: 99.0\r\n").json["error"]["code"], -32009);
    EXPECT_EQ(ask("POST", "/a2a", rpc, "A2A-Version: 0.3\r\n").json["error"]["code"], -32601);
    EXPECT_EQ(ask("POST", "/a2a", rpc, "A2A-Version: 1.0.7\r\n").json.contains("result"), true);
    EXPECT_EQ(ask("POST", "/a2a", rpc, "Content-Type: text/plain\r\n").json["error"]["code"], -32005);
    EXPECT_EQ(ask("POST", "/a2a?A2A-Version=99.0", rpc, "A2A-Version: \r\n").json["error"]["code"], -32009);
    const Answer old = ask("GET", "/a2a/tasks", {}, "A2A-Version: \r\n");
    EXPECT_EQ(old.status, 400);
    EXPECT_EQ(old.json["error"]["details"][0]["reason"], "VERSION_NOT_SUPPORTED");
    EXPECT_EQ(ask("GET", "/a2a/tasks?A2A-Version=1.0", {}, "A2A-Version: \r\n").status, 200);
    EXPECT_EQ(call("Nothing", {})["error"]["code"], -32601);
    EXPECT_EQ(call("SendMessage", {})["error"]["data"][0]["fieldViolations"][0]["field"], "message");
    const OrderedJson picture = {{{"raw", "AA=="}, {"mediaType", "image/png"}}};
    EXPECT_EQ(call("SendMessage", {{"message", message("x", {{"parts", picture}})}})["error"]["code"], -32005);
    EXPECT_EQ(call("SendMessage",
                   {{"message", message("x")}, {"configuration", {{"acceptedOutputModes", {"image/png"}}}}})["error"]["code"],
              -32005);
}

TEST_F(A2aTest, ClientsOfThreePointThreeAreServed) {
    const OrderedJson said{{"kind", "message"},
                           {"messageId", "m"},
                           {"role", "user"},
                           {"parts", OrderedJson::array({{{"kind", "text"}, {"text", "hello"}}})}};
    const OrderedJson task = call_0_3("message/send", {{"message", said}});
    EXPECT_EQ(task["kind"], "task");
    EXPECT_EQ(task["status"]["state"], "completed");
    EXPECT_EQ(task["artifacts"][0]["parts"][0]["kind"], "text");
    EXPECT_EQ(call_0_3("tasks/get", {{"id", task["id"]}}), task);
    EXPECT_EQ(get(task["id"])["status"]["state"], "TASK_STATE_COMPLETED") << "the same task";
    const OrderedJson refused = call_0_3("tasks/cancel", {{"id", task["id"]}});
    EXPECT_EQ(refused["error"]["code"], -32002);
    EXPECT_FALSE(refused["error"].contains("data"));
    const OrderedJson hook{{"url", "https://example.com/hook"}, {"authentication", {{"schemes", {"Bearer"}}}}};
    const OrderedJson set =
        call_0_3("tasks/pushNotificationConfig/set", {{"taskId", task["id"]}, {"pushNotificationConfig", hook}});
    EXPECT_EQ(set["taskId"], task["id"]);
    EXPECT_EQ(call_0_3("tasks/pushNotificationConfig/list", {{"id", task["id"]}})[0], set);
    EXPECT_EQ(call_0_3("tasks/pushNotificationConfig/get", {{"id", task["id"]}}), set);
    EXPECT_EQ(call_0_3("tasks/pushNotificationConfig/delete",
                       {{"id", task["id"]}, {"pushNotificationConfigId", set["pushNotificationConfig"]["id"]}}),
              OrderedJson());
    EXPECT_EQ(call_0_3("tasks/pushNotificationConfig/list", {{"id", task["id"]}}).size(), 0U);
    EXPECT_EQ(call_0_3("agent/getAuthenticatedExtendedCard", {})["preferredTransport"], "JSONRPC");
}

TEST_F(A2aTest, AStreamTellsTheTaskAndThenWhatHappensToIt) {
    const Answer streamed = ask("POST", "/a2a/message:stream", {{"message", message("hello")}});
    EXPECT_EQ(streamed.status, 200);
    EXPECT_TRUE(streamed.media_type.starts_with("text/event-stream"));
    const std::vector<OrderedJson> events = events_in(streamed.text);
    ASSERT_GE(events.size(), 4U) << streamed.text;
    EXPECT_EQ(state_of(events[0]["task"]), "TASK_STATE_SUBMITTED");
    EXPECT_EQ(state_of(events[1]["statusUpdate"]), "TASK_STATE_WORKING");
    EXPECT_EQ(state_of(events.back()["statusUpdate"]), "TASK_STATE_COMPLETED");
    std::string text;
    for (std::size_t i = 2; i + 1 < events.size(); ++i) {
        const OrderedJson &update = events[i]["artifactUpdate"];
        EXPECT_EQ(update["append"], i > 2) << update.dump();
        EXPECT_EQ(update["lastChunk"], i + 2 == events.size());
        text += update["artifact"]["parts"][0]["text"].get<std::string>();
    }
    EXPECT_EQ(answer_in(get(events[0]["task"]["id"])), text);
    const Answer rpc =
        ask("POST", "/a2a",
            {{"jsonrpc", "2.0"}, {"id", 9}, {"method", "SendStreamingMessage"}, {"params", {{"message", message("hello")}}}});
    const std::vector<OrderedJson> wrapped = events_in(rpc.text);
    ASSERT_GE(wrapped.size(), 4U);
    for (const OrderedJson &event : wrapped) EXPECT_EQ(event["id"], 9);
    EXPECT_TRUE(wrapped[0]["result"].contains("task"));
}

TEST_F(A2aTest, SeveralWatchOneTask) {
    const OrderedJson task =
        call("SendMessage", {{"message", message("wait")}, {"configuration", {{"returnImmediately", true}}}})["task"];
    const std::string id = task["id"];
    EXPECT_EQ(state_of(task), "TASK_STATE_SUBMITTED");
    http::TestClient first(server_->port());
    http::TestClient second(server_->port());
    for (http::TestClient *client : {&first, &second}) {
        ASSERT_TRUE(client->send(request("POST", "/a2a/tasks/" + id + ":subscribe", "")));
        ASSERT_TRUE(client->receive_until("\"task\"")) << "first the task as it is";
    }
    EXPECT_EQ(call("SendMessage", {{"message", message("more", {{"taskId", id}})}})["error"]["code"], -32004) << "it is at work";
    second.leave();
    let_go();
    const auto reply = first.receive();
    ASSERT_TRUE(reply && reply->whole);
    const std::vector<OrderedJson> events = events_in(reply->body);
    EXPECT_EQ(state_of(events.back()["statusUpdate"]), "TASK_STATE_COMPLETED");
    EXPECT_EQ(answer_in(get(id)), "begun and done") << "what was said in between is replaced by the answer";
}

TEST_F(A2aTest, ATaskIsCancelledAndTheNextOneOfItsContextGoesOn) {
    const OrderedJson task = call("SendMessage", {{"message", message("wait", {{"contextId", "c"}})},
                                                  {"configuration", {{"returnImmediately", true}}}})["task"];
    const OrderedJson behind = call("SendMessage", {{"message", message("hello", {{"contextId", "c"}})},
                                                    {"configuration", {{"returnImmediately", true}}}})["task"];
    EXPECT_TRUE(http::eventually([&] { return state_of(get(task["id"])) == "TASK_STATE_WORKING"; }));
    EXPECT_EQ(state_of(get(behind["id"])), "TASK_STATE_SUBMITTED") << "the conversation is taken";
    EXPECT_EQ(state_of(call("CancelTask", {{"id", task["id"]}})), "TASK_STATE_CANCELED");
    EXPECT_EQ(call("CancelTask", {{"id", task["id"]}})["error"]["code"], -32002);
    EXPECT_TRUE(http::eventually([&] { return state_of(get(behind["id"])) == "TASK_STATE_COMPLETED"; }));
    EXPECT_EQ(state_of(get(task["id"])), "TASK_STATE_CANCELED");
}

TEST_F(A2aTest, ACallThatNeedsApprovalWaitsForThePerson) {
    const OrderedJson task = send("approve");
    const std::string id = task["id"];
    EXPECT_EQ(state_of(task), "TASK_STATE_INPUT_REQUIRED");
    EXPECT_EQ(task["status"]["message"]["parts"][1]["data"]["calls"][0]["name"], "erase");
    http::TestClient watcher(server_->port());
    ASSERT_TRUE(watcher.send(request("GET", "/a2a/tasks/" + id + ":subscribe", "")));
    ASSERT_TRUE(watcher.receive_until("INPUT_REQUIRED"));
    EXPECT_EQ(call("SendMessage", {{"message", message("perhaps", {{"taskId", id}})}})["error"]["code"], -32602);
    EXPECT_EQ(call("SendMessage", {{"message", message("yes", {{"taskId", id}, {"contextId", "other"}})}})["error"]["code"],
              -32602);
    restart();  // what waits for a person waits on
    EXPECT_EQ(state_of(get(id)), "TASK_STATE_INPUT_REQUIRED");
    const OrderedJson done = send("Yes.", {{"taskId", id}});
    EXPECT_EQ(done["id"], id);
    EXPECT_EQ(answer_in(done), "It was allowed.");
    EXPECT_EQ(done["history"].size(), 3U) << "the message, the question, the answer to it";
    const OrderedJson other = send("approve");
    const OrderedJson parts = OrderedJson::array({{{"data", {{"approvals", {{"call_1", false}}}}}}});
    EXPECT_EQ(answer_in(send("", {{"taskId", other["id"]}, {"parts", parts}})), "It was denied.");
}

TEST_F(A2aTest, CallsOfColleaguesAreDecidedOneByOne) {
    const OrderedJson task = send("approve both");
    const OrderedJson &id = task["id"];
    const OrderedJson calls = task["status"]["message"]["parts"][1]["data"]["calls"];
    ASSERT_EQ(calls.size(), 2U) << task;
    EXPECT_EQ(calls[0]["id"], "pilot/call_1");
    EXPECT_EQ(calls[0]["agent"], "pilot");
    EXPECT_EQ(calls[1]["agent"], "clerk");
    const auto decide = [&](const std::string &which, bool allow) {
        const OrderedJson parts = OrderedJson::array({{{"data", {{"approvals", {{which, allow}}}}}}});
        return call("SendMessage", {{"message", message("", {{"taskId", id}, {"parts", parts}})}});
    };
    EXPECT_EQ(decide("call_1", true)["error"]["code"], -32602) << "no such call waits";
    EXPECT_EQ(state_of(get(id)), "TASK_STATE_INPUT_REQUIRED");
    const OrderedJson half = decide("pilot/call_1", true)["task"];
    EXPECT_EQ(state_of(half), "TASK_STATE_INPUT_REQUIRED");
    EXPECT_EQ(half["status"]["message"]["parts"][1]["data"]["calls"].size(), 1U);
    restart();
    EXPECT_EQ(answer_in(send("no", {{"taskId", id}})), "Both are decided.");
}

TEST_F(A2aTest, AContextIsAMemoryOfItsOwn) {
    add_agent("analyst", "You analyse logs, one after the other, and remember each of them for as long as you are asked.");
    const OrderedJson first = send("hello there, this is said in the first context", OrderedJson::object(), "analyst");
    const OrderedJson second = send("and this too", {{"contextId", first["contextId"]}}, "analyst");
    const OrderedJson other = send("hello", {{"contextId", "a context/of mine ü"}}, "analyst");
    const auto engram = [](const OrderedJson &task) { return task["metadata"]["engram"]; };
    EXPECT_EQ(engram(first)["agent"], engram(second)["agent"]);
    EXPECT_NE(engram(first)["agent"], engram(other)["agent"]);
    EXPECT_EQ(other["contextId"], "a context/of mine ü");
    EXPECT_GT(engram(second)["cachedTokens"], 0);
    EXPECT_GT(engram(second)["promptTokens"], engram(first)["promptTokens"]);
    const std::string memory = engram(first)["agent"];
    EXPECT_EQ(ask("GET", "/v1/agents/" + memory).json["forked_from"], "analyst");
    const auto said = [&](const std::string &agent) {
        return ask("GET", "/v1/agents/" + agent + "/transcript").json["messages"].size();
    };
    EXPECT_EQ(said(memory), said("analyst") + 4) << "the agent itself heard nothing";
    EXPECT_EQ(call("GetExtendedAgentCard", {})["skills"].size(), 2U) << "contexts are no agents to talk to";
    // A task of another address of the same tenant isn't this agent's.
    const OrderedJson plain = send("hello");
    EXPECT_EQ(call("GetTask", {{"id", plain["id"]}}, "analyst")["error"]["code"], -32001);
    EXPECT_EQ(call("ListTasks", {}, "analyst")["totalSize"], 3);
    EXPECT_EQ(call("ListTasks", {})["totalSize"], 4);
    EXPECT_EQ(call("ListTasks", {{"contextId", first["contextId"]}})["totalSize"], 2);
    EXPECT_EQ(call("SendMessage", {{"message", message("x")}, {"tenant", "other"}}, "analyst")["error"]["code"], -32602);
    EXPECT_EQ(call("SendMessage", {{"message", message("x")}, {"tenant", "nobody"}})["error"]["code"], -32602);
    const OrderedJson routed = call("SendMessage", {{"message", message("x")}, {"tenant", "analyst"}})["task"];
    EXPECT_EQ(call("GetTask", {{"id", routed["id"]}}, "analyst")["id"], routed["id"]);
    // At the server's own address a context may name an agent.
    EXPECT_EQ(engram(send("hello", {{"contextId", "analyst"}}))["agent"], "analyst");
}

TEST_F(A2aTest, MemoryOutlivesTheServer) {
    const OrderedJson first =
        send("hello there, this is said before the server ends, and it is long enough for a block of tokens");
    restart();
    EXPECT_EQ(get(first["id"]), first);
    const OrderedJson second = send("and this after it", {{"contextId", first["contextId"]}});
    EXPECT_GT(second["metadata"]["engram"]["cachedTokens"], 30);
    EXPECT_EQ(second["metadata"]["engram"]["tier"], "disk");
}

// A task as a process that died left it.
StoredTask left_in(protocol::a2a::TaskState state) {
    StoredTask stored{.tenant = "default", .memory = "a2a-x", .created_ms = 1};
    stored.task = {.id = "t", .context_id = "c"};
    stored.task.status = {.state = state, .time_ms = 1'761'647'400'000};
    stored.task.history.push_back({.id = "m", .parts = {{.content = "hello"}}});
    return stored;
}
void store_task(const std::filesystem::path &home, const StoredTask &stored) {
    auto store = A2aTaskStore::open(home / "tasks.db");
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->create(stored));
}

TEST_F(A2aTest, WhatRanWhenTheProcessDiedIsFailed) {
    ASSERT_TRUE(server_->stop(0ms));
    server_.reset();
    store_task(home_.path(), left_in(protocol::a2a::TaskState::working));
    start();
    const OrderedJson task = get("t");
    EXPECT_EQ(state_of(task), "TASK_STATE_FAILED");
    EXPECT_NE(task["status"]["message"]["parts"][0]["text"].get<std::string>().find("ended before"), std::string::npos);
    EXPECT_EQ(task["history"].size(), 1U);
}

TEST_F(A2aTest, WhatHadNotBegunWhenTheProcessDiedBegins) {
    ASSERT_TRUE(server_->stop(0ms));
    server_.reset();
    StoredTask stored = left_in(protocol::a2a::TaskState::submitted);
    store_task(home_.path(), stored);
    stored.task.id = "approved";
    stored.pending = R"([{"id":"call_1","name":"erase","arguments":{"file":"x"}}])";
    stored.task.history.push_back({.id = "n", .parts = {{.content = "yes"}}});
    store_task(home_.path(), stored);
    start();
    for (const char *id : {"t", "approved"}) {
        EXPECT_TRUE(http::eventually([&] { return state_of(get(id)) == "TASK_STATE_COMPLETED"; })) << get(id);
    }
    EXPECT_NE(answer_in(get("t")), "(none)");
    EXPECT_EQ(answer_in(get("approved")), "It was allowed.");
}

TEST_F(A2aTest, AnEndThatCannotBeStoredIsTold) {
    obstruct(
        "CREATE TRIGGER no_room BEFORE UPDATE ON tasks WHEN new.state = 'TASK_STATE_COMPLETED'"
        " BEGIN SELECT RAISE(ABORT, 'no room'); END");
    const Answer streamed = ask("POST", "/a2a/message:stream", {{"message", message("hello")}});
    EXPECT_FALSE(streamed.text.contains("TASK_STATE_COMPLETED"));
    const std::vector<OrderedJson> events = events_in(streamed.text);
    const OrderedJson last = events.back()["statusUpdate"];
    ASSERT_EQ(state_of(last), "TASK_STATE_FAILED") << streamed.text;
    EXPECT_NE(last["status"]["message"]["parts"][0]["text"].get<std::string>().find("could not be stored"), std::string::npos);
    const OrderedJson task = get(last["taskId"]);
    restart();
    EXPECT_EQ(get(last["taskId"]), task) << "what was told is what there is";
}

TEST_F(A2aTest, WhatIsToldWithoutRoomIsStoredWhenThereIsSome) {
    const OrderedJson asks = send("approve");
    obstruct("CREATE TRIGGER no_room BEFORE UPDATE ON tasks BEGIN SELECT RAISE(ABORT, 'no room'); END");
    EXPECT_TRUE(call("SendMessage", {{"message", message("yes", {{"taskId", asks["id"]}})}}).contains("error"));
    EXPECT_EQ(get(asks["id"]), asks) << "it waits as before";
    const OrderedJson task = send("hello");
    EXPECT_EQ(state_of(task), "TASK_STATE_FAILED");
    EXPECT_EQ(get(task["id"]), task);
    EXPECT_EQ(call("ListTasks", {{"includeArtifacts", true}, {"historyLength", 9}})["tasks"][0], task) << "not at work";
    EXPECT_EQ(call("ListTasks", {{"status", "TASK_STATE_SUBMITTED"}})["tasks"].size(), 0U);
    obstruct("DROP TRIGGER no_room");
    const auto stored_state = [&] {
        const auto store = A2aTaskStore::open(home_.path() / "tasks.db");
        if (!store) return protocol::a2a::TaskState::submitted;
        const auto stored = (*store)->find("default", task["id"].get<std::string>());
        return stored && *stored ? (*stored)->task.status.state : protocol::a2a::TaskState::submitted;
    };
    EXPECT_TRUE(http::eventually([&] { return stored_state() == protocol::a2a::TaskState::failed; }));
    EXPECT_EQ(answer_in(send("yes", {{"taskId", asks["id"]}})), "It was allowed.");
}

TEST_F(A2aTest, AFailureIsTheTasksAndSaysWhy) {
    const OrderedJson task = send("fail");
    EXPECT_EQ(state_of(task), "TASK_STATE_FAILED");
    EXPECT_EQ(task["status"]["message"]["parts"][0]["text"], "the engine failed in this test");
    EXPECT_EQ(state_of(get(task["id"])), "TASK_STATE_FAILED");
}

TEST_F(A2aTest, WhenTheServerStopsNobodyWaitsForever) {
    http::TestClient waits(server_->port());
    const std::string body = OrderedJson{{"message", message("wait")}}.dump();
    ASSERT_TRUE(waits.send(request("POST", "/a2a/message:send", body)));
    http::TestClient watches(server_->port());
    const OrderedJson asks = send("approve");
    ASSERT_TRUE(watches.send(request("POST", "/a2a/tasks/" + asks["id"].get<std::string>() + ":subscribe", "")));
    ASSERT_TRUE(watches.receive_until("INPUT_REQUIRED"));
    EXPECT_TRUE(http::eventually([&] {
        const std::scoped_lock lock(mutex_);
        return waiting_ == 1;
    }));
    ASSERT_TRUE(server_->stop(500ms));
    const auto reply = waits.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(state_of(OrderedJson::parse(reply->body)["task"]), "TASK_STATE_FAILED");
    const auto stream = watches.receive();
    ASSERT_TRUE(stream && stream->whole) << "ended, not cut";
}

TEST_F(A2aTest, PagesOfTasks) {
    for (int i = 0; i < 5; ++i) send("fail");
    std::string token;
    std::size_t seen = 0;
    for (int page = 0; page < 3; ++page) {
        const OrderedJson list = call("ListTasks", {{"pageSize", 2}, {"pageToken", token}});
        EXPECT_EQ(list["totalSize"], 5);
        EXPECT_EQ(list["pageSize"], 2);
        seen += list["tasks"].size();
        EXPECT_FALSE(list["tasks"][0].contains("artifacts"));
        token = list["nextPageToken"];
        EXPECT_EQ(token.empty(), page == 2);
    }
    EXPECT_EQ(seen, 5U);
    EXPECT_EQ(call("ListTasks", {{"pageToken", "nonsense"}})["error"]["code"], -32602);
    EXPECT_EQ(call("ListTasks", {{"status", "TASK_STATE_COMPLETED"}})["totalSize"], 0);
    EXPECT_TRUE(call("ListTasks", {{"includeArtifacts", true}})["tasks"][0].contains("artifacts"));
}

TEST_F(A2aTest, AnotherTenantsTaskDoesNotExist) {
    const auto key = [&](const std::string &tenant) {
        TenantStore tenants = TenantStore::open(tenants_path(home_.path())).value();
        EXPECT_TRUE(tenants.set_tenant(tenant, [](Quota &) {}, 1));
        return tenants.create_key({.tenant = tenant, .label = {}, .scopes = Scopes::parse("chat").value()}, 1).value().text;
    };
    const std::string red = std::format("Authorization: Bearer {}\r\n", key("red"));
    const std::string blue = std::format("Authorization: Bearer {}\r\n", key("blue"));
    restart();
    const Answer sent = ask("POST", "/a2a/message:send", {{"message", message("fail")}}, red);
    ASSERT_EQ(sent.status, 200) << sent.text;
    const std::string target = "/a2a/tasks/" + sent.json["task"]["id"].get<std::string>();
    EXPECT_EQ(ask("GET", target, {}, red).status, 200);
    for (const char *verb : {"", ":cancel", ":subscribe"}) {
        EXPECT_EQ(ask(*verb == '\0' ? "GET" : "POST", target + verb, {}, blue).status, 404) << verb;
    }
    EXPECT_EQ(ask("GET", target + "/pushNotificationConfigs", {}, blue).status, 404);
    EXPECT_EQ(ask("GET", "/a2a/tasks", {}, blue).json["totalSize"], 0);
    const Answer nobody = ask("GET", target);
    EXPECT_EQ(nobody.status, 401);
    EXPECT_EQ(nobody.json["error"]["status"], "UNAUTHENTICATED");
    EXPECT_EQ(ask("POST", "/a2a", {{"jsonrpc", "2.0"}, {"id", 1}, {"method", "ListTasks"}}).status, 401);
    EXPECT_EQ(ask("POST", "/a2a", {{"nonsense", 1}}).status, 401) << "what comes without a key isn't read";
    EXPECT_EQ(ask("POST", "/a2a/message:send", {{"nonsense", 1}}).status, 401);
    const Answer card = ask("GET", "/.well-known/agent-card.json");
    EXPECT_EQ(card.status, 200) << "the card is for everybody";
    EXPECT_TRUE(card.json.contains("securityRequirements"));
}

// --- the compatibility kit ---

class A2aKitTest : public A2aTest {
  protected:
    A2aKitTest() { options_.a2a_test_mode = true; }
    OrderedJson kit(const char *prefix, const OrderedJson &members = OrderedJson::object()) {
        OrderedJson all = members;
        all["messageId"] = std::string(prefix) + "-1f";
        return call("SendMessage", {{"message", message("x", all)}});
    }
};

TEST_F(A2aKitTest, BehavesAsTheMessageAsksFor) {
    EXPECT_FALSE(ask("GET", "/.well-known/agent-card.json", {}, "A2A-Version: \r\n").json.contains("url"));
    const OrderedJson complete = kit("tck-complete-task")["task"];
    EXPECT_EQ(state_of(complete), "TASK_STATE_COMPLETED");
    EXPECT_EQ(complete["status"]["message"]["parts"][0]["text"], "Hello from TCK");
    EXPECT_EQ(answer_in(kit("tck-artifact-text")["task"]), "Generated text content");
    EXPECT_EQ(kit("tck-artifact-file")["task"]["artifacts"][0]["parts"][0]["raw"], "VENL");
    EXPECT_EQ(kit("tck-artifact-file-url")["task"]["artifacts"][0]["parts"][0]["url"], "https://example.com/output.txt");
    EXPECT_EQ(kit("tck-artifact-data")["task"]["artifacts"][0]["parts"][0]["data"]["count"], 42);
    EXPECT_EQ(kit("tck-message-response")["message"]["parts"][0]["text"], "Direct message response");
    const Answer alone =
        ask("POST", "/a2a/message:stream", {{"message", message("x", {{"messageId", "tck-message-response-1"}})}});
    ASSERT_EQ(events_in(alone.text).size(), 1U) << alone.text;
    EXPECT_TRUE(events_in(alone.text)[0].contains("message"));
    EXPECT_EQ(state_of(kit("tck-reject-task")["task"]), "TASK_STATE_REJECTED");
    const OrderedJson asks = kit("tck-input-required")["task"];
    EXPECT_EQ(state_of(asks), "TASK_STATE_INPUT_REQUIRED");
    EXPECT_EQ(state_of(kit("tck-complete-task", {{"taskId", asks["id"]}})["task"]), "TASK_STATE_COMPLETED");
    const Answer chunks =
        ask("POST", "/a2a/message:stream", {{"message", message("x", {{"messageId", "tck-stream-artifact-chunked-1"}})}});
    const std::vector<OrderedJson> events = events_in(chunks.text);
    ASSERT_EQ(events.size(), 5U) << chunks.text;
    EXPECT_EQ(events[2]["artifactUpdate"]["lastChunk"], false);
    EXPECT_EQ(events[3]["artifactUpdate"]["append"], true);
    EXPECT_EQ(answer_in(get(events[0]["task"]["id"])), "chunk-1 chunk-2");
}

}  // namespace
}  // namespace engram::server
