#include "agents/agent_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <format>

#include "agents/agent_file_format.h"
#include "agents/agent_file_samples.h"
#include "core/testing/test_seed.h"
#include "ports/testing/fault_file_system.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram {
namespace {

template <typename T>
std::string why(const Result<T> &result) {
    return result ? "" : std::string(error_code_name(result.error().code)) + ": " + result.error().message;
}

template <typename T>
ErrorCode code_of(const Result<T> &result) {
    EXPECT_FALSE(result) << "an error was expected";
    return result ? ErrorCode::internal : result.error().code;
}

// With messages, tokens, a manifest and two parts or more.
SampleAgent full_sample() {
    for (std::uint64_t seed = 1;; ++seed) {
        std::mt19937_64 random(seed);
        SampleAgent sample = sample_agent(random);
        if (sample.parts.size() >= 2 && sample.content.messages.size() >= 2 && !sample.content.tokens.empty()) return sample;
    }
}

// Where the sections begin, and the file's end.
std::vector<std::size_t> sections_of(const Bytes &bytes) {
    std::vector<std::size_t> starts;
    std::size_t at = agent_file::kMagic.size();
    while (at < bytes.size()) {
        starts.push_back(at);
        std::uint64_t length = 0;
        std::memcpy(&length, bytes.data() + at + 8, sizeof length);
        at += 16 + length + 16;
    }
    EXPECT_EQ(at, bytes.size());
    starts.push_back(at);
    return starts;
}

template <typename T>
void put(Bytes &bytes, std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

TEST(AgentFile, RoundTrips) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 200; ++i) {
        const SampleAgent sample = sample_agent(random);
        const Bytes bytes = bytes_of_sample(sample);
        const auto read = read_sample(bytes);
        ASSERT_TRUE(read) << why(read);
        EXPECT_TRUE(same(*read, sample)) << i;
    }
}

TEST(AgentFile, ADocumentedLayout) {  // what docs/EXPORT_FORMAT.md says, byte by byte
    const SampleAgent sample = full_sample();
    const Bytes bytes = bytes_of_sample(sample);
    EXPECT_EQ(std::memcmp(bytes.data(), "ENGRAMA1", 8), 0);
    const auto starts = sections_of(bytes);
    std::vector<std::uint32_t> kinds;
    Bytes sums;
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
        std::uint32_t kind = 0, reserved = 1;
        std::memcpy(&kind, bytes.data() + starts[i], 4);
        std::memcpy(&reserved, bytes.data() + starts[i] + 4, 4);
        EXPECT_EQ(reserved, 0U);
        kinds.push_back(kind);
        if (i + 2 < starts.size()) sums.insert(sums.end(), bytes.begin() + starts[i + 1] - 16, bytes.begin() + starts[i + 1]);
    }
    std::vector<std::uint32_t> expected{1, 2, 3, 4};
    expected.insert(expected.end(), sample.parts.size(), 5);
    expected.push_back(0xFFFFFFFF);
    EXPECT_EQ(kinds, expected);
    const std::size_t end = starts[starts.size() - 2] + 16;
    std::uint64_t count = 0;
    std::memcpy(&count, bytes.data() + end, 8);
    EXPECT_EQ(count, kinds.size() - 1);
    ChecksumStream all;
    all.add(sums);
    std::string hex;
    for (std::size_t i = 0; i < 16; ++i) hex += std::format("{:02x}", std::to_integer<int>(bytes[end + 8 + i]));
    EXPECT_EQ(hex, all.value().hex());
    // The first part's own bytes.
    const std::byte *part = bytes.data() + starts[4] + 16;
    const AgentFilePart &first = sample.parts[0];
    EXPECT_EQ(std::to_integer<int>(part[0]), static_cast<int>(first.kind));
    EXPECT_EQ(std::memcmp(part + 4, first.segment.id.bytes.data(), 32), 0);
    EXPECT_EQ(std::memcmp(part + 36, first.segment.parent.bytes.data(), 32), 0);
    const std::size_t n_tokens = first.segment.tokens.size();
    EXPECT_EQ(std::to_integer<std::size_t>(part[72]), n_tokens);
    EXPECT_EQ(std::memcmp(part + 76, first.segment.tokens.data(), 4 * n_tokens), 0);
    EXPECT_EQ(std::memcmp(part + 76 + 4 * n_tokens + 8, first.file().data(), first.file().size()), 0);
}

TEST(AgentFile, AnyCutIsCorrupt) {
    const Bytes bytes = bytes_of_sample(full_sample());
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        ASSERT_EQ(code_of(read_sample(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)))), ErrorCode::corrupt)
            << n;
    }
    Bytes longer = bytes;
    longer.push_back({});
    EXPECT_EQ(code_of(read_sample(longer)), ErrorCode::corrupt);
    longer.insert(longer.end(), bytes.begin() + 8, bytes.end());
    EXPECT_EQ(code_of(read_sample(longer)), ErrorCode::corrupt);
}

