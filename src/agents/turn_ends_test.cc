// What turns write: each its own KV, once; and what comes back of many such pieces.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "agents/testing_manager.h"
#include "core/segment_grid.h"

namespace engram {
namespace {

using namespace testing;

constexpr std::uint32_t kBlock = 256;

std::set<std::string> files_of(const std::filesystem::path &home, std::string_view kind) {
    std::set<std::string> names;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(home)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with("." + std::string(kind) + ".safetensors")) names.insert(name);
    }
    return names;
}

class TurnEndsTest : public ::testing::TestWithParam<std::string> {
  protected:
    ManagerOptions options(std::string_view folder) const {
        ManagerOptions options = tiny_manager(home_.path() / folder, GetParam());
        options.model.context_tokens = 8192;
        options.storage.block_tokens = options.storage.checkpoint_tokens = kBlock;
        return options;
    }
    static std::string question(int turn) { return "Turn " + std::to_string(turn) + ": " + filler(60 + 7 * turn, turn); }

    TemporaryFolder home_;
};

using TurnEndsWithAttentionTest = TurnEndsTest;

// No attention part is written a second time under another id, but for pieces that aren't worth a file.
TEST_P(TurnEndsWithAttentionTest, ATurnWritesWhatIsItsOwn) {
    auto manager = open_manager(options("home"));
    must(manager->create({.id = "a"}));
    SegmentGrid grid{.block_tokens = kBlock};
    std::size_t again = 0;
    for (int turn = 0; turn < 14; ++turn) {
        say(*manager, "a", question(turn), 5);
        must(manager->save("a"));
        const std::size_t stored = must(manager->tokens("a")).size() - 1;  // the last one was said, and not read
        const std::size_t n_segments = grid.index_at(stored) + (grid.is_boundary(stored) ? 0 : 1);
        const std::size_t n_files = files_of(home_.path(), "attention").size();
        EXPECT_GE(n_files, n_segments) << turn;
        EXPECT_LE(n_files, n_segments + again) << turn;
        const std::size_t n_cuts = grid.cuts.size();
        grid.cut_at_end(stored);
        if (!grid.is_boundary(stored) && grid.cuts.size() == n_cuts) ++again;
    }
    EXPECT_GT(grid.cuts.size(), 8U);
}

// After each restart all that was stored comes back, and the answers are those of an agent that never left the context.
TEST_P(TurnEndsTest, ManyPiecesComeBackAsTheyWere) {
    auto control = open_manager(options("control"));
    must(control->create({.id = "a"}));
    for (int turn = 0; turn < 8; ++turn) {
        auto manager = open_manager(options("home"));
        if (turn == 0) must(manager->create({.id = "a"}));
        const std::size_t stored = turn == 0 ? 0 : must(manager->tokens("a")).size() - 1;
        const TurnResult answer = say(*manager, "a", question(turn), 5);
        EXPECT_EQ(answer.reused_tokens, stored) << turn;
        EXPECT_EQ(answer.text, say(*control, "a", question(turn), 5).text) << turn;
        must(manager->save("a"));
    }
}

// No block had filled by then: there is no other place to go on from.
TEST_P(TurnEndsWithAttentionTest, AnotherLastQuestionGoesOnFromTheTurnBefore) {
    const auto ask = [](AgentManager &manager, ChatRequest &request, const std::string &words) {
        request.messages.push_back({.role = "user", .content = words});
        ChatStarted told;
        must(manager.chat(request, [&](const ChatEvent &event) {
            if (const auto *started = std::get_if<ChatStarted>(&event)) told = *started;
        }));
        return told;
    };
    ChatRequest request;
    request.sampling.grammar = "root ::= \"It is noted.\"";
    request.max_tokens = 32;
    std::uint64_t read = 0;
    {
        auto manager = open_manager(options("home"));
        read = ask(*manager, request, filler(30)).prompt_tokens;
        request.messages.push_back({.role = "assistant", .content = "It is noted."});
        ChatRequest first = request;
        ask(*manager, first, "What was it?");
        must(manager->save_all());
    }
    ASSERT_LT(read, kBlock);
    auto manager = open_manager(options("home"));
    const ChatStarted told = ask(*manager, request, "And who said so?");
    EXPECT_EQ(told.tier, "disk");
    EXPECT_GE(told.cached_tokens, read);
}

INSTANTIATE_TEST_SUITE_P(Classes, TurnEndsWithAttentionTest, ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-lfm2"),
                         [](const auto &tested) { return test_name(tested.param); });
INSTANTIATE_TEST_SUITE_P(Classes, TurnEndsTest,
                         ::testing::Values("tiny-llama", "tiny-gemma3", "tiny-windows", "tiny-lfm2", "tiny-mamba"),
                         [](const auto &tested) { return test_name(tested.param); });

}  // namespace
}  // namespace engram
