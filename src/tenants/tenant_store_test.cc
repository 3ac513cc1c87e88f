#include "tenants/tenant_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <thread>

#include "core/testing/test_seed.h"
#include "tenants/testing/tenants_fixture.h"

namespace engram {
namespace {

class TenantStoreTest : public TenantsFileTest {
  protected:
    TenantStore open() {
        auto store = TenantStore::open(file_);
        EXPECT_TRUE(store) << why(store);
        return std::move(*store);
    }
    TenantTables tables() {
        auto tables = open().read();
        EXPECT_TRUE(tables) << why(tables);
        return tables.value_or(TenantTables());
    }
    NewKey create(const KeySpec &spec) {
        auto key = open().create_key(spec, clock_.wall);
        EXPECT_TRUE(key) << why(key);
        return key.value_or(NewKey());
    }
};

TEST_F(TenantStoreTest, TheDefaultTenantExistsWithoutBeingMade) {
    EXPECT_EQ(tables(), (TenantTables{.tenants = {{.name = "default", .quota = {}}}, .keys = {}, .problems = {}}));
    ASSERT_TRUE(open().set_tenant("default", [](Quota &quota) { quota.agents = 5; }, clock_.wall));
    EXPECT_EQ(tables().tenants.size(), 1U);
    EXPECT_EQ(tables().tenants[0].quota.agents, 5U);
}

TEST_F(TenantStoreTest, AKeyIsKeptWithoutItsText) {
    const NewKey key =
        create({.tenant = "default", .label = "Zo\u00eb's laptop", .scopes = Scopes::all(), .expires_ms = clock_.wall + 1});
    ASSERT_EQ(tables().keys.size(), 1U);
    const KeyRow row = tables().keys[0];
    EXPECT_EQ(row, key.row);
    EXPECT_EQ(row.hash, hash_of_key(key.text));
    EXPECT_TRUE(key.text.ends_with(row.ending));
    EXPECT_EQ(row.ending.size(), 4U);
    EXPECT_TRUE(row.valid_at(clock_.wall));
    EXPECT_FALSE(row.valid_at(clock_.wall + 1)) << "expired";
    for (const auto &entry : std::filesystem::directory_iterator(folder_)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        EXPECT_EQ(bytes.find(key.text.substr(kKeyPrefix.size())), std::string::npos) << entry.path();
    }
}

TEST_F(TenantStoreTest, TheFileBelongsToItsOwnerAlone) {
    auto store = open();
    ASSERT_TRUE(store.create_key({.tenant = "default"}, clock_.wall));
    for (const auto &entry : std::filesystem::directory_iterator(folder_)) {  // the log beside it too
        struct stat status{};
        ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
    }
}

TEST_F(TenantStoreTest, ARevokedKeyStaysInTheListAndIsNotValid) {
    const NewKey key = create({.tenant = "default"});
    const auto revoked = open().revoke_key(key.row.id, clock_.wall + 5);
    ASSERT_TRUE(revoked) << why(revoked);
    EXPECT_EQ(revoked->revoked_ms, clock_.wall + 5);
    EXPECT_EQ(tables().keys, std::vector{*revoked});
    EXPECT_FALSE(revoked->valid_at(clock_.wall));
    EXPECT_EQ(open().revoke_key(key.row.id, clock_.wall + 9)->revoked_ms, clock_.wall + 5) << "once is enough";
    EXPECT_EQ(code_of(open().revoke_key("nobody", 1)), ErrorCode::not_found);
    EXPECT_EQ(code_of(open().revoke_key("", 1)), ErrorCode::not_found);
    EXPECT_EQ(code_of(open().revoke_key(key.text, 1)), ErrorCode::not_found) << "the id is asked for, not the key";
}

TEST_F(TenantStoreTest, MistakesAreRefusedBeforeAnythingIsWritten) {
    auto store = open();
    const auto create = [&](const KeySpec &spec) { return code_of(store.create_key(spec, clock_.wall)); };
    EXPECT_EQ(create({.tenant = "nobody"}), ErrorCode::not_found);
    EXPECT_EQ(create({.tenant = "../x"}), ErrorCode::invalid_argument);
    EXPECT_EQ(create({.tenant = ""}), ErrorCode::invalid_argument);
    EXPECT_EQ(create({.tenant = "default", .label = "two\nlines"}), ErrorCode::invalid_argument);
    EXPECT_EQ(create({.tenant = "default", .label = std::string(129, 'x')}), ErrorCode::invalid_argument);
    EXPECT_EQ(create({.tenant = "default", .scopes = Scopes()}), ErrorCode::invalid_argument);
    EXPECT_EQ(create({.tenant = "default", .expires_ms = clock_.wall}), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(store.set_tenant("a b", [](Quota &) {}, 1)), ErrorCode::invalid_argument);
    EXPECT_EQ(
        code_of(store.set_tenant("a", [](Quota &quota) { quota.disk_bytes = UINT64_MAX; }, 1)), ErrorCode::invalid_argument);
    EXPECT_EQ(store.read()->tenants.size(), 1U);
    EXPECT_TRUE(store.read()->keys.empty());
}

TEST_F(TenantStoreTest, LimitsAreSetOneByOne) {
    auto store = open();
    const auto made = store.set_tenant("team", [](Quota &quota) { quota.disk_bytes = 10ULL << 30; }, clock_.wall);
    ASSERT_TRUE(made) << why(made);
    ASSERT_TRUE(store.set_tenant("team", [](Quota &quota) { quota.agents = 0; }, clock_.wall + 7));
    const TenantRow expected{.name = "team", .quota = {.disk_bytes = 10ULL << 30, .agents = 0}, .created_ms = clock_.wall};
    EXPECT_EQ(tables().tenants, (std::vector<TenantRow>{{.name = "default", .quota = {}}, expected}));
    ASSERT_TRUE(store.set_tenant("team", [](Quota &quota) { quota = {}; }, clock_.wall));
    EXPECT_EQ(tables().tenants[1].quota, Quota());
}

TEST_F(TenantStoreTest, UsesAreNotedAndNeverGoBack) {
    const NewKey key = create({.tenant = "default"});
    auto store = open();
    ASSERT_TRUE(store.note_uses(
        std::vector<TenantStore::Use>{{.key_id = key.row.id, .last_used_ms = 500}, {.key_id = "gone", .last_used_ms = 1}}));
    ASSERT_TRUE(store.note_uses(std::vector<TenantStore::Use>{{.key_id = key.row.id, .last_used_ms = 400}}));
    EXPECT_EQ(tables().keys[0].last_used_ms, 500);
    EXPECT_EQ(tables().keys.size(), 1U);
}

TEST_F(TenantStoreTest, SeesWhatOthersChange) {
    auto store = open();
    EXPECT_EQ(store.changed(), false);
    ASSERT_TRUE(store.create_key({.tenant = "default"}, clock_.wall));
    EXPECT_EQ(store.changed(), false) << "its own changes it knows";
    create({.tenant = "default"});
    EXPECT_EQ(store.changed(), true);
    EXPECT_EQ(store.changed(), false);
    std::filesystem::rename(file_, folder_ / "away.db");
    EXPECT_EQ(code_of(store.changed()), ErrorCode::io);
    std::ofstream(file_) << "another";
    EXPECT_EQ(code_of(store.changed()), ErrorCode::incompatible);
}

TEST_F(TenantStoreTest, ManyMayCreateAtOnce) {
    open();
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([this] {
                for (int n = 0; n < 10; ++n) create({.tenant = "default"});
            });
        }
    }
    EXPECT_EQ(tables().keys.size(), 40U);
}

