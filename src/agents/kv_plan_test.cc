#include "agents/kv_plan.h"
#include "core/testing/test_seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

namespace engram {
namespace {

constexpr std::uint32_t kBlock = 4;
constexpr KvKinds kAttention{.attention = true, .state = false, .window = 0};
constexpr KvKinds kWindow{.attention = true, .state = false, .window = 3};
constexpr KvKinds kHybrid{.attention = true, .state = true, .window = 0};
constexpr KvKinds kRecurrent{.attention = false, .state = true, .window = 0};

const BlockId kRoot = chain_root("tenant", Fingerprint{}, kBlock);

std::vector<Token> counting(Token n) {
    std::vector<Token> tokens;
    for (Token i = 0; i < n; ++i) tokens.push_back(100 + i);
    return tokens;
}

// `tokens` as far as `at`, then something else up to `n` tokens.
std::vector<Token> departing(Token at, Token n) {
    std::vector<Token> tokens = counting(at);
    while (tokens.size() < static_cast<std::size_t>(n)) tokens.push_back(900 + static_cast<Token>(tokens.size()));
    return tokens;
}

class FakeStore final : public PartPresence {
  public:
    std::optional<Rows> rows(const BlockId &id, PartKind kind) override {
        const auto found = parts_.find({id, kind});
        if (found == parts_.end()) return std::nullopt;
        return found->second;
    }

    void add(const BlockId &id, PartKind kind, Rows rows) { parts_[{id, kind}] = rows; }

    // Everything that a turn which ended after `tokens` leaves behind, as the saver does it.
    void add_turn(std::span<const Token> tokens, const KvKinds &kinds) {
        const auto end = static_cast<Position>(tokens.size());
        const std::vector<BlockId> ids = chain_of(kRoot, tokens, kBlock);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const auto first = static_cast<Position>(i * kBlock);
            const Position segment_end = std::min(end, first + static_cast<Position>(kBlock));
            if (kinds.attention) add(ids[i], PartKind::attention, {});
            const Position from = std::max({Position{0}, end - static_cast<Position>(kinds.window), first});
            if (kinds.window > 0 && from < segment_end) {
                add(ids[i], PartKind::window, {.first = from, .rows = static_cast<std::uint32_t>(segment_end - from)});
            }
        }
        if (kinds.state && !ids.empty()) add(ids.back(), PartKind::state, {.first = end, .rows = 0});
    }

    void forget(std::span<const Token> tokens, std::size_t segment, PartKind kind) {
        parts_.erase({chain_of(kRoot, tokens, kBlock)[segment], kind});
    }

