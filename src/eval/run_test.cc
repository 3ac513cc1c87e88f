// The runner against a subject that answers from a script.
#include <gtest/gtest.h>

#include <algorithm>
#include <format>

#include "eval/eval.h"

namespace engram::eval {
namespace {

// Answers "right" unless told otherwise; counts what it is asked.
class ScriptedSubject final : public Subject {
  public:
    Result<void> tell(const Conversation &conversation) override {
        told.push_back(conversation.id);
        return refuses_to_hear == conversation.id ? fail(ErrorCode::unsupported, "no tools here") : Result<void>();
    }
    Result<Reply> ask(const Question &question, const std::stop_token &) override {
        asked.push_back(question.content);
        if (std::ranges::contains(failing, question.content)) return fail(code, "request " + question.content);
        const bool right = !std::ranges::contains(wrong, question.content);
        return Reply{.answer = answer_of(right ? "right" : "false"),
                     .raw = "x",
                     .finish = right ? "stop" : "length",
                     .ttft_ms = static_cast<double>(asked.size())};
    }
    std::optional<double> prefill_tokens_per_s() const override { return 1234; }
    bool goes_on_after(ErrorCode failed) const override { return failed == ErrorCode::io || failed == ErrorCode::unsupported; }
    std::uint32_t most_failures() const override { return 3; }

    std::vector<std::string> told, asked, failing, wrong;
    std::string refuses_to_hear;
    ErrorCode code = ErrorCode::io;
};

// Four conversations, each with two questions of task "a" and one of task "b".
Suite suite() {
    Suite suite{.name = "s", .description = {}};
    for (int i = 0; i < 4; ++i) {
        Conversation conversation{.id = std::format("c{}", i), .tools = {}, .messages = {}, .questions = {}};
        for (const char *task : {"a", "b", "a"}) {
            conversation.questions.push_back({.task = task,
                                              .content = std::format("{}{}", i, conversation.questions.size()),
                                              .expect = {.contains = {"right"}}});
        }
        suite.conversations.push_back(std::move(conversation));
    }
    return suite;
}

TEST(Run, AddsUpByTask) {
    const Suite all = suite();
    ScriptedSubject subject;
    subject.wrong = {"00", "11", "30"};
    std::vector<double> scores;
    std::uint64_t done = 0;
    const auto report = run(all, subject,
                            {.on_outcome = [&](const Outcome &outcome) -> Result<void> {
                                 scores.push_back(outcome.score);
                                 return {};
                             },
                             .on_progress =
                                 [&](std::uint64_t now, std::uint64_t total) {
                                     EXPECT_EQ(now, ++done);
                                     EXPECT_EQ(total, 12U);
                                 }});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    ASSERT_EQ(report->tasks.size(), 2U);
    EXPECT_EQ(report->tasks[0].task, "a");
    EXPECT_EQ(report->tasks[0].questions, 8U);
    EXPECT_DOUBLE_EQ(report->tasks[0].score, 6.0 / 8);
    EXPECT_DOUBLE_EQ(report->tasks[1].score, 3.0 / 4);
    EXPECT_EQ(report->questions, 12U);
    EXPECT_EQ(report->failed, 0U);
    EXPECT_DOUBLE_EQ(report->ended_by_itself, 9.0 / 12);
    EXPECT_EQ(report->prefill_tokens_per_s, 1234);
    EXPECT_EQ(report->median_ttft_ms, 7);
    EXPECT_EQ(std::ranges::count(scores, 0.0), 3);
    EXPECT_EQ(subject.told, (std::vector<std::string>{"c0", "c1", "c2", "c3"}));
}

TEST(Run, ChoosesTasksAndLimits) {
    const Suite all = suite();
    ScriptedSubject subject;
    EXPECT_EQ(run(all, subject, {.task = "^b$"})->questions, 4U);
    EXPECT_EQ(subject.asked, (std::vector<std::string>{"01", "11", "21", "31"}));
    ScriptedSubject limited;
    EXPECT_EQ(run(all, limited, {.limit = 3})->questions, 6U);
    EXPECT_EQ(limited.asked, (std::vector<std::string>{"00", "01", "02", "10", "11", "21"}));
    EXPECT_EQ(limited.told, (std::vector<std::string>{"c0", "c1", "c2"})) << "nobody is told what nothing is asked about";
    EXPECT_EQ(run(all, subject, {.task = "z"}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(run(all, subject, {.task = "("}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(run(Suite{}, subject, {}).error().code, ErrorCode::invalid_argument);
}

TEST(Run, AFailedRequestIsAWrongAnswer) {
    const Suite all = suite();
    ScriptedSubject subject;
    subject.failing = {"00", "01", "10", "31"};
    const auto report = run(all, subject, {});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_EQ(report->failed, 4U);
    EXPECT_EQ(report->tasks[0].failed, 2U);
    EXPECT_DOUBLE_EQ(report->tasks[0].score, 6.0 / 8);
    EXPECT_EQ(report->first_failure, "request 00");
    EXPECT_DOUBLE_EQ(report->ended_by_itself, 1) << "only answers count";
}

TEST(Run, FailuresInARowStopIt) {
    const Suite all = suite();
    ScriptedSubject subject;
    subject.failing = {"01", "02", "10"};
    const auto report = run(all, subject, {});
    ASSERT_FALSE(report.has_value());
    EXPECT_EQ(report.error().message, "3 requests failed one after the other, the last one: request 10");
    EXPECT_EQ(subject.asked.size(), 4U);
}

TEST(Run, OtherErrorsStopItAtOnce) {
    const Suite all = suite();
    ScriptedSubject subject;
    subject.failing = {"01"};
    subject.code = ErrorCode::engine;
    EXPECT_EQ(run(all, subject, {}).error().code, ErrorCode::engine);
    EXPECT_EQ(subject.asked.size(), 2U);
    ScriptedSubject good;
    const auto full = [](const Outcome &) -> Result<void> { return fail(ErrorCode::io, "the disk is full"); };
    EXPECT_EQ(run(all, good, {.on_outcome = full}).error().code, ErrorCode::io);
    EXPECT_EQ(good.asked.size(), 1U);
}

TEST(Run, WhatCantBeToldFailsItsQuestions) {
    const Suite all = suite();
    ScriptedSubject subject;
    subject.refuses_to_hear = "c1";
    const auto report = run(all, subject, {.task = "b"});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_EQ(report->failed, 1U);
    EXPECT_EQ(report->first_failure, "no tools here");
    EXPECT_EQ(subject.asked.size(), 3U);
}

TEST(Run, IsStopped) {
    const Suite all = suite();
    ScriptedSubject subject;
    std::stop_source stop;
    const auto on_outcome = [&](const Outcome &) -> Result<void> {
        if (subject.asked.size() == 3) stop.request_stop();
        return {};
    };
    EXPECT_EQ(run(all, subject, {.on_outcome = on_outcome, .stop = stop.get_token()}).error().code, ErrorCode::cancelled);
    EXPECT_EQ(subject.asked.size(), 3U);
}

}  // namespace
}  // namespace engram::eval
