#include "protocol/a2a/errors.h"

#include <gtest/gtest.h>

#include "protocol/a2a/rpc.h"

namespace engram::protocol::a2a {
namespace {

TEST(A2aErrors, TheProtocolsOwnSayTheirReason) {
    const A2aError error = no_such_task("t1").error();
    const OrderedJson rpc = rpc_error(error, WireVersion::v1_0);
    EXPECT_EQ(rpc["code"], -32001);
    EXPECT_EQ(rpc["data"][0]["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    EXPECT_EQ(rpc["data"][0]["reason"], "TASK_NOT_FOUND");
    EXPECT_EQ(rpc["data"][0]["domain"], "a2a-protocol.org");
    EXPECT_EQ(rpc["data"][0]["metadata"]["taskId"], "t1");
    EXPECT_FALSE(rpc_error(error, WireVersion::v0_3).contains("data"));
    const OrderedJson http = http_error(error);
    EXPECT_EQ(http["error"]["code"], 404);
    EXPECT_EQ(http["error"]["status"], "NOT_FOUND");
    EXPECT_EQ(http["error"]["details"], rpc["data"]);
}

TEST(A2aErrors, CodesAndStatusesAreTheSpecifications) {
    struct Row {
        A2aErrorKind kind;
        int code, http;
    };
    for (const Row &row :
         {Row{A2aErrorKind::task_not_cancelable, -32002, 400}, Row{A2aErrorKind::push_not_supported, -32003, 400},
          Row{A2aErrorKind::unsupported_operation, -32004, 400}, Row{A2aErrorKind::content_type_not_supported, -32005, 400},
          Row{A2aErrorKind::extended_card_not_configured, -32007, 400},
          Row{A2aErrorKind::extension_support_required, -32008, 400}, Row{A2aErrorKind::version_not_supported, -32009, 400},
          Row{A2aErrorKind::parse, -32700, 400}, Row{A2aErrorKind::invalid_request, -32600, 400},
          Row{A2aErrorKind::method_not_found, -32601, 404}, Row{A2aErrorKind::invalid_params, -32602, 400},
          Row{A2aErrorKind::internal, -32603, 500}, Row{A2aErrorKind::unauthenticated, -32000, 401},
          Row{A2aErrorKind::too_many, -32000, 429}}) {
        EXPECT_EQ(rpc_code(row.kind), row.code);
        EXPECT_EQ(http_status(row.kind), row.http);
    }
    EXPECT_EQ(rpc_http_status(A2aErrorKind::task_not_found), 200);
    EXPECT_EQ(rpc_http_status(A2aErrorKind::unauthenticated), 401);
}

TEST(A2aErrors, AFieldsErrorNamesTheField) {
    const A2aError error(
        ApiError{.kind = ApiErrorKind::invalid_request, .message = "message.parts: is missing", .param = "message.parts"});
    const OrderedJson rpc = rpc_error(error, WireVersion::v1_0);
    EXPECT_EQ(rpc["code"], -32602);
    EXPECT_EQ(rpc["data"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    EXPECT_EQ(rpc["data"][0]["fieldViolations"][0]["field"], "message.parts");
}

TEST(A2aRpc, RequestsAreReadStrictly) {
    const auto request = read_rpc(R"({"jsonrpc":"2.0","id":7,"method":"GetTask","params":{"id":"t"}})", 1000);
    ASSERT_TRUE(request) << request.error().message;
    EXPECT_EQ(request->id, 7);
    EXPECT_EQ(request->method, "GetTask");
    EXPECT_EQ(request->params["id"], "t");
    EXPECT_TRUE(read_rpc(R"({"jsonrpc":"2.0","id":"a","method":"GetExtendedAgentCard"})", 1000)->params.empty());
    struct Case {
        const char *body;
        A2aErrorKind kind;
    };
    for (const Case &wrong :
         {Case{"", A2aErrorKind::parse}, Case{"{", A2aErrorKind::parse}, Case{"[]", A2aErrorKind::invalid_request},
          Case{R"({"id":1,"method":"x"})", A2aErrorKind::invalid_request},
          Case{R"({"jsonrpc":"1.0","id":1,"method":"x"})", A2aErrorKind::invalid_request},
          Case{R"({"jsonrpc":"2.0","id":{},"method":"x"})", A2aErrorKind::invalid_request},
          Case{R"({"jsonrpc":"2.0","id":1})", A2aErrorKind::invalid_request},
          Case{R"({"jsonrpc":"2.0","id":1,"method":5})", A2aErrorKind::invalid_request},
          Case{R"({"jsonrpc":"2.0","id":1,"method":"x","params":[1]})", A2aErrorKind::invalid_request}}) {
        const auto refused = read_rpc(wrong.body, 1000);
        ASSERT_FALSE(refused) << wrong.body;
        EXPECT_EQ(refused.error().kind, wrong.kind) << wrong.body;
        EXPECT_FALSE(refused.error().message.empty());
    }
}

}  // namespace
}  // namespace engram::protocol::a2a
