#include <algorithm>
#include <format>
#include <map>
#include <regex>
#include <set>
#include <utility>

#include "eval/eval.h"

namespace engram::eval {
namespace {

struct Selected {
    const Conversation *conversation = nullptr;
    std::vector<const Question *> questions;
};

Result<std::vector<Selected>> select(const Suite &suite, const RunOptions &options) {
    std::regex task;
    try {
        task.assign(options.task);
    } catch (const std::regex_error &error) {
        return fail(ErrorCode::invalid_argument,
                    std::format("\"{}\" is no regular expression for a task: {}", options.task, error.what()));
    }
    std::set<std::string_view> matching;
    std::map<std::string_view, std::uint64_t> chosen;
    std::vector<Selected> selection;
    for (const Conversation &conversation : suite.conversations) {
        Selected selected{.conversation = &conversation, .questions = {}};
        for (const Question &question : conversation.questions) {
            const auto [count, is_new] = chosen.try_emplace(question.task, 0);
            if (is_new && std::regex_search(question.task, task)) matching.insert(question.task);
            if (!matching.contains(question.task) || (options.limit > 0 && count->second == options.limit)) continue;
            ++count->second;
            selected.questions.push_back(&question);
        }
        if (!selected.questions.empty()) selection.push_back(std::move(selected));
    }
    if (!selection.empty()) return selection;
    return fail(ErrorCode::invalid_argument, options.task.empty()
                                                 ? "the suite has no questions"
                                                 : std::format("the suite has no task like \"{}\"", options.task));
}

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

class Runner {
  public:
    Runner(Subject &subject, const RunOptions &options, std::uint64_t total)
        : subject_(subject), options_(options), total_(total) {}

    Result<void> converse(const Selected &selected) {
        if (options_.stop.stop_requested()) return fail(ErrorCode::cancelled, "the evaluation was stopped");
        const Result<void> told = subject_.tell(*selected.conversation);
        if (!told && !subject_.goes_on_after(told.error().code)) {
            return std::unexpected(Error(told.error()).within(selected.conversation->id));
        }
        for (const Question *question : selected.questions) {
            ENGRAM_TRY(ask({.conversation = selected.conversation, .question = question, .reply = {}}, told));
        }
        return {};
    }

    Report report() && {
        for (TaskRow &row : report_.tasks) row.score /= static_cast<double>(row.questions);
        report_.ended_by_itself = answers_ == 0 ? 0 : static_cast<double>(ended_) / static_cast<double>(answers_);
        report_.prefill_tokens_per_s = subject_.prefill_tokens_per_s();
        if (!ttft_ms_.empty()) report_.median_ttft_ms = median(std::move(ttft_ms_));
        return std::move(report_);
    }

  private:
    Result<void> ask(Outcome outcome, const Result<void> &told) {
        Result<Reply> reply = told ? subject_.ask(*outcome.question, options_.stop) : std::unexpected(told.error());
        if (reply) {
            outcome.reply = *std::move(reply);
            outcome.score = score(outcome.question->expect, outcome.reply.answer);
            failures_ = 0;
        } else if (subject_.goes_on_after(reply.error().code)) {
            outcome.error = std::move(reply.error().message);
            if (++failures_ == subject_.most_failures()) {
                return fail(reply.error().code,
                            std::format("{} requests failed one after the other, the last one: {}", failures_, outcome.error));
            }
        } else {
            return std::unexpected(std::move(reply.error()));
        }
        count(outcome);
        if (options_.on_outcome) ENGRAM_TRY(options_.on_outcome(outcome));
        if (options_.on_progress) options_.on_progress(report_.questions, total_);
        return {};
    }

    void count(const Outcome &outcome) {
        auto row = std::ranges::find(report_.tasks, outcome.question->task, &TaskRow::task);
        if (row == report_.tasks.end()) row = report_.tasks.insert(row, {.task = outcome.question->task});
        ++report_.questions;
        ++row->questions;
        row->score += outcome.score;
        if (!outcome.error.empty()) {
            ++report_.failed;
            ++row->failed;
            if (report_.first_failure.empty()) report_.first_failure = outcome.error;
            return;
        }
        ++answers_;
        ended_ += outcome.reply.finish == "stop" ? 1 : 0;
        if (outcome.reply.ttft_ms) ttft_ms_.push_back(*outcome.reply.ttft_ms);
    }

    Subject &subject_;
    const RunOptions &options_;
    const std::uint64_t total_;
    Report report_;
    std::uint64_t answers_ = 0, ended_ = 0;
    std::uint32_t failures_ = 0;  // one after the other
    std::vector<double> ttft_ms_;
};

}  // namespace

Result<Report> run(const Suite &suite, Subject &subject, const RunOptions &options) {
    ENGRAM_ASSIGN(const std::vector<Selected> selection, select(suite, options));
    std::uint64_t total = 0;
    for (const Selected &selected : selection) total += selected.questions.size();
    Runner runner(subject, options, total);
    for (const Selected &selected : selection) ENGRAM_TRY(runner.converse(selected));
    return std::move(runner).report();
}

}  // namespace engram::eval
