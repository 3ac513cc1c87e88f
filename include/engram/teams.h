// Agents that act, and that work together.
//
// A *run* is one piece of work for one agent: a message, the model's calls of tools, their results, and so on until it answers.
// Each answer and each result is a turn of the agent, committed like any other; while a tool works the agent's memory may leave
// the context, and what follows computes no more than the result.
//
//     auto runner = engram::open_runner({.home = "/var/lib/me"});
//     auto done = (*runner)->run(agents, {.agent = "analyst", .messages = {{.role = "user", .content = "Look into the log."}}});
//
// Work is given to a colleague by the model (the tool `delegate_to`), or by whoever calls run (RunRequest::delegate_to).
//
// Threads: run may be called from any thread, for several agents at once; runs of one agent follow each other. Events come on the
// caller's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engram/agents.h"
#include "engram/chat.h"
#include "engram/error.h"

namespace engram {

struct RunLimits {
    std::uint32_t steps = 24;                        // answers of the model, those of agents that work was given to not counted
    std::chrono::milliseconds time{10 * 60 * 1000};  // all in all
    std::uint64_t tokens = 0;                        // computed and generated, by all who take part; 0: as many as it takes
    std::uint32_t result_tokens = 4096;              // of one tool's result: of a longer one the middle is left out
    std::uint32_t depth = 4;                         // agents that give work to agents: 1 is none
    bool operator==(const RunLimits &) const = default;
};

// What happened, for whoever wants to know how an answer came about.
struct RunStep {
    enum class Kind : std::uint8_t { answer, tool, delegation };
    Kind kind = Kind::answer;
    std::string agent;   // who
    std::string name;    // the tool; with `delegation`: to whom
    std::string input;   // the call's arguments, or the task
    std::string output;  // text of the answer or result, as the model read it
    bool failed = false;
    double ms = 0;
    std::uint64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;  // of an answer
    std::vector<RunStep> steps = {};                                        // of a delegation: what the other one did
};
std::string_view step_kind_name(RunStep::Kind kind);  // "answer", "tool", "delegation"

struct RunUsage {  // by all who took part
    std::uint64_t prompt_tokens = 0, cached_tokens = 0, answer_tokens = 0;
};

enum class RunEnd : std::uint8_t {
    answered,  // the model ended its turn without a call
    approval,  // calls wait for a person: RunResult::pending
    length,    // max_tokens of one answer
    context,   // the agent's context is full
    steps,     // the limits
    time,
    tokens,
    cancelled,
    failed,  // the model couldn't go on, or its calls could not be written down and aren't made: `warning` says why
};
std::string_view run_end_name(RunEnd end);  // the enumerators' names

struct RunRequest {
    std::string agent;
    // What is new to the agent. Empty: it goes on with calls that waited for approval, or that a run didn't come to. Where such
    // calls wait and there are messages, the model is told that they weren't made.
    std::vector<ChatMessage> messages;
    // Of calls that wait, by their ids in RunResult::pending: whether they may be made. A denied one is told to the model. Those
    // that nothing is said about wait on, and what was said is remembered. Only where there are no messages.
    std::map<std::string, bool> approvals = {};
    AnswerFormat format = AnswerFormat::text;  // of the last answer; with json_schema, `schema`
    std::string schema = {};
    Sampling sampling = {};
    std::uint32_t max_tokens = 1024;  // of each answer
    bool thinks = false;
    std::int32_t priority = 0;
    RunLimits limits = {};
    // Who gave this work, outermost first, when somebody did: agents here by their ids, those of other programs by any names.
    // None of them is given work by this run, and they count towards RunLimits::depth.
    std::vector<std::string> chain = {};
    // Not empty: this colleague of the agent's does the work, and the agent itself says nothing; it remembers the task and the
    // answer. What the tool delegate_to does, without a model that decides to call it. The messages are the user's, and
    // limits.result_tokens is the most that the colleague answers. Without messages: such work that waits for approvals goes on.
    std::string delegate_to = {};
};

struct RunResult {
    std::string text;  // of the last answer
    std::string thinking;
    RunEnd end = RunEnd::answered;
    // Calls of the last answer that weren't made: they wait for a person, or for another run. With RunEnd::approval also calls of
    // agents that work was given to; their ids say whose they are, "pilot/call_1", or "pilot/clerk/call_2" of the pilot's clerk.
    std::vector<ChatToolCall> pending;
    std::vector<RunStep> steps;
    RunUsage usage;
    bool committed = true;  // false: the last answer could not be written down, and the agent won't know of it
    std::string warning;
};

// Who makes a call of RunResult::pending, by its id; empty: the agent whose run it is.
constexpr std::string_view pending_agent(std::string_view id) {
    const std::size_t end = id.rfind('/');
    if (end == std::string_view::npos) return {};
    const std::size_t before = end == 0 ? std::string_view::npos : id.rfind('/', end - 1);
    return before == std::string_view::npos ? id.substr(0, end) : id.substr(before + 1, end - before - 1);
}

struct RunAnswering {  // an event of an answer under way
    std::string agent;
    ChatEvent event;
};
struct RunToolBegins {
    std::string agent;
    ChatToolCall call;
};
struct RunToolEnds {
    std::string agent;
    ChatToolCall call;
    std::string output;
    bool failed = false;
    double ms = 0;
};
struct RunToolProgress {  // as the tool tells it
    std::string agent;
    std::string call_id;
    double done = 0, total = 0;  // in the tool's unit; total 0: unknown
    std::string message;
};
using RunEvent = std::variant<RunAnswering, RunToolBegins, RunToolProgress, RunToolEnds>;
using RunSink = std::function<void(const RunEvent &)>;

// --- where tools come from ---

class RunBudget;

// What a call waits for that can't go on before a person has decided about calls of others.
struct ToolWait {
    std::vector<ChatToolCall> calls;             // with ids as in RunResult::pending
    std::string state = {};                      // for the source that made the call, to go on: any text
    std::map<std::string, bool> approvals = {};  // what was decided of them; those that aren't named wait on
};

// A call's surroundings. Everything in it outlives the call. `sink` may be called from the call's thread.
struct ToolContext {
    AgentManager &agents;
    const AgentInfo &agent;              // who calls
    std::span<const std::string> chain;  // the agents above it that gave it work, outermost first
    RunBudget &budget;                   // time and tokens that the whole run has left
    const RunLimits &limits;
    const RunSink &sink;
    std::stop_token stop;
    const ToolWait *wait = nullptr;  // not null: the call was made before and has waited since; now it goes on
};

struct ToolOutcome {
    std::string text;  // for the model
    bool failed = false;
    bool delegated = false;  // another agent worked: `name` of its step is `to`
    std::string to = {};
    std::vector<RunStep> steps = {};  // of that one
    RunUsage usage = {};
    // It has calls: there is no result yet. The run ends with RunEnd::approval and these among its `pending`, nothing is held up
    // meanwhile, and once a person has decided, the call is made again with ToolContext::wait, also by another process.
    ToolWait wait = {};
};

// Thread-safe: several runs call at once.
class ToolSource {
  public:
    virtual ~ToolSource() = default;
    // At the beginning of each run, before `tools`: what has to be asked elsewhere for them. `stop` is the run's, also when its
    // time is up. What couldn't be learned, a sentence each, is told in RunResult::warning.
    virtual std::vector<std::string> prepare(const AgentInfo &agent, const std::stop_token &stop) {
        static_cast<void>(agent);
        static_cast<void>(stop);
        return {};
    }
    // What the agent may call, always in the same order: they stand in the front of its prompt. Names are unique over all
    // sources.
    virtual std::vector<ChatTool> tools(const AgentManager &agents, const AgentInfo &agent) = 0;
    // Whether a person must allow each call.
    virtual bool needs_approval(const AgentInfo &agent, std::string_view tool) const = 0;
    // `call` names one of `tools`, and its arguments are a JSON object. Whatever goes wrong is an outcome that the model reads.
    virtual ToolOutcome call(const ToolContext &context, const ChatToolCall &call) = 0;
};

class HeldCalls;
class RunGates;
class TeamStore;

// As Runner::run does it.
using RunAgent = std::function<Result<RunResult>(AgentManager &, const RunRequest &, const RunSink &, std::stop_token)>;

class Runner {
  public:
    // They outlive the runner. `store`: keeps results and decisions of an answer whose other calls wait for a person; null: only
    // this runner knows them, and another one makes those calls again.
    explicit Runner(std::vector<ToolSource *> sources, TeamStore *store = nullptr);
    ~Runner();

