// engram chat AGENT: a conversation, on a terminal or through a pipe.
#include <format>

#include "cli/agent_view.h"
#include "cli/commands.h"
#include "cli/home.h"
#include "cli/humanise.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/text_input.h"
#include "cli/turn.h"
#include "config/options.h"

namespace engram::cli {
namespace {

struct ChatArguments {
    std::string agent, system;
    bool create = false;
};

class Chat {
  public:
    Chat(AgentManager &manager, std::string agent, TurnSettings turn, const Context &context);
    ExitCode run();

  private:
    struct Command {
        std::string_view name, argument, help;
        Result<void> (Chat::*act)(const std::string &argument);
    };
    static std::span<const Command> commands();

    Result<void> handle(const std::string &line);
    Result<void> command(const std::string &line);
    Result<void> answer(const std::string &prompt);

    Result<void> help(const std::string &);
    Result<void> info(const std::string &);
    Result<void> transcript(const std::string &);
    Result<void> system(const std::string &);
    Result<void> save(const std::string &);
    Result<void> fork(const std::string &new_id);
    Result<void> evict(const std::string &);
    Result<void> quit(const std::string &);

    AgentManager &manager_;
    const std::string agent_;
    const TurnSettings turn_;
    const Context &context_;
    const bool interactive_;
    bool over_ = false;
};

Chat::Chat(AgentManager &manager, std::string agent, TurnSettings turn, const Context &context)
    : manager_(manager),
      agent_(std::move(agent)),
      turn_(std::move(turn)),
      context_(context),
      interactive_(context.out.terminal_in() && context.out.terminal_out() && !context.out.json()) {}

std::span<const Chat::Command> Chat::commands() {
    static constexpr std::array<Command, 8> kCommands{{
        {"/help", "", "show this list", &Chat::help},
        {"/info", "", "what is known about this agent", &Chat::info},
        {"/transcript", "", "the conversation so far", &Chat::transcript},
        {"/system", "", "the system prompt", &Chat::system},
        {"/save", "", "wait until the memory is on disk", &Chat::save},
        {"/fork", "NAME", "copy the agent; this conversation goes on with the original", &Chat::fork},
        {"/evict", "", "take the memory out of the context", &Chat::evict},
        {"/quit", "", "leave (Ctrl-D does so too)", &Chat::quit},
    }};
    return kCommands;
}

ExitCode Chat::run() {
    const TerminalSignals signals;
    LineEditor::Options options{.interactive = interactive_,
                                .color = context_.out.color_out(),
                                .history = context_.settings.home() / "history",
                                .completions = {}};
    for (const Command &command : commands()) {
        options.completions.emplace_back(command.name);
    }
    LineEditor editor(std::move(options));
    if (interactive_) {
        context_.out.print(context_.out.styled(
            std::format("{}: Ctrl-C stops an answer, Ctrl-D or /quit leaves, /help lists commands\n", agent_), Style::dim));
    }
    ExitCode worst = ExitCode::ok;
    while (!over_) {
        const auto line = editor.read(agent_);
        if (!line) {
            break;
        }
        if (auto done = handle(*line); !done) {
            const ExitCode code = context_.out.report(done.error());
            if (!interactive_) {
                worst = code;  // a script's later lines would talk past the missing answer
                break;
            }
        }
    }
    return worst;
}

Result<void> Chat::handle(const std::string &line) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
        return {};
    }
    if (line.starts_with("//")) {
        return answer(line.substr(1));
    }
    return line.starts_with('/') ? command(line) : answer(line);
}

Result<void> Chat::command(const std::string &line) {
    const std::size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    rest.erase(0, rest.find_first_not_of(' '));
    rest.erase(rest.find_last_not_of(" \r") + 1);
    for (const Command &known : commands()) {
        if (name != known.name) {
            continue;
        }
        if (rest.empty() == !known.argument.empty()) {
            return fail(ErrorCode::invalid_argument, std::format("usage: {} {}", known.name, known.argument));
        }
        return (this->*known.act)(rest);
    }
    return fail(ErrorCode::invalid_argument,
                std::format("there is no command {}; /help lists them, and // begins a line that itself begins with /", name));
}

