#include "chat/bounded_json.h"

#include <gtest/gtest.h>

#include <format>

namespace engram {
namespace {

constexpr std::size_t kMostBytes = 16UZ << 20U;

std::string object_of(std::size_t members) {
    std::string text = "{";
    for (std::size_t i = 0; i < members; ++i) text += std::format("{}\"k{}\":1", i > 0 ? "," : "", i);
    return text + "}";
}

std::string error_of(const std::string &text, std::size_t most_bytes = kMostBytes) {
    const auto json = parse_bounded_json(text, most_bytes);
    return json ? "" : json.error().message;
}

TEST(BoundedJson, SizeDepthAndMembersAreBounded) {
    EXPECT_EQ(error_of("[1]", 3), "");
    EXPECT_EQ(error_of("[1]", 2), "it has 3 bytes, at most 2 are read");
    EXPECT_EQ(error_of(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')), "");
    EXPECT_EQ(error_of(std::string(kMaxJsonDepth + 1, '[') + std::string(kMaxJsonDepth + 1, ']')), "it is nested too deeply");
    EXPECT_EQ(error_of(std::string(1'000'000, '[')), "it is nested too deeply");
    EXPECT_EQ(error_of(object_of(kMaxJsonMembers)), "");
    EXPECT_EQ(error_of(object_of(kMaxJsonMembers + 1)), "an object in it has too many members");
    EXPECT_EQ(error_of("{\"a\":1e999}"), "it is not JSON (a number in it is out of range)");
}

// Members are looked up one by one while they are read, so that many large objects would cost far more than their bytes.
TEST(BoundedJson, ObjectsAreBoundedTogether) {
    const std::string large = object_of(kMaxJsonMembers);
    EXPECT_EQ(error_of("[" + large + "]"), "");
    EXPECT_EQ(error_of("[" + large + "," + large + "]"), "its objects have too many members in all");
    std::string small = "[";
    for (int i = 0; i < 100'000; ++i) small += R"({"role":"user","content":"x","name":"y"},)";
    EXPECT_EQ(error_of(small + "1]"), "") << "as many small ones as a long conversation has";
}

// Small values cost many times their bytes, whatever holds them.
TEST(BoundedJson, ValuesAreBounded) {
    constexpr std::size_t kMost = 1'000'000;
    const auto list_of = [](std::size_t elements, std::string_view element) {
        std::string text = "[";
        for (std::size_t i = 0; i < elements; ++i) text.append(i > 0 ? "," : "").append(element);
        return text + "]";
    };
    EXPECT_EQ(error_of(list_of(kMost - 1, "1")), "") << "the list is one of them";
    for (const char *element : {"1", "{}", "[]", "\"\"", "null"})
        EXPECT_EQ(error_of(list_of(kMost, element)), "it has too many values");
    EXPECT_EQ(error_of(list_of((kMost - 1) / 3, R"({"a":[]})")), "");
    EXPECT_EQ(error_of(list_of(kMost / 2, R"({"a":[]})")), "it has too many values") << "members are values";
}

}  // namespace
}  // namespace engram
