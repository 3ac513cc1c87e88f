#include "cli/supervisor.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <format>
#include <string>

namespace engram::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLongestPause{30};
constexpr std::chrono::seconds kLongLife{60};  // who lived so long didn't die of how it was started

std::atomic<pid_t> g_child = 0;
std::atomic<int> g_signal = 0;  // that asked for the end

void pass_on(int signal) {
    const int saved = errno;
    g_signal.store(signal);
    if (const pid_t child = g_child.load(); child > 0) ::kill(child, signal);
    errno = saved;
}

// Handlers for the time of supervision.
class Handlers {
  public:
    Handlers() {
        struct sigaction action{};
        action.sa_handler = &pass_on;
        sigemptyset(&action.sa_mask);
        ::sigaction(SIGINT, &action, &interrupt_);
        ::sigaction(SIGTERM, &action, &terminate_);
    }
    ~Handlers() { restore(); }
    Handlers(const Handlers &) = delete;
    Handlers &operator=(const Handlers &) = delete;
    void restore() {
        ::sigaction(SIGINT, &interrupt_, nullptr);
        ::sigaction(SIGTERM, &terminate_, nullptr);
    }

  private:
    struct sigaction interrupt_{}, terminate_{};
};

void pause_for(std::chrono::seconds pause) {
    const Clock::time_point end = Clock::now() + pause;
    while (g_signal.load() == 0 && Clock::now() < end) ::usleep(50'000);
}

}  // namespace

Result<ExitCode> supervise(const std::function<ExitCode()> &work, const std::function<void(std::string_view)> &say) {
    Handlers handlers;
    g_signal.store(0);
    const pid_t supervisor = ::getpid();
    std::chrono::seconds pause{1};
    for (;;) {
        std::fflush(stdout);
        const Clock::time_point born = Clock::now();
        const pid_t child = ::fork();
        if (child < 0) return fail(ErrorCode::io, std::format("no child process: {}", std::strerror(errno)));
        if (child == 0) {
            handlers.restore();
            ::setpgid(0, 0);  // Ctrl-C reaches it through the supervisor alone, and once
            ::prctl(PR_SET_PDEATHSIG, SIGTERM);
            if (::getppid() != supervisor) ::_exit(static_cast<int>(ExitCode::cancelled));
            const ExitCode code = work();
            std::fflush(stdout);
            ::_exit(static_cast<int>(code));
        }
        g_child.store(child);
        if (const int signal = g_signal.load(); signal != 0) ::kill(child, signal);  // it came before there was a child
        int status = 0;
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        g_child.store(0);
        if (WIFEXITED(status)) return static_cast<ExitCode>(WEXITSTATUS(status));
        if (g_signal.load() != 0) return ExitCode::cancelled;
        if (Clock::now() - born > kLongLife) pause = std::chrono::seconds(1);
        say(std::format("the server was ended by signal {} ({}); it is started again in {} s", WTERMSIG(status),
                        ::strsignal(WTERMSIG(status)), pause.count()));
        pause_for(pause);
        if (g_signal.load() != 0) return ExitCode::cancelled;
        pause = std::min(pause * 2, kLongestPause);
    }
}

}  // namespace engram::cli
