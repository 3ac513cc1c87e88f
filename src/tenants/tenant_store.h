// Tenants, their quotas and their keys, in a database file of their own (tenants.db): the operator's commands change it while a
// server has it open, which finds the changes with changed().
//
// Every row carries a checksum. A damaged key isn't accepted, nor are the keys of a damaged tenant, whose quota isn't known; the
// others go on.
//
// Threads: as sqlite::Database, one at a time. Any number of processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"
#include "sqlite/database.h"
#include "tenants/api_key.h"
#include "tenants/principal.h"
#include "tenants/quota.h"

namespace engram {

// Times are milliseconds since the Unix epoch; 0: never.
struct KeyRow {
    std::string id;  // public: what lists and revoke_key call it
    std::string tenant;
    std::string label;   // what its maker calls it; may be empty
    std::string ending;  // the last characters of its text
    KeyHash hash{};
    Scopes scopes;
    std::int64_t created_ms = 0, expires_ms = 0, revoked_ms = 0;
    std::int64_t last_used_ms = 0;  // not to the minute: written now and then

    bool valid_at(std::int64_t now_ms) const { return revoked_ms == 0 && (expires_ms == 0 || now_ms < expires_ms); }
    bool operator==(const KeyRow &) const = default;
};

struct TenantRow {
    std::string name;
    Quota quota;
    std::int64_t created_ms = 0;  // 0: the default tenant, which nobody made
    bool operator==(const TenantRow &) const = default;
};

struct TenantTables {
    std::vector<TenantRow> tenants;     // by name; the default tenant is always among them, unless its row is damaged
    std::vector<KeyRow> keys;           // by tenant and time of creation
    std::vector<std::string> problems;  // a sentence for each row that is damaged, and so isn't above
    bool operator==(const TenantTables &) const = default;
};

struct KeySpec {
    std::string tenant;
    std::string label;
    Scopes scopes = Scopes::usual();
    std::int64_t expires_ms = 0;
};

struct NewKey {
    KeyRow row;
    std::string text;  // the key itself, which nobody can ask for again
};

// A label is at most 128 bytes, without control characters. invalid_argument.
Result<void> validate_label(std::string_view label);

class TenantStore {
  public:
    // Creates the file (0600) when absent; its folder must exist. io, locked, corrupt (the file is left as it is), incompatible.
    static Result<TenantStore> open(const std::filesystem::path &file);

    Result<TenantTables> read();
    // Whether another connection has changed the file since the last call, or since open(). io: the file isn't there any more;
    // incompatible: another one has its name, which must be opened anew.
    Result<bool> changed();

    // not_found: no such tenant; invalid_argument: the label, no scope, or a time of expiry that isn't after now_ms.
    Result<NewKey> create_key(const KeySpec &spec, std::int64_t now_ms);
    // The key as it is now; one that was revoked before stays as it was. A damaged one, which isn't accepted anyway, is removed.
    // not_found.
    Result<KeyRow> revoke_key(std::string_view id, std::int64_t now_ms);

    struct Use {
        std::string key_id;
        std::int64_t last_used_ms = 0;
    };
    Result<void> note_uses(std::span<const Use> uses);

    // Makes the tenant when there is none of that name, and lets `change` set its limits. A damaged one is made anew.
    // invalid_argument: the name, or a limit.
    Result<TenantRow> set_tenant(std::string_view name, const std::function<void(Quota &)> &change, std::int64_t now_ms);

  private:
    struct FileIdentity {
        std::uint64_t device = 0, inode = 0;
        bool operator==(const FileIdentity &) const = default;
    };
    static Result<FileIdentity> identity_of(const std::filesystem::path &file);
    Result<void> prepare();
    Result<TenantTables> read_rows();
    Result<void> write_key(const KeyRow &row);

    std::filesystem::path file_;
    FileIdentity identity_;
    std::int64_t data_version_ = 0;  // SQLite's count of other connections' commits
    sqlite::Database database_;
    sqlite::Statement keys_, tenants_, replace_key_, remove_key_, replace_tenant_, note_use_, version_;
};

}  // namespace engram
