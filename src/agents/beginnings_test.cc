// Agents that begin alike, and where their common beginning ends within a block: what they share is counted to the token, from
// the context, from host memory and from disk, one after the other and all at once, in each memory class.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "agents/testing_manager.h"
#include "core/segment_grid.h"

namespace engram {
namespace {

using namespace testing;

constexpr std::size_t kAgents = 16;
constexpr std::uint32_t kBlock = 256;

const std::string &system_text() {
    static const std::string kText = "You are one of many. " + filler(800, 7);
    return kText;
}

std::string id_of(std::size_t i) { return "a" + std::to_string(i); }

// No two of them begin alike.
std::string question(std::size_t i) {
    return std::string(1, static_cast<char>('a' + i)) + ": " + filler(4 + i, static_cast<int>(i));
}

std::size_t files_of(const std::filesystem::path &home, std::string_view kind) {
    const auto is_part = [&](const auto &entry) {
        return entry.path().filename().string().ends_with("." + std::string(kind) + ".safetensors");
    };
    return static_cast<std::size_t>(std::ranges::count_if(std::filesystem::recursive_directory_iterator(home), is_part));
}

class BeginningsTest : public ::testing::TestWithParam<std::string> {
  protected:
    ManagerOptions options() const {
        ManagerOptions options = tiny_manager(home_.path(), GetParam());
        options.model.context_tokens = 24576;
        options.model.max_running = kAgents;
        options.storage.block_tokens = options.storage.checkpoint_tokens = kBlock;
        return options;
    }
    bool attention() const { return GetParam() == "tiny-llama" || GetParam() == "tiny-qwen3"; }

    static void create_all(AgentManager &manager) {
        for (std::size_t i = 0; i < kAgents; ++i) must(manager.create({.id = id_of(i), .system_prompt = system_text()}));
    }

    static std::size_t in_common(const AgentManager &manager, const std::string &a, const std::string &b) {
        const auto x = must(manager.tokens(a)), y = must(manager.tokens(b));
        return static_cast<std::size_t>(std::ranges::mismatch(x, y).in1 - x.begin());
    }

    // The end of the beginning: no multiple of a block, so that whole blocks alone wouldn't reach it.
    static std::size_t checked_beginning(const AgentManager &manager) {
        const std::size_t common = in_common(manager, id_of(0), id_of(1));
        EXPECT_FALSE(SegmentGrid::with_beginning(kBlock, common).cuts.empty()) << "choose another text";
        EXPECT_GT(common, 3 * kBlock);
        return common;
    }

    static std::vector<AgentManager::BatchItem> all_items() {
        std::vector<AgentManager::BatchItem> items;
        for (std::size_t i = 0; i < kAgents; ++i) {
            items.push_back({.id = id_of(i), .request = {.prompt = question(i), .max_tokens = 6}});
        }
        return items;
    }

    static void all_at_once(AgentManager &manager) {
        create_all(manager);
        const auto results = manager.generate_batch(all_items());
        const std::size_t common = checked_beginning(manager);
        std::size_t whole = 0;
        for (std::size_t i = 0; i < kAgents; ++i) {
            const TurnResult answer = must(Result<TurnResult>(results[i]));
            EXPECT_EQ(answer.computed_tokens + answer.reused_tokens, answer.prompt_tokens);
            if (answer.reused_tokens == 0) {
                ++whole;
            } else {
                EXPECT_EQ(answer.reused_tokens, common) << i;
            }
        }
        EXPECT_EQ(whole, 1U);
    }

