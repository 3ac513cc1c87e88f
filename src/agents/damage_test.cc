// Damaged files: each is noticed, set aside and computed again; nobody else is affected, and no wrong KV is ever used.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <format>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "agents/paths.h"
#include "agents/testing_manager.h"
#include "registry/registry.h"
#include "store/part_file.h"

namespace engram {
namespace {

namespace fs = std::filesystem;
using namespace testing;

constexpr std::uint32_t kAnswer = 8;

std::string read_bytes(const fs::path &file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const fs::path &file, std::string_view bytes) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out) ADD_FAILURE() << "can't write " << file;
}

std::size_t header_end(std::string_view file) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    return static_cast<std::size_t>(length) + kPartLengthBytes;
}

void flip_bit(std::string &bytes, std::size_t at) { bytes.at(at) = static_cast<char>(bytes.at(at) ^ 0x10); }

void set_length(std::string &bytes, std::uint64_t length) { std::memcpy(bytes.data(), &length, sizeof length); }

// A home with two agents of several blocks each, made once for each geometry, and what undamaged copies of it answer.
struct Original {
    TemporaryFolder home;
    std::map<std::string, std::vector<std::int32_t>> answers;
    std::map<std::string, std::vector<float>> logits;  // after the answer
    std::map<std::string, std::uint64_t> reused;
    std::map<std::string, std::vector<ManifestPart>> parts;
};

constexpr const char *kQuestion = "And what follows from that?";

const Original &original(const std::string &geometry) {
    static std::map<std::string, Original> known;
    const auto [place, added] = known.try_emplace(geometry);
    Original &original = place->second;
    if (!added) return original;
    const ManagerOptions options = tiny_manager(original.home.path(), geometry);
    {
        auto manager = open_manager(options);
        for (const std::string id : {"a", "b"}) {
            must(manager->create({.id = id, .system_prompt = id + ": " + filler(10, id == "a" ? 1 : 2)}));
            say(*manager, id, filler(40, id == "a" ? 3 : 4), 30);
        }
    }
    const auto registry = must(Registry::open(registry_path(original.home.path())));
    for (const std::string id : {"a", "b"}) {
        original.parts[id] = must(registry->manifest({.tenant = options.tenant, .id = id}))->parts;
        TemporaryFolder copy;
        fs::copy(original.home.path(), copy.path(), fs::copy_options::recursive);
        auto manager = open_manager(tiny_manager(copy.path(), geometry));
        const TurnResult result = say(*manager, id, kQuestion, kAnswer);
        EXPECT_FALSE(result.miss.has_value());
        original.answers[id] = result.tokens;
        original.reused[id] = result.reused_tokens;
        original.logits[id] = must(manager->next_logits(id));
    }
    return original;
}

float distance(const std::vector<float> &a, const std::vector<float> &b) {
    if (a.size() != b.size() || a.empty()) return INFINITY;
    float most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
}

// Greatest difference that computing again in other pieces may make to a logit; those of these models span about ten.
constexpr float kRecomputed = 0.05F;

struct Damage {
    const char *name;
    // Gets the path of a part of agent a and of one of agent b of the same kind.
    std::function<void(const fs::path &a, const fs::path &b)> inflict;
    bool lost = false;  // nothing is left that could be called corrupt
};

void PrintTo(const Damage &damage, std::ostream *out) { *out << damage.name; }

// Changes the file's bytes.
template <typename Change>
std::function<void(const fs::path &, const fs::path &)> edit(Change change) {
    return [change](const fs::path &a, const fs::path &) {
        std::string bytes = read_bytes(a);
        change(bytes);
        write_bytes(a, bytes);
    };
}

std::function<void(const fs::path &, const fs::path &)> cut(std::size_t (*size)(const std::string &)) {
    return edit([size](std::string &bytes) { bytes.resize(size(bytes)); });
}

std::function<void(const fs::path &, const fs::path &)> flip(std::size_t (*place)(const std::string &)) {
    return edit([place](std::string &bytes) { flip_bit(bytes, place(bytes)); });
}

