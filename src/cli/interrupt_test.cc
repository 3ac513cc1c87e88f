#include "cli/interrupt.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>

namespace engram::cli {
namespace {

// Blocks until the token is triggered, with a limit that only a failure reaches.
bool wait_for(const std::stop_token &token) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait_for(lock, token, std::chrono::seconds(10), [&] { return token.stop_requested(); });
    return token.stop_requested();
}

TEST(InterruptScope, TurnsCtrlCIntoAStopRequest) {
    const InterruptScope scope(InterruptScope::Again::ignore);
    EXPECT_FALSE(scope.token().stop_requested());
    std::raise(SIGINT);
    EXPECT_TRUE(wait_for(scope.token()));
    std::raise(SIGINT);  // must not end the program
    EXPECT_TRUE(scope.interrupted());
}

TEST(InterruptScope, RestoresTheHandler) {
    for (int round = 0; round < 3; ++round) {
        const InterruptScope scope(InterruptScope::Again::exit);
        EXPECT_FALSE(scope.interrupted());
    }
    struct sigaction now{};
    ::sigaction(SIGINT, nullptr, &now);
    EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST(InterruptScope, ASecondCtrlCEndsTheProgramWhereThatIsWanted) {
    const pid_t child = ::fork();
    if (child == 0) {
        const InterruptScope scope(InterruptScope::Again::exit);
        std::raise(SIGINT);
        wait_for(scope.token());
        std::raise(SIGINT);
        ::sleep(10);
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 130);
}

}  // namespace
}  // namespace engram::cli
