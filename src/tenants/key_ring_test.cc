#include "tenants/key_ring.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

KeyRow key(const std::string &text, const std::string &tenant) {
    return {.id = "id", .tenant = tenant, .label = {}, .ending = {}, .hash = hash_of_key(text), .scopes = Scopes::usual()};
}

class KeyRingTest : public testing::Test {
  protected:
    const std::string text_ = make_key_text().value();
    TenantTables tables_{
        .tenants = {{.name = "default", .quota = {}}, {.name = "team", .quota = {.agents = 3}}}, .keys = {}, .problems = {}};
};

TEST_F(KeyRingTest, FindsAKeyByItsTextOnly) {
    tables_.keys = {key(text_, "team")};
    const KeyRing ring(tables_);
    ASSERT_NE(ring.find(text_, 1), nullptr);
    EXPECT_EQ(ring.find(text_, 1)->tenant, "team");
    EXPECT_EQ(ring.find("", 1), nullptr);
    EXPECT_EQ(ring.find(make_key_text().value(), 1), nullptr);
    EXPECT_EQ(ring.find(text_ + " ", 1), nullptr);
    EXPECT_EQ(ring.find(std::string_view(text_).substr(1), 1), nullptr);
    for (std::size_t at = 0; at < text_.size(); ++at) {
        std::string other = text_;
        other[at] = other[at] == 'x' ? 'y' : 'x';
        EXPECT_EQ(ring.find(other, 1), nullptr) << at;
    }
}

TEST_F(KeyRingTest, NeitherExpiredNorRevokedNorOfAnUnknownTenant) {
    KeyRow row = key(text_, "team");
    row.expires_ms = 100;
    tables_.keys = {row};
    EXPECT_NE(KeyRing(tables_).find(text_, 99), nullptr);
    EXPECT_EQ(KeyRing(tables_).find(text_, 100), nullptr);
    row.expires_ms = 0;
    row.revoked_ms = 1;
    tables_.keys = {row};
    EXPECT_EQ(KeyRing(tables_).find(text_, 99), nullptr);
    tables_.keys = {key(text_, "damaged")};
    EXPECT_EQ(KeyRing(tables_).find(text_, 99), nullptr);
}

TEST_F(KeyRingTest, IsLockedOnceThereWasAKey) {
    EXPECT_FALSE(KeyRing(tables_).locked());
    EXPECT_TRUE(KeyRing(tables_, true).locked());
    KeyRow row = key(text_, "team");
    row.revoked_ms = 1;
    tables_.keys = {row};
    EXPECT_TRUE(KeyRing(tables_).locked()) << "a revoked key";
    tables_.keys.clear();
    tables_.problems = {"key abc is damaged"};
    EXPECT_TRUE(KeyRing(tables_).locked()) << "a damaged key";
}

TEST_F(KeyRingTest, QuotasAreTheTenantsOwn) {
    EXPECT_EQ(KeyRing(tables_).quota("team").agents, 3U);
    EXPECT_EQ(KeyRing(tables_).quota("default"), Quota());
    EXPECT_EQ(KeyRing(tables_).quota("unheard of"), Quota());
}

}  // namespace
}  // namespace engram
