#include <array>
#include <utility>

#include "engram/teams.h"
#include "teams/agent_run.h"
#include "teams/held_calls.h"
#include "teams/run_budget.h"
#include "teams/run_gates.h"

namespace engram {
namespace {

constexpr std::array<std::string_view, 9> kEnds{"answered", "approval", "length",    "context", "steps",
                                                "time",     "tokens",   "cancelled", "failed"};
constexpr std::array<std::string_view, 3> kStepKinds{"answer", "tool", "delegation"};

}  // namespace

std::string_view run_end_name(RunEnd end) { return kEnds[static_cast<std::size_t>(end)]; }
std::string_view step_kind_name(RunStep::Kind kind) { return kStepKinds[static_cast<std::size_t>(kind)]; }

Runner::Runner(std::vector<ToolSource *> sources, TeamStore *store)
    : sources_(std::move(sources)), gates_(std::make_unique<RunGates>()), held_(std::make_unique<HeldCalls>(store)) {}
Runner::~Runner() = default;

Result<RunResult> Runner::run(AgentManager &agents, const RunRequest &request, const RunSink &sink, std::stop_token stop) {
    ENGRAM_ASSIGN(AgentInfo info, agents.get(request.agent));
    RunBudget budget(request.limits.time, request.limits.tokens, std::move(stop));
    ENGRAM_ASSIGN(const RunGates::Hold hold, gates_->take({info.tenant, info.id}, {}, budget.stop()));
    AgentRun run({.agents = agents, .sources = sources_, .budget = budget, .held = *held_, .chain = request.chain}, request, sink,
                 std::move(info));
    return request.delegate_to.empty() ? run.go() : run.give();
}

Result<RunResult> Runner::run_within(const ToolContext &above, const RunRequest &request) {
    ENGRAM_ASSIGN(AgentInfo info, above.agents.get(request.agent));
    const RunGates::Agent asker(above.agent.tenant, above.agent.id);
    ENGRAM_ASSIGN(const RunGates::Hold hold, gates_->take({info.tenant, info.id}, asker, above.stop));
    std::vector<std::string> chain(above.chain.begin(), above.chain.end());
    chain.push_back(above.agent.id);
    std::vector<std::string> expected;
    if (above.wait != nullptr && request.messages.empty()) {
        for (const ChatToolCall &call : above.wait->calls) {
            if (const auto id = id_within(info.id, call.id)) expected.emplace_back(*id);
        }
    }
    AgentRun run({.agents = above.agents,
                  .sources = sources_,
                  .budget = above.budget,
                  .held = *held_,
                  .chain = std::move(chain),
                  .expected = std::move(expected)},
                 request, above.sink, std::move(info));
    return run.go();
}

}  // namespace engram
