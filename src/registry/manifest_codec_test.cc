#include "registry/manifest_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <format>
#include <random>

#include "core/testing/test_seed.h"
#include "registry/registry_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace engram {
namespace {

void put(std::vector<std::byte> &bytes, std::size_t at, std::uint32_t value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
}

TEST(ManifestCodec, RoundTrip) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 100; ++i) {
        const Manifest manifest = random_manifest(random, random() % 100'000);
        const auto bytes = encode_manifest(manifest);
        ASSERT_TRUE(bytes) << why(bytes);
        EXPECT_EQ(bytes->size(), 52 + 41 * manifest.parts.size());
        EXPECT_EQ(decode_manifest(*bytes).value(), manifest);
    }
}

TEST(ManifestCodec, TheBytesStayWhatTheyAre) {  // files of today must be read tomorrow
    Manifest manifest{.block_tokens = 256, .n_kv = 0x0102, .parts = {{.kind = PartKind::window, .first_position = 3, .rows = 4}}};
    manifest.fingerprint.bytes.fill(0xaa);
    manifest.parts[0].id.bytes.fill(0xbb);
    std::string hex;
    for (const std::byte byte : *encode_manifest(manifest)) hex += std::format("{:02x}", std::to_integer<int>(byte));
    std::string fingerprint, id;
    for (int i = 0; i < 32; ++i) fingerprint += "aa", id += "bb";
    EXPECT_EQ(hex, "01000000" + fingerprint + "00010000" + "0201000000000000" + "01000000" + "01" + id + "03000000" + "04000000");
}

TEST(ManifestCodec, RefusesWhatItCouldNotRead) {
    EXPECT_EQ(code_of(encode_manifest({.block_tokens = 100})), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(encode_manifest({.block_tokens = 256, .n_kv = 1ULL << 31})), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(encode_manifest({.block_tokens = 256, .parts = {{.kind = static_cast<PartKind>(3)}}})),
              ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(encode_manifest({.block_tokens = 256, .parts = {{.first_position = -1}}})), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(encode_manifest({.block_tokens = 256, .parts = {{.rows = UINT32_MAX}}})), ErrorCode::invalid_argument);
}

TEST(ManifestCodec, ForeignBytes) {
    const auto whole = encode_manifest({.block_tokens = 256, .n_kv = 1, .parts = {{.rows = 1}, {.rows = 2}}}).value();
    for (std::size_t n = 0; n < whole.size(); ++n) {
        EXPECT_EQ(code_of(decode_manifest(std::span(whole).first(n))), ErrorCode::corrupt) << n;
    }
    auto longer = whole;
    longer.push_back({});
    EXPECT_EQ(code_of(decode_manifest(longer)), ErrorCode::corrupt);
    const auto with = [&](std::size_t at, std::uint32_t value) {
        auto bytes = whole;
        put(bytes, at, value);
        return code_of(decode_manifest(bytes));
    };
    EXPECT_EQ(with(0, 0), ErrorCode::corrupt);
    EXPECT_EQ(with(0, 2), ErrorCode::incompatible);
    EXPECT_EQ(with(36, 255), ErrorCode::corrupt);         // block size
    EXPECT_EQ(with(44, 1), ErrorCode::corrupt);           // upper half of n_kv
    EXPECT_EQ(with(48, UINT32_MAX), ErrorCode::corrupt);  // number of parts
    EXPECT_EQ(with(48, 1), ErrorCode::corrupt);
    EXPECT_EQ(with(52, 3), ErrorCode::corrupt);                // kind
    EXPECT_EQ(with(52 + 33, 0x80000000), ErrorCode::corrupt);  // position
}

TEST(ManifestCodec, Mutations) {
    std::mt19937_64 random(test_seed());
    for (int i = 0; i < 20'000; ++i) {
        auto bytes = encode_manifest(random_manifest(random, 5)).value();
        for (auto n = random() % 4; n > 0; --n) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 50));
        if (bytes.size() > 52 && random() % 8 == 0) put(bytes, 48, static_cast<std::uint32_t>(random()));
        EXPECT_EQ(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(bytes.data()), bytes.size()), 0);
    }
}

}  // namespace
}  // namespace engram
