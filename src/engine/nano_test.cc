// The embedded model as libllama sees it: it is what its card says, and it reads text as it was trained to.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/model.h"
#include "engine/testing/thread_count.h"

namespace engram {
namespace {

const std::filesystem::path kFolder = ENGRAM_NANO_FOLDER;

std::unique_ptr<Model> load_nano() {
    auto model = Model::load({.path = kFolder / "engram-nano.gguf"}, nullptr, nullptr);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return model ? std::move(*model) : nullptr;
}

TEST(Nano, IsWhatItsCardSays) {
    const auto model = load_nano();
    ASSERT_TRUE(model);
    EXPECT_EQ(model->architecture(), "qwen3");
    EXPECT_EQ(model->layers(), 4U);
    EXPECT_EQ(model->window(), 0U);
    EXPECT_FALSE(model->is_recurrent() || model->is_hybrid());
    EXPECT_EQ(model->trained_context(), 8192U);
    EXPECT_LE(std::filesystem::file_size(kFolder / "engram-nano.gguf"), 12'000'000U);
    EXPECT_NE(model->chat_template().find("tools"), std::string::npos);
    EXPECT_EQ(model->eos_text(), "<|im_end|>");
    EXPECT_EQ(model->bos_text(), "<|im_start|>");
    EXPECT_FALSE(model->adds_bos());
}

TEST(Nano, LoadingLeavesNoThreadsBehind) {
    const auto before = testing::thread_count();
    const auto model = load_nano();
    ASSERT_TRUE(model);
    testing::expect_thread_count(before);
}

TEST(Nano, TokenisesAsItsTrainerDid) {
    const auto model = load_nano();
    ASSERT_TRUE(model);
    std::ifstream file(kFolder / "tokens.json");
    const nlohmann::json samples = nlohmann::json::parse(file);
    ASSERT_GE(samples.size(), 10U);
    for (const auto &sample : samples) {
        const auto text = sample.at("text").get<std::string>();
        const auto tokens = sample.at("tokens").get<std::vector<Token>>();
        EXPECT_EQ(model->tokenise(text, true, true), tokens) << text;
        EXPECT_EQ(model->detokenise(tokens, true), text);
    }
}

}  // namespace
}  // namespace engram
