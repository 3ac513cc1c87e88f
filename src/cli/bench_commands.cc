// engram bench …: what Engram takes on this machine, beside llama-server, and the report of it.
#include <algorithm>
#include <array>
#include <cstdio>
#include <format>
#include <fstream>
#include <thread>

#include "bench/benchmark.h"
#include "bench/parts.h"
#include "bench/promises.h"
#include "bench/report.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/humanise.h"
#include "cli/version.h"
#include "config/installed_file.h"
#include "config/options.h"

namespace engram::cli {
namespace {

using bench::Benchmark;
using bench::Lab;
using bench::Record;
using bench::Size;

struct BenchArguments {
    std::string size = "quick", peer = "llama-server", variant, out = "bench/results", commit;
    std::vector<std::uint32_t> tokens;
    std::uint32_t repetitions = 0;
    bool keep = false, again = false;
};

struct ReportArguments {
    std::string results = "bench/results", readme;
    bool check = false;
};

constexpr std::array<std::string_view, 3> kSizes{"smoke", "quick", "full"};

Size size_of(const std::string &name) {
    return static_cast<Size>(std::ranges::find(kSizes, std::string_view(name)) - kSizes.begin());
}

// Where `engram` and the peer lie, and what they run with. The folder is made for each run.
Result<bench::LabOptions> lab_options(const BenchArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions manager, manager_options(context.settings));
    std::error_code error;
    bench::LabOptions options{.size = size_of(arguments.size),
                              .engram = std::filesystem::read_symlink("/proc/self/exe", error).string(),
                              .model = manager.model.path,
                              .home = manager.home,
                              .threads = manager.model.threads,
                              .tokens = arguments.tokens,
                              .repetitions = arguments.repetitions};
    if (options.threads == 0) options.threads = static_cast<std::int32_t>(std::max(1U, std::thread::hardware_concurrency()));
    if (arguments.peer != "none") {
        options.peer = bench::find_program(arguments.peer).string();
        if (options.peer.empty())
            context.out.say(LogLevel::warn, std::format("{} is not there: measuring without it", arguments.peer));
    }
    options.embedded = installed_file(kInstalledModel).value_or("");
    options.suite = installed_file(kInstalledSuite).value_or("");
    if (!context.out.json()) options.note = [](const std::string &line) { std::fprintf(stderr, "%s\n", line.c_str()); };
    const std::filesystem::path home = manager.home;
    const Output &out = context.out;
    options.synthetic = [home, &out](const std::string &geometry, const std::string &type) -> Result<std::filesystem::path> {
        ENGRAM_ASSIGN(const ChosenModel model, choose_model({}, home, geometry, type, out));
        return model.path;
    };
    options.isolate = [](const std::function<Result<OrderedJson>()> &work) { return in_child(Ending::normal, work); };
    return options;
}

std::string table_text(const Record &record) {
    const bench::FigureTable figures = bench::figure_table(record);
    Table table(figures.headings);
    for (const std::vector<std::string> &line : figures.lines) table.add(line);
    std::string text = std::format("{} ({}{}), {:.0f} s\n{}", record.title, record.benchmark,
                                   record.variant.empty() ? "" : " " + record.variant, record.seconds, table.text());
    for (const bench::Check &check : record.checks)
        text += std::format("{}: {} ({})\n", check.passed ? "holds" : "DOESN'T HOLD", check.name, check.detail);
    for (const bench::Promise &promise : record.promises) {
        const bench::Verdict verdict = bench::verdict_of(record, promise);
        text += std::format("promise: {} {}: {}, {}\n", promise.what, verdict.promised, verdict.measured,
                            bench::outcome_text(verdict));
    }
    for (const std::string &note : record.notes) text += note + "\n";
    return text;
}

// Runs one variant in a process of its own, which is nobody's child but ours and starts with nothing.
Result<Record> measure(const Benchmark &benchmark, const std::string &variant, bench::LabOptions options,
                       const BenchArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const ManagerOptions manager, manager_options(context.settings));
    ENGRAM_ASSIGN(const WorkFolder folder, WorkFolder::make(manager.home, "bench-", arguments.keep));
    options.folder = folder.path();
    if (arguments.out != "none") {
        const bench::Origin origin{.version = kVersion, .commit = arguments.commit};
        options.partial = bench::partial_file(bench::expected_record(benchmark, variant, Lab(options), origin), arguments.out);
        std::error_code ignored;
        if (arguments.again) std::filesystem::remove(options.partial, ignored);
    }
    const auto work = [&]() -> Result<Json> {
        const Lab lab(options);
        ENGRAM_ASSIGN(const Record record,
                      bench::run_benchmark(benchmark, variant, lab, {.version = kVersion, .commit = arguments.commit}));
        return bench::record_json(record);
    };
    ENGRAM_ASSIGN(const Json json, in_child(Ending::normal, work));
    return bench::record_of(json);
}

