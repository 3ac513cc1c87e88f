// engram version, engram help [TOPIC...].
#include <format>

#include "cli/commands.h"
#include "cli/settings_help.h"
#include "cli/version.h"
#include "engine/system_info.h"

namespace engram::cli {
namespace {

Result<ExitCode> version(const Context &context) {
    const SystemInfo info = system_info();
    context.out.facts(
        {{"engram", kVersion}, {"libllama", info.llama_version}, {"ggml", info.ggml_version}, {"ggml_commit", info.ggml_commit}},
        std::format("engram {}\nlibllama {}\nggml {} ({})", kVersion, info.llama_version, info.ggml_version, info.ggml_commit));
    return ExitCode::ok;
}

Result<ExitCode> help(const std::vector<std::string> &topic, const Context &context) {
    if (topic.size() == 1 && topic[0] == "exit-codes") {
        Json json = Json::array();
        for (const ExitCodeEntry &entry : exit_code_entries()) {
            json.push_back({{"status", static_cast<int>(entry.code)}, {"meaning", entry.meaning}});
        }
        context.out.facts(json, "Exit status of engram:\n" + exit_codes_text());
        return ExitCode::ok;
    }
    if (topic.size() == 1 && topic[0] == "settings") {
        context.out.facts({{"help", settings_text()}}, settings_text());
        return ExitCode::ok;
    }
    const CLI::App *app = &context.app;
    for (const std::string &word : topic) {
        const auto found = app->get_subcommands([&word](const CLI::App *sub) { return sub->get_name() == word; });
        if (found.empty()) {
            return fail(
                ErrorCode::not_found,
                std::format("there is no help on \"{}\"; topics are the commands (`engram help`), settings and exit-codes",
                            word));
        }
        app = found.front();
    }
    const std::string text = help_text(*app);
    context.out.facts({{"help", text}}, text);
    return ExitCode::ok;
}

}  // namespace

void add_version_command(CommandLine &line) {
    line.command("version", "show the versions of the program and its engine", [](Context &context) { return version(context); });
}

void add_help_command(CommandLine &line) {
    auto topic = argument<std::vector<std::string>>();
    line.command("help", "show help on a command, on settings, or on exit-codes",
                 [topic](Context &context) { return help(*topic, context); })
        .add_option("TOPIC", *topic, "a command, settings, or exit-codes");
}

}  // namespace engram::cli
