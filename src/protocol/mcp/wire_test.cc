#include "protocol/mcp/wire.h"

#include <gtest/gtest.h>

#include <random>

#include "core/testing/test_seed.h"

namespace engram::protocol::mcp {
namespace {

OrderedJson meta(std::string_view version = kStatelessVersion) {
    return {{kMetaVersion, version}, {kMetaCapabilities, OrderedJson::object()}};
}

RpcRequest request(std::string method, OrderedJson params) {
    params["_meta"] = meta();
    return {.id = 1, .method = std::move(method), .params = std::move(params)};
}

std::int64_t code_of(const RpcResult<CallMeta> &result) { return result ? 0 : result.error().code; }

TEST(McpWireTest, TheEraIsSaidByTheBodyOrTheHeader) {
    const RpcRequest newer = request("tools/list", OrderedJson::object());
    const RpcRequest older{.id = 1, .method = "tools/list"};
    EXPECT_EQ(era_of(newer, ""), Era::stateless);
    EXPECT_EQ(era_of(newer, "2025-11-25"), Era::stateless);
    EXPECT_EQ(era_of(older, ""), Era::session);
    EXPECT_EQ(era_of(older, "2025-11-25"), Era::session);
    EXPECT_EQ(era_of(older, "2025-06-18"), Era::session);
    EXPECT_EQ(era_of(older, "2026-07-28"), Era::stateless);
    EXPECT_EQ(era_of(older, "2099-01-01"), Era::stateless);  // which says then which versions there are
    EXPECT_EQ(era_of(RpcResponse{.id = 1, .outcome = empty_result()}, ""), Era::session);
}

TEST(McpWireTest, MetaMustSayVersionAndCapabilities) {
    EXPECT_EQ(read_stateless_meta({{"_meta", meta()}})->version, "2026-07-28");
    EXPECT_EQ(code_of(read_stateless_meta(OrderedJson::object())), kRpcInvalidParams);
    EXPECT_EQ(code_of(read_stateless_meta({{"_meta", 3}})), kRpcInvalidParams);
    for (const std::string_view missing : {kMetaVersion, kMetaCapabilities}) {
        OrderedJson without = meta();
        without.erase(std::string(missing));
        EXPECT_EQ(code_of(read_stateless_meta({{"_meta", without}})), kRpcInvalidParams) << missing;
        without[std::string(missing)] = 7;
        EXPECT_EQ(code_of(read_stateless_meta({{"_meta", without}})), kRpcInvalidParams) << missing;
    }
    const auto other = read_stateless_meta({{"_meta", meta("2025-11-25")}});
    ASSERT_EQ(code_of(other), kUnsupportedVersion);
    EXPECT_EQ(other.error().data,
              OrderedJson::parse(R"({"supported":["2026-07-28","2025-11-25","2025-06-18"],"requested":"2025-11-25"})"));
    OrderedJson all = meta();
    all["progressToken"] = "p";
    all[std::string(kMetaLogLevel)] = "warning";
    const auto read = read_stateless_meta({{"_meta", all}});
    ASSERT_TRUE(read);
    EXPECT_EQ(read->progress_token, RpcId("p"));
    EXPECT_EQ(read->log_level, LogLevel::warning);
    all[std::string(kMetaLogLevel)] = "loud";
    EXPECT_EQ(code_of(read_stateless_meta({{"_meta", all}})), kRpcInvalidParams);
    EXPECT_EQ(read_session_meta({{"_meta", {{"progressToken", 7}}}})->progress_token, RpcId(7));
    EXPECT_EQ(code_of(read_session_meta({{"_meta", {{"progressToken", 7.5}}}})), kRpcInvalidParams);
    EXPECT_FALSE(read_session_meta(OrderedJson::object())->progress_token);
}

TEST(McpWireTest, HeadersAgreeWithTheBody) {
    const RpcRequest call = request("tools/call", {{"name", "ask"}});
    EXPECT_TRUE(check_headers(call, {.version = kStatelessVersion, .method = "tools/call", .name = "ask"}));
    EXPECT_TRUE(check_headers(call, {.version = kStatelessVersion, .method = "tools/call", .name = "=?base64?YXNr?="}));
    const std::vector<MirroredHeaders> wrong = {
        {.version = "2025-11-25", .method = "tools/call", .name = "ask"},
        {.version = "", .method = "tools/call", .name = "ask"},
        {.version = kStatelessVersion, .method = "tools/list", .name = "ask"},
        {.version = kStatelessVersion, .method = "Tools/Call", .name = "ask"},
        {.version = kStatelessVersion, .method = "", .name = "ask"},
        {.version = kStatelessVersion, .method = "tools/call", .name = "tell"},
        {.version = kStatelessVersion, .method = "tools/call", .name = ""},
        {.version = kStatelessVersion, .method = "tools/call", .name = "=?base64?YXN?="},
    };
    for (const MirroredHeaders &headers : wrong) {
        const auto checked = check_headers(call, headers);
        ASSERT_FALSE(checked) << headers.version << headers.method << headers.name;
        EXPECT_EQ(checked.error().code, kHeaderMismatch);
    }
    const RpcRequest read = request("resources/read", {{"uri", "engram://ä"}});
    EXPECT_TRUE(
        check_headers(read, {.version = kStatelessVersion, .method = "resources/read", .name = "=?base64?ZW5ncmFtOi8vw6Q=?="}));
    const RpcRequest list = request("tools/list", OrderedJson::object());
    EXPECT_TRUE(check_headers(list, {.version = kStatelessVersion, .method = "tools/list", .name = ""}));
}

TEST(McpWireTest, HeadersThatAreSentAgree) {
    for (const char *name : {"ask", "two words", "ä", " padded ", "a\nb", "=?base64?x?="}) {
        const RpcRequest call = request("tools/call", {{"name", name}});
        const auto headers = mirrored_headers(call);
        ASSERT_EQ(headers.size(), 3U);
        EXPECT_TRUE(check_headers(call, {.version = headers[0].second, .method = headers[1].second, .name = headers[2].second}))
            << headers[2].second;
        EXPECT_EQ(headers[2].second.find('\n'), std::string::npos);
    }
    EXPECT_EQ(mirrored_headers(request("tools/list", OrderedJson::object())).size(), 2U);
}

TEST(McpWireTest, CursorsComeBack) {
    EXPECT_EQ(read_cursor({{"cursor", cursor_after("analyst")}}), "analyst");
    EXPECT_EQ(read_cursor(OrderedJson::object()), "");
    for (const OrderedJson &wrong : {OrderedJson(3), OrderedJson("analyst"), OrderedJson(""), OrderedJson(nullptr)}) {
        EXPECT_FALSE(read_cursor({{"cursor", wrong}})) << wrong;
    }
}

TEST(McpWireTest, ShapesOfNotificationsAndResults) {
    EXPECT_EQ(
        write_rpc(progress_notification("t", {.done = 3, .total = 4, .message = "reading"})),
        R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":3.0,"total":4.0,"message":"reading"}})");
    EXPECT_EQ(write_rpc(log_notification(LogLevel::alert, "x")),
              R"({"jsonrpc":"2.0","method":"notifications/message","params":{"level":"alert","data":"x"}})");
    EXPECT_EQ(tool_result("two", {{"n", 2}}).dump(), R"({"content":[{"type":"text","text":"two"}],"structuredContent":{"n":2}})");
    EXPECT_EQ(tool_failure("no").dump(), R"({"content":[{"type":"text","text":"no"}],"isError":true})");
    for (int level = 0; level < 8; ++level) {
        EXPECT_EQ(log_level_from_name(log_level_name(static_cast<LogLevel>(level))), static_cast<LogLevel>(level));
    }
}

TEST(McpWireTest, RandomHeadersAndCursorsDoNoHarm) {
    std::mt19937 random(static_cast<std::uint32_t>(test_seed()));
    std::size_t decoded = 0;
    for (int round = 0; round < 2000; ++round) {
        std::string text(random() % 12, '\0');
        for (char &c : text) c = static_cast<char>(random());
        decoded += header_value("=?base64?" + text + "?=").has_value();
        EXPECT_EQ(header_value(text), text);
        OrderedJson params{{"cursor", text}};
        EXPECT_FALSE(read_cursor(params)) << text;
    }
    EXPECT_LT(decoded, 2000U);
}

}  // namespace
}  // namespace engram::protocol::mcp