bool is_there(const Benchmark &benchmark, const std::string &variant, const Lab &lab, const BenchArguments &arguments) {
    const auto file = std::filesystem::path(arguments.out) / bench::record_file_name(benchmark.name, variant, arguments.size);
    const auto there = bench::read_record(file);
    const Record asked = bench::expected_record(benchmark, variant, lab, {.version = kVersion, .commit = arguments.commit});
    return there && bench::measured_alike(*there, asked);
}

Result<void> write_all(const std::filesystem::path &folder) {
    ENGRAM_ASSIGN(const std::vector<Record> records, bench::read_records(folder));
    return bench::write_report(records, folder);
}

// The benchmarks one after the other, each variant that isn't there yet; a result is written as soon as it is there, and its
// parts as soon as they are (bench/parts.h).
Result<ExitCode> run(std::span<const Benchmark> chosen, const BenchArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const bench::LabOptions options, lab_options(arguments, context));
    const Lab lab(options);
    const bool writes = arguments.out != "none";
    Json list = Json::array();
    Result<ExitCode> outcome = ExitCode::ok;
    bool passed = true;
    bool any = false;
    for (const Benchmark &benchmark : chosen) {
        for (const std::string &variant : benchmark.variants(lab)) {
            if (!arguments.variant.empty() && variant != arguments.variant) continue;
            any = true;
            if (writes && !arguments.again && is_there(benchmark, variant, lab, arguments)) {
                lab.note(std::format("{} {}: is there already", benchmark.name, variant));
                continue;
            }
            auto record = measure(benchmark, variant, options, arguments, context);
            if (!record) {  // the others are measured all the same
                outcome = std::unexpected(std::move(record.error()));
                context.out.say(LogLevel::error, outcome.error().message);
                continue;
            }
            passed = passed && record->passed();
            if (writes) ENGRAM_TRY(bench::write_record(*record, arguments.out));
            if (context.out.json()) {
                list.push_back(bench::record_json(*record));
            } else {
                context.out.print(table_text(*record) + "\n");
            }
        }
    }
    if (!any) return fail(ErrorCode::invalid_argument, std::format("there is no variant \"{}\" of this size", arguments.variant));
    if (writes) ENGRAM_TRY(write_all(arguments.out));
    if (!outcome) return outcome;
    if (context.out.json()) context.out.print_json(list);
    if (!passed) context.out.say(LogLevel::warn, "not every check holds: the records say which don't");
    return ExitCode::ok;
}

Result<ExitCode> report(const ReportArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const std::vector<Record> records, bench::read_records(arguments.results));
    std::vector<std::string> old = bench::outdated(records, arguments.results);
    std::string readme;
    if (!arguments.readme.empty()) {
        ENGRAM_ASSIGN(const std::string text, bench::read_text_file(arguments.readme));
        ENGRAM_ASSIGN(readme, bench::with_results(text, records));
        if (readme != text) old.push_back(arguments.readme);
    }
    if (arguments.check) {
        std::string names;
        for (const std::string &name : old) names += (names.empty() ? "" : ", ") + name;
        if (!old.empty())
            return fail(ErrorCode::invalid_argument,
                        std::format("not what the results say: {}; `engram bench report` makes them anew", names));
        context.out.facts({{"records", records.size()}, {"up_to_date", true}},
                          std::format("{} results, all pages are up to date", records.size()));
        return ExitCode::ok;
    }
    ENGRAM_TRY(bench::write_report(records, arguments.results));
    if (!arguments.readme.empty()) {
        std::ofstream out(arguments.readme, std::ios::binary);
        out << readme;
        out.close();
        if (!out) return fail(ErrorCode::io, std::format("{} can't be written", arguments.readme));
    }
    context.out.facts({{"records", records.size()}, {"written", old}},
                      std::format("{} results, {} files written anew", records.size(), old.size()));
    return ExitCode::ok;
}

