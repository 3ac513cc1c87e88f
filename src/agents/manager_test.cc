#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

struct Case {
    std::string geometry, kv_type;
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.geometry << "_" << c.kv_type; }

// The same second turn, however the agent came to be where it is.
class ExactnessTest : public ::testing::TestWithParam<Case> {
  protected:
    static constexpr std::uint32_t kAnswer = 200;
    const std::string first_ = "Remember this: " + filler(60, 1);
    const std::string second_ = "And now go on: " + filler(12, 2);

    ManagerOptions options() const { return tiny_manager(home_.path(), GetParam().geometry, GetParam().kv_type); }

    std::unique_ptr<AgentManager> first_turn(const ManagerOptions &options) {
        auto manager = open_manager(options);
        must(manager->create({.id = "a", .system_prompt = "You are the first. " + filler(20)}));
        say(*manager, "a", first_, 70);
        return manager;
    }

    struct Control {
        std::vector<std::int32_t> answer;
        std::vector<float> logits;
        std::string digest;
    };

    // Never stopped, in a home of its own. Window models compute with their window's cells where they happen to lie in a ring; so
    // that bits can be compared, their control leaves the context once and comes back: the same process, cells placed alike.
    Control control() {
        TemporaryFolder home;
        auto manager = first_turn(tiny_manager(home.path(), GetParam().geometry, GetParam().kv_type));
        Control control;
        if (manager->stats().memory_class == "window") must(manager->evict("a", AgentManager::EvictTo::memory));
        control.digest = must(manager->kv_digest("a"));
        control.logits = must(manager->next_logits("a"));
        control.answer = say(*manager, "a", second_, kAnswer).tokens;
        EXPECT_EQ(control.answer.size(), kAnswer);
        return control;
    }

    TemporaryFolder home_;
};

TEST_P(ExactnessTest, EvictedAndReloaded) {
    const Control expected = control();
    auto manager = first_turn(options());
    must(manager->evict("a", AgentManager::EvictTo::disk));
    EXPECT_EQ(must(manager->get("a")).tier, "disk");
    EXPECT_EQ(must(manager->kv_digest("a")), expected.digest);
    EXPECT_EQ(must(manager->next_logits("a")), expected.logits);
    const TurnResult result = say(*manager, "a", second_, kAnswer);
    EXPECT_EQ(result.tokens, expected.answer);
    EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
}

TEST_P(ExactnessTest, LeftTheContextForHostMemory) {
    const Control expected = control();
    auto manager = first_turn(options());
    must(manager->evict("a", AgentManager::EvictTo::memory));
    EXPECT_EQ(must(manager->get("a")).tier, "memory");
    const TurnResult result = say(*manager, "a", second_, kAnswer);
    EXPECT_EQ(result.tier, "memory");
    EXPECT_EQ(result.tokens, expected.answer);
}

TEST_P(ExactnessTest, RestartedProcess) {
    const Control expected = control();
    {
        first_turn(options());
    }
    auto manager = open_manager(options());
    const auto n_tokens = must(manager->get("a")).n_tokens;
    EXPECT_EQ(must(manager->kv_digest("a")), expected.digest);
    const TurnResult result = say(*manager, "a", second_, kAnswer);
    EXPECT_EQ(result.tokens, expected.answer);
    EXPECT_GE(result.reused_tokens + 1, n_tokens) << "all but the last sampled token is reused";
    EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
    EXPECT_EQ(result.reused_tokens + result.computed_tokens, result.prompt_tokens);
}

TEST_P(ExactnessTest, RestartedLogits) {
    const Control expected = control();
    {
        first_turn(options());
    }
    auto manager = open_manager(options());
    EXPECT_EQ(must(manager->next_logits("a")), expected.logits) << "bit for bit, in an equal placement";
}

TEST_P(ExactnessTest, Forked) {
    const Control expected = control();
    auto manager = first_turn(options());
    must(manager->fork("a", "b"));
    const TurnResult result = say(*manager, "b", second_, kAnswer);
    EXPECT_EQ(result.tokens, expected.answer);
    EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
    // The original goes on from the same memory.
    EXPECT_EQ(say(*manager, "a", second_, kAnswer).tokens, expected.answer);
}

