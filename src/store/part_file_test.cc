// The format: what is written, what is refused, and that others can read it.
#include "store/part_file.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <format>
#include <fstream>
#include <random>
#include <sstream>

#include "store/part_io.h"
#include "store/testing/samples.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram {
namespace {

using namespace testing;

std::vector<std::byte> file_of(const PutRequest &put) {
    const Result<EncodedPart> part = encode_part(put, std::nullopt, nullptr);
    EXPECT_TRUE(part.has_value()) << part.error().message;
    std::vector<std::byte> bytes;
    for (const iovec &piece : part->pieces) {
        const auto *start = static_cast<const std::byte *>(piece.iov_base);
        bytes.insert(bytes.end(), start, start + piece.iov_len);
    }
    EXPECT_EQ(bytes.size(), part->bytes);
    return bytes;
}

std::vector<std::byte> sample_file(const Shape &shape = {}) {
    return file_of(sample_put(sample_chain(3, 32)[0], "default/a", shape));
}

std::string json_of(std::span<const std::byte> file) {
    const std::size_t end = *part_header_bytes(file, file.size());
    return {reinterpret_cast<const char *>(file.data()) + kPartLengthBytes, end - kPartLengthBytes};
}

// A file with this JSON before the payload of `file`, with the right length, padding and checksum.
std::vector<std::byte> with_json(std::span<const std::byte> file, std::string json) {
    const std::size_t payload = *part_header_bytes(file, file.size());
    json.append((8 - json.size() % 8) % 8, ' ');
    const std::uint64_t length = json.size();
    std::string header(kPartLengthBytes, '\0');
    std::memcpy(header.data(), &length, sizeof length);
    header += json;
    seal_part_header(header);
    std::vector<std::byte> bytes(header.size());
    std::memcpy(bytes.data(), header.data(), header.size());
    bytes.insert(bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(payload), file.end());
    return bytes;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(PartFile, ParsesWhatItEncodes) {
    const PutRequest put = sample_put(sample_chain(3, 40)[1], "default/a", {.type = KvType::q8_0});
    const auto file = file_of(put);
    const auto header = verify_part_bytes(file);
    ASSERT_TRUE(header.has_value()) << header.error().message;
    EXPECT_TRUE(match_part(*header, put.segment, PartKind::attention).has_value());
    EXPECT_TRUE(match_rows(*header, 32, 8).has_value());
    EXPECT_TRUE(match_chain(*header).has_value());
    ASSERT_EQ(header->layout.tensors.size(), put.image.layout->tensors.size());
    for (std::size_t i = 0; i < header->layout.tensors.size(); ++i) {
        const PartTensor &stored = header->layout.tensors[i];
        EXPECT_EQ(stored.name, put.image.layout->tensors[i].name);
        EXPECT_EQ(stored.heads, put.image.layout->tensors[i].heads);
        const auto rows = put.image.tensor(i);
        EXPECT_EQ(std::memcmp(file.data() + header->header_bytes + stored.offset, rows.data(), rows.size()), 0);
    }
    EXPECT_EQ(header->header_bytes % 8, 0U);
}

TEST(PartFile, MatchesNothingElse) {
    const SegmentIdentity segment = sample_chain(3, 64)[1];
    const auto header = verify_part_bytes(file_of(sample_put(segment, "default/a")));
    ASSERT_TRUE(header.has_value());
    const auto mismatch = [&](auto &&change) {
        SegmentIdentity other = segment;
        change(other);
        const Result<void> result = match_part(*header, other, PartKind::attention);
        return !result.has_value() && result.error().code == ErrorCode::corrupt;
    };
    EXPECT_TRUE(mismatch([](SegmentIdentity &s) { s.id.bytes[31] ^= 1; }));
    EXPECT_TRUE(mismatch([](SegmentIdentity &s) { s.parent.bytes[0] ^= 1; }));
    EXPECT_TRUE(mismatch([](SegmentIdentity &s) { s.fingerprint.bytes[0] ^= 1; }));
    EXPECT_TRUE(mismatch([](SegmentIdentity &s) { ++s.first_position; }));
    EXPECT_TRUE(mismatch([](SegmentIdentity &s) { ++s.tokens.back(); }));
    EXPECT_TRUE(mismatch([](SegmentIdentity &s) { s.tokens.pop_back(); }));
    EXPECT_FALSE(match_part(*header, segment, PartKind::window).has_value());
    EXPECT_FALSE(match_rows(*header, 33, 32).has_value());
    EXPECT_FALSE(match_rows(*header, 32, 31).has_value());
}

TEST(PartFile, DetectsEveryFlippedBit) {
    const auto file = sample_file({.rows = 1, .layers = 1, .heads = 1, .head_dim = 32});
    ASSERT_TRUE(verify_part_bytes(file).has_value());
    const std::size_t header = *part_header_bytes(file, file.size());
    for (std::size_t bit = 0; bit < file.size() * 8; bit += bit < header * 8 ? 1 : 7) {
        auto damaged = file;
        damaged[bit / 8] ^= std::byte{1} << bit % 8;
        const auto result = verify_part_bytes(damaged);
        ASSERT_FALSE(result.has_value()) << "bit " << bit;
        ASSERT_EQ(result.error().code, ErrorCode::corrupt);
    }
}

TEST(PartFile, DetectsEveryTruncationAndAppendedBytes) {
    const auto file = sample_file({.rows = 1, .layers = 1, .heads = 1, .head_dim = 32});
    for (std::size_t size = 0; size < file.size(); ++size) {
        EXPECT_FALSE(verify_part_bytes(std::span(file).first(size)).has_value()) << size;
    }
    auto longer = file;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(verify_part_bytes(longer).has_value());
}

TEST(PartFile, RefusesAbsurdLengthsWithoutReadingThatFar) {
    const auto file = sample_file();
    const std::uint64_t good = *part_header_bytes(file, file.size()) - kPartLengthBytes;
    for (const std::uint64_t length :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{8}, good - 8, good + 8, file.size() + 1, file.size(),
          std::uint64_t{1} << 20, std::uint64_t{1} << 32, std::uint64_t{1} << 63, ~std::uint64_t{0}, ~std::uint64_t{7}}) {
        auto damaged = file;
        std::memcpy(damaged.data(), &length, sizeof length);
        const auto result = parse_part_header(damaged, damaged.size());
        ASSERT_FALSE(result.has_value()) << length;
        EXPECT_EQ(result.error().code, ErrorCode::corrupt);
    }
}

TEST(PartFile, RefusesHeadersThatTheChecksumCannotJudge) {
    const auto file = sample_file();
    const std::string json = json_of(file);
    ASSERT_TRUE(verify_part_bytes(with_json(file, json)).has_value()) << "the tool of this test works";
    const std::string id = sample_chain(3, 32)[0].id.hex();
    const std::string twice = "\"kind\":\"attention\",\"kind\":\"attention\"";
    const std::string first = R"("attn.0.k":{"dtype":"F16","shape":[32,2,32],"data_offsets":[0,4096]})";
    for (const auto &[from, to] : std::vector<std::pair<std::string, std::string>>{
             {"\"kind\":\"attention\"", twice},
             {"\"kind\":\"attention\"", "\"kind\":\"attention\",\"more\":\"x\""},
             {"\"kind\":\"attention\",", ""},
             {"\"kind\":\"attention\"", "\"kind\":\"attentive\""},
             {"\"kind\":\"attention\"", "\"kind\":{}"},
             {"\"kind\":\"attention\"", "\"kind\":1"},
             {"engram-part", "engram-cart"},
             {"\"format_version\":\"1\"", "\"format_version\":\"2\""},
             {"\"part_rows\":\"32\"", "\"part_rows\":\"31\""},
             {"\"part_rows\":\"32\"", "\"part_rows\":\"99999999999\""},
             {"\"part_rows\":\"32\"", "\"part_rows\":\"-1\""},
             {"\"part_rows\":\"32\"", "\"part_rows\":\"32 \""},
             {id, id.substr(1)},
             {"\"tokens\":\"[", "\"tokens\":\""},
             {"\"tokens\":\"[", "\"tokens\":\"[,"},
             {"\"tokens\":\"[3000", "\"tokens\":\"[99999999999999999999"},
             {"\"tokens\":\"[3000", "\"tokens\":\"[3001"},
             {first, std::string(first).append(",").append(first)},
             {first + ",", ""},
             {"[0,4096]", "[0,4095]"},
             {"[0,4096]", "[8,4104]"},
             {"[0,4096]", "[4096,0]"},
             {"[0,4096]", "[0,18446744073709551615]"},
             {"[0,4096]", "[0,18446744073709551616]"},
             {"[0,4096]", "[0,4096,4096]"},
             {"[0,4096]", "[0]"},
             {"[0,4096]", "[0,-4096]"},
             {"[0,4096]", "[0,4096.0]"},
             {"[0,4096]", "[0,[4096]]"},
             {"[32,2,32]", "[32,64]"},
             {"[32,2,32]", "[32,32,2,1]"},
             {"[32,2,32]", "[32,4,32]"},
             {"[32,2,32]", "[32,4611686018427387904,16]"},
             {"[32,2,32]", "[],\"shape\":[32,2,32]"},
             {"\"F16\"", "\"F32\""},
             {"\"F16\"", "\"I64\""},
             {"\"F16\"", "\"U8\""},
             {"\"F16\"", "null"},
             {"\"F16\"", "\"F16\",\"dtype\":\"F16\""},
             {"\"F16\"", "\"F16\",\"order\":[1]"},
             {"attn.0.k", "attn/0/k"},
             {"attn.0.k", "attn.0.v"},
             {"attn.0.k", "\xFF\xFEtn.0.k"},
             {"}}", "}"},
             {"}}", "}},{}"},
         }) {
        const auto result = verify_part_bytes(with_json(file, replaced(json, from, to)));
        ASSERT_FALSE(result.has_value()) << from << " -> " << to;
        EXPECT_EQ(result.error().code, ErrorCode::corrupt);
    }
    std::string deep = json.substr(0, json.find("\"attn.0.k\"")) + "\"x\":";
    deep.append(200'000, '[');
    EXPECT_FALSE(verify_part_bytes(with_json(file, deep)).has_value());
    EXPECT_FALSE(verify_part_bytes(with_json(file, "[]")).has_value());
}

TEST(PartFile, NamesRoundTripAndNothingElseIsTaken) {
    const PartKey key{.id = sample_chain(1, 32)[0].id, .kind = PartKind::window};
    const std::string name = part_file_name(key);
    EXPECT_EQ(part_key_of_file(name), key);
    EXPECT_TRUE(is_part_temporary(part_temporary_name(key)));
    EXPECT_EQ(part_key_of_file(part_temporary_name(key)), std::nullopt);
    EXPECT_FALSE(is_part_temporary(name));
    std::string upper = name;
    upper[0] = 'A';
    for (const std::string &other :
         {std::string(), std::string(".safetensors"), name + "x", "x" + name, name.substr(1), upper,
          replaced(name, "window", "door"), replaced(name, ".window", ""), replaced(name, ".window", "..window")}) {
        EXPECT_EQ(part_key_of_file(other), std::nullopt) << other;
    }
}

std::string output_of(const std::string &command) {
    std::FILE *pipe = ::popen(command.c_str(), "r");
    std::string output;
    std::array<char, 4096> buffer{};
    while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) output.append(buffer.data(), n);
    EXPECT_EQ(::pclose(pipe), 0) << output;
    return output;
}

TEST(PartFile, OpensInPythonsSafetensors) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "part.safetensors";
    const auto script = folder.path() / "show.py";
    std::ofstream(script) << R"(import sys, hashlib
from safetensors import safe_open
with safe_open(sys.argv[1], framework="np") as part:
    meta = part.metadata()
    print(meta["format"], meta["format_version"], meta["kind"], meta["tokens"])
    for name in sorted(part.keys()):
        piece = part.get_slice(name)
        print(name, piece.get_dtype(), piece.get_shape(), meta.get("type." + name))
        if piece.get_dtype() != "BF16":
            print(hashlib.sha256(part.get_tensor(name).tobytes()).hexdigest())
)";
    const std::string hash_script = "import sys,hashlib;print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())";
    for (const auto &[type, dtype, shape, note] : std::vector<std::tuple<KvType, std::string, std::string, std::string>>{
             {KvType::f16, "F16", "[5, 2, 32]", "None"},
             {KvType::bf16, "BF16", "[5, 2, 32]", "None"},
             {KvType::f32, "F32", "[5, 2, 32]", "None"},
             {KvType::q8_0, "U8", "[5, 68]", "q8_0 [5,2,32]"},
             {KvType::u8, "U8", "[5, 64]", "u8 [5,2,32]"},
         }) {
        SegmentIdentity segment = sample_chain(3, 5)[0];
        const PutRequest put = sample_put(segment, "default/a", {.type = type, .layers = 1});
        write_bytes(path, file_of(put));
        std::string expected = "engram-part 1 attention [3000,3001,3002,3003,3004]\n";
        for (std::size_t i = 0; i < 2; ++i) {
            expected += std::format("{} {} {} {}\n", put.image.layout->tensors[i].name, dtype, shape, note);
            if (type == KvType::bf16) continue;  // numpy has no such type
            write_bytes(folder.path() / "rows", put.image.tensor(i));
            expected += output_of(std::format("{} -c '{}' < {}", ENGRAM_PYTHON, hash_script, (folder.path() / "rows").string()));
        }
        EXPECT_EQ(output_of(std::format("{} {} {}", ENGRAM_PYTHON, script.string(), path.string())), expected);
    }
}

