#include "bench/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace engram::bench {
namespace {

using ::testing::HasSubstr;

// A token, its log probability, and another one that might have been said.
TokenOdds token(const std::string &piece, double logprob, const std::string &other, double of_other) {
    return {.said = {.piece = piece, .logprob = logprob}, .others = {{.piece = piece, .logprob = logprob}, {other, of_other}}};
}

std::vector<TokenOdds> it_is_late() {
    return {token(" It", -0.5, " The", -0.6), token(" is", -0.1, "", -2), token(" late", -0.2, ".", -3)};
}

TEST(GapAtParting, IsHowMuchLessProbableWhatWasSaidWas) {
    EXPECT_NEAR(gap_at_parting("The day is late", it_is_late()).value_or(-1), 0.1, 1e-9);
    EXPECT_NEAR(gap_at_parting("It is.", it_is_late()).value_or(-1), 2.8, 1e-9);
    EXPECT_NEAR(gap_at_parting("It", it_is_late()).value_or(-1), 1.9, 1e-9) << "the end of the turn stood against what was said";
}

TEST(GapAtParting, IsNoneWhereNothingPartsOrNobodyThoughtOfIt) {
    EXPECT_FALSE(gap_at_parting("It is late", it_is_late()));
    EXPECT_FALSE(gap_at_parting(" It is late\n", it_is_late()));
    EXPECT_FALSE(gap_at_parting("Nobody knows", it_is_late()));
    EXPECT_FALSE(gap_at_parting("It is late", {}));
}

TEST(GapAtParting, FindsTheEndThatThePeerSaid) {
    const std::vector<TokenOdds> tokens{token("Noted", -0.1, "Well", -3), token("", -0.3, ".", -0.4)};
    EXPECT_NEAR(gap_at_parting("Noted.", tokens).value_or(-1), 0.1, 1e-9);
}

TEST(GapAtParting, KnowsThatTextsMayPartLaterThanTokens) {
    const std::vector<TokenOdds> tokens{token("So", -0.1, "No", -3), token(" that", -0.3, " ", -0.4)};
    EXPECT_NEAR(gap_at_parting("So I say", tokens).value_or(-1), 0.1, 1e-9);
}

class AgreementTest : public ::testing::Test {
  protected:
    AgreementTest() { record_.configuration["model"] = "engram-nano.gguf"; }

    void both_say(const std::string &ours, const std::string &theirs, const std::string &asked = "What?") {
        Answer answer;
        answer.text = ours;
        answer.asked = asked;
        agreement_.add(*ours_, answer);
        answer.text = theirs;
        answer.tokens = it_is_late();
        agreement_.add(*theirs_, answer);
    }
    Check checked() {
        agreement_.check(record_, "here");
        return record_.checks.empty() ? Check{} : record_.checks.back();
    }

    std::unique_ptr<Side> ours_ = engram_side({}), theirs_ = peer_side({});
    Agreement agreement_;
    Record record_;
};

TEST_F(AgreementTest, HoldsForEqualAnswers) {
    both_say("It is late", " It is late");
    EXPECT_TRUE(checked().passed);
    EXPECT_EQ(checked().name, "both answer alike, here");
    EXPECT_EQ(checked().detail, "1 of 1 answers are equal");
}

TEST_F(AgreementTest, HoldsForAnswersThatPartAtANearTie) {
    both_say("The day is late", "It is late");
    EXPECT_TRUE(checked().passed) << checked().detail;
    EXPECT_THAT(checked().detail, HasSubstr("1 part where the peer found both within 0.25 nats"));
}

TEST_F(AgreementTest, DoesNotHoldForOtherDifferences) {
    both_say("It is late", "It is late");
    both_say("It is.", "It is late");
    EXPECT_FALSE(checked().passed);
    EXPECT_THAT(checked().detail, HasSubstr("2.80 nats apart"));
}

TEST_F(AgreementTest, DoesNotHoldWhereOneSaysLess) {
    both_say("It is late", "It is late");
    agreement_.add(*ours_, std::string("And more."));
    EXPECT_FALSE(checked().passed);
}

TEST_F(AgreementTest, LeavesOutWhatFollowsAPartedAnswer) {
    Answer answer;
    answer.text = "It was the day.";
    answer.asked = "And then? The day is late";
    agreement_.add(*ours_, answer);
    answer.asked = "And then? It is late";
    answer.text = "It was late.";
    agreement_.add(*theirs_, answer);
    EXPECT_TRUE(checked().passed) << checked().detail;
    EXPECT_THAT(checked().detail, HasSubstr("1 follow such a place"));
}

TEST_F(AgreementTest, IsANoteWithRandomWeights) {
    record_.configuration["model"] = "gemma3-270m q8_0, random weights";
    both_say("Something", "It is late");
    EXPECT_TRUE(checked().name.empty());
    ASSERT_EQ(record_.notes.size(), 1U);
    EXPECT_THAT(record_.notes.front(), HasSubstr("0 of 1 answers are equal"));
}

}  // namespace
}  // namespace engram::bench