TEST_P(ExactnessTest, ExportedAndImported) {
    const Control expected = control();
    const auto file = home_.path() / "a.engram";
    {
        auto manager = first_turn(options());
        must(manager->export_agent("a", file));
    }
    TemporaryFolder elsewhere;
    auto manager = open_manager(tiny_manager(elsewhere.path(), GetParam().geometry, GetParam().kv_type));
    must(manager->import_agent(file, {.as = "imported"}));
    EXPECT_EQ(must(manager->kv_digest("imported")), expected.digest);
    const TurnResult result = say(*manager, "imported", second_, kAnswer);
    EXPECT_EQ(result.tokens, expected.answer);
    EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
}

INSTANTIATE_TEST_SUITE_P(Classes, ExactnessTest,
                         ::testing::Values(Case{"tiny-llama", "f16"}, Case{"tiny-llama", "f32"}, Case{"tiny-llama", "bf16"},
                                           Case{"tiny-llama", "q8_0"}, Case{"tiny-llama", "q4_0"}, Case{"tiny-qwen3", "f16"},
                                           Case{"tiny-gemma3", "f16"}, Case{"tiny-gemma3", "f32"}, Case{"tiny-gemma3", "bf16"},
                                           Case{"tiny-gemma3", "q8_0"}, Case{"tiny-gemma3", "q4_0"}, Case{"tiny-lfm2", "f16"},
                                           Case{"tiny-lfm2", "f32"}, Case{"tiny-lfm2", "bf16"}, Case{"tiny-lfm2", "q8_0"},
                                           Case{"tiny-lfm2", "q4_0"}, Case{"tiny-mamba", "f16"}, Case{"tiny-windows", "f16"}),
                         [](const auto &tested) { return test_name(tested.param.geometry + "_" + tested.param.kv_type); });

class ManagerTest : public ::testing::Test {
  protected:
    TemporaryFolder home_;
    ManagerOptions options_ = tiny_manager(home_.path());
};

TEST_F(ManagerTest, RefusesBadIdsEverywhere) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "ok"}));
    for (const std::string bad : {"", ".x", "a/b", "../up", "a b", "a\\b"}) {
        EXPECT_EQ(manager->create({.id = bad}).error().code, ErrorCode::invalid_argument) << bad;
        EXPECT_EQ(manager->get(bad).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(manager->generate(bad, {.prompt = "x"}).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(manager->remove(bad).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(manager->evict(bad).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(manager->export_agent(bad, home_.path() / "x").error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(manager->fork("ok", bad).error().code, ErrorCode::invalid_argument);
        EXPECT_EQ(manager->rename("ok", bad).error().code, ErrorCode::invalid_argument);
    }
}

TEST_F(ManagerTest, UnknownAgentsAreNotFoundAndTakenNamesRefused) {
    auto manager = open_manager(options_);
    EXPECT_EQ(manager->get("nobody").error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->generate("nobody", {.prompt = "x"}).error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->fork("nobody", "x").error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->save("nobody").error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->load("nobody").error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->transcript("nobody").error().code, ErrorCode::not_found);
    must(manager->create({.id = "a"}));
    EXPECT_EQ(manager->create({.id = "a"}).error().code, ErrorCode::already_exists);
    must(manager->create({.id = "b"}));
    EXPECT_EQ(manager->rename("a", "b").error().code, ErrorCode::already_exists);
    EXPECT_EQ(manager->fork("a", "b").error().code, ErrorCode::already_exists);
}

TEST_F(ManagerTest, TranscriptHoldsWhatWasSaid) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a", .system_prompt = "Be brief."}));
    const TurnResult first = say(*manager, "a", "one", 20);
    const TurnResult second = say(*manager, "a", "two", 20);
    const auto transcript = must(manager->transcript("a"));
    ASSERT_EQ(transcript.size(), 4U);
    EXPECT_EQ(transcript[0].role, "user");
    EXPECT_EQ(transcript[0].content, "one");
    EXPECT_EQ(transcript[1].role, "assistant");
    EXPECT_EQ(transcript[1].content, first.text);
    EXPECT_EQ(transcript[3].content, second.text);
    const AgentInfo info = must(manager->get("a"));
    EXPECT_EQ(info.n_turns, 2U);
    EXPECT_EQ(info.n_messages, 4U);
    EXPECT_EQ(must(manager->tokens("a")).size(), info.n_tokens);
}

TEST_F(ManagerTest, StreamedTextIsTheAnswer) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    std::string streamed;
    std::size_t pieces = 0;
    std::uint64_t progress = 0;
    const TurnResult result =
        must(manager->generate("a", {.prompt = filler(200),
                                     .max_tokens = 50,
                                     .on_text =
                                         [&](std::string_view piece) {
                                             streamed += piece;
                                             ++pieces;
                                         },
                                     .on_prefill = [&](std::uint64_t done, std::uint64_t) { progress = done; }}));
    EXPECT_EQ(streamed, result.text);
    EXPECT_GT(pieces, 5U);
    EXPECT_EQ(progress, result.computed_tokens);
}

// The first piece is handed out at once, and the last one when the turn is on disk.
TEST_F(ManagerTest, CommittedBeforeTheLastPiece) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    std::string streamed;
    std::vector<std::size_t> messages;  // that are there when a piece comes
    const auto listen = [&](std::string_view piece) {
        streamed += piece;
        messages.push_back(must(manager->transcript("a")).size());
    };
    const TurnResult result = must(manager->generate("a", {.prompt = "hello", .max_tokens = 30, .on_text = listen}));
    EXPECT_EQ(streamed, result.text);
    ASSERT_GT(messages.size(), 2U);
    EXPECT_EQ(messages.front(), 0U);
    EXPECT_EQ(messages.back(), 2U);
}

TEST_F(ManagerTest, APieceThatIsKnownToBeTheOnlyOneIsCommitted) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    std::size_t messages = 0;
    must(manager->generate("a", {.prompt = "hello", .max_tokens = 1, .on_text = [&](std::string_view) {
                                     messages = must(manager->transcript("a")).size();
                                 }}));
    EXPECT_EQ(messages, 2U);
}

