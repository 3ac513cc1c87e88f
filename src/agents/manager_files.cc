// AgentManager: an agent as one file.
#include <algorithm>
#include <format>
#include <system_error>

#include "agents/agent_file.h"
#include "agents/manager_impl.h"

namespace engram {

namespace {

Result<std::filesystem::path> absolute_path(const std::filesystem::path &file) {
    std::error_code error;
    auto path = std::filesystem::absolute(file, error);
    if (error || file.empty())
        return fail(ErrorCode::invalid_argument, std::format("\"{}\" is no path for an agent's file", file.string()));
    return path;
}

}  // namespace

Result<void> AgentManager::Impl::write_agent_file(const std::filesystem::path &path, const AgentFileContent &content) {
    ENGRAM_ASSIGN(AgentFileWriter writer, AgentFileWriter::create(posix_file_system(), path, content));
    if (content.manifest) {
        for (const ManifestPart &part : content.manifest->parts) {
            ENGRAM_ASSIGN(const SegmentIdentity segment,
                          segment_of_part(content.agent.key, *content.manifest, part, content.tokens));
            ENGRAM_ASSIGN(const std::vector<std::byte> bytes, store->read_file({.id = part.id, .kind = part.kind}));
            ENGRAM_TRY(writer.part(segment, part.kind, part.first_position, part.rows, bytes));
        }
    }
    return writer.finish();
}

Result<void> AgentManager::export_agent(std::string_view id, const std::filesystem::path &file) {
    ENGRAM_TRY(validate_agent_id(id));
    const AgentKey key = key_of(id);
    const auto hold = impl_->gates.take(key);
    ENGRAM_ASSIGN(const std::filesystem::path path, absolute_path(file));
    AgentFileContent content{.written_by = std::format("engram {}", version())};
    ENGRAM_ASSIGN(content.agent, impl_->registry->get(key));
    // What can't be written here, on a full disk for example, is no reason to keep the agent from leaving.
    static_cast<void>(impl_->write_missing_parts(key));
    ENGRAM_ASSIGN(content.messages, impl_->registry->messages(key));
    ENGRAM_ASSIGN(content.tokens, impl_->registry->tokens(key));
    if (const auto manifest = impl_->registry->manifest(key); impl_->store && manifest && *manifest) {
        const auto on_disk = [&](const ManifestPart &part) { return impl_->on_disk(part); };
        // Adopted, and not read yet by the model that adopted it: the KV is still the earlier one's.
        const bool anothers = content.agent.model == impl_->model_name() && !impl_->usable(**manifest);
        if (!anothers && std::ranges::all_of((*manifest)->parts, on_disk)) content.manifest = **manifest;
    }
    const Result<void> written = impl_->write_agent_file(path, content);
    const bool unreadable =
        !written && (written.error().code == ErrorCode::corrupt || written.error().code == ErrorCode::not_found);
    if (!unreadable || !content.manifest) return written;
    content.manifest.reset();  // damaged, which the store has noted now, or evicted a moment ago
    return impl_->write_agent_file(path, content);
}

Result<void> AgentManager::Impl::check_importable(const AgentFileContent &content, const std::string &tenant) const {
    if (!content.manifest || content.manifest->parts.empty()) return {};
    const Manifest &manifest = *content.manifest;
    std::string why;
    if (manifest.fingerprint != context->fingerprint()) {
        why = std::format(
            "its KV was made by {} with other weights, adapters, KV types or rope settings than {} as it is loaded here",
            content.agent.model, model->description());
    } else if (manifest.block_tokens != options.storage.block_tokens) {
        why =
            std::format("its KV has blocks of {} tokens, and this store {}", manifest.block_tokens, options.storage.block_tokens);
    } else if (content.agent.key.tenant != tenant) {
        why = std::format("its KV belongs to tenant {}, not {}", content.agent.key.tenant, tenant);
    } else {
        return {};
    }
    return fail(ErrorCode::incompatible,
                std::format("the agent can't be imported with its KV: {}. Import it with recompute to take the "
                            "transcript and compute the KV again",
                            why));
}

// Reads the file to its verified end; publishes the parts on the way, as long as there is room. True: all of them were.
Result<bool> AgentManager::Impl::import_parts(AgentFileReader &reader, const AgentKey &key, bool keep_kv) {
    for (;;) {
        ENGRAM_ASSIGN(const std::optional<AgentFilePart> part, reader.next_part());
        if (!part) return keep_kv;
        if (!keep_kv || !store) continue;
        const ManifestPart named{
            .kind = part->kind, .id = part->segment.id, .first_position = part->part_first_position, .rows = part->part_rows};
        ENGRAM_ASSIGN(const SegmentIdentity expected,
                      segment_of_part(key, *reader.content().manifest, named, reader.content().tokens));
        if (expected.parent != part->segment.parent || expected.tokens != part->segment.tokens ||
            expected.first_position != part->segment.first_position) {
            return fail(ErrorCode::corrupt, "a part of the agent's file belongs to other tokens than the agent's");
        }
        const Result<void> written = store->write_file(expected, part->kind, part->file(), claimant(key), key.tenant);
        if (!written && written.error().code != ErrorCode::over_budget) return std::unexpected(written.error());
        keep_kv = written.has_value();
    }
}

Result<AgentInfo> AgentManager::import_agent(const std::filesystem::path &file, const ImportOptions &options) {
    ENGRAM_ASSIGN(const std::filesystem::path path, absolute_path(file));
    ENGRAM_ASSIGN(AgentFileReader reader, AgentFileReader::open(posix_file_system(), path));
    const AgentFileContent &content = reader.content();
    const std::string id = options.as.empty() ? content.agent.key.id : options.as;
    ENGRAM_TRY(validate_agent_id(id));
    const AgentKey key = key_of(id);
    const auto hold = impl_->gates.take(key_of(id));
    if (impl_->registry->get(key)) {
        return fail(ErrorCode::already_exists, std::format("there is already an agent {}; import it under another id", id));
    }
    if (!options.recompute) ENGRAM_TRY(impl_->check_importable(content, tenant_));
    const bool with_kv = !options.recompute && content.manifest.has_value();
    const auto remove_parts = [&] {
        if (!impl_->store) return;
        impl_->store->release(Impl::claimant(key));
        // What was published for nobody; a failure here leaves garbage that the next start removes.
        static_cast<void>(impl_->store->remove_unclaimed());
    };
    const auto give_up = [&](Error error) -> std::unexpected<Error> {
        remove_parts();
        return std::unexpected(std::move(error));
    };
    const Result<bool> taken = impl_->import_parts(reader, key, with_kv);
    if (!taken) return give_up(taken.error());
    const bool keep_kv = with_kv && *taken;
    if (with_kv && !keep_kv) remove_parts();
    AgentRow row = content.agent;
    row.key = key;
    row.n_tokens = row.n_messages = 0;
    const TurnCommit said{.key = key,
                          .new_tokens = content.tokens,
                          .new_messages = content.messages,
                          .manifest = keep_kv ? &*content.manifest : nullptr,
                          .now_ms = impl_->now_ms(),
                          .model = content.agent.model,
                          .vocabulary = content.agent.vocabulary,
                          .counts_as_turn = false};
    const auto created = impl_->registry->create_with(row, said);
    if (!created) return give_up(created.error());
    const AgentRow &imported = *created;
    if (impl_->store && keep_kv) impl_->store->claim(claim_of(imported, *content.manifest, nullptr));
    return impl_->info(imported);
}

}  // namespace engram
