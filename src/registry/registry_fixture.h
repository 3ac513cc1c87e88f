// What the registry's tests share, beside a folder for each: turns that can be told apart.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "registry/registry.h"
#include "sqlite/testing/database_fixture.h"

namespace engram {

bool operator==(const ManifestPart &a, const ManifestPart &b);
bool operator==(const Manifest &a, const Manifest &b);

class RegistryTest : public DatabaseFileTest {
  protected:
    RegistryTest() : DatabaseFileTest("registry.db") {}
    static AgentKey key(const std::string &id) { return {.tenant = "default", .id = id}; }
    std::unique_ptr<Registry> open();
    static AgentRow agent(const std::string &id);
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
