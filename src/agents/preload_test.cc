// Agents whose KV is in memory before their turn comes: because somebody said so, or because it was learned.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "agents/paths.h"
#include "agents/testing_manager.h"
#include "core/testing/test_seed.h"
#include "registry/registry.h"
#include "store/block_store.h"

namespace engram {
namespace {

namespace fs = std::filesystem;
using namespace testing;

constexpr std::uint32_t kAnswer = 4;

// The preloader works beside the test: true as soon as `is_so` is, false when that takes absurdly long.
bool comes_true(const std::function<bool()> &is_so) {
    for (int i = 0; i < 3000; ++i) {
        if (is_so()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

// Long enough for something that shouldn't happen, and usually would at once.
bool stays_true(const std::function<bool()> &is_so) {
    for (int i = 0; i < 30; ++i) {
        if (!is_so()) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

class PreloadTest : public ::testing::Test {
  protected:
    // Agents with a past, all on disk; and how much memory one of them takes.
    void make_agents(const std::vector<std::string> &ids, const std::string &geometry = "tiny-llama") {
        options_ = tiny_manager(home_.path(), geometry);
        auto manager = open_manager(options_);
        for (const std::string &id : ids) make_agent(*manager, id);
        agent_bytes_ = must(manager->get(ids.front())).memory_bytes;
        ASSERT_GT(agent_bytes_, 0U);
        options_.storage.preload = true;
    }
    static void make_agent(AgentManager &manager, const std::string &id) {
        must(manager.create({.id = id, .system_prompt = id + id + id + " is who you are."}));
        say(manager, id, filler(150, static_cast<int>(id.back())), kAnswer);
        must(manager.save(id));
    }
    std::unique_ptr<AgentManager> open(double agents_in_memory) {
        options_.storage.memory_budget_bytes = static_cast<std::uint64_t>(agents_in_memory * static_cast<double>(agent_bytes_));
        return open_manager(options_);
    }
    static ManagerStats::Preloads learned(const AgentManager &manager) { return manager.stats().preloads_learned; }

    TemporaryFolder home_;
    ManagerOptions options_;
    std::uint64_t agent_bytes_ = 0;
};

// Four agents take turns, and memory has room for about half of them.
TEST_F(PreloadTest, AnAgentIsInMemoryBeforeItsTurnWhenTheOrderIsKnown) {
    const std::vector<std::string> ids{"a", "b", "c", "d"};
    make_agents(ids);
    for (const bool preload : {false, true}) {
        SCOPED_TRACE(preload ? "preloading" : "not preloading");
        options_.storage.preload = preload;
        auto manager = open(3);
        int from_memory = 0;
        for (int round = 0; round < 5; ++round) {
            for (std::size_t i = 0; i < ids.size(); ++i) {
                const TurnResult turn = say(*manager, ids[i], "And then?", kAnswer);
                EXPECT_GT(turn.reused_tokens, 0U);
                if (round < 3) continue;  // by then it is known who follows whom
                from_memory += turn.tier == "memory" ? 1 : 0;
                if (!preload) continue;
                const std::string &next = ids[(i + 1) % ids.size()];
                EXPECT_TRUE(comes_true([&] { return must(manager->get(next)).tier == "memory"; })) << next;
                EXPECT_LE(manager->stats().memory_bytes, options_.storage.memory_budget_bytes);
            }
        }
        const ManagerStats::Preloads counts = learned(*manager);
        // Of 8 turns, of which nobody waited for the first one's preload.
        EXPECT_GE(from_memory, preload ? 7 : 0);
        EXPECT_LE(from_memory, preload ? 8 : 0);
        EXPECT_EQ(counts.done > 0, preload);
        EXPECT_GE(counts.hits, preload ? 7U : 0U);
        EXPECT_LE(counts.wasted, 1U);
        EXPECT_EQ(counts.bytes > 0, preload);
        EXPECT_EQ(manager->stats().preloads_asked.done, 0U);
    }
}

TEST_F(PreloadTest, TurnsInNoOrderAreHardlyGuessedAt) {
    const std::vector<std::string> ids{"a", "b", "c", "d", "e", "f"};
    make_agents(ids);
    auto manager = open(2.6);
    std::mt19937_64 random(test_seed());
    constexpr std::uint64_t kTurns = 60;
    for (std::uint64_t i = 0; i < kTurns; ++i) say(*manager, ids[random() % ids.size()], "And then?", 2);
    const ManagerStats::Preloads counts = learned(*manager);
    EXPECT_LE(counts.done, kTurns / 4);
    EXPECT_LE(counts.hits + counts.wasted, counts.done);
}

TEST_F(PreloadTest, NothingIsReadThatHasNoRoom) {
    make_agents({"a", "b"});
    auto manager = open(0.5);
    for (int round = 0; round < 5; ++round) {
        say(*manager, "a", "And then?", kAnswer);
        say(*manager, "b", "And then?", kAnswer);
    }
    const auto asked = manager->prewarm("a");
    ASSERT_FALSE(asked.has_value());
    EXPECT_EQ(asked.error().code, ErrorCode::over_budget) << asked.error().message;
    EXPECT_TRUE(stays_true([&] { return learned(*manager).bytes == 0; }));
    EXPECT_EQ(manager->stats().preloads_asked.done, 0U);
}

TEST_F(PreloadTest, NothingIsLearnedFromAnotherTenant) {
    make_agents({"a", "b"});
    auto manager = open(8);
    auto other = must(manager->for_tenant("other"));
    for (const std::string id : {"a", "b"}) {
        make_agent(*other, id);
        must(other->evict(id));
        must(manager->evict(id));
    }
    for (int round = 0; round < 4; ++round) {
        for (const std::string id : {"a", "b"}) {
            say(*manager, id, "And then?", kAnswer);
            must(manager->evict(id));
        }
    }
    say(*other, "a", "And then?", kAnswer);
    EXPECT_TRUE(stays_true([&] { return must(other->get("b")).tier == "disk"; }));
    say(*manager, "a", "And then?", kAnswer);
    EXPECT_TRUE(comes_true([&] { return must(manager->get("b")).tier == "memory"; })) << "where it was learned it counts";
    EXPECT_EQ(must(other->get("b")).tier, "disk");
}

TEST_F(PreloadTest, WhatWasLearnedOutlivesTheProcess) {
    make_agents({"a", "b", "c"});
    {
        auto manager = open(8);
        for (int round = 0; round < 4; ++round) {
            for (const char *id : {"a", "b", "c"}) say(*manager, id, "And then?", kAnswer);
        }
    }
    auto manager = open(8);
    EXPECT_EQ(must(manager->get("b")).tier, "disk");
    say(*manager, "a", "And then?", kAnswer);
    EXPECT_TRUE(comes_true([&] { return must(manager->get("b")).tier == "memory"; }));
    EXPECT_EQ(must(manager->get("c")).tier, "disk");
    EXPECT_EQ(say(*manager, "b", "And then?", kAnswer).tier, "memory");
    EXPECT_EQ(learned(*manager).hits, 1U);
}

// The order is known from the process before; of b's files one is damaged.
TEST_F(PreloadTest, ADamagedPartIsSetAsideAndTheTurnIsRight) {
    make_agents({"a", "b"});
    {
        auto manager = open(8);
        for (int round = 0; round < 4; ++round) {
            for (const char *id : {"a", "b"}) say(*manager, id, "And then?", kAnswer);
        }
    }
    const TemporaryFolder sound;
    fs::copy(home_.path(), sound.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    std::vector<std::int32_t> expected;
    {
        ManagerOptions options = options_;
        options.home = sound.path();
        options.storage.preload = false;
        auto manager = open_manager(options);
        say(*manager, "a", "And then?", kAnswer);
        expected = say(*manager, "b", "What follows?", kAnswer).tokens;
    }
    {
        const auto registry = must(Registry::open(registry_path(home_.path())));
        const auto manifest = must(registry->manifest({.tenant = "default", .id = "b"}));
        ASSERT_TRUE(manifest.has_value());
        const std::string id = manifest->parts.at(1).id.hex();
        const fs::path file = store_path(home_.path()) / "blocks" / id.substr(0, 2) / (id + ".attention.safetensors");
        std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
        ASSERT_TRUE(bytes) << file;
        bytes.seekp(-5, std::ios::end);
        bytes.put('\x55');
        bytes.put('\x2a');
    }
    auto manager = open(8);
    say(*manager, "a", "And then?", kAnswer);
    EXPECT_TRUE(comes_true([&] { return manager->stats().quarantined_parts == 1; })) << "before anybody asked b";
    const TurnResult turn = say(*manager, "b", "What follows?", kAnswer);
    EXPECT_EQ(turn.tokens, expected);
    EXPECT_TRUE(turn.warning.empty()) << turn.warning;
    EXPECT_EQ(manager->stats().quarantined_parts, 1U);
    EXPECT_EQ(say(*manager, "b", "And then?", kAnswer).computed_tokens < 40, true) << "it is whole again";
}

TEST_F(PreloadTest, WhoAsksGetsItInMemory) {
    for (const char *geometry : {"tiny-llama", "tiny-gemma3", "tiny-lfm2"}) {
        SCOPED_TRACE(geometry);
        const TemporaryFolder home;
        ManagerOptions options = tiny_manager(home.path(), geometry);
        auto manager = open_manager(options);
        for (const std::string id : {"a", "b"}) make_agent(*manager, id);
        must(manager->evict("a"));
        must(manager->evict("b"));
        EXPECT_EQ(must(manager->get("a")).tier, "disk");
        must(manager->prewarm("a"));
        EXPECT_EQ(must(manager->get("a")).tier, "memory");
        must(manager->prewarm("a"));  // nothing is left to be read
        EXPECT_EQ(manager->stats().preloads_asked.done, 1U);
        const TurnResult turn = say(*manager, "a", "And then?", kAnswer);
        EXPECT_EQ(turn.tier, "memory");
        EXPECT_GT(turn.reused_tokens, 100U);
        must(manager->prewarm("a"));  // it is in the context
        must(manager->prewarm("b"));
        must(manager->evict("b"));
        const ManagerStats::Preloads counts = manager->stats().preloads_asked;
        EXPECT_EQ(counts.done, 2U);
        EXPECT_EQ(counts.hits, 1U);
        EXPECT_EQ(counts.wasted, 1U) << "b has left memory unused";
        EXPECT_EQ(learned(*manager).done, 0U) << "guessing is off";
    }
}

TEST_F(PreloadTest, AskingForWhatIsNotThere) {
    options_ = tiny_manager(home_.path());
    auto manager = open_manager(options_);
    const auto code_of = [](const Result<void> &result) { return result ? std::optional<ErrorCode>() : result.error().code; };
    EXPECT_EQ(code_of(manager->prewarm("nobody")), ErrorCode::not_found);
    EXPECT_EQ(code_of(manager->prewarm("../nobody")), ErrorCode::invalid_argument);
    must(manager->create({.id = "new"}));
    EXPECT_EQ(code_of(manager->prewarm("new")), ErrorCode::not_found);
}

// Eviction takes the end of a chain first, and sometimes all of it. That is no damage.
TEST_F(PreloadTest, AskingForWhatWasEvicted) {
    make_agents({"a"});
    const auto remove_part = [&](std::size_t index) {
        const auto registry = must(Registry::open(registry_path(home_.path())));
        const auto manifest = must(registry->manifest({.tenant = "default", .id = "a"}));
        const std::string id = manifest->parts.at(index).id.hex();
        EXPECT_TRUE(fs::remove(store_path(home_.path()) / "blocks" / id.substr(0, 2) / (id + ".attention.safetensors")));
    };
    for (const std::size_t index : {1U, 0U}) {
        remove_part(index);
        auto manager = open(8);
        const auto asked = manager->prewarm("a");
        ASSERT_FALSE(asked.has_value());
        EXPECT_EQ(asked.error().code, ErrorCode::not_found) << asked.error().message;
        EXPECT_NE(asked.error().message.find("not all stored any more"), std::string::npos) << asked.error().message;
        EXPECT_EQ(manager->stats().quarantined_parts, 0U);
    }
    EXPECT_GT(say(*open(8), "a", "And then?", kAnswer).computed_tokens, 100U);
}

// Turns, preloads, evictions and removals at the same time: nothing is held up for ever, and every turn finds its agent whole.
TEST_F(PreloadTest, BesideRunningTurns) {
    const std::vector<std::string> ids{"a", "b", "c"};
    make_agents(ids);
    auto manager = open(1.5);
    std::jthread asking([&](const std::stop_token &stop) {
        for (std::size_t i = 0; !stop.stop_requested(); ++i) {
            const auto asked = manager->prewarm(ids[i % ids.size()]);
            EXPECT_TRUE(asked || asked.error().code == ErrorCode::over_budget) << asked.error().message;
        }
    });
    std::jthread changing([&](const std::stop_token &stop) {
        while (!stop.stop_requested()) {
            must(manager->fork("a", "fork"));
            static_cast<void>(manager->prewarm("fork"));
            must(manager->rename("fork", "renamed"));
            must(manager->evict("b"));
            must(manager->remove("renamed"));
        }
    });
    for (int round = 0; round < 6; ++round) {
        for (const std::string &id : ids) EXPECT_GT(say(*manager, id, "And then?", kAnswer).reused_tokens, 0U) << id;
    }
}

}  // namespace
}  // namespace engram