TEST(AgentFile, AnyFlippedBitIsCorrupt) {
    Bytes bytes = bytes_of_sample(full_sample());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            bytes[i] ^= std::byte{1} << bit;
            ASSERT_EQ(code_of(read_sample(bytes)), ErrorCode::corrupt) << "byte " << i << " bit " << bit;
            bytes[i] ^= std::byte{1} << bit;
        }
    }
    EXPECT_TRUE(read_sample(bytes));
}

TEST(AgentFile, SectionsLeftOutDoubledOrExchanged) {
    const Bytes bytes = bytes_of_sample(full_sample());
    const auto starts = sections_of(bytes);
    const auto section = [&](std::size_t i) { return Bytes(bytes.begin() + starts[i], bytes.begin() + starts[i + 1]); };
    const std::size_t n = starts.size() - 1;
    const auto joined = [&](const std::vector<std::size_t> &order) {
        Bytes all(bytes.begin(), bytes.begin() + 8);
        for (const std::size_t i : order) std::ranges::copy(section(i), std::back_inserter(all));
        return all;
    };
    std::vector<std::size_t> order(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = i;
    ASSERT_TRUE(read_sample(joined(order)));
    for (std::size_t i = 0; i < n; ++i) {
        auto without = order, doubled = order;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
        doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), i);
        EXPECT_EQ(code_of(read_sample(joined(without))), ErrorCode::corrupt) << i;
        EXPECT_EQ(code_of(read_sample(joined(doubled))), ErrorCode::corrupt) << i;
        if (i + 1 == n) continue;
        auto exchanged = order;
        std::swap(exchanged[i], exchanged[i + 1]);
        EXPECT_EQ(code_of(read_sample(joined(exchanged))), ErrorCode::corrupt) << i;
    }
}

TEST(AgentFile, AbsurdValuesWithRightChecksums) {
    const Bytes bytes = bytes_of_sample(full_sample());
    const auto starts = sections_of(bytes);
    const auto with = [&](std::size_t at, auto value) {
        Bytes changed = bytes;
        put(changed, at, value);
        reseal(changed);
        return code_of(read_sample(changed));
    };
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
        for (const std::uint64_t length :
             {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32, UINT64_MAX, UINT64_MAX - 31}) {
            EXPECT_EQ(with(starts[i] + 8, length), ErrorCode::corrupt) << i << " " << length;
        }
        EXPECT_EQ(with(starts[i], std::uint32_t{6}), ErrorCode::corrupt) << i;
        EXPECT_EQ(with(starts[i] + 4, std::uint32_t{1}), ErrorCode::corrupt) << i;
    }
    const std::size_t part = starts[4] + 16;
    EXPECT_EQ(with(part, std::uint32_t{3}), ErrorCode::corrupt);       // kind
    EXPECT_EQ(with(part + 68, std::int32_t{-1}), ErrorCode::corrupt);  // segment's first position
    EXPECT_EQ(with(part + 72, std::uint32_t{0}), ErrorCode::corrupt);  // tokens
    EXPECT_EQ(with(part + 72, UINT32_MAX), ErrorCode::corrupt);
    EXPECT_EQ(with(starts[3] + 16 + 4, std::uint32_t{0x01010101}), ErrorCode::corrupt);  // another fingerprint than the header's
}

TEST(AgentFile, ANewerFormatIsIncompatible) {
    Bytes bytes = bytes_of_sample(full_sample());
    const std::string_view member = "\"format\":1";
    const auto found = std::ranges::search(bytes, std::as_bytes(std::span(member)));
    ASSERT_FALSE(found.empty());
    *(found.end() - 1) = std::byte{'2'};
    reseal(bytes);
    EXPECT_EQ(code_of(read_sample(bytes)), ErrorCode::incompatible);
}

TEST(AgentFile, AnErrorStays) {
    Bytes bytes = bytes_of_sample(full_sample());
    const auto starts = sections_of(bytes);
    put(bytes, starts[4] + 16, std::uint32_t{3});
    reseal(bytes);
    MemoryFiles files;
    files.files.emplace("/agent", std::make_shared<Bytes>(bytes));
    auto reader = AgentFileReader::open(files, "/agent");
    ASSERT_TRUE(reader) << why(reader);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(code_of(reader->next_part()), ErrorCode::corrupt);
}

