#include "cli/line_editor.h"

#include <fcntl.h>
#include <isocline.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace engram::cli {
namespace {

constexpr std::size_t kMaxLineBytes = 64 << 20;
constexpr long kHistoryLines = 1000;
constexpr std::array kEnding{SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGTRAP};

// Ends the program as if the signal had never been caught, so that its parent sees the true cause.
void end_by(int signal_number) {
    std::signal(signal_number, SIG_DFL);
    std::raise(signal_number);
}

void do_nothing(int) {}

void set_handler(int signal_number, void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(signal_number, &action, nullptr);
}

void complete(ic_completion_env_t *environment, const char *prefix) {
    const auto *words = static_cast<const std::vector<std::string> *>(ic_completion_arg(environment));
    for (const std::string &word : *words) {
        if (word.starts_with(prefix)) {
            ic_add_completion(environment, word.c_str());
        }
    }
}

std::optional<std::string> read_plain_line() {
    std::string line;
    int c = std::fgetc(stdin);
    if (c == EOF) {
        return std::nullopt;
    }
    for (; c != EOF && c != '\n' && line.size() < kMaxLineBytes; c = std::fgetc(stdin)) {
        line += static_cast<char>(c);
    }
    return line;
}

}  // namespace

TerminalSignals::TerminalSignals() {
    for (int signal_number : kEnding) {
        set_handler(signal_number, &end_by);
    }
    set_handler(SIGINT, &do_nothing);
}

TerminalSignals::~TerminalSignals() {
    for (int signal_number : kEnding) {
        std::signal(signal_number, SIG_DFL);
    }
    std::signal(SIGINT, SIG_DFL);
}

LineEditor::LineEditor(Options options) : options_(std::move(options)) {
    if (!options_.interactive) {
        return;
    }
    if (const int fd = ::open(options_.history.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600); fd >= 0) {
        ::close(fd);
        ic_set_history(options_.history.c_str(), kHistoryLines);
    }
    ic_enable_color(options_.color);
    ic_enable_hint(false);
    ic_set_prompt_marker("> ", "… ");
    // Stopping and background reading are the shell's business again, once isocline has taken its signals.
    for (int signal_number : {SIGTSTP, SIGTTIN, SIGTTOU}) {
        std::signal(signal_number, SIG_DFL);
    }
}

std::optional<std::string> LineEditor::read(const std::string &prompt) {
    if (!options_.interactive) {
        return read_plain_line();
    }
    const std::unique_ptr<char, void (*)(void *)> line(
        ic_readline_ex(prompt.c_str(), &complete, &options_.completions, nullptr, nullptr), &ic_free);
    return line == nullptr ? std::nullopt : std::optional<std::string>(line.get());
}

}  // namespace engram::cli