std::vector<Damage> damages() {
    return {
        {"CutTo0", cut([](const auto &) { return 0UZ; })},
        {"CutTo3", cut([](const auto &) { return 3UZ; })},
        {"CutTo8", cut([](const auto &) { return 8UZ; })},
        {"CutInTheHeader", cut([](const auto &bytes) { return header_end(bytes) / 2; })},
        {"CutAfterTheHeader", cut([](const auto &bytes) { return header_end(bytes); })},
        {"CutInThePayload", cut([](const auto &bytes) { return (header_end(bytes) + bytes.size()) / 2; })},
        {"CutByOne", cut([](const auto &bytes) { return bytes.size() - 1; })},
        {"OneByteMore", edit([](std::string &bytes) { bytes += 'x'; })},
        {"BitInTheLength", flip([](const auto &) { return 1UZ; })},
        {"BitInTheHeader", flip([](const auto &bytes) { return header_end(bytes) / 2; })},
        {"BitInTheTokens", flip([](const auto &bytes) { return bytes.find("\"tokens\":\"") + 12; })},
        {"BitAtThePayloadsStart", flip([](const auto &bytes) { return header_end(bytes); })},
        {"BitInThePayload", flip([](const auto &bytes) { return (header_end(bytes) + bytes.size()) / 2; })},
        {"BitAtTheEnd", flip([](const auto &bytes) { return bytes.size() - 1; })},
        {"ForeignFile", edit([](std::string &bytes) { bytes.replace(0, 16, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16); })},
        {"AbsurdLength", edit([](std::string &bytes) { set_length(bytes, 1ULL << 63); })},
        {"LengthBeyondTheFile", edit([](std::string &bytes) { set_length(bytes, bytes.size() + 1); })},
        {"AnotherAgentsPart",
         [](const fs::path &a, const fs::path &b) { fs::copy_file(b, a, fs::copy_options::overwrite_existing); }},
        {"Removed", [](const fs::path &a, const fs::path &) { fs::remove(a); }, true},
    };
}

struct Target {
    const char *name;
    std::string geometry;
    PartKind kind = PartKind::attention;
    bool last = false;  // the last part of that kind, not the second
};

void PrintTo(const Target &target, std::ostream *out) { *out << target.name; }

class DamageTest : public ::testing::TestWithParam<std::tuple<Target, Damage>> {
  protected:
    const Target target_ = std::get<0>(GetParam());
    const Damage damage_ = std::get<1>(GetParam());
    const Original &original_ = original(target_.geometry);
    TemporaryFolder home_;

    void SetUp() override { fs::copy(original_.home.path(), home_.path(), fs::copy_options::recursive); }

    fs::path part_of(const std::string &id) const {
        std::vector<ManifestPart> parts = original_.parts.at(id);
        std::erase_if(parts, [&](const ManifestPart &part) { return part.kind != target_.kind; });
        EXPECT_FALSE(parts.empty()) << "agent " << id << " has no such part";
        if (parts.empty()) return {};
        std::ranges::sort(parts, {}, &ManifestPart::first_position);  // checkpoints come last in a manifest
        const ManifestPart &part = target_.last || parts.size() < 2 ? parts.back() : parts[1];
        return store_path(home_.path()) / "blocks" / part.id.hex().substr(0, 2) /
               part_file_name({.id = part.id, .kind = part.kind});
    }

    std::size_t in_quarantine() const {
        std::error_code none;
        const fs::directory_iterator files(store_path(home_.path()) / "quarantine", none);
        return none ? 0 : static_cast<std::size_t>(std::distance(begin(files), end(files)));
    }
};

