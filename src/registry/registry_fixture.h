// What the registry's tests share: a folder of its own for each test, and turns that can be told apart.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "registry/registry.h"

namespace engram {

bool operator==(const ManifestPart &a, const ManifestPart &b);
bool operator==(const Manifest &a, const Manifest &b);

// Message of a failed result, or "" of a good one: for EXPECT_TRUE(r) << why(r).
template <typename T>
std::string why(const Result<T> &result) {
    return result ? "" : std::string(error_code_name(result.error().code)) + ": " + result.error().message;
}

template <typename T>
ErrorCode code_of(const Result<T> &result) {
    EXPECT_FALSE(result) << "an error was expected";
    return result ? ErrorCode::internal : result.error().code;
}

class RegistryTest : public testing::Test {
  public:
    RegistryTest();
    ~RegistryTest() override;

  protected:
    static AgentKey key(const std::string &id) { return {.tenant = "default", .id = id}; }
    std::unique_ptr<Registry> open();
    static AgentRow agent(const std::string &id);
    // Runs SQL through a connection of its own, as a damaged disk or a person with the sqlite3 shell would.
    void tamper(const std::string &sql);
    std::int64_t query(const std::string &sql);  // the first column of the first row

    std::filesystem::path folder_;
    std::filesystem::path file_;
};

// Everything that the registry keeps of one agent's conversation, and a turn that changes it.
struct Conversation {
    std::vector<Token> tokens;
    std::vector<MessageRow> messages;
    std::optional<Manifest> manifest;
    std::uint64_t n_turns = 0;

    bool operator==(const Conversation &) const = default;
};

struct Turn {
    std::uint64_t keep_tokens = 0, keep_messages = 0;
    std::vector<Token> tokens;
    std::vector<MessageRow> messages;
    std::optional<Manifest> manifest;

    TurnCommit commit(const AgentKey &key) const;
    void apply(Conversation &conversation) const;
};

// A random turn after `before`: mostly an extension, now and then from somewhere in the middle.
Turn random_turn(std::mt19937_64 &random, const Conversation &before);
Manifest random_manifest(std::mt19937_64 &random, std::uint64_t n_kv);
// Reads all of an agent; an error when any part of it can't be read.
Result<Conversation> conversation_of(const Registry &registry, const AgentKey &key);

}  // namespace engram
