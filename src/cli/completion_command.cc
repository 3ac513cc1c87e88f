// engram completion SHELL: prints the script.
#include "cli/commands.h"
#include "cli/completion.h"

namespace engram::cli {

void add_completion_command(CommandLine &line) {
    CLI::App &group = line.group("completion", "print a completion script, for example: eval \"$(engram completion bash)\"");
    auto add = [&](const std::string &shell, std::string (*script)(const CLI::App &)) {
        line.command(group, shell, "the script for " + shell, [script, shell](Context &context) -> Result<ExitCode> {
            const std::string text = script(context.app);
            context.out.facts({{"shell", shell}, {"script", text}}, text);
            return ExitCode::ok;
        });
    };
    add("bash", bash_completion);
    add("zsh", zsh_completion);
    add("fish", fish_completion);
}

}  // namespace engram::cli
