#include "registry/registry_fixture.h"

#include <algorithm>

namespace engram {

bool operator==(const ManifestPart &a, const ManifestPart &b) {
    return a.kind == b.kind && a.id.bytes == b.id.bytes && a.first_position == b.first_position && a.rows == b.rows;
}

bool operator==(const Manifest &a, const Manifest &b) {
    return a.fingerprint.bytes == b.fingerprint.bytes && a.block_tokens == b.block_tokens && a.n_kv == b.n_kv &&
           a.parts == b.parts;
}

std::unique_ptr<Registry> RegistryTest::open() {
    auto registry = Registry::open(file_);
    EXPECT_TRUE(registry) << why(registry);
    return registry ? std::move(*registry) : nullptr;
}

AgentRow RegistryTest::agent(const std::string &id) {
    AgentRow row{.key = {.tenant = "default", .id = id}};
    row.system_prompt = "You are " + id + ".";
    row.description = "an agent of a test";
    row.tools = R"([{"type":"function","function":{"name":"t"}}])";
    row.created_ms = row.updated_ms = row.last_used_ms = 1'700'000'000'000;
    return row;
}

TurnCommit Turn::commit(const AgentKey &key) const {
    TurnCommit turn{.key = key};
    turn.keep_tokens = keep_tokens;
    turn.new_tokens = tokens;
    turn.new_messages = messages;
    turn.keep_messages = keep_messages;
    turn.manifest = manifest ? &*manifest : nullptr;
    turn.now_ms = 1'700'000'001'000;
    turn.model = "tiny";
    turn.vocabulary = "0123";
    return turn;
}

void Turn::apply(Conversation &conversation) const {
    conversation.tokens.resize(keep_tokens);
    conversation.tokens.insert(conversation.tokens.end(), tokens.begin(), tokens.end());
    conversation.messages.resize(keep_messages);
    conversation.messages.insert(conversation.messages.end(), messages.begin(), messages.end());
    if (manifest) conversation.manifest = manifest;
    ++conversation.n_turns;
}

Manifest random_manifest(std::mt19937_64 &random, std::uint64_t n_kv) {
    Manifest manifest{.block_tokens = 32U << random() % 6, .n_kv = n_kv};
    std::ranges::generate(manifest.fingerprint.bytes, [&] { return static_cast<std::uint8_t>(random()); });
    for (auto n = random() % 9; n > 0; --n) {
        ManifestPart part{.kind = static_cast<PartKind>(random() % kPartKinds)};
        std::ranges::generate(part.id.bytes, [&] { return static_cast<std::uint8_t>(random()); });
        part.first_position = static_cast<Position>(random() % 100'000);
        part.rows = static_cast<std::uint32_t>(random() % 1024);
        manifest.parts.push_back(part);
    }
    return manifest;
}

Turn random_turn(std::mt19937_64 &random, const Conversation &before) {
    Turn turn{.keep_tokens = before.tokens.size(), .keep_messages = before.messages.size()};
    if (random() % 4 == 0) {
        turn.keep_tokens = random() % (turn.keep_tokens + 1);
        turn.keep_messages = random() % (turn.keep_messages + 1);
    }
    turn.tokens.resize(random() % 50);
    std::ranges::generate(turn.tokens, [&] { return static_cast<Token>(random() % 262'144); });
    for (auto n = random() % 3; n > 0; --n) {
        std::string content(random() % 200, ' ');
        std::ranges::generate(content, [&] { return static_cast<char>(random()); });  // any bytes, NUL and broken UTF-8 too
        turn.messages.push_back({.role = n == 1 ? "assistant" : "user",
                                 .content = content,
                                 .created_ms = static_cast<int>(random() % 1000),
                                 .tool_calls = random() % 2 == 0 ? "[]" : "",
                                 .tool_call_id = random() % 4 == 0 ? "call_1" : "",
                                 .thinking = content.substr(content.size() / 2),
                                 .n_tokens = random() % 100,
                                 .prefix = random() % 2 == 0 ? std::to_string(random() % 100) : "",
                                 .public_id = random() % 2 == 0 ? std::to_string(random() % 100) : ""});
    }
    if (random() % 2 == 0) turn.manifest = random_manifest(random, random() % (turn.keep_tokens + turn.tokens.size() + 1));
    return turn;
}

Result<Conversation> conversation_of(const Registry &registry, const AgentKey &key) {
    Conversation conversation;
    ENGRAM_ASSIGN(const AgentRow row, registry.get(key));
    conversation.n_turns = row.n_turns;
    ENGRAM_ASSIGN(conversation.tokens, registry.tokens(key));
    ENGRAM_ASSIGN(conversation.messages, registry.messages(key));
    ENGRAM_ASSIGN(conversation.manifest, registry.manifest(key));
    EXPECT_EQ(row.n_tokens, conversation.tokens.size());
    EXPECT_EQ(row.n_messages, conversation.messages.size());
    return conversation;
}

}  // namespace engram
