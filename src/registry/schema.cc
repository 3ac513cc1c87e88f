#include "registry/schema.h"

#include <array>

namespace engram {
namespace {

// The columns that change with each turn stand before the long texts, so that SQLite rewrites one page and not the whole prompt.
const std::string kVersion1 = R"(
    CREATE TABLE agents (
        key INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        last_used_ms INTEGER NOT NULL,
        pinned INTEGER NOT NULL,
        n_tokens INTEGER NOT NULL,
        n_messages INTEGER NOT NULL,
        n_turns INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        model TEXT NOT NULL,
        vocabulary TEXT NOT NULL,
        forked_from TEXT NOT NULL,
        description TEXT NOT NULL,
        system_prompt TEXT NOT NULL,
        tools TEXT NOT NULL,
        kind TEXT NOT NULL,
        session TEXT NOT NULL,
        expires_ms INTEGER NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE TABLE messages (
        agent INTEGER NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
        ordinal INTEGER NOT NULL,
        created_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        n_tokens INTEGER NOT NULL,
        prefix TEXT NOT NULL,
        public_id TEXT NOT NULL,
        role TEXT NOT NULL,
        tool_call_id TEXT NOT NULL,
        content TEXT NOT NULL,
        tool_calls TEXT NOT NULL,
        thinking TEXT NOT NULL,
        UNIQUE (agent, ordinal)
    ) STRICT;
    CREATE INDEX messages_by_prefix ON messages (prefix) WHERE prefix <> '';
    CREATE INDEX messages_by_public_id ON messages (public_id) WHERE public_id <> '';
    CREATE TABLE token_runs (
        agent INTEGER NOT NULL REFERENCES agents (key) ON DELETE CASCADE,
        first INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        tokens BLOB NOT NULL,
        UNIQUE (agent, first)
    ) STRICT;
    CREATE TABLE manifests (
        agent INTEGER PRIMARY KEY REFERENCES agents (key) ON DELETE CASCADE,
        checksum INTEGER NOT NULL,
        manifest BLOB NOT NULL
    ) STRICT;
    CREATE TABLE model_hashes (
        path TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        digest BLOB NOT NULL
    ) STRICT;
)";

const std::string kVersion2 = "ALTER TABLE agents ADD COLUMN retention TEXT NOT NULL DEFAULT 'standard'";
const std::string kVersion3 = R"(
    CREATE TABLE turn_habits (
        agent INTEGER PRIMARY KEY REFERENCES agents (key) ON DELETE CASCADE,
        began_ms INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        habit BLOB NOT NULL
    ) STRICT;
)";

const std::string kVersion4 = "CREATE INDEX agents_by_use ON agents (tenant, last_used_ms)";

const std::string kVersion5 = "ALTER TABLE agents ADD COLUMN card TEXT NOT NULL DEFAULT ''";

const std::string kVersion6 = "ALTER TABLE agents ADD COLUMN forked_at INTEGER NOT NULL DEFAULT -1";

const std::array<std::string, 6> kMigrations{kVersion1, kVersion2, kVersion3, kVersion4, kVersion5, kVersion6};

}  // namespace

sqlite::FileKind registry_file_kind() {
    return {.name = "the registry", .holds = "agents", .application_id = 0x456e6772, .migrations = kMigrations};  // "Engr"
}

}  // namespace engram
