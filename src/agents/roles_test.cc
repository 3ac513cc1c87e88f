// Agents' cards, who is found by them, and what role files make of agents.
#include <gtest/gtest.h>

#include "agents/agent_query.h"
#include "agents/role_plan.h"
#include "agents/testing_manager.h"

namespace engram {
namespace {

using testing::filler;
using testing::must;
using testing::open_manager;
using testing::say;
using testing::TemporaryFolder;
using testing::tiny_manager;

AgentSpec pilot() {
    return {
        .id = "pilot",
        .system_prompt = "You bring ships in.",
        .description = "Knows the harbour",
        .tools = {},
        .card = {
            .owner = "harbour office",
            .labels = {"team=harbour"},
            .skills =
                {{.id = "tides", .name = "High Water", .description = "When the sea is high", .tags = {"water"}, .examples = {}}},
            .colleagues = {"crane"},
            .managed_by = ""}};
}

std::string ids_of(const std::vector<AgentInfo> &agents) {
    std::string ids;
    for (const AgentInfo &info : agents) ids += info.id + " ";
    return ids;
}

TEST(Roles, AgentsAreFoundByWhatIsSaidOfThem) {
    const TemporaryFolder home;
    {
        const auto manager = open_manager(tiny_manager(home.path()));
        EXPECT_EQ(must(manager->create(pilot())).card, pilot().card);
        AgentSpec crane{.id = "crane",
                        .system_prompt = {},
                        .description = "Lifts boxes",
                        .tools = R"([{"type":"function","function":{"name":"lift"}}])"};
        crane.card.labels = {"team=harbour", "night"};
        crane.card.tools = {"files/*", "web/search"};
        must(manager->create(crane));
        say(*manager, "crane", "Hello", 2);
    }
    const auto manager = open_manager(tiny_manager(home.path()));  // it is all on disk
    const auto found = [&](const AgentQuery &query) { return ids_of(must(manager->find(query))); };
    EXPECT_EQ(found({}), "crane pilot ");
    EXPECT_EQ(found({.skill = "tides"}), "pilot ");
    EXPECT_EQ(found({.skill = "High Water"}), "pilot ");
    EXPECT_EQ(found({.skill = "water"}), "pilot ");
    EXPECT_EQ(found({.skill = "wat"}), "");
    EXPECT_EQ(found({.label = "team=harbour"}), "crane pilot ");
    EXPECT_EQ(found({.label = "night", .owner = "harbour office"}), "") << "all must hold";
    EXPECT_EQ(found({.owner = "harbour office"}), "pilot ");
    EXPECT_EQ(found({.tool = "lift"}), "crane ");
    EXPECT_EQ(found({.tool = "files/read_file"}), "crane ") << "as its card allows";
    EXPECT_EQ(found({.tool = "web/search"}), "crane ");
    EXPECT_EQ(found({.tool = "web/fetch"}), "");
    EXPECT_EQ(found({.tool = "files"}), "");
    EXPECT_EQ(found({.model = must(manager->get("crane")).model}), "crane ");
    EXPECT_EQ(found({.text = "SEA harb"}), "pilot ");
    EXPECT_EQ(found({.text = "sea boxes"}), "");
    EXPECT_EQ(ids_of(must(must(manager->for_tenant("other"))->find({}))), "");
}

TEST(Roles, AChangedFrontIsReadAgainAndNothingIsLost) {
    const TemporaryFolder home;
    const auto manager = open_manager(tiny_manager(home.path()));
    must(manager->create(pilot()));
    say(*manager, "pilot", "Remember: " + filler(60), 4);
    const std::size_t said = must(manager->transcript("pilot")).size();
    must(manager->change("pilot", {.description = "New words"}));
    EXPECT_GT(say(*manager, "pilot", "And?", 2).reused_tokens, 50U) << "a description is no part of the prompt";
    const AgentInfo changed = must(manager->change("pilot", {.system_prompt = "You bring ships out. " + filler(5)}));
    EXPECT_EQ(changed.description, "New words");
    EXPECT_EQ(changed.card, pilot().card);
    EXPECT_EQ(must(manager->transcript("pilot")).size(), said + 2);
    const TurnResult turn = say(*manager, "pilot", "And now?", 2);
    EXPECT_GT(turn.computed_tokens, 60U);
    EXPECT_GT(say(*manager, "pilot", "And then?", 2).reused_tokens, 100U);
    EXPECT_EQ(manager->change("nobody", {}).error().code, ErrorCode::not_found);
    EXPECT_EQ(manager->change("pilot", {.tools = "no JSON"}).error().code, ErrorCode::invalid_argument);
}

TEST(Roles, ThePlanNamesWhatDiffers) {
    const TemporaryFolder home;
    const auto manager = open_manager(tiny_manager(home.path()));
    must(manager->create({.id = "by-hand"}));
    std::vector<AgentSpec> roles{pilot(), {.id = "by-hand", .system_prompt = "Now a role."}};
    const auto plan = [&](bool prune) {
        std::string text;
        for (const RoleStep &step : plan_roles(roles, must(manager->list()), "set", prune)) {
            text += step.id + " " + std::string(step_name(step.kind));
            for (const std::string &what : step.what) text += " " + what;
            text += "; ";
        }
        return text;
    };
    const auto apply = [&](bool prune) {
        for (const RoleStep &step : plan_roles(roles, must(manager->list()), "set", prune)) {
            if (step.kind == RoleStep::Kind::create) must(manager->create(step.spec));
            if (step.kind == RoleStep::Kind::change) must(manager->change(step.id, step.change));
            if (step.kind == RoleStep::Kind::remove) must(manager->remove(step.id));
            if (step.retention) must(manager->retain(step.id, *step.retention));
        }
    };
    EXPECT_EQ(plan(false), "by-hand changed system_prompt card; pilot created; ");
    apply(false);
    EXPECT_EQ(plan(true), "by-hand unchanged; pilot unchanged; ") << "doing it again changes nothing";
    roles.front().retention = Retention::one_day;
    roles.pop_back();
    EXPECT_EQ(plan(false), "pilot changed retention; ");
    EXPECT_EQ(plan(true), "by-hand removed; pilot changed retention; ");
    apply(true);
    must(manager->create({.id = "stranger"}));
    EXPECT_EQ(plan(true), "pilot unchanged; ") << "what isn't of the set stays";
}

TEST(Roles, WhatARunShowedAnAgentIsNoDifference) {
    constexpr std::string_view kShown =
        R"([{"type":"function","function":{"name":"files__read","parameters":{"type":"object"}}}])";
    AgentSpec role{.id = "reader", .system_prompt = "You read."};
    AgentInfo acted;
    acted.id = role.id;
    acted.system_prompt = role.system_prompt;
    acted.tools = kShown;
    const auto kind = [&] {
        AgentSpec managed = role;
        managed.card.managed_by = "set";
        acted.card = managed.card;
        return plan_roles(std::span(&role, 1), std::span(&acted, 1), "set", false).front().kind;
    };
    EXPECT_EQ(kind(), RoleStep::Kind::change) << "functions that no file has go";
    role.card.tools = {"files/*"};
    EXPECT_EQ(kind(), RoleStep::Kind::keep);
    role.card.tools.clear();
    role.card.colleagues = {"writer"};
    EXPECT_EQ(kind(), RoleStep::Kind::keep);
    role.tools = R"([{"type":"function","function":{"name":"own","parameters":{"type":"object"}}}])";
    EXPECT_EQ(kind(), RoleStep::Kind::change) << "functions of the file are the agent's";
}

}  // namespace
}  // namespace engram