// The fenced block of docs/FORMAT.md that follows `marker`.
std::string documented(const std::string &marker) {
    const auto bytes = read_bytes(ENGRAM_FORMAT_DOCUMENT);
    const std::string text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
    const std::size_t start = text.find('\n', text.find("```", text.find(marker)) + 3) + 1;
    return text.substr(start, text.find("```", start) - start);
}

std::vector<std::byte> bytes_of_hex(const std::string &text) {
    std::vector<std::byte> bytes;
    std::istringstream words(text);
    for (std::string word; words >> word;) bytes.push_back(static_cast<std::byte>(std::stoi(word, nullptr, 16)));
    return bytes;
}

PutRequest documented_part() {
    PutRequest put;
    put.segment.fingerprint = sample_fingerprint();
    put.segment.parent = chain_root("default", put.segment.fingerprint, 32);
    put.segment.tokens = {1, 15043, 3186};
    put.segment.id = chain_next(put.segment.parent, put.segment.tokens);
    auto layout = std::make_shared<PartLayout>();
    layout->rows = 3;
    layout->tensors = {
        {.name = "attn.0.k", .type = KvType::f16, .rows = 3, .heads = 1, .head_dim = 2, .offset = 0, .row_bytes = 4},
        {.name = "attn.0.v", .type = KvType::q8_0, .rows = 3, .heads = 1, .head_dim = 32, .offset = 12, .row_bytes = 34},
    };
    layout->image_bytes = 12 + 3 * 34;
    put.image = {.layout = layout, .first_position = 0, .buffer = std::make_shared<std::byte[]>(layout->image_bytes)};
    for (std::size_t i = 0; i < layout->image_bytes; ++i) put.image.buffer[i] = static_cast<std::byte>(i);
    return put;
}

