#include "protocol/a2a/method.h"

#include <gtest/gtest.h>

namespace engram::protocol::a2a {
namespace {

TEST(A2aMethod, VersionsAreMajorAndMinor) {
    for (const char *version : {"1.0", "1.0.1", "1.0.99"}) EXPECT_EQ(dialect_of_version(version), WireVersion::v1_0) << version;
    for (const char *version : {"", "0.3", "0.3.0"}) EXPECT_EQ(dialect_of_version(version), WireVersion::v0_3) << version;
    for (const char *version : {"1", "1.1", "99.0", "0.2", "x", "1.00", " 1.0"}) {
        const auto refused = dialect_of_version(version);
        ASSERT_FALSE(refused) << version;
        EXPECT_EQ(refused.error().kind, A2aErrorKind::version_not_supported);
    }
}

TEST(A2aMethod, NamesBelongToAVersion) {
    EXPECT_EQ(method_call("1.0", "SendMessage")->method, Method::send_message);
    EXPECT_EQ(method_call("0.3", "message/send")->method, Method::send_message);
    EXPECT_EQ(method_call("", "tasks/resubscribe")->method, Method::subscribe_to_task);
    EXPECT_EQ(method_call("", "tasks/resubscribe")->dialect, WireVersion::v0_3);
    EXPECT_EQ(method_call("", "ListTasks")->dialect, WireVersion::v1_0) << "0.3 has no such method";
    struct Case {
        const char *version, *method;
    };
    for (const Case &wrong : {Case{"1.0", "message/send"}, Case{"0.3", "SendMessage"}, Case{"0.3", ""}, Case{"1.0", ""},
                              Case{"", "tasks/list"}, Case{"1.0", "sendmessage"}}) {
        const auto refused = method_call(wrong.version, wrong.method);
        ASSERT_FALSE(refused) << wrong.version << " " << wrong.method;
        EXPECT_EQ(refused.error().kind, A2aErrorKind::method_not_found);
    }
}

}  // namespace
}  // namespace engram::protocol::a2a
