// Agents that work together, in a program of one's own: a tool that the program has, and work for a colleague.
//
//     team MODEL.gguf [HOME]
#include <engram/teams.h>

#include <print>

namespace {

// What the keeper's agents may look up. A real one would read an instrument.
class Gauge : public engram::ToolSource {
  public:
    std::vector<engram::ChatTool> tools(const engram::AgentManager &, const engram::AgentInfo &agent) override {
        if (agent.id != "keeper") return {};
        return {{.name = "read_gauge", .description = "Reads the water level, in centimetres"}};
    }
    bool needs_approval(const engram::AgentInfo &, std::string_view) const override { return false; }
    engram::ToolOutcome call(const engram::ToolContext &, const engram::ChatToolCall &) override { return {.text = "412"}; }
};

engram::Result<void> give_work(const char *model, const char *home) {
    auto agents = engram::AgentManager::open({.home = home, .model = {.path = model}});
    if (!agents) return std::unexpected(agents.error());
    Gauge gauge;
    const auto runner = engram::open_runner({.home = home, .sources = {&gauge}});
    if (!runner) return std::unexpected(runner.error());
    if (!(*agents)->get("keeper")) {
        const engram::AgentSpec keeper{.id = "keeper", .system_prompt = "You keep the harbour."};
        if (const auto made = (*agents)->create(keeper); !made) return std::unexpected(made.error());
        engram::AgentSpec captain{.id = "captain", .system_prompt = "You are the captain."};
        captain.card.colleagues = {"keeper"};
        if (const auto made = (*agents)->create(captain); !made) return std::unexpected(made.error());
    }

    // With `delegate_to` the captain's model isn't asked: the keeper does the work with its own memory, and the captain remembers
    // task and answer. Without it the model decides, by the tool of the same name.
    engram::RunRequest request{.agent = "captain",
                               .messages = {{.role = "user", .content = "Is the water high enough to sail?"}}};
    request.delegate_to = "keeper";
    request.limits.result_tokens = 32;
    const auto done = (*runner)->run(**agents, request);
    if (!done) return std::unexpected(done.error());
    for (const engram::RunStep &step : done->steps) {
        std::println("{} gave work to {}: {}", step.agent, step.name, step.output);
        for (const engram::RunStep &answer : step.steps) {
            std::println("  [{}: {} of {} tokens reused]", answer.agent, answer.cached_tokens, answer.prompt_tokens);
        }
    }
    return {};
}

}  // namespace

int main(int argc, char **argv) {
    if (argc < 2) {
        std::println(stderr, "usage: team MODEL.gguf [HOME]");
        return 2;
    }
    if (const auto given = give_work(argv[1], argc > 2 ? argv[2] : "engram-home"); !given) {
        std::println(stderr, "{}", given.error().message);
        return 1;
    }
}
