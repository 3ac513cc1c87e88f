// Quotas of bytes, retention and byte-hours of a running server, as its clients and its operator see them.
#include <gtest/gtest.h>

#include <chrono>
#include <format>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "chat/bounded_json.h"
#include "engine/testing/tiny_models.h"
#include "http/testing/client.h"
#include "ports/clock.h"
#include "server/server.h"
#include "sqlite/database.h"
#include "tenants/ledger.h"
#include "tenants/tenants.h"

namespace engram {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = 1 << 20;

class ServerStorageTest : public ::testing::Test {
  protected:
    void SetUp() override {
        for (const char *tenant : {"red", "blue"}) keys_[tenant] = key(tenant, "chat,agents");
        keys_["operator"] = key("default", "chat,agents,admin");
        limit("red", 100 * kMiB);
        start();
    }
    void start() {
        ServeOptions options;
        options.manager.home = home_.path();
        options.manager.model = testing::tiny_options("tiny-llama", 2048);
        options.manager.storage.block_tokens = 32;
        options.manager.storage.checkpoint_tokens = 128;
        options.port = 0;
        options.maintenance_every = 50ms;
        options.warn = [this](std::string_view sentence) {
            const std::scoped_lock lock(mutex_);
            warnings_.emplace_back(sentence);
        };
        auto server = Server::start(std::move(options));
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
    }

    TenantStore store() const { return TenantStore::open(tenants_path(home_.path())).value(); }
    std::string key(const std::string &tenant, const char *scopes) {
        const std::int64_t now = system_clock().wall_ms();
        TenantStore tenants = store();
        EXPECT_TRUE(tenants.set_tenant(tenant, [](Quota &) {}, now));
        const auto made = tenants.create_key({.tenant = tenant, .label = {}, .scopes = Scopes::parse(scopes).value()}, now);
        EXPECT_TRUE(made) << made.error().message;
        return made->text;
    }
    void limit(const std::string &tenant, std::optional<std::uint64_t> disk_bytes) {
        TenantStore tenants = store();
        EXPECT_TRUE(tenants.set_tenant(tenant, [&](Quota &quota) { quota.disk_bytes = disk_bytes; }, system_clock().wall_ms()));
    }

    struct Answer {
        int status = 0;
        std::string text;
        OrderedJson json;
    };
    Answer ask(const std::string &who, const char *method, const std::string &target, const OrderedJson &body = {}) {
        http::TestClient client(server_->port());
        const std::string text = body.is_null() ? "" : body.dump();
        const auto reply = client.ask(method, target, text, std::format("x-api-key: {}\r\n", keys_.at(who)));
        EXPECT_TRUE(reply.has_value());
        if (!reply) return {};
        return {.status = reply->status, .text = reply->body, .json = OrderedJson::parse(reply->body, nullptr, false)};
    }
    void tell(const std::string &who, const std::string &agent, int seed) {
        if (ask(who, "GET", "/v1/agents/" + agent).status == 404) {
            ASSERT_EQ(ask(who, "POST", "/v1/agents", {{"id", agent}}).status, 201);
        }
        std::string prompt;
        for (int word = 0; word < 100; ++word) prompt += std::format("word{} ", word * seed);
        const Answer answer = ask(who, "POST", "/v1/agents/" + agent + "/turn", {{"prompt", prompt}, {"max_tokens", 3}});
        ASSERT_EQ(answer.status, 200) << answer.text;
        ASSERT_EQ(ask(who, "POST", "/v1/agents/" + agent + "/save").status, 200);
    }
    // What /v1/usage says that a tenant has on disk; nothing when it doesn't name the tenant.
    std::optional<std::uint64_t> disk_bytes(const std::string &who, const std::string &tenant) {
        Answer answer = ask(who, "GET", "/v1/usage");
        for (const OrderedJson &stored : answer.json["stored"]) {
            if (stored["tenant"] == tenant) return stored["disk"]["bytes"].get<std::uint64_t>();
        }
        return std::nullopt;
    }
    static bool becomes_true(const std::function<bool()> &condition) {
        for (int tries = 0; tries < 600; ++tries) {
            if (condition()) return true;
            std::this_thread::sleep_for(50ms);
        }
        return false;
    }

