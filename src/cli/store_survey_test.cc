#include "cli/store_survey.h"

#include <gtest/gtest.h>

namespace engram::cli {
namespace {

PartTensor tensor(KvType type, std::uint64_t heads, std::uint64_t head_dim) {
    return {.name = "attn.0.k",
            .type = type,
            .rows = 256,
            .heads = heads,
            .head_dim = head_dim,
            .offset = 0,
            .row_bytes = kv_type_bytes(type, heads * head_dim)};
}

TEST(PayloadBytesAs, CountsRowsInTheOtherType) {
    PartLayout layout{.kind = PartKind::attention, .rows = 256, .image_bytes = 0, .tensors = {tensor(KvType::f16, 4, 64)}};
    const std::uint64_t elements = 256ULL * 4 * 64;
    EXPECT_EQ(payload_bytes_as(layout, KvType::f16), elements * 2);
    EXPECT_EQ(payload_bytes_as(layout, KvType::q8_0), elements / 32 * 34);
    EXPECT_EQ(payload_bytes_as(layout, KvType::q4_0), elements / 32 * 18);
}

TEST(PayloadBytesAs, WhatCanNotBeConvertedStaysAsItIs) {
    PartLayout odd{.kind = PartKind::window, .rows = 256, .image_bytes = 0, .tensors = {tensor(KvType::f32, 1, 40)}};
    EXPECT_EQ(payload_bytes_as(odd, KvType::q8_0), 256ULL * 40 * 4) << "40 elements are no multiple of 32";
    EXPECT_EQ(payload_bytes_as(odd, KvType::f16), 256ULL * 40 * 2);
    PartLayout state{.kind = PartKind::state, .rows = 1, .image_bytes = 0, .tensors = {tensor(KvType::f32, 4, 64)}};
    EXPECT_EQ(payload_bytes_as(state, KvType::q4_0), 256ULL * 256 * 4) << "state is never made lossy";
}

}  // namespace
}  // namespace engram::cli
