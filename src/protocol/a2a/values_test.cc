#include "protocol/a2a/values.h"

#include <gtest/gtest.h>

namespace engram::protocol::a2a {
namespace {

TEST(A2aValues, StatesHaveNamesInBothVersions) {
    EXPECT_EQ(state_name(TaskState::input_required, WireVersion::v1_0), "TASK_STATE_INPUT_REQUIRED");
    EXPECT_EQ(state_name(TaskState::input_required, WireVersion::v0_3), "input-required");
    for (int number = 0; number <= static_cast<int>(TaskState::auth_required); ++number) {
        const auto state = static_cast<TaskState>(number);
        EXPECT_EQ(state_from_name(state_name(state, WireVersion::v1_0), WireVersion::v1_0), state);
        EXPECT_EQ(state_from_name(state_name(state, WireVersion::v0_3), WireVersion::v0_3), state);
        EXPECT_FALSE(is_terminal(state) && is_interrupted(state));
    }
    EXPECT_EQ(state_from_name("working", WireVersion::v1_0), std::nullopt);
    EXPECT_EQ(state_from_name("", WireVersion::v0_3), std::nullopt);
}

TEST(A2aValues, TimesGoToTextAndBack) {
    EXPECT_EQ(timestamp(1'761'647'400'142), "2025-10-28T10:30:00.142Z");
    EXPECT_EQ(timestamp(0), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(time_from("2025-10-28T10:30:00.142Z"), 1'761'647'400'142);
    EXPECT_EQ(time_from("2025-10-28T10:30:00Z"), 1'761'647'400'000);
    EXPECT_EQ(time_from("2025-10-28T10:30:00.1Z"), 1'761'647'400'100);
    EXPECT_EQ(time_from("2025-10-28T10:30:00.142987654Z"), 1'761'647'400'142);
    for (const char *wrong :
         {"", "2025", "2025-10-28", "2025-10-28T10:30:00", "2025-10-28T10:30:00+01:00", "2025-02-30T10:30:00Z",
          "2025-10-28T24:30:00Z", "2025-10-28T10:60:00Z", "2025-10-28T10:30:00.Z", "2025-10-28T10:30:00Zx",
          "2025-10-28 10:30:00Z", "-025-10-28T10:30:00Z", "2025-10-28T10:30:00.1234567890Z"}) {
        EXPECT_EQ(time_from(wrong), std::nullopt) << wrong;
    }
}

}  // namespace
}  // namespace engram::protocol::a2a
