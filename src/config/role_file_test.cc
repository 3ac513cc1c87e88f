#include "config/role_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <random>

#include "core/testing/test_seed.h"

namespace engram {
namespace {

constexpr std::string_view kWhole = R"(system_prompt = "You are the technical agent."
description = "Looks at how things are built"
owner = "platform team"
labels = ["team=analysis", "night"]
colleagues = ["coordinator"]
retention = "24h"
tools = ["files/*"]
approvals = ["files/write_file"]
team = "analysis"
compaction = "keep_last"
functions = [{type = "function", function = {name = "measure", parameters = {type = "object"}}}]
[[skills]]
id = "architecture"
description = "Judges designs"
tags = ["design"]
[[skills]]
id = "load"
name = "Load tests"
)";

Result<std::string> nothing_beside(const std::string &name) { return fail(ErrorCode::not_found, "there is no " + name); }

Result<AgentSpec> parse(std::string_view toml) { return parse_role(toml, "roles/technical.toml", nothing_beside); }

std::string complaint(std::string_view toml) {
    const auto role = parse(toml);
    return role ? "it is a role" : role.error().message;
}

TEST(RoleFile, SaysWhoAnAgentIs) {
    const auto role = parse(kWhole);
    ASSERT_TRUE(role) << role.error().message;
    EXPECT_EQ(role->id, "technical") << "the file's name";
    EXPECT_EQ(role->system_prompt, "You are the technical agent.");
    EXPECT_EQ(role->description, "Looks at how things are built");
    EXPECT_EQ(role->retention, Retention::one_day);
    EXPECT_TRUE(role->tools.contains("\"measure\"")) << role->tools;
    const AgentCard expected{
        .owner = "platform team",
        .labels = {"team=analysis", "night"},
        .skills =
            {{.id = "architecture", .name = "architecture", .description = "Judges designs", .tags = {"design"}, .examples = {}},
             {.id = "load", .name = "Load tests", .description = "", .tags = {}, .examples = {}}},
        .colleagues = {"coordinator"},
        .managed_by = "",
        .team = "analysis",
        .tools = {"files/*"},
        .approvals = {"files/write_file"},
        .compaction = Compaction::keep_last};
    EXPECT_EQ(role->card, expected);
    EXPECT_EQ(parse("")->id, "technical") << "everything is optional";
    EXPECT_EQ(parse("id = \"other\"")->id, "other");
}

TEST(RoleFile, NamesTheLineOfAMistake) {
    const std::string file = "roles/technical.toml";
    EXPECT_EQ(complaint("\nsytem_prompt = \"x\""), file + ":2: a role has no \"sytem_prompt\"");
    EXPECT_EQ(complaint("labels = [\"a\",\n 1]"), file + ":2: labels must be texts only, not a whole number");
    EXPECT_EQ(complaint("labels = \"a\""), file + ":1: labels must be a list of texts, not a text");
    EXPECT_EQ(complaint("owner = 3"), file + ":1: owner must be a text, not a whole number");
    EXPECT_EQ(complaint("retention = \"2d\""), file + ":1: retention must be 5m, 1h, 24h, forever or standard");
    EXPECT_EQ(complaint("compaction = \"no\""), file + ":1: compaction must be stop, keep_last or summarise");
    EXPECT_EQ(complaint("tools = [{type = \"function\"}]"), file + ":1: tools must be texts only, not a table");
    EXPECT_EQ(complaint("[[skills]]\nname = \"a\""), file + ":1: a skill needs an id");
    EXPECT_EQ(complaint("[[skills]]\nid = \"a\"\n[[skills]]\nid = \"a\""), file + ":3: there is another skill with the id \"a\"");
    EXPECT_EQ(complaint("[[skills]]\nid = \"a\"\nlevel = 3"), file + ":3: a skill has no \"level\"");
    EXPECT_EQ(complaint("system_prompt = \"a\"\nsystem_prompt_file = \"b\""),
              file + ":2: either system_prompt or system_prompt_file, not both");
    EXPECT_EQ(complaint("system_prompt_file = \"b\""), file + ":1: system_prompt_file: there is no b");
    EXPECT_TRUE(complaint("colleagues = [\"../x\"]").starts_with(file + ":1: colleagues: "))
        << complaint("colleagues = [\"../x\"]");
    EXPECT_TRUE(complaint("id = \"../x\"").starts_with(file + ": "));
    EXPECT_TRUE(complaint("id = ").starts_with(file + ":1: not valid TOML: "));
}

TEST(RoleFile, IsBounded) {
    std::string toml(kWhole);
    toml.resize(kMaxRoleBytes - 1, '\n');
    EXPECT_TRUE(parse(toml + "\n").has_value());
    EXPECT_TRUE(complaint(toml + "\n\n").ends_with(": larger than 1048576 bytes"));
}

TEST(RoleFile, AFolderIsReadByName) {
    const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "engram-roles";
    std::filesystem::remove_all(folder);
    EXPECT_EQ(read_roles(folder).error().code, ErrorCode::not_found);
    std::filesystem::create_directories(folder);
    const auto write = [&](const std::string &name, std::string_view text) { std::ofstream(folder / name) << text; };
    write("b.toml", "system_prompt_file = \"b.txt\"");
    write("b.txt", "You are b.\n");
    write("a.toml", "");
    write("readme.md", "no role");
    const auto roles = read_roles(folder);
    ASSERT_TRUE(roles) << roles.error().message;
    ASSERT_EQ(roles->size(), 2U);
    EXPECT_EQ((*roles)[0].id, "a");
    EXPECT_EQ((*roles)[1].system_prompt, "You are b.\n");
    write("c.toml", "id = \"a\"");
    EXPECT_TRUE(read_roles(folder).error().message.ends_with("are both the agent a"));
    std::filesystem::remove_all(folder);
}

TEST(RoleFile, AFolderHasSoManyRoles) {
    const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "engram-many-roles";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    const auto write = [&](const std::string &name) { std::ofstream(folder / name) << "description = \"One of many\"\n"; };
    for (std::size_t i = 0; i < kMaxRoles; ++i) write(std::format("role-{}.toml", i));
    write("no-role.txt");
    const auto roles = read_roles(folder);
    ASSERT_TRUE(roles) << roles.error().message;
    EXPECT_EQ(roles->size(), kMaxRoles);
    write("one-more.toml");
    const auto refused = read_roles(folder);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(refused.error().message.contains("more than 1000 role files (*.toml): put them into several folders"))
        << refused.error().message;
    std::filesystem::remove_all(folder);
}

TEST(RoleFile, AnyBytesAreARoleOrRefused) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 5'000; ++i) {
        std::string text(kWhole);
        for (auto n = random() % 6; n > 0; --n) text[random() % text.size()] = static_cast<char>(random());
        if (random() % 4 == 0) text.resize(random() % text.size());
        const auto role = parse(text);
        if (role) continue;
        EXPECT_TRUE(role.error().message.starts_with("roles/technical.toml:")) << role.error().message;
    }
}

}  // namespace
}  // namespace engram