    testing::TemporaryFolder home_;
    std::map<std::string, std::string> keys_;
    std::mutex mutex_;
    std::vector<std::string> warnings_;
    std::unique_ptr<Server> server_;
};

TEST_F(ServerStorageTest, AQuotaThatIsLoweredTakesKvAndNoTranscript) {
    tell("red", "a", 1);
    tell("blue", "a", 1);
    const auto red = disk_bytes("red", "red");
    const auto blue = disk_bytes("blue", "blue");
    ASSERT_TRUE(red && blue);
    EXPECT_GT(*red, 0U);
    limit("red", *red / 2);
    EXPECT_TRUE(becomes_true([&] { return disk_bytes("red", "red").value_or(0) <= *red / 2; }));
    EXPECT_GT(disk_bytes("red", "red"), 0U);
    EXPECT_EQ(disk_bytes("blue", "blue"), blue);
    EXPECT_EQ(ask("red", "GET", "/v1/agents/a/transcript").json["messages"].size(), 2U);
    // The turn that doesn't fit any more is answered all the same.
    const Answer turn = ask("red", "POST", "/v1/agents/a/turn", {{"prompt", std::string(300, 'x')}, {"max_tokens", 3}});
    EXPECT_EQ(turn.status, 200) << turn.text;
    EXPECT_EQ(ask("red", "POST", "/v1/agents/a/save").status, 507);
    EXPECT_EQ(ask("blue", "POST", "/v1/agents/a/save").status, 200);
    EXPECT_LE(disk_bytes("red", "red"), *red / 2);
    const std::string metrics = ask("operator", "GET", "/metrics").text;
    EXPECT_NE(metrics.find(std::format("engram_tenant_disk_limit_bytes{{tenant=\"red\"}} {}\n", *red / 2)), std::string::npos)
        << metrics;
    EXPECT_NE(metrics.find("engram_tenant_disk_bytes{tenant=\"blue\"} "), std::string::npos);
    EXPECT_EQ(metrics.find("engram_tenant_refused_parts_total{tenant=\"red\"} 0\n"), std::string::npos);
    EXPECT_NE(metrics.find("engram_tenant_refused_parts_total{tenant=\"blue\"} 0\n"), std::string::npos);
}

TEST_F(ServerStorageTest, QuotasHoldFromTheFirstRequestOn) {
    tell("red", "a", 1);
    ASSERT_TRUE(server_->stop(10s));
    server_.reset();
    limit("red", 0);
    start();
    EXPECT_EQ(disk_bytes("red", "red"), 0U);
    EXPECT_EQ(ask("red", "GET", "/v1/agents/a").json["tier"], "none");
}

TEST_F(ServerStorageTest, NobodyIsShownWhatOthersHave) {
    tell("red", "a", 1);
    tell("blue", "b", 2);
    EXPECT_FALSE(disk_bytes("red", "blue").has_value());
    EXPECT_TRUE(disk_bytes("operator", "red").has_value());
    EXPECT_TRUE(disk_bytes("operator", "blue").has_value());
    EXPECT_EQ(ask("red", "GET", "/v1/usage?tenant=blue").status, 403);
    EXPECT_NE(ask("operator", "GET", "/v1/usage?tenant=blue&by=agent").text.find(R"("tenant":"blue","agent":"b")"),
              std::string::npos);
    const Answer mine = ask("red", "GET", "/v1/usage?by=agent");
    EXPECT_NE(mine.text.find(R"("tenant":"red","agent":"a")"), std::string::npos) << mine.text;
    EXPECT_EQ(mine.text.find("blue"), std::string::npos);
    const Answer csv = ask("red", "GET", "/v1/usage?by=tenant&format=csv");
    EXPECT_TRUE(csv.text.starts_with("tenant,requests,computed_tokens,reused_tokens,generated_tokens,stored_byte_hours\nred,1,"))
        << csv.text;
    EXPECT_EQ(csv.text.find("blue"), std::string::npos);
    for (const char *target : {"/metrics", "/v1/store"}) EXPECT_EQ(ask("red", "GET", target).status, 403) << target;
    for (const char *wrong : {"?by=hour", "?from=yesterday", "?format=xml"}) {
        EXPECT_EQ(ask("red", "GET", std::string("/v1/usage") + wrong).status, 400) << wrong;
    }
}

TEST_F(ServerStorageTest, RetentionIsSetByRequests) {
    EXPECT_EQ(ask("red", "POST", "/v1/agents", {{"id", "a"}, {"retention", "24h"}}).json["retention"], "24h");
    EXPECT_EQ(ask("red", "PATCH", "/v1/agents/a", {{"retention", "forever"}}).json["retention"], "forever");
    EXPECT_EQ(ask("red", "PATCH", "/v1/agents/a", {{"pinned", false}}).json["retention"], "forever");
    EXPECT_EQ(ask("red", "PATCH", "/v1/agents/a", {{"retention", "2h"}}).status, 400);
    const OrderedJson text{
        {"type", "text"}, {"text", "Remember this."}, {"cache_control", {{"type", "ephemeral"}, {"ttl", "1h"}}}};
    const OrderedJson message{{"role", "user"}, {"content", OrderedJson::array({text})}};
    http::TestClient client(server_->port());
    const OrderedJson body{{"model", "tiny-llama-f32-1"}, {"max_tokens", 3}, {"messages", OrderedJson::array({message})}};
    const auto reply = client.ask("POST", "/v1/messages", body.dump(),
                                  std::format("x-api-key: {}\r\nanthropic-version: 2023-06-01\r\n", keys_.at("red")));
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->status, 200) << reply->body;
    const Answer agent = ask("red", "GET", "/v1/agents/" + reply->header("x-engram-agent"));
    EXPECT_EQ(agent.json["retention"], "1h") << agent.text;
}