  private:
    std::map<std::pair<BlockId, PartKind>, Rows> parts_;
};

KvPlan plan(FakeStore &store, const KvKinds &kinds, std::span<const Token> tokens, std::span<const Token> stored,
            const SegmentGrid &grid = {.block_tokens = kBlock}) {
    return plan_restore({.root = kRoot, .grid = grid, .kinds = kinds, .tokens = tokens, .stored_tokens = stored}, store);
}

struct Case {
    const char *name;
    KvKinds kinds;
    std::vector<Token> stored;  // a turn ended here
    std::vector<Token> prompt;
    std::optional<std::pair<std::size_t, PartKind>> lost;  // segment of `stored`
    Position resume_at;
    Position restored_to;
    const char *limit;
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

class KvPlanCases : public ::testing::TestWithParam<Case> {};

TEST_P(KvPlanCases, ResumesWhereItCan) {
    const Case &c = GetParam();
    FakeStore store;
    store.add_turn(c.stored, c.kinds);
    if (c.lost) store.forget(c.stored, c.lost->first, c.lost->second);
    const KvPlan result = plan(store, c.kinds, c.prompt, c.stored);
    EXPECT_EQ(result.resume_at, c.resume_at);
    EXPECT_EQ(result.restored_to, c.restored_to);
    EXPECT_EQ(result.limit, c.limit);
}

INSTANTIATE_TEST_SUITE_P(
    Attention, KvPlanCases,
    ::testing::Values(
        Case{"NoTokens", kAttention, {}, {}, {}, 0, 0, ""},                                                                     //
        Case{"OneToken", kAttention, counting(1), counting(1), {}, 0, 0, ""},                                                   //
        Case{"NothingStored", kAttention, {}, counting(9), {}, 0, 0, "missing attention at 0"},                                 //
        Case{"FullBlocks", kAttention, counting(8), counting(12), {}, 8, 8, "missing attention at 8"},                          //
        Case{"WithTail", kAttention, counting(10), counting(15), {}, 10, 10, ""},                                               //
        Case{"TailInsideALongPrompt", kAttention, counting(10), counting(40), {}, 10, 10, ""},                                  //
        Case{"TheSamePromptAgain", kAttention, counting(10), counting(10), {}, 9, 10, ""},                                      //
        Case{"TheSameFullBlocksAgain", kAttention, counting(8), counting(8), {}, 7, 8, ""},                                     //
        Case{"DepartsInsideABlock", kAttention, counting(12), departing(6, 20), {}, 6, 8, ""},                                  //
        Case{"DepartsInsideTheTail", kAttention, counting(11), departing(9, 20), {}, 9, 11, ""},                                //
        Case{"DepartsAtABoundary", kAttention, counting(12), departing(8, 10), {}, 8, 8, ""},                                   //
        Case{"ShorterThanStored", kAttention, counting(12), counting(6), {}, 5, 8, ""},                                         //
        Case{"BlockLost", kAttention, counting(15), counting(20), {{1, PartKind::attention}}, 4, 4, "missing attention at 4"},  //
        Case{"TailLost", kAttention, counting(10), counting(15), {{2, PartKind::attention}}, 8, 8, "missing attention at 8"}),  //
    [](const auto &c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Window, KvPlanCases,
    ::testing::Values(
        Case{"AtTheEnd", kWindow, counting(10), counting(15), {}, 10, 10, ""},                                           //
        Case{"AtABlocksEnd", kWindow, counting(8), counting(9), {}, 8, 8, ""},                                           //
        Case{"DepartsWhereTheWindowIsGone", kWindow, counting(15), departing(9, 20), {}, 0, 0, "missing window at 6"},   //
        Case{"ShortSequenceCutInside", kWindow, counting(3), departing(2, 9), {}, 2, 3, ""},                             //
        Case{"WindowLost", kWindow, counting(10), counting(15), {{1, PartKind::window}}, 0, 0, "missing window at 7"}),  //
    [](const auto &c) { return c.param.name; });

INSTANTIATE_TEST_SUITE_P(
    State, KvPlanCases,
    ::testing::Values(
        Case{"HybridAtTheEnd", kHybrid, counting(10), counting(15), {}, 10, 10, ""},                                   //
        Case{"HybridDeparts", kHybrid, counting(10), departing(9, 15), {}, 0, 0, "no state at 8"},                     //
        Case{"HybridStateLost", kHybrid, counting(10), counting(15), {{2, PartKind::state}}, 0, 0, "no state at 10"},  //
        Case{"HybridAttentionLost",
             kHybrid,
             counting(10),
             counting(15),
             {{0, PartKind::attention}},
             0,
             0,
             "missing attention at 0"},                                                                    //
        Case{"RecurrentAtTheEnd", kRecurrent, counting(10), counting(15), {}, 10, 10, ""},                 //
        Case{"RecurrentTheSameAgain", kRecurrent, counting(10), counting(10), {}, 0, 0, "no state at 8"},  //
        Case{"RecurrentAtABoundary", kRecurrent, counting(8), counting(9), {}, 8, 8, ""}),                 //
    [](const auto &c) { return c.param.name; });

TEST(KvPlanTest, StatesAreUsedAtTheNewestCheckpoint) {
    for (const KvKinds &kinds : {kHybrid, kRecurrent}) {
        FakeStore store;
        const std::vector<Token> stored = counting(22);
        store.add_turn(counting(8), kinds);
        store.add_turn(counting(16), kinds);
        store.add_turn(stored, kinds);
        EXPECT_EQ(plan(store, kinds, departing(21, 30), stored).resume_at, 16);
        EXPECT_EQ(plan(store, kinds, departing(15, 30), stored).resume_at, 8);
        EXPECT_EQ(plan(store, kinds, departing(7, 30), stored).resume_at, 0);
    }
}

// A cancelled turn, or a fork that was told the same, stored the block that the prompt fills, but neither state nor window there.
// The agent's own tail is shorter and complete: it is what helps.
TEST(KvPlanTest, AnotherBlockOverTheTailDoesNotHideTheTail) {
    for (const KvKinds &kinds : {kHybrid, kWindow}) {
        FakeStore store;
        const std::vector<Token> stored = counting(10);
        const std::vector<Token> prompt = counting(19);
        store.add_turn(stored, kinds);
        for (const BlockId &id : chain_of(kRoot, std::span(prompt).first(16), kBlock)) store.add(id, PartKind::attention, {});
        EXPECT_EQ(plan(store, kinds, prompt, stored).resume_at, 10);
    }
}

TEST(KvPlanTest, AnotherBlockOverTheTailIsUsedWhereItLeadsFurther) {
    FakeStore store;
    store.add_turn(counting(10), kAttention);
    store.add_turn(counting(16), kAttention);
    EXPECT_EQ(plan(store, kAttention, counting(19), counting(10)).resume_at, 16);
}

TEST(CommonPrefixTest, CountsEqualLeadingTokens) {
    EXPECT_EQ(common_prefix({}, {}), 0U);
    EXPECT_EQ(common_prefix(counting(3), {}), 0U);
    EXPECT_EQ(common_prefix(counting(3), counting(5)), 3U);
    EXPECT_EQ(common_prefix(departing(2, 5), counting(5)), 2U);
}

// The oracle goes over positions where the planner goes over segments: is everything that resuming at `at` needs in the store?
class Oracle {
  public:
    Oracle(FakeStore &store, const KvKinds &kinds, const SegmentGrid &grid, std::span<const Token> tokens,
           std::span<const Token> stored)
        : store_(store), kinds_(kinds), grid_(grid), tokens_(tokens), stored_(stored), shared_(common_prefix(tokens, stored)) {}

    Position best() const {
        for (std::size_t at = tokens_.empty() ? 0 : tokens_.size() - 1; at > 0; --at) {
            if (resumable(at)) return static_cast<Position>(at);
        }
        return 0;
    }

  private:
    bool resumable(std::size_t at) const {
        const std::size_t end = grid_.boundary_after(at - 1);
        const bool own = end <= tokens_.size() && complete(at, tokens_.first(end));
        const bool through_stored = shared_ >= at && complete(at, stored_.first(std::min(stored_.size(), end)));
        return own || through_stored;
    }

    // `path` ends with the segment that `at` lies in.
    bool complete(std::size_t at, std::span<const Token> path) const {
        const std::vector<BlockId> ids = chain_of(kRoot, path, grid_);
        for (std::size_t p = 0; p < path.size(); ++p) {
            const BlockId &id = ids[grid_.index_at(p)];
            if (kinds_.attention && !store_.rows(id, PartKind::attention)) return false;
            if (kinds_.window == 0 || p + kinds_.window < at) continue;
            const auto rows = store_.rows(id, PartKind::window);
            const auto position = static_cast<Position>(p);
            if (!rows || position < rows->first || position >= rows->first + static_cast<Position>(rows->rows)) return false;
        }
        return !kinds_.state || (path.size() == at && store_.rows(ids.back(), PartKind::state));
    }

    FakeStore &store_;
    const KvKinds kinds_;
    const SegmentGrid grid_;
    std::span<const Token> tokens_, stored_;
    std::size_t shared_;
};

// The steps put back all that the plan promises, in order, from parts that are there.
void check_steps(FakeStore &store, const KvKinds &kinds, const KvPlan &plan) {
    Position attention_to = 0, window_from = -1, window_to = -1;
    bool state = false;
    for (const RestoreStep &step : plan.steps) {
        const PlannedSegment &segment = plan.segments.at(step.segment);
        ASSERT_TRUE(store.rows(segment.id, step.kind));
        if (step.kind == PartKind::attention) {
            EXPECT_EQ(step.first, attention_to);
            attention_to += static_cast<Position>(step.rows);
        } else if (step.kind == PartKind::window) {
            if (window_from < 0) window_from = step.first;
            if (window_to >= 0) {
                EXPECT_LE(step.first, window_to);
            }
            window_to = step.first + static_cast<Position>(step.rows);
        } else {
            EXPECT_EQ(step.first, plan.resume_at);
            state = true;
        }
    }
    EXPECT_GE(plan.restored_to, plan.resume_at);
    if (plan.resume_at == 0) {
        EXPECT_TRUE(plan.steps.empty());
        return;
    }
    if (kinds.attention) {
        EXPECT_EQ(attention_to, plan.restored_to);
    }
    if (kinds.window > 0) {
        EXPECT_LE(window_from, std::max(0, plan.resume_at - static_cast<Position>(kinds.window)));
        EXPECT_GE(window_to, plan.restored_to);
    }
    EXPECT_EQ(state, kinds.state);
    if (kinds.state) {
        EXPECT_EQ(plan.restored_to, plan.resume_at);
    }
}

class RandomPlans {
  public:
    explicit RandomPlans(std::uint32_t seed) : random_(seed) {}

    std::size_t up_to(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n)(random_); }
    bool chance(std::size_t percent) { return up_to(99) < percent; }

    std::vector<Token> related(std::span<const Token> tokens) {
        std::vector<Token> other(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(up_to(tokens.size())));
        const std::size_t more = chance(50) ? 0 : up_to(7);
        for (std::size_t i = 0; i < more; ++i) other.push_back(static_cast<Token>(up_to(2)));
        return other;
    }

    void add_some(FakeStore &store, std::span<const Token> tokens, const KvKinds &kinds, const SegmentGrid &grid) {
        const std::size_t presence = 60 + up_to(40);
        const std::vector<BlockId> ids = chain_of(kRoot, tokens, grid);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const std::size_t first = grid.begin(i);
            const std::size_t end = std::min(grid.end(i), tokens.size());
            if (chance(presence)) store.add(ids[i], PartKind::attention, {});
            if (chance(50)) store.add(ids[i], PartKind::state, {.first = static_cast<Position>(end), .rows = 0});
            if (kinds.window == 0 || !chance(presence)) continue;
            const std::size_t from = chance(60) ? first : first + up_to(end - first - 1);
            store.add(ids[i], PartKind::window,
                      {.first = static_cast<Position>(from), .rows = static_cast<std::uint32_t>(end - from)});
        }
    }

