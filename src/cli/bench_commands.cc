// engram bench resume: a resume from disk against a cold start, and against the floor of what is possible.
#include <format>

#include "bench/resume.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/humanise.h"
#include "config/options.h"

namespace engram::cli {
namespace {

struct BenchArguments {
    std::vector<std::uint32_t> tokens{67, 2000, 20000};
    std::string geometry = "gemma3-270m", type = "q8_0";
    std::uint32_t repetitions = 7;
    bool keep = false;
};

Json computed_json(const std::vector<bench::ComputedRow> &rows) {
    Json list = Json::array();
    for (const bench::ComputedRow &row : rows) {
        list.push_back({{"tokens", row.tokens},
                        {"cold_ttft_ms", row.cold_ttft_ms},
                        {"hot_ttft_ms", row.hot_ttft_ms},
                        {"save_ms", row.save_ms},
                        {"save_bytes", row.save_bytes},
                        {"turn_kv_bytes", row.turn_kv_bytes},
                        {"block_bytes", row.block_bytes},
                        {"placement_difference", row.placement_difference}});
    }
    return list;
}

Json resumed_json(const std::vector<bench::ResumedRow> &rows) {
    Json list = Json::array();
    for (const bench::ResumedRow &row : rows) {
        list.push_back({{"disk_ttft_ms", row.disk_ttft_ms},
                        {"disk_first_ttft_ms", row.disk_first_ttft_ms},
                        {"disk_dropped_ttft_ms", row.disk_dropped_ttft_ms ? Json(*row.disk_dropped_ttft_ms) : Json(nullptr)},
                        {"restore_ms", row.restore_ms},
                        {"restored_bytes", row.restored_bytes},
                        {"memcpy_ms", row.memcpy_ms},
                        {"step_ms", row.step_ms},
                        {"reused_tokens", row.reused_tokens},
                        {"tier", row.tier},
                        {"logits_equal", row.logits_equal}});
    }
    return list;
}

std::string report(const Json &rows) {
    Table table({">tokens", ">cold", ">hot", ">disk", ">disk, dropped", ">floor", ">disk/floor", ">cold/disk", ">restored",
                 ">save", ">saved", "logits"});
    for (const Json &row : rows) {
        const double disk = row["disk_ttft_ms"];
        const double floor = row["memcpy_ms"].get<double>() + row["step_ms"].get<double>();
        const Json &dropped = row["disk_dropped_ttft_ms"];
        table.add({human_count(row["tokens"]), human_ms(row["cold_ttft_ms"]), human_ms(row["hot_ttft_ms"]), human_ms(disk),
                   dropped.is_null() ? "-" : human_ms(dropped.get<double>()), human_ms(floor),
                   std::format("{:.2f}", disk / floor), std::format("{:.0f}", row["cold_ttft_ms"].get<double>() / disk),
                   human_bytes(row["restored_bytes"]), human_ms(row["save_ms"]), human_bytes(row["save_bytes"]),
                   row["logits_equal"].get<bool>() ? "equal" : "DIFFERENT"});
    }
    return table.text();
}

Result<ExitCode> resume(const BenchArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions manager, manager_options(context.settings));
    ENGRAM_ASSIGN(const ChosenModel model,
                  choose_model(manager.model.path, manager.home, arguments.geometry, arguments.type, context.out));
    ENGRAM_ASSIGN(const WorkFolder folder, WorkFolder::make(manager.home, "bench-", arguments.keep));
    bench::ResumeOptions options{.home = folder.path(),
                                 .model = manager.model,
                                 .storage = manager.storage,
                                 .tokens = arguments.tokens,
                                 .repetitions = arguments.repetitions};
    options.model.path = model.path;
    if (!context.out.json()) options.note = [](const std::string &line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    ENGRAM_ASSIGN(Json rows, in_child(Ending::normal, [&]() -> Result<Json> {
                      ENGRAM_ASSIGN(const auto computed, bench::measure_computed(options));
                      return computed_json(computed);
                  }));
    ENGRAM_ASSIGN(const Json resumed, in_child(Ending::normal, [&]() -> Result<Json> {
                      ENGRAM_ASSIGN(const auto measured, bench::measure_resumed(options));
                      return resumed_json(measured);
                  }));
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i].update(resumed[i]);
    context.out.facts({{"benchmark", "resume"},
                       {"model", model.name},
                       {"synthetic", model.synthetic},
                       {"kv_type_k", manager.model.kv_type_k},
                       {"kv_type_v", manager.model.kv_type_v},
                       {"block_tokens", manager.storage.block_tokens},
                       {"repetitions", arguments.repetitions},
                       {"rows", rows}},
                      std::format("{}, KV {}; TTFT, medians of {}\n{}", model.name, manager.model.kv_type_k,
                                  arguments.repetitions, report(rows)));
    return ExitCode::ok;
}

}  // namespace

void add_bench_commands(CommandLine &line) {
    auto arguments = argument<BenchArguments>();
    CLI::App &group = line.group("bench", "measure on this machine");
    CLI::App &app = line.command(group, "resume", "first token after a resume from disk, against a cold start and the floor",
                                 [arguments](Context &context) { return resume(*arguments, context); });
    app.add_option("--tokens", arguments->tokens, "lengths of the context [67,2000,20000]")
        ->delimiter(',')
        ->check(CLI::Range(2, 1 << 20));
    app.add_option("--geometry", arguments->geometry, "synthetic model to measure when no --model is given [gemma3-270m]");
    app.add_option("--type", arguments->type, "type of the synthetic model's weights [q8_0]");
    app.add_option("--repetitions", arguments->repetitions, "resumes of each length [7]")->check(CLI::Range(1, 1000));
    app.add_flag("--keep", arguments->keep, "keep the benchmark's folder");
}

}  // namespace engram::cli
