#include "mcp/server_list.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"

namespace engram::mcp {
namespace {

constexpr std::string_view kWhole = R"({"mcpServers":{
    "files":{"command":"mcp-server-filesystem","args":["${HOME}/notes","${NOT_THERE:-/tmp}","$5","${"],"env":{"TOKEN":"a${KEY}b"},
             "cwd":"/srv","timeout":5000,"autoApprove":["read_file"],"alwaysAllow":["list"],"unknown":{"x":1}},
    "off":{"command":"x","disabled":true},
    "search":{"type":"http","url":"https://example.com/mcp","headers":{"Authorization":"Bearer ${KEY}"},"tenants":["a","b"]}}})";

std::optional<std::string> variable(const std::string &name) {
    if (name == "HOME") return "/home/me";
    if (name == "KEY") return "secret";
    return std::nullopt;
}

std::string complaint(std::string_view json) {
    const auto servers = parse_server_list(json, "mcp.json", variable);
    return servers ? "it is a list" : servers.error().message;
}
std::string of_server(std::string_view members) { return complaint(R"({"mcpServers":{"s":)" + std::string(members) + "}}"); }

TEST(McpServerList, SaysWhichServersThereAre) {
    const auto list = parse_server_list(kWhole, "mcp.json", variable);
    ASSERT_TRUE(list) << list.error().message;
    ASSERT_TRUE(*list);
    const std::vector<ServerConfig> &servers = **list;
    ASSERT_EQ(servers.size(), 2U);
    ServerConfig files{.name = "files", .command = "mcp-server-filesystem", .args = {"/home/me/notes", "/tmp", "$5", "${"}};
    files.env = {{"TOKEN", "asecretb"}};
    files.cwd = "/srv";
    files.timeout = std::chrono::milliseconds(5000);
    files.auto_approve = {"read_file", "list"};
    EXPECT_EQ(servers[0], files);
    ServerConfig search{.name = "search", .url = "https://example.com/mcp"};
    search.headers = {{"Authorization", "Bearer secret"}};
    search.tenants = {"a", "b"};
    EXPECT_EQ(servers[1], search);
    EXPECT_EQ(parse_server_list(R"({"mcpServers":{}})", "f", variable)->value().size(), 0U);
    EXPECT_FALSE(*parse_server_list("{}", "f", variable)) << "it has no such list";
}

TEST(McpServerList, SaysWhatIsWrongAndWhere) {
    EXPECT_EQ(complaint("[]"), "mcp.json: it must be an object");
    EXPECT_EQ(complaint(R"({"mcpServers":3})"), "mcp.json: \"mcpServers\" must be an object");
    EXPECT_TRUE(complaint("{").starts_with("mcp.json: "));
    EXPECT_EQ(of_server("3"), "mcp.json: mcpServers.s must be an object");
    EXPECT_EQ(of_server("{}"), "mcp.json: mcpServers.s needs either a command to start, or a url");
    EXPECT_EQ(of_server(R"({"command":"a","url":"b"})"), "mcp.json: mcpServers.s needs either a command to start, or a url");
    EXPECT_EQ(of_server(R"({"command":1})"), "mcp.json: mcpServers.s.command must be a text");
    EXPECT_EQ(of_server(R"({"command":"a","args":["x",2]})"), "mcp.json: mcpServers.s.args[1] must be a text");
    EXPECT_EQ(of_server(R"({"command":"a","args":"x"})"), "mcp.json: mcpServers.s.args must be a list of texts");
    EXPECT_EQ(of_server(R"({"command":"a","env":{"A":1}})"), "mcp.json: mcpServers.s.env.A must be a text");
    EXPECT_EQ(of_server(R"({"command":"a","timeout":0})"),
              "mcp.json: mcpServers.s.timeout must be milliseconds, a whole number from 1 to a day's");
    EXPECT_EQ(of_server(R"({"command":"a","disabled":"no"})"), "mcp.json: mcpServers.s.disabled must be true or false");
    EXPECT_EQ(of_server(R"({"command":"a","type":"http"})"), "mcp.json: mcpServers.s is of the type \"http\" and needs a url");
    EXPECT_TRUE(of_server(R"({"url":"http://x","type":"sse"})").contains("a transport that MCP has given up"));
    EXPECT_EQ(of_server(R"({"command":"a","type":"pipe"})"), "mcp.json: mcpServers.s.type must be \"stdio\" or \"http\"");
    EXPECT_TRUE(of_server(R"({"command":"${NOT_THERE}"})")
                    .starts_with("mcp.json: mcpServers.s.command names ${NOT_THERE}, and there is no such variable"));
    EXPECT_TRUE(complaint(R"({"mcpServers":{"a b":{"command":"x"}}})").contains("\"a b\" can't be a name"));
    EXPECT_EQ(read_entries_file("/nowhere/mcp.json").error().code, ErrorCode::not_found);
}

TEST(McpServerList, AnyBytesAreAListOrRefused) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 10'000; ++i) {
        std::string text(kWhole);
        for (auto n = random() % 6; n > 0; --n) text[random() % text.size()] = static_cast<char>(random());
        if (random() % 4 == 0) text.resize(random() % text.size());
        const auto servers = parse_server_list(text, "mcp.json", variable);
        if (servers) continue;
        EXPECT_TRUE(servers.error().message.starts_with("mcp.json: ")) << servers.error().message;
    }
}

}  // namespace
}  // namespace engram::mcp
