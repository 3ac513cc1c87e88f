#include "cli/command_line.h"

#include <cstdlib>
#include <format>
#include <string_view>

#include "cli/version.h"

namespace engram::cli {
namespace {

constexpr std::string_view kFooter =
    "Settings come from flags, ENGRAM_... variables, and config.toml in the home folder, in this order.\n"
    "More: engram help settings, engram help exit-codes, docs/CLI.md";

std::string flag_help(const SettingSpec &spec) {
    std::string help(spec.help);
    if (!spec.choices.empty()) {
        std::string choices;
        for (std::string_view choice : spec.choices) {
            if (!choice.empty()) {
                choices += choices.empty() ? "" : ", ";
                choices += choice;
            }
        }
        help += std::format(" ({})", choices);
    }
    if (!spec.default_text.empty()) {
        help += std::format(" [{}]", spec.default_text);
    }
    return help;
}

std::string flag_group(const SettingSpec &spec) {
    std::string group(setting_group_name(spec.group));
    group[0] = static_cast<char>(group[0] - 'a' + 'A');
    return group + " settings";
}

// Whether --json stands among the flags, for errors of the parser itself.
bool json_asked_for(int argc, const char *const *argv) {
    for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
        if (std::string_view(argv[i]) == "--json") {
            return true;
        }
    }
    return false;
}

// A parser's message as one sentence without its trailing line breaks.
std::string one_sentence(std::string text) {
    for (char &c : text) {
        c = c == '\n' ? ' ' : c;
    }
    text.erase(text.find_last_not_of(" .") + 1);
    return text;
}

// "engram agent create"
std::string full_name(const CLI::App &app) {
    return app.get_parent() == nullptr ? app.get_name() : std::format("{} {}", full_name(*app.get_parent()), app.get_name());
}

// Commands before flags: what a reader looks for first.
class HelpFormatter : public CLI::Formatter {
  public:
    HelpFormatter() { column_width(32); }

    std::string make_help(const CLI::App *app, std::string name, CLI::AppFormatMode mode) const override {
        if (mode == CLI::AppFormatMode::Sub) {
            return CLI::Formatter::make_help(app, std::move(name), mode);
        }
        return make_description(app) + "\n" + make_usage(app, full_name(*app)) + make_positionals(app) +
               make_subcommands(app, mode) + make_groups(app, mode) + make_footer(app);
    }
};

const CLI::App &deepest(const CLI::App &app) {
    const CLI::App *current = &app;
    while (!current->get_subcommands().empty()) {
        current = current->get_subcommands().front();
    }
    return *current;
}

}  // namespace

std::string help_text(const CLI::App &app) {
    return app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal);
}

CommandLine::CommandLine() : app_("Engram: memory of local language-model agents that survives the process", "engram") {
    app_.set_help_flag("-h,--help", "show help and exit");
    app_.set_version_flag("--version", std::string("engram ") + kVersion, "show the version and exit");
    app_.add_flag("--json", json_, "print facts as JSON");
    app_.formatter(std::make_shared<HelpFormatter>());
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer(std::string(kFooter));
    for (const SettingSpec &spec : setting_specs()) {
        if (spec.group != SettingGroup::sampling && spec.group != SettingGroup::server) {
            add_setting_flag(app_, spec);
        }
    }
}

void CommandLine::add_setting_flag(CLI::App &app, const SettingSpec &spec) {
    // What other programs of the field call it.
    const std::string_view other = spec.name == "context" ? ",--ctx" : "";
    app.add_option(std::format("--{}{}", spec.name, other), flags_[std::string(spec.name)], flag_help(spec))
        ->type_name(std::string(spec.value_name))
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(flag_group(spec));
}

void CommandLine::add_flags_of(SettingGroup group, CLI::App &command) {
    for (const SettingSpec &spec : setting_specs()) {
        if (spec.group == group) {
            add_setting_flag(command, spec);
        }
    }
}

CLI::App &CommandLine::group(const std::string &name, const std::string &help) {
    CLI::App &app = *app_.add_subcommand(name, help);
    app.require_subcommand(1);
    app.subcommand_fallthrough(false);
    return app;
}

CLI::App &CommandLine::command(CLI::App &parent, const std::string &name, const std::string &help, Handler handler) {
    CLI::App &app = *parent.add_subcommand(name, help);
    app.subcommand_fallthrough(false);  // behind its name, the name of another command is an argument
    app.footer("Flags of all settings (--home, --model, ...) are valid here too: engram help settings");
    handlers_[&app] = std::move(handler);
    return app;
}

Result<ExitCode> CommandLine::dispatch(Output &out) {
    ENGRAM_ASSIGN(Settings settings, Settings::resolve({.flags = flags_, .environment = process_environment}));
    out.set_log_level(log_level_from_name(settings.text("log-level")));
    if (out.log_level() <= LogLevel::debug) {
        ::setenv("ENGRAM_ENGINE_LOG", "1",
                 0);  // NOLINT(concurrency-mt-unsafe): read by the engine when it is first used, no thread runs yet
    }
    Context context{.settings = settings, .out = out, .app = app_};
    return handlers_.at(&deepest(app_))(context);
}

int CommandLine::run(int argc, const char *const *argv) {
    try {
        app_.parse(argc, argv);
    } catch (const CLI::CallForHelp &) {
        std::fputs(help_text(deepest(app_)).c_str(), stdout);
        return 0;
    } catch (const CLI::Success &call) {
        return app_.exit(call);
    } catch (const CLI::ParseError &error) {
        const Output out(json_asked_for(argc, argv));
        return static_cast<int>(
            out.report({.code = ErrorCode::invalid_argument,
                        .message = std::format("{} (see {} --help)", one_sentence(error.what()), full_name(deepest(app_)))}));
    }
    Output out(json_);
    auto code = dispatch(out);
    if (!code) {
        return static_cast<int>(out.report(code.error()));
    }
    return static_cast<int>(*code);
}

}  // namespace engram::cli
