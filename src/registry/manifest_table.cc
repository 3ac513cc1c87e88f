#include "registry/manifest_table.h"

#include <format>

#include "registry/manifest_codec.h"
#include "sqlite/row_checksum.h"

namespace engram {
namespace {

constexpr std::string_view kAdvice =
    "its transcript and tokens are not affected, and its memory is computed again on its next turn";

std::int64_t checksum_of(std::int64_t agent, std::span<const std::byte> manifest) {
    return RowChecksum().integer(agent).blob(manifest).value();
}

Result<Manifest> manifest_of(const StoredAgent &agent, std::int64_t checksum, std::span<const std::byte> bytes) {
    const AgentKey &key = agent.row.key;
    if (checksum_of(agent.rowid, bytes) != checksum) {
        return std::unexpected(damaged(key, "its manifest in the registry doesn't match its checksum", kAdvice));
    }
    return decode_manifest(bytes).transform_error(
        [&](Error error) { return std::move(error).within(std::format("agent {} of tenant {}", key.id, key.tenant)); });
}

}  // namespace

Result<ManifestTable> ManifestTable::open(sqlite::Database &database) {
    ManifestTable table;
    ENGRAM_ASSIGN(table.read_, database.prepare("SELECT checksum, manifest FROM manifests WHERE agent = ?1"));
    ENGRAM_ASSIGN(table.replace_,
                  database.prepare("INSERT OR REPLACE INTO manifests (agent, checksum, manifest) VALUES (?1, ?2, ?3)"));
    ENGRAM_ASSIGN(table.clear_, database.prepare("DELETE FROM manifests WHERE agent = ?1"));
    ENGRAM_ASSIGN(table.page_, database.prepare(std::format("SELECT {}, m.checksum, m.manifest FROM manifests AS m"
                                                            " JOIN agents AS a ON a.key = m.agent WHERE m.agent > ?1"
                                                            " ORDER BY m.agent LIMIT ?2",
                                                            kAgentColumns)));
    return table;
}

Result<std::optional<Manifest>> ManifestTable::read(const StoredAgent &agent) {
    auto run = read_.run(agent.rowid);
    ENGRAM_ASSIGN(const bool found, run.next());
    if (!found) return std::nullopt;
    return manifest_of(agent, run.integer(0), run.blob(1));
}

Result<void> ManifestTable::replace(const StoredAgent &agent, const Manifest &manifest) {
    if (manifest.n_kv > agent.row.n_tokens) {
        return fail(ErrorCode::invalid_argument,
                    std::format("agent {}: a manifest of {} tokens doesn't fit its {} committed tokens", agent.row.key.id,
                                manifest.n_kv, agent.row.n_tokens));
    }
    return write(agent.rowid, manifest);
}

Result<void> ManifestTable::write(std::int64_t rowid, const Manifest &manifest) {
    ENGRAM_ASSIGN(const std::vector<std::byte> bytes, encode_manifest(manifest));
    const std::span<const std::byte> view(bytes);
    return replace_.run(rowid, checksum_of(rowid, view), view).finish();
}

Result<void> ManifestTable::clear(std::int64_t rowid) { return clear_.run(rowid).finish(); }

Result<void> ManifestTable::copy(const StoredAgent &from, std::int64_t to_rowid) {
    const auto manifest = read(from);
    return manifest && *manifest ? write(to_rowid, **manifest) : Result<void>();
}

Result<std::vector<ManifestTable::Entry>> ManifestTable::page_after(std::int64_t rowid) {
    std::vector<Entry> entries;
    for (auto run = page_.run(rowid, kPage);;) {
        ENGRAM_ASSIGN(const bool more, run.next());
        if (!more) return entries;
        const std::int64_t before = entries.empty() ? rowid : entries.back().rowid;
        ReadAgent read = agent_of(run);
        if (read.agent.rowid <= before) {  // a damaged tree isn't in order, and going on from here could go on forever
            return fail(ErrorCode::corrupt, std::format("the registry's manifests are not in order; {}", kFileAdvice));
        }
        if (read.intact) {
            auto manifest = manifest_of(read.agent, run.integer(kAgentColumnCount), run.blob(kAgentColumnCount + 1));
            entries.push_back({.rowid = read.agent.rowid, .agent = std::move(read.agent.row), .manifest = std::move(manifest)});
        } else {
            Error error = damaged(read.agent.row.key, "its row in the registry doesn't match its checksum", kTruthAdvice);
            entries.push_back({.rowid = read.agent.rowid,
                               .agent = damaged_row(std::move(read.agent.row.key)),
                               .manifest = std::unexpected(std::move(error))});
        }
    }
}

}  // namespace engram
