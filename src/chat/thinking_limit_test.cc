#include "chat/thinking_limit.h"

#include <gtest/gtest.h>

#include <vector>

namespace engram {
namespace {

const ThinkingMarks kMarks = {.open = "<think>", .close = "</think>", .ending = "\n</think>\n\n"};

// After how many of the tokens thinking is due to end; none: -1.
int due_after(ThinkingLimit limit, const std::vector<std::string> &tokens) {
    if (limit.due()) return 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        limit.add(tokens[i]);
        if (limit.due()) return static_cast<int>(i) + 1;
    }
    return -1;
}

TEST(ThinkingLimit, CountsFromWhereThePromptOpenedIt) {
    EXPECT_EQ(due_after({kMarks, true, 3}, {"One", " two", " three", " four"}), 3);
    EXPECT_EQ(due_after({kMarks, true, 3}, {"One", "", "", "three"}), 3) << "a part of a character is a token too";
    EXPECT_EQ(due_after({kMarks, true, 0}, {"One"}), 0);
    EXPECT_EQ(due_after({kMarks, true, 4}, {"One", " two", " three"}), -1);
}

TEST(ThinkingLimit, CountsFromWhereTheAnswerOpensIt) {
    EXPECT_EQ(due_after({kMarks, false, 2}, {"\n", "<think>", "One", " two", " three"}), 4);
    EXPECT_EQ(due_after({kMarks, false, 2}, {" ", "<th", "ink", ">\n", "One", " two"}), 6);
    EXPECT_EQ(due_after({kMarks, false, 0}, {"<think>", "One"}), 1);
}

TEST(ThinkingLimit, AnAnswerWithoutThinkingHasNoLimit) {
    EXPECT_EQ(due_after({kMarks, false, 1}, {"One", " two", " three", "<think>", "four", "five"}), -1);
    EXPECT_EQ(due_after({kMarks, false, 1}, {"<th", "is is text", " and", " more"}), -1);
    EXPECT_EQ(due_after({kMarks, false, 0}, {"", " ", "text"}), -1);
}

TEST(ThinkingLimit, ThinkingThatEndedByItselfIsOver) {
    EXPECT_EQ(due_after({kMarks, true, 3}, {"One", "</think>", "The", " answer", " is", " long"}), -1);
    EXPECT_EQ(due_after({kMarks, true, 4}, {"One", "</", "think", ">", "The", " answer", " is", " long"}), -1);
    EXPECT_EQ(due_after({kMarks, true, 2}, {"One", "</think", ">", "The"}), 2) << "it wasn't ended yet";
}

}  // namespace
}  // namespace engram