TEST_F(TenantStoreTest, ADamagedKeyIsLeftOutAndCanBeRemoved) {
    const NewKey damaged = create({.tenant = "default", .label = "damaged"});
    const NewKey sound = create({.tenant = "default", .label = "sound"});
    for (const char *change : {"scopes = 'chat,agents,admin'", "tenant = 'other'", "expires_ms = 1", "revoked_ms = -1",
                               "scopes = 'root'", "hash = x'00'", "label = 'x'", "ending = 'abcd'"}) {
        std::filesystem::copy_file(file_, folder_ / "before.db", std::filesystem::copy_options::overwrite_existing);
        tamper(std::string("UPDATE keys SET ") + change + " WHERE id = '" + damaged.row.id + "'");
        const TenantTables found = tables();
        EXPECT_EQ(found.keys, std::vector{sound.row}) << change;
        ASSERT_EQ(found.problems.size(), 1U) << change;
        EXPECT_NE(found.problems[0].find("engram key revoke " + damaged.row.id), std::string::npos) << found.problems[0];
        EXPECT_TRUE(open().revoke_key(damaged.row.id, 1)) << change;
        EXPECT_TRUE(tables().problems.empty()) << change;
        EXPECT_EQ(tables().keys.size(), 1U);
        std::filesystem::copy_file(folder_ / "before.db", file_, std::filesystem::copy_options::overwrite_existing);
    }
}

