// engram demo: three agents are created, talked to, killed with their process, and resumed from disk in another one.
//
// Session 1 runs in a child process that ends by SIGKILL. Session 2 is a new process over the same home. Two more processes give
// what it is compared with: a control, in which the same agents were never stopped, and a cold start, which has their transcripts
// but no KV.
#include <unistd.h>

#include <chrono>
#include <format>
#include <thread>

#include "agents/paths.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "config/options.h"
#include "engine/model.h"

namespace engram::cli {
namespace {

struct DemoArguments {
    std::uint32_t context = 2000;  // tokens to pad each agent's first prompt to; 0: none
    std::uint32_t max_tokens = 40;
    std::string geometry = "tiny-llama", type = "f32";
    bool keep = false;
};

struct Role {
    const char *id;
    const char *system;
    const char *first;
    const char *second;
};

constexpr Role kRoles[] = {
    {"tech_specialist", "You are a technical specialist. You look for causes in systems and say what to measure next.",
     "The checkout service answers in 4 seconds since release 7.3. The release changed the connection pool.",
     "What did I tell you about the release, and what would you measure first?"},
    {"biz_analyst", "You are a business analyst. You weigh cost, benefit and risk, in plain words.",
     "A slow checkout loses us about two of every hundred orders. An order is worth 80 on average.",
     "What does one slow day cost us, by what I told you?"},
    {"coordinator", "You are a coordinator. You bring the findings of others together and decide on the next step.",
     "The specialist suspects the connection pool; the analyst counts the lost orders. The next release is on Friday.",
     "Whom do we ask first, and what must be decided before the release?"},
};

// Filler in the middle of the first prompt; the facts stay at its ends.
std::string padding(std::size_t entries) {
    std::string text;
    for (std::size_t i = 0; i < entries; ++i)
        text += std::format(" Log entry {}: node {} reports state {}.", i, i * 37 % 101, i * 13 % 7);
    return text;
}

class Demo {
  public:
    Demo(const DemoArguments &arguments, const Context &context) : arguments_(arguments), out_(context.out) {}

    Result<ExitCode> run(const Context &context) {
        ENGRAM_ASSIGN(options_, manager_options(context.settings));
        ENGRAM_ASSIGN(model_, choose_model(options_.model.path, options_.home, arguments_.geometry, arguments_.type, out_));
        ENGRAM_ASSIGN(const WorkFolder folder, WorkFolder::make(options_.home, "demo-", arguments_.keep));
        folder_ = folder.path();
        options_.model.path = model_.path;
        options_.model.context_tokens =
            std::max(options_.model.context_tokens, arguments_.context + 2 * arguments_.max_tokens + 512);
        introduce();
        if (arguments_.context > 0) ENGRAM_TRY(choose_padding());
        headline("Session 1: three agents are created and told something. Then the process is killed (SIGKILL).");
        ENGRAM_ASSIGN(const Json first, in_child(Ending::killed, [this] { return session_one(); }));
        ENGRAM_TRY(copy_conversations());
        headline("Session 2: a new process finds them on disk.");
        ENGRAM_ASSIGN(const Json second, in_child(Ending::normal, [this] { return session_two(); }));
        headline("For comparison: the same agents never stopped, and a start without stored KV.");
        ENGRAM_ASSIGN(const Json control, in_child(Ending::normal, [this] { return control_session(); }));
        ENGRAM_ASSIGN(const Json cold, in_child(Ending::normal, [this] { return cold_session(); }));
        return conclude(second, control, cold);
    }

  private:
    void headline(std::string_view text) const {
        if (!out_.json()) out_.print(std::format("\n{}\n", out_.styled(text, Style::bold)));
    }

    void introduce() const {
        if (out_.json()) return;
        out_.print(std::format("model: {}{}\n", model_.name,
                               model_.synthetic
                                   ? " (synthetic: random weights, so its words mean nothing; what counts is that they "
                                     "are the same words. --model takes any GGUF)"
                                   : ""));
    }

    ManagerOptions options_in(const char *home) const {
        ManagerOptions options = options_;
        options.home = folder_ / home;
        return options;
    }

