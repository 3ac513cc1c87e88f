// Embeddings of a model that makes them, and the refusal of those that don't.
#include "engine/embedder.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/testing/tiny_models.h"

namespace engram {
namespace {

using testing::load_tiny;
using testing::tiny_options;

float product(const std::vector<float> &a, const std::vector<float> &b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0F);
}

class EmbedderTest : public ::testing::Test {
  protected:
    std::vector<float> embed(std::string_view text) {
        auto vector = embedder_.embed(model_->tokenise(text, true, false));
        EXPECT_TRUE(vector.has_value()) << vector.error().message;
        return vector.value_or(std::vector<float>());
    }

    const std::unique_ptr<Model> model_ = load_tiny(tiny_options("tiny-embedder"));
    Embedder embedder_{*model_};
};

TEST_F(EmbedderTest, AVectorOfLengthOneThatDependsOnTheTextAlone) {
    const std::vector<float> river = embed("the river and the report");
    EXPECT_EQ(river.size(), 64U);
    EXPECT_NEAR(product(river, river), 1.0F, 1e-5F);
    const std::vector<float> other = embed("a server in the cluster");
    EXPECT_LT(product(river, other), 0.999F);
    EXPECT_EQ(embed("the river and the report"), river) << "what was embedded before leaves no trace";
}

TEST_F(EmbedderTest, LongTextsGetALargerContext) {
    std::string text;
    for (int i = 0; i < 700; ++i) text += "window budget ";
    const std::vector<float> small = embed("river");
    EXPECT_NEAR(product(embed(text), embed(text)), 1.0F, 1e-5F);
    EXPECT_NEAR(product(embed("river"), small), 1.0F, 1e-4F);
}

TEST_F(EmbedderTest, RefusesWhatItCantEmbed) {
    EXPECT_EQ(embedder_.embed({}).error().code, ErrorCode::invalid_argument);
    const std::vector<Token> unknown{1, static_cast<Token>(model_->vocabulary_size())};
    EXPECT_EQ(embedder_.embed(unknown).error().code, ErrorCode::invalid_argument);
    const auto refused = embedder_.embed(std::vector<Token>(8193, 5));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::too_long);
    EXPECT_EQ(refused.error().asked, 8193U);
}

TEST(EmbedderRefusalTest, AModelWithoutPoolingMakesNone) {
    const auto model = load_tiny(tiny_options("tiny-llama"));
    Embedder embedder(*model);
    for (int i = 0; i < 2; ++i) {
        const auto refused = embedder.embed(std::vector<Token>{5, 6});
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
    }
}

}  // namespace
}  // namespace engram