TEST_P(DamageTest, IsNoticedAndComputedAgain) {
    const fs::path part = part_of("a");
    ASSERT_TRUE(fs::is_regular_file(part)) << part;
    damage_.inflict(part, part_of("b"));
    auto manager = open_manager(tiny_manager(home_.path(), target_.geometry));
    ASSERT_NE(manager, nullptr);

    const TurnResult harmed = say(*manager, "a", kQuestion, kAnswer);
    ASSERT_TRUE(harmed.miss.has_value());
    EXPECT_TRUE(harmed.miss->reason.starts_with(damage_.lost ? "evicted: " : "corrupt: ")) << harmed.miss->reason;
    EXPECT_GT(harmed.miss->reason.size(), 12U) << "it says what is wrong";
    EXPECT_LT(harmed.reused_tokens, original_.reused.at("a"));
    EXPECT_EQ(harmed.miss->at_token, harmed.reused_tokens);
    EXPECT_EQ(manager->stats().refused_corrupt, damage_.lost ? 0U : 1U);
    EXPECT_EQ(in_quarantine(), damage_.lost ? 0U : 1U);
    // Tokens that were decoded one by one are now computed in one piece, which rounds differently: the answer is the same, the
    // logits behind it nearly so.
    EXPECT_EQ(harmed.tokens, original_.answers.at("a"));
    EXPECT_LT(distance(must(manager->next_logits("a")), original_.logits.at("a")), kRecomputed);

    const TurnResult unharmed = say(*manager, "b", kQuestion, kAnswer);
    EXPECT_FALSE(unharmed.miss.has_value()) << unharmed.miss->reason;
    EXPECT_EQ(unharmed.reused_tokens, original_.reused.at("b"));
    EXPECT_EQ(unharmed.tokens, original_.answers.at("b"));
    EXPECT_EQ(must(manager->next_logits("b")), original_.logits.at("b")) << "bit for bit";

    must(manager->save_all());
    manager.reset();
    manager = open_manager(tiny_manager(home_.path(), target_.geometry));
    const TurnResult healed = say(*manager, "a", kQuestion, kAnswer);
    EXPECT_FALSE(healed.miss.has_value()) << healed.miss->reason;
    EXPECT_EQ(healed.tier, "disk");
    EXPECT_EQ(manager->stats().refused_corrupt, 0U);
}

class FolderDamageTest : public DamageTest {};

// What stands in a part's place and isn't a file of ours isn't removed; the part is then kept in memory, and the save says so.
TEST_P(FolderDamageTest, IsNotRemoved) {
    const fs::path part = part_of("a");
    fs::remove(part);
    fs::create_directory(part);
    auto manager = open_manager(tiny_manager(home_.path()));
    const TurnResult harmed = say(*manager, "a", kQuestion, kAnswer);
    ASSERT_TRUE(harmed.miss.has_value());
    EXPECT_EQ(harmed.tokens, original_.answers.at("a"));
    const auto saved = manager->save("a");
    ASSERT_FALSE(saved.has_value());
    EXPECT_EQ(saved.error().code, ErrorCode::io);
    EXPECT_NE(saved.error().message.find(part.parent_path().string()), std::string::npos) << saved.error().message;
    EXPECT_TRUE(fs::is_directory(part));

    fs::remove(part);
    must(manager->save("a"));
    EXPECT_TRUE(fs::is_regular_file(part));
    manager = nullptr;
    EXPECT_FALSE(say(*open_manager(tiny_manager(home_.path())), "a", kQuestion, kAnswer).miss.has_value());
}

std::string case_name(const ::testing::TestParamInfo<std::tuple<Target, Damage>> &info) {
    return std::format("{}_{}", std::get<0>(info.param).name, std::get<1>(info.param).name);
}

std::vector<Damage> some_damages() {
    std::vector<Damage> some = damages();
    const std::set<std::string_view> chosen{"CutInThePayload", "BitInTheTokens", "BitInThePayload", "AnotherAgentsPart",
                                            "Removed"};
    std::erase_if(some, [&](const Damage &damage) { return !chosen.contains(damage.name); });
    return some;
}

INSTANTIATE_TEST_SUITE_P(Blocks, FolderDamageTest,
                         ::testing::Combine(::testing::Values(Target{"Block", "tiny-llama"}),
                                            ::testing::Values(Damage{"Folder", nullptr})),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Blocks, DamageTest,
                         ::testing::Combine(::testing::Values(Target{"Block", "tiny-llama"}), ::testing::ValuesIn(damages())),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Kinds, DamageTest,
                         ::testing::Combine(::testing::Values(Target{"Tail", "tiny-llama", PartKind::attention, true},
                                                              Target{"WindowModelsBlock", "tiny-gemma3", PartKind::attention},
                                                              Target{"Window", "tiny-gemma3", PartKind::window, true},
                                                              Target{"HybridModelsBlock", "tiny-lfm2", PartKind::attention},
                                                              Target{"State", "tiny-lfm2", PartKind::state, true}),
                                            ::testing::ValuesIn(some_damages())),
                         case_name);

class ManifestDamageTest : public ::testing::Test {
  protected:
    const std::string geometry_ = "tiny-llama";
    const Original &original_ = original(geometry_);
    TemporaryFolder home_;
    const AgentKey a_{.tenant = "default", .id = "a"};