TEST(AgentFile, Mutations) {
    std::mt19937_64 random(test_seed());
    Bytes whole;
    for (int i = 0; i < 20'000; ++i) {
        if (i % 100 == 0) whole = bytes_of_sample(sample_agent(random));
        Bytes bytes = whole;
        for (auto n = random() % 4; n > 0; --n) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 50));
        if (random() % 4 == 0 && bytes.size() > 8) put(bytes, random() % (bytes.size() - 7), random() % 1000);
        if (bytes != whole) {
            ASSERT_EQ(code_of(read_sample(bytes)), ErrorCode::corrupt) << "mutation " << i;
        }
        EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(bytes.data()), bytes.size()), 0);
    }
}

TEST(AgentFile, RefusesWhatDoesNotBelongTogether) {
    MemoryFiles files;
    SampleAgent sample = full_sample();
    auto miscounted = sample.content;
    ++miscounted.agent.n_tokens;
    EXPECT_EQ(code_of(AgentFileWriter::create(files, "/agent", miscounted)), ErrorCode::invalid_argument);
    auto too_much = sample.content;
    too_much.manifest->n_kv = too_much.tokens.size() + 1;
    EXPECT_EQ(code_of(AgentFileWriter::create(files, "/agent", too_much)), ErrorCode::invalid_argument);

    auto foreign = sample;
    foreign.parts[0].segment.fingerprint.bytes[0] ^= 1;
    EXPECT_EQ(code_of(write_sample(files, "/agent", foreign)), ErrorCode::invalid_argument);
    auto long_segment = sample;
    long_segment.parts[0].segment.tokens.resize(33);
    EXPECT_EQ(code_of(write_sample(files, "/agent", long_segment)), ErrorCode::invalid_argument);
    auto without_manifest = sample;
    without_manifest.content.manifest.reset();
    EXPECT_EQ(code_of(write_sample(files, "/agent", without_manifest)), ErrorCode::invalid_argument);
    EXPECT_TRUE(files.files.empty());  // no temporary file stays
}

class AgentFileOnDiskTest : public ::testing::Test {
  public:
    AgentFileOnDiskTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "engram_agent_file.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~AgentFileOnDiskTest() override { std::filesystem::remove_all(folder_); }

  protected:
    std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const auto &entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename());
        return names;
    }

    std::filesystem::path folder_;
};

TEST_F(AgentFileOnDiskTest, WritesAndReplaces) {
    const auto path = folder_ / "a.engram";
    std::mt19937_64 random(3);
    for (int i = 0; i < 3; ++i) {
        const SampleAgent sample = sample_agent(random);
        const auto written = write_sample(posix_file_system(), path, sample);
        ASSERT_TRUE(written) << why(written);
        const auto read = read_sample(posix_file_system(), path);
        ASSERT_TRUE(read) << why(read);
        EXPECT_TRUE(same(*read, sample));
        EXPECT_EQ(names(), std::vector<std::string>{"a.engram"});
    }
    EXPECT_EQ(std::filesystem::status(path).permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    EXPECT_EQ(code_of(read_sample(posix_file_system(), folder_ / "none")), ErrorCode::not_found);
}

TEST_F(AgentFileOnDiskTest, AFailedExportLeavesWhatWasThere) {
    const auto path = folder_ / "a.engram";
    std::mt19937_64 random(4);
    const SampleAgent old = sample_agent(random);
    const SampleAgent sample = full_sample();
    ASSERT_TRUE(write_sample(posix_file_system(), path, old));
    std::uint64_t step = 1;
    for (;; ++step) {
        testing::FaultFileSystem files(folder_);
        files.fail_at(step);
        const auto written = write_sample(files, path, sample);
        if (written) break;
        EXPECT_EQ(code_of(written), ErrorCode::io);
        EXPECT_EQ(names(), std::vector<std::string>{"a.engram"}) << step;
        const auto read = read_sample(posix_file_system(), path);
        ASSERT_TRUE(read) << why(read);
        EXPECT_TRUE(same(*read, old) || same(*read, sample)) << step;  // the new one where only the folder's sync failed
    }
    EXPECT_GT(step, 9U);
}

TEST_F(AgentFileOnDiskTest, APowerCutLeavesOneOrTheOther) {
    const auto path = folder_ / "a.engram";
    std::mt19937_64 random(5);
    SampleAgent old = sample_agent(random);
    ASSERT_TRUE(write_sample(posix_file_system(), path, old));
    const SampleAgent sample = full_sample();
    bool finished = false;
    for (std::uint64_t step = 1; !finished; ++step) {
        for (const auto kind : {testing::PowerCut::drop_unsynced, testing::PowerCut::keep_names}) {
            testing::FaultFileSystem files(folder_);
            files.stop_at(step);
            finished = write_sample(files, path, sample).has_value();
            files.cut_power(kind);
            const auto read = read_sample(posix_file_system(), path);
            ASSERT_TRUE(read) << why(read) << " after step " << step;
            EXPECT_TRUE(same(*read, sample) || (!finished && same(*read, old))) << step;
        }
    }
}

}  // namespace
}  // namespace engram
