// A server and the operator's commands at the same time: one process verifies, another one creates and revokes.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "tenants/tenants.h"
#include "tenants/testing/tenants_fixture.h"

namespace engram {
namespace {

// What the operator's process tells: a key that it has just made, and then that it has revoked it.
struct Message {
    std::array<char, kKeyBytes> text{};
    bool valid = false;
};

class Pipe {
  public:
    Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
    ~Pipe() {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    Pipe(const Pipe &) = delete;
    Pipe &operator=(const Pipe &) = delete;

    template <typename T>
    bool send(const T &value) {
        return ::write(ends_[1], &value, sizeof value) == sizeof value;
    }
    template <typename T>
    bool receive(T &value) {
        return ::read(ends_[0], &value, sizeof value) == sizeof value;
    }

  private:
    std::array<int, 2> ends_{};
};

constexpr int kRounds = 10;

// Creates and revokes; waits after each step until the other process has seen it.
bool operate(const std::filesystem::path &file, Pipe &messages, Pipe &answers) {
    for (int round = 0; round < kRounds; ++round) {
        auto store = TenantStore::open(file);  // anew each time, as a command does
        if (!store) return false;
        const std::int64_t now_ms = system_clock().wall_ms();
        const auto key = store->create_key({.tenant = "default"}, now_ms);
        if (!key) return false;
        Message message{.valid = true};
        key->text.copy(message.text.data(), message.text.size());
        char seen = 0;
        if (!messages.send(message) || !answers.receive(seen)) return false;
        if (!store->revoke_key(key->row.id, now_ms)) return false;
        message.valid = false;
        if (!messages.send(message) || !answers.receive(seen)) return false;
    }
    return true;
}

TEST_F(TenantsFileTest, AVerifyingProcessSeesWhatAnotherOneChanges) {
    Pipe messages;
    Pipe answers;
    const pid_t child = ::fork();  // before this process has threads
    if (child == 0) ::_exit(operate(file_, messages, answers) ? 0 : 1);
    auto tenants = Tenants::open(folder_);
    ASSERT_TRUE(tenants) << why(tenants);
    for (int step = 0; step < 2 * kRounds; ++step) {
        Message message;
        ASSERT_TRUE(messages.receive(message)) << step;
        (*tenants)->record("default", "x", {.requests = 1});
        ASSERT_TRUE((*tenants)->refresh());
        const std::string_view text(message.text.data(), message.text.size());
        EXPECT_EQ((*tenants)->authenticate({.x_api_key = text, .local = true}).has_value(), message.valid) << step;
        ASSERT_TRUE((*tenants)->flush());
        ASSERT_TRUE(answers.send('x'));
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_TRUE((*tenants)->problems().empty());
    EXPECT_EQ((*tenants)->usage({})->at(0).usage.requests, 2U * kRounds);
}

// Somebody who is killed while he changes the file leaves it whole, and nobody waits for him.
TEST_F(TenantsFileTest, AKilledOperatorLeavesAWholeFile) {
    for (int round = 0; round < 5; ++round) {
        Pipe pipe;
        const pid_t child = ::fork();
        if (child == 0) {
            auto store = TenantStore::open(file_);
            while (store && store->create_key({.tenant = "default"}, 1) && pipe.send('x')) {
            }
            ::_exit(1);
        }
        char seen = 0;
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(pipe.receive(seen));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status));
        auto store = TenantStore::open(file_);
        ASSERT_TRUE(store) << why(store);
        const auto tables = store->read();
        ASSERT_TRUE(tables) << why(tables);
        EXPECT_GE(tables->keys.size(), 3U * static_cast<std::size_t>(round + 1));
        EXPECT_TRUE(tables->problems.empty());
    }
}

}  // namespace
}  // namespace engram