    void SetUp() override { fs::copy(original_.home.path(), home_.path(), fs::copy_options::recursive); }

    // Opens the home after its manifest of `a` was changed: it answers, and the answer is right.
    void change_and_check(const std::function<void(Manifest &)> &change) {
        {
            const auto registry = must(Registry::open(registry_path(home_.path())));
            Manifest manifest = *must(registry->manifest(a_));
            change(manifest);
            must(registry->set_manifest(a_, manifest));
        }
        auto manager = open_manager(tiny_manager(home_.path()));
        ASSERT_NE(manager, nullptr);
        const TurnResult result = say(*manager, "a", kQuestion, kAnswer);
        EXPECT_EQ(result.tokens, original_.answers.at("a"));
        EXPECT_EQ(result.reused_tokens + result.computed_tokens, result.prompt_tokens);
        EXPECT_EQ(say(*manager, "b", kQuestion, kAnswer).tokens, original_.answers.at("b"));
        must(manager->save_all());
        manager.reset();
        EXPECT_FALSE(say(*open_manager(tiny_manager(home_.path())), "a", "again", 1).miss.has_value()) << "healed";
    }
};

TEST_F(ManifestDamageTest, NamesPartsThatDoNotExist) {
    change_and_check([](Manifest &manifest) {
        for (ManifestPart &part : manifest.parts) part.id.bytes[5] ^= 1;
    });
}

TEST_F(ManifestDamageTest, NamesAnotherAgentsParts) {
    change_and_check([&](Manifest &manifest) { manifest.parts = original_.parts.at("b"); });
}

TEST_F(ManifestDamageTest, NamesNoPartsAtAll) {
    change_and_check([](Manifest &manifest) { manifest.parts.clear(); });
}

// More than the agent has are refused by the registry; here it is the parts that are fewer.
TEST_F(ManifestDamageTest, CountsMoreTokensThanThePartsHold) {
    change_and_check([](Manifest &manifest) {
        manifest.n_kv += 1;
        manifest.parts.resize(2);
    });
}

TEST_F(ManifestDamageTest, CountsFewerTokensThanThereAre) {
    change_and_check([](Manifest &manifest) { manifest.n_kv = 3; });
}

// Tokens that the KV wasn't made from: nothing of it may be used beyond where they depart.
TEST_F(ManifestDamageTest, TokensThatTheKvWasNotMadeFrom) {
    constexpr std::uint64_t kKept = 40;
    std::size_t n_tokens = 0;
    {
        const auto registry = must(Registry::open(registry_path(home_.path())));
        const AgentRow row = must(registry->get(a_));
        std::vector<Token> tokens = must(registry->tokens(a_));
        n_tokens = tokens.size();
        tokens.erase(tokens.begin(), tokens.begin() + kKept);
        std::ranges::reverse(tokens);
        must(registry->commit_turn({.key = a_,
                                    .keep_tokens = kKept,
                                    .new_tokens = tokens,
                                    .new_messages = {},
                                    .model = row.model,
                                    .vocabulary = row.vocabulary,
                                    .counts_as_turn = false}));
    }
    auto manager = open_manager(tiny_manager(home_.path()));
    const TurnResult result = say(*manager, "a", kQuestion, kAnswer);
    EXPECT_LE(result.reused_tokens, kKept + 1) << "(one token might be equal by chance)";
    EXPECT_GT(result.prompt_tokens, n_tokens);
    ASSERT_TRUE(result.miss.has_value());
    EXPECT_EQ(say(*manager, "b", kQuestion, kAnswer).tokens, original_.answers.at("b"));
}

class ExportDamageTest : public ::testing::Test {
  protected:
    void SetUp() override {
        auto manager = open_manager(tiny_manager(home_.path()));
        must(manager->create({.id = "a", .system_prompt = "First."}));
        say(*manager, "a", filler(30), 10);
        must(manager->export_agent("a", file_));
        good_ = read_bytes(file_);
        importer_ = open_manager(tiny_manager(elsewhere_.path()));
        must(importer_->create({.id = "resident"}));
        say(*importer_, "resident", "hello", 5);
        must(importer_->save_all());
        disk_bytes_ = importer_->stats().disk_bytes;
    }

