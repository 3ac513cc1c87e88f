// Several agents, and tenants, in one context: what they share, and what they don't.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <mutex>
#include <thread>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

class SharingTest : public ::testing::Test {
  protected:
    TemporaryFolder home_;
};

// Agents that begin alike and start together: the beginning is computed by one of them.
TEST_F(SharingTest, OnePrefillServesAllThatWaitForIt) {
    for (const char *geometry : {"tiny-llama", "tiny-gemma3", "tiny-lfm2"}) {
        SCOPED_TRACE(geometry);
        TemporaryFolder home;
        const std::string system = "You are one of many. " + filler(900, 7);
        const auto options = [&](const TemporaryFolder &folder) {
            ManagerOptions with = tiny_manager(folder.path(), geometry);
            with.model.context_tokens = 16384;
            return with;
        };
        std::vector<AgentManager::BatchItem> items;
        for (int i = 0; i < 4; ++i) {
            items.push_back({.id = "a" + std::to_string(i),
                             .request = {.prompt = "Number " + std::to_string(i) + ": " + filler(10, i), .max_tokens = 12}});
        }
        auto manager = open_manager(options(home));
        for (const auto &item : items) must(manager->create({.id = item.id, .system_prompt = system}));
        const auto results = manager->generate_batch(items);
        std::uint64_t prompt = 0, computed = 0, whole = 0;
        for (const auto &result : results) {
            ASSERT_TRUE(result.has_value()) << result.error().message;
            prompt = std::max(prompt, result->prompt_tokens);
            computed += result->computed_tokens;
            whole += result->computed_tokens == result->prompt_tokens ? 1 : 0;
            EXPECT_EQ(result->computed_tokens + result->reused_tokens, result->prompt_tokens);
        }
        EXPECT_EQ(whole, 1U) << "all but one had to compute only what is their own";
        EXPECT_LT(computed, prompt + 3 * 300);
        // What they said is what each says alone.
        if (manager->stats().memory_class != "attention") continue;
        for (std::size_t i = 0; i < items.size(); ++i) {
            TemporaryFolder own;
            auto other = open_manager(options(own));
            must(other->create({.id = "a", .system_prompt = system}));
            EXPECT_EQ(must(other->generate("a", items[i].request)).tokens, results[i]->tokens) << i;
        }
    }
}

TEST_F(SharingTest, WhoWaitsForAnothersPrefillCanGiveUp) {
    ManagerOptions options = tiny_manager(home_.path());
    options.model.context_tokens = 16384;
    auto manager = open_manager(options);
    const std::string system = "You are one of many. " + filler(1200, 7);
    must(manager->create({.id = "first", .system_prompt = system}));
    must(manager->create({.id = "second", .system_prompt = system}));
    std::stop_source first_stop, second_stop;
    std::promise<void> reading;
    std::once_flag once;
    std::jthread first([&] {
        const auto result = manager->generate(
            "first", {.prompt = "go",
                      .max_tokens = 4000,
                      .on_prefill = [&](std::uint64_t, std::uint64_t) { std::call_once(once, [&] { reading.set_value(); }); },
                      .stop = first_stop.get_token()});
        if (!result) {
            EXPECT_EQ(result.error().code, ErrorCode::cancelled) << result.error().message;
        }
        std::call_once(once, [&] { reading.set_value(); });
    });
    reading.get_future().wait();
    std::jthread second([&] {
        const auto result = manager->generate("second", {.prompt = "go", .max_tokens = 4, .stop = second_stop.get_token()});
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code, ErrorCode::cancelled);
    });
    second_stop.request_stop();  // at the latest while it waits: the other one reads some seconds longer
    second.join();
    first_stop.request_stop();  // and when the one that reads gives up, the next one goes on with what was read
    first.join();
    const TurnResult third = say(*manager, "second", "go", 4);
    EXPECT_GT(third.reused_tokens, 0U);
}

TEST_F(SharingTest, TenantsSeeNothingOfEachOther) {
    const ManagerOptions options = tiny_manager(home_.path());
    const std::string prompt = "Remember this: " + filler(400, 3);
    std::vector<std::int32_t> answer;
    {
        auto first = open_manager(options);
        auto second = must(first->for_tenant("second"));
        must(first->create({.id = "a", .system_prompt = "You are the first's."}));
        must(second->create({.id = "a", .system_prompt = "You are the first's."}));
        answer = say(*first, "a", prompt, 20).tokens;
        // The same words, with the first's KV in every tier: nothing of it is used.
        const TurnResult own = say(*second, "a", prompt, 20);
        EXPECT_EQ(own.reused_tokens, 0U);
        EXPECT_EQ(own.tokens, answer);
        EXPECT_EQ(must(first->list()).size(), 1U);
        EXPECT_EQ(must(second->get("a")).tenant, "second");
        must(first->remove("a"));
        EXPECT_EQ(first->get("a").error().code, ErrorCode::not_found);
        EXPECT_EQ(must(second->transcript("a")).size(), 2U);
        EXPECT_FALSE(first->for_tenant("../x").has_value());
        first.reset();  // the other one goes on
        EXPECT_GT(say(*second, "a", "And now?", 5).reused_tokens, 300U);
        must(second->save("a"));
    }
    auto again = must(open_manager(options)->for_tenant("second"));
    EXPECT_EQ(say(*again, "a", "Once more?", 5).tier, "disk");
}

