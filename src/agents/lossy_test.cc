// KV that is stored in fewer bits than the context holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "agents/testing_manager.h"

namespace engram {
namespace {

using namespace testing;

struct Case {
    std::string geometry, stored_type;
    double share;     // of the exact payload's bytes: 34 or 18 bytes for 32 values instead of 64
    float max_error;  // of a logit, as a share of the logits' range
};

void PrintTo(const Case &c, std::ostream *out) { *out << c.geometry << "_" << c.stored_type; }

ManagerOptions with_type(const std::filesystem::path &home, const std::string &geometry, const std::string &stored_type,
                         const std::string &kv_type = "f16") {
    ManagerOptions options = tiny_manager(home, geometry, kv_type);
    // Large blocks, beside which a file's header is small.
    options.storage.block_tokens = options.storage.checkpoint_tokens = 256;
    options.storage.stored_type = stored_type;
    return options;
}

struct Outcome {
    std::uint64_t disk_bytes = 0;
    std::vector<float> logits;  // after a restart
    TurnResult next;
};

void first_turn(const ManagerOptions &options) {
    auto manager = open_manager(options);
    must(manager->create({.id = "a", .system_prompt = "Count."}));
    say(*manager, "a", filler(120, 3), 30);
    must(manager->save("a"));
}

Outcome restarted(const ManagerOptions &options) {
    auto manager = open_manager(options);
    Outcome outcome{.disk_bytes = must(manager->get("a")).disk_bytes};
    EXPECT_EQ(must(manager->get("a")).tier, "disk");
    outcome.logits = must(manager->next_logits("a"));
    must(manager->evict("a", AgentManager::EvictTo::disk));
    outcome.next = say(*manager, "a", "and on", 12);
    EXPECT_EQ(outcome.next.tier, "disk");
    EXPECT_FALSE(outcome.next.miss.has_value()) << outcome.next.miss->reason;
    EXPECT_EQ(outcome.next.tokens.size(), 12U);
    return outcome;
}

// Greatest difference, as a share of the range of `b`.
float distance(const std::vector<float> &a, const std::vector<float> &b) {
    if (a.size() != b.size() || a.empty()) return INFINITY;
    float most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    const auto [least, greatest] = std::ranges::minmax(b);
    return most / (greatest - least);
}

class LossyTest : public ::testing::TestWithParam<Case> {
  protected:
    TemporaryFolder home_, exact_home_;
    const Case &case_ = GetParam();
    const ManagerOptions lossy_ = with_type(home_.path(), case_.geometry, case_.stored_type);
    const ManagerOptions exact_ = with_type(exact_home_.path(), case_.geometry, "");
};

TEST_P(LossyTest, TakesLessRoomAndComesBackNearly) {
    first_turn(lossy_);
    first_turn(exact_);
    const Outcome lossy = restarted(lossy_);
    const Outcome exact = restarted(exact_);
    const double share = static_cast<double>(lossy.disk_bytes) / static_cast<double>(exact.disk_bytes);
    EXPECT_GT(share, case_.share * 0.98);
    EXPECT_LT(share, case_.share + 0.04) << "headers aside";
    const float error = distance(lossy.logits, exact.logits);
    RecordProperty("logit_error", std::to_string(error));
    EXPECT_LT(error, case_.max_error);
    EXPECT_GT(error, 0.0F) << "or nothing was lossy";
    EXPECT_EQ(lossy.next.reused_tokens, exact.next.reused_tokens);
}

TEST_P(LossyTest, PartsOfBothTypesLiveInOneHome) {
    first_turn(lossy_);
    ManagerOptions now_exact = lossy_;
    now_exact.storage.stored_type = "";
    const Outcome outcome = restarted(now_exact);  // the new turn's parts are exact
    auto manager = open_manager(lossy_);
    const TurnResult result = say(*manager, "a", "once more", 5);
    EXPECT_FALSE(result.miss.has_value()) << result.miss->reason;
    EXPECT_EQ(result.tier, "disk");
    EXPECT_GT(result.reused_tokens, outcome.next.prompt_tokens);
    EXPECT_EQ(manager->stats().refused_corrupt, 0U);
}

// Measured: 0.0006, 0.0105, 0.0038 and 0.0659. The bounds leave room for other processors' rounding.
INSTANTIATE_TEST_SUITE_P(Types, LossyTest,
                         ::testing::Values(Case{"tiny-llama", "q8_0", 34.0 / 64, 0.002F},
                                           Case{"tiny-llama", "q4_0", 18.0 / 64, 0.03F},
                                           Case{"tiny-gemma3", "q8_0", 34.0 / 64, 0.012F},
                                           Case{"tiny-gemma3", "q4_0", 18.0 / 64, 0.2F}),
                         [](const auto &c) { return test_name(c.param.geometry + "_" + c.param.stored_type); });

TEST(LossyStorageTest, WhatTheContextHoldsInThatTypeIsStoredExactly) {
    TemporaryFolder home, exact_home;
    const ManagerOptions same = with_type(home.path(), "tiny-llama", "q8_0", "q8_0");
    const ManagerOptions exact = with_type(exact_home.path(), "tiny-llama", "", "q8_0");
    first_turn(same);
    first_turn(exact);
    const Outcome a = restarted(same), b = restarted(exact);
    EXPECT_EQ(a.logits, b.logits) << "bit for bit";
    EXPECT_EQ(a.next.tokens, b.next.tokens);
    EXPECT_EQ(a.disk_bytes, b.disk_bytes);
}

TEST(LossyStorageTest, UnknownTypesAreRefused) {
    TemporaryFolder home;
    for (const std::string type : {"q9_9", "u8", "F16 "}) {
        const auto manager = AgentManager::open(with_type(home.path(), "tiny-llama", type));
        ASSERT_FALSE(manager.has_value()) << type;
        EXPECT_EQ(manager.error().code, ErrorCode::invalid_argument);
    }
}

}  // namespace
}  // namespace engram
