// Lines of a conversation: edited on a terminal (isocline, with a history file and completion), or plainly read from a pipe.
//
// Not thread-safe; one for each process, since isocline's state is the process's.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace engram::cli {

class LineEditor {
  public:
    struct Options {
        bool interactive = false;
        bool color = false;
        std::filesystem::path history;         // made with mode 0600
        std::vector<std::string> completions;  // words for the tab key
    };
    explicit LineEditor(Options options);

    // The next line without its line break; nullopt at the end of input (Ctrl-D). Ctrl-C gives an empty line. `prompt` is shown
    // on a terminal only.
    std::optional<std::string> read(const std::string &prompt);

  private:
    Options options_;
};

// While it lives, SIGINT is ignored where nobody else handles it, and the signals that end a program end it, after the line
// editor has restored the terminal (isocline catches them all, and would otherwise swallow them).
class TerminalSignals {
  public:
    TerminalSignals();
    ~TerminalSignals();
    TerminalSignals(const TerminalSignals &) = delete;
    TerminalSignals &operator=(const TerminalSignals &) = delete;
};

}  // namespace engram::cli
