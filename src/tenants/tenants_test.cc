#include "tenants/tenants.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tenants/testing/tenants_fixture.h"

namespace engram {
namespace {

// What the background thread does once a second is called here when it is wanted; that it does it is another test's business.
class TenantsTest : public TenantsFileTest {
  protected:
    TenantsTest() { reopen(); }
    void reopen() {
        tenants_.reset();
        auto opened = Tenants::open(folder_, clock_);
        EXPECT_TRUE(opened) << why(opened);
        if (opened) tenants_ = std::move(*opened);
    }
    TenantStore console() {  // of the operator, beside the server
        auto store = TenantStore::open(file_);
        EXPECT_TRUE(store) << why(store);
        return std::move(*store);
    }
    NewKey create(KeySpec spec) {
        if (spec.tenant.empty()) spec.tenant = "default";
        auto key = console().create_key(spec, clock_.wall);
        EXPECT_TRUE(key) << why(key);
        EXPECT_TRUE(tenants_->refresh());
        return key.value_or(NewKey());
    }
    std::optional<Principal> bearer(const std::string &text) { return tenants_->authenticate({.authorization = text}); }

    std::unique_ptr<Tenants> tenants_;
};

TEST_F(TenantsTest, WithoutKeysOnlyThisMachineIsServed) {
    const Principal owner{.tenant = "default", .scopes = Scopes::all(), .key_id = {}};
    EXPECT_EQ(tenants_->authenticate({.local = true}), owner);
    EXPECT_EQ(tenants_->authenticate({.x_api_key = "anything", .local = true}), owner) << "clients send some key always";
    EXPECT_EQ(tenants_->authenticate({.local = false}), std::nullopt);
    EXPECT_EQ(tenants_->authenticate({.x_api_key = "anything", .local = false}), std::nullopt);
}

TEST_F(TenantsTest, WithKeysEverybodyNeedsOne) {
    const NewKey key = create({.scopes = Scopes::parse("chat").value()});
    const Principal expected{.tenant = "default", .scopes = key.row.scopes, .key_id = key.row.id};
    EXPECT_EQ(tenants_->authenticate({.local = true}), std::nullopt);
    EXPECT_EQ(tenants_->authenticate({.x_api_key = key.text, .local = true}), expected);
    EXPECT_EQ(tenants_->authenticate({.x_api_key = key.text}), expected);
    EXPECT_EQ(bearer("Bearer " + key.text), expected);
    EXPECT_EQ(bearer("bearer   " + key.text + " \t"), expected);
    EXPECT_EQ(tenants_->authenticate({.x_api_key = "wrong", .authorization = "Bearer " + key.text}), expected)
        << "one of both is enough";
    EXPECT_EQ(tenants_->authenticate({.x_api_key = key.text, .authorization = "Bearer wrong"}), expected);
    for (const std::string &text :
         {std::string(), std::string("Bearer"), std::string("Bearer "), std::string("Bearer    "), key.text, "Basic " + key.text,
          "Bearer" + key.text, "Bearer x" + key.text, "Bearer " + key.row.id}) {
        EXPECT_EQ(bearer(text), std::nullopt) << text;
    }
}

TEST_F(TenantsTest, ARevokedOrExpiredKeyOpensNothing) {
    const NewKey revoked = create({});
    const NewKey expiring = create({.expires_ms = clock_.wall + 1000});
    EXPECT_TRUE(bearer("Bearer " + revoked.text));
    EXPECT_TRUE(bearer("Bearer " + expiring.text));
    ASSERT_TRUE(console().revoke_key(revoked.row.id, clock_.wall));
    ASSERT_TRUE(tenants_->refresh());
    clock_.wall += 1000;
    EXPECT_FALSE(bearer("Bearer " + revoked.text));
    EXPECT_FALSE(bearer("Bearer " + expiring.text));
    EXPECT_FALSE(tenants_->authenticate({.local = true})) << "that no key is valid any more doesn't open the door";
    reopen();
    EXPECT_FALSE(tenants_->authenticate({.local = true})) << "nor does a restart";
}

TEST_F(TenantsTest, AFileThatIsGoneOrReplacedDoesNotOpenTheDoor) {
    const NewKey key = create({});
    for (const char *suffix : {"", "-wal", "-shm"})
        std::filesystem::rename(file_.string() + suffix, folder_ / ("away.db" + std::string(suffix)));
    EXPECT_FALSE(tenants_->refresh());
    EXPECT_EQ(tenants_->problems().size(), 1U);
    EXPECT_TRUE(bearer("Bearer " + key.text)) << "what was read last is used on";
    (void)console();  // makes a new file without keys
    EXPECT_TRUE(tenants_->refresh());
    EXPECT_TRUE(tenants_->problems().empty());
    EXPECT_FALSE(bearer("Bearer " + key.text));
    EXPECT_FALSE(tenants_->authenticate({.local = true}));
    const NewKey other = create({});
    EXPECT_TRUE(bearer("Bearer " + other.text));
    std::ofstream(folder_ / "junk") << "no database";
    std::filesystem::rename(folder_ / "junk", file_);
    EXPECT_FALSE(tenants_->refresh());
    EXPECT_TRUE(bearer("Bearer " + other.text));
    ASSERT_EQ(tenants_->problems().size(), 1U);
    EXPECT_NE(tenants_->problems()[0].find(file_.string()), std::string::npos) << tenants_->problems()[0];
}

TEST_F(TenantsTest, ADamagedRowIsAProblemAndShutsOutItsKeyAlone) {
    const NewKey damaged = create({});
    const NewKey sound = create({});
    tamper("UPDATE keys SET scopes = 'admin' WHERE id = '" + damaged.row.id + "'");
    EXPECT_TRUE(tenants_->refresh());
    EXPECT_FALSE(bearer("Bearer " + damaged.text));
    EXPECT_TRUE(bearer("Bearer " + sound.text));
    ASSERT_EQ(tenants_->problems().size(), 1U);
    EXPECT_NE(tenants_->problems()[0].find(damaged.row.id), std::string::npos);
}

TEST_F(TenantsTest, QuotasCountFromTheNextLookOn) {
    EXPECT_EQ(tenants_->quota("team"), Quota());
    ASSERT_TRUE(console().set_tenant(
        "team", [](Quota &quota) { quota = {.agents = 2, .tokens_per_minute = 60, .concurrent_requests = 1}; }, 1));
    ASSERT_TRUE(tenants_->refresh());
    EXPECT_EQ(tenants_->quota("team").agents, 2U);
    auto admission = tenants_->admit("team");
    EXPECT_TRUE(admission.granted());
    EXPECT_EQ(tenants_->running_requests("team"), 1U);
    EXPECT_FALSE(tenants_->admit("team").granted()) << "one at a time";
    tenants_->record("team", "x", {.requests = 1, .computed_tokens = 50, .reused_tokens = 5'000, .generated_tokens = 15});
    admission.place.give_back();
    const auto refused = tenants_->admit("team");
    EXPECT_FALSE(refused.granted());
    EXPECT_EQ(refused.retry_after_s, 6U) << "65 of 60 were used, reused ones don't count: six until one is there again";
    clock_.steady += 6'000'000;
    EXPECT_TRUE(tenants_->admit("team").granted());
    EXPECT_TRUE(tenants_->admit("default").granted());
}

TEST_F(TenantsTest, WhatWasRecordedIsInTheLedger) {
    tenants_->record("a", "x", {.requests = 1, .computed_tokens = 10});
    tenants_->record("a", "x", {.generated_tokens = 5});
    tenants_->record_stored("a", "x", 1 << 20, 60);
    tenants_->record_stored("a", "x", UINT64_MAX, 0);
    const std::vector<UsageRow> expected{
        {.day = "2026-01-31",
         .tenant = "a",
         .agent = "x",
         .usage = {.requests = 1, .computed_tokens = 10, .generated_tokens = 5, .stored_byte_seconds = 60ULL << 20}}};
    EXPECT_EQ(tenants_->usage({}), expected);
    tenants_->record("a", "x", {.requests = 1});
    reopen();
    EXPECT_EQ(tenants_->usage({})->at(0).usage.requests, 2U) << "an orderly end writes what was left";
}

TEST_F(TenantsTest, TheLastUseIsWrittenNowAndThen) {
    const NewKey key = create({});
    const auto last_used = [this] {
        EXPECT_TRUE(tenants_->flush());
        return query("SELECT last_used_ms FROM keys");
    };
    EXPECT_EQ(last_used(), 0);
    const std::int64_t first = clock_.wall;
    EXPECT_TRUE(bearer("Bearer " + key.text));
    EXPECT_EQ(last_used(), first);
    clock_.wall += 60'000;
    EXPECT_TRUE(bearer("Bearer " + key.text));
    EXPECT_EQ(last_used(), first) << "a minute later isn't worth a write";
    clock_.wall = first + 600'000;
    EXPECT_TRUE(bearer("Bearer " + key.text));
    EXPECT_EQ(last_used(), first + 600'000);
    EXPECT_FALSE(bearer("Bearer wrong"));
}

TEST_F(TenantsTest, TheThreadFindsChangesByItself) {
    const auto key = console().create_key({.tenant = "default"}, clock_.wall);
    ASSERT_TRUE(key);
    while (!bearer("Bearer " + key->text)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_TRUE(console().revoke_key(key->row.id, clock_.wall));
    while (bearer("Bearer " + key->text)) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

TEST_F(TenantsTest, TheThreadWritesTheLedgerByItself) {
    tenants_->record("a", "x", {.requests = 1});
    auto reader = Ledger::open(ledger_path(folder_), clock_);
    ASSERT_TRUE(reader) << why(reader);
    while ((*reader)->query({})->empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

TEST_F(TenantsTest, ManyThreadsUseItWhileKeysChange) {
    const NewKey key = create({});
    std::atomic<bool> done = false;
    std::atomic<int> refused = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                while (!done) {
                    const auto principal = bearer("Bearer " + key.text);
                    if (!principal) {
                        ++refused;
                        continue;
                    }
                    const auto admission = tenants_->admit(principal->tenant);
                    tenants_->record(principal->tenant, "x", {.requests = 1});
                }
            });
        }
        for (int i = 0; i < 30; ++i) {
            create({});
            EXPECT_TRUE(tenants_->flush());
        }
        done = true;
    }
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(tenants_->running_requests("default"), 0U);
}

TEST_F(TenantsTest, ADamagedFileIsASentence) {
    tenants_.reset();
    std::ofstream(file_) << "no database";
    const auto opened = Tenants::open(folder_, clock_);
    EXPECT_EQ(code_of(opened), ErrorCode::corrupt);
    EXPECT_NE(why(opened).find(file_.string()), std::string::npos) << why(opened);
}

}  // namespace
}  // namespace engram
