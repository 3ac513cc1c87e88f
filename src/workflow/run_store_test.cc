#include "workflow/run_store.h"

#include <gtest/gtest.h>

#include <format>

#include "workflow/testing_workflow.h"

namespace engram::workflow {
namespace {

using namespace testing;

class RunStoreTest : public ::testing::Test {
  protected:
    std::unique_ptr<RunStore> open() { return must(RunStore::open(home_.path() / "workflows.db")); }
    static RunRow row(const std::string &id, const std::string &tenant = "default") {
        return {.key = {.tenant = tenant, .id = id},
                .name = "w",
                .file = "w.yaml",
                .definition = "name: w\n",
                .inputs = R"({"a":1})",
                .created_ms = 5};
    }

    TemporaryFolder home_;
};

TEST_F(RunStoreTest, KeepsRunsStepsAndEvents) {
    const RunKey key{.tenant = "default", .id = "r1"};
    {
        const auto store = open();
        must(store->create(row("r1")));
        EXPECT_EQ(store->create(row("r1")).error().code, ErrorCode::already_exists);
        StepRow steps[] = {
            {.node = "a", .state = StepState::answered, .attempts = 2, .agent = "x", .text = "é\n", .started_ms = 7},
            {.node = "b", .item = 0, .state = StepState::failed, .error = "no", .started_ms = 8, .ended_ms = 9}};
        Event events[] = {{.kind = EventKind::started, .node = "a", .agent = "x", .attempt = 2, .at_ms = 7},
                          {.kind = EventKind::failed, .node = "b", .item = 0, .error = "no", .at_ms = 9}};
        must(store->put(key, steps, events));
        EXPECT_EQ(events[1].seq, 2);
        steps[0].state = StepState::finished;
        must(store->put(key, std::span(steps).first(1), {}));
        RunRow ended = must(store->get(key));
        ended.state = RunState::finished;
        ended.outputs = R"({"o":"x"})";
        ended.ended_ms = 10;
        Event event{.text = "finished", .at_ms = 10};
        must(store->put_state(ended, event));
        EXPECT_EQ(event.seq, 3);
    }
    const auto store = open();
    const RunRow found = must(store->get(key));
    EXPECT_EQ(run_json(found).dump(),
              R"({"id":"r1","workflow":"w","file":"w.yaml","state":"finished","error":null,"inputs":{"a":1},"outputs":{"o":"x"},)"
              R"("created_ms":5,"ended_ms":10})");
    EXPECT_EQ(found.definition, "name: w\n");
    const std::vector<StepRow> steps = must(store->steps(key));
    ASSERT_EQ(steps.size(), 2U);
    EXPECT_EQ(step_json(steps[0]).dump(),
              R"({"node":"a","state":"finished","attempts":2,"agent":"x","text":"é\n","started_ms":7,"ended_ms":null})");
    EXPECT_EQ(steps[1].item, 0);
    const std::vector<Event> events = must(store->events(key, 1));
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(event_json(events[0]).dump(), R"({"event":"failed","seq":2,"node":"b","item":0,"error":"no","at_ms":9})");
    EXPECT_EQ(event_json(events[1]).dump(), R"({"event":"run","seq":3,"state":"finished","at_ms":10})");
}

TEST_F(RunStoreTest, TenantsSeeTheirOwn) {
    const auto store = open();
    must(store->create(row("r1", "red")));
    must(store->create(row("r1", "blue")));
    must(store->create(row("r2", "red")));
    const std::vector<RunRow> red = must(store->list("red", 10));
    ASSERT_EQ(red.size(), 2U);
    EXPECT_EQ(red[0].key.id, "r2") << "newest first";
    EXPECT_EQ(must(store->list("red", 1)).size(), 1U);
    EXPECT_EQ(store->get({.tenant = "blue", .id = "r2"}).error().code, ErrorCode::not_found);
    EXPECT_EQ(must(store->unfinished()).size(), 3U);
}

TEST_F(RunStoreTest, AskingForTheEndIsSeenByOthers) {
    const auto store = open(), other = open();
    const RunKey key{.tenant = "default", .id = "r1"};
    EXPECT_EQ(store->ask_to_cancel(key).error().code, ErrorCode::not_found);
    must(store->create(row("r1")));
    EXPECT_FALSE(must(other->cancel_asked(key)));
    must(store->ask_to_cancel(key));
    EXPECT_TRUE(must(other->cancel_asked(key)));
    must(other->reopen(key));
    EXPECT_TRUE(must(store->cancel_asked(key))) << "nobody has done yet what was asked for";
    RunRow ended = must(store->get(key));
    ended.state = RunState::cancelled;
    Event event{.text = "cancelled"};
    must(store->put_state(ended, event));
    must(other->reopen(key));
    EXPECT_FALSE(must(store->cancel_asked(key)));
    EXPECT_EQ(must(store->get(key)).state, RunState::running);
}

TEST_F(RunStoreTest, KeepsTheNewestThatHaveEnded) {
    const auto store = open();
    must(store->create(row("runs on")));
    for (int i = 0; i < kKeptRuns + 5; ++i) {
        RunRow run = row(std::format("r{}", i));
        must(store->create(run));
        run.state = RunState::failed;
        Event event{.text = "failed"};
        must(store->put_state(run, event));
    }
    must(store->create(row("last")));
    EXPECT_EQ(must(store->list("default", 5000)).size(), static_cast<std::size_t>(kKeptRuns) + 2);
    EXPECT_TRUE(store->get({.tenant = "default", .id = "runs on"}));
    EXPECT_FALSE(store->get({.tenant = "default", .id = "r4"}));
    EXPECT_TRUE(store->get({.tenant = "default", .id = "r5"}));
    EXPECT_TRUE(must(store->events({.tenant = "default", .id = "r4"}, 0)).empty());
}

// Steps are kept whatever happened to the telling of them.
TEST_F(RunStoreTest, ARunHasSoManyEvents) {
    const auto store = open();
    const RunKey key{.tenant = "default", .id = "r1"};
    must(store->create(row("r1")));
    std::vector<Event> events(kMaxEvents + 2, Event{.kind = EventKind::started, .node = "a"});
    must(store->put(key, {}, events));
    EXPECT_EQ(events[kMaxEvents - 1].seq, kMaxEvents);
    EXPECT_EQ(events[kMaxEvents].seq, 0) << "it isn't stored";
    const StepRow step{.node = "a", .state = StepState::finished, .text = "x"};
    must(store->put(key, std::span(&step, 1), std::span(events).first(1)));
    EXPECT_EQ(must(store->steps(key)).size(), 1U);
    EXPECT_TRUE(must(store->events(key, kMaxEvents)).empty());
    EXPECT_EQ(must(store->events(key, kMaxEvents - 1)).size(), 1U);
}

}  // namespace
}  // namespace engram::workflow
