#include "protocol/json_rpc.h"

#include <gtest/gtest.h>

#include <format>
#include <random>

#include "core/testing/test_seed.h"

namespace engram::protocol {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;

RpcFault fault(std::string_view text) {
    auto message = read_rpc(text, kMaxBytes);
    EXPECT_FALSE(message.has_value()) << text;
    return message ? RpcFault{} : message.error();
}

TEST(JsonRpcTest, ReadsTheThreeKindsOfMessages) {
    EXPECT_EQ(read_rpc(R"({"jsonrpc":"2.0","id":7,"method":"a/b","params":{"x":[1]}})", kMaxBytes),
              RpcMessage(RpcRequest{.id = 7, .method = "a/b", .params = {{"x", {1}}}}));
    EXPECT_EQ(read_rpc(R"({"jsonrpc":"2.0","id":"seven","method":"ping"})", kMaxBytes),
              RpcMessage(RpcRequest{.id = "seven", .method = "ping"}));
    EXPECT_EQ(read_rpc(R"({"jsonrpc":"2.0","method":"notifications/initialized"})", kMaxBytes),
              RpcMessage(RpcNotification{.method = "notifications/initialized"}));
    EXPECT_EQ(read_rpc(R"({"jsonrpc":"2.0","id":-1,"result":{"ok":true}})", kMaxBytes),
              RpcMessage(RpcResponse{.id = -1, .outcome = OrderedJson{{"ok", true}}}));
    EXPECT_EQ(read_rpc(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?","data":{"at":3}}})", kMaxBytes),
              RpcMessage(RpcResponse{.outcome = rpc_fail(kRpcParseError, "what?", {{"at", 3}})}));
}

TEST(JsonRpcTest, WhatIsWrittenIsReadAgain) {
    const std::vector<RpcMessage> messages = {
        RpcRequest{.id = INT64_MAX, .method = "tools/call", .params = {{"name", "ä\n\"x\""}}},
        RpcRequest{.id = "", .method = ""},
        RpcNotification{.method = "n", .params = {{"deep", {{"deeper", nullptr}}}}},
        RpcResponse{.id = 3, .outcome = OrderedJson::object()},
        RpcResponse{.id = "x", .outcome = rpc_fail(-32601, "no such method")},
    };
    for (const RpcMessage &message : messages) {
        const std::string line = write_rpc(message);
        EXPECT_EQ(line.find('\n'), std::string::npos) << line;
        EXPECT_EQ(read_rpc(line, kMaxBytes), message) << line;
    }
    EXPECT_EQ(write_rpc(RpcRequest{.id = 1, .method = "ping"}), R"({"jsonrpc":"2.0","id":1,"method":"ping"})");
    EXPECT_EQ(write_rpc(RpcNotification{.method = "\xFF"}), "{\"jsonrpc\":\"2.0\",\"method\":\"\xEF\xBF\xBD\"}");
}

// It is kept while its request runs.
TEST(JsonRpcTest, AnIdIsBounded) {
    const auto with_id = [](std::size_t bytes) {
        return std::format(R"({{"jsonrpc":"2.0","id":"{}","method":"ping"}})", std::string(bytes, 'x'));
    };
    EXPECT_TRUE(read_rpc(with_id(1024), kMaxBytes).has_value());
    EXPECT_EQ(fault(with_id(1025)).error.message, "id must be a whole number or a string of at most 1024 bytes");
}

TEST(JsonRpcTest, SaysWhatIsWrongAndToWhom) {
    EXPECT_EQ(fault("{").error.code, kRpcParseError);
    EXPECT_EQ(fault("").error.code, kRpcParseError);
    EXPECT_EQ(fault(std::string(5000, '[')).error.code, kRpcParseError);
    EXPECT_FALSE(fault("{").id.has_value());
    const std::vector<std::string> invalid = {
        "[]",
        R"([{"jsonrpc":"2.0","id":1,"method":"ping"}])",
        "3",
        R"({"id":1,"method":"ping"})",
        R"({"jsonrpc":"1.0","id":1,"method":"ping"})",
        R"({"jsonrpc":2.0,"id":1,"method":"ping"})",
        R"({"jsonrpc":"2.0","id":null,"method":"ping"})",
        R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})",
        R"({"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"})",
        R"({"jsonrpc":"2.0","id":{},"method":"ping"})",
        R"({"jsonrpc":"2.0","id":1,"method":3})",
        R"({"jsonrpc":"2.0","id":1,"method":"ping","result":{}})",
        R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","result":{}})",
        R"({"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}})",
        R"({"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}})",
        R"({"jsonrpc":"2.0","id":1,"error":{"code":1}})",
        R"({"jsonrpc":"2.0","id":1,"error":"no"})",
    };
    for (const std::string &text : invalid) EXPECT_EQ(fault(text).error.code, kRpcInvalidRequest) << text;
    EXPECT_EQ(fault(R"({"jsonrpc":"2.0","id":"i","method":"m","params":[1]})").error.code, kRpcInvalidParams);
    EXPECT_EQ(fault(R"({"jsonrpc":"2.0","id":"i","method":"m","params":null})").id, RpcId("i"));
    EXPECT_EQ(write_rpc(answer_to(fault(R"({"id":1,"method":"ping"})"))),
              R"({"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"jsonrpc must be \"2.0\""}})");
    EXPECT_EQ(fault(R"({"jsonrpc":"2.0","id":")" + std::string(2000, 'x') + R"(","method":"m"})").error.code, kRpcInvalidRequest);
}

TEST(JsonRpcTest, RandomBytesAndChangedMessagesDoNoHarm) {
    std::mt19937 random(test_seed());
    const std::string good = R"({"jsonrpc":"2.0","id":7,"method":"a/b","params":{"x":[1,{"y":"z"}]}})";
    std::size_t messages = 0;
    for (int round = 0; round < 5000; ++round) {
        std::string text = good;
        for (int changes = static_cast<int>(random() % 4); changes > 0; --changes) {
            text[random() % text.size()] = static_cast<char>(random());
        }
        const auto message = read_rpc(text, kMaxBytes);
        if (!message) continue;
        EXPECT_TRUE(read_rpc(write_rpc(*message), kMaxBytes).has_value()) << text;
        ++messages;
    }
    EXPECT_GT(messages, 1000U);  // those that weren't changed
    EXPECT_LT(messages, 5000U);
}

}  // namespace
}  // namespace engram::protocol