TEST_F(SharingTest, AFileOfAnotherTenantBringsItsTranscriptAlone) {
    auto first = open_manager(tiny_manager(home_.path()));
    const auto second = must(first->for_tenant("second"));
    must(first->create({.id = "a", .system_prompt = "You are the first's."}));
    say(*first, "a", "Remember this: " + filler(100, 3), 20);
    const auto file = home_.path() / "a.engram";
    must(first->export_agent("a", file));
    const auto refused = second->import_agent(file, {});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::incompatible) << refused.error().message;
    must(second->import_agent(file, {.recompute = true}));
    EXPECT_EQ(must(second->transcript("a")).size(), 2U);
    EXPECT_EQ(say(*second, "a", "And now?", 5).reused_tokens, 0U);
}

// Room is kept for answers of usual length. Where longer ones fill the context, who came last steps aside and goes on later.
class FullContextTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FullContextTest, LongAnswersAllComeToTheirEnds) {
    constexpr std::uint32_t kAnswer = 900;
    TemporaryFolder home;
    auto manager = open_manager(tiny_manager(home.path(), GetParam()));  // 2,048 cells
    std::vector<AgentManager::BatchItem> items;
    for (int i = 0; i < 4; ++i) {
        const std::string id = "a" + std::to_string(i);
        must(manager->create({.id = id}));
        TurnRequest request{.prompt = filler(40, i), .max_tokens = kAnswer};
        request.sampling = {.temperature = 1.0F, .seed = 7U + static_cast<std::uint32_t>(i)};
        for (const char *end : {"<|im_end|>", "</s>", "<eos>", "<end_of_turn>"}) {
            const auto tokens = manager->tokenise(end);
            if (tokens.size() == 1) request.sampling.logit_bias.emplace_back(tokens.front(), -1000.0F);
        }
        items.push_back({.id = id, .request = std::move(request)});
    }
    const auto results = manager->generate_batch(items);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const std::string &id = items[i].id;
        const TurnResult answer = must(Result<TurnResult>(results[i]));
        EXPECT_EQ(answer.finish, "length");
        EXPECT_EQ(answer.tokens.size(), kAnswer);
        EXPECT_EQ(must(manager->tokens(id)).size(), answer.prompt_tokens + kAnswer);
        // Its KV is that of its tokens: what they give when all of them are read again.
        must(manager->save(id));
        must(manager->export_agent(id, home.path() / "file"));
        must(manager->import_agent(home.path() / "file", {.as = id + "-again", .recompute = true}));
        const std::vector<float> logits = must(manager->next_logits(id));
        const std::vector<float> again = must(manager->next_logits(id + "-again"));
        ASSERT_EQ(logits.size(), again.size());
        float largest = 0, difference = 0;
        for (std::size_t k = 0; k < logits.size(); ++k) {
            largest = std::max(largest, std::abs(again[k]));
            difference = std::max(difference, std::abs(logits[k] - again[k]));
        }
        EXPECT_LT(difference, largest / 10) << id;
    }
}

TEST_P(FullContextTest, WhoGivesUpWhileAsideKeepsWhatWasSaid) {
    TemporaryFolder home;
    auto manager = open_manager(tiny_manager(home.path(), GetParam()));
    std::stop_source stop;
    std::uint64_t said = 0;
    std::vector<AgentManager::BatchItem> items;
    for (int i = 0; i < 4; ++i) {
        const std::string id = "a" + std::to_string(i);
        must(manager->create({.id = id}));
        TurnRequest request{.prompt = filler(40, i), .max_tokens = 900};
        request.sampling = {.temperature = 1.0F, .seed = 7U + static_cast<std::uint32_t>(i)};
        request.stop = stop.get_token();
        request.on_text = [&](std::string_view) {
            if (++said == 1200) stop.request_stop();
        };
        items.push_back({.id = id, .request = std::move(request)});
    }
    const auto results = manager->generate_batch(items);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const TurnResult answer = must(Result<TurnResult>(results[i]));
        EXPECT_EQ(must(manager->transcript(items[i].id)).back().content, answer.text);
        EXPECT_EQ(must(manager->tokens(items[i].id)).size(), answer.prompt_tokens + answer.tokens.size());
    }
}

INSTANTIATE_TEST_SUITE_P(Classes, FullContextTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2", "tiny-mamba"),
                         [](const auto &tested) { return test_name(tested.param); });

}  // namespace
}  // namespace engram
