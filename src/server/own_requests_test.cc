#include "server/own_requests.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>

namespace engram::server {
namespace {

using protocol::ApiErrorKind;
using protocol::Field;

template <typename Read>
auto asked_for(Read &&reader, const char *text) {
    const OrderedJson json = OrderedJson::parse(text);
    return reader(Field(json));
}

// The member that is wrong in a body, as the error names it; empty: nothing is.
template <typename Read>
std::string wrong_member(Read &&reader, const char *text) {
    const auto asked = asked_for(reader, text);
    if (asked) return {};
    EXPECT_EQ(asked.error().kind, ApiErrorKind::invalid_request);
    EXPECT_FALSE(asked.error().message.empty());
    return asked.error().param;
}

const auto kTurn = [](const Field &body) { return read_turn(body, {}); };
const auto kBatch = [](const Field &body) { return read_batch(body, {}); };
const auto kRun = [](const Field &body) { return read_run(body, {}); };

// Nothing of a patch may be done before all of it is known to be right.
TEST(OwnRequests, APatchIsReadAsAWhole) {
    const auto patch = asked_for(read_agent_patch, R"({"pinned":true,"description":"d","retention":"1h","id":"b"})");
    ASSERT_TRUE(patch) << patch.error().message;
    EXPECT_EQ(patch->pinned, true);
    EXPECT_EQ(patch->change, AgentChange{.description = "d"});
    EXPECT_EQ(patch->retention, Retention::one_hour);
    EXPECT_EQ(patch->id, "b");
    EXPECT_FALSE(patch->adopt);
    EXPECT_EQ(wrong_member(read_agent_patch, R"({"pinned":true,"retention":"2h"})"), "retention");
    EXPECT_EQ(wrong_member(read_agent_patch, R"({"pinned":true,"description":"d","id":""})"), "id");
    EXPECT_EQ(wrong_member(read_agent_patch, R"({"pinned":1})"), "pinned");
    EXPECT_FALSE(asked_for(read_agent_patch, R"({"pinned":true,"card":{"labels":"all"}})"));
    const auto nothing = asked_for(read_agent_patch, "{}");
    ASSERT_TRUE(nothing);
    EXPECT_TRUE(nothing->change == AgentChange{} && !nothing->pinned && !nothing->retention && !nothing->id);
}

TEST(OwnRequests, AgentsAreNamed) {
    const auto spec = asked_for(read_agent_spec, R"({"id":"a","tools":[ {"type":"function"} ],"card":{"owner":"o"}})");
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_EQ(spec->tools, R"([{"type":"function"}])");
    EXPECT_EQ(spec->card.owner, "o");
    EXPECT_EQ(wrong_member(read_agent_spec, R"({"id":""})"), "id");
    EXPECT_EQ(wrong_member(read_agent_spec, R"({"id":"a","retention":7})"), "retention");
    EXPECT_EQ(wrong_member(read_fork, "{}"), "id");
    EXPECT_EQ(wrong_member(read_evict, R"({"to":"tape"})"), "to");
    EXPECT_EQ(*asked_for(read_evict, "{}"), AgentManager::EvictTo::disk);
}

TEST(OwnRequests, TurnsHaveBounds) {
    const auto asked = asked_for(kTurn, R"({"prompt":"p","max_tokens":0,"priority":-1000,"stream":true})");
    ASSERT_TRUE(asked) << asked.error().message;
    EXPECT_EQ(asked->request.max_tokens, 0U);
    EXPECT_EQ(asked->request.priority, -1000);
    EXPECT_TRUE(asked->stream);
    EXPECT_EQ(wrong_member(kTurn, "{}"), "prompt");
    EXPECT_EQ(wrong_member(kTurn, R"({"prompt":"p","max_tokens":-1})"), "max_tokens");
    EXPECT_EQ(wrong_member(kTurn, R"({"prompt":"p","priority":1001})"), "priority");
    EXPECT_EQ(wrong_member(kBatch, R"({"turns":[]})"), "turns");
    EXPECT_EQ(wrong_member(kBatch, R"({"turns":[{"agent":"a","prompt":"p"},{"agent":"a"}]})"), "turns[1].prompt");
    EXPECT_EQ(wrong_member(kBatch, R"({"turns":[{"agent":"a","prompt":"p","stream":true}]})"), "turns[0].stream");
}

TEST(OwnRequests, RunsHaveBounds) {
    const auto asked =
        asked_for(kRun, R"({"approvals":{"c1":"allow","c2":"deny"},"schema":{},"limits":{"steps":3,"seconds":60}})");
    ASSERT_TRUE(asked) << asked.error().message;
    EXPECT_EQ(asked->request.approvals, (std::map<std::string, bool>{{"c1", true}, {"c2", false}}));
    EXPECT_EQ(asked->request.format, AnswerFormat::json_schema);
    EXPECT_EQ(asked->request.limits, (RunLimits{.steps = 3, .time = std::chrono::seconds(60)}));
    EXPECT_EQ(wrong_member(kRun, R"({"prompt":""})"), "prompt");
    EXPECT_EQ(wrong_member(kRun, R"({"approvals":{"c1":true}})"), "approvals.c1");
    EXPECT_EQ(wrong_member(kRun, R"({"prompt":"p","limits":{"depth":65}})"), "limits.depth");
    EXPECT_EQ(wrong_member(kRun, R"({"prompt":"p","schema":[]})"), "schema");
    EXPECT_EQ(wrong_member(read_delegation, R"({"to":"b"})"), "task");
    EXPECT_EQ(wrong_member(read_delegation, R"({"to":"b","task":"t","limits":{"steps":0}})"), "limits.steps");
    const auto decided = asked_for(read_delegation, R"({"to":"b","approvals":{"b/c1":"deny"}})");
    ASSERT_TRUE(decided) << decided.error().message;
    EXPECT_TRUE(decided->request.messages.empty());
    EXPECT_EQ(decided->request.approvals, (std::map<std::string, bool>{{"b/c1", false}}));
    EXPECT_EQ(wrong_member(read_delegation, R"({"to":"b","approvals":{"b/c1":1}})"), "approvals.b/c1");
    EXPECT_EQ(wrong_member(read_workflow_run, R"({"definition":"d","inputs":[]})"), "inputs");
}

}  // namespace
}  // namespace engram::server