TEST_F(ManagerTest, MoreAgentsThanTheContextHolds) {
    options_.model.context_tokens = 512;
    auto manager = open_manager(options_);
    std::vector<std::vector<std::int32_t>> alone;
    for (int i = 0; i < 6; ++i) {
        TemporaryFolder home;
        auto options = options_;
        options.home = home.path();
        auto control = open_manager(options);
        must(control->create({.id = "c"}));
        say(*control, "c", filler(40, i), 20);
        alone.push_back(say(*control, "c", "next " + filler(5, i), 30).tokens);
    }
    for (int i = 0; i < 6; ++i) {
        const std::string id = "agent" + std::to_string(i);
        must(manager->create({.id = id}));
        say(*manager, id, filler(40, i), 20);
    }
    for (int i = 0; i < 6; ++i) {
        const TurnResult result = say(*manager, "agent" + std::to_string(i), "next " + filler(5, i), 30);
        EXPECT_EQ(result.tokens, alone[static_cast<std::size_t>(i)]) << "agent " << i << " must not notice the others";
        EXPECT_GT(result.reused_tokens, 50U);
    }
}

TEST_F(ManagerTest, BatchTurnsAreAllAnsweredAndCommitted) {
    options_.model.max_running = 3;
    auto manager = open_manager(options_);
    std::vector<AgentManager::BatchItem> items;
    for (int i = 0; i < 5; ++i) {
        const std::string id = "agent" + std::to_string(i);
        must(manager->create({.id = id, .system_prompt = "You are number " + std::to_string(i)}));
        items.push_back({.id = id, .request = {.prompt = filler(30, i), .max_tokens = 25}});
    }
    items.push_back({.id = "agent0", .request = {.prompt = "again", .max_tokens = 10}});
    items.push_back({.id = "nobody", .request = {.prompt = "x"}});
    const auto results = manager->generate_batch(items);
    ASSERT_EQ(results.size(), 7U);
    for (int i = 0; i < 5; ++i) {
        ASSERT_TRUE(results[static_cast<std::size_t>(i)].has_value()) << results[static_cast<std::size_t>(i)].error().message;
        EXPECT_EQ(results[static_cast<std::size_t>(i)]->tokens.size(), 25U);
    }
    ASSERT_TRUE(results[5].has_value());
    EXPECT_EQ(results[6].error().code, ErrorCode::not_found);
    EXPECT_EQ(must(manager->transcript("agent0")).size(), 4U);
    EXPECT_EQ(must(manager->transcript("agent1")).size(), 2U);
}

