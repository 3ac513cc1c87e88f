#include "core/kv_part.h"

#include <gtest/gtest.h>

namespace engram {
namespace {

TEST(KvType, BytesFollowGgmlsBlocks) {
    EXPECT_EQ(kv_type_bytes(KvType::f16, 256), 512U);
    EXPECT_EQ(kv_type_bytes(KvType::q8_0, 256), 272U);
    EXPECT_EQ(kv_type_bytes(KvType::q4_0, 256), 144U);
    EXPECT_EQ(kv_type_from_name("q8_0"), KvType::q8_0);
    EXPECT_EQ(kv_type_from_name("q9_9"), std::nullopt);
    for (int i = 0; i <= static_cast<int>(KvType::u8); ++i) {
        EXPECT_EQ(kv_type_from_name(kv_type_name(static_cast<KvType>(i))), static_cast<KvType>(i));
    }
}

TEST(PartKind, NamesRoundTrip) {
    for (std::size_t i = 0; i < kPartKinds; ++i) {
        EXPECT_EQ(part_kind_from_name(part_kind_name(static_cast<PartKind>(i))), static_cast<PartKind>(i));
    }
    EXPECT_EQ(part_kind_from_name("attention "), std::nullopt);
}

TEST(BufferPool, ReusesReleasedBuffersUpToItsLimit) {
    BufferPool pool(1 << 20);
    std::byte *first = nullptr;
    {
        const auto buffer = pool.acquire(100'000);
        first = buffer.get();
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % 64, 0U);
    }
    const auto again = pool.acquire(100'000);
    EXPECT_EQ(again.get(), first);
    const auto other = pool.acquire(100'000);
    EXPECT_NE(other.get(), first);
}

TEST(BufferPool, BuffersMayOutliveThePool) {
    std::shared_ptr<std::byte[]> buffer;
    {
        BufferPool pool(1 << 20);
        buffer = pool.acquire(10);
    }
    buffer[9] = std::byte{1};
    EXPECT_EQ(buffer[9], std::byte{1});
}

}  // namespace
}  // namespace engram
