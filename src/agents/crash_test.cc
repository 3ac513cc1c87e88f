// kill -9 at random moments: what was acknowledged is there afterwards, whole, and nothing else is.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <format>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "agents/paths.h"
#include "agents/testing_manager.h"
#include "core/testing/test_seed.h"
#include "registry/registry.h"
#include "store/part_file.h"

namespace engram {
namespace {

using namespace testing;

constexpr int kRounds = 100;
constexpr int kRoundsBetweenChecks = 10;
constexpr std::uint64_t kLongConversation = 600;  // tokens; then the agent is replaced by a new one

std::string hash_of(std::string_view text) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return std::format("{:016x}-{}", hash, text.size());
}

// No two agents begin alike, so that none finds KV that another one computed in other pieces (see compare_with_control): neither
// a block in the store nor, from some tokens on, cells of an agent in the context.
std::string system_prompt(const std::string &id) { return hash_of(id) + " is the number of agent " + id + ", and of no other."; }

class Random {
  public:
    explicit Random(std::uint32_t seed) : engine_(seed) {}
    std::size_t up_to(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n)(engine_); }
    template <std::size_t N>
    auto pick(const int (&list)[N]) {
        return list[up_to(N - 1)];
    }

  private:
    std::mt19937 engine_;
};

// The process that gets killed. Everything it tells goes through the pipe, one line a write, so that no line is cut.
//
//   turn ID NUMBER MAX_TOKENS MISS HASH    the answer was handed out: NUMBER turns must be there from now on
//   removing ID, removed ID                around the removal
//   broken WHAT                            something that must not happen in a living process
class Victim {
  public:
    Victim(AgentManager &manager, int pipe, std::uint32_t seed) : manager_(manager), pipe_(pipe), random_(seed), seed_(seed) {}

    [[noreturn]] void run() {
        for (;;) {
            turn(agent_in(random_.up_to(2)));
            if (random_.up_to(4) == 0) play_with_spare();
        }
    }

  private:
    void tell(const std::string &line) {
        const std::string whole = line + "\n";
        if (write(pipe_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size())) _exit(1);
    }

    template <typename T>
    T get(Result<T> result) {
        if (!result) {
            tell("broken " + result.error().message);
            _exit(1);
        }
        if constexpr (!std::is_void_v<T>) return std::move(*result);
    }

    std::string agent_in(std::size_t slot) {
        const std::string prefix = std::format("slot{}-", slot);
        for (const AgentInfo &info : get(manager_.list())) {
            if (!info.id.starts_with(prefix)) continue;
            if (info.n_tokens < kLongConversation) return info.id;
            tell("removing " + info.id);
            get(manager_.remove(info.id));
            tell("removed " + info.id);
        }
        const std::string id = std::format("{}{}-{}", prefix, seed_, ++created_);
        get(manager_.create({.id = id, .system_prompt = system_prompt(id)}));
        return id;
    }

    void turn(const std::string &id) {
        const std::uint64_t number = get(manager_.get(id)).n_turns + 1;
        const auto max_tokens = static_cast<std::uint32_t>(random_.pick({1, 6, 20, 50}));
        const auto words = static_cast<std::size_t>(random_.pick({1, 4, 20, 70}));
        std::string streamed;
        std::size_t pieces = 0;
        bool told = false;
        const TurnResult result = get(manager_.generate(id, {.prompt = filler(words, static_cast<int>(random_.up_to(30))),
                                                             .max_tokens = max_tokens,
                                                             .on_text = [&](std::string_view piece) {
                                                                 streamed += piece;
                                                                 ++pieces;
                                                                 // With the last piece the turn is committed; whether it reused
                                                                 // all it could isn't known yet.
                                                                 told = get(manager_.get(id)).n_turns == number;
                                                                 if (told)
                                                                     tell(std::format("turn {} {} {} unknown {}", id, number,
                                                                                      max_tokens, hash_of(streamed)));
                                                             }}));
        if (!told && pieces > 1) tell("broken: the last piece came before the commit");
        if (!result.warning.empty()) tell("broken: " + result.warning);
        if (result.reused_tokens + result.computed_tokens != result.prompt_tokens) tell("broken: tokens don't add up");
        tell(std::format("turn {} {} {} {} {}", id, number, max_tokens, result.miss ? "miss" : "whole", hash_of(result.text)));
    }