    // As many log entries as bring the first prompt to the wished number of tokens.
    Result<void> choose_padding() {
        ENGRAM_ASSIGN(
            const Json entries, in_child(Ending::normal, [this]() -> Result<Json> {
                ENGRAM_ASSIGN(const auto model, Model::load(options_.model, nullptr, nullptr));
                const auto tokens = [&](std::size_t n) {
                    return model->tokenise(std::string(kRoles[0].system) + kRoles[0].first + padding(n), true, true).size();
                };
                std::size_t low = 0;
                std::size_t high = arguments_.context;  // an entry has several tokens
                while (low < high) {
                    const std::size_t middle = (low + high) / 2;
                    tokens(middle) < arguments_.context ? low = middle + 1 : high = middle;
                }
                return Json(low);
            }));
        padding_entries_ = entries.get<std::size_t>();
        return {};
    }

    std::string first_prompt(const Role &role) const {
        std::string prompt = role.first;
        if (padding_entries_ > 0) prompt += padding(padding_entries_);
        return prompt;
    }

    Result<TurnResult> say(AgentManager &manager, const Role &role, const std::string &prompt, bool aloud) const {
        ENGRAM_ASSIGN(TurnResult result, manager.generate(role.id, {.prompt = prompt, .max_tokens = arguments_.max_tokens}));
        if (aloud && !out_.json()) {
            out_.print(
                std::format("  {} {}\n", out_.styled("you to " + std::string(role.id) + ":", Style::dim), one_line(prompt, 90)));
            out_.print(
                std::format("  {} {}\n", out_.styled(std::string(role.id) + ":", Style::green), one_line(result.text, 100)));
            out_.print(std::format("    {} of {} prompt tokens reused ({}), first token after {}\n",
                                   human_count(result.reused_tokens), human_count(result.prompt_tokens), result.tier,
                                   human_ms(result.ttft_ms)));
            std::fflush(stdout);
        }
        return result;
    }

