#include "engine/synth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/backend.h"

namespace engram {
namespace {

using ::testing::HasSubstr;

struct FreeModel {
    void operator()(llama_model *model) const { llama_model_free(model); }
};
struct FreeContext {
    void operator()(llama_context *context) const { llama_free(context); }
};
using ModelHandle = std::unique_ptr<llama_model, FreeModel>;
using ContextHandle = std::unique_ptr<llama_context, FreeContext>;

class SynthTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = std::string("engram-synth-") + ::testing::UnitTest::GetInstance()->current_test_info()->name();
        std::ranges::replace(name, '/', '-');
        folder_ = std::filesystem::path(::testing::TempDir()) / name;
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path write(std::string_view geometry, std::string_view type = "f32", std::uint32_t seed = 1) {
        const auto path = folder_ / (std::string(geometry) + std::string(type) + std::to_string(seed) + ".gguf");
        const auto written = write_synthetic_model({.geometry = geometry, .type = type, .seed = seed}, path, nullptr);
        EXPECT_TRUE(written) << (written ? "" : written.error().message);
        return path;
    }

    static std::string bytes_of(const std::filesystem::path &path) {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    static ModelHandle load(const std::filesystem::path &path) {
        initialise_engine();
        return ModelHandle(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
    }

    static std::vector<llama_token> tokenise(const llama_model *model, std::string_view text, bool parse_special) {
        std::vector<llama_token> tokens(text.size() + 8);
        const std::int32_t count =
            llama_tokenize(llama_model_get_vocab(model), text.data(), static_cast<std::int32_t>(text.size()), tokens.data(),
                           static_cast<std::int32_t>(tokens.size()), false, parse_special);
        EXPECT_GE(count, 0);
        tokens.resize(static_cast<std::size_t>(std::max(count, 0)));
        return tokens;
    }

    static std::string detokenise(const llama_model *model, std::span<const llama_token> tokens) {
        std::string text;
        for (const llama_token token : tokens) {
            std::array<char, 256> piece{};
            const std::int32_t size =
                llama_token_to_piece(llama_model_get_vocab(model), token, piece.data(), piece.size(), 0, true);
            text.append(piece.data(), static_cast<std::size_t>(std::max(size, 0)));
        }
        return text;
    }

    // Greedy continuation; fails when a logit isn't finite.
    static std::vector<llama_token> generate(llama_model *model, std::string_view prompt, int count) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = 512;
        params.n_threads = params.n_threads_batch = 1;
        const ContextHandle context(llama_init_from_model(model, params));
        if (context == nullptr) {
            ADD_FAILURE() << last_engine_error();
            return {};
        }
        const std::int32_t vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
        std::vector<llama_token> next = tokenise(model, prompt, true);
        std::vector<llama_token> chosen;
        for (int i = 0; i < count; ++i) {
            EXPECT_EQ(llama_decode(context.get(), llama_batch_get_one(next.data(), static_cast<std::int32_t>(next.size()))), 0);
            const std::span logits(llama_get_logits_ith(context.get(), -1), static_cast<std::size_t>(vocabulary));
            EXPECT_TRUE(std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); }));
            next = {static_cast<llama_token>(std::ranges::max_element(logits) - logits.begin())};
            chosen.push_back(next.front());
        }
        return chosen;
    }

    std::filesystem::path folder_;
};

constexpr std::string_view kTiny[] = {"tiny-llama", "tiny-gemma3", "tiny-windows", "tiny-lfm2", "tiny-mamba", "tiny-qwen3"};

class TinySynthTest : public SynthTest, public ::testing::WithParamInterface<std::string_view> {};

TEST_P(TinySynthTest, LoadsAndSaysVariedThings) {
    const ModelHandle model = load(write(GetParam()));
    ASSERT_NE(model, nullptr) << last_engine_error();
    EXPECT_EQ(llama_model_n_ctx_train(model.get()), 32768);
    const std::vector<llama_token> said =
        generate(model.get(), "<|im_start|>user\nhello there<|im_end|>\n<|im_start|>assistant\n", 64);
    EXPECT_GE(std::set<llama_token>(said.begin(), said.end()).size(), 16U);
    for (const llama_token token : said) {
        EXPECT_FALSE(llama_vocab_is_control(llama_model_get_vocab(model.get()), token));
        EXPECT_FALSE(llama_vocab_is_eog(llama_model_get_vocab(model.get()), token));
    }
}

TEST_P(TinySynthTest, ContextBeforeTheLastTokenMatters) {
    const ModelHandle model = load(write(GetParam()));
    ASSERT_NE(model, nullptr) << last_engine_error();
    EXPECT_NE(generate(model.get(), "one two three the", 16), generate(model.get(), "four five six seven the", 16));
}

TEST_P(TinySynthTest, LoadsInEveryType) {
    for (const std::string_view type : {"f16", "q8_0", "q4_0"}) {
        const ModelHandle model = load(write(GetParam(), type));
        ASSERT_NE(model, nullptr) << type << ": " << last_engine_error();
        EXPECT_EQ(generate(model.get(), "hello", 4).size(), 4U);
    }
}

