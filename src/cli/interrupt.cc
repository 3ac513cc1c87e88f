#include "cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "cli/exit_codes.h"

namespace engram::cli {
namespace {

constexpr char kInterrupted = 'i';
constexpr char kScopeEnds = 'e';

// The one thing that a handler can reach: the write end of the living scope's pipe, or -1.
std::atomic<int> g_write_end = -1;
static_assert(std::atomic<int>::is_always_lock_free);

void on_interrupt(int) {
    const int saved = errno;
    if (const int fd = g_write_end.load(); fd >= 0) {
        [[maybe_unused]] const ssize_t n = ::write(fd, &kInterrupted, 1);  // a full pipe already says it
    }
    errno = saved;
}

}  // namespace

InterruptScope::InterruptScope(Again again, Signals signals) : signals_(signals) {
    if (::pipe2(pipe_, O_CLOEXEC) != 0) {
        return;  // without a pipe Ctrl-C keeps its usual meaning
    }
    ::fcntl(pipe_[1], F_SETFL, O_NONBLOCK);
    watcher_ = std::thread([this, again] { watch(again); });
    g_write_end.store(pipe_[1]);
    struct sigaction action{};
    action.sa_handler = &on_interrupt;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGINT, &action, &previous_);
    if (signals_ == Signals::interrupt_and_terminate) ::sigaction(SIGTERM, &action, &previous_terminate_);
}

InterruptScope::~InterruptScope() {
    if (!watcher_.joinable()) {
        return;
    }
    ::sigaction(SIGINT, &previous_, nullptr);
    if (signals_ == Signals::interrupt_and_terminate) ::sigaction(SIGTERM, &previous_terminate_, nullptr);
    g_write_end.store(-1);
    // The pipe can't be full for long: the watcher empties it.
    while (::write(pipe_[1], &kScopeEnds, 1) != 1) {
        std::this_thread::yield();
    }
    watcher_.join();
    ::close(pipe_[0]);
    ::close(pipe_[1]);
}

void InterruptScope::wait() const {
    std::mutex mutex;
    std::condition_variable_any asked;
    std::unique_lock lock(mutex);
    asked.wait(lock, source_.get_token(), [] { return false; });
}

void InterruptScope::watch(Again again) {
    char what = 0;
    while (true) {
        const ssize_t n = ::read(pipe_[0], &what, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n != 1 || what == kScopeEnds) {
            return;
        }
        if (!source_.request_stop() && again == Again::exit) {
            ::_exit(static_cast<int>(ExitCode::cancelled));
        }
    }
}

}  // namespace engram::cli