TEST_F(TenantStoreTest, ADamagedTenantIsLeftOutAndCanBeMadeAnew) {
    ASSERT_TRUE(open().set_tenant("default", [](Quota &quota) { quota.agents = 5; }, 1));
    tamper("UPDATE tenants SET agents = 500");
    EXPECT_TRUE(tables().tenants.empty()) << "its quota isn't known: it isn't the default tenant without limits either";
    EXPECT_EQ(tables().problems.size(), 1U);
    EXPECT_EQ(code_of(open().create_key({.tenant = "default"}, 1)), ErrorCode::not_found);
    ASSERT_TRUE(open().set_tenant("default", [](Quota &quota) { quota.disk_bytes = 7; }, 1));
    EXPECT_EQ(tables().tenants.at(0).quota, (Quota{.disk_bytes = 7}));
    EXPECT_TRUE(tables().problems.empty());
}

TEST_F(TenantStoreTest, ADamagedFileIsASentence) {
    create({.tenant = "default"});
    std::filesystem::resize_file(file_, 0);
    const auto empty = TenantStore::open(file_);
    EXPECT_EQ(code_of(empty), ErrorCode::corrupt);
    EXPECT_NE(why(empty).find("without keys and quotas"), std::string::npos) << why(empty);
    std::ofstream(file_) << std::string(8192, 'x');
    EXPECT_EQ(code_of(TenantStore::open(file_)), ErrorCode::corrupt);
    EXPECT_EQ(code_of(TenantStore::open(folder_ / "no folder" / "tenants.db")), ErrorCode::io);
}

// Any bytes as a label or a name: refused, or stored and read back as they were.
TEST_F(TenantStoreTest, AnyLabelAndNameIsRefusedOrKept) {
    std::mt19937_64 random(test_seed());
    auto store = open();
    for (int i = 0; i < 300; ++i) {
        std::string text(random() % 140, ' ');
        const bool printable = random() % 2 == 0;
        for (char &c : text) c = static_cast<char>(printable ? ' ' + random() % 95 : random());
        if (auto tenant = store.set_tenant(text, [](Quota &) {}, 1); tenant) {
            EXPECT_TRUE(std::ranges::contains(store.read()->tenants, text, &TenantRow::name));
        } else {
            EXPECT_EQ(tenant.error().code, ErrorCode::invalid_argument);
        }
        if (auto key = store.create_key({.tenant = "default", .label = text}, 1); key) {
            EXPECT_TRUE(std::ranges::contains(store.read()->keys, text, &KeyRow::label));
        } else {
            EXPECT_EQ(key.error().code, ErrorCode::invalid_argument);
            EXPECT_FALSE(validate_label(text));
        }
        EXPECT_EQ(code_of(store.revoke_key(text + "!", 1)), ErrorCode::not_found);
    }
    EXPECT_TRUE(store.read()->problems.empty());
}

}  // namespace
}  // namespace engram