Result<void> Chat::answer(const std::string &prompt) {
    ENGRAM_TRY(require_text(prompt, "the line"));
    TurnRequest request;
    request.prompt = prompt;
    request.max_tokens = turn_.max_tokens;
    request.sampling = turn_.sampling;
    const InterruptScope interrupt(InterruptScope::Again::ignore);
    request.stop = interrupt.token();
    auto result = show_turn(manager_, agent_, std::move(request), context_);
    if (!result) {
        if (result.error().code == ErrorCode::cancelled && interactive_) {
            context_.out.print(context_.out.styled("[stopped before the answer]\n", Style::dim));
            return {};
        }
        return std::unexpected(std::move(result.error()));
    }
    if (context_.out.json()) {
        context_.out.print(json_text(turn_json(agent_, *result), false) + "\n");
    } else if (interactive_ && result->finish != "stop" && result->finish != "stop_string") {
        context_.out.print(
            context_.out.styled(std::format("[{}]\n", result->finish == "cancelled" ? "stopped" : result->finish), Style::dim));
    }
    return {};
}

Result<void> Chat::help(const std::string &) {
    Table table({"", ""});
    Json json = Json::object();
    for (const Command &command : commands()) {
        const std::string usage = std::format("{}{}{}", command.name, command.argument.empty() ? "" : " ", command.argument);
        table.add({usage, std::string(command.help)});
        json[usage] = command.help;
    }
    context_.out.facts(json, table.text());
    return {};
}

Result<void> Chat::info(const std::string &) {
    ENGRAM_ASSIGN(AgentInfo info, manager_.get(agent_));
    context_.out.facts(agent_json(info), agent_text(info, now_ms()));
    return {};
}

Result<void> Chat::transcript(const std::string &) {
    ENGRAM_ASSIGN(std::vector<Message> messages, manager_.transcript(agent_));
    context_.out.facts(transcript_json(messages), transcript_text(messages, context_.out));
    return {};
}

Result<void> Chat::system(const std::string &) {
    ENGRAM_ASSIGN(AgentInfo info, manager_.get(agent_));
    const std::string text = context_.out.terminal_out() ? printable(info.system_prompt) : info.system_prompt;
    context_.out.facts({{"system_prompt", info.system_prompt}}, text.empty() ? "(none)" : text);
    return {};
}

Result<void> Chat::save(const std::string &) {
    ENGRAM_TRY(manager_.save(agent_));
    context_.out.facts({{"saved", agent_}}, std::format("saved {}", agent_));
    return {};
}

Result<void> Chat::fork(const std::string &new_id) {
    ENGRAM_ASSIGN(AgentInfo info, manager_.fork(agent_, new_id));
    context_.out.facts(agent_json(info), std::format("forked {} to {}", agent_, info.id));
    return {};
}

Result<void> Chat::evict(const std::string &) {
    ENGRAM_TRY(manager_.evict(agent_));
    context_.out.facts({{"evicted", agent_}}, std::format("evicted {}", agent_));
    return {};
}

Result<void> Chat::quit(const std::string &) {
    over_ = true;
    return {};
}

Result<ExitCode> chat(const ChatArguments &arguments, Context &context) {
    ENGRAM_ASSIGN(TurnSettings turn, turn_settings(context.settings));
    ENGRAM_ASSIGN(std::string system, text_argument(arguments.system));
    ENGRAM_TRY(require_text(system, "the system prompt"));
    ENGRAM_ASSIGN(auto manager, open_manager(context));
    ENGRAM_ASSIGN(AgentInfo info, find_or_create(*manager, arguments.agent, arguments.create, system));
    return Chat(*manager, info.id, std::move(turn), context).run();
}

}  // namespace

void add_chat_command(CommandLine &line) {
    auto arguments = argument<ChatArguments>();
    CLI::App &app =
        line.command("chat", "talk with an agent", [arguments](Context &context) { return chat(*arguments, context); });
    app.add_option("AGENT", arguments->agent, "the agent's id")->required();
    app.add_flag("--create", arguments->create, "create the agent when it isn't there");
    app.add_option("--system", arguments->system, "system prompt of an agent that is created; @FILE: from a file")
        ->type_name("TEXT");
    line.add_sampling_flags(app);
}

}  // namespace engram::cli