TEST_F(ManagerTest, ManyThreadsManyAgents) {
    auto manager = open_manager(options_);
    for (int i = 0; i < 6; ++i) must(manager->create({.id = "t" + std::to_string(i)}));
    std::atomic<int> failures = 0;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&, t] {
                for (int round = 0; round < 4; ++round) {
                    const auto result =
                        manager->generate("t" + std::to_string((t + round) % 6), {.prompt = filler(10, t), .max_tokens = 8});
                    if (!result) ++failures;
                }
            });
        }
    }
    EXPECT_EQ(failures, 0);
    std::uint64_t turns = 0;
    for (const AgentInfo &info : must(manager->list())) turns += info.n_turns;
    EXPECT_EQ(turns, 16U);
}

TEST_F(ManagerTest, CancelledPrefillLeavesTheConversationAsItWas) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    say(*manager, "a", "hello", 10);
    const auto before = must(manager->get("a"));
    std::stop_source stop;
    const auto result = manager->generate("a", {.prompt = filler(300),
                                                .max_tokens = 10,
                                                .on_prefill = [&](std::uint64_t, std::uint64_t) { stop.request_stop(); },
                                                .stop = stop.get_token()});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::cancelled);
    const auto after = must(manager->get("a"));
    EXPECT_EQ(after.n_tokens, before.n_tokens);
    EXPECT_EQ(after.n_messages, before.n_messages);
    EXPECT_EQ(say(*manager, "a", "and now", 10).tokens.size(), 10U);
}

TEST_F(ManagerTest, CancelledAnswerIsCommittedAsFarAsItWent) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    std::stop_source stop;
    int pieces = 0;
    const TurnResult result = must(manager->generate("a", {.prompt = "hello",
                                                           .max_tokens = 1000,
                                                           .on_text =
                                                               [&](std::string_view) {
                                                                   if (++pieces == 5) stop.request_stop();
                                                               },
                                                           .stop = stop.get_token()}));
    EXPECT_EQ(result.finish, "cancelled");
    EXPECT_LT(result.tokens.size(), 1000U);
    EXPECT_EQ(must(manager->transcript("a")).back().content, result.text);
}

TEST_F(ManagerTest, APromptThatDoesNotFitSaysSo) {
    options_.model.context_tokens = 256;
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    const auto result = manager->generate("a", {.prompt = filler(2000), .max_tokens = 10});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::too_long);
    EXPECT_NE(result.error().message.find("256"), std::string::npos) << result.error().message;
    EXPECT_EQ(say(*manager, "a", "short", 400).finish, "context");
}

TEST_F(ManagerTest, SharedPrefixIsStoredOnceAndNotComputedAgain) {
    auto manager = open_manager(options_);
    const std::string system = filler(150, 4);
    must(manager->create({.id = "first", .system_prompt = system}));
    const TurnResult first = say(*manager, "first", "question", 5);
    must(manager->save_all());
    const auto before = manager->stats();
    must(manager->create({.id = "second", .system_prompt = system}));
    const TurnResult second = say(*manager, "second", "another", 5);
    EXPECT_GT(second.reused_tokens, first.prompt_tokens * 8 / 10);
    must(manager->save_all());
    EXPECT_LT(manager->stats().written_bytes - before.written_bytes, before.written_bytes / 3);
}

// A checkpoint at the system prompt's end outlives turns and restarts: agents that come later begin there.
TEST_F(ManagerTest, SharedPrefixOfEveryMemoryClassAfterTurnsAndARestart) {
    for (const std::string geometry : {"tiny-gemma3", "tiny-lfm2", "tiny-mamba"}) {
        TemporaryFolder home;
        const ManagerOptions options = tiny_manager(home.path(), geometry);
        const std::string system = filler(150, 4);
        std::uint64_t prompt_tokens = 0;
        {
            auto manager = open_manager(options);
            must(manager->create({.id = "first", .system_prompt = system}));
            prompt_tokens = say(*manager, "first", "question", 5).prompt_tokens;
        }
        for (int restart = 0; restart < 2; ++restart) {
            auto manager = open_manager(options);
            EXPECT_FALSE(say(*manager, "first", "another question " + filler(20, restart), 5).miss.has_value());
        }
        auto manager = open_manager(options);
        must(manager->create({.id = "second", .system_prompt = system}));
        EXPECT_GT(say(*manager, "second", "hello", 5).reused_tokens, prompt_tokens * 8 / 10) << geometry;
    }
}

