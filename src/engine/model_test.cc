#include "engine/model.h"

#include <ggml.h>
#include <gguf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "engine/context.h"
#include "engine/model_file.h"
#include "engine/testing/tiny_models.h"

namespace engram {
namespace {

using ::testing::HasSubstr;
using testing::load_tiny;
using testing::tiny_model;
using testing::tiny_options;

const std::filesystem::path &test_folder() {
    static const testing::TemporaryFolder kFolder;
    return kFolder.path();
}

std::string read_bytes(const std::filesystem::path &path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const std::filesystem::path &path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// A LoRA of rank 4 on the first layer's query matrix; `rows` of the matrix that it is for.
std::filesystem::path write_adapter(std::string_view name, float value, std::int64_t columns = 64, std::int64_t rows = 128) {
    const std::filesystem::path path = test_folder() / name;
    gguf_context *file = gguf_init_empty();
    gguf_set_val_str(file, "general.type", "adapter");
    gguf_set_val_str(file, "general.architecture", "llama");
    gguf_set_val_str(file, "adapter.type", "lora");
    gguf_set_val_f32(file, "adapter.lora.alpha", 4.0F);
    ggml_context *tensors = ggml_init({.mem_size = 1 << 20, .mem_buffer = nullptr, .no_alloc = false});
    ggml_tensor *a = ggml_new_tensor_2d(tensors, GGML_TYPE_F32, columns, 4);
    ggml_tensor *b = ggml_new_tensor_2d(tensors, GGML_TYPE_F32, 4, rows);
    ggml_set_name(a, "blk.0.attn_q.weight.lora_a");
    ggml_set_name(b, "blk.0.attn_q.weight.lora_b");
    std::fill_n(ggml_get_data_f32(a), ggml_nelements(a), value);
    std::fill_n(ggml_get_data_f32(b), ggml_nelements(b), value);
    gguf_add_tensor(file, a);
    gguf_add_tensor(file, b);
    EXPECT_TRUE(gguf_write_to_file(file, path.c_str(), false));
    ggml_free(tensors);
    gguf_free(file);
    return path;
}

class FakeMemo : public HashMemo {
  public:
    std::optional<Digest> find(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns,
                               std::uint64_t inode) const override {
        const auto found = known.find({path, bytes, modified_ns, inode});
        return found == known.end() ? std::nullopt : std::optional(found->second);
    }
    void remember(const std::filesystem::path &path, std::uint64_t bytes, std::int64_t modified_ns, std::uint64_t inode,
                  const Digest &digest) override {
        known[{path, bytes, modified_ns, inode}] = digest;
    }

    std::map<std::tuple<std::filesystem::path, std::uint64_t, std::int64_t, std::uint64_t>, Digest> known;
};

Digest hash_of(const std::filesystem::path &path, HashMemo *memo) {
    const auto digest = hash_model_file(path, memo);
    EXPECT_TRUE(digest) << (digest ? "" : digest.error().message);
    return digest.value_or(Digest{});
}

Digest interchange_of(const ModelOptions &options) {
    const auto model = Model::load(options, nullptr, nullptr);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return model ? (*model)->interchange_hash() : Digest{};
}

TEST(Model, SaysWhatItIs) {
    const auto gemma = load_tiny(tiny_options("tiny-gemma3"));
    ASSERT_NE(gemma, nullptr);
    EXPECT_EQ(gemma->architecture(), "gemma3");
    EXPECT_THAT(gemma->description(), HasSubstr("gemma3"));
    EXPECT_EQ(gemma->layers(), 7U);
    EXPECT_EQ(gemma->window(), 32U);
    EXPECT_EQ(gemma->head_dim(), 32U);
    EXPECT_EQ(gemma->trained_context(), 32768U);
    EXPECT_EQ(gemma->bos_text(), "<|bos|>");
    EXPECT_TRUE(gemma->adds_bos());
    EXPECT_EQ(gemma->eos_text(), "<|eos|>");
    EXPECT_THAT(gemma->chat_template(), HasSubstr("<|im_start|>"));
    EXPECT_GT(gemma->parameters(), 100000U);
    EXPECT_GE(gemma->bytes(), gemma->parameters() * 4);
    EXPECT_FALSE(gemma->is_recurrent() || gemma->is_hybrid());

    const auto mamba = load_tiny(tiny_options("tiny-mamba"));
    const auto lfm2 = load_tiny(tiny_options("tiny-lfm2"));
    ASSERT_TRUE(mamba && lfm2);
    EXPECT_TRUE(mamba->is_recurrent());
    EXPECT_EQ(mamba->head_dim(), 0U);
    EXPECT_TRUE(lfm2->is_hybrid());
    EXPECT_EQ(lfm2->window(), 0U);
}

TEST(Model, TextBecomesTokensAndComesBack) {
    const auto model = load_tiny(tiny_options("tiny-llama"));
    ASSERT_NE(model, nullptr);
    const std::string text = "<|im_start|>user\nnaïve 日本 🙂<|im_end|>\n";
    const std::vector<Token> tokens = model->tokenise(text, false, true);
    EXPECT_EQ(model->detokenise(tokens, true), text);
    EXPECT_EQ(model->detokenise(tokens, false), "user\nnaïve 日本 🙂\n");
    EXPECT_EQ(model->detokenise(model->tokenise(text, false, false), false), text);
    EXPECT_LT(tokens.size(), model->tokenise(text, false, false).size());

    const std::vector<Token> with_bos = model->tokenise(text, true, true);
    ASSERT_EQ(with_bos.size(), tokens.size() + 1);
    EXPECT_EQ(model->piece(with_bos.front(), true), "<|bos|>");
    EXPECT_EQ(model->piece(with_bos.front(), false), "");

    const std::vector<Token> end = model->tokenise("<|im_end|>", false, true);
    ASSERT_EQ(end.size(), 1U);
    EXPECT_TRUE(model->is_end_of_generation(end.front()));
    EXPECT_FALSE(model->is_end_of_generation(model->tokenise("a", false, false).front()));
}

TEST(Model, OddTextAndTokensAreHarmless) {
    const auto model = load_tiny(tiny_options("tiny-llama"));
    ASSERT_NE(model, nullptr);
    EXPECT_TRUE(model->tokenise("", false, true).empty());
    EXPECT_FALSE(model->tokenise("\xFF\xFE\xC3(", false, true).empty());
    EXPECT_EQ(model->detokenise(model->tokenise(std::string("a\0b", 3), false, true), true), std::string("a\0b", 3));
    EXPECT_EQ(model->tokenise(std::string(100000, ' '), false, true).empty(), false);
    for (const Token token : {-1, -2147483647, 2147483647, static_cast<Token>(model->vocabulary_size())}) {
        EXPECT_EQ(model->piece(token, true), "");
        EXPECT_FALSE(model->is_end_of_generation(token));
    }
}

TEST(Model, ContentAndVocabularyHashes) {
    const auto first = load_tiny(tiny_options("tiny-llama"));
    const auto other = Model::load({.path = tiny_model("tiny-llama", "f32", 2)}, nullptr, nullptr);
    ASSERT_TRUE(first && other);
    EXPECT_NE(first->content_hash(), (*other)->content_hash());
    EXPECT_NE(first->interchange_hash(), (*other)->interchange_hash());
    EXPECT_EQ(first->vocabulary_hash(), (*other)->vocabulary_hash());

    const std::filesystem::path copy = test_folder() / "copy.gguf";
    std::filesystem::copy_file(tiny_model("tiny-llama"), copy);
    EXPECT_EQ(hash_of(copy, nullptr), first->content_hash());

    // One letter of one token's text.
    std::string bytes = read_bytes(copy);
    const std::size_t at = bytes.find("<|unk|>");
    ASSERT_NE(at, std::string::npos);
    bytes[at + 2] = 'x';
    write_bytes(copy, bytes);
    const auto changed = Model::load({.path = copy}, nullptr, nullptr);
    ASSERT_TRUE(changed) << changed.error().message;
    EXPECT_NE((*changed)->vocabulary_hash(), first->vocabulary_hash());
}

TEST(Model, EverythingThatChangesKvChangesTheInterchangeHash) {
    const std::filesystem::path path = tiny_model("tiny-llama");
    const std::filesystem::path one = write_adapter("one.gguf", 0.01F);
    const std::filesystem::path two = write_adapter("two.gguf", 0.02F);
    const std::vector<ModelOptions> different{
        {.path = path},
        {.path = path, .kv_type_k = "q8_0"},
        {.path = path, .kv_type_v = "q8_0"},
        {.path = path, .kv_type_k = "q8_0", .kv_type_v = "q8_0"},
        {.path = path, .rope_freq_base = 10000.0F},
        {.path = path, .rope_freq_scale = 10000.0F},
        {.path = path, .adapters = {{.path = one}}},
        {.path = path, .adapters = {{.path = one, .scale = 0.5F}}},
        {.path = path, .adapters = {{.path = two}}},
        {.path = path, .adapters = {{.path = one}, {.path = two}}},
        {.path = path, .adapters = {{.path = two}, {.path = one}}},
        {.path = path, .adapters = {{.path = one}, {.path = one}}},
    };
    std::set<Digest> hashes;
    for (const ModelOptions &options : different) hashes.insert(interchange_of(options));
    EXPECT_EQ(hashes.size(), different.size());

    // What doesn't change KV doesn't change the hash.
    EXPECT_EQ(interchange_of({.path = path, .context_tokens = 512, .batch_tokens = 32, .threads = 1, .gpu_layers = 0}),
              interchange_of({.path = path}));
}

TEST(Model, AdaptersChangeWhatIsComputedByTheirScales) {
    const auto logits_with = [](float scale) {
        ModelOptions options{.path = tiny_model("tiny-llama"), .context_tokens = 256, .threads = 1};
        options.adapters = {{.path = write_adapter("scaled.gguf", 0.1F), .scale = scale}};
        const auto model = Model::load(options, nullptr, nullptr);
        BufferPool pool(0);
        const auto context = model ? Context::create(**model, pool) : std::unexpected(model.error());
        if (!context) {
            ADD_FAILURE() << context.error().message;
            return std::vector<float>();
        }
        std::vector<BatchToken> batch;
        for (Position i = 0; i < 8; ++i) batch.push_back({.token = 40 + i, .position = i});
        batch.back().wants_logits = true;
        EXPECT_TRUE((*context)->decode(batch));
        const auto logits = (*context)->logits(batch.size() - 1);
        return std::vector<float>(logits.begin(), logits.end());
    };
    const std::vector<float> none = logits_with(0.0F);
    EXPECT_NE(logits_with(0.25F), none);
    EXPECT_NE(logits_with(1.0F), logits_with(0.25F));
    EXPECT_EQ(logits_with(0.0F), none);
}

TEST(Model, AdaptersThatDontFitAreRefused) {
    const std::filesystem::path path = tiny_model("tiny-llama");
    const auto refused = [&](const ModelOptions::Adapter &adapter) {
        const auto model = Model::load({.path = path, .adapters = {adapter}}, nullptr, nullptr);
        EXPECT_FALSE(model);
        return model ? ErrorCode::internal : model.error().code;
    };
    EXPECT_EQ(refused({.path = write_adapter("narrow.gguf", 0.1F, 32)}), ErrorCode::invalid_argument);
    EXPECT_EQ(refused({.path = tiny_model("tiny-qwen3")}), ErrorCode::invalid_argument);
    EXPECT_EQ(refused({.path = test_folder() / "none.gguf"}), ErrorCode::not_found);
    EXPECT_EQ(refused({.path = write_adapter("nan.gguf", 0.1F), .scale = std::numeric_limits<float>::quiet_NaN()}),
              ErrorCode::invalid_argument);
}

TEST(Model, OptionsOutOfRangeAreRefused) {
    const std::filesystem::path path = tiny_model("tiny-llama");
    for (const ModelOptions &options :
         std::vector<ModelOptions>{{.path = path, .kv_type_k = "f17"},
                                   {.path = path, .kv_type_v = "u8"},
                                   {.path = path, .kv_type_v = ""},
                                   {.path = path, .rope_freq_base = -1.0F},
                                   {.path = path, .rope_freq_scale = std::numeric_limits<float>::infinity()}}) {
        const auto model = Model::load(options, nullptr, nullptr);
        ASSERT_FALSE(model);
        EXPECT_EQ(model.error().code, ErrorCode::invalid_argument);
    }
}

TEST(Model, LoadingReportsProgressAndCanBeCancelled) {
    const std::filesystem::path path = tiny_model("tiny-llama");
    std::vector<float> seen;
    ASSERT_TRUE(Model::load({.path = path}, nullptr, [&](float done) {
        seen.push_back(done);
        return true;
    }));
    ASSERT_FALSE(seen.empty());
    EXPECT_EQ(seen.back(), 1.0F);

    const auto cancelled = Model::load({.path = path}, nullptr, [](float) { return false; });
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().code, ErrorCode::cancelled);
}

TEST(HashModelFile, IsRememberedUntilTheFileChanges) {
    const std::filesystem::path path = test_folder() / "remembered.bin";
    write_bytes(path, "one");
    FakeMemo memo;
    const Digest first = hash_of(path, &memo);
    ASSERT_EQ(memo.known.size(), 1U);
    memo.known.begin()->second.bytes[0] ^= 1;  // shows that the memo was asked
    EXPECT_NE(hash_of(path, &memo), first);
    write_bytes(path, "other");
    EXPECT_EQ(hash_of(path, &memo), hash_of(path, nullptr));
    EXPECT_NE(hash_of(path, nullptr), first);
    EXPECT_EQ(memo.known.size(), 2U);
}

TEST(HashModelFile, OfASplitModelIsOfAllParts) {
    const auto part = [](int n) { return test_folder() / std::format("split-0000{}-of-00003.gguf", n); };
    for (int n = 1; n <= 3; ++n) write_bytes(part(n), std::format("part {}", n));
    const Digest whole = hash_of(part(1), nullptr);
    EXPECT_EQ(hash_of(part(2), nullptr), whole);
    write_bytes(part(3), "part three");
    EXPECT_NE(hash_of(part(1), nullptr), whole);
    std::filesystem::remove(part(3));
    const auto missing = hash_model_file(part(1), nullptr);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::not_found);
    EXPECT_THAT(missing.error().message, HasSubstr("split-00003-of-00003.gguf"));
}

TEST(HashModelFile, NamesThatOnlyLookSplitAreOneFile) {
    for (const char *name : {"-00001-of-00003.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "m-00001-of-00001.gguf",
                             "m-0001-of-0003.gguf", "m.gguf", ""}) {
        EXPECT_EQ(model_file_parts(name).size(), 1U) << name;
    }
    EXPECT_EQ(model_file_parts("/a/m-00002-of-00003.gguf").front(), "/a/m-00001-of-00003.gguf");
}

TEST(DamagedModel, WhatIsntAModelIsAnError) {
    const auto code_of = [](const std::filesystem::path &path) {
        const auto model = Model::load({.path = path}, nullptr, nullptr);
        EXPECT_FALSE(model) << path;
        return model ? ErrorCode::internal : model.error().code;
    };
    EXPECT_EQ(code_of(test_folder() / "absent.gguf"), ErrorCode::not_found);
    EXPECT_EQ(code_of(test_folder()), ErrorCode::io);
    EXPECT_EQ(code_of(""), ErrorCode::not_found);
    const std::filesystem::path path = test_folder() / "foreign.gguf";
    for (const std::string &bytes :
         {std::string(), std::string("GGUF"), std::string("PK\3\4 something else entirely, and long enough"),
          std::string(4096, '\0'), std::string("GGUF") + std::string(4096, '\xFF')}) {
        write_bytes(path, bytes);
        EXPECT_EQ(code_of(path), ErrorCode::engine);
    }
}

TEST(DamagedModel, AbsurdCountsAreRefused) {
    const std::filesystem::path path = test_folder() / "counts.gguf";
    const auto error_of = [&](std::uint64_t tensors, std::uint64_t pairs) {
        const std::uint32_t version = GGUF_VERSION;
        std::string bytes = GGUF_MAGIC;
        bytes.append(reinterpret_cast<const char *>(&version), sizeof version);
        bytes.append(reinterpret_cast<const char *>(&tensors), sizeof tensors);
        bytes.append(reinterpret_cast<const char *>(&pairs), sizeof pairs);
        write_bytes(path, bytes);
        const auto checked = check_gguf(path);
        return checked ? std::string() : checked.error().message;
    };
    EXPECT_FALSE(error_of(131'072, 65'536).contains("absurd counts")) << "what is wrong is that nothing follows";
    EXPECT_TRUE(error_of(131'073, 65'536).contains("absurd counts"));
    EXPECT_TRUE(error_of(131'072, 65'537).contains("absurd counts"));
}

TEST(DamagedModel, CutOffAnywhereIsAnError) {
    const std::string whole = read_bytes(tiny_model("tiny-llama"));
    const std::filesystem::path path = test_folder() / "cut.gguf";
    std::vector<std::size_t> lengths{1, 3, 4, 7, 8, 15, 16, 23, 24, whole.size() - 1, whole.size() / 2};
    for (std::size_t length = 25; length < 60000; length += 997) lengths.push_back(length);
    for (const std::size_t length : lengths) {
        write_bytes(path, std::string_view(whole).substr(0, length));
        const auto model = Model::load({.path = path}, nullptr, nullptr);
        ASSERT_FALSE(model) << length;
        EXPECT_EQ(model.error().code, ErrorCode::engine);
        EXPECT_THAT(model.error().message, HasSubstr(path.string()));
    }
}

// Whatever the result: it is one, and the program lives.
TEST(DamagedModel, FlippedBitsInTheHeaderNeverCrash) {
    const std::string whole = read_bytes(tiny_model("tiny-gemma3"));
    const std::size_t tensors_end = whole.rfind("post_ffw_norm.weight") + 64;
    const std::size_t text_begin = whole.find("tokenizer.ggml.tokens");
    const std::size_t text_end = whole.find("token_embd.weight");
    ASSERT_LT(text_end, tensors_end);
    const std::filesystem::path path = test_folder() / "flipped.gguf";
    std::size_t refused = 0;
    const auto attempt = [&](std::size_t at, int bit) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
        write_bytes(path, bytes);
        const auto model = Model::load({.path = path}, nullptr, nullptr);
        if (!model) ++refused;
    };
    for (std::size_t at = 0; at < 24; ++at) {
        for (int bit = 0; bit < 8; ++bit) attempt(at, bit);
    }
    EXPECT_GT(refused, 150U);
    std::mt19937 random(1);
    for (int i = 0; i < 200; ++i) {
        attempt(24 + random() % (text_begin - 24), static_cast<int>(random() % 8));
        attempt(text_end + random() % (tensors_end - text_end), static_cast<int>(random() % 8));
    }
}

}  // namespace
}  // namespace engram
