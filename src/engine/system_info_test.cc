#include "engine/system_info.h"

#include <gtest/gtest.h>
#include <algorithm>

namespace engram {
namespace {

TEST(SystemInfo, KnowsTheProcessorAndTheVersions) {
    const SystemInfo info = system_info();
    EXPECT_FALSE(info.llama_version.empty());
    EXPECT_FALSE(info.ggml_version.empty());
    EXPECT_GE(info.processors, 1U);
    auto cpu = std::ranges::find(info.devices, "cpu", &DeviceInfo::kind);
    ASSERT_NE(cpu, info.devices.end()) << "the CPU backend was not found";
    EXPECT_EQ(cpu->backend, "CPU");
    EXPECT_GT(cpu->memory_total, 0U);
    EXPECT_FALSE(info.cpu_features.empty());
}

}  // namespace
}  // namespace engram
