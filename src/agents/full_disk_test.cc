// Disks that take nothing more: the answer comes, the warning says why, and nothing is lost once there is room again.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "agents/paths.h"
#include "agents/testing_file_size_limit.h"
#include "agents/testing_manager.h"

namespace engram {
namespace {

namespace fs = std::filesystem;
using namespace testing;

class FullDiskTest : public ::testing::Test {
  protected:
    // Blocks of 512 tokens with f32 rows are larger than anything that SQLite writes for a few turns.
    ManagerOptions options() const {
        ManagerOptions options = tiny_manager(home_.path(), "tiny-llama", "f32");
        options.storage.block_tokens = options.storage.checkpoint_tokens = 512;
        return options;
    }
    static constexpr rlim_t kLessThanABlock = 400'000;
    static constexpr std::size_t kWords = 200;

    std::size_t temporary_files() const {
        std::size_t count = 0;
        for (const auto &entry : fs::recursive_directory_iterator(store_path(home_.path()))) {
            if (entry.path().extension() == ".tmp") ++count;
        }
        return count;
    }

    // What must hold after a restart: everything that was committed, and the KV of it.
    void expect_whole(const std::string &id, std::uint64_t turns) {
        auto manager = open_manager(options());
        const AgentInfo info = must(manager->get(id));
        EXPECT_EQ(info.n_turns, turns);
        EXPECT_EQ(must(manager->transcript(id)).size(), 2 * turns);
        EXPECT_EQ(info.tier, "disk");
        const TurnResult result = say(*manager, id, "and now?", 5);
        EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
        EXPECT_EQ(result.warning, "");
        EXPECT_EQ(manager->stats().refused_corrupt, 0U);
        EXPECT_EQ(manager->stats().recovered_temporary_files, 0U);
    }