TEST_F(ServerStorageTest, ByteHoursAreCountedForWhoHasThem) {
    const std::int64_t began_us = system_clock().steady_us();
    tell("red", "a", 1);
    const std::uint64_t bytes = disk_bytes("red", "red").value_or(0);
    const auto byte_hours = [&] {
        Answer answer = ask("red", "GET", "/v1/usage?by=agent");
        for (const OrderedJson &row : answer.json["usage"]) {
            if (row["agent"] == "a") return row["stored_byte_hours"].get<double>();
        }
        return 0.0;
    };
    EXPECT_TRUE(becomes_true([&] { return byte_hours() > 0; }));
    ASSERT_TRUE(server_->stop(10s));
    server_.reset();
    const std::int64_t seconds = (system_clock().steady_us() - began_us) / 1'000'000 + 1;
    auto ledger = Ledger::open(ledger_path(home_.path()), system_clock());
    ASSERT_TRUE(ledger) << ledger.error().message;
    const auto rows = (*ledger)->query({.columns = UsageColumns::parse("agent").value()});
    ASSERT_TRUE(rows) << rows.error().message;
    for (const UsageRow &row : *rows) {
        EXPECT_LE(row.usage.stored_byte_seconds, bytes * static_cast<std::uint64_t>(seconds));
        if (row.tenant != "red") {
            EXPECT_EQ(row.usage.stored_byte_seconds, 0U) << row.tenant << "/" << row.agent;
        }
    }
}

TEST_F(ServerStorageTest, DamageInTheTenantsFileIsTold) {
    {
        auto database = sqlite::Database::open(tenants_path(home_.path()));
        ASSERT_TRUE(database) << database.error().message;
        ASSERT_TRUE(database->execute("UPDATE tenants SET agents = 7 WHERE name = 'blue'"));
    }
    EXPECT_TRUE(becomes_true([&] {
        const std::scoped_lock lock(mutex_);
        return !warnings_.empty();
    }));
    const std::scoped_lock lock(mutex_);
    ASSERT_EQ(warnings_.size(), 1U) << "once";
    EXPECT_NE(warnings_[0].find("tenant blue is damaged"), std::string::npos) << warnings_[0];
    EXPECT_EQ(ask("red", "GET", "/health/ready").json["problems"], 1);
    EXPECT_EQ(ask("blue", "GET", "/v1/agents").status, 401);
}

}  // namespace
}  // namespace engram
