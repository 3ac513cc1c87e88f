#include <format>
#include <random>
#include <utility>

#include "agents/agent_file.h"
#include "agents/agent_file_format.h"
#include "agents/agent_file_json.h"
#include "registry/manifest_codec.h"

namespace engram {
namespace {

using namespace agent_file;

iovec piece_of(std::span<const std::byte> bytes) {
    return {.iov_base = const_cast<std::byte *>(bytes.data()), .iov_len = bytes.size()};  // writing doesn't change it
}

// A name of its own beside `path`, so that two exports to one path can't mix.
std::filesystem::path temporary_beside(const std::filesystem::path &path) {
    std::random_device random;
    return path.parent_path() / std::format(".{}.{:08x}{:08x}.partial", path.filename().string(), random(), random());
}

}  // namespace

AgentFileWriter::AgentFileWriter(FileSystem &files, std::filesystem::path path, const std::optional<Manifest> &manifest)
    : files_(&files), path_(std::move(path)) {
    if (!manifest) return;
    fingerprint_ = manifest->fingerprint;
    block_tokens_ = manifest->block_tokens;
}

AgentFileWriter::AgentFileWriter(AgentFileWriter &&other) noexcept
    : files_(other.files_),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)),
      fingerprint_(other.fingerprint_),
      block_tokens_(other.block_tokens_),
      all_(std::move(other.all_)),
      sections_(other.sections_) {}

AgentFileWriter::~AgentFileWriter() {
    if (temporary_.empty()) return;
    file_.reset();
    (void)files_->remove(temporary_);  // the error that brought us here was reported; a second one adds nothing
}

Result<AgentFileWriter> AgentFileWriter::create(FileSystem &files, const std::filesystem::path &path,
                                                const AgentFileContent &content) {
    if (content.agent.n_tokens != content.tokens.size() || content.agent.n_messages != content.messages.size()) {
        return fail(
            ErrorCode::invalid_argument,
            std::format("agent {} counts {} tokens and {} messages, but has {} and {}", content.agent.key.id,
                        content.agent.n_tokens, content.agent.n_messages, content.tokens.size(), content.messages.size()));
    }
    AgentFileWriter writer(files, path, content.manifest);
    std::filesystem::path temporary = temporary_beside(path);
    ENGRAM_ASSIGN(writer.file_, files.create(temporary));
    writer.temporary_ = std::move(temporary);
    ENGRAM_TRY(writer.write_content(content));
    return writer;
}

Result<void> AgentFileWriter::write_content(const AgentFileContent &content) {
    const iovec magic = piece_of(view_of(kMagic));
    ENGRAM_TRY(file_->write({&magic, 1}));
    const std::string header = header_json(content);
    const std::string messages = messages_json(content.messages);
    const std::span<const std::byte> texts[] = {std::as_bytes(std::span(header)), std::as_bytes(std::span(messages)),
                                                std::as_bytes(std::span(content.tokens))};
    ENGRAM_TRY(section(kHeader, {&texts[0], 1}));
    ENGRAM_TRY(section(kMessages, {&texts[1], 1}));
    ENGRAM_TRY(section(kTokens, {&texts[2], 1}));
    if (!content.manifest) return {};
    if (content.manifest->n_kv > content.tokens.size()) {
        return fail(ErrorCode::invalid_argument, "a manifest can't hold more tokens than the agent has");
    }
    ENGRAM_ASSIGN(const std::vector<std::byte> manifest, encode_manifest(*content.manifest));
    const std::span<const std::byte> view(manifest);
    return section(kManifest, {&view, 1});
}

Result<void> AgentFileWriter::part(const SegmentIdentity &segment, PartKind kind, Position part_first_position,
                                   std::uint32_t part_rows, std::span<const std::byte> file) {
    if (!fingerprint_ || segment.fingerprint != *fingerprint_ || segment.tokens.empty() ||
        segment.tokens.size() > block_tokens_ || segment.first_position < 0 || part_first_position < 0) {
        return fail(
            ErrorCode::invalid_argument,
            std::format("block {} doesn't belong to the agent's manifest and can't be exported with it", segment.id.hex()));
    }
    const PartHead head{.kind = std::to_underlying(kind),
                        .id = segment.id.bytes,
                        .parent = segment.parent.bytes,
                        .segment_first_position = segment.first_position,
                        .n_tokens = static_cast<std::uint32_t>(segment.tokens.size())};
    const PartRows rows{.first_position = part_first_position, .rows = part_rows};
    const std::span<const std::byte> pieces[] = {view_of(head), std::as_bytes(std::span(segment.tokens)), view_of(rows), file};
    return section(kPart, pieces);
}

Result<void> AgentFileWriter::section(std::uint32_t kind, std::span<const std::span<const std::byte>> pieces) {
    SectionHead head{.kind = kind};
    for (const auto &piece : pieces) head.length += piece.size();
    if (head.length > max_length(kind)) {
        return fail(ErrorCode::invalid_argument, std::format("{}: a section of {} bytes is more than the format allows ({})",
                                                             path_.string(), head.length, max_length(kind)));
    }
    ChecksumStream checksum;
    checksum.add(view_of(head));
    std::vector<iovec> out{piece_of(view_of(head))};
    for (const auto &piece : pieces) {
        checksum.add(piece);
        out.push_back(piece_of(piece));
    }
    const auto sum = bytes_of(checksum.value());
    out.push_back(piece_of(sum));
    all_.add(sum);
    ++sections_;
    return file_->write(out);
}

Result<void> AgentFileWriter::finish() {
    const EndPayload end{.sections = sections_, .all = bytes_of(all_.value())};
    const std::span<const std::byte> view = view_of(end);
    ENGRAM_TRY(section(kEnd, {&view, 1}));
    ENGRAM_TRY(file_->sync());  // before the rename: the name must never lead to bytes that a power cut can take
    file_.reset();
    ENGRAM_TRY(files_->rename(temporary_, path_));
    temporary_.clear();
    return files_->sync_directory(path_.parent_path());
}

}  // namespace engram
