#include <format>
#include <utility>

#include "agents/agent_file.h"
#include "agents/agent_file_format.h"
#include "agents/agent_file_json.h"
#include "registry/manifest_codec.h"

namespace engram {
namespace {

using namespace agent_file;

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

std::vector<Token> tokens_of(std::span<const std::byte> bytes) {
    std::vector<Token> tokens(bytes.size() / sizeof(Token));
    if (!tokens.empty()) std::memcpy(tokens.data(), bytes.data(), bytes.size());
    return tokens;
}

}  // namespace

Error AgentFileReader::damage(std::string_view what) const {
    return Error{.code = ErrorCode::corrupt,
                 .message = std::format("{} is not a whole agent file: {}; nothing of it was used, export the agent again",
                                        path_.string(), what)};
}

Result<AgentFileReader> AgentFileReader::open(FileSystem &files, const std::filesystem::path &path) {
    AgentFileReader reader(path);
    ENGRAM_ASSIGN(reader.file_, files.open(path));
    std::array<char, kMagic.size()> magic{};
    if (reader.file_->size() < magic.size()) return std::unexpected(reader.damage("it is too short"));
    ENGRAM_TRY(reader.read_exactly(0, std::as_writable_bytes(std::span(magic))));
    if (magic != kMagic) return std::unexpected(reader.damage("it doesn't begin like one"));
    reader.offset_ = magic.size();
    ENGRAM_TRY(reader.read_content());
    return reader;
}

Result<void> AgentFileReader::read_content() {
    const auto name = [&](Error error) { return std::move(error).within(path_.string()); };
    ENGRAM_ASSIGN(const Section header, section_of_kind(kHeader));
    ENGRAM_ASSIGN(content_, parse_header_json(text_of(header.payload)).transform_error(name));
    ENGRAM_ASSIGN(const Section messages, section_of_kind(kMessages));
    ENGRAM_ASSIGN(content_.messages, parse_messages_json(text_of(messages.payload)).transform_error(name));
    ENGRAM_ASSIGN(const Section tokens, section_of_kind(kTokens));
    if (tokens.payload.size() % sizeof(Token) != 0) return std::unexpected(damage("its tokens end within one"));
    content_.tokens = tokens_of(tokens.payload);
    if (content_.messages.size() != content_.agent.n_messages || content_.tokens.size() != content_.agent.n_tokens) {
        return std::unexpected(damage("its header counts other messages or tokens than it has"));
    }
    if (!content_.manifest) return {};
    const Fingerprint announced = content_.manifest->fingerprint;
    ENGRAM_ASSIGN(const Section manifest, section_of_kind(kManifest));
    ENGRAM_ASSIGN(content_.manifest, decode_manifest(manifest.payload).transform_error(name));
    if (content_.manifest->fingerprint != announced || content_.manifest->n_kv > content_.tokens.size()) {
        return std::unexpected(damage("its manifest belongs to other tokens or another model than its header says"));
    }
    return {};
}

Result<std::optional<AgentFilePart>> AgentFileReader::next_part() {
    if (ended_) return std::nullopt;
    if (failure_) return std::unexpected(*failure_);
    auto part = read_part();
    if (!part) failure_ = part.error();
    return part;
}

Result<std::optional<AgentFilePart>> AgentFileReader::read_part() {
    const std::uint64_t sections = sections_;
    const Checksum128 all = all_.value();
    ENGRAM_ASSIGN(Section section, next_section());
    if (section.kind == kPart) return part_of(std::move(section.payload));
    if (section.kind != kEnd)
        return std::unexpected(damage(std::format("a section of kind {} where a part belongs", section.kind)));
    ENGRAM_TRY(check_end(section.payload, sections, all));
    ended_ = true;
    return std::nullopt;
}

Result<void> AgentFileReader::check_end(std::span<const std::byte> payload, std::uint64_t sections,
                                        const Checksum128 &all) const {
    if (payload.size() != sizeof(EndPayload)) return std::unexpected(damage("its end has another size"));
    const auto end = take<EndPayload>(payload);
    if (end.sections != sections || end.all != bytes_of(all)) {
        return std::unexpected(damage("its sections aren't those that were written"));
    }
    if (offset_ != file_->size()) return std::unexpected(damage("something follows its end"));
    return {};
}

Result<AgentFilePart> AgentFileReader::part_of(std::vector<std::byte> payload) const {
    std::span<const std::byte> rest(payload);
    if (!content_.manifest) return std::unexpected(damage("it has a part and no manifest"));
    if (rest.size() < sizeof(PartHead) + sizeof(PartRows)) return std::unexpected(damage("a part is too short"));
    const auto head = take<PartHead>(rest);
    if (head.kind >= kPartKinds || head.n_tokens == 0 || head.n_tokens > content_.manifest->block_tokens ||
        head.segment_first_position < 0) {
        return std::unexpected(damage("a part has values out of range"));
    }
    const std::size_t token_bytes = head.n_tokens * sizeof(Token);
    if (rest.size() < token_bytes + sizeof(PartRows)) return std::unexpected(damage("a part is too short for its tokens"));
    AgentFilePart part;
    part.segment.id.bytes = head.id;
    part.segment.parent.bytes = head.parent;
    part.segment.fingerprint = content_.manifest->fingerprint;
    part.segment.first_position = head.segment_first_position;
    part.segment.tokens = tokens_of(rest.first(token_bytes));
    rest = rest.subspan(token_bytes);
    const auto rows = take<PartRows>(rest);
    if (rows.first_position < 0) return std::unexpected(damage("a part begins before the first position"));
    part.kind = static_cast<PartKind>(head.kind);
    part.part_first_position = rows.first_position;
    part.part_rows = rows.rows;
    part.file_offset = payload.size() - rest.size();
    part.section = std::move(payload);
    return part;
}

Result<AgentFileReader::Section> AgentFileReader::section_of_kind(std::uint32_t kind) {
    ENGRAM_ASSIGN(Section section, next_section());
    if (section.kind != kind)
        return std::unexpected(damage(std::format("a section of kind {} where one of kind {} belongs", section.kind, kind)));
    return section;
}

Result<AgentFileReader::Section> AgentFileReader::next_section() {
    const std::uint64_t left = file_->size() - offset_;
    if (left < sizeof(SectionHead) + kChecksumBytes)
        return std::unexpected(damage(std::format("it ends at byte {}", file_->size())));
    SectionHead head;
    ENGRAM_TRY(read_exactly(offset_, std::as_writable_bytes(std::span(&head, 1))));
    // Before memory is reserved: a length that the file can't hold, or that no such section has, is damage.
    if (head.reserved != 0 || head.length > max_length(head.kind) || head.length > left - sizeof(SectionHead) - kChecksumBytes) {
        return std::unexpected(damage(std::format("the section at byte {} is cut off or has an impossible head", offset_)));
    }
    Section section{.kind = head.kind, .payload = std::vector<std::byte>(head.length)};
    std::array<std::byte, kChecksumBytes> stored{};
    ENGRAM_TRY(read_exactly(offset_ + sizeof head, section.payload));
    ENGRAM_TRY(read_exactly(offset_ + sizeof head + head.length, stored));
    ChecksumStream checksum;
    checksum.add(view_of(head));
    checksum.add(section.payload);
    if (bytes_of(checksum.value()) != stored) {
        return std::unexpected(damage(std::format("the section at byte {} doesn't match its checksum", offset_)));
    }
    offset_ += sizeof head + head.length + kChecksumBytes;
    all_.add(stored);
    ++sections_;
    return section;
}

Result<void> AgentFileReader::read_exactly(std::uint64_t offset, std::span<std::byte> bytes) {
    const iovec piece{.iov_base = bytes.data(), .iov_len = bytes.size()};
    return file_->read(offset, {&piece, 1});
}

}  // namespace engram
