// A local model under a suite. Its words mean nothing, so what is expected of it is what a control run of the same model said.
#include <gtest/gtest.h>

#include "agents/testing_manager.h"
#include "eval/eval.h"

namespace engram::eval {
namespace {

using engram::testing::filler;
using engram::testing::must;
using engram::testing::open_manager;
using engram::testing::TemporaryFolder;
using engram::testing::test_name;
using engram::testing::tiny_manager;

const std::string kTools = R"([{"type":"function","function":{"name":"get_weather"}}])";
const std::string kCalls = R"([{"type":"function","function":{"name":"get_weather","arguments":{"city":"Lisbon"}}}])";

// Two conversations, one with tools; each with a question, a tool's result, and a question again.
Suite conversations() {
    Suite suite{.name = "s", .description = {}};
    suite.conversations.push_back({.id = "plain",
                                   .tools = {},
                                   .messages = {{.role = "system", .content = "Be brief."},
                                                {.role = "user", .content = filler(150, 1)},
                                                {.role = "assistant", .content = "It is noted."}},
                                   .questions = {}});
    suite.conversations.push_back(
        {.id = "tools",
         .tools = kTools,
         .messages = {{.role = "user", .content = filler(80, 2)}, {.role = "assistant", .content = "", .tool_calls = kCalls}},
         .questions = {}});
    for (Conversation &conversation : suite.conversations) {
        conversation.questions = {{.task = "words", .content = "What did I say?", .max_tokens = 24},
                                  {.task = "results", .role = "tool", .content = "{\"t\": 21}", .max_tokens = 16},
                                  {.task = "words", .content = "And before that?", .max_tokens = 24}};
    }
    return suite;
}

// What the model says to each question when nothing but that question follows the conversation.
std::vector<std::string> control_answers(const Suite &suite, const std::string &geometry) {
    std::vector<std::string> answers;
    for (const Conversation &conversation : suite.conversations) {
        for (const Question &question : conversation.questions) {
            const TemporaryFolder home;
            auto manager = open_manager(tiny_manager(home.path(), geometry));
            must(manager->create({.id = "control", .tools = conversation.tools}));
            must(manager->append("control", conversation.messages));
            answers.push_back(
                must(manager->generate("control",
                                       {.prompt = question.content, .role = question.role, .max_tokens = question.max_tokens}))
                    .text);
        }
    }
    return answers;
}

void expect_answers(Suite &suite, const std::vector<std::string> &answers) {
    std::size_t next = 0;
    for (Conversation &conversation : suite.conversations) {
        for (Question &question : conversation.questions) question.expect = {.any_of = {answers.at(next++)}};
    }
}

class LocalSubjectTest : public ::testing::TestWithParam<std::string> {
  protected:
    Report examine(const Suite &suite, bool cold, const std::string &stored_type = {}) {
        const TemporaryFolder home;
        ManagerOptions options = tiny_manager(home.path(), GetParam());
        options.model.context_tokens = 64;  // far too few: the suite decides
        options.storage.stored_type = stored_type;
        auto subject = must(local_subject({.manager = options, .cold = cold}, suite));
        if (!subject) return {};
        replies_.clear();
        return must(run(suite, *subject, {.on_outcome = [this](const Outcome &outcome) -> Result<void> {
                            replies_.push_back(outcome.reply);
                            return {};
                        }}));
    }

    std::vector<Reply> replies_;
};

TEST_P(LocalSubjectTest, QuestionsDontSeeEachOther) {
    Suite suite = conversations();
    expect_answers(suite, control_answers(suite, GetParam()));
    const Report report = examine(suite, false);
    EXPECT_EQ(report.questions, 6U);
    EXPECT_EQ(report.failed, 0U) << report.first_failure;
    for (const TaskRow &row : report.tasks) EXPECT_DOUBLE_EQ(row.score, 1) << row.task;
    EXPECT_GT(report.prefill_tokens_per_s.value_or(0), 0);
    EXPECT_GT(report.median_ttft_ms.value_or(0), 0);
    EXPECT_DOUBLE_EQ(report.ended_by_itself, 0) << "such a model never ends its turn";

    suite.conversations[0].questions[0].expect.any_of = {replies_[0].raw + "!"};
    EXPECT_DOUBLE_EQ(examine(suite, false).tasks[0].score, 0.75) << "one of four is wrong now";
}

TEST_P(LocalSubjectTest, ColdAnswersComeFromDiskAndAreTheSame) {
    Suite suite = conversations();
    expect_answers(suite, control_answers(suite, GetParam()));
    const Report report = examine(suite, true);
    for (const TaskRow &row : report.tasks) EXPECT_DOUBLE_EQ(row.score, 1) << row.task;
    for (const Reply &reply : replies_) {
        EXPECT_EQ(reply.tier, "disk");
        EXPECT_GT(reply.reused_tokens, reply.prompt_tokens / 2);
    }
}

// Not a window model: its cells lie in a ring, where depends on who was there before, and a random model's words on the last bits
// (docs/adr/0005-window-cells-and-placement.md).
INSTANTIATE_TEST_SUITE_P(Classes, LocalSubjectTest, ::testing::Values("tiny-llama", "tiny-lfm2", "tiny-mamba"),
                         [](const auto &tested) { return test_name(tested.param); });

using LossyStorage = LocalSubjectTest;
INSTANTIATE_TEST_SUITE_P(OneModel, LossyStorage, ::testing::Values("tiny-llama"), [](const auto &) { return "tiny_llama"; });

// A random model's words change with its last bits: what is stored as q4_0 must show, or nothing lossy was measured.
TEST_P(LossyStorage, ShowsInColdAnswers) {
    const Suite suite = [] {
        Suite made = conversations();
        for (Conversation &conversation : made.conversations) {
            for (Question &question : conversation.questions) {
                question.max_tokens = 100;
                question.expect = {.contains = {"x"}};
            }
        }
        return made;
    }();
    examine(suite, true);
    const std::vector<Reply> exact = replies_;
    examine(suite, true, "q4_0");
    std::size_t different = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) different += exact[i].raw != replies_[i].raw ? 1 : 0;
    EXPECT_GT(different, 0U);
    examine(suite, false, "q4_0");
    for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(exact[i].raw, replies_[i].raw) << "from host memory it is exact";
}

TEST(LocalSubject, KeepsItsAgentsWhenAsked) {
    const TemporaryFolder home;
    Suite suite = conversations();
    for (Conversation &conversation : suite.conversations) {
        for (Question &question : conversation.questions) question.expect = {.contains = {"x"}};
    }
    const ManagerOptions options = tiny_manager(home.path());
    must(run(suite, *must(local_subject({.manager = options, .keep = true}, suite)), {}));
    auto manager = open_manager(options);
    const auto agents = must(manager->list());
    ASSERT_EQ(agents.size(), 2U) << "no fork stays";
    EXPECT_EQ(agents[0].description, "plain");
    EXPECT_EQ(agents[1].tools, kTools);
    EXPECT_EQ(agents[1].n_messages, 2U);
}

TEST(LocalSubject, WithoutAModelItSaysSo) {
    const TemporaryFolder home;
    ManagerOptions options = tiny_manager(home.path());
    options.model.path = home.path() / "none.gguf";
    EXPECT_EQ(local_subject({.manager = options}, conversations()).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace engram::eval
