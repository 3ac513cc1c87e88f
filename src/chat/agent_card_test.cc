#include "chat/agent_card.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"

namespace engram {
namespace {

const AgentCard kCard{.owner = "harbour office",
                      .labels = {"team=harbour", "night"},
                      .skills = {{.id = "tides",
                                  .name = "Tides",
                                  .description = "Knows the tides.",
                                  .tags = {"water"},
                                  .examples = {"When is high tide?"}},
                                 {.id = "berths", .name = "berths", .description = "", .tags = {}, .examples = {}}},
                      .colleagues = {"pilot", "crane-2"},
                      .managed_by = "roles",
                      .team = "harbour",
                      .tools = {"files/*", "notes/*"},
                      .approvals = {"files/write_file"},
                      .compaction = Compaction::summarise};

std::string why(std::string_view text) {
    const auto card = parse_card(text);
    return card ? "it is one" : card.error().message;
}

TEST(AgentCard, ComesBackFromItsText) {
    EXPECT_EQ(parse_card(card_text(kCard)), kCard);
    EXPECT_EQ(card_text({}), "");
    EXPECT_EQ(parse_card(""), AgentCard{});
    AgentCard labelled;
    labelled.labels = {"a"};
    EXPECT_EQ(card_text(labelled), R"({"labels":["a"]})");
    EXPECT_EQ(parse_card(R"({"skills":[{"id":"x"}],"more":1})")->skills.front().name, "x");
}

TEST(AgentCard, SaysWhatIsWrong) {
    EXPECT_EQ(why("[]"), "the card must be a JSON object");
    EXPECT_EQ(why(R"({"owner":1})"), "owner must be a text");
    EXPECT_EQ(why(R"({"labels":["a",2]})"), "labels[1] must be a text");
    EXPECT_EQ(why(R"({"labels":"a"})"), "labels must be a list of texts");
    EXPECT_EQ(why(R"({"skills":[{"id":"a"},{"name":"b"}]})"), "skills[1].id must have from 1 to 128 bytes");
    EXPECT_EQ(why(R"({"skills":[{"id":"a"},{"id":"a"}]})"), "skills[1] has the id of another skill, \"a\"");
    EXPECT_EQ(why(R"({"skills":[{"id":"a","tags":{}}]})"), "skills[0].tags must be a list of texts");
    EXPECT_EQ(why(R"({"compaction":"forget"})"), "compaction must be stop, keep_last or summarise");
    EXPECT_TRUE(why(R"({"colleagues":["../x"]})").starts_with("colleagues[0]"));
    EXPECT_TRUE(why(std::string(kMaxCardBytes + 1, ' ')).contains("the card can't be read"));
}

TEST(AgentCard, AnyBytesAreACardOrRefused) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 20'000; ++i) {
        std::string text = card_text(kCard);
        for (auto n = random() % 5; n > 0; --n) text[random() % text.size()] = static_cast<char>(random());
        if (random() % 4 == 0) text.resize(random() % text.size());
        const auto card = parse_card(text);
        if (!card) continue;
        EXPECT_EQ(parse_card(card_text(*card)), *card) << text;
    }
}

}  // namespace
}  // namespace engram
