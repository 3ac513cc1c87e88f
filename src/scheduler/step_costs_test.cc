#include "scheduler/step_costs.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(StepCostsTest, NothingKnownNothingHeldBack) {
    StepCosts costs;
    EXPECT_EQ(costs.prefill_room(0.5, 512), 512U);
    costs.measured(0, 512, 512);  // a prefill alone says nothing about answers
    EXPECT_EQ(costs.prefill_room(0.5, 512), 512U);
    EXPECT_FALSE(costs.decode_ms().has_value());
}

TEST(StepCostsTest, AStepWithAPrefillTakesAtMostItsShareLonger) {
    StepCosts costs;
    for (int i = 0; i < 50; ++i) {
        costs.measured(3, 0, 20);
        costs.measured(3, 10, 30);
    }
    EXPECT_NEAR(*costs.decode_ms(), 20, 1e-6);
    EXPECT_NEAR(*costs.prefill_ms_per_token(), 1, 1e-6);
    EXPECT_EQ(costs.prefill_room(1, 512), 20U);
    EXPECT_EQ(costs.prefill_room(0.25, 512), 5U);
    EXPECT_EQ(costs.prefill_room(100, 512), 512U);
    EXPECT_EQ(costs.prefill_room(0, 512), 1U) << "a prefill never stands still";
}

TEST(StepCostsTest, FollowsWhatChanges) {
    StepCosts costs;
    costs.measured(1, 0, 10);
    costs.measured(1, 10, 20);
    for (int i = 0; i < 200; ++i) {
        costs.measured(1, 0, 30);
        costs.measured(1, 10, 50);
    }
    EXPECT_NEAR(*costs.decode_ms(), 30, 0.1);
    EXPECT_NEAR(*costs.prefill_ms_per_token(), 2, 0.1);
    EXPECT_NEAR(static_cast<double>(costs.prefill_room(1, 512)), 15, 1);
}

TEST(StepCostsTest, OneStepThatWasHeldUpChangesLittle) {
    StepCosts costs;
    for (int i = 0; i < 50; ++i) {
        costs.measured(1, 0, 10);
        costs.measured(1, 10, 20);
    }
    costs.measured(1, 0, 60'000);
    costs.measured(1, 10, 60'000);
    EXPECT_LT(*costs.decode_ms(), 13);
    EXPECT_LT(*costs.prefill_ms_per_token(), 1.3);
    costs.measured(1, 10, 3);  // quicker than decoding alone: noise
    costs.measured(1, 0, 0);
    EXPECT_GT(*costs.prefill_ms_per_token(), 0.9);
}

TEST(StepCostsTest, TheFirstStepSaysNoMoreThanOthers) {
    StepCosts costs;
    costs.measured(0, 512, 4096);  // what is touched for the first time
    for (int i = 0; i < 7; ++i) costs.measured(0, 512, 512);
    EXPECT_NEAR(*costs.prefill_ms_per_token(), 15.0 / 8, 1e-6);
}

TEST(StepCostsTest, NoiseOfSmallChunksDoesntMakeThemSmaller) {
    StepCosts costs;
    for (int i = 0; i < 16; ++i) costs.measured(0, 512, 512);
    for (int i = 0; i < 20; ++i) costs.measured(2, 0, 20);
    for (int i = 0; i < 50; ++i) {
        costs.measured(2, 2, 12);  // 22 on average
        costs.measured(2, 2, 32);
        costs.measured(2, 0, 20);
    }
    EXPECT_LT(*costs.prefill_ms_per_token(), 2);
    EXPECT_GE(costs.prefill_room(1, 512), 10U);
}

}  // namespace
}  // namespace engram