    Result<Json> session_one() const {
        ENGRAM_ASSIGN(auto manager, AgentManager::open(options_in("home")));
        for (const Role &role : kRoles) {
            ENGRAM_TRY(manager->create({.id = role.id, .system_prompt = role.system}));
            ENGRAM_TRY(say(*manager, role, first_prompt(role), true));
        }
        // No save call: the blocks are written in the background. A process that lives a moment longer has them all on disk.
        while (manager->stats().queue_bytes > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (!out_.json()) out_.print(std::format("  process {} is killed now\n", ::getpid()));
        std::fflush(stdout);
        const std::uint64_t agents = manager->stats().agents;
        // Not closed: SIGKILL meets a manager with its threads, its queue and its open database.
        static_cast<void>(manager.release());
        return Json{{"agents", agents}};
    }

    Result<Json> session_two() const {
        ENGRAM_ASSIGN(const auto manager, AgentManager::open(options_in("home")));
        Json agents = Json::array();
        for (const Role &role : kRoles) {
            ENGRAM_ASSIGN(const AgentInfo info, manager->get(role.id));
            ENGRAM_ASSIGN(const TurnResult result, say(*manager, role, role.second, true));
            agents.push_back({{"id", role.id},
                              {"tokens_resumed", result.reused_tokens},
                              {"tier", result.tier},
                              {"restore_ms", result.restore_ms},
                              {"ttft_ms", result.ttft_ms},
                              {"bytes_on_disk", info.disk_bytes},
                              {"answer", result.text},
                              {"tokens", result.tokens},
                              {"miss", result.miss ? Json(result.miss->reason) : Json(nullptr)}});
        }
        return agents;
    }

    // Never stopped. Where a model has a sliding window, its cells lie in a ring, and where they lie shows in the last bits; the
    // control's agent then leaves the context between its turns and comes back, so that its cells are placed alike.
    Result<Json> control_session() const {
        ENGRAM_ASSIGN(const auto manager, AgentManager::open(options_in("control")));
        const bool has_ring = manager->stats().memory_class == "window";
        Json agents = Json::array();
        for (const Role &role : kRoles) {
            ENGRAM_TRY(manager->create({.id = role.id, .system_prompt = role.system}));
            ENGRAM_TRY(say(*manager, role, first_prompt(role), false));
            if (has_ring) ENGRAM_TRY(manager->evict(role.id, AgentManager::EvictTo::memory));
            ENGRAM_ASSIGN(const TurnResult result, say(*manager, role, role.second, false));
            agents.push_back({{"answer", result.text}, {"tokens", result.tokens}});
        }
        return agents;
    }

    Result<Json> cold_session() const {
        ManagerOptions options = options_in("cold");
        options.persist = false;
        ENGRAM_ASSIGN(const auto manager, AgentManager::open(options));
        Json agents = Json::array();
        for (const Role &role : kRoles) {
            ENGRAM_ASSIGN(const TurnResult result, say(*manager, role, role.second, false));
            agents.push_back({{"ttft_ms", result.ttft_ms}, {"reused", result.reused_tokens}});
        }
        return agents;
    }

    // Transcripts and tokens without KV, as they were after session 1.
    Result<void> copy_conversations() const {
        ENGRAM_TRY(ensure_home(folder_ / "cold"));
        std::error_code error;
        for (const char *suffix : {"", "-wal"}) {
            const std::filesystem::path from = registry_path(folder_ / "home").string() + suffix;
            const std::filesystem::path to = registry_path(folder_ / "cold").string() + suffix;
            if (std::filesystem::exists(from)) std::filesystem::copy_file(from, to, error);
            if (error) return fail(ErrorCode::io, std::format("{} could not be copied: {}", from.string(), error.message()));
        }
        return {};
    }

    Result<ExitCode> conclude(const Json &second, const Json &control, const Json &cold) const {
        Json agents = Json::array();
        Table table({"agent", ">resumed", "from", ">restore", ">first token", ">cold", ">ratio", ">on disk", "answer"});
        bool all_identical = true;
        for (std::size_t i = 0; i < second.size(); ++i) {
            const Json &resumed = second[i];
            const double ttft = resumed["ttft_ms"];
            const double cold_ttft = cold[i]["ttft_ms"];
            const bool identical = resumed["tokens"] == control[i]["tokens"];
            all_identical = all_identical && identical && resumed["tokens_resumed"].get<std::uint64_t>() > 0;
            agents.push_back({{"id", resumed["id"]},
                              {"tokens_resumed", resumed["tokens_resumed"]},
                              {"tier", resumed["tier"]},
                              {"restore_ms", resumed["restore_ms"]},
                              {"ttft_ms", ttft},
                              {"cold_ttft_ms", cold_ttft},
                              {"ratio", cold_ttft / ttft},
                              {"bytes_on_disk", resumed["bytes_on_disk"]},
                              {"answer", resumed["answer"]},
                              {"control_answer", control[i]["answer"]},
                              {"identical", identical}});
            table.add({resumed["id"], human_count(resumed["tokens_resumed"]), resumed["tier"], human_ms(resumed["restore_ms"]),
                       human_ms(ttft), human_ms(cold_ttft), std::format("{:.0f} x", cold_ttft / ttft),
                       human_bytes(resumed["bytes_on_disk"]), identical ? "as never stopped" : "DIFFERS"});
        }
        out_.facts(
            {{"model", model_.name}, {"synthetic", model_.synthetic}, {"session_1_ended_by", "SIGKILL"}, {"agents", agents}},
            "\n" + table.text());
        if (all_identical) return ExitCode::ok;
        return fail(ErrorCode::internal,
                    "an agent did not answer as its control that was never stopped: this is a bug, please report it with "
                    "the output of engram demo --json and engram doctor");
    }

    const DemoArguments &arguments_;
    const Output &out_;
    ManagerOptions options_;
    ChosenModel model_;
    std::filesystem::path folder_;
    std::size_t padding_entries_ = 0;
};

}  // namespace

void add_demo_command(CommandLine &line) {
    auto arguments = argument<DemoArguments>();
    CLI::App &app = line.command("demo", "three agents, killed with their process and resumed from disk",
                                 [arguments](Context &context) { return Demo(*arguments, context).run(context); });
    app.add_option("--context", arguments->context, "pad each agent's first prompt to this many tokens [2000]; 0: as it is")
        ->check(CLI::Range(0, 1 << 20));
    app.add_option("--max-tokens", arguments->max_tokens, "tokens of each answer [40]")->check(CLI::Range(1, 4096));
    app.add_option("--geometry", arguments->geometry, "synthetic model to use when no --model is given [tiny-llama]");
    app.add_option("--type", arguments->type, "type of the synthetic model's weights [f32]");
    app.add_flag("--keep", arguments->keep, "keep the demo's folder under ENGRAM_HOME");
}

}  // namespace engram::cli
