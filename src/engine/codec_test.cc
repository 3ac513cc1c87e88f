#include "engine/codec.h"

#include <ggml.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/kv_types.h"

namespace engram {
namespace {

constexpr std::size_t kColumns = 128;
constexpr std::size_t kRows = 16;

std::vector<float> random_values() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> values(kRows * kColumns);
    for (float &value : values) value = normal(random);
    return values;
}

std::vector<std::byte> bytes_of(const std::vector<float> &values) {
    std::vector<std::byte> bytes(values.size() * sizeof(float));
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

std::vector<float> floats_of(const std::vector<std::byte> &bytes) {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}

std::vector<std::byte> convert(KvType from, KvType to, const std::vector<std::byte> &in) {
    std::vector<std::byte> out(kRows * kv_type_bytes(to, kColumns));
    const auto done = engine_codec().convert(from, to, kColumns, kRows, in, out);
    EXPECT_TRUE(done) << (done ? "" : done.error().message);
    return out;
}

// The largest error of a value that went from f16 through `type`, in units of its block's largest magnitude.
float worst_error(KvType type) {
    const std::vector<std::byte> half = convert(KvType::f32, KvType::f16, bytes_of(random_values()));
    const std::vector<std::byte> back = convert(type, KvType::f16, convert(KvType::f16, type, half));
    const std::vector<float> before = floats_of(convert(KvType::f16, KvType::f32, half));
    const std::vector<float> after = floats_of(convert(KvType::f16, KvType::f32, back));
    float worst = 0.0F;
    for (std::size_t block = 0; block < before.size(); block += 32) {
        float largest = 0.0F;
        for (std::size_t i = block; i < block + 32; ++i) largest = std::max(largest, std::abs(before[i]));
        for (std::size_t i = block; i < block + 32; ++i) worst = std::max(worst, std::abs(before[i] - after[i]) / largest);
    }
    return worst;
}

TEST(Codec, ErrorsAreBoundedByEachTypesStep) {
    // Half a quantisation step (1/127 for q8_0, 1/8 and 1/16 of the range for the smaller ones, whose outermost value on one side
    // can be a whole step away), and the rounding of f16 on top.
    EXPECT_LE(worst_error(KvType::q8_0), 0.5F / 127 + 0.002F);
    EXPECT_LE(worst_error(KvType::q4_0), 1.0F / 8 + 0.002F);
    EXPECT_LE(worst_error(KvType::q4_1), 1.0F / 15 + 0.002F);
    EXPECT_LE(worst_error(KvType::q5_0), 1.0F / 16 + 0.002F);
    EXPECT_LE(worst_error(KvType::q5_1), 1.0F / 31 + 0.002F);
    EXPECT_LE(worst_error(KvType::iq4_nl), 1.0F / 8 + 0.002F);
    EXPECT_GT(worst_error(KvType::q4_0), worst_error(KvType::q8_0));
    EXPECT_GT(worst_error(KvType::q8_0), 0.0F);
}

TEST(Codec, WiderTypesAreExact) {
    const std::vector<std::byte> half = convert(KvType::f32, KvType::f16, bytes_of(random_values()));
    EXPECT_EQ(convert(KvType::f32, KvType::f16, convert(KvType::f16, KvType::f32, half)), half);
    const std::vector<std::byte> brain = convert(KvType::f32, KvType::bf16, bytes_of(random_values()));
    EXPECT_EQ(convert(KvType::f32, KvType::bf16, convert(KvType::bf16, KvType::f32, brain)), brain);
    // What was quantised once doesn't change when it is quantised again.
    const std::vector<std::byte> stored = convert(KvType::f16, KvType::q8_0, half);
    EXPECT_EQ(convert(KvType::f32, KvType::q8_0, convert(KvType::q8_0, KvType::f32, stored)), stored);
}

TEST(Codec, EqualTypesAreCopied) {
    const std::vector<std::byte> stored = convert(KvType::f32, KvType::q4_0, bytes_of(random_values()));
    EXPECT_EQ(convert(KvType::q4_0, KvType::q4_0, stored), stored);
    std::vector<std::byte> opaque(37);
    std::vector<std::byte> copy(37);
    opaque[5] = std::byte{9};
    ASSERT_TRUE(engine_codec().convert(KvType::u8, KvType::u8, 37, 1, opaque, copy));
    EXPECT_EQ(copy, opaque);
}

TEST(Codec, WhatDoesntFitIsRefused) {
    EXPECT_TRUE(engine_codec().supports(KvType::f16, KvType::q8_0, 64));
    EXPECT_TRUE(engine_codec().supports(KvType::f16, KvType::f32, 33));
    EXPECT_FALSE(engine_codec().supports(KvType::f16, KvType::q8_0, 33));
    EXPECT_FALSE(engine_codec().supports(KvType::q4_0, KvType::f16, 48));
    EXPECT_FALSE(engine_codec().supports(KvType::f16, KvType::u8, 32));
    EXPECT_FALSE(engine_codec().supports(KvType::u8, KvType::f16, 32));
    EXPECT_FALSE(engine_codec().supports(KvType::f16, KvType::f32, 0));
    EXPECT_FALSE(engine_codec().supports(KvType::f16, KvType::f32, std::size_t{1} << 40));

    std::vector<std::byte> in(64 * 2);
    std::vector<std::byte> out(68);
    const auto code_of = [&](std::size_t elements, std::size_t rows) {
        const auto done = engine_codec().convert(KvType::f16, KvType::q8_0, elements, rows, in, out);
        return done ? ErrorCode::internal : done.error().code;
    };
    EXPECT_TRUE(engine_codec().convert(KvType::f16, KvType::q8_0, 64, 1, in, out));
    EXPECT_TRUE(engine_codec().convert(KvType::f16, KvType::q8_0, 32, 2, in, out));
    EXPECT_EQ(code_of(33, 1), ErrorCode::unsupported);
    EXPECT_EQ(code_of(64, 2), ErrorCode::invalid_argument);
    EXPECT_EQ(code_of(32, 1), ErrorCode::invalid_argument);
    in.resize(63 * 2);
    EXPECT_EQ(code_of(64, 1), ErrorCode::invalid_argument);
}

TEST(KvTypes, MapToGgmlAndBackWithTheSameSizes) {
    for (int i = 0; i < static_cast<int>(KvType::u8); ++i) {
        const auto type = static_cast<KvType>(i);
        EXPECT_EQ(kv_type_of(ggml_type_of(type)), type);
        EXPECT_STREQ(ggml_type_name(ggml_type_of(type)), std::string(kv_type_name(type)).c_str());
        EXPECT_EQ(ggml_row_size(ggml_type_of(type), 256), kv_type_bytes(type, 256));
        EXPECT_EQ(elements_of_row(type, kv_type_bytes(type, 96)), 96U);
    }
    EXPECT_EQ(kv_type_of(GGML_TYPE_COUNT), std::nullopt);
    EXPECT_EQ(elements_of_row(KvType::f16, 66), 33U);
}

}  // namespace
}  // namespace engram
