// key, tenant and usage as an operator sees them, beside a server that has the home open.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <fstream>

#include "cli/testing/program.h"
#include "tenants/tenants.h"

namespace engram::cli {
namespace {

namespace fs = std::filesystem;
using testing::Outcome;

class TenantProgramTest : public ::testing::Test {
  protected:
    Outcome run(const std::vector<std::string> &arguments) const { return place_.run(arguments); }
    nlohmann::json json(std::vector<std::string> arguments, int status = 0) const {
        arguments.emplace_back("--json");
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.status, status) << outcome.err;
        return outcome.json();
    }
    // What a server has of this home.
    std::unique_ptr<Tenants> server() const {
        fs::create_directories(place_.home());
        auto tenants = Tenants::open(place_.home());
        EXPECT_TRUE(tenants) << (tenants ? "" : tenants.error().message);
        return tenants ? std::move(*tenants) : nullptr;
    }

    static std::string bad_checks(const nlohmann::json &doctor) {
        std::string names;
        for (const auto &check : doctor["checks"]) {
            if (check["verdict"] == "bad") names += check["check"].get<std::string>() + " ";
        }
        return names;
    }

    testing::Workplace place_;
};

TEST_F(TenantProgramTest, AKeyIsPrintedOnceAndAlone) {
    const Outcome created = run({"key", "create", "--label", "laptop"});
    ASSERT_EQ(created.status, 0) << created.err;
    EXPECT_TRUE(created.out.starts_with("engram-")) << created.out;
    EXPECT_EQ(created.out.size(), kKeyBytes + 1) << "the key and a line break";
    EXPECT_NE(created.err.find("shown this once"), std::string::npos) << created.err;
    const std::string text = created.out.substr(0, kKeyBytes);
    const Outcome listed = run({"key", "list"});
    EXPECT_NE(listed.out.find("laptop"), std::string::npos) << listed.out;
    EXPECT_NE(listed.out.find(text.substr(kKeyBytes - 4)), std::string::npos);
    EXPECT_EQ((listed.out + run({"key", "list", "--json"}).out).find(text.substr(0, kKeyBytes - 4)), std::string::npos);
    const auto keys = json({"key", "list"});
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_EQ(keys[0]["scopes"], (nlohmann::json{"chat", "agents"}));
    EXPECT_EQ(keys[0]["state"], "valid");
    EXPECT_EQ(keys[0]["tenant"], "default");
    struct stat status{};
    ASSERT_EQ(::stat(tenants_path(place_.home()).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(TenantProgramTest, CommandsWorkBesideARunningServer) {
    const auto server = this->server();
    EXPECT_TRUE(server->authenticate({.local = true})) << "no key yet";
    const auto made = json({"key", "create", "--scopes", "chat,admin", "--expires", "90d"});
    const auto text = made["key"].get<std::string>();
    EXPECT_EQ(made["expires_ms"].get<std::int64_t>() - made["created_ms"].get<std::int64_t>(), 90LL * 24 * 3'600'000);
    ASSERT_TRUE(server->refresh());
    EXPECT_FALSE(server->authenticate({.local = true}));
    const auto principal = server->authenticate({.x_api_key = text});
    ASSERT_TRUE(principal);
    EXPECT_EQ(principal->scopes.text(), "chat,admin");
    const auto revoked = json({"key", "revoke", made["id"]});
    EXPECT_EQ(revoked["state"], "revoked");
    ASSERT_TRUE(server->refresh());
    EXPECT_FALSE(server->authenticate({.x_api_key = text}));
    EXPECT_EQ(json({"key", "revoke", made["id"]})["revoked_ms"], revoked["revoked_ms"]);
}

TEST_F(TenantProgramTest, TenantsAreMadeBeforeTheirKeys) {
    EXPECT_EQ(json({"key", "create", "--tenant", "team"}, 3)["error"]["code"], "not_found");
    const auto team = json({"tenant", "set", "team", "--disk", "10GiB", "--agents", "50", "--requests", "4"});
    EXPECT_EQ(team["quota"]["disk_bytes"], 10ULL << 30);
    EXPECT_EQ(team["quota"]["agents"], 50);
    EXPECT_TRUE(team["quota"]["tokens_per_minute"].is_null());
    EXPECT_EQ(json({"key", "create", "--tenant", "team"})["tenant"], "team");
    EXPECT_EQ(json({"tenant", "set", "team", "--agents", "unlimited", "--tokens-per-minute", "60000"})["quota"],
              (nlohmann::json{{"disk_bytes", 10ULL << 30},
                              {"memory_bytes", nullptr},
                              {"agents", nullptr},
                              {"tokens_per_minute", 60000},
                              {"concurrent_requests", 4}}));
    const auto tenants = json({"tenant", "list"});
    ASSERT_EQ(tenants.size(), 2U);
    EXPECT_EQ(tenants[0]["tenant"], "default");
    EXPECT_EQ(tenants[1]["valid_keys"], 1);
    EXPECT_NE(run({"tenant", "list"}).out.find("10.0 GiB"), std::string::npos) << run({"tenant", "list"}).out;
    EXPECT_EQ(json({"key", "create"})["tenant"], "default");
    EXPECT_EQ(json({"key", "list"}).size(), 2U);
    EXPECT_EQ(json({"key", "list", "--tenant", "team"}).size(), 1U);
    EXPECT_EQ(server()->quota("team").tokens_per_minute, 60000U);
}

TEST_F(TenantProgramTest, MistakesHaveTheirStatus) {
    for (const std::vector<std::string> &arguments :
         std::vector<std::vector<std::string>>{{"key", "create", "--scopes", "root"},
                                               {"key", "create", "--scopes", ""},
                                               {"key", "create", "--expires", "soon"},
                                               {"key", "create", "--expires", "0d"},
                                               {"key", "create", "--expires", "99999w"},
                                               {"key", "create", "--label", "a\nb"},
                                               {"key", "create", "--label", "\xFF"},
                                               {"key", "create", "--tenant", "a b"},
                                               {"tenant", "set", "../x"},
                                               {"tenant", "set", "a", "--disk", "much"},
                                               {"tenant", "set", "a", "--agents", "-1"},
                                               {"tenant", "set", "a", "--agents", "1.5"},
                                               {"tenant", "set", "a", "--tokens-per-minute", "1000000001"},
                                               {"tenant", "set"},
                                               {"usage", "--from", "yesterday"},
                                               {"usage", "--by", "hour"},
                                               {"usage", "--csv", "--json"}}) {
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.status, 2) << arguments.back() << outcome.err;
        EXPECT_TRUE(outcome.err.starts_with("engram: error: ")) << outcome.err;
    }
    EXPECT_EQ(run({"key", "revoke", "nobody"}).status, 3);
    EXPECT_EQ(json({"key", "list"}).size(), 0U);
    EXPECT_EQ(json({"tenant", "list"}).size(), 1U) << "no mistake made a tenant";
}

TEST_F(TenantProgramTest, LookingMakesNoHome) {
    for (const std::vector<std::string> &arguments :
         std::vector<std::vector<std::string>>{{"key", "list"}, {"tenant", "list"}, {"usage"}, {"usage", "--csv"}}) {
        EXPECT_EQ(run(arguments).status, 0);
        EXPECT_EQ(run({"key", "revoke", "nobody"}).status, 3);
        EXPECT_FALSE(fs::exists(place_.home()));
    }
}

TEST_F(TenantProgramTest, UsageIsShownAsTextJsonAndCsv) {
    const auto server = this->server();
    server->record("default", "analyst",
                   {.requests = 2, .computed_tokens = 1'000, .reused_tokens = 20'000, .generated_tokens = 70});
    server->record("team", "", {.requests = 1});
    server->record_stored("default", "analyst", 4096, 3600);
    ASSERT_TRUE(server->flush());
    const auto by_agent = json({"usage", "--by", "agent"});
    ASSERT_EQ(by_agent.size(), 2U);
    EXPECT_EQ(by_agent[0], (nlohmann::json{{"tenant", "default"},
                                           {"agent", "analyst"},
                                           {"requests", 2},
                                           {"computed_tokens", 1000},
                                           {"reused_tokens", 20000},
                                           {"generated_tokens", 70},
                                           {"stored_byte_hours", 4096.0}}));
    EXPECT_EQ(json({"usage"})[0]["requests"], 3);
    EXPECT_EQ(json({"usage", "--tenant", "team", "--by", "tenant"}).size(), 1U);
    EXPECT_EQ(json({"usage", "--to", "2020-01-01"}).size(), 0U);
    EXPECT_EQ(run({"usage", "--by", "tenant", "--csv"}).out,
              "tenant,requests,computed_tokens,reused_tokens,generated_tokens,stored_byte_hours\n"
              "default,2,1000,20000,70,4096\n"
              "team,1,0,0,0,0\n");
    const std::string table = run({"usage", "--by", "day,agent"}).out;
    EXPECT_NE(table.find("20,000"), std::string::npos) << table;
    EXPECT_NE(table.find("4.0 KiB h"), std::string::npos) << table;
}

TEST_F(TenantProgramTest, ADamagedFileIsASentence) {
    ASSERT_EQ(run({"key", "create"}).status, 0);
    {
        server();
    }
    EXPECT_EQ(bad_checks(json({"doctor"})), "");
    std::ofstream(tenants_path(place_.home())) << "no database";
    std::ofstream(ledger_path(place_.home())) << "no database";
    for (const std::vector<std::string> &arguments : std::vector<std::vector<std::string>>{
             {"key", "list"}, {"key", "create"}, {"key", "revoke", "x"}, {"tenant", "list"}, {"usage"}}) {
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.status, 4) << arguments[0] << outcome.err;
        EXPECT_NE(outcome.err.find(place_.home().string()), std::string::npos) << outcome.err;
    }
    EXPECT_EQ(bad_checks(json({"doctor"}, 4)), "tenants ledger ");
}

}  // namespace
}  // namespace engram::cli
