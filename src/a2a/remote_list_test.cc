#include "a2a/remote_list.h"

#include <gtest/gtest.h>

namespace engram::a2a {
namespace {

std::optional<std::string> variable(const std::string &name) {
    return name == "KEY" ? std::optional<std::string>("secret") : std::nullopt;
}

std::string complaint(std::string_view members) {
    const auto remotes = parse_remote_list(R"({"a2aAgents":{"legal":)" + std::string(members) + "}}", "mcp.json", variable);
    return remotes ? "it is a list" : remotes.error().message;
}

TEST(A2aRemoteList, SaysWhichAgentsThereAre) {
    const auto list = parse_remote_list(R"({"mcpServers":{},"a2aAgents":{
        "legal":{"url":"https://example.com/a2a/legal","headers":{"Authorization":"Bearer ${KEY}"},"description":"Reads contracts.",
                 "timeout":5000,"tenants":["a"],"unknown":1},
        "off":{"url":"https://example.com/","disabled":true},
        "near":{"url":"http://127.0.0.1:8000/a2a/agents/near"}}})",
                                        "mcp.json", variable);
    ASSERT_TRUE(list) << list.error().message;
    ASSERT_TRUE(*list);
    RemoteConfig legal{.name = "legal", .url = "https://example.com/a2a/legal", .description = "Reads contracts."};
    legal.headers = {{"Authorization", "Bearer secret"}};
    legal.timeout = std::chrono::milliseconds(5000);
    legal.tenants = {"a"};
    const RemoteConfig near{.name = "near", .url = "http://127.0.0.1:8000/a2a/agents/near"};
    EXPECT_EQ(**list, (std::vector<RemoteConfig>{legal, near}));
    EXPECT_FALSE(*parse_remote_list(R"({"mcpServers":{}})", "f", variable)) << "it has no such list";
}

TEST(A2aRemoteList, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(complaint("{}"),
              "mcp.json: a2aAgents.legal.url must be the http or https address of an agent's card, or of its agent");
    EXPECT_TRUE(complaint(R"({"url":"ftp://example.com/"})").starts_with("mcp.json: a2aAgents.legal.url must be"));
    EXPECT_EQ(complaint(R"({"url":"http://localhost/","headers":3})"),
              "mcp.json: a2aAgents.legal.headers must be an object of texts");
    EXPECT_TRUE(complaint(R"({"url":"http://localhost/","headers":{"k":"${NONE}"}})").contains("no such variable"));
}

}  // namespace
}  // namespace engram::a2a