  private:
    std::mt19937 random_;
};

TEST(KvPlanTest, FindsWhatBruteForceFinds) {
    const auto seed = static_cast<std::uint32_t>(test_seed());
    RandomPlans random(seed);
    std::size_t resumed = 0;
    for (int round = 0; round < 20'000; ++round) {
        const KvKinds kinds[] = {kAttention, kWindow,    {.attention = true, .state = false, .window = 9},
                                 kHybrid,    kRecurrent, {.attention = true, .state = true, .window = 3}};
        const KvKinds &kind = kinds[static_cast<std::size_t>(round) % std::size(kinds)];
        std::vector<Token> tokens;
        for (std::size_t n = random.up_to(26); tokens.size() < n;) tokens.push_back(static_cast<Token>(random.up_to(2)));
        const std::vector<Token> stored = random.related(tokens);
        SegmentGrid grid{.block_tokens = kBlock};
        for (std::size_t n = random.up_to(3); n > 0; --n) grid.cut_at(random.up_to(22));
        FakeStore store;
        random.add_some(store, tokens, kind, grid);
        random.add_some(store, stored, kind, grid);
        random.add_some(store, random.related(tokens), kind, grid);
        const KvPlan result = plan(store, kind, tokens, stored, grid);
        const Position expected = Oracle(store, kind, grid, tokens, stored).best();
        ASSERT_EQ(result.resume_at, expected) << "round " << round << ", seed " << seed;
        check_steps(store, kind, result);
        if (HasFatalFailure() || HasNonfatalFailure()) FAIL() << "round " << round << ", seed " << seed;
        resumed += result.resume_at > 0 ? 1U : 0U;
    }
    EXPECT_GT(resumed, 2000U) << "the random stores must hold something useful";
}

}  // namespace
}  // namespace engram
