// engram demo: three agents are created, talked to, killed with their process, and resumed from disk in another one.
//
// Session 1 runs in a child process that ends by SIGKILL. Session 2 is a new process over the same home. Two more processes give
// what it is compared with: a control, in which the same agents were never stopped, and a cold start, which has their transcripts
// but no KV.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <format>
#include <optional>
#include <thread>

#include "agents/paths.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "config/installed_file.h"
#include "config/options.h"
#include "eval/score.h"
#include "registry/registry.h"

namespace engram::cli {
namespace {

struct DemoArguments {
    std::optional<std::uint32_t> context;  // tokens that each agent has read before it is asked; 0: its facts alone
    std::uint32_t max_tokens = 40;
    std::string geometry, type = "f32";  // no geometry: the model that is set, or the installed one, or kGeometry
    bool keep = false;
};

constexpr const char *kGeometry = "tiny-llama";
constexpr std::uint32_t kContext = 2000;  // enough that reading it costs what one can see

struct Fact {
    const char *told;      // in session 1
    const char *asked;     // in session 2
    const char *recalled;  // a right answer holds it
};

struct Role {
    const char *id;
    const char *system;
    std::array<Fact, 2> facts;
};

// Everything that is said in the demo.
constexpr std::array<Role, 3> kRoles{{
    {"tech_specialist",
     "You are Ada, the technical agent. You remember what you are told.",
     {{{"The access code for server Kestrel is KRWQZ.", "What is the access code for server Kestrel?", "KRWQZ"},
       {"The port of server Kestrel is 8471.", "What is the port of server Kestrel?", "8471"}}}},
    {"biz_analyst",
     "You are Ben, the business agent. You remember what you are told.",
     {{{"The code word for project Falcon is BXTLM.", "What is the code word for project Falcon?", "BXTLM"},
       {"The budget of project Falcon is 48200.", "What is the budget of project Falcon?", "48200"}}}},
    {"coordinator",
     "You are Clara, the coordinator. You remember what you are told.",
     {{{"The call sign of team Harbor is DVHPN.", "What is the call sign of team Harbor?", "DVHPN"},
       {"The deadline for project Falcon is 14 March.", "What is the deadline for project Falcon?", "14 March"}}}},
}};

// What an agent reads between the two facts. Each report is another one.
std::string report(std::size_t number) {
    static constexpr std::array kDays{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"};
    static constexpr std::array kTeams{"office", "workshop", "kitchen", "garden", "harbour", "library", "station"};
    static constexpr std::array kDone{"moved", "counted", "sorted", "checked", "packed", "cleaned"};
    static constexpr std::array kThings{"chairs", "lamps", "books", "windows", "tables", "bottles", "letters", "shelves"};
    std::string text = "Please read this report.";
    for (std::size_t i = number * 8; i < (number + 1) * 8; ++i) {
        text += std::format(" On {} the {} {} {} boxes of {}.", kDays[i % kDays.size()], kTeams[i % kTeams.size()],
                            kDone[i % kDone.size()], 2 + i * 37 % 58, kThings[i % kThings.size()]);
    }
    return text;
}

class Demo {
  public:
    Demo(const DemoArguments &arguments, const Context &context) : arguments_(arguments), out_(context.out) {}

    Result<ExitCode> run(const Context &context) {
        ENGRAM_ASSIGN(options_, manager_options(context.settings));
        if (options_.model.path.empty() && arguments_.geometry.empty()) {
            options_.model.path = installed_file(kInstalledModel).value_or(std::filesystem::path());
        }
        const std::string geometry = arguments_.geometry.empty() ? kGeometry : arguments_.geometry;
        ENGRAM_ASSIGN(model_, choose_model(options_.model.path, options_.home, geometry, arguments_.type, out_));
        context_ = arguments_.context.value_or(kContext);
        ENGRAM_ASSIGN(const WorkFolder folder, WorkFolder::make(options_.home, "demo-", arguments_.keep));
        folder_ = folder.path();
        options_.model.path = model_.path;
        options_.model.context_tokens = std::max(options_.model.context_tokens, context_ + 4 * arguments_.max_tokens + 512);
        introduce();
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
        options.storage.preload = false;  // so that what comes back comes from disk
        return options;
    }

    Result<void> tell(AgentManager &manager, const Role &role, bool aloud) const {
        ENGRAM_TRY(manager.create({.id = role.id, .system_prompt = role.system}));
        ENGRAM_TRY(say(manager, role, role.facts[0].told, aloud));
        ENGRAM_TRY(read_reports(manager, role, aloud));
        ENGRAM_TRY(say(manager, role, role.facts[1].told, aloud));
        return {};
    }

    // Reports, until the agent has read `context_` tokens; what it says to them is given, so that it costs no time.
    Result<void> read_reports(AgentManager &manager, const Role &role, bool aloud) const {
        std::size_t n_reports = 0;
        ENGRAM_ASSIGN(AgentInfo info, manager.get(role.id));
        for (; info.n_tokens < context_; ++n_reports) {
            const std::array<Message, 2> messages{
                {{.role = "user", .content = report(n_reports)}, {.role = "assistant", .content = "Thank you for the report."}}};
            ENGRAM_TRY(manager.append(role.id, messages));
            ENGRAM_ASSIGN(info, manager.get(role.id));
        }
        if (aloud && !out_.json() && n_reports > 0) {
            out_.print(std::format("  {} reads {} reports: {} tokens in all\n", role.id, n_reports, human_count(info.n_tokens)));
        }
        return {};
    }

    Result<Json> ask(AgentManager &manager, const Role &role, const Fact &fact, bool aloud) const {
        ENGRAM_ASSIGN(const TurnResult result, say(manager, role, fact.asked, aloud));
        return Json{{"question", fact.asked},
                    {"answer", result.text},
                    {"tokens", result.tokens},
                    {"expected", fact.recalled},
                    {"recalled", eval::holds_phrase(result.text, fact.recalled)},
                    {"tokens_resumed", result.reused_tokens},
                    {"tier", result.tier},
                    {"restore_ms", result.restore_ms},
                    {"ttft_ms", result.ttft_ms}};
    }

    // Both questions to one agent.
    Result<Json> ask_all(AgentManager &manager, const Role &role, bool aloud) const {
        Json answers = Json::array();
        for (const Fact &fact : role.facts) {
            ENGRAM_ASSIGN(Json answer, ask(manager, role, fact, aloud));
            answers.push_back(std::move(answer));
        }
        return answers;
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

    // Until every agent's newest manifest is in the registry, as another process would see it; a few seconds at most.
    Result<void> wait_until_written() const {
        ENGRAM_ASSIGN(const auto registry, Registry::open(registry_path(folder_ / "home")));
        const auto written = [&](const AgentRow &row) {
            const auto manifest = registry->manifest(row.key);
            return manifest && *manifest && (*manifest)->n_kv + 1 >= row.n_tokens;
        };
        for (int tries = 0; tries < 1000; ++tries) {
            ENGRAM_ASSIGN(const std::vector<AgentRow> rows, registry->list(""));
            if (std::ranges::all_of(rows, written)) break;
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return {};
    }

    Result<Json> session_one() const {
        ENGRAM_ASSIGN(auto manager, AgentManager::open(options_in("home")));
        for (const Role &role : kRoles) {
            ENGRAM_TRY(tell(*manager, role, true));
        }
        // No save call: blocks and manifests are written in the background. A process that lives a moment longer has all on disk.
        ENGRAM_TRY(wait_until_written());
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
            ENGRAM_ASSIGN(Json answers, ask_all(*manager, role, true));
            agents.push_back({{"id", role.id}, {"bytes_on_disk", info.disk_bytes}, {"answers", std::move(answers)}});
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
            ENGRAM_TRY(tell(*manager, role, false));
            if (has_ring) ENGRAM_TRY(manager->evict(role.id, AgentManager::EvictTo::memory));
            ENGRAM_ASSIGN(Json answers, ask_all(*manager, role, false));
            agents.push_back(std::move(answers));
        }
        return agents;
    }

    Result<Json> cold_session() const {
        ManagerOptions options = options_in("cold");
        options.persist = false;
        ENGRAM_ASSIGN(const auto manager, AgentManager::open(options));
        Json agents = Json::array();
        for (const Role &role : kRoles) {
            ENGRAM_ASSIGN(Json answer, ask(*manager, role, role.facts[0], false));
            agents.push_back(std::move(answer));
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

    // Each answer beside the control's. `right` counts what was recalled.
    static Json compare(const Json &answers, const Json &controls, bool &identical, std::uint64_t &right) {
        Json list = Json::array();
        for (std::size_t i = 0; i < answers.size(); ++i) {
            const bool same = answers[i]["tokens"] == controls[i]["tokens"];
            identical = identical && same;
            right += answers[i]["recalled"].get<bool>() ? 1 : 0;
            list.push_back({{"question", answers[i]["question"]},
                            {"answer", answers[i]["answer"]},
                            {"control_answer", controls[i]["answer"]},
                            {"identical", same},
                            {"expected", answers[i]["expected"]},
                            {"recalled", answers[i]["recalled"]}});
        }
        return list;
    }

    Result<ExitCode> conclude(const Json &second, const Json &control, const Json &cold) const {
        Json agents = Json::array();
        Table table(
            {"agent", ">resumed", "from", ">restore", ">first token", ">cold", ">ratio", ">on disk", "answers", "recalled"});
        bool all_identical = true;
        for (std::size_t i = 0; i < second.size(); ++i) {
            const Json &resumed = second[i]["answers"][0];
            const double ttft = resumed["ttft_ms"];
            const double cold_ttft = cold[i]["ttft_ms"];
            bool identical = true;
            std::uint64_t right = 0;
            Json answers = compare(second[i]["answers"], control[i], identical, right);
            const std::size_t asked = answers.size();
            all_identical = all_identical && identical && resumed["tokens_resumed"].get<std::uint64_t>() > 0;
            agents.push_back({{"id", second[i]["id"]},
                              {"tokens_resumed", resumed["tokens_resumed"]},
                              {"tier", resumed["tier"]},
                              {"restore_ms", resumed["restore_ms"]},
                              {"ttft_ms", ttft},
                              {"cold_ttft_ms", cold_ttft},
                              {"ratio", cold_ttft / ttft},
                              {"bytes_on_disk", second[i]["bytes_on_disk"]},
                              {"answer", resumed["answer"]},
                              {"control_answer", control[i][0]["answer"]},
                              {"identical", identical},
                              {"answers", std::move(answers)}});
            table.add({second[i]["id"], human_count(resumed["tokens_resumed"]), resumed["tier"], human_ms(resumed["restore_ms"]),
                       human_ms(ttft), human_ms(cold_ttft), std::format("{:.0f} x", cold_ttft / ttft),
                       human_bytes(second[i]["bytes_on_disk"]), identical ? "as never stopped" : "DIFFER",
                       model_.synthetic ? "-" : std::format("{} of {}", right, asked)});
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
    std::uint32_t context_ = 0;  // tokens that each agent has read before it is asked, at least
};

}  // namespace

void add_demo_command(CommandLine &line) {
    auto arguments = argument<DemoArguments>();
    CLI::App &app = line.command("demo", "three agents, killed with their process and resumed from disk",
                                 [arguments](Context &context) { return Demo(*arguments, context).run(context); });
    app.add_option("--context", arguments->context,
                   "each agent reads reports until its context has this many tokens; 0: none [2000]")
        ->check(CLI::Range(0, 1 << 20));
    app.add_option("--max-tokens", arguments->max_tokens, "tokens of each answer [40]")->check(CLI::Range(1, 4096));
    app.add_option("--geometry", arguments->geometry, "use a synthetic model of this shape [the installed model, or tiny-llama]");
    app.add_option("--type", arguments->type, "type of the synthetic model's weights [f32]");
    app.add_flag("--keep", arguments->keep, "keep the demo's folder under ENGRAM_HOME");
}

}  // namespace engram::cli
