// What tenants and agents have stored, within their limits, over whole lives of a manager.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "agents/paths.h"
#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

class StorageTest : public ::testing::Test {
  protected:
    void open(const std::string &geometry = "tiny-llama") {
        red_.reset();
        blue_.reset();
        manager_.reset();
        manager_ = open_manager(tiny_manager(home_.path(), geometry));
        ASSERT_NE(manager_, nullptr);
        red_ = must(manager_->for_tenant("red"));
        blue_ = must(manager_->for_tenant("blue"));
    }
    static TurnResult tell(AgentManager &agents, const std::string &id, std::size_t words, int seed) {
        if (!agents.get(id)) must(agents.create({.id = id}));
        TurnResult result = say(agents, id, filler(words, seed), 5);
        static_cast<void>(agents.save_everything());
        return result;
    }
    TenantStorage storage(std::string_view tenant) const {
        const auto list = manager_->storage_by_tenant();
        const auto found = std::ranges::find(list, tenant, &TenantStorage::tenant);
        return found == list.end() ? TenantStorage{} : *found;
    }
    std::uint64_t agent_bytes(std::string_view tenant, std::string_view agent) const {
        for (const AgentStorage &storage : manager_->storage_by_agent()) {
            if (storage.tenant == tenant && storage.agent == agent) return storage.disk_bytes;
        }
        return 0;
    }
    std::uint64_t sum_of_agents(std::string_view tenant) const {
        std::uint64_t bytes = 0;
        for (const AgentStorage &storage : manager_->storage_by_agent()) {
            if (storage.tenant == tenant) bytes += storage.disk_bytes;
        }
        return bytes;
    }
    std::uint64_t files_bytes() const {
        std::uint64_t bytes = 0;
        for (const auto &entry : std::filesystem::recursive_directory_iterator(store_path(home_.path()) / "blocks")) {
            if (entry.is_regular_file()) bytes += entry.file_size();
        }
        return bytes;
    }
    void limit(std::string_view tenant, std::optional<std::uint64_t> bytes) {
        must(manager_->limit_storage(tenant, {.disk_bytes = bytes, .memory_bytes = std::nullopt}));
    }

    TemporaryFolder home_;
    std::unique_ptr<AgentManager> manager_, red_, blue_;
};

TEST_F(StorageTest, CountsAreThoseOfTheFilesAlsoAfterARestart) {
    for (const char *geometry : {"tiny-llama", "tiny-gemma3", "tiny-lfm2"}) {
        SCOPED_TRACE(geometry);
        open(geometry);
        tell(*red_, "a", 100, 1);
        tell(*red_, "b", 60, 2);
        tell(*blue_, "a", 100, 1);
        must(red_->fork("a", "fork"));
        const auto check = [&] {
            EXPECT_EQ(storage("red").disk_bytes + storage("blue").disk_bytes, files_bytes());
            EXPECT_EQ(sum_of_agents("red"), storage("red").disk_bytes);
            EXPECT_EQ(sum_of_agents("blue"), storage("blue").disk_bytes);
            EXPECT_EQ(agent_bytes("red", "a"), must(red_->get("a")).disk_bytes);
            EXPECT_EQ(agent_bytes("blue", "a"), must(blue_->get("a")).disk_bytes);
            EXPECT_EQ(agent_bytes("red", "fork"), 0U) << "all that it has is a's";
            EXPECT_GT(storage("blue").disk_bytes, 0U);
        };
        check();
        const std::uint64_t red = storage("red").disk_bytes;
        open(geometry);
        check();
        EXPECT_EQ(storage("red").disk_bytes, red);
        must(red_->rename("a", "c"));
        EXPECT_EQ(agent_bytes("red", "c"), must(red_->get("c")).disk_bytes);
        must(red_->remove("c"));
        must(red_->remove("fork"));
        EXPECT_EQ(storage("red").disk_bytes, agent_bytes("red", "b"));
        must(red_->remove("b"));
        must(blue_->remove("a"));
        EXPECT_EQ(files_bytes(), 0U);
        EXPECT_EQ(storage("red").disk_bytes, 0U);
    }
}