TEST(FormatDocument, ShowsAFileThatIsWrittenAndReadExactlySo) {
    std::vector<std::byte> file = bytes_of_hex(documented("length field"));
    std::string json = documented("JSON, with line breaks");
    std::erase(json, '\n');
    const auto text = std::as_bytes(std::span(json));
    file.insert(file.end(), text.begin(), text.end());
    while (file.size() % 8 != 0) file.push_back(std::byte{' '});
    const std::vector<std::byte> payload = bytes_of_hex(documented("payload of"));
    file.insert(file.end(), payload.begin(), payload.end());
    const auto header = verify_part_bytes(file);
    ASSERT_TRUE(header.has_value()) << header.error().message;
    EXPECT_EQ(file, file_of(documented_part()));
    // Where the document says that the header's checksum lies.
    std::vector<std::byte> zeroed(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(header->header_bytes));
    std::fill_n(zeroed.begin() + 53, 32, std::byte{'0'});
    ChecksumStream checksum;
    checksum.add(zeroed);
    EXPECT_EQ(checksum.value().hex(), std::string(reinterpret_cast<const char *>(file.data()) + 53, 32));
}

// Cuts, repeats, flips and number changes, most of them where a parser's decisions fall.
void mutate(std::vector<std::uint8_t> &bytes, std::mt19937_64 &random) {
    const auto below = [&](std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random() % n); };
    const std::size_t at = below(bytes.size());
    switch (random() % 6) {
        case 0: bytes[at] ^= static_cast<std::uint8_t>(1U << below(8)); break;
        case 1: bytes[at] = static_cast<std::uint8_t>("{}[]\",:0189-e. "[below(15)]); break;
        case 2:
            bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                        bytes.begin() + static_cast<std::ptrdiff_t>(at + below(std::min<std::size_t>(40, bytes.size() - at))));
            break;
        case 3: {
            const std::vector<std::uint8_t> piece(
                bytes.begin() + static_cast<std::ptrdiff_t>(at),
                bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + 1 + below(60))));
            bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size())), piece.begin(), piece.end());
            break;
        }
        case 4: bytes.resize(below(bytes.size() + 1)); break;
        default: bytes[at] = static_cast<std::uint8_t>(random()); break;
    }
    if (bytes.empty()) bytes.push_back(0);
    // Keep the length field plausible half of the time, or nothing behind it is ever reached.
    if (bytes.size() > kPartLengthBytes && random() % 2 == 0) {
        std::size_t end = bytes.size();
        for (std::size_t i = kPartLengthBytes; i + 2 < bytes.size(); ++i) {
            if (bytes[i] == '}' && bytes[i + 1] == '}') {
                end = (i + 2 + 7) / 8 * 8;
                break;
            }
        }
        const std::uint64_t length = end - kPartLengthBytes;
        std::memcpy(bytes.data(), &length, sizeof length);
    }
}

TEST(PartFile, SurvivesTwentyThousandMutations) {
    std::vector<std::vector<std::uint8_t>> corpus;
    for (const KvType type : {KvType::f16, KvType::q4_0, KvType::u8}) {
        for (const PartKind kind : {PartKind::attention, PartKind::state}) {
            const auto file = file_of(
                sample_put(sample_chain(3, 3)[0], "default/a", {.kind = kind, .type = type, .rows = 1, .layers = 1, .heads = 1}));
            corpus.emplace_back(file.size());
            std::memcpy(corpus.back().data(), file.data(), file.size());
        }
    }
    std::mt19937_64 random(20'000);
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::uint8_t> bytes = corpus[random() % corpus.size()];
        for (std::uint64_t n = 1 + random() % 4; n > 0; --n) mutate(bytes, random);
        ASSERT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
    }
    for (const auto &bytes : corpus) EXPECT_EQ(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()), 0);
}

}  // namespace
}  // namespace engram
