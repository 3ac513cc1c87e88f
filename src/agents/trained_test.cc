// A trained model's answers don't depend on where its cells lie: the placement's noise
// (docs/adr/0005-window-cells-and-placement.md) is far smaller than the distance between its first and second choice. Models with
// random weights can't show that.
#include <gtest/gtest.h>

#include <array>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

ManagerOptions options(const std::filesystem::path &home) {
    ManagerOptions options;
    options.home = home;
    options.model.path = std::filesystem::path(ENGRAM_NANO_FOLDER) / "engram-nano.gguf";
    options.model.context_tokens = 8192;
    options.model.threads = 2;
    options.storage.weigh_restores = false;
    return options;
}

constexpr std::array kServers{"Kestrel", "Osprey", "Merlin", "Harrier", "Condor",
                              "Heron",   "Petrel", "Plover", "Curlew",  "Dunlin"};
constexpr std::array kCodes{"KRWQZ", "BTXMA", "ZOLVI", "QEPSU", "NAWIX", "GUFEK", "TYLOM", "VASIR", "HEDUP", "JOKAZ"};

// In sentences that the model was trained to read and to write.
std::vector<Message> told() {
    std::vector<Message> messages;
    for (std::size_t i = 0; i < kServers.size(); ++i) {
        const std::string fact = std::string("The access code for server ") + kServers[i] + " is " + kCodes[i] + ".";
        messages.push_back({.role = "user", .content = fact});
        messages.push_back({.role = "assistant", .content = "Noted. " + fact});
    }
    return messages;
}

std::string question(std::size_t i) { return std::string("What is the access code for server ") + kServers[i] + "?"; }

using Answers = std::vector<std::vector<std::int32_t>>;

std::size_t tokens_of(const Answers &answers) {
    std::size_t n = 0;
    for (const auto &answer : answers) n += answer.size();
    return n;
}

TEST(TrainedModel, AnswersAlikeWhereverItsCellsLie) {
    TemporaryFolder home;
    Answers expected;
    {
        auto manager = open_manager(options(home.path()));
        must(manager->create({.id = "a", .system_prompt = "You are a technical assistant."}));
        must(manager->append("a", told()));
        must(manager->fork("a", "never-left"));
        for (std::size_t i = 0; i < kServers.size(); ++i) {
            expected.push_back(must(manager->generate("never-left", {.prompt = question(i), .max_tokens = 40})).tokens);
        }
        EXPECT_GE(tokens_of(expected), 100U);
    }
    // Back from disk, and beside another agent that answers: few of its cells in front, many, and any number in between.
    for (const std::size_t others : {1UZ, 7UZ, 19UZ}) {
        auto manager = open_manager(options(home.path()));
        const std::string id = "from-disk-" + std::to_string(others), other = "other-" + std::to_string(others);
        must(manager->fork("a", id));
        must(manager->create({.id = other}));
        const std::vector<Message> read = told();
        must(manager->append(other, std::span(read).first(others)));
        Answers answers;
        for (std::size_t i = 0; i < kServers.size(); ++i) {
            const std::vector<AgentManager::BatchItem> items{{.id = other, .request = {.prompt = question(i), .max_tokens = 24}},
                                                             {.id = id, .request = {.prompt = question(i), .max_tokens = 40}}};
            const auto results = manager->generate_batch(items);
            const TurnResult answer = must(Result<TurnResult>(results[1]));
            EXPECT_EQ(answer.tier, i == 0 ? "disk" : answer.tier);
            EXPECT_GT(answer.reused_tokens, 300U);
            answers.push_back(answer.tokens);
        }
        EXPECT_EQ(answers, expected) << others << " messages of another agent beside it";
    }
}

// Whose beginning somebody else has computed answers as if it had done so itself.
TEST(TrainedModel, AnswersAlikeWhoeverComputedItsBeginning) {
    const std::string system = [] {
        std::string text = "You are a technical assistant.";
        for (std::size_t i = 0; i < kServers.size(); ++i) {
            text += std::string(" The access code for server ") + kServers[i] + " is " + kCodes[i] + ".";
        }
        return text;
    }();
    constexpr std::size_t kAsked = 4;
    const auto with = [](const TemporaryFolder &home) {
        ManagerOptions one_thread = options(home.path());
        one_thread.model.threads = 1;
        return one_thread;
    };
    const auto id = [](std::size_t i) { return "a" + std::to_string(i); };
    Answers alone;
    for (std::size_t i = 0; i < kAsked; ++i) {
        TemporaryFolder home;
        auto manager = open_manager(with(home));
        must(manager->create({.id = id(i), .system_prompt = system}));
        alone.push_back(must(manager->generate(id(i), {.prompt = question(i), .max_tokens = 24})).tokens);
    }
    TemporaryFolder home;
    auto manager = open_manager(with(home));
    std::vector<AgentManager::BatchItem> items;
    for (std::size_t i = 0; i < kAsked; ++i) {
        must(manager->create({.id = id(i), .system_prompt = system}));
        items.push_back({.id = id(i), .request = {.prompt = question(i), .max_tokens = 24}});
    }
    Answers together;
    std::size_t whole = 0;
    for (const auto &result : manager->generate_batch(items)) {
        const TurnResult answer = must(Result<TurnResult>(result));
        whole += answer.reused_tokens == 0 ? 1 : 0;
        together.push_back(answer.tokens);
    }
    EXPECT_EQ(whole, 1U);
    EXPECT_EQ(together, alone);
    must(manager->save_all());
    manager.reset();
    manager = open_manager(with(home));
    Answers from_disk;
    for (std::size_t i = 0; i < kAsked; ++i) {
        const std::string again = "again-" + std::to_string(i);
        must(manager->create({.id = again, .system_prompt = system}));
        const TurnResult answer = must(manager->generate(again, {.prompt = question(i), .max_tokens = 24}));
        EXPECT_GT(answer.reused_tokens, 0U);
        from_disk.push_back(answer.tokens);
        must(manager->evict(again));
    }
    EXPECT_EQ(from_disk, alone);
}

}  // namespace
}  // namespace engram