TEST_P(TinySynthTest, SameSeedSameBytes) {
    const std::string first = bytes_of(write(GetParam(), "q8_0", 7));
    EXPECT_EQ(first, bytes_of(write(GetParam(), "q8_0", 7)));
    const std::string other = bytes_of(write(GetParam(), "q8_0", 8));
    EXPECT_EQ(first.size(), other.size());
    EXPECT_NE(first, other);
}

INSTANTIATE_TEST_SUITE_P(Geometries, TinySynthTest, ::testing::ValuesIn(kTiny), [](const auto &tested) {
    std::string name(tested.param);
    std::erase(name, '-');
    return name;
});

TEST_F(SynthTest, MemoryIsOfTheKindTheGeometryPromises) {
    const ModelHandle plain = load(write("tiny-llama"));
    const ModelHandle window = load(write("tiny-gemma3"));
    const ModelHandle hybrid = load(write("tiny-lfm2"));
    const ModelHandle recurrent = load(write("tiny-mamba"));
    ASSERT_TRUE(plain && window && hybrid && recurrent) << last_engine_error();
    EXPECT_EQ(llama_model_n_swa(plain.get()), 0);
    EXPECT_EQ(llama_model_n_swa(window.get()), 32);
    EXPECT_FALSE(llama_model_is_recurrent(plain.get()) || llama_model_is_hybrid(plain.get()));
    EXPECT_TRUE(llama_model_is_hybrid(hybrid.get()));
    EXPECT_TRUE(llama_model_is_recurrent(recurrent.get()));
}

TEST_F(SynthTest, EveryTextComesBack) {
    const ModelHandle model = load(write("tiny-llama"));
    ASSERT_NE(model, nullptr) << last_engine_error();
    std::string every_character;
    for (char32_t c = 1; c < 0x3000; ++c) {
        if (c < 0x80) {
            every_character += static_cast<char>(c);
        } else if (c < 0x800) {
            every_character += {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
        } else {
            every_character += {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
                                static_cast<char>(0x80 | (c & 0x3F))};
        }
    }
    for (const std::string &text :
         {std::string("The answer was 42, wasn't it?  Two  spaces\n\n\ttab\r\n"),
          std::string("naïve café 日本語 🙂👩‍👩‍👧 ▁ Ġ"), std::string("<|im_start|>user\nhi<|im_end|>"),
          std::string(" bada people people's"), every_character}) {
        EXPECT_EQ(detokenise(model.get(), tokenise(model.get(), text, false)), text);
        EXPECT_EQ(detokenise(model.get(), tokenise(model.get(), text, true)), text);
    }
    EXPECT_EQ(tokenise(model.get(), "<|im_start|>", true).size(), 1U);
    EXPECT_GT(tokenise(model.get(), "<|im_start|>", false).size(), 1U);
    EXPECT_EQ(tokenise(model.get(), " people", false).size(), 1U);
}

TEST_F(SynthTest, SpecialTokensAndTemplate) {
    const ModelHandle model = load(write("tiny-llama"));
    ASSERT_NE(model, nullptr) << last_engine_error();
    const llama_vocab *vocab = llama_model_get_vocab(model.get());
    EXPECT_STREQ(llama_vocab_get_text(vocab, llama_vocab_bos(vocab)), "<|bos|>");
    EXPECT_STREQ(llama_vocab_get_text(vocab, llama_vocab_eos(vocab)), "<|eos|>");
    EXPECT_STREQ(llama_vocab_get_text(vocab, llama_vocab_eot(vocab)), "<|im_end|>");
    EXPECT_TRUE(llama_vocab_is_eog(vocab, llama_vocab_eot(vocab)));
    EXPECT_TRUE(llama_vocab_get_add_bos(vocab));
    const char *chat_template = llama_model_chat_template(model.get(), nullptr);
    ASSERT_NE(chat_template, nullptr);
    EXPECT_THAT(chat_template, HasSubstr("<|im_start|>"));
}

TEST_F(SynthTest, UnknownNamesAreRefusedWithTheKnownOnes) {
    const auto geometry = write_synthetic_model({.geometry = "tiny-lama"}, folder_ / "x.gguf", nullptr);
    ASSERT_FALSE(geometry);
    EXPECT_EQ(geometry.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(geometry.error().message, HasSubstr("tiny-llama"));
    const auto type = write_synthetic_model({.geometry = "tiny-llama", .type = "q3"}, folder_ / "x.gguf", nullptr);
    ASSERT_FALSE(type);
    EXPECT_EQ(type.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(type.error().message, HasSubstr("q8_0"));
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(SynthTest, AFolderThatIsntThereIsAnIoError) {
    const auto written = write_synthetic_model({.geometry = "tiny-llama"}, folder_ / "none" / "x.gguf", nullptr);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::io);
}

TEST_F(SynthTest, ProgressRisesToOneAndNoTemporaryFileStays) {
    std::vector<float> seen;
    ASSERT_TRUE(write_synthetic_model({.geometry = "tiny-llama"}, folder_ / "x.gguf", [&](float done) { seen.push_back(done); }));
    ASSERT_FALSE(seen.empty());
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    EXPECT_EQ(seen.back(), 1.0F);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

}  // namespace
}  // namespace engram
