// A trained model's answers don't depend on where its cells lie: the placement's noise
// (docs/adr/0005-window-cells-and-placement.md) is far smaller than the distance between its first and second choice. Models with
// random weights can't show that.
#include <gtest/gtest.h>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using testing::must;
using testing::open_manager;
using testing::TemporaryFolder;

ManagerOptions options(const std::filesystem::path &home) {
    ManagerOptions options;
    options.home = home;
    options.model.path = std::filesystem::path(ENGRAM_NANO_FOLDER) / "engram-nano.gguf";
    options.model.context_tokens = 8192;
    options.model.threads = 2;
    options.storage.weigh_restores = false;
    return options;
}

// Sentences that the model was trained to read.
std::string reports(int count, int from) {
    std::string text;
    for (int i = 0; i < count; ++i)
        text +=
            "The port of server " + std::to_string(from + i) + " is " + std::to_string(7919 * (from + i) % 9000 + 1000) + ". ";
    return text;
}

// Greedy, and without an end: 200 tokens.
TurnRequest endless(const AgentManager &manager, const std::string &prompt) {
    TurnRequest request{.prompt = prompt, .max_tokens = 200};
    for (const char *end : {"<|im_end|>", "</s>", "<|endoftext|>"}) {
        const auto tokens = manager.tokenise(end);
        if (tokens.size() == 1) request.sampling.logit_bias.emplace_back(tokens.front(), -1000.0F);
    }
    return request;
}

TEST(TrainedModel, AnswersAlikeWhereverItsCellsLie) {
    const std::string question = "What is the port of server 12?";
    TemporaryFolder home;
    std::vector<std::int32_t> expected;
    {
        auto manager = open_manager(options(home.path()));
        must(manager->create({.id = "a", .system_prompt = "You are a technical assistant."}));
        must(manager->generate("a", {.prompt = reports(40, 1), .max_tokens = 16}));
        must(manager->fork("a", "never-left"));
        expected = must(manager->generate("never-left", endless(*manager, question))).tokens;
        ASSERT_EQ(expected.size(), 200U);
    }
    // Back from disk, behind cells of another agent that is answering: a few, many, and in between.
    for (const int others : {1, 9, 40}) {
        auto manager = open_manager(options(home.path()));
        const std::string id = "from-disk-" + std::to_string(others);
        must(manager->fork("a", id));
        must(manager->create({.id = "other-" + std::to_string(others)}));
        const std::vector<AgentManager::BatchItem> items{
            {.id = "other-" + std::to_string(others), .request = endless(*manager, reports(others, 300))},
            {.id = id, .request = endless(*manager, question)}};
        const auto results = manager->generate_batch(items);
        const TurnResult answer = must(Result<TurnResult>(results[1]));
        EXPECT_EQ(answer.tier, "disk");
        EXPECT_GT(answer.reused_tokens, 400U);
        EXPECT_EQ(answer.tokens, expected) << others << " sentences of another agent beside it";
    }
}

}  // namespace
}  // namespace engram