    // Forked, said something to, renamed, removed; in whatever state the last process left it.
    void play_with_spare() {
        const auto exists = [&](const char *id) { return manager_.get(id).has_value(); };
        if (exists("renamed")) {
            get(manager_.remove("renamed"));
        } else if (exists("spare")) {
            get(manager_.generate("spare", {.prompt = "and you?", .max_tokens = 4}));
            get(manager_.rename("spare", "renamed"));
        } else {
            get(manager_.fork(agent_in(0), "spare"));
        }
    }

    AgentManager &manager_;
    const int pipe_;
    Random random_;
    const std::uint32_t seed_;
    int created_ = 0;
};

struct AcknowledgedTurn {
    std::uint32_t max_tokens = 0;
    bool whole = false;  // nothing that had been committed was computed again
    std::string hash;
};

using Turns = std::map<std::uint64_t, AcknowledgedTurn>;  // by number

class CrashTest : public ::testing::Test {
  protected:
    ManagerOptions options(const std::filesystem::path &home) const {
        ManagerOptions options = tiny_manager(home);
        options.model.context_tokens = 1024;
        options.storage.checkpoint_tokens = 32;
        return options;
    }

    // Starts a victim and kills it after so many lines and that long a time.
    void kill_one(Random &random, std::uint32_t round_seed) {
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            close(ends[0]);
            auto manager = AgentManager::open(options(home_.path()));
            if (!manager) {
                const std::string line = "broken " + manager.error().message + "\n";
                static_cast<void>(!write(ends[1], line.data(), line.size()));
                _exit(1);
            }
            Victim(**manager, ends[1], round_seed).run();
        }
        close(ends[1]);
        std::string said;
        const std::size_t lines = random.up_to(6);
        while (static_cast<std::size_t>(std::ranges::count(said, '\n')) < lines && read_some(ends[0], said)) {
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random.up_to(60'000)));
        kill(child, SIGKILL);
        while (read_some(ends[0], said)) {
        }
        close(ends[0]);
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "it ended on its own: " << status << "\n" << said;
        take_in(said);
    }

    static bool read_some(int pipe, std::string &text) {
        char buffer[4096];
        const ssize_t n = read(pipe, buffer, sizeof buffer);
        if (n > 0) text.append(buffer, static_cast<std::size_t>(n));
        return n > 0;
    }

    void take_in(const std::string &said) {
        std::istringstream lines(said);
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            std::string what, id, miss;
            words >> what >> id;
            if (what == "turn") {
                std::uint64_t number = 0;
                AcknowledgedTurn turn;
                words >> number >> turn.max_tokens >> miss >> turn.hash;
                turn.whole = miss == "whole";
                const auto [known, added] = acknowledged_[id].insert({number, turn});
                EXPECT_EQ(known->second.hash, turn.hash) << "one turn, two answers";
                known->second = turn;
                turns_ += added ? 1U : 0U;
            } else if (what == "removing") {
                acknowledged_.erase(id);
            } else if (what == "removed") {
                removed_.insert(id);
            } else {
                ADD_FAILURE() << line;
            }
        }
    }

    void check() {
        {
            open_manager(options(home_.path()));
        }  // puts in order what the kill left
        check_files();
        auto manager = open_manager(options(home_.path()));
        ASSERT_NE(manager, nullptr);
        std::set<std::string> there;
        for (const AgentInfo &info : must(manager->list())) {
            there.insert(info.id);
            check_agent(*manager, info);
        }
        for (const std::string &id : removed_) EXPECT_FALSE(there.contains(id)) << id << " came back";
        for (const auto &[id, turns] : acknowledged_) EXPECT_TRUE(there.contains(id)) << id << " was lost";
        EXPECT_EQ(manager->stats().refused_corrupt, 0U) << "a kill leaves nothing that looks whole and isn't";
        manager.reset();
        compare_with_control();
    }

    // Every file is one that a manifest names: no temporary files, no orphans.
    void check_files() {
        std::set<std::string> named;
        const auto registry = must(Registry::open(registry_path(home_.path())));
        must(registry->for_each_manifest([&](const AgentRow &row, const Result<Manifest> &manifest) {
            ASSERT_TRUE(manifest.has_value()) << row.key.id;
            for (const ManifestPart &part : manifest->parts) named.insert(part_file_name({.id = part.id, .kind = part.kind}));
        }));
        for (const auto &entry : std::filesystem::recursive_directory_iterator(store_path(home_.path()))) {
            if (!entry.is_regular_file() || entry.path().filename() == "lock") continue;
            EXPECT_TRUE(named.contains(entry.path().filename().string())) << entry.path();
        }
    }

