#include "agents/agent_file_samples.h"

#include <algorithm>
#include <cstring>

#include "agents/agent_file_format.h"

namespace engram {
namespace {

class MemoryWritable final : public WritableFile {
  public:
    explicit MemoryWritable(std::shared_ptr<Bytes> bytes) : bytes_(std::move(bytes)) {}
    Result<void> write(std::span<const iovec> pieces) override {
        for (const iovec &piece : pieces) {
            const auto *data = static_cast<const std::byte *>(piece.iov_base);
            bytes_->insert(bytes_->end(), data, data + piece.iov_len);
        }
        return {};
    }
    Result<void> sync() override { return {}; }

  private:
    std::shared_ptr<Bytes> bytes_;
};

class MemoryReadable final : public ReadableFile {
  public:
    explicit MemoryReadable(std::shared_ptr<Bytes> bytes) : bytes_(std::move(bytes)) {}
    std::uint64_t size() const override { return bytes_->size(); }
    Result<void> read(std::uint64_t offset, std::span<const iovec> pieces) override {
        for (const iovec &piece : pieces) {
            if (offset > bytes_->size() || piece.iov_len > bytes_->size() - offset)
                return fail(ErrorCode::corrupt, "the file ends");
            if (piece.iov_len > 0) std::memcpy(piece.iov_base, bytes_->data() + offset, piece.iov_len);
            offset += piece.iov_len;
        }
        return {};
    }