    TemporaryFolder home_;
};

TEST_F(FullDiskTest, NoRoomForBlocks) {
    {
        auto manager = open_manager(options());
        must(manager->create({.id = "a"}));
        say(*manager, "a", "hello", 5);
        must(manager->save("a"));
        {
            const FileSizeLimit limit(kLessThanABlock);
            const TurnResult result = say(*manager, "a", filler(kWords), 10);
            EXPECT_EQ(result.tokens.size(), 10U);
            ASSERT_GT(result.prompt_tokens, 800U) << "neither the block nor the tail after it is to be small";
            ASSERT_LT(result.prompt_tokens, 970U);
            // The writer works in the background: the failure is known at the latest to save().
            const auto saved = manager->save("a");
            ASSERT_FALSE(saved.has_value());
            EXPECT_EQ(saved.error().code, ErrorCode::io);
            const TurnResult next = say(*manager, "a", "go on", 10);
            EXPECT_NE(next.warning.find("could not be written to disk"), std::string::npos) << next.warning;
            EXPECT_FALSE(next.miss.has_value());
            EXPECT_GT(manager->stats().failed_writes, 0U);
            EXPECT_NE(manager->stats().last_error, "");
            EXPECT_FALSE(manager->save("a").has_value());  // the writer is done with what that turn made it try again
            EXPECT_EQ(temporary_files(), 0U);
        }
        must(manager->save("a"));
        EXPECT_EQ(say(*manager, "a", "and on", 5).warning, "");
        must(manager->save("a"));
    }
    expect_whole("a", 4);
}

// A save is about its own agent's KV, and about how its own writes go.
TEST_F(FullDiskTest, WhatOthersCouldNotWriteIsNoFailureOfOurs) {
    auto manager = open_manager(options());
    must(manager->create({.id = "a"}));
    must(manager->create({.id = "b"}));
    say(*manager, "a", "hello", 5);
    must(manager->save("a"));
    {
        const FileSizeLimit limit(kLessThanABlock);
        say(*manager, "b", filler(kWords), 10);
        must(manager->save("a"));
        EXPECT_FALSE(manager->save("b").has_value());
    }
    must(manager->save_everything());
    EXPECT_EQ(must(manager->get("b")).tier, "hot");
    must(manager->evict("b"));
    EXPECT_EQ(must(manager->get("b")).tier, "disk");
}

// The same, and the process ends before there is room: the KV is gone, the conversation isn't.
TEST_F(FullDiskTest, NoRoomForBlocksUntilTheEnd) {
    {
        auto manager = open_manager(options());
        must(manager->create({.id = "a"}));
        const FileSizeLimit limit(kLessThanABlock);
        say(*manager, "a", filler(kWords), 10);
        manager.reset();
    }
    {
        auto manager = open_manager(options());
        const TurnResult result = say(*manager, "a", "go on", 10);
        ASSERT_TRUE(result.miss.has_value());
        EXPECT_TRUE(result.miss->reason.starts_with("not stored")) << result.miss->reason;
        EXPECT_EQ(result.reused_tokens + result.computed_tokens, result.prompt_tokens);
        EXPECT_EQ(manager->stats().refused_corrupt, 0U);
    }
    expect_whole("a", 2);
}

TEST_F(FullDiskTest, NoRoomForAnything) {
    {
        auto manager = open_manager(options());
        must(manager->create({.id = "a"}));
        say(*manager, "a", "hello", 5);
        const std::uint64_t n_tokens = must(manager->get("a")).n_tokens;
        must(manager->save("a"));
        {
            const FileSizeLimit limit(0);
            const TurnResult result = say(*manager, "a", filler(30), 10);
            EXPECT_EQ(result.tokens.size(), 10U);
            EXPECT_FALSE(result.committed);
            EXPECT_NE(result.warning.find("not committed"), std::string::npos) << result.warning;
            EXPECT_EQ(must(manager->get("a")).n_tokens, n_tokens);
            EXPECT_FALSE(manager->create({.id = "b"}).has_value());
        }
        const TurnResult result = say(*manager, "a", "once more", 10);
        EXPECT_TRUE(result.committed) << result.warning;
        EXPECT_FALSE(result.miss.has_value());
        must(manager->create({.id = "b"}));
        must(manager->save("a"));
    }
    expect_whole("a", 2);
}

// A folder that nothing can be written to. Permissions don't stop root, under whom tests may run; a file in the folder's place
// does.
TEST_F(FullDiskTest, BlocksFolderRefuses) {
    const fs::path blocks = store_path(home_.path()) / "blocks", away = store_path(home_.path()) / "away";
    {
        auto manager = open_manager(options());
        must(manager->create({.id = "a"}));
        fs::rename(blocks, away);
        {
            std::ofstream(blocks) << "in the way";
        }
        const TurnResult result = say(*manager, "a", filler(20), 10);
        EXPECT_EQ(result.tokens.size(), 10U);
        const auto saved = manager->save("a");
        ASSERT_FALSE(saved.has_value());
        EXPECT_EQ(saved.error().code, ErrorCode::io);
        EXPECT_NE(say(*manager, "a", "go on", 5).warning, "");
        fs::remove(blocks);
        fs::rename(away, blocks);
        must(manager->save("a"));
    }
    expect_whole("a", 2);
}

// Titles and topics, asked beside a conversation and many more of them than the budget holds: it is they that go.
TEST_F(FullDiskTest, SmallRequestsNeverPushOutALongConversation) {
    ManagerOptions options = tiny_manager(home_.path());
    options.storage.disk_budget_bytes = 1'200'000;
    options.storage.memory_budget_bytes = 0;
    const auto ask = [](AgentManager &manager, const ChatRequest &request) {
        ChatStarted told;
        must(manager.chat(request, [&](const ChatEvent &event) {
            if (const auto *started = std::get_if<ChatStarted>(&event)) told = *started;
        }));
        return told;
    };
    ChatRequest long_one;
    long_one.messages = {{.role = "user", .content = filler(200)}};
    long_one.sampling.grammar = "root ::= \"It is noted.\"";
    long_one.max_tokens = 32;
    const auto go_on = [&](const std::string &words) {
        long_one.messages.push_back({.role = "assistant", .content = "It is noted."});
        long_one.messages.push_back({.role = "user", .content = words});
    };
    {
        auto manager = open_manager(options);
        ask(*manager, long_one);
        go_on("Go on.");
        ask(*manager, long_one);
        must(manager->save_all());
        const std::uint64_t alone = manager->stats().disk_bytes;
        EXPECT_GT(2 * alone, options.storage.disk_budget_bytes) << "this test needs a conversation that takes most of the budget";
        for (int i = 0; i < 160; ++i) {
            ChatRequest title = long_one;
            title.messages = {{.role = "user", .content = "Title " + std::to_string(i) + ": " + filler(50, i)}};
            ask(*manager, title);
        }
        must(manager->save_all());
        EXPECT_GT(manager->stats().evictions, 0U);
    }
    auto manager = open_manager(options);
    go_on("And on.");
    const ChatStarted told = ask(*manager, long_one);
    EXPECT_EQ(told.tier, "disk") << (told.miss ? told.miss->reason : "no miss");
    EXPECT_GT(told.cached_tokens + 64, told.prompt_tokens);
}

}  // namespace
}  // namespace engram
