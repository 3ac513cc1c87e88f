#include "bench/decode_rate.h"

#include <gtest/gtest.h>

#include <vector>

namespace engram::bench {
namespace {

// `pieces` of one token each, ten milliseconds apart, the first of them `first_ms` after the request.
Spoken said(double began_ms, double first_ms, int pieces) {
    Spoken spoken{.began_ms = began_ms};
    for (int i = 0; i < pieces; ++i) spoken.answer.token_ms.push_back(first_ms + i * 10);
    spoken.answer.answer_tokens = static_cast<std::uint64_t>(pieces);
    return spoken;
}

TEST(DecodeRate, CountsWhatIsSaidWhileAllAnswer) {
    // Together from 150 ms (the second one's first piece) to 290 (the first one's last): 14 pieces of each.
    const std::vector<Spoken> both{said(0, 100, 20), said(50, 100, 30)};
    EXPECT_DOUBLE_EQ(while_all_answer(both).value(), 200);
}

TEST(DecodeRate, APieceMayBeOfSeveralTokens) {
    std::vector<Spoken> one{said(0, 100, 20)};
    one.front().answer.answer_tokens = 40;
    EXPECT_DOUBLE_EQ(while_all_answer(one).value(), 200);
    EXPECT_DOUBLE_EQ(while_each_answers(one).value(), 200);
}

TEST(DecodeRate, AnInstantTogetherIsNone) {
    const std::vector<Spoken> seven_pieces{said(0, 100, 20), said(120, 100, 30)};
    EXPECT_EQ(while_all_answer(seven_pieces), std::nullopt);
    const std::vector<Spoken> at_once{said(0, 100, 20), said(189.9, 100, 30)};
    EXPECT_EQ(while_all_answer(at_once), std::nullopt);
    const std::vector<Spoken> apart{said(0, 100, 20), said(500, 100, 20)};
    EXPECT_EQ(while_all_answer(apart), std::nullopt);
    EXPECT_EQ(while_all_answer(std::vector{said(0, 100, 20), said(0, 100, 0)}), std::nullopt);
    EXPECT_EQ(while_all_answer({}), std::nullopt);
}

TEST(DecodeRate, OneAfterAnotherWhatIsReadInBetweenDoesNotCount) {
    const std::vector<Spoken> in_turn{said(0, 100, 11), said(200, 500, 11)};
    EXPECT_DOUBLE_EQ(while_each_answers(in_turn).value(), 100);
    EXPECT_EQ(while_each_answers(std::vector{said(0, 100, 1)}), std::nullopt);
    EXPECT_EQ(while_each_answers(std::vector{said(0, 100, 0)}), std::nullopt);
}

}  // namespace
}  // namespace engram::bench