  private:
    std::shared_ptr<Bytes> bytes_;
};

std::unexpected<Error> not_here() { return fail(ErrorCode::unsupported, "files in memory have no folders"); }

std::string random_text(std::mt19937_64 &random, bool any_bytes) {
    std::string text(random() % 40, ' ');
    std::ranges::generate(text, [&] { return static_cast<char>(any_bytes ? random() : 'a' + random() % 26); });
    return text;
}

template <typename T>
void randomise(std::mt19937_64 &random, T &digest) {
    std::ranges::generate(digest.bytes, [&] { return static_cast<std::uint8_t>(random()); });
}

}  // namespace

Result<std::unique_ptr<WritableFile>> MemoryFiles::create(const std::filesystem::path &path) {
    const auto [file, made] = files.emplace(path, std::make_shared<Bytes>());
    if (!made) return fail(ErrorCode::io, "the file exists");
    return std::make_unique<MemoryWritable>(file->second);
}

Result<std::unique_ptr<ReadableFile>> MemoryFiles::open(const std::filesystem::path &path) {
    const auto file = files.find(path);
    if (file == files.end()) return fail(ErrorCode::not_found, "no such file");
    return std::make_unique<MemoryReadable>(file->second);
}

Result<void> MemoryFiles::rename(const std::filesystem::path &from, const std::filesystem::path &to) {
    auto node = files.extract(from);
    if (node.empty()) return fail(ErrorCode::not_found, "no such file");
    files[to] = node.mapped();
    return {};
}

Result<void> MemoryFiles::remove(const std::filesystem::path &path) {
    if (files.erase(path) == 0) return fail(ErrorCode::not_found, "no such file");
    return {};
}

Result<void> MemoryFiles::make_directories(const std::filesystem::path &) { return not_here(); }
Result<void> MemoryFiles::sync_directory(const std::filesystem::path &) { return {}; }
Result<std::vector<DirectoryEntry>> MemoryFiles::list(const std::filesystem::path &) { return not_here(); }
Result<std::uint64_t> MemoryFiles::free_bytes(const std::filesystem::path &) { return not_here(); }

SampleAgent sample_agent(std::mt19937_64 &random) {
    SampleAgent sample;
    AgentRow &row = sample.content.agent;
    row.key = {.tenant = "default", .id = "analyst"};
    row.system_prompt = random_text(random, true);
    row.description = random_text(random, false);
    row.tools = random_text(random, random() % 2 == 0);
    row.card = random_text(random, random() % 2 == 0);
    row.model = "tiny";
    row.created_ms = -5;
    row.updated_ms = 1'700'000'000'000;
    row.last_used_ms = INT64_MAX;
    row.pinned = random() % 2 == 0;
    row.n_turns = 3;
    sample.content.written_by = "engram test";
    for (auto n = random() % 4; n > 0; --n) {
        sample.content.messages.push_back({"user", random_text(random, n % 2 == 0), static_cast<std::int64_t>(random() % 1000),
                                           random_text(random, n % 2 == 1)});
    }
    sample.content.tokens.resize(random() % 100);
    std::ranges::generate(sample.content.tokens, [&] { return static_cast<Token>(random()); });
    row.n_tokens = sample.content.tokens.size();
    row.n_messages = sample.content.messages.size();
    if (random() % 4 == 0) return sample;  // without KV

    Manifest manifest{.block_tokens = 32, .n_kv = random() % (row.n_tokens + 1)};
    randomise(random, manifest.fingerprint);
    for (auto n = random() % 4; n > 0; --n) {
        AgentFilePart part;
        randomise(random, part.segment.id);
        randomise(random, part.segment.parent);
        part.segment.fingerprint = manifest.fingerprint;
        part.segment.first_position = static_cast<Position>(random() % 1000);
        part.segment.tokens.resize(1 + random() % 32);
        std::ranges::generate(part.segment.tokens, [&] { return static_cast<Token>(random()); });
        part.kind = static_cast<PartKind>(random() % kPartKinds);
        part.part_first_position = part.segment.first_position;
        part.part_rows = static_cast<std::uint32_t>(random() % 33);
        part.section.resize(random() % 60);  // here: the part's file
        std::ranges::generate(part.section, [&] { return static_cast<std::byte>(random()); });
        manifest.parts.push_back(
            {.kind = part.kind, .id = part.segment.id, .first_position = part.part_first_position, .rows = part.part_rows});
        sample.parts.push_back(std::move(part));
    }
    sample.content.manifest = std::move(manifest);
    return sample;
}

Result<void> write_sample(FileSystem &files, const std::filesystem::path &path, const SampleAgent &agent) {
    ENGRAM_ASSIGN(auto writer, AgentFileWriter::create(files, path, agent.content));
    for (const AgentFilePart &part : agent.parts) {
        ENGRAM_TRY(writer.part(part.segment, part.kind, part.part_first_position, part.part_rows, part.file()));
    }
    return writer.finish();
}

Bytes bytes_of_sample(const SampleAgent &agent) {
    MemoryFiles files;
    const auto written = write_sample(files, "/agent", agent);
    return written ? *files.files.at("/agent") : Bytes{};
}

Result<SampleAgent> read_sample(FileSystem &files, const std::filesystem::path &path) {
    ENGRAM_ASSIGN(auto reader, AgentFileReader::open(files, path));
    SampleAgent sample{.content = reader.content()};
    for (;;) {
        ENGRAM_ASSIGN(auto part, reader.next_part());
        if (!part) return sample;
        sample.parts.push_back(*std::move(part));
    }
}

Result<SampleAgent> read_sample(const Bytes &bytes) {
    MemoryFiles files;
    files.files.emplace("/agent", std::make_shared<Bytes>(bytes));
    return read_sample(files, "/agent");
}

bool same(const SampleAgent &a, const SampleAgent &b) {
    const auto same_row = [](const AgentRow &x, const AgentRow &y) {
        return x.key == y.key && x.system_prompt == y.system_prompt && x.description == y.description &&
               x.created_ms == y.created_ms && x.updated_ms == y.updated_ms && x.last_used_ms == y.last_used_ms &&
               x.pinned == y.pinned && x.n_tokens == y.n_tokens && x.n_messages == y.n_messages && x.n_turns == y.n_turns &&
               x.model == y.model && x.vocabulary == y.vocabulary && x.forked_from == y.forked_from && x.tools == y.tools;
    };
    const auto same_message = [](const MessageRow &x, const MessageRow &y) {
        return x.role == y.role && x.content == y.content && x.created_ms == y.created_ms && x.tool_calls == y.tool_calls;
    };
    const auto same_entry = [](const ManifestPart &x, const ManifestPart &y) {
        return x.kind == y.kind && x.id == y.id && x.first_position == y.first_position && x.rows == y.rows;
    };
    const auto same_manifest = [&](const std::optional<Manifest> &x, const std::optional<Manifest> &y) {
        if (!x || !y) return !x && !y;
        return x->fingerprint == y->fingerprint && x->block_tokens == y->block_tokens && x->n_kv == y->n_kv &&
               std::ranges::equal(x->parts, y->parts, same_entry);
    };
    const auto same_part = [](const AgentFilePart &x, const AgentFilePart &y) {
        return x.kind == y.kind && x.segment.id == y.segment.id && x.segment.parent == y.segment.parent &&
               x.segment.fingerprint == y.segment.fingerprint && x.segment.first_position == y.segment.first_position &&
               x.segment.tokens == y.segment.tokens && x.part_first_position == y.part_first_position &&
               x.part_rows == y.part_rows && std::ranges::equal(x.file(), y.file());
    };
    return same_row(a.content.agent, b.content.agent) && a.content.written_by == b.content.written_by &&
           std::ranges::equal(a.content.messages, b.content.messages, same_message) && a.content.tokens == b.content.tokens &&
           same_manifest(a.content.manifest, b.content.manifest) && std::ranges::equal(a.parts, b.parts, same_part);
}

void reseal(Bytes &bytes) {
    using namespace agent_file;
    ChecksumStream all;
    EndPayload end;
    for (std::size_t at = kMagic.size(); at + sizeof(SectionHead) + kChecksumBytes <= bytes.size(); ++end.sections) {
        SectionHead head;
        std::memcpy(&head, bytes.data() + at, sizeof head);
        if (head.length > bytes.size() - at - sizeof head - kChecksumBytes) return;
        if (head.kind == kEnd && head.length == sizeof end) {
            end.all = agent_file::bytes_of(all.value());
            std::memcpy(bytes.data() + at + sizeof head, &end, sizeof end);
        }
        ChecksumStream own;
        own.add(std::span(bytes).subspan(at, sizeof head + head.length));
        const auto sum = agent_file::bytes_of(own.value());
        std::ranges::copy(sum, bytes.begin() + static_cast<std::ptrdiff_t>(at + sizeof head + head.length));
        all.add(sum);
        at += sizeof head + head.length + kChecksumBytes;
    }
}

}  // namespace engram
