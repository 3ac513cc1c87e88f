#include "config/settings.h"

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include <set>

namespace engram {
namespace {

namespace fs = std::filesystem;

class SettingsTest : public testing::Test {
  protected:
    void SetUp() override {
        home_ = fs::temp_directory_path() / ("engram-settings-" + std::to_string(::getpid()));
        fs::create_directories(home_);
        variables_["ENGRAM_HOME"] = home_.string();
        variables_["HOME"] = "/home/somebody";
    }
    void TearDown() override { fs::remove_all(home_); }

    void write_config(std::string_view text) { std::ofstream(home_ / "config.toml") << text; }

    Result<Settings> resolve() {
        SettingSources sources;
        sources.flags = flags_;
        sources.environment = [this](const std::string &name) -> std::optional<std::string> {
            auto found = variables_.find(name);
            return found == variables_.end() ? std::nullopt : std::optional(found->second);
        };
        return Settings::resolve(sources);
    }
    // The message of the error that resolve() must give.
    std::string complaint() {
        auto settings = resolve();
        EXPECT_FALSE(settings.has_value());
        return settings ? "" : settings.error().message;
    }

    fs::path home_;
    std::map<std::string, std::string> variables_;
    std::map<std::string, std::vector<std::string>, std::less<>> flags_;
};

TEST_F(SettingsTest, EverySettingHasOneNameAndAValidDefault) {
    std::set<std::string_view> names;
    for (const SettingSpec &spec : setting_specs()) {
        EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
        EXPECT_FALSE(spec.help.empty()) << spec.name;
        EXPECT_FALSE(spec.value_name.empty()) << spec.name;
    }
    auto settings = resolve();
    ASSERT_TRUE(settings.has_value()) << settings.error().message;
    for (const Setting &setting : settings->all()) {
        EXPECT_FALSE(setting.spec->is_general());
    }
}

TEST_F(SettingsTest, FlagBeatsVariableBeatsFileBeatsDefault) {
    auto context = [this] {
        auto settings = resolve();
        EXPECT_TRUE(settings.has_value());
        const Setting &setting = settings->get("context");
        return setting.text() + " " + setting.origin.where;
    };
    EXPECT_EQ(context(), "8192 default");
    write_config("# a comment\n\ncontext = 1024\n");
    EXPECT_EQ(context(), "1024 " + (home_ / "config.toml").string() + ":3");
    variables_["ENGRAM_CONTEXT"] = "2048";
    EXPECT_EQ(context(), "2048 ENGRAM_CONTEXT");
    flags_["context"] = {"4096"};
    EXPECT_EQ(context(), "4096 --context");
}

TEST_F(SettingsTest, AnEmptyVariableIsAsGoodAsNone) {
    write_config("context = 1024\n");
    variables_["ENGRAM_CONTEXT"] = "";
    EXPECT_EQ(resolve()->whole("context"), 1024);
}

TEST_F(SettingsTest, TheGeneralTypeSetsBothAndTheSpecificOneOfTheSameSourceWins) {
    write_config("kv-type-k = \"f32\"\nkv-type = \"q8_0\"\n");
    EXPECT_EQ(resolve()->text("kv-type-k"), "f32");
    EXPECT_EQ(resolve()->text("kv-type-v"), "q8_0");
    variables_["ENGRAM_KV_TYPE"] = "bf16";
    EXPECT_EQ(resolve()->text("kv-type-k"), "bf16")
        << "a stronger source's general setting beats a weaker one's specific setting";
    flags_["kv-type-v"] = {"q4_0"};
    EXPECT_EQ(resolve()->text("kv-type-k"), "bf16");
    EXPECT_EQ(resolve()->text("kv-type-v"), "q4_0");
    EXPECT_EQ(resolve()->get("kv-type-k").origin.where, "ENGRAM_KV_TYPE");
}

TEST_F(SettingsTest, PathsAreMadeAbsoluteAndTildeIsHome) {
    variables_.erase("ENGRAM_HOME");
    EXPECT_EQ(resolve()->home(), "/home/somebody/.engram");
    variables_["ENGRAM_HOME"] = home_.string();
    write_config("model = \"models/a.gguf\"\nlora = [\"~/x.gguf:0.5\"]\n");
    EXPECT_EQ(resolve()->text("model"), (home_ / "models/a.gguf").string()) << "relative to the file's folder";
    variables_["ENGRAM_MODEL"] = "b.gguf";
    EXPECT_EQ(resolve()->text("model"), (fs::current_path() / "b.gguf").string()) << "relative to the working folder";
    flags_["model"] = {"~/c.gguf"};
    EXPECT_EQ(resolve()->text("model"), "/home/somebody/c.gguf");
}

TEST_F(SettingsTest, ListsComeFromRepeatedFlagsArraysAndSeparatedVariables) {
    write_config("stop = [\"END\", \"a;b\"]\n");
    EXPECT_EQ(resolve()->texts("stop"), (std::vector<std::string>{"END", "a;b"}));
    variables_["ENGRAM_STOP"] = "x;;y";
    EXPECT_EQ(resolve()->texts("stop"), (std::vector<std::string>{"x", "y"}));
    flags_["stop"] = {"1;2", "3"};
    EXPECT_EQ(resolve()->texts("stop"), (std::vector<std::string>{"1;2", "3"}));
}

TEST_F(SettingsTest, MistakesNameTheirSource) {
    flags_["context"] = {"12x"};
    EXPECT_EQ(complaint(), "--context: \"12x\" isn't a whole number");
    flags_["context"] = {"1"};
    EXPECT_EQ(complaint(), "--context: 1 is out of range: it must lie between 64 and 16777216");
    flags_["context"] = {"99999999999999999999"};
    EXPECT_EQ(complaint(), "--context: 99999999999999999999 is out of range: it must lie between 64 and 16777216");
    flags_.clear();
    variables_["ENGRAM_KV_TYPE_K"] = "f17";
    EXPECT_EQ(complaint(), "ENGRAM_KV_TYPE_K: \"f17\" isn't one of f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl");
    variables_.erase("ENGRAM_KV_TYPE_K");
    write_config("\nblock-tokens = 16\n");
    EXPECT_EQ(complaint(),
              (home_ / "config.toml").string() + ":2: block-tokens: 16 is out of range: it must lie between 32 and 1024");
}

TEST_F(SettingsTest, AFileThatWasAskedForMustBeThere) {
    flags_["config"] = {"/nonexistent/engram.toml"};
    EXPECT_EQ(complaint(), "--config: can't open /nonexistent/engram.toml: No such file or directory");
    flags_["config"] = {home_.string()};
    EXPECT_NE(complaint().find("can't read"), std::string::npos) << "a folder isn't a file";
}

TEST_F(SettingsTest, HomeCanBeSetOnlyByAFileThatIsNotFoundThroughIt) {
    write_config("home = \"/elsewhere\"\n");
    EXPECT_NE(complaint().find("config.toml:1: home can't be set"), std::string::npos);
    flags_["config"] = {(home_ / "config.toml").string()};
    variables_.erase("ENGRAM_HOME");
    EXPECT_EQ(resolve()->home(), "/elsewhere");
}

TEST(ParseBytes, ReadsSuffixes) {
    EXPECT_EQ(parse_bytes("0"), 0U);
    EXPECT_EQ(parse_bytes("4096"), 4096U);
    EXPECT_EQ(parse_bytes("512M"), 512ULL << 20);
    EXPECT_EQ(parse_bytes("16g"), 16ULL << 30);
    EXPECT_EQ(parse_bytes("1.5GiB"), 3ULL << 29);
    EXPECT_EQ(parse_bytes("2 TiB"), 2ULL << 40);
    EXPECT_EQ(parse_bytes("3kB"), 3000U);
    EXPECT_EQ(parse_bytes("7B"), 7U);
    for (const char *text : {"", "G", "-1", "1.5", "1X", "1GiX", "1e3", "nan", "0x10", "1 2", "99999999T"}) {
        EXPECT_FALSE(parse_bytes(text).has_value()) << text;
    }
}

TEST(ClosestSettingName, FindsTyposAndNothingElse) {
    EXPECT_EQ(closest_setting_name("gpu_layers"), "gpu-layers");
    EXPECT_EQ(closest_setting_name("contxt"), "context");
    EXPECT_EQ(closest_setting_name("completely-different"), "");
    EXPECT_EQ(closest_setting_name(""), "");
}

}  // namespace
}  // namespace engram
