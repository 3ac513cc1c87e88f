#include "protocol/a2a/card.h"

#include <gtest/gtest.h>

namespace engram::protocol::a2a {
namespace {

AgentInfo analyst() {
    AgentInfo info;
    info.id = "analyst";
    info.description = "Reads logs.";
    info.card.skills.push_back(
        {.id = "logs", .name = "Logs", .description = "Finds what went wrong.", .tags = {"ops"}, .examples = {"What failed?"}});
    return info;
}

TEST(A2aCard, AnAgentShowsItsSkillsAndInterfaces) {
    CardFacts facts = facts_of(analyst());
    facts.url = "http://localhost:1/a2a/agents/analyst";
    const OrderedJson card = card_json(facts);
    EXPECT_EQ(card["name"], "analyst");
    EXPECT_EQ(card["description"], "Reads logs.");
    ASSERT_EQ(card["supportedInterfaces"].size(), 3U);
    EXPECT_EQ(card["supportedInterfaces"][0],
              (OrderedJson{{"url", facts.url}, {"protocolBinding", "JSONRPC"}, {"protocolVersion", "1.0"}}));
    EXPECT_EQ(card["supportedInterfaces"][1]["protocolBinding"], "HTTP+JSON");
    EXPECT_EQ(card["skills"][0]["id"], "logs");
    EXPECT_EQ(card["skills"][0]["examples"][0], "What failed?");
    EXPECT_EQ(card["capabilities"]["streaming"], true);
    EXPECT_FALSE(card.contains("securityRequirements"));
    // 1.0's schema knows no other members.
    for (const auto &[name, value] : card.items()) {
        EXPECT_TRUE(name == "name" || name == "description" || name == "version" || name == "supportedInterfaces" ||
                    name == "defaultInputModes" || name == "defaultOutputModes" || name == "skills" || name == "capabilities" ||
                    name == "securitySchemes")
            << name;
    }
}

TEST(A2aCard, WhoNeedsAKeySaysSo) {
    CardFacts facts = facts_of(analyst());
    facts.needs_key = true;
    const OrderedJson card = card_json(facts);
    EXPECT_EQ(card["securityRequirements"][0]["schemes"]["bearer"]["list"], OrderedJson::array());
    EXPECT_EQ(card["securitySchemes"]["key"]["apiKeySecurityScheme"]["name"], "x-api-key");
    EXPECT_EQ(card_json_0_3(facts)["security"][0]["bearer"], OrderedJson::array());
}

TEST(A2aCard, ThreePointThreeFindsItsAddressAndOnesInterfacesBeside) {
    CardFacts facts = facts_of(analyst());
    facts.url = "http://localhost:1/a2a";
    const OrderedJson card = card_json_0_3(facts);
    EXPECT_EQ(card["url"], facts.url);
    EXPECT_EQ(card["preferredTransport"], "JSONRPC");
    EXPECT_EQ(card["protocolVersion"], "0.3.0");
    EXPECT_EQ(card["supportsAuthenticatedExtendedCard"], true);
    EXPECT_EQ(card["securitySchemes"]["bearer"]["type"], "http");
    EXPECT_EQ(card["supportedInterfaces"].size(), 3U);
}

TEST(A2aCard, TheServersShowsItsAgentsAsSkills) {
    const std::vector<AgentInfo> agents{analyst()};
    const OrderedJson card = card_json(facts_of(agents));
    ASSERT_EQ(card["skills"].size(), 2U);
    EXPECT_EQ(card["skills"][1]["id"], "analyst");
    EXPECT_EQ(card["skills"][1]["tags"], (OrderedJson::array({"agent", "logs", "ops"})));
    EXPECT_EQ(card_json(facts_of(std::span<const AgentInfo>()))["skills"].size(), 1U);
}

}  // namespace
}  // namespace engram::protocol::a2a
