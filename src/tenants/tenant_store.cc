#include "tenants/tenant_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <format>
#include <system_error>
#include <utility>

#include "core/ids.h"
#include "sqlite/database_file.h"
#include "sqlite/row_checksum.h"

namespace engram {
namespace {

using sqlite::Transaction;

constexpr std::size_t kMaxLabelBytes = 128;
constexpr std::int64_t kUnlimited = -1;  // a limit that isn't there

const std::string kVersion1 = R"(
    CREATE TABLE tenants (
        name TEXT PRIMARY KEY,
        created_ms INTEGER NOT NULL,
        disk_bytes INTEGER NOT NULL,
        memory_bytes INTEGER NOT NULL,
        agents INTEGER NOT NULL,
        tokens_per_minute INTEGER NOT NULL,
        concurrent_requests INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        label TEXT NOT NULL,
        ending TEXT NOT NULL,
        hash BLOB NOT NULL UNIQUE,
        scopes TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL,
        revoked_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        last_used_ms INTEGER NOT NULL
    ) STRICT;
)";

sqlite::FileKind file_kind() {
    return {.name = "the tenants' file",
            .holds = "keys and quotas",
            .application_id = 0x456e6774,
            .migrations = {&kVersion1, 1}};  // "Engt"
}

std::int64_t stored(const std::optional<std::uint64_t> &limit) { return limit ? static_cast<std::int64_t>(*limit) : kUnlimited; }

std::int64_t checksum_of(const TenantRow &row) {
    RowChecksum checksum;
    checksum.text(row.name).integer(row.created_ms);
    for (const QuotaField &field : kQuotaFields) checksum.integer(stored(row.quota.*field.limit));
    return checksum.value();
}

// Without last_used_ms, which nothing depends on.
std::int64_t checksum_of(const KeyRow &row) {
    return RowChecksum()
        .text(row.id)
        .text(row.tenant)
        .text(row.label)
        .text(row.ending)
        .blob(std::as_bytes(std::span(row.hash)))
        .text(row.scopes.text())
        .integer(row.created_ms)
        .integer(row.expires_ms)
        .integer(row.revoked_ms)
        .value();
}

struct ReadTenant {
    TenantRow row;
    bool intact = false;
};

ReadTenant tenant_of(const sqlite::Run &run) {
    ReadTenant read;
    read.row = {.name = std::string(run.text(0)), .created_ms = run.integer(1)};
    for (int column = 2; const QuotaField &field : kQuotaFields) {
        const std::int64_t limit = run.integer(column++);
        if (limit != kUnlimited) read.row.quota.*field.limit = static_cast<std::uint64_t>(limit);
    }
    read.intact = checksum_of(read.row) == run.integer(7);
    return read;
}

struct ReadKey {
    KeyRow row;
    bool intact = false;
};

ReadKey key_of(const sqlite::Run &run) {
    ReadKey read;
    KeyRow &row = read.row;
    row.id = run.text(0);
    row.tenant = run.text(1);
    row.label = run.text(2);
    row.ending = run.text(3);
    const auto hash = run.blob(4);
    const auto scopes = Scopes::parse(run.text(5));
    row.created_ms = run.integer(6);
    row.expires_ms = run.integer(7);
    row.revoked_ms = run.integer(8);
    row.last_used_ms = run.integer(10);
    if (hash.size() != row.hash.size() || !scopes) return read;
    std::memcpy(row.hash.data(), hash.data(), hash.size());
    row.scopes = *scopes;
    read.intact = checksum_of(row) == run.integer(9);
    return read;
}

Result<void> check_spec(const KeySpec &spec, std::int64_t now_ms) {
    ENGRAM_TRY(validate_tenant_id(spec.tenant));
    ENGRAM_TRY(validate_label(spec.label));
    if (spec.scopes == Scopes()) return fail(ErrorCode::invalid_argument, "a key needs a scope: chat, agents or admin");
    if (spec.expires_ms != 0 && spec.expires_ms <= now_ms) {
        return fail(ErrorCode::invalid_argument, "the key would have expired before it is made; give a later time");
    }
    return {};
}

}  // namespace

