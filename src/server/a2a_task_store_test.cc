#include "server/a2a_task_store.h"

#include <gtest/gtest.h>

#include <format>
#include <set>

#include "sqlite/testing/database_fixture.h"

namespace engram::server {
namespace {

using namespace protocol::a2a;
using protocol::a2a::Message;  // not the transcript's

Message says(std::string id, std::string text) {
    return {.id = std::move(id), .parts = {{.kind = Part::Kind::text, .content = std::move(text)}}};
}

StoredTask task(std::string id, std::int64_t status_ms, std::string tenant = "red") {
    StoredTask stored{.tenant = std::move(tenant), .agent = "analyst", .memory = "a2a-1", .created_ms = 5};
    stored.task = {.id = std::move(id), .context_id = "c"};
    stored.task.status = {.state = TaskState::completed, .time_ms = status_ms};
    stored.task.history.push_back(says("m1", "hello"));
    return stored;
}

class A2aTaskStoreTest : public DatabaseFileTest {
  protected:
    A2aTaskStoreTest() : DatabaseFileTest("tasks.db") { reopen(); }
    void reopen() {
        store_.reset();
        auto opened = A2aTaskStore::open(file_);
        ASSERT_TRUE(opened) << why(opened);
        store_ = std::move(*opened);
    }
    StoredTask found(std::string_view id, std::string_view tenant = "red") {
        auto stored = store_->find(tenant, id);
        EXPECT_TRUE(stored) << why(stored);
        EXPECT_TRUE(stored && stored->has_value()) << id;
        return stored && *stored ? **stored : StoredTask{};
    }
    A2aTaskStore::Page listed(const A2aTaskStore::Query &query) {
        auto page = store_->list(query);
        EXPECT_TRUE(page) << why(page);
        return page ? std::move(*page) : A2aTaskStore::Page{};
    }

