// engram eval: how well a model answers, from a suite of conversations with questions about them.
#include <cstdlib>
#include <format>
#include <fstream>
#include <system_error>

#include "cli/child.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "config/installed_file.h"
#include "config/options.h"
#include "eval/eval.h"

namespace engram::cli {
namespace {

struct EvalArguments {
    std::string suite, task, answers, keep;
    eval::ServerOptions server;
    std::string key_variable;
    std::uint64_t limit = 0;
    bool cold = false;
};

Result<std::filesystem::path> suite_file(const EvalArguments &arguments) {
    if (!arguments.suite.empty()) return arguments.suite;
    if (auto installed = installed_file(kInstalledSuite)) return *std::move(installed);
    return fail(ErrorCode::not_found, std::format("this installation has no {}: name a suite with --suite FILE (docs/EVAL.md "
                                                  "says how to write one)",
                                                  kInstalledSuite));
}

// One line of JSON for each answer.
class AnswersFile {
  public:
    static Result<AnswersFile> open(const std::string &path) {
        AnswersFile file;
        file.path_ = path;
        if (path.empty()) return file;
        file.out_.open(path, std::ios::trunc);
        ENGRAM_TRY(file.check());
        return file;
    }

    Result<void> write(const eval::Outcome &outcome) {
        if (path_.empty()) return {};
        const eval::Reply &reply = outcome.reply;
        Json line{{"conversation", outcome.conversation->id},
                  {"task", outcome.question->task},
                  {"role", outcome.question->role},
                  {"question", outcome.question->content},
                  {"score", outcome.score},
                  {"answer", reply.raw},
                  {"finish", reply.finish},
                  {"prompt_tokens", reply.prompt_tokens},
                  {"reused_tokens", reply.reused_tokens},
                  {"tier", reply.tier},
                  {"ttft_ms", reply.ttft_ms ? Json(*reply.ttft_ms) : Json(nullptr)}};
        if (!reply.answer.malformed.empty()) line["malformed"] = reply.answer.malformed;
        if (!outcome.error.empty()) line["error"] = outcome.error;
        out_ << json_text(line, false) << '\n' << std::flush;
        return check();
    }

  private:
    Result<void> check() const {
        if (out_) return {};
        return fail(ErrorCode::io, std::format("{} can't be written", path_));
    }

