#include "cli/testing/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <format>
#include <fstream>
#include <sstream>

namespace engram::cli::testing {
namespace {

constexpr int kPatienceMs = 10000;

std::vector<char *> pointers(std::vector<std::string> &texts) {
    std::vector<char *> result;
    for (std::string &text : texts) {
        result.push_back(text.data());
    }
    result.push_back(nullptr);
    return result;
}

// In the child: becomes the program.
[[noreturn]] void become(std::vector<std::string> arguments, std::vector<std::string> environment) {
    arguments.insert(arguments.begin(), program());
    ::execve(program().c_str(), pointers(arguments).data(), pointers(environment).data());
    ::_exit(127);
}

int status_of(pid_t child) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::string program() { return ENGRAM_CLI_FAKE; }

std::string read_file(const std::filesystem::path &path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

void write_file(const std::filesystem::path &path, const std::string &text) { std::ofstream(path) << text; }

nlohmann::json Outcome::json() const {
    nlohmann::json value = nlohmann::json::parse(out, nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << "not one JSON value: " << out << err;
    return value;
}

Workplace::Workplace() {
    std::string name = (std::filesystem::temp_directory_path() / "engram-cli-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    write_file(folder_ / "model.gguf", "not a real model");
    variables_ = {{"ENGRAM_HOME", home().string()}, {"PATH", "/usr/bin:/bin"}, {"TERM", "xterm"}, {"LC_ALL", "C.UTF-8"}};
    for (const char *inherited : {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"}) {
        if (const char *value = std::getenv(inherited)) {
            variables_[inherited] = value;
        }
    }
}

Workplace::~Workplace() { std::filesystem::remove_all(folder_); }

std::string Workplace::model() const { return (folder_ / "model.gguf").string(); }

std::vector<std::string> Workplace::environment() const {
    std::vector<std::string> texts;
    for (const auto &[name, value] : variables_) {
        texts.push_back(std::format("{}={}", name, value));
    }
    return texts;
}

// Standard input, output and error are files: nothing can block, and nothing is a terminal.
Outcome Workplace::run(const std::vector<std::string> &arguments, const std::string &input) const {
    const std::filesystem::path in = folder_ / "in";
    const std::filesystem::path out = folder_ / "out";
    const std::filesystem::path err = folder_ / "err";
    write_file(in, input);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(::open(in.c_str(), O_RDONLY), STDIN_FILENO);
        ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
        ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
        become(arguments, environment());
    }
    Outcome outcome;
    outcome.status = status_of(child);
    outcome.out = read_file(out);
    outcome.err = read_file(err);
    return outcome;
}

Terminal::Terminal(const Workplace &workplace, const std::vector<std::string> &arguments) {
    winsize size{.ws_row = 40, .ws_col = 200, .ws_xpixel = 0, .ws_ypixel = 0};
    child_ = ::forkpty(&fd_, nullptr, nullptr, &size);
    if (child_ == 0) {
        become(arguments, workplace.environment());
    }
}

Terminal::~Terminal() {
    if (child_ > 0) {
        ::kill(child_, SIGKILL);
        status_of(child_);
    }
    ::close(fd_);
}

void Terminal::type(const std::string &keys) {
    EXPECT_EQ(::write(fd_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
}

bool Terminal::expect(const std::string &text) {
    while (true) {
        if (const std::size_t at = screen_.find(text, seen_); at != std::string::npos) {
            seen_ = at + text.size();
            return true;
        }
        pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
        char piece[4096];
        if (::poll(&ready, 1, kPatienceMs) <= 0) {
            return false;
        }
        const ssize_t n = ::read(fd_, piece, sizeof piece);
        if (n <= 0) {
            return false;
        }
        screen_.append(piece, static_cast<std::size_t>(n));
    }
}

int Terminal::wait() {
    expect("\x01 never appears");  // drains what is still written, so that the program can end
    const int status = status_of(child_);
    child_ = -1;
    return status;
}

void Terminal::signal(int number) const { ::kill(child_, number); }

}  // namespace engram::cli::testing