    void check_agent(AgentManager &manager, const AgentInfo &info) {
        SCOPED_TRACE(info.id);
        const std::vector<Message> messages = must(manager.transcript(info.id));
        EXPECT_EQ(messages.size(), info.n_messages);
        EXPECT_EQ(must(manager.tokens(info.id)).size(), info.n_tokens);
        ASSERT_EQ(messages.size(), 2 * info.n_turns) << "a turn is there with question and answer, or not at all";
        for (std::size_t i = 0; i < messages.size(); ++i) EXPECT_EQ(messages[i].role, i % 2 == 0 ? "user" : "assistant");
        const auto found = acknowledged_.find(info.id);
        const Turns turns = found == acknowledged_.end() ? Turns{} : found->second;
        for (const auto &[number, turn] : turns) {
            ASSERT_LE(number, info.n_turns) << "an acknowledged turn was lost";
            EXPECT_EQ(hash_of(messages[2 * number - 1].content), turn.hash) << "turn " << number;
        }
        const TurnResult result = must(manager.generate(info.id, {.prompt = "still there?", .max_tokens = 5}));
        EXPECT_EQ(result.reused_tokens + result.computed_tokens, result.prompt_tokens);
        EXPECT_EQ(result.warning, "");
        if (!info.id.starts_with("slot")) return;  // a spare may be gone, or another's copy, before the next check
        transcripts_[info.id] = messages;
        acknowledged_[info.id][info.n_turns + 1] = {
            .max_tokens = 5, .whole = !result.miss.has_value(), .hash = hash_of(result.text)};
    }

    // The same conversations without any kill, in a home of their own. As long as each turn found all its KV, its answer is the
    // control's, to the letter. Where KV was lost with the process, tokens that were once decoded one by one were computed again
    // in one piece, which rounds differently: nothing is claimed from there on, nor beyond a turn that was committed and whose
    // end was never heard of.
    void compare_with_control() {
        auto control = open_manager(options(control_home_.path()));
        for (const auto &[id, messages] : transcripts_) {
            if (!control->get(id)) must(control->create({.id = id, .system_prompt = system_prompt(id)}));
            const Turns &turns = acknowledged_[id];
            std::uint64_t number = must(control->get(id)).n_turns + 1;
            for (auto turn = turns.find(number); turn != turns.end() && turn->second.whole; turn = turns.find(++number)) {
                if (2 * number > messages.size()) break;
                const std::string &prompt = messages[2 * number - 2].content;
                const TurnResult result = must(control->generate(id, {.prompt = prompt, .max_tokens = turn->second.max_tokens}));
                EXPECT_EQ(result.text, messages[2 * number - 1].content) << id << ", turn " << number;
                ++compared_;
            }
        }
        transcripts_.clear();
    }

    TemporaryFolder home_, control_home_;
    std::map<std::string, std::vector<Message>> transcripts_;  // of the check under way
    std::map<std::string, Turns> acknowledged_;
    std::set<std::string> removed_;
    std::size_t turns_ = 0, compared_ = 0;
};

TEST_F(CrashTest, AcknowledgedTurnsSurviveKills) {
    const auto seed = static_cast<std::uint32_t>(test_seed());
    Random random(seed);
    options(home_.path());  // the model's file is written before the first fork
    for (int round = 0; round < kRounds && !HasFailure(); ++round) {
        SCOPED_TRACE(std::format("round {}, ENGRAM_TEST_SEED={}", round, seed));
        kill_one(random, seed + static_cast<std::uint32_t>(round));
        if (round % kRoundsBetweenChecks == kRoundsBetweenChecks - 1) check();
    }
    std::cout << turns_ << " acknowledged turns, " << compared_ << " of them equal to the control's\n";
    EXPECT_GE(turns_, static_cast<std::size_t>(kRounds) / 2) << "the kills came before anything had happened";
    EXPECT_GT(compared_, 0U);
}

}  // namespace
}  // namespace engram