    void expect_refused(const std::string &bytes, const std::string &what) {
        SCOPED_TRACE(what);
        write_bytes(file_, bytes);
        const auto imported = importer_->import_agent(file_, {});
        ASSERT_FALSE(imported.has_value());
        EXPECT_TRUE(imported.error().code == ErrorCode::corrupt || imported.error().code == ErrorCode::incompatible)
            << error_code_name(imported.error().code);
        EXPECT_NE(imported.error().message, "");
        EXPECT_EQ(importer_->get("a").error().code, ErrorCode::not_found);
        EXPECT_EQ(importer_->stats().disk_bytes, disk_bytes_) << "nothing is left behind";
    }

    TemporaryFolder home_, elsewhere_;
    const fs::path file_ = home_.path() / "a.engram";
    std::string good_;
    std::unique_ptr<AgentManager> importer_;
    std::uint64_t disk_bytes_ = 0;
};

TEST_F(ExportDamageTest, IsRefusedAndLeavesNothingBehind) {
    for (std::size_t i = 0; i < 60; ++i) {
        const std::size_t at = good_.size() * i / 60;
        expect_refused(good_.substr(0, at), std::format("cut to {} bytes", at));
        std::string flipped = good_;
        flip_bit(flipped, at);
        expect_refused(flipped, std::format("bit flipped in byte {}", at));
    }
    expect_refused(good_.substr(0, good_.size() - 1), "cut by one");
    expect_refused(good_ + "x", "one byte more");
    // The first section's length, after the magic and the section's kind.
    for (const std::uint64_t length : std::array<std::uint64_t, 4>{1ULL << 63, ~0ULL, 1ULL << 40, good_.size() + 1}) {
        std::string absurd = good_;
        std::memcpy(absurd.data() + 16, &length, sizeof length);
        expect_refused(absurd, std::format("length {}", length));
    }
    write_bytes(file_, good_);
    must(importer_->import_agent(file_, {}));
    const TurnResult result = say(*importer_, "a", kQuestion, kAnswer);
    EXPECT_FALSE(result.miss.has_value());
    EXPECT_EQ(result.tier, "disk");
    EXPECT_EQ(say(*importer_, "resident", "still well?", 5).miss.has_value(), false);
}

// Damage in the home that is exported from is no reason to keep the agent there: the copy computes its KV.
TEST_F(ExportDamageTest, AnAgentLeavesWithoutItsDamagedKv) {
    {
        auto manager = open_manager(tiny_manager(home_.path()));
        for (const auto &entry : fs::recursive_directory_iterator(store_path(home_.path()) / "blocks")) {
            if (!entry.is_regular_file()) continue;
            std::string bytes = read_bytes(entry.path());
            flip_bit(bytes, bytes.size() - 1);
            write_bytes(entry.path(), bytes);
            break;
        }
        must(manager->export_agent("a", file_));
        EXPECT_EQ(manager->stats().quarantined_parts, 1U);
    }
    EXPECT_LT(fs::file_size(file_), good_.size());
    EXPECT_EQ(must(importer_->import_agent(file_, {})).tier, "none");
    EXPECT_EQ(must(importer_->transcript("a")).size(), 2U);
    EXPECT_EQ(say(*importer_, "a", kQuestion, kAnswer).tokens.size(), kAnswer);
}

TEST_F(ExportDamageTest, AnotherModelsKvNeedsRecompute) {
    TemporaryFolder other;
    ManagerOptions options = tiny_manager(other.path());
    options.model.path = testing::tiny_model("tiny-llama", "f32", 2);
    auto manager = open_manager(options);
    const auto refused = manager->import_agent(file_, {});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::incompatible);
    EXPECT_NE(refused.error().message.find("recompute"), std::string::npos) << refused.error().message;
    EXPECT_EQ(manager->stats().agents, 0U);
    must(manager->import_agent(file_, {.recompute = true}));
    EXPECT_EQ(must(manager->transcript("a")).size(), 2U);
    const TurnResult result = say(*manager, "a", kQuestion, kAnswer);
    EXPECT_EQ(result.reused_tokens, 0U);
    EXPECT_EQ(result.tokens.size(), kAnswer);
    EXPECT_EQ(must(manager->transcript("a")).size(), 4U);
}

}  // namespace
}  // namespace engram