Result<void> validate_label(std::string_view label) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (label.size() <= kMaxLabelBytes && std::ranges::none_of(label, is_control)) return {};
    return fail(ErrorCode::invalid_argument,
                std::format("a label is at most {} bytes of text, in one line and without control characters", kMaxLabelBytes));
}

Result<TenantStore> TenantStore::open(const std::filesystem::path &file) {
    TenantStore store;
    store.file_ = file;
    ENGRAM_ASSIGN(store.database_, sqlite::open_file(file, file_kind()));
    ENGRAM_ASSIGN(store.identity_, identity_of(file));
    ENGRAM_TRY(store.prepare());
    ENGRAM_TRY(store.changed());
    return store;
}

Result<void> TenantStore::prepare() {
    ENGRAM_ASSIGN(version_, database_.prepare("PRAGMA data_version"));
    ENGRAM_ASSIGN(tenants_,
                  database_.prepare("SELECT name, created_ms, disk_bytes, memory_bytes, agents, tokens_per_minute,"
                                    " concurrent_requests, checksum FROM tenants WHERE ?1 = '' OR name = ?1 ORDER BY name"));
    ENGRAM_ASSIGN(keys_, database_.prepare("SELECT id, tenant, label, ending, hash, scopes, created_ms, expires_ms, revoked_ms,"
                                           " checksum, last_used_ms FROM keys WHERE ?1 = '' OR id = ?1"
                                           " ORDER BY tenant, created_ms, id"));
    ENGRAM_ASSIGN(replace_tenant_,
                  database_.prepare("INSERT OR REPLACE INTO tenants (name, created_ms, disk_bytes, memory_bytes, agents,"
                                    " tokens_per_minute, concurrent_requests, checksum) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)"));
    ENGRAM_ASSIGN(replace_key_,
                  database_.prepare("INSERT OR REPLACE INTO keys (id, tenant, label, ending, hash, scopes, created_ms,"
                                    " expires_ms, revoked_ms, checksum, last_used_ms)"
                                    " VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"));
    ENGRAM_ASSIGN(remove_key_, database_.prepare("DELETE FROM keys WHERE id = ?1"));
    ENGRAM_ASSIGN(note_use_, database_.prepare("UPDATE keys SET last_used_ms = max(last_used_ms, ?2) WHERE id = ?1"));
    return {};
}

Result<TenantStore::FileIdentity> TenantStore::identity_of(const std::filesystem::path &file) {
    struct stat status{};
    if (::stat(file.c_str(), &status) == 0) {
        return FileIdentity{.device = static_cast<std::uint64_t>(status.st_dev),
                            .inode = static_cast<std::uint64_t>(status.st_ino)};
    }
    return fail(ErrorCode::io, std::format("the tenants' file {} can't be found any more ({}); put it back", file.string(),
                                           std::system_category().message(errno)));
}

Result<bool> TenantStore::changed() {
    ENGRAM_ASSIGN(const FileIdentity identity, identity_of(file_));
    if (identity != identity_) {
        return fail(ErrorCode::incompatible, std::format("{} was replaced by another file", file_.string()));
    }
    auto run = version_.run();
    ENGRAM_ASSIGN(const bool row, run.next());
    if (!row) return fail(ErrorCode::internal, "no row from: PRAGMA data_version");
    const std::int64_t before = std::exchange(data_version_, run.integer(0));
    return before != data_version_;
}

Result<TenantTables> TenantStore::read() {
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database_, Transaction::Kind::read));
    ENGRAM_ASSIGN(TenantTables tables, read_rows());
    ENGRAM_TRY(transaction.commit());
    return tables;
}

Result<TenantTables> TenantStore::read_rows() {
    TenantTables tables;
    bool default_found = false;
    for (auto run = tenants_.run("");;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) break;
        auto [row, intact] = tenant_of(run);
        default_found |= row.name == kDefaultTenant;
        if (intact) {
            tables.tenants.push_back(std::move(row));
        } else {
            tables.problems.push_back(
                std::format("tenant {} is damaged in {}: its keys aren't accepted; `engram tenant set {}` "
                            "makes it anew, without limits but those that are given",
                            row.name, file_.string(), row.name));
        }
    }
    if (!default_found) {
        const auto place = std::ranges::lower_bound(tables.tenants, kDefaultTenant, {}, &TenantRow::name);
        tables.tenants.insert(place, {.name = std::string(kDefaultTenant), .quota = {}});
    }
    for (auto run = keys_.run("");;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return tables;
        auto [row, intact] = key_of(run);
        if (intact) {
            tables.keys.push_back(std::move(row));
        } else {
            tables.problems.push_back(
                std::format("key {} is damaged in {} and isn't accepted; make another one, and remove this one "
                            "with `engram key revoke {}`",
                            row.id, file_.string(), row.id));
        }
    }
}