TEST_F(StorageTest, ATurnBeyondTheQuotaSucceedsAndIsComputedAgain) {
    open();
    tell(*blue_, "x", 100, 3);
    const std::uint64_t blue = storage("blue").disk_bytes;
    limit("red", 20'000);
    const TurnResult result = tell(*red_, "a", 200, 1);
    EXPECT_FALSE(result.tokens.empty());
    EXPECT_EQ(must(red_->transcript("a")).size(), 2U);
    EXPECT_LE(storage("red").disk_bytes, 20'000U);
    EXPECT_GT(storage("red").refused_parts, 0U);
    EXPECT_EQ(red_->save("a").error().code, ErrorCode::over_budget);
    EXPECT_TRUE(manager_->save_everything()) << "a budget that is kept is no failure";
    // Nobody else hears of it.
    EXPECT_TRUE(blue_->save("x"));
    EXPECT_EQ(say(*blue_, "x", "and you?", 3).warning, "");
    EXPECT_NE(say(*red_, "a", "and you?", 3).warning.find("tenant red may have"), std::string::npos);
    EXPECT_EQ(manager_->stats().last_error, "");
    EXPECT_GE(storage("blue").disk_bytes, blue);
    open();
    EXPECT_EQ(must(red_->transcript("a")).size(), 4U);
    say(*red_, "a", "and after the night?", 3);
    must(red_->save("a"));
    EXPECT_EQ(must(red_->get("a")).disk_bytes, storage("red").disk_bytes);
    EXPECT_GT(storage("red").disk_bytes, 20'000U) << "limits are not of the store: whoever runs it sets them anew";
}

TEST_F(StorageTest, SaveWritesOnlyTheTurnsOwnKv) {
    ManagerOptions options = tiny_manager(home_.path());
    options.storage.block_tokens = 32;
    auto manager = open_manager(options);
    must(manager->create({.id = "a"}));
    say(*manager, "a", filler(250), 5);
    must(manager->save("a"));
    const auto before = manager->stats().written_bytes;
    const auto tokens_before = must(manager->get("a")).n_tokens;
    say(*manager, "a", filler(60), 30);
    must(manager->save("a"));
    const auto after = manager->stats().written_bytes;
    const auto turn_tokens = must(manager->get("a")).n_tokens - tokens_before;
    // tiny-llama: 3 layers of 2 heads of 32 values, K and V, two bytes each; a file's header is a few kilobytes at most.
    const std::uint64_t token_bytes = 3 * 2 * 32 * 2 * 2;
    const std::uint64_t files = turn_tokens / 32 + 2;
    EXPECT_LE(after - before, (turn_tokens + 32) * token_bytes * 11 / 10 + files * 4096);
}

TEST_F(StorageTest, AgentsComeAndGoAsFilesWhereTheirKvFindsNoRoom) {
    open();
    tell(*red_, "a", 200, 1);
    must(red_->save("a"));
    const std::filesystem::path whole = home_.path() / "whole", without = home_.path() / "without";
    must(red_->export_agent("a", whole));
    limit("red", 20'000);
    EXPECT_EQ(must(red_->import_agent(whole, {.as = "b"})).tier, "none");
    EXPECT_LE(storage("red").disk_bytes, 20'000U);
    EXPECT_EQ(agent_bytes("red", "b"), 0U);
    EXPECT_EQ(storage("red").disk_bytes, files_bytes());
    tell(*red_, "b", 3, 2);
    must(red_->export_agent("b", without));
    EXPECT_LT(std::filesystem::file_size(without), std::filesystem::file_size(whole) / 4);
    limit("red", std::nullopt);
    EXPECT_EQ(must(red_->import_agent(without, {.as = "c"})).tier, "none");
    EXPECT_EQ(must(red_->transcript("c")).size(), 4U);
    EXPECT_EQ(must(red_->import_agent(whole, {.as = "d"})).tier, "disk");
}

TEST_F(StorageTest, ALoweredQuotaTakesKvAndLeavesTranscripts) {
    open();
    tell(*red_, "old", 100, 1);
    tell(*red_, "new", 100, 2);
    tell(*red_, "held", 100, 3);
    must(red_->pin("held", true));
    tell(*blue_, "x", 100, 1);
    const std::uint64_t all = storage("red").disk_bytes;
    const std::uint64_t blue = storage("blue").disk_bytes;
    const std::uint64_t held = must(red_->get("held")).disk_bytes;
    limit("red", all - 1);
    EXPECT_LT(storage("red").disk_bytes, all);
    EXPECT_GT(storage("red").disk_bytes, all / 2) << "no more than it takes";
    limit("red", 0);
    EXPECT_EQ(storage("red").disk_bytes, held);
    EXPECT_NE(must(red_->get("held")).tier, "none");
    EXPECT_EQ(storage("blue").disk_bytes, blue);
    EXPECT_EQ(storage("red").disk_bytes + storage("blue").disk_bytes, files_bytes());
    limit("red", std::nullopt);
    open();
    for (const char *id : {"old", "new"}) {
        EXPECT_EQ(must(red_->get(id)).tier, "none");
        EXPECT_EQ(must(red_->transcript(id)).size(), 2U);
        const TurnResult result = say(*red_, id, "do you remember?", 3);
        ASSERT_TRUE(result.miss.has_value());
        EXPECT_TRUE(result.miss->reason.starts_with("evicted")) << result.miss->reason;
    }
    EXPECT_GT(say(*red_, "held", "do you remember?", 3).reused_tokens, 0U);
}

TEST_F(StorageTest, RetentionDecidesWhatALimitTakes) {
    open();
    must(red_->create({.id = "kept", .retention = Retention::one_day}));
    tell(*red_, "kept", 100, 1);
    tell(*red_, "newer", 100, 2);
    EXPECT_EQ(must(red_->get("kept")).retention, Retention::one_day);
    const std::uint64_t kept = must(red_->get("kept")).disk_bytes;
    limit("red", kept);
    EXPECT_EQ(must(red_->get("kept")).disk_bytes, kept);
    EXPECT_EQ(must(red_->get("newer")).disk_bytes, 0U) << "used later, but nothing was promised";
    must(red_->retain("kept", Retention::forever));
    limit("red", 0);
    EXPECT_EQ(must(red_->get("kept")).disk_bytes, kept) << "as if it were pinned";
    open();
    EXPECT_EQ(must(red_->get("kept")).retention, Retention::forever);
    limit("red", 0);
    EXPECT_EQ(must(red_->get("kept")).disk_bytes, kept) << "also after a restart";
    must(red_->retain("kept", Retention::standard));
    limit("red", 0);
    EXPECT_EQ(must(red_->get("kept")).disk_bytes, 0U);
}

// A client's cache_control reaches the store.
TEST_F(StorageTest, WhatARequestAsksForIsKeptWithItsConversation) {
    open();
    const auto ask = [&](AgentManager &agents, const std::string &words, Retention retention) {
        ChatRequest request{.max_tokens = 3, .retention = retention};
        request.messages.push_back({.role = "user", .content = words});
        std::string agent;
        must(agents.chat(request, [&](const ChatEvent &event) {
            if (const auto *started = std::get_if<ChatStarted>(&event)) agent = started->agent;
        }));
        static_cast<void>(agents.save_everything());
        return agent;
    };
    const std::string kept = ask(*red_, filler(100, 1), Retention::one_hour);
    const std::string other = ask(*red_, filler(100, 2), Retention::standard);
    EXPECT_EQ(must(red_->get(kept)).retention, Retention::one_hour);
    EXPECT_EQ(must(red_->get(other)).retention, Retention::standard);
    EXPECT_EQ(agent_bytes("red", ""), storage("red").disk_bytes) << "conversations have no account of their own";
    limit("red", must(red_->get(kept)).disk_bytes);
    EXPECT_EQ(must(red_->get(other)).disk_bytes, 0U);
    EXPECT_GT(must(red_->get(kept)).disk_bytes, 0U);
}

}  // namespace
}  // namespace engram
