#include "http/route_table.h"

#include <gtest/gtest.h>

#include "http/target.h"

namespace engram::http {
namespace {

HttpRoute route(std::string method, std::string path) {
    return {.method = std::move(method),
            .path = std::move(path),
            .handler = [](const HttpRequest &, HttpResponder &) -> Result<void> { return {}; }};
}

RouteTable table() {
    auto made = RouteTable::create({
        route("GET", "/v1/agents"),
        route("POST", "/v1/agents"),
        route("GET", "/v1/agents/{id}"),
        route("DELETE", "/v1/agents/{id}"),
        route("GET", "/v1/agents/{id}/{what}"),
        route("POST", "/v1/agents/{id}/turn"),
        route("GET", "/v1/agents/{id}/turn"),
        route("GET", "/v1/agents/all"),
        route("GET", "/tasks/{id}"),
        route("POST", "/tasks/{id}:cancel"),
        route("GET", "/"),
    });
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
}

std::string pattern_of(std::string_view method, std::string_view path) {
    static const RouteTable kTable = table();
    const auto match = kTable.find(method, path);
    if (!match) return "malformed";
    return match->route == nullptr ? "none" : match->route->method + " " + match->route->path;
}

TEST(RouteTable, FindsTheMostLiteralPattern) {
    EXPECT_EQ(pattern_of("GET", "/v1/agents"), "GET /v1/agents");
    EXPECT_EQ(pattern_of("POST", "/v1/agents"), "POST /v1/agents");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/all"), "GET /v1/agents/all");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/other"), "GET /v1/agents/{id}");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/all/turn"), "GET /v1/agents/{id}/turn");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/a/stats"), "GET /v1/agents/{id}/{what}");
    EXPECT_EQ(pattern_of("GET", "/"), "GET /");
    EXPECT_EQ(pattern_of("HEAD", "/v1/agents/a"), "GET /v1/agents/{id}");
}

// The more literal pattern has no such method; a less literal one does.
TEST(RouteTable, GoesOnToAPatternThatKnowsTheMethod) {
    EXPECT_EQ(pattern_of("DELETE", "/v1/agents/all"), "DELETE /v1/agents/{id}");
    EXPECT_EQ(pattern_of("GET", "/tasks/7:cancel"), "GET /tasks/{id}");
    EXPECT_EQ(pattern_of("POST", "/tasks/7:cancel"), "POST /tasks/{id}:cancel");
}

TEST(RouteTable, KnowsWhatFitsNothing) {
    EXPECT_EQ(pattern_of("GET", "/v1/agents/"), "none");
    EXPECT_EQ(pattern_of("GET", "/v1"), "none");
    EXPECT_EQ(pattern_of("GET", "/V1/agents"), "none");
    EXPECT_EQ(pattern_of("POST", "/tasks/:cancel"), "none");
    EXPECT_EQ(pattern_of("GET", "*"), "none");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/%4"), "malformed");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/%zz"), "malformed");
    EXPECT_EQ(pattern_of("GET", "/v1/agents/a%00b"), "malformed");
}

TEST(RouteTable, DecodesParameters) {
    const auto match = table().find("POST", "/v1/agents/caf%C3%A9%2Fone+two/turn");
    ASSERT_TRUE(match);
    ASSERT_EQ(match->parameters.size(), 1);
    EXPECT_EQ(match->parameters[0].first, "id");
    EXPECT_EQ(match->parameters[0].second, "caf\xC3\xA9/one+two");
}

TEST(RouteTable, SaysWhichMethodsAPathHas) {
    const std::vector<std::string> expected = {"DELETE", "GET", "HEAD", "OPTIONS"};
    const auto match = table().find("PUT", "/v1/agents/a");
    EXPECT_EQ(match->route, nullptr);
    EXPECT_EQ(match->allowed, expected);
    EXPECT_TRUE(table().find("GET", "/nowhere")->allowed.empty());
}

TEST(RouteTable, RefusesRoutesThatCantBeMeant) {
    for (const char *path : {"", "v1", "/a/{}", "/a/{id", "/a/{x}{y}", "/{x}/{x}", "/a?b", "/a}"}) {
        EXPECT_FALSE(RouteTable::create({route("GET", path)})) << path;
    }
    EXPECT_FALSE(RouteTable::create({route("GET", "/a"), route("GET", "/a")}));
    EXPECT_FALSE(RouteTable::create({route("HEAD", "/a")}));
    EXPECT_FALSE(RouteTable::create({{.method = "GET", .path = "/a"}}));
}

TEST(Target, TakesPathAndQueryApart) {
    EXPECT_EQ(split_target("/a/b?c=d?e")->path, "/a/b");
    EXPECT_EQ(split_target("/a/b?c=d?e")->query, "c=d?e");
    EXPECT_EQ(split_target("http://localhost:80/a?b")->path, "/a");
    EXPECT_EQ(split_target("http://localhost?b")->query, "b");
    EXPECT_EQ(split_target("http://localhost")->path, "/");
    EXPECT_FALSE(split_target("a/b"));
    EXPECT_FALSE(split_target(""));
    EXPECT_FALSE(split_target("localhost:80"));
}

TEST(Target, ReadsQueries) {
    const auto fields = parse_query("a=1&b=x+y%26z&&c&=d&a=2");
    const HttpFields expected = {{"a", "1"}, {"b", "x y&z"}, {"c", ""}, {"", "d"}, {"a", "2"}};
    EXPECT_EQ(fields, expected);
    EXPECT_FALSE(parse_query("a=%"));
    EXPECT_FALSE(parse_query("a=%-1"));
}

}  // namespace
}  // namespace engram::http
