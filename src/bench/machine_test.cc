#include "bench/machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <format>

#include "bench/benchmark.h"

namespace engram::bench {
namespace {

TEST(Machine, MemoryIsToldInGiB) {
    EXPECT_EQ(memory_text("24684092 kB"), "23.5 GiB");
    EXPECT_EQ(memory_text("8 GB"), "8 GB");
    EXPECT_EQ(memory_text(""), "");
}

TEST(Machine, TellsTheInstructionsThatModelsAreComputedWith) {
    EXPECT_EQ(vector_instructions("fpu sse2 avx avx2 bmi2 avx512f avx512_vnni avx_vnni amx_tile rdpid"),
              "avx2 avx512f avx512_vnni avx_vnni amx_tile");
    EXPECT_EQ(vector_instructions("fpu"), "");
}

TEST(Machine, AFolderThatIsNotThereYetLiesWhereItWillBeMade) {
    const std::filesystem::path folder = std::filesystem::temp_directory_path();
    EXPECT_EQ(file_system_of(folder / "engram-has-no-such" / "folder"), file_system_of(folder));
    EXPECT_EQ(file_system_of("/proc"), "0x9fa0");
}

TEST(Machine, HasKernelAndFileSystem) {
    const OrderedJson json = machine_json(std::filesystem::temp_directory_path());
    EXPECT_TRUE(json["kernel"].get<std::string>().starts_with("Linux "));
    EXPECT_TRUE(json["memory"].get<std::string>().ends_with(" GiB"));
    EXPECT_FALSE(json["file_system"].get<std::string>().empty());
    EXPECT_GE(json["processors"].get<int>(), 1);
}

// What is looked for before a run has no folder of its own yet, and is the same as what the run writes.
TEST(Machine, IsTheSameBeforeARunAndInIt) {
    LabOptions options{.home = std::filesystem::temp_directory_path()};
    const Benchmark &benchmark = benchmarks().front();
    const Record before = expected_record(benchmark, "", Lab(options), {});
    options.folder = "/proc";
    EXPECT_TRUE(measured_alike(before, expected_record(benchmark, "", Lab(options), {})));
}

}  // namespace
}  // namespace engram::bench