TEST_F(ManagerTest, AnotherModelsKvIsRefusedAndTheTranscriptReadAgain) {
    {
        auto manager = open_manager(options_);
        must(manager->create({.id = "a"}));
        say(*manager, "a", filler(60), 20);
    }
    options_.model.path = testing::tiny_model("tiny-llama", "f32", 2);
    auto manager = open_manager(options_);
    EXPECT_EQ(must(manager->get("a")).tier, "none");
    const TurnResult result = say(*manager, "a", "go on", 20);
    EXPECT_EQ(result.reused_tokens, 0U);
    ASSERT_TRUE(result.miss.has_value());
    EXPECT_NE(result.miss->reason.find("incompatible"), std::string::npos) << result.miss->reason;
    EXPECT_EQ(manager->stats().refused_incompatible, 1U);
}

TEST_F(ManagerTest, RemoveForgetsEverythingThatOnlyTheAgentNeeded) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a"}));
    say(*manager, "a", filler(100), 20);
    must(manager->fork("a", "b"));
    must(manager->save_all());
    EXPECT_EQ(must(manager->get("a")).disk_bytes_exclusive, 0U);
    must(manager->remove("a"));
    EXPECT_EQ(manager->get("a").error().code, ErrorCode::not_found);
    EXPECT_GT(must(manager->get("b")).disk_bytes, 0U);
    EXPECT_FALSE(say(*manager, "b", "still there?", 5).miss.has_value());
    must(manager->save_all());
    must(manager->remove("b"));
    EXPECT_EQ(manager->stats().disk_bytes, 0U);
}

// `engram agent apply --prune` removes what its folder has no file for any more: not what was forked from it.
TEST_F(ManagerTest, AForkBelongsToNoFolderOfRoles) {
    auto manager = open_manager(options_);
    AgentSpec spec{.id = "a"};
    spec.card.owner = "somebody";
    spec.card.managed_by = "/roles";
    must(manager->create(spec));
    EXPECT_EQ(must(manager->fork("a", "b")).card.managed_by, "");
    EXPECT_EQ(must(manager->get("b")).card.owner, "somebody");
    EXPECT_EQ(must(manager->get("a")).card.managed_by, "/roles");
}

TEST_F(ManagerTest, AnAgentGoesOnFromWhereItsForkIs) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "a", .description = "stays"}));
    say(*manager, "a", filler(100), 20);
    must(manager->fork("a", "b"));
    const std::string said = say(*manager, "b", "and then?", 10).text;
    must(manager->fast_forward("a", "b"));
    EXPECT_EQ(manager->get("b").error().code, ErrorCode::not_found);
    EXPECT_EQ(must(manager->get("a")).description, "stays");
    const std::vector<Message> messages = must(manager->transcript("a"));
    ASSERT_EQ(messages.size(), 4U);
    EXPECT_EQ(messages.back().content, said);
    const TurnResult result = say(*manager, "a", "go on", 5);
    EXPECT_FALSE(result.miss.has_value());
    EXPECT_GT(result.reused_tokens, 110U);
    must(manager->save_all());
    must(manager->fork("a", "late"));
    say(*manager, "late", "hello", 2);
    say(*manager, "a", "hello", 2);
    EXPECT_EQ(manager->fast_forward("a", "late").error().code, ErrorCode::already_exists);
    must(manager->remove("late"));
    must(manager->remove("a"));
    EXPECT_EQ(manager->stats().disk_bytes, 0U);
}

TEST_F(ManagerTest, RenameKeepsTheMemory) {
    auto manager = open_manager(options_);
    must(manager->create({.id = "old"}));
    say(*manager, "old", filler(80), 20);
    must(manager->rename("old", "new"));
    EXPECT_EQ(manager->get("old").error().code, ErrorCode::not_found);
    const TurnResult result = say(*manager, "new", "hello", 5);
    EXPECT_FALSE(result.miss.has_value());
    EXPECT_GT(result.reused_tokens, 80U);
}

TEST_F(ManagerTest, ASecondManagerOnTheSameHomeIsRefused) {
    auto manager = open_manager(options_);
    const auto second = AgentManager::open(options_);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::locked);
    EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos) << second.error().message;
}

}  // namespace
}  // namespace engram
