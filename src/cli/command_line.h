// The tree of commands, and the way from argv to an exit status.
//
// Each command file adds its commands with group() and command(), and gives each a handler; the route table at the end of main.cc
// calls one add_..._commands function for each file. The flags of all settings are made from the settings' table: those of
// general, model and storage are valid with every command, in front of or behind its name; sampling and server flags where
// add_sampling_flags and add_server_flags were called.
//
// run(): parses, resolves the settings, calls the handler of the deepest command, prints its error, and returns the exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/output.h"
#include "config/settings.h"
#include "engram/error.h"

namespace engram::cli {

struct Context {
    const Settings &settings;
    Output &out;
    const CLI::App &app;  // the whole tree, for help and completion
};

using Handler = std::function<Result<ExitCode>(Context &)>;

// The help of one command, whatever was called.
std::string help_text(const CLI::App &app);

class CommandLine {
  public:
    CommandLine();
    CommandLine(const CommandLine &) = delete;
    CommandLine &operator=(const CommandLine &) = delete;

    // A word that needs a command behind it: `engram agent ...`.
    CLI::App &group(const std::string &name, const std::string &help);
    CLI::App &command(const std::string &name, const std::string &help, Handler handler) {
        return command(app_, name, help, std::move(handler));
    }
    CLI::App &command(CLI::App &parent, const std::string &name, const std::string &help, Handler handler);
    void add_sampling_flags(CLI::App &command) { add_flags_of(SettingGroup::sampling, command); }
    void add_server_flags(CLI::App &command) { add_flags_of(SettingGroup::server, command); }

    int run(int argc, const char *const *argv);
    const CLI::App &app() const { return app_; }

  private:
    Result<ExitCode> dispatch(Output &out);
    void add_flags_of(SettingGroup group, CLI::App &command);
    void add_setting_flag(CLI::App &app, const SettingSpec &spec);

    CLI::App app_;
    bool json_ = false;
    std::map<std::string, std::vector<std::string>, std::less<>> flags_;  // by setting name; filled by the parser
    std::map<const CLI::App *, Handler> handlers_;
};

// An argument's storage, shared between the parser and the handler's closure.
template <typename T>
std::shared_ptr<T> argument() {
    return std::make_shared<T>();
}

}  // namespace engram::cli
