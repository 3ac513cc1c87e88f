#include "protocol/anthropic/models.h"

#include <gtest/gtest.h>

#include <vector>

#include "protocol/anthropic/testing/requests.h"

namespace engram::protocol::anthropic {
namespace {

TEST(AnthropicModels, Info) {
    const ModelCard card{.id = "qwen3-8b",
                         .display_name = "Qwen3 8B",
                         .created_at = "2026-11-21T08:00:00Z",
                         .max_input_tokens = 32768,
                         .max_output_tokens = 8192,
                         .thinks = true};
    EXPECT_EQ(
        model_info(card),
        R"({"type":"model","id":"qwen3-8b","display_name":"Qwen3 8B","created_at":"2026-11-21T08:00:00Z","lifecycle":"active",)"
        R"("deprecated_at":null,"retires_at":null,"line":null,"max_input_tokens":32768,"max_tokens":8192,"capabilities":{)"
        R"("batch":{"supported":false},"citations":{"supported":false},"code_execution":{"supported":false},)"
        R"("context_management":{"clear_thinking_20251015":{"supported":false},"clear_tool_uses_20250919":{"supported":false},)"
        R"("compact_20260112":{"supported":false},"supported":false},"effort":{"high":{"supported":false},"low":{"supported":false},)"
        R"("max":{"supported":false},"medium":{"supported":false},"supported":false,"xhigh":{"supported":false}},)"
        R"("image_input":{"supported":false},"pdf_input":{"supported":false},"server_tools":{"code_execution":{"supported":false},)"
        R"("supported":false,"web_search":{"supported":false}},"structured_outputs":{"supported":true},"thinking":{"supported":true,)"
        R"("types":{"adaptive":{"supported":true},"between_tools":{"supported":true},"disabled":{"supported":true},)"
        R"("enabled":{"supported":true}}}}})");
    const OrderedJson bare = json_of(model_info({.id = "m"}));
    EXPECT_EQ(bare["display_name"], "m");
    EXPECT_EQ(bare["created_at"], "1970-01-01T00:00:00Z");
    EXPECT_TRUE(bare["max_input_tokens"].is_null());
    EXPECT_EQ(bare["capabilities"]["thinking"]["types"]["enabled"]["supported"], false);
}

class AnthropicModelList : public testing::Test {
  protected:
    // "ids first last has_more" of the page that the parameters ask for, or the error.
    std::string page(std::map<std::string, std::string, std::less<>> parameters) const {
        const auto paging = read_paging(headers_of(std::move(parameters)));
        if (!paging) return paging.error().message;
        const auto text = model_list(models_, *paging);
        if (!text) return text.error().message;
        const OrderedJson list = json_of(*text);
        std::string ids;
        for (const OrderedJson &model : list["data"]) ids += model["id"].get<std::string>();
        return ids + " " + list["first_id"].dump() + " " + list["last_id"].dump() + " " + list["has_more"].dump();
    }

    std::vector<ModelCard> models_{{.id = "a"}, {.id = "b"}, {.id = "c"}, {.id = "d"}, {.id = "e"}};
};

TEST_F(AnthropicModelList, Pages) {
    EXPECT_EQ(page({}), R"(abcde "a" "e" false)");
    EXPECT_EQ(page({{"limit", "2"}}), R"(ab "a" "b" true)");
    EXPECT_EQ(page({{"limit", "2"}, {"after_id", "b"}}), R"(cd "c" "d" true)");
    EXPECT_EQ(page({{"limit", "2"}, {"after_id", "d"}}), R"(e "e" "e" false)");
    EXPECT_EQ(page({{"after_id", "e"}}), " null null false");
    EXPECT_EQ(page({{"limit", "2"}, {"before_id", "e"}}), R"(cd "c" "d" true)");
    EXPECT_EQ(page({{"limit", "2"}, {"before_id", "c"}}), R"(ab "a" "b" false)");
    EXPECT_EQ(page({{"before_id", "a"}}), " null null false");
    models_.clear();
    EXPECT_EQ(page({}), " null null false");
}

TEST_F(AnthropicModelList, WrongParameters) {
    for (const char *limit : {"0", "1001", "x", "2x", "-1", "99999999999"}) {
        EXPECT_EQ(page({{"limit", limit}}), "limit: must be a whole number from 1 to 1000") << limit;
    }
    EXPECT_EQ(page({{"after_id", "z"}}), "after_id: there is no model \"z\"");
    EXPECT_EQ(page({{"before_id", "z"}}), "before_id: there is no model \"z\"");
    EXPECT_EQ(page({{"before_id", "a"}, {"after_id", "b"}}), "before_id: can't be given together with after_id");
}

}  // namespace
}  // namespace engram::protocol::anthropic