Result<void> TenantStore::write_key(const KeyRow &row) {
    return replace_key_
        .run(row.id, row.tenant, row.label, row.ending, std::as_bytes(std::span(row.hash)), row.scopes.text(), row.created_ms,
             row.expires_ms, row.revoked_ms, checksum_of(row), row.last_used_ms)
        .finish();
}

Result<NewKey> TenantStore::create_key(const KeySpec &spec, std::int64_t now_ms) {
    ENGRAM_TRY(check_spec(spec, now_ms));
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database_, Transaction::Kind::write));
    ENGRAM_ASSIGN(const TenantTables tables, read_rows());
    if (!std::ranges::contains(tables.tenants, spec.tenant, &TenantRow::name)) {
        return fail(ErrorCode::not_found, std::format("there is no tenant {0}; `engram tenant set {0}` makes one", spec.tenant));
    }
    NewKey key;
    ENGRAM_ASSIGN(key.text, make_key_text());
    key.row = {.tenant = spec.tenant,
               .label = spec.label,
               .ending = key.text.substr(key.text.size() - kKeyEndingBytes),
               .hash = hash_of_key(key.text),
               .scopes = spec.scopes,
               .created_ms = now_ms,
               .expires_ms = spec.expires_ms};
    do {
        ENGRAM_ASSIGN(key.row.id, make_key_id());
    } while (std::ranges::contains(tables.keys, key.row.id, &KeyRow::id));
    ENGRAM_TRY(write_key(key.row));
    ENGRAM_TRY(transaction.commit());
    return key;
}

Result<KeyRow> TenantStore::revoke_key(std::string_view id, std::int64_t now_ms) {
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database_, Transaction::Kind::write));
    ReadKey key;
    {
        auto run = keys_.run(id);
        ENGRAM_ASSIGN(const bool found, run.next());
        if (!found || id.empty()) {
            return fail(ErrorCode::not_found, std::format("there is no key {}; `engram key list` shows them", id));
        }
        key = key_of(run);
    }
    if (key.row.revoked_ms == 0 || !key.intact) {
        key.row.revoked_ms = now_ms;
        ENGRAM_TRY(key.intact ? write_key(key.row) : remove_key_.run(id).finish());
    }
    ENGRAM_TRY(transaction.commit());
    return std::move(key.row);
}

Result<void> TenantStore::note_uses(std::span<const Use> uses) {
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database_, Transaction::Kind::write));
    for (const Use &use : uses) ENGRAM_TRY(note_use_.run(use.key_id, use.last_used_ms).finish());
    return transaction.commit();
}

Result<TenantRow> TenantStore::set_tenant(std::string_view name, const std::function<void(Quota &)> &change,
                                          std::int64_t now_ms) {
    ENGRAM_TRY(validate_tenant_id(name));
    ENGRAM_ASSIGN(auto transaction, Transaction::begin(database_, Transaction::Kind::write));
    TenantRow row{.name = std::string(name), .quota = {}, .created_ms = now_ms};
    {
        auto run = tenants_.run(name);
        ENGRAM_ASSIGN(const bool found, run.next());
        if (found) {
            if (auto read = tenant_of(run); read.intact) row = std::move(read.row);
        }
    }
    change(row.quota);
    ENGRAM_TRY(validate_quota(row.quota));
    const auto limit = [&row](std::optional<std::uint64_t> Quota::*field) { return stored(row.quota.*field); };
    ENGRAM_TRY(replace_tenant_
                   .run(row.name, row.created_ms, limit(&Quota::disk_bytes), limit(&Quota::memory_bytes), limit(&Quota::agents),
                        limit(&Quota::tokens_per_minute), limit(&Quota::concurrent_requests), checksum_of(row))
                   .finish());
    ENGRAM_TRY(transaction.commit());
    return row;
}

}  // namespace engram