    TemporaryFolder home_;
};

TEST_P(BeginningsTest, OneAfterTheOtherFromTheContext) {
    auto manager = open_manager(options());
    create_all(*manager);
    std::vector<TurnResult> answers;
    for (std::size_t i = 0; i < kAgents; ++i) answers.push_back(say(*manager, id_of(i), question(i), 6));
    const std::size_t common = checked_beginning(*manager);
    EXPECT_EQ(answers[0].reused_tokens, 0U);
    for (std::size_t i = 1; i < kAgents; ++i) {
        EXPECT_EQ(answers[i].reused_tokens, common) << i;
        if (attention()) {
            EXPECT_EQ(answers[i].tier, "hot") << i;
        }
    }
}

// With room for a single sequence the next agent goes on in the place of the last one.
TEST_P(BeginningsTest, OneAfterTheOtherInASinglePlace) {
    ManagerOptions with = options();
    with.model.max_running = 1;
    auto manager = open_manager(with);
    create_all(*manager);
    std::vector<TurnResult> answers;
    for (std::size_t i = 0; i < 4; ++i) answers.push_back(say(*manager, id_of(i), question(i), 6));
    const std::size_t common = checked_beginning(*manager);
    for (std::size_t i = 1; i < 4; ++i) {
        EXPECT_EQ(answers[i].reused_tokens, common) << i;
        if (attention()) {
            EXPECT_EQ(answers[i].tier, "hot") << i;
        }
    }
}

TEST_P(BeginningsTest, AllAtOnce) {
    auto manager = open_manager(options());
    all_at_once(*manager);
}

TEST_P(BeginningsTest, AllAtOnceWithFewPlaces) {
    ManagerOptions with = options();
    with.model.max_running = 3;
    auto manager = open_manager(with);
    all_at_once(*manager);
}

TEST_P(BeginningsTest, FromMemory) {
    auto manager = open_manager(options());
    create_all(*manager);
    std::vector<TurnResult> answers;
    for (std::size_t i = 0; i < 4; ++i) {
        answers.push_back(say(*manager, id_of(i), question(i), 6));
        must(manager->evict(id_of(i), AgentManager::EvictTo::memory));
    }
    const std::size_t common = checked_beginning(*manager);
    for (std::size_t i = 1; i < 4; ++i) {
        EXPECT_EQ(answers[i].reused_tokens, common) << i;
        EXPECT_EQ(answers[i].tier, "memory") << i;
    }
}

TEST_P(BeginningsTest, FromDiskAfterARestart) {
    {
        auto manager = open_manager(options());
        create_all(*manager);
        say(*manager, id_of(0), question(0), 6);
        must(manager->save(id_of(0)));
    }
    for (const std::size_t i : {1U, 2U}) {
        auto manager = open_manager(options());
        const TurnResult answer = say(*manager, id_of(i), question(i), 6);
        EXPECT_EQ(answer.reused_tokens, checked_beginning(*manager)) << i;
        EXPECT_EQ(answer.tier, "disk") << i;
        must(manager->save(id_of(i)));
    }
    // And each goes on where it ended itself.
    auto manager = open_manager(options());
    for (const std::size_t i : {0U, 1U, 2U}) {
        const std::size_t stored = must(manager->tokens(id_of(i))).size() - 1;  // the last one was said, and not read
        EXPECT_EQ(say(*manager, id_of(i), "And now?", 6).reused_tokens, stored) << i;
        must(manager->evict(id_of(i)));
    }
}

// The common beginning lies on disk once: of what is behind it every agent has its own, and nothing of what is in front.
TEST_P(BeginningsTest, WhatIsCommonIsStoredOnce) {
    auto manager = open_manager(options());
    all_at_once(*manager);
    must(manager->save_all());
    const std::size_t common = checked_beginning(*manager);
    const SegmentGrid grid = SegmentGrid::with_beginning(kBlock, common);
    std::size_t expected = grid.index_at(common);
    for (std::size_t i = 0; i < kAgents; ++i) {
        const std::size_t n_kv = must(manager->tokens(id_of(i))).size() - 1;
        expected += grid.index_at(n_kv - 1) + 1 - grid.index_at(common);
    }
    const std::string memory_class = manager->stats().memory_class;
    if (memory_class != "recurrent" && memory_class != "opaque") {
        EXPECT_EQ(files_of(home_.path(), "attention"), expected);
    }
}

TEST_P(BeginningsTest, AnotherTenantComputesItAll) {
    {
        auto first = open_manager(options());
        const auto second = must(first->for_tenant("second"));
        must(first->create({.id = "a", .system_prompt = system_text()}));
        must(second->create({.id = "a", .system_prompt = system_text()}));
        must(second->create({.id = "b", .system_prompt = system_text()}));
        say(*first, "a", question(0), 6);
        EXPECT_EQ(say(*second, "a", question(0), 6).reused_tokens, 0U) << "from the context";
        must(first->save("a"));
        must(second->remove("a"));
    }
    auto first = open_manager(options());
    EXPECT_EQ(say(*must(first->for_tenant("second")), "b", question(0), 6).reused_tokens, 0U) << "from disk";
}

TEST_P(BeginningsTest, AFileTakesAnAgentWithItsSeamToAnotherHome) {
    TemporaryFolder other_home;
    const auto file = other_home.path() / "a.engram";
    std::size_t stored = 0;
    {
        auto manager = open_manager(options());
        create_all(*manager);
        say(*manager, id_of(0), question(0), 6);
        must(manager->export_agent(id_of(0), file));
        stored = must(manager->tokens(id_of(0))).size() - 1;
    }
    ManagerOptions elsewhere = options();
    elsewhere.home = other_home.path() / "home";
    auto manager = open_manager(elsewhere);
    must(manager->import_agent(file, {}));
    must(manager->create({.id = id_of(1), .system_prompt = system_text()}));
    const TurnResult second = say(*manager, id_of(1), question(1), 6);
    EXPECT_EQ(second.reused_tokens, checked_beginning(*manager));
    must(manager->evict(id_of(1)));
    EXPECT_EQ(say(*manager, id_of(0), "And now?", 6).reused_tokens, stored);
}

// Who has read more than the beginning that lies in somebody else's cells gets its own back.
TEST_P(BeginningsTest, AgentsThatAlternateKeepWhatTheyHaveRead) {
    auto manager = open_manager(options());
    create_all(*manager);
    for (int turn = 0; turn < 3; ++turn) {
        for (std::size_t i = 0; i < 2; ++i) {
            const std::size_t before = turn == 0 ? 0 : must(manager->tokens(id_of(i))).size() - 1;
            const TurnResult answer = say(*manager, id_of(i), question(i) + filler(60, turn), 6);
            EXPECT_GE(answer.reused_tokens, before) << "turn " << turn << " of " << id_of(i);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Classes, BeginningsTest,
                         ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-windows", "tiny-lfm2", "tiny-mamba"),
                         [](const auto &tested) { return test_name(tested.param); });

// What begins alike and isn't a system prompt: in the context it is shared to the token, where sequences can be cut.
TEST(Beginnings, OfWhatUsersSayAreSharedInTheContext) {
    TemporaryFolder home;
    ManagerOptions options = tiny_manager(home.path());
    options.model.context_tokens = 16384;
    auto manager = open_manager(options);
    const std::string said = "Read this: " + filler(200, 3);
    std::vector<AgentManager::BatchItem> items;
    for (std::size_t i = 0; i < 6; ++i) {
        must(manager->create({.id = id_of(i)}));
        items.push_back({.id = id_of(i), .request = {.prompt = said + " " + question(i), .max_tokens = 6}});
    }
    const auto results = manager->generate_batch(items);
    std::size_t whole = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const TurnResult answer = must(Result<TurnResult>(results[i]));
        if (answer.reused_tokens == 0) {
            ++whole;
            continue;
        }
        const auto tokens = must(manager->tokens(id_of(i)));
        std::size_t common = 0;
        for (std::size_t k = 0; k < items.size(); ++k) {
            const auto other = must(manager->tokens(id_of(k)));
            if (k != i)
                common = std::max(common, static_cast<std::size_t>(std::ranges::mismatch(tokens, other).in1 - tokens.begin()));
        }
        EXPECT_EQ(answer.reused_tokens, common) << i;
    }
    EXPECT_EQ(whole, 1U);
}

// A beginning shorter than a block is one, too.
TEST(Beginnings, ShorterThanABlockAreShared) {
    for (const char *geometry : {"tiny-llama", "tiny-gemma3", "tiny-lfm2"}) {
        SCOPED_TRACE(geometry);
        TemporaryFolder home;
        ManagerOptions options = tiny_manager(home.path(), geometry);
        options.storage.block_tokens = options.storage.checkpoint_tokens = 256;
        {
            auto manager = open_manager(options);
            for (std::size_t i = 0; i < 3; ++i) {
                must(manager->create({.id = id_of(i), .system_prompt = "You are a clerk. " + filler(60, 2)}));
            }
            say(*manager, id_of(0), question(0), 6);
            must(manager->save(id_of(0)));
        }
        auto manager = open_manager(options);
        const TurnResult answer = say(*manager, id_of(1), question(1), 6);
        const auto x = must(manager->tokens(id_of(0))), y = must(manager->tokens(id_of(1)));
        const auto common = static_cast<std::size_t>(std::ranges::mismatch(x, y).in1 - x.begin());
        EXPECT_GE(common, 32U);
        EXPECT_LT(common, 256U);
        EXPECT_EQ(answer.reused_tokens, common);
        EXPECT_EQ(answer.tier, "disk");
    }
}

}  // namespace
}  // namespace engram