    std::string path_;
    std::ofstream out_;
};

Result<std::string> api_key(const EvalArguments &arguments) {
    if (arguments.key_variable.empty()) return std::string();
    const char *key = std::getenv(arguments.key_variable.c_str());  // NOLINT(concurrency-mt-unsafe): no other thread runs yet
    if (key != nullptr && *key != '\0') return std::string(key);
    return fail(ErrorCode::invalid_argument,
                std::format("the variable {} that --api-key-env names is not set", arguments.key_variable));
}

// What is examined, and the folder that a local model works in.
struct Examined {
    std::string name;
    std::optional<WorkFolder> folder;  // outlives the subject
    std::unique_ptr<eval::Subject> subject;
};

Result<Examined> examine(const EvalArguments &arguments, const eval::Suite &suite, const Context &context) {
    Examined examined;
    if (!arguments.server.url.empty()) {
        eval::ServerOptions server = arguments.server;
        ENGRAM_ASSIGN(server.api_key, api_key(arguments));
        examined.name = server.model.empty() ? server.url : std::format("{} at {}", server.model, server.url);
        ENGRAM_ASSIGN(examined.subject, eval::server_subject(std::move(server)));
        return examined;
    }
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    ENGRAM_TRY(require_model(options));
    if (arguments.keep.empty()) {
        std::error_code error;
        const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
        ENGRAM_ASSIGN(WorkFolder folder, WorkFolder::make(error ? options.home : temporary, "engram-eval-", false));
        options.home = folder.path();
        examined.folder.emplace(std::move(folder));
    } else {
        options.home = std::filesystem::absolute(arguments.keep);
        ENGRAM_TRY(ensure_home(options.home));
    }
    examined.name = options.model.path.filename().string();
    ENGRAM_ASSIGN(
        examined.subject,
        eval::local_subject({.manager = std::move(options), .cold = arguments.cold, .keep = !arguments.keep.empty()}, suite));
    return examined;
}

std::string percent(double share) { return std::format("{:.1f} %", share * 100); }

Json report_json(const std::string &name, const eval::Suite &suite, const eval::Report &report) {
    Json tasks = Json::array();
    for (const eval::TaskRow &row : report.tasks) {
        tasks.push_back({{"task", row.task}, {"questions", row.questions}, {"failed", row.failed}, {"score", row.score}});
    }
    const auto figure = [](const std::optional<double> &value) { return value ? Json(*value) : Json(nullptr); };
    return {{"suite", suite.name},
            {"subject", name},
            {"tasks", tasks},
            {"questions", report.questions},
            {"failed", report.failed},
            {"ended_by_itself", report.ended_by_itself},
            {"prefill_tokens_per_s", figure(report.prefill_tokens_per_s)},
            {"median_ttft_ms", figure(report.median_ttft_ms)}};
}

std::string report_text(const std::string &name, const eval::Suite &suite, const eval::Report &report) {
    Table table({"task", ">questions", ">score"});
    for (const eval::TaskRow &row : report.tasks) table.add({row.task, human_count(row.questions), percent(row.score)});
    const std::uint64_t answered = report.questions - report.failed;
    table.add({"ends its turn by itself", human_count(answered), answered == 0 ? "-" : percent(report.ended_by_itself)});
    std::string text = std::format("{}, suite {}\n{}", name, suite.name, table.text());
    if (report.failed > 0) {
        text += std::format("{} of {} requests failed and count as wrong; the first: {}\n", report.failed, report.questions,
                            report.first_failure);
    }
    if (report.prefill_tokens_per_s) text += std::format("prefill {:.0f} tokens/s\n", *report.prefill_tokens_per_s);
    if (report.median_ttft_ms) text += std::format("first token after {} (median)\n", human_ms(*report.median_ttft_ms));
    return text;
}

Result<ExitCode> evaluate(const EvalArguments &arguments, const Context &context) {
    ENGRAM_ASSIGN(const std::filesystem::path file, suite_file(arguments));
    ENGRAM_ASSIGN(const eval::Suite suite, eval::read_suite(file));
    ENGRAM_ASSIGN(AnswersFile answers, AnswersFile::open(arguments.answers));
    ENGRAM_ASSIGN(Examined examined, examine(arguments, suite, context));
    const InterruptScope interrupt(InterruptScope::Again::exit);
    Progress progress(context.out, "asking");
    const auto report = eval::run(suite, *examined.subject,
                                  {.task = arguments.task,
                                   .limit = arguments.limit,
                                   .on_outcome = [&](const eval::Outcome &outcome) { return answers.write(outcome); },
                                   .on_progress = [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total); },
                                   .stop = interrupt.token()});
    progress.finish();
    if (!report) return std::unexpected(report.error());
    context.out.facts(report_json(examined.name, suite, *report), report_text(examined.name, suite, *report));
    return ExitCode::ok;
}

}  // namespace

void add_eval_command(CommandLine &line) {
    auto arguments = argument<EvalArguments>();
    CLI::App &app = line.command("eval", "measure how well a model answers, with a suite of questions",
                                 [arguments](Context &context) { return evaluate(*arguments, context); });
    app.add_option("--suite", arguments->suite, "the suite [the installed suite.json]")->type_name("FILE");
    app.add_option("--task", arguments->task, "only tasks in whose name this regular expression is found")->type_name("REGEX");
    app.add_option("--limit", arguments->limit, "at most so many questions of each task")
        ->type_name("N")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--answers", arguments->answers, "write each question, answer and score to this file, a line of JSON each")
        ->type_name("FILE");
    CLI::Option *cold = app.add_flag("--cold", arguments->cold, "answer from KV that was brought back from disk");
    CLI::Option *keep =
        app.add_option("--keep", arguments->keep, "use this home folder and keep the agents in it")->type_name("DIR");
    CLI::Option *url =
        app.add_option("--url", arguments->server.url, "examine a server with OpenAI's protocol, http://127.0.0.1:8080/v1")
            ->type_name("URL")
            ->excludes(cold)
            ->excludes(keep);
    app.add_option("--api-key-env", arguments->key_variable, "variable that holds the server's key")
        ->type_name("NAME")
        ->needs(url);
    app.add_option("--model-name", arguments->server.model, "the model's name on the server")->type_name("NAME")->needs(url);
    app.add_option("--timeout", arguments->server.timeout_s, "seconds to wait for an answer of the server [600]")
        ->type_name("S")
        ->needs(url)
        ->check(CLI::Range(0.1, 86400.0));
}

}  // namespace engram::cli
