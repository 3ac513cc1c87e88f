// What the tests of agent files share: files in memory, a sample agent, and checksums put right after a change.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "agents/agent_file.h"

namespace engram {

using Bytes = std::vector<std::byte>;

// Files in a map; what the reader and writer don't use fails.
class MemoryFiles final : public FileSystem {
  public:
    std::map<std::filesystem::path, std::shared_ptr<Bytes>> files;

    Result<std::unique_ptr<WritableFile>> create(const std::filesystem::path &path) override;
    Result<std::unique_ptr<ReadableFile>> open(const std::filesystem::path &path) override;
    Result<void> rename(const std::filesystem::path &from, const std::filesystem::path &to) override;
    Result<void> remove(const std::filesystem::path &path) override;
    Result<void> make_directories(const std::filesystem::path &path) override;
    Result<void> sync_directory(const std::filesystem::path &path) override;
    Result<std::vector<DirectoryEntry>> list(const std::filesystem::path &path) override;
    Result<std::uint64_t> free_bytes(const std::filesystem::path &path) override;
};

struct SampleAgent {
    AgentFileContent content;
    std::vector<AgentFilePart> parts;
};

SampleAgent sample_agent(std::mt19937_64 &random);
Result<void> write_sample(FileSystem &files, const std::filesystem::path &path, const SampleAgent &agent);
Bytes bytes_of_sample(const SampleAgent &agent);
// Everything in the file, when all of it can be read.
Result<SampleAgent> read_sample(FileSystem &files, const std::filesystem::path &path);
Result<SampleAgent> read_sample(const Bytes &bytes);
bool same(const SampleAgent &a, const SampleAgent &b);

// Makes all checksums right again as far as the sections can be followed, so that a change reaches what lies behind them.
void reseal(Bytes &bytes);

}  // namespace engram