    // Calls of one answer are made at the same time. A call that a crash interrupts is made again by the run that goes on.
    // Where one of them waits for a person, the others' results wait with it, and aren't made again. not_found (the agent),
    // invalid_argument (nothing to do; an approval of no call that waits; no such colleague), and what AgentManager::chat says of
    // the first answer. Later trouble ends the run with what there is, and `warning`.
    Result<RunResult> run(AgentManager &agents, const RunRequest &request, const RunSink &sink = {}, std::stop_token stop = {});

    // For a ToolSource that gives work to another agent: a run within the one that calls, which pays for it. The request's limits
    // of time and tokens count for nothing. With `above.wait` and no messages the agent's run goes on with its calls that wait
    // (approvals by their ids in that run); not_found: they wait no more, for somebody else has spoken to the agent.
    Result<RunResult> run_within(const ToolContext &above, const RunRequest &request);

  private:
    std::vector<ToolSource *> sources_;
    std::unique_ptr<RunGates> gates_;
    std::unique_ptr<HeldCalls> held_;
};

struct RunnerOptions {
    std::filesystem::path home;  // the AgentManager's, which has made it
    // JSON with "mcpServers" (tool servers), "a2aAgents" (agents elsewhere), or both; empty: mcp.json in the home folder, if
    // there is one. docs/TEAMS.md and docs/A2A.md say what may stand there.
    std::filesystem::path servers = {};
    // Tools of the program's own, beside those. Where two tools have one name, the servers', notes' and colleagues' is meant.
    // They outlive the runner.
    std::vector<ToolSource *> sources = {};
};

// A runner with all that the agents of a home may have by their cards: the tools of the servers, the notes of their team (kept in
// teams.db), and their colleagues here and elsewhere. Any tenant's manager of that home may be run with it. No server is started,
// and nobody is asked, before a run needs it. not_found and invalid_argument: the file; io, corrupt: teams.db.
Result<std::shared_ptr<Runner>> open_runner(const RunnerOptions &options);

}  // namespace engram