    std::unique_ptr<A2aTaskStore> store_;
};

TEST_F(A2aTaskStoreTest, ATaskIsFoundAgainAsItWas) {
    StoredTask stored = task("t1", 10);
    stored.task.status.state = TaskState::input_required;
    stored.task.status.message = says("q", "May I?");
    stored.task.artifacts.push_back({.id = "answer", .name = "answer", .parts = stored.task.history[0].parts});
    stored.task.metadata = R"({"engram":{"tier":"disk"}})";
    stored.pending = R"([{"id":"call_1"}])";
    stored.output_modes = {"application/json", "text/plain"};
    ASSERT_TRUE(store_->create(stored));
    reopen();
    StoredTask again = found("t1");
    EXPECT_EQ(again.task, stored.task);
    EXPECT_EQ(again.pending, stored.pending);
    EXPECT_EQ(again.output_modes, stored.output_modes);
    EXPECT_EQ(again.agent, "analyst");
    EXPECT_EQ(again.memory, "a2a-1");
    again.task.history.push_back(says("m2", "yes"));
    again.task.status = {.state = TaskState::completed, .message = {}, .time_ms = 20};
    again.pending.clear();
    ASSERT_TRUE(store_->update(again, 1));
    reopen();
    EXPECT_EQ(found("t1").task, again.task);
    EXPECT_EQ(query("SELECT count(*) FROM messages"), 2);
}

TEST_F(A2aTaskStoreTest, AnotherTenantsTaskDoesNotExist) {
    ASSERT_TRUE(store_->create(task("t1", 10)));
    EXPECT_FALSE(store_->find("blue", "t1")->has_value());
    EXPECT_EQ(listed({.tenant = "blue"}).total, 0U);
    ASSERT_TRUE(store_->put_hook("red", {.task_id = "t1", .id = "h", .url = "http://example.com"}));
    EXPECT_TRUE(store_->hooks("blue", "t1")->empty());
    ASSERT_TRUE(store_->remove_hook("blue", "t1", "h"));
    EXPECT_EQ(store_->hooks("red", "t1")->size(), 1U);
}

TEST_F(A2aTaskStoreTest, PagesGoFromTheNewestToTheOldestAndMeetEachTaskOnce) {
    for (int i = 0; i < 25; ++i) ASSERT_TRUE(store_->create(task(std::format("t{:02}", i), 100 + i / 3)));
    A2aTaskStore::Query query{.tenant = "red", .list = {.page_size = 7}};
    std::set<std::string> seen;
    std::int64_t last = INT64_MAX;
    int pages = 0;
    do {
        const auto page = listed(query);
        EXPECT_EQ(page.total, 25U);
        EXPECT_LE(page.tasks.size(), 7U);
        for (const StoredTask &stored : page.tasks) {
            EXPECT_TRUE(seen.insert(stored.task.id).second);
            EXPECT_LE(stored.task.status.time_ms, last);
            last = stored.task.status.time_ms;
            EXPECT_EQ(stored.task.history.size(), 1U);
        }
        query.list.page_token = page.next_token;
        ++pages;
    } while (!query.list.page_token.empty());
    EXPECT_EQ(seen.size(), 25U);
    EXPECT_EQ(pages, 4);
    for (const char *wrong : {"x", "12", "12x.t", ".t"}) {
        query.list.page_token = wrong;
        EXPECT_EQ(code_of(store_->list(query)), ErrorCode::invalid_argument) << wrong;
    }
}

TEST_F(A2aTaskStoreTest, FiltersAllHold) {
    ASSERT_TRUE(store_->create(task("t1", 10)));
    StoredTask other = task("t2", 20);
    other.agent = "reviewer";
    other.task.context_id = "d";
    other.task.status.state = TaskState::working;
    ASSERT_TRUE(store_->create(other));
    const auto ids = [&](A2aTaskStore::Query query) {
        query.tenant = "red";
        std::string all;
        for (const StoredTask &stored : listed(query).tasks) all += stored.task.id + " ";
        return all;
    };
    EXPECT_EQ(ids({}), "t2 t1 ");
    EXPECT_EQ(ids({.agent = "analyst"}), "t1 ");
    EXPECT_EQ(ids({.list = {.context_id = "d"}}), "t2 ");
    EXPECT_EQ(ids({.list = {.state = TaskState::completed}}), "t1 ");
    EXPECT_EQ(ids({.list = {.changed_from_ms = 20}}), "t2 ");
    EXPECT_EQ(ids({.agent = "analyst", .list = {.context_id = "d"}}), "");
    EXPECT_TRUE(listed({.tenant = "red", .list = {.history_length = 0}}).tasks[0].task.history.empty());
}

TEST_F(A2aTaskStoreTest, WhatWasAtWorkIsFoundAfterwards) {
    for (const TaskState state : {TaskState::submitted, TaskState::working, TaskState::input_required, TaskState::completed}) {
        StoredTask stored = task(std::string(state_name(state, WireVersion::v0_3)), 10);
        stored.task.status.state = state;
        ASSERT_TRUE(store_->create(stored));
    }
    reopen();
    const auto unfinished = store_->unfinished();
    ASSERT_TRUE(unfinished) << why(unfinished);
    ASSERT_EQ(unfinished->size(), 2U);
    EXPECT_EQ(unfinished->front().task.history.size(), 1U);
}

TEST_F(A2aTaskStoreTest, WhatIsOldGoes) {
    ASSERT_TRUE(store_->create(task("old", 10)));
    ASSERT_TRUE(store_->create(task("new", 30)));
    StoredTask runs = task("runs", 10);
    runs.task.status.state = TaskState::working;
    ASSERT_TRUE(store_->create(runs));
    ASSERT_TRUE(store_->put_hook("red", {.task_id = "old", .id = "h", .url = "http://example.com"}));
    ASSERT_TRUE(store_->remove_old(20));
    EXPECT_FALSE(store_->find("red", "old")->has_value());
    EXPECT_TRUE(store_->find("red", "new")->has_value());
    EXPECT_TRUE(store_->find("red", "runs")->has_value());
    EXPECT_EQ(query("SELECT count(*) FROM messages"), 2);
    EXPECT_EQ(query("SELECT count(*) FROM hooks"), 0);
}

TEST_F(A2aTaskStoreTest, OnlyTheNewestStayOfTooMany) {
    ASSERT_TRUE(store_->create(task("mine", 1, "blue")));
    ASSERT_TRUE(store_->create(task("oldest", 1)));
    store_.reset();
    tamper(
        std::format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
                    " INSERT INTO tasks SELECT 'red', 'x' || i, '', 'c', 'm', 'TASK_STATE_COMPLETED', 100 + i, 0, '', 0 FROM n",
                    A2aTaskStore::kMaxTasks));
    reopen();
    ASSERT_TRUE(store_->remove_old(0));
    EXPECT_FALSE(store_->find("red", "oldest")->has_value());
    EXPECT_TRUE(store_->find("blue", "mine")->has_value());
    EXPECT_EQ(query("SELECT count(*) FROM tasks WHERE tenant = 'red'"), static_cast<std::int64_t>(A2aTaskStore::kMaxTasks));
}

TEST_F(A2aTaskStoreTest, DamageCostsTheTaskThatHasIt) {
    for (const char *id : {"body", "state", "message", "lost", "well"}) {
        StoredTask stored = task(id, 10);
        stored.task.history.push_back(says("m2", "more"));
        ASSERT_TRUE(store_->create(stored));
    }
    store_.reset();
    tamper("UPDATE tasks SET body = replace(body, 'metadata', 'metadatb') WHERE id = 'body'");
    tamper("UPDATE tasks SET state = 'TASK_STATE_FAILED' WHERE id = 'state'");
    tamper("UPDATE messages SET message = replace(message, 'more', 'less') WHERE task = 'message'");
    tamper("DELETE FROM messages WHERE task = 'lost' AND ordinal = 0");
    reopen();
    for (const char *id : {"body", "state", "message", "lost"})
        EXPECT_EQ(code_of(store_->find("red", id)), ErrorCode::corrupt) << id;
    EXPECT_EQ(found("well").task.history.size(), 2U);
    const auto page = listed({.tenant = "red"});
    ASSERT_EQ(page.tasks.size(), 1U);
    EXPECT_EQ(page.tasks[0].task.id, "well");
}

TEST_F(A2aTaskStoreTest, HooksKeepTheirSecretsAndTheirVersion) {
    PushConfig hook{.task_id = "t", .id = "h", .url = "http://example.com", .token = "k"};
    hook.authentication = {.scheme = "Bearer", .credentials = "s"};
    hook.dialect = WireVersion::v0_3;
    ASSERT_TRUE(store_->put_hook("red", hook));
    hook.token = "other";
    ASSERT_TRUE(store_->put_hook("red", hook));
    reopen();
    EXPECT_EQ(*store_->hooks("red", "t"), std::vector{hook});
    ASSERT_TRUE(store_->remove_hook("red", "t", "h"));
    ASSERT_TRUE(store_->remove_hook("red", "t", "h"));
    EXPECT_TRUE(store_->hooks("red", "t")->empty());
}

TEST_F(A2aTaskStoreTest, WhatHooksAreToBeToldStaysUntilItIsRemoved) {
    StoredTask stored = task("t", 10);
    ASSERT_TRUE(store_->create(stored));
    PushConfig hook{.task_id = "t", .id = "h", .url = "http://example.com", .token = "k"};
    hook.authentication = {.scheme = "Bearer", .credentials = "s"};
    PushConfig older = hook;
    older.id = "o";
    older.dialect = WireVersion::v0_3;
    for (const PushConfig &one : {hook, older}) ASSERT_TRUE(store_->put_hook("red", one));
    std::vector<A2aNotification> told{{.tenant = "red", .hook = hook, .body = "first", .created_ms = 7},
                                      {.tenant = "red", .hook = older, .body = "second", .created_ms = 8},
                                      {.tenant = "red", .hook = hook, .body = "third ü", .created_ms = 9}};
    ASSERT_TRUE(store_->update(stored, 1, told));
    reopen();
    const auto waiting = store_->waiting_notifications();
    ASSERT_TRUE(waiting) << why(waiting);
    ASSERT_EQ(waiting->size(), 3U);
    for (std::size_t i = 0; i < told.size(); ++i) {
        EXPECT_EQ((*waiting)[i].id, told[i].id);
        EXPECT_EQ((*waiting)[i].body_bytes, told[i].body.size());
        const auto found = store_->notification(told[i].id);
        ASSERT_TRUE(found && *found) << why(found);
        EXPECT_EQ((*found)->hook, told[i].hook);
        EXPECT_EQ((*found)->body, told[i].body);
        EXPECT_EQ((*found)->created_ms, told[i].created_ms);
    }
    ASSERT_TRUE(store_->remove_hook("red", "t", "o"));
    EXPECT_FALSE(store_->notification(told[1].id)->has_value());
    ASSERT_TRUE(store_->remove_notification(told[0].id));
    ASSERT_EQ(store_->waiting_notifications()->size(), 1U);
    store_.reset();
    tamper("UPDATE outbox SET body = 'another'");
    reopen();
    EXPECT_EQ(code_of(store_->notification(told[2].id)), ErrorCode::corrupt);
}

TEST_F(A2aTaskStoreTest, AFileWithoutAnOutboxGetsOne) {
    ASSERT_TRUE(store_->create(task("t1", 10)));
    store_.reset();
    tamper("PRAGMA user_version = 1; DROP TABLE outbox");
    reopen();
    EXPECT_EQ(found("t1").task.history.size(), 1U);
    EXPECT_TRUE(store_->waiting_notifications()->empty());
}

}  // namespace
}  // namespace engram::server
