#include "tenants/principal.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(Scopes, AreWrittenAsTheyAreRead) {
    for (const char *text : {"chat", "agents", "admin", "chat,agents", "chat,admin", "agents,admin", "chat,agents,admin"}) {
        const auto scopes = Scopes::parse(text);
        ASSERT_TRUE(scopes) << text;
        EXPECT_EQ(scopes->text(), text);
    }
    EXPECT_EQ(Scopes::parse("admin,chat,chat")->text(), "chat,admin");
    EXPECT_EQ(Scopes::usual().text(), "chat,agents");
    EXPECT_EQ(Scopes::all().text(), "chat,agents,admin");
}

TEST(Scopes, AnythingElseIsRefused) {
    for (const char *text : {"", ",", "chat,", "Chat", "chat agents", "chat, agents", "root", "chat,root"}) {
        EXPECT_FALSE(Scopes::parse(text)) << text;
    }
}

TEST(Principal, OnlyAnAdministratorActsForOthers) {
    const Principal user{.tenant = "a", .scopes = Scopes::usual(), .key_id = "k"};
    EXPECT_TRUE(user.may_act_for("a"));
    EXPECT_FALSE(user.may_act_for("b"));
    EXPECT_FALSE(user.scopes.has(Scope::admin));
    EXPECT_TRUE((Principal{.tenant = "a", .scopes = Scopes::parse("admin").value(), .key_id = "k"}.may_act_for("b")));
}

}  // namespace
}  // namespace engram
