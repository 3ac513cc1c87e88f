#include "config/json_entries.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <format>
#include <fstream>
#include <optional>
#include <string>

namespace engram {
namespace {

std::optional<std::string> nothing(const std::string &) { return std::nullopt; }

std::string complaint(std::string_view json) {
    const Environment environment = nothing;
    const auto read =
        for_each_entry(json, "mcp.json", "mcpServers", environment, [](const JsonEntry &) { return Result<void>(); });
    return read ? "" : read.error().message;
}

TEST(JsonEntries, AreSoManyInAFileOfSuchASize) {
    const auto entries = [](int count) {
        std::string json = R"({"mcpServers":{)";
        for (int i = 0; i < count; ++i) json += std::format(R"({}"s{}":{{}})", i > 0 ? "," : "", i);
        return json + "}}";
    };
    EXPECT_EQ(complaint(entries(64)), "");
    EXPECT_EQ(complaint(entries(65)), "mcp.json: mcpServers has 65 entries; at most 64 are possible");
    std::string json = entries(1);
    json.resize(kMaxEntriesFileBytes, ' ');
    EXPECT_EQ(complaint(json), "");
    EXPECT_TRUE(complaint(json + " ").contains("at most 1048576 are read")) << complaint(json + " ");

    const auto file = std::filesystem::temp_directory_path() / std::format("engram-entries-{}.json", ::getpid());
    std::ofstream(file) << json;
    EXPECT_EQ(read_entries_file(file).value_or(""), json);
    std::ofstream(file) << json << ' ';
    const auto larger = read_entries_file(file);
    ASSERT_FALSE(larger);
    EXPECT_TRUE(larger.error().message.ends_with("has more than 1048576 bytes")) << larger.error().message;
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace engram
