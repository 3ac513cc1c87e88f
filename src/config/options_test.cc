#include "config/options.h"

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>

namespace engram {
namespace {

Settings with(std::map<std::string, std::vector<std::string>, std::less<>> flags) {
    SettingSources sources;
    sources.flags = std::move(flags);
    sources.flags.try_emplace("home", std::vector<std::string>{"/nonexistent/home"});
    sources.environment = [](const std::string &) { return std::optional<std::string>(); };
    auto settings = Settings::resolve(sources);
    EXPECT_TRUE(settings.has_value()) << settings.error().message;
    return *settings;
}

// What the table says and what the library assumes must be one thing.
TEST(ManagerOptionsFromSettings, DefaultsAreTheLibrarys) {
    const ManagerOptions expected;
    auto options = manager_options(with({}));
    ASSERT_TRUE(options.has_value()) << options.error().message;
    EXPECT_EQ(options->tenant, expected.tenant);
    EXPECT_EQ(options->model.path, expected.model.path);
    EXPECT_EQ(options->model.context_tokens, expected.model.context_tokens);
    EXPECT_EQ(options->model.batch_tokens, expected.model.batch_tokens);
    EXPECT_EQ(options->model.max_running, expected.model.max_running);
    EXPECT_EQ(options->model.prefill_share, expected.model.prefill_share);
    EXPECT_EQ(options->model.threads, expected.model.threads);
    EXPECT_EQ(options->model.gpu_layers, expected.model.gpu_layers);
    EXPECT_EQ(options->model.kv_type_k, expected.model.kv_type_k);
    EXPECT_EQ(options->model.kv_type_v, expected.model.kv_type_v);
    EXPECT_EQ(options->model.rope_freq_base, expected.model.rope_freq_base);
    EXPECT_EQ(options->storage.block_tokens, expected.storage.block_tokens);
    EXPECT_EQ(options->storage.disk_budget_bytes, expected.storage.disk_budget_bytes);
    EXPECT_EQ(options->storage.memory_budget_bytes, expected.storage.memory_budget_bytes);
    EXPECT_EQ(options->storage.stored_type, expected.storage.stored_type);
    EXPECT_EQ(options->storage.checkpoint_tokens, expected.storage.checkpoint_tokens);
    EXPECT_EQ(options->storage.weigh_restores, expected.storage.weigh_restores);
    EXPECT_EQ(options->storage.preload, expected.storage.preload);
    EXPECT_EQ(options->storage.preload_threshold, expected.storage.preload_threshold);
}

TEST(TurnSettingsFromSettings, DefaultsAreTheLibrarys) {
    auto turn = turn_settings(with({}));
    ASSERT_TRUE(turn.has_value()) << turn.error().message;
    const Sampling expected;
    EXPECT_EQ(turn->max_tokens, TurnRequest{}.max_tokens);
    EXPECT_EQ(turn->sampling.temperature, expected.temperature);
    EXPECT_EQ(turn->sampling.top_k, expected.top_k);
    EXPECT_EQ(turn->sampling.top_p, expected.top_p);
    EXPECT_EQ(turn->sampling.min_p, expected.min_p);
    EXPECT_EQ(turn->sampling.repeat_penalty, expected.repeat_penalty);
    EXPECT_EQ(turn->sampling.presence_penalty, expected.presence_penalty);
    EXPECT_EQ(turn->sampling.frequency_penalty, expected.frequency_penalty);
    EXPECT_EQ(turn->sampling.penalty_last_n, expected.penalty_last_n);
    EXPECT_EQ(turn->sampling.seed, expected.seed);
    EXPECT_EQ(turn->sampling.grammar, expected.grammar);
}

TEST(ManagerOptionsFromSettings, EverySettingArrives) {
    auto options = manager_options(with({{"tenant", {"acme"}},           {"model", {"/m.gguf"}},
                                         {"context", {"128"}},           {"batch", {"64"}},
                                         {"max-running", {"3"}},         {"threads", {"2"}},
                                         {"gpu-layers", {"0"}},          {"kv-type-k", {"q8_0"}},
                                         {"kv-type-v", {"f32"}},         {"rope-freq-base", {"10000.5"}},
                                         {"rope-freq-scale", {"0.25"}},  {"lora", {"/a.gguf", "/b:c.gguf", "/d.gguf:-0.5"}},
                                         {"kv-store-type", {"q4_0"}},    {"block-tokens", {"64"}},
                                         {"disk-budget", {"1M"}},        {"memory-budget", {"2K"}},
                                         {"checkpoint-tokens", {"512"}}, {"prefill-share", {"0.5"}},
                                         {"restore", {"always"}},        {"preload", {"off"}},
                                         {"preload-threshold", {"0.75"}}}));
    ASSERT_TRUE(options.has_value()) << options.error().message;
    EXPECT_EQ(options->home, "/nonexistent/home");
    EXPECT_EQ(options->tenant, "acme");
    EXPECT_EQ(options->model.path, "/m.gguf");
    EXPECT_EQ(options->model.context_tokens, 128U);
    EXPECT_EQ(options->model.batch_tokens, 64U);
    EXPECT_EQ(options->model.max_running, 3U);
    EXPECT_EQ(options->model.threads, 2);
    EXPECT_EQ(options->model.gpu_layers, 0);
    EXPECT_EQ(options->model.kv_type_k, "q8_0");
    EXPECT_EQ(options->model.kv_type_v, "f32");
    EXPECT_EQ(options->model.rope_freq_base, 10000.5F);
    EXPECT_EQ(options->model.rope_freq_scale, 0.25F);
    ASSERT_EQ(options->model.adapters.size(), 3U);
    EXPECT_EQ(options->model.adapters[0].scale, 1.0F);
    EXPECT_EQ(options->model.adapters[1].path, "/b:c.gguf");
    EXPECT_EQ(options->model.adapters[2].path, "/d.gguf");
    EXPECT_EQ(options->model.adapters[2].scale, -0.5F);
    EXPECT_EQ(options->storage.stored_type, "q4_0");
    EXPECT_EQ(options->storage.block_tokens, 64U);
    EXPECT_EQ(options->storage.disk_budget_bytes, 1U << 20);
    EXPECT_EQ(options->storage.memory_budget_bytes, 2048U);
    EXPECT_EQ(options->storage.checkpoint_tokens, 512U);
    EXPECT_EQ(options->model.prefill_share, 0.5);
    EXPECT_FALSE(options->storage.weigh_restores);
    EXPECT_FALSE(options->storage.preload);
    EXPECT_EQ(options->storage.preload_threshold, 0.75);
}

TEST(ManagerOptionsFromSettings, RefusesWhatTheTableCanNotSay) {
    EXPECT_EQ(manager_options(with({{"block-tokens", {"100"}}})).error().code, ErrorCode::invalid_argument);
    EXPECT_TRUE(manager_options(with({{"block-tokens", {"100"}}})).error().message.starts_with("--block-tokens: "));
    EXPECT_TRUE(manager_options(with({{"tenant", {"../x"}}})).error().message.starts_with("--tenant: "));
    EXPECT_TRUE(manager_options(with({{"lora", {"/x:inf"}}})).error().message.starts_with("--lora: the scale"));
}

TEST(TurnSettingsFromSettings, BiasesAndGrammar) {
    auto turn = turn_settings(with({{"logit-bias", {"42=-1.5", "7=inf"}}, {"grammar", {"root ::= \"a\""}}, {"stop", {"END"}}}));
    ASSERT_TRUE(turn.has_value()) << turn.error().message;
    ASSERT_EQ(turn->sampling.logit_bias.size(), 2U);
    EXPECT_EQ(turn->sampling.logit_bias[0], (std::pair<std::int32_t, float>{42, -1.5F}));
    EXPECT_EQ(turn->sampling.grammar, "root ::= \"a\"");
    EXPECT_EQ(turn->sampling.stop, std::vector<std::string>{"END"});
    for (const char *bad : {"x=1", "-1=2", "4", "4=", "=4", "4=nan", "4=1x"}) {
        EXPECT_FALSE(turn_settings(with({{"logit-bias", {bad}}})).has_value()) << bad;
    }
}

TEST(TurnSettingsFromSettings, GrammarFile) {
    const auto path = std::filesystem::temp_directory_path() / ("engram-grammar-" + std::to_string(::getpid()));
    std::ofstream(path) << "root ::= \"b\"";
    EXPECT_EQ(turn_settings(with({{"grammar-file", {path.string()}}}))->sampling.grammar, "root ::= \"b\"");
    EXPECT_FALSE(turn_settings(with({{"grammar-file", {path.string()}}, {"grammar", {"root ::= \"a\""}}})).has_value());
    std::filesystem::remove(path);
    EXPECT_EQ(turn_settings(with({{"grammar-file", {path.string()}}})).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace engram
