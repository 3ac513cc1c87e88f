// An agent in one file: identity, transcript, tokens, manifest and the files of its KV parts. docs/EXPORT_FORMAT.md has every
// byte.
//
// Writing. The file is made under a temporary name beside its own, synced, and renamed by finish(): under its own name there is a
// whole file or what was there before. A writer that is destroyed before finish() removes its temporary file.
//
//     ENGRAM_ASSIGN(auto writer, AgentFileWriter::create(files, path, content));
//     ENGRAM_TRY(writer.part(segment, kind, first_position, rows, bytes));   // once for each of the manifest's parts
//     ENGRAM_TRY(writer.finish());
//
// Reading. Everything but the parts is read and verified by open(); parts come one by one, so that a large agent never has to fit
// in memory. The file is whole only when next_part() has said so by its nullopt: take the agent over after that.
//
//     ENGRAM_ASSIGN(auto reader, AgentFileReader::open(files, path));
//     for (;;) {
//         ENGRAM_ASSIGN(auto part, reader.next_part());
//         if (!part) break;
//         use(*part);
//     }
//
// Each section carries a checksum (XXH3-128) and the last one a checksum of all: any flipped bit, cut or exchange is `corrupt`.
// The checksums find accidents, not attacks, so that every value is checked as well; memory is reserved only for bytes that the
// file has. The parts' own bytes are opaque here: the block store verifies them when they are published.
//
// Paths are absolute. Threads: a writer or reader belongs to one thread at a time. The file system must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/kv_part.h"
#include "engram/error.h"
#include "ports/file_system.h"
#include "registry/registry.h"
#include "store/checksum.h"

namespace engram {

// What an agent file holds besides its parts.
struct AgentFileContent {
    AgentRow agent;          // n_tokens and n_messages must be those of the vectors below
    std::string written_by;  // the program and its version, for people
    std::vector<MessageRow> messages;
    std::vector<Token> tokens;
    std::optional<Manifest> manifest;  // none: the agent has no KV, and the file no parts
};

struct AgentFilePart {
    SegmentIdentity segment;  // its fingerprint is the manifest's
    PartKind kind = PartKind::attention;
    Position part_first_position = 0;
    std::uint32_t part_rows = 0;
    std::vector<std::byte> section;  // the part's whole section
    std::size_t file_offset = 0;     // where in it the part's file begins

    std::span<const std::byte> file() const { return std::span(section).subspan(file_offset); }
};

class AgentFileWriter {
  public:
    // Writes everything but the parts. `path` may exist: finish() replaces it. io, invalid_argument (counts that don't agree, a
    // manifest that can't be stored, sections beyond the format's limits).
    static Result<AgentFileWriter> create(FileSystem &files, const std::filesystem::path &path, const AgentFileContent &content);
    ~AgentFileWriter();
    AgentFileWriter(AgentFileWriter &&other) noexcept;
    AgentFileWriter &operator=(AgentFileWriter &&) = delete;

    // io; invalid_argument when the content had no manifest, or the segment is of another fingerprint or too long.
    Result<void> part(const SegmentIdentity &segment, PartKind kind, Position part_first_position, std::uint32_t part_rows,
                      std::span<const std::byte> file);
    Result<void> finish();  // io; nothing may be called after it

  private:
    AgentFileWriter(FileSystem &files, std::filesystem::path path, const std::optional<Manifest> &manifest);
    Result<void> write_content(const AgentFileContent &content);
    Result<void> section(std::uint32_t kind, std::span<const std::span<const std::byte>> pieces);

    FileSystem *files_;
    std::filesystem::path path_;
    std::filesystem::path temporary_;  // empty once renamed or moved from
    std::unique_ptr<WritableFile> file_;
    std::optional<Fingerprint> fingerprint_;  // of the manifest
    std::uint32_t block_tokens_ = 0;          // of the manifest
    ChecksumStream all_;                      // over the checksums of the sections so far
    std::uint64_t sections_ = 0;
};

class AgentFileReader {
  public:
    // not_found, io, corrupt, incompatible (a newer version of the format).
    static Result<AgentFileReader> open(FileSystem &files, const std::filesystem::path &path);

    const AgentFileContent &content() const { return content_; }
    // The next part; nullopt when the end was reached and the whole file verified. io, corrupt; an error stays: later calls
    // repeat it.
    Result<std::optional<AgentFilePart>> next_part();

  private:
    struct Section {
        std::uint32_t kind = 0;
        std::vector<std::byte> payload;
    };
    explicit AgentFileReader(std::filesystem::path path) : path_(std::move(path)) {}
    Result<void> read_content();
    Result<void> read_exactly(std::uint64_t offset, std::span<std::byte> bytes);
    Result<std::optional<AgentFilePart>> read_part();
    Result<Section> next_section();
    Result<Section> section_of_kind(std::uint32_t kind);
    Result<AgentFilePart> part_of(std::vector<std::byte> payload) const;
    Result<void> check_end(std::span<const std::byte> payload, std::uint64_t sections, const Checksum128 &all) const;
    Error damage(std::string_view what) const;

    std::filesystem::path path_;
    std::unique_ptr<ReadableFile> file_;
    std::uint64_t offset_ = 0;  // of the next section
    AgentFileContent content_;
    ChecksumStream all_;  // over the checksums of the sections so far
    std::uint64_t sections_ = 0;
    bool ended_ = false;
    std::optional<Error> failure_;  // of next_part
};

}  // namespace engram
