// Measures what a model answers: runs a suite (suite.h) against a subject, and scores each answer (score.h).
//
//     auto suite = engram::eval::read_suite("suite.json");
//     auto subject = engram::eval::local_subject({.manager = options, .cold = true}, *suite);
//     auto report = engram::eval::run(*suite, **subject, {});
//
// A subject is a local model, each conversation an agent of its own that is told the conversation and forked for each question;
// or a server that speaks the OpenAI protocol. Answers are greedy. Questions of one conversation don't see each other.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engram/agents.h"
#include "engram/error.h"
#include "eval/score.h"
#include "eval/suite.h"

namespace engram::eval {

// One answer with what it cost.
struct Reply {
    Answer answer;
    std::string raw;     // as it was said, calls included
    std::string finish;  // "stop" when the model ended its turn by itself
    std::uint64_t prompt_tokens = 0, reused_tokens = 0;
    std::string tier;               // where reused tokens came from; empty when that isn't known
    std::optional<double> ttft_ms;  // not known of a server
};

class Subject {
  public:
    virtual ~Subject() = default;

    // The conversation that what follows is asked about; it outlives the questions.
    virtual Result<void> tell(const Conversation &conversation) = 0;
    virtual Result<Reply> ask(const Question &question, const std::stop_token &stop) = 0;  // cancelled
    // Of everything read so far; none when that isn't known.
    virtual std::optional<double> prefill_tokens_per_s() const = 0;
    // Whether a failure with this code says something about one question only, so that the run goes on; failures in a row may
    // still end it (most_failures).
    virtual bool goes_on_after(ErrorCode code) const = 0;
    virtual std::uint32_t most_failures() const = 0;  // one after the other
};

struct LocalOptions {
    ManagerOptions manager;  // home: a folder for this run; its context is made as large as the longest conversation needs
    bool cold = false;       // between telling and asking an agent leaves context and memory: answers come from what is on disk
    bool keep = false;       // agents stay in the home, named conversation-1, -2, …
};
// not_found, incompatible, … as AgentManager::open. A chat template without tools makes questions that need them failed ones.
Result<std::unique_ptr<Subject>> local_subject(LocalOptions options, const Suite &suite);

struct ServerOptions {
    std::string url;      // http://127.0.0.1:8080/v1, for instance; /chat/completions is appended
    std::string api_key;  // empty: none is sent
    std::string model;    // as the server calls it; empty: none is named
    double timeout_s = 600;
};
// invalid_argument. Nothing is sent yet.
Result<std::unique_ptr<Subject>> server_subject(ServerOptions options);

struct Outcome {
    const Conversation *conversation = nullptr;
    const Question *question = nullptr;
    Reply reply;
    double score = 0;
    std::string error;  // of a request that failed: the question counts as answered wrong
};

struct TaskRow {
    std::string task;
    std::uint64_t questions = 0, failed = 0;
    double score = 0;  // mean, 0 to 1
};

struct Report {
    std::vector<TaskRow> tasks;  // as the suite has them
    std::uint64_t questions = 0, failed = 0;
    std::string first_failure;   // its sentence
    double ended_by_itself = 0;  // share of the answers
    std::optional<double> prefill_tokens_per_s, median_ttft_ms;
};

struct RunOptions {
    std::string task;         // a regular expression (ECMAScript), found in the task's name; empty: all
    std::uint64_t limit = 0;  // questions of each task, the first ones; 0: all
    std::function<Result<void>(const Outcome &)> on_outcome;                   // an error ends the run
    std::function<void(std::uint64_t done, std::uint64_t total)> on_progress;  // questions
    std::stop_token stop;
};

// invalid_argument (no question is chosen, a bad expression), cancelled, and the subject's own when it can't go on.
Result<Report> run(const Suite &suite, Subject &subject, const RunOptions &options);

}  // namespace engram::eval