Result<ExitCode> list(const BenchArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const bench::LabOptions options, lab_options(arguments, context));
    const Lab lab(options);
    Json json = Json::array();
    Table table({"BENCHMARK", "VARIANTS", "WHAT"});
    for (const Benchmark &benchmark : bench::benchmarks()) {
        const std::vector<std::string> variants = benchmark.variants(lab);
        std::string names;
        for (const std::string &variant : variants) names += (names.empty() ? "" : ", ") + variant;
        json.push_back({{"benchmark", benchmark.name}, {"variants", variants}, {"about", benchmark.about}});
        table.add({std::string(benchmark.name), names, std::string(benchmark.about)});
    }
    context.out.facts(json, table.text());
    return ExitCode::ok;
}

void add_flags(CLI::App &app, BenchArguments &arguments) {
    app.add_option("--size", arguments.size, "smoke (does it work), quick (a selection for 40 minutes) or full [quick]")
        ->type_name("SIZE")
        ->check(CLI::IsMember({"smoke", "quick", "full"}));
    app.add_option("--peer", arguments.peer, "the llama-server to compare with; none: measure without [llama-server]")
        ->type_name("PROGRAM");
    app.add_option("--variant", arguments.variant, "only this one; `engram bench list` shows them")->type_name("NAME");
    app.add_option("--tokens", arguments.tokens, "lengths of the context, instead of the benchmark's own")
        ->type_name("N,…")
        ->delimiter(',')
        ->check(CLI::Range(2, 1 << 20));
    app.add_option("--repetitions", arguments.repetitions, "instead of the benchmark's own")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    app.add_option("--out", arguments.out, "folder for results and report; none: only print [bench/results]")
        ->type_name("FOLDER");
    app.add_option("--commit", arguments.commit, "what the program was built from, for the record")->type_name("TEXT");
    app.add_flag("--again", arguments.again, "measure also what was measured already, in whole or in part");
    app.add_flag("--keep", arguments.keep, "keep the folders that the servers worked in");
}

}  // namespace

void add_bench_commands(CommandLine &line) {
    CLI::App &group = line.group("bench", "measure on this machine, beside llama-server");
    for (const Benchmark &benchmark : bench::benchmarks()) {
        auto arguments = argument<BenchArguments>();
        CLI::App &app = line.command(
            group, std::string(benchmark.name), std::string(benchmark.about),
            [arguments, &benchmark](Context &context) { return run(std::span(&benchmark, 1), *arguments, context); });
        add_flags(app, *arguments);
    }
    auto arguments = argument<BenchArguments>();
    CLI::App &all = line.command(group, "all", "every benchmark that has no result yet from this program, machine and size",
                                 [arguments](Context &context) { return run(bench::benchmarks(), *arguments, context); });
    add_flags(all, *arguments);
    auto listed = argument<BenchArguments>();
    CLI::App &list_app = line.command(group, "list", "the benchmarks and their variants",
                                      [listed](Context &context) { return list(*listed, context); });
    list_app.add_option("--size", listed->size, "of which size [quick]")
        ->type_name("SIZE")
        ->check(CLI::IsMember({"smoke", "quick", "full"}));
    auto reported = argument<ReportArguments>();
    CLI::App &report_app = line.command(group, "report", "make the report of the results in a folder",
                                        [reported](Context &context) { return report(*reported, context); });
    report_app.add_option("--results", reported->results, "the folder [bench/results]")->type_name("FOLDER");
    report_app
        .add_option("--readme", reported->readme,
                    "also put the tables of figures and promises into this file, between their marks")
        ->type_name("FILE");
    report_app.add_flag("--check", reported->check, "write nothing; fail when something isn't what the results say");
}

}  // namespace engram::cli
