// Random operations on the registry and on a map: both must say the same, before and after each restart.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/testing/test_seed.h"
#include "registry/registry_fixture.h"

namespace engram {
namespace {

constexpr int kOperations = 1500;

class RegistryModelTest : public RegistryTest {
  protected:
    struct Agent {
        AgentRow row;
        Conversation conversation;
    };

    AgentKey random_key() {
        return {.tenant = random_() % 4 == 0 ? "other" : "default", .id = "agent" + std::to_string(random_() % 8)};
    }

    // The outcome must be the model's, in success and in code.
    template <typename T>
    bool expect(const Result<T> &result, std::optional<ErrorCode> error) {
        EXPECT_EQ(result ? std::nullopt : std::optional(result.error().code), error) << why(result);
        return result.has_value() && !error;
    }

    void create(const AgentKey &key) {
        AgentRow row = agent(key.id);
        row.key = key;
        if (expect(registry_->create(row), absent(key) ? std::nullopt : std::optional(ErrorCode::already_exists))) {
            agents_[{key.tenant, key.id}] = {.row = row};
        }
    }

    void remove(const AgentKey &key) {
        if (expect(registry_->remove(key), missing(key))) agents_.erase({key.tenant, key.id});
    }

    void rename(const AgentKey &key) {
        const AgentKey target{.tenant = key.tenant, .id = random_key().id};
        if (!expect(registry_->rename(key, target.id), missing_or_taken(key, target))) return;
        auto node = agents_.extract({key.tenant, key.id});
        node.key() = {target.tenant, target.id};
        node.mapped().row.key = target;
        agents_.insert(std::move(node));
    }

    void fork(const AgentKey &key) {
        const AgentKey target{.tenant = key.tenant, .id = random_key().id};
        if (!expect(registry_->fork(key, target.id, ++now_), missing_or_taken(key, target))) return;
        Agent copy = agents_.at({key.tenant, key.id});
        copy.row.key = target;
        copy.row.forked_from = key.id;
        copy.row.forked_at = copy.row.updated_ms;
        copy.row.created_ms = copy.row.updated_ms = copy.row.last_used_ms = now_;
        copy.row.pinned = false;
        agents_[{target.tenant, target.id}] = std::move(copy);
    }

    void commit(const AgentKey &key) {
        const auto found = agents_.find({key.tenant, key.id});
        const Turn turn = random_turn(random_, found == agents_.end() ? Conversation{} : found->second.conversation);
        TurnCommit change = turn.commit(key);
        change.now_ms = ++now_;
        if (!expect(registry_->commit_turn(change), missing(key))) return;
        turn.apply(found->second.conversation);
        AgentRow &row = found->second.row;
        row.updated_ms = std::max(now_, row.updated_ms + 1);
        row.last_used_ms = now_;
        row.n_tokens = found->second.conversation.tokens.size();
        row.n_messages = found->second.conversation.messages.size();
        ++row.n_turns;
        row.model = change.model;
        row.vocabulary = change.vocabulary;
    }

    void set_or_clear_manifest(const AgentKey &key) {
        if (random_() % 2 == 0) {
            if (expect(registry_->clear_manifest(key), missing(key))) agents_[{key.tenant, key.id}].conversation.manifest.reset();
            return;
        }
        const auto found = agents_.find({key.tenant, key.id});
        const Manifest manifest = random_manifest(random_, found == agents_.end() ? 0 : found->second.row.n_tokens);
        if (expect(registry_->set_manifest(key, manifest), missing(key))) found->second.conversation.manifest = manifest;
    }

    void pin_or_touch(const AgentKey &key) {
        const bool pinned = random_() % 2 == 0;
        if (expect(registry_->set_pinned(key, pinned), missing(key))) agents_[{key.tenant, key.id}].row.pinned = pinned;
        ++now_;
        if (expect(registry_->touch(key, now_), missing(key))) agents_[{key.tenant, key.id}].row.last_used_ms = now_;
    }

    void step() {
        const AgentKey key = random_key();
        switch (random_() % 16) {
            case 0:
            case 1: return create(key);
            case 2: return remove(key);
            case 3: return rename(key);
            case 4: return fork(key);
            case 5: return set_or_clear_manifest(key);
            case 6: return pin_or_touch(key);
            default: return commit(key);
        }
    }

    void compare() {
        const auto rows = registry_->list("");
        ASSERT_TRUE(rows) << why(rows);
        EXPECT_EQ(rows->size(), agents_.size());
        std::size_t manifests = 0;
        for (const auto &[name, agent] : agents_) {
            EXPECT_EQ(registry_->get(agent.row.key).value(), agent.row);
            EXPECT_EQ(conversation_of(*registry_, agent.row.key).value(), agent.conversation);
            manifests += agent.conversation.manifest.has_value();
        }
        EXPECT_TRUE(registry_->for_each_manifest([&](const AgentRow &row, const Result<Manifest> &manifest) {
            EXPECT_EQ(manifest.value(), agents_.at({row.key.tenant, row.key.id}).conversation.manifest);
            --manifests;
        }));
        EXPECT_EQ(manifests, 0U);
    }

    std::unique_ptr<Registry> registry_;
    std::mt19937_64 random_;

  private:
    bool absent(const AgentKey &key) const { return !agents_.contains({key.tenant, key.id}); }
    std::optional<ErrorCode> missing(const AgentKey &key) const {
        return absent(key) ? std::optional(ErrorCode::not_found) : std::nullopt;
    }
    std::optional<ErrorCode> missing_or_taken(const AgentKey &key, const AgentKey &target) const {
        if (absent(key)) return ErrorCode::not_found;
        return absent(target) ? std::nullopt : std::optional(ErrorCode::already_exists);
    }

    std::map<std::pair<std::string, std::string>, Agent> agents_;
    std::int64_t now_ = 1'000;
};

TEST_F(RegistryModelTest, RandomOperations) {
    random_.seed(test_seed());
    registry_ = open();
    for (int i = 0; i < kOperations && !HasFailure(); ++i) {
        step();
        if (i % 50 != 0) continue;
        compare();
        registry_.reset();
        registry_ = open();
        compare();
    }
    compare();
}

}  // namespace
}  // namespace engram
