#include "agents/preloader.h"

#include <algorithm>
#include <chrono>
#include <format>

#include "ports/clock.h"

namespace engram {
namespace {

constexpr std::int64_t kGraceMs = 5 * 60'000;       // that a guess may be late and still of use
constexpr std::int64_t kAskedForMs = 60 * 60'000;   // the same, of what was asked for
constexpr std::int64_t kWriteAfterUs = 60'000'000;  // habits reach the registry so long after they changed
constexpr std::int64_t kPauses = 3;                 // beside running turns: times as long as a part took
constexpr std::int64_t kLongestPauseUs = 100'000;
constexpr std::int64_t kLongestWaitMs = 60 * 60'000;  // the wall clock may jump meanwhile

std::int64_t wall_ms() { return system_clock().wall_ms(); }
std::int64_t steady_us() { return system_clock().steady_us(); }

std::string claimant_of(const AgentKey &key) { return key.tenant + "/" + key.id; }

}  // namespace

Preloader::Preloader(Parts parts, Settings settings, Committed committed)
    : parts_(parts), settings_(settings), committed_(std::move(committed)) {
    thread_ = std::jthread([this](const std::stop_token &stop) { run(stop); });
}

Preloader::~Preloader() {
    thread_.request_stop();
    thread_.join();
    write_habits();
}

Result<void> Preloader::ask(const AgentKey &key) {
    std::promise<Result<void>> promise;
    std::future<Result<void>> result = promise.get_future();
    {
        const std::scoped_lock lock(mutex_);
        asked_.push_back({.key = key, .asked = std::move(promise)});
    }
    changed_.notify_all();
    return result.get();
}

void Preloader::began(const AgentKey &key) {
    {
        const std::scoped_lock lock(mutex_);
        ++running_[key];
        if (reading_ == key) overtaken_ = true;
    }
    changed_.notify_all();
}

void Preloader::ended(const AgentKey &key, std::optional<std::string_view> tier) {
    const Lock lock(mutex_);
    if (tier) settle(lock, key, *tier == tier_name(Tier::memory) || *tier == tier_name(Tier::hot));
    if (const auto place = running_.find(key); --place->second == 0) running_.erase(place);
}

void Preloader::learn(const AgentKey &key, std::int64_t began_ms) {
    {
        const Lock lock = when_restored();
        predictors_[key.tenant].learn(key.id, began_ms, wall_ms());
        std::erase_if(tried_, [&](const AgentKey &tried) { return tried.tenant == key.tenant; });
        look_ = true;
        if (!unwritten_since_us_) unwritten_since_us_ = steady_us();
    }
    changed_.notify_all();
}

void Preloader::forget(const AgentKey &key) {
    const Lock lock = when_restored();
    if (const auto predictor = predictors_.find(key.tenant); predictor != predictors_.end()) predictor->second.forget(key.id);
    settle(lock, key, false);
}

void Preloader::rename(const AgentKey &key, std::string_view new_id) {
    const Lock lock = when_restored();
    if (const auto predictor = predictors_.find(key.tenant); predictor != predictors_.end()) {
        predictor->second.rename(key.id, new_id);
    }
    if (auto node = waiting_.extract(key)) {
        node.key().id = new_id;
        waiting_.insert(std::move(node));
    }
}

Preloader::Counts Preloader::counts() {
    const Lock lock(mutex_);
    settle_old(lock);
    return counts_;
}

void Preloader::settle(const Lock &, const AgentKey &key, bool used) {
    const auto place = waiting_.find(key);
    if (place == waiting_.end()) return;
    ManagerStats::Preloads &counts = counts_of(place->second);
    ++(used ? counts.hits : counts.wasted);
    waiting_.erase(place);
}

// What has left memory, or has waited for too long, was brought in for nothing.
void Preloader::settle_old(const Lock &held) {
    const std::int64_t now = wall_ms();
    std::vector<AgentKey> old;
    for (const auto &[key, waiting] : waiting_) {
        const bool there =
            std::ranges::all_of(waiting.parts, [&](const PartKey &part) { return parts_.store.find(part) == Tier::memory; });
        if ((!there && !running_.contains(key)) || now >= waiting.until_ms) old.push_back(key);
    }
    for (const AgentKey &key : old) settle(held, key, false);
}

// Here, so that a server with many agents is ready before their habits are read.
void Preloader::restore_habits() {
    auto rows = parts_.registry.habits();
    {
        const std::scoped_lock lock(mutex_);
        if (rows) {
            for (HabitRow &row : *rows) predictors_[row.tenant].restore(std::move(row.habit));
            look_ = !rows->empty();  // somebody may be due
        }
        restored_ = true;
    }
    changed_.notify_all();
}

Preloader::Lock Preloader::when_restored() {
    Lock lock(mutex_);
    changed_.wait(lock, [this] { return restored_; });
    return lock;
}

void Preloader::run(const std::stop_token &stop) {
    restore_habits();
    Lock lock(mutex_);
    while (!stop.stop_requested()) {
        if (std::optional<Job> job = next_job(lock)) {
            reading_ = job->key;
            overtaken_ = running_.contains(job->key);
            last_part_us_.reset();
            lock.unlock();
            serve(std::move(*job), stop);
            lock.lock();
            reading_.reset();
            continue;
        }
        if (unwritten_since_us_ && steady_us() - *unwritten_since_us_ >= kWriteAfterUs) {
            lock.unlock();
            write_habits();
            lock.lock();
            continue;
        }
        wait_for_work(lock, stop);
    }
    for (Job &job : asked_) job.asked->set_value(fail(ErrorCode::cancelled, "the agents' memory is being closed"));
    asked_.clear();
}

// Until somebody asks, a turn is learned, or the time comes at which somebody may be expected or habits are to be written.
void Preloader::wait_for_work(Lock &held, const std::stop_token &stop) {
    const std::int64_t now = wall_ms();
    std::int64_t wait_ms = kLongestWaitMs;
    if (unwritten_since_us_) wait_ms = std::min(wait_ms, (*unwritten_since_us_ + kWriteAfterUs - steady_us()) / 1000);
    if (settings_.guesses) {
        for (const auto &[tenant, predictor] : predictors_) {
            if (const auto look = predictor.next_look_ms(now)) wait_ms = std::min(wait_ms, *look - now);
        }
    }
    changed_.wait_for(held, stop, std::chrono::milliseconds(std::max<std::int64_t>(wait_ms, 1)),
                      [this] { return look_ || !asked_.empty(); });
}

std::optional<Preloader::Job> Preloader::next_job(const Lock &held) {
    settle_old(held);
    const std::int64_t now = wall_ms();
    if (!asked_.empty()) {
        Job job = std::move(asked_.front());
        asked_.pop_front();
        job.until_ms = now + kAskedForMs;
        job.kept = kept_beside(held, job.key, 2, now);  // more than certain: only what runs or was asked for matters as much
        return job;
    }
    look_ = false;
    return settings_.guesses ? best_guess(held, now) : std::nullopt;
}

std::optional<Preloader::Job> Preloader::best_guess(const Lock &held, std::int64_t now_ms) {
    std::optional<Job> best;
    double best_probability = 0;
    for (const auto &[tenant, predictor] : predictors_) {
        for (const ExpectedTurn &turn : predictor.expected(now_ms)) {
            if (turn.probability < settings_.probability || turn.probability <= best_probability) break;
            const AgentKey key{.tenant = tenant, .id = turn.agent};
            if (running_.contains(key) || waiting_.contains(key) || tried_.contains(key)) continue;
            best = Job{.key = key, .until_ms = turn.until_ms + kGraceMs};
            best_probability = turn.probability;
        }
    }
    if (!best) return std::nullopt;
    tried_.insert(best->key);
    best->kept = kept_beside(held, best->key, best_probability, now_ms);
    return best;
}

// The tenant's agents whose KV matters at least as much: that run, were asked for, or are as likely to.
std::vector<std::string> Preloader::kept_beside(const Lock &, const AgentKey &key, double probability,
                                                std::int64_t now_ms) const {
    std::set<std::string> kept{claimant_of(key)};
    for (const auto &[agent, turns] : running_) {
        if (agent.tenant == key.tenant) kept.insert(claimant_of(agent));
    }
    for (const auto &[agent, waiting] : waiting_) {
        if (waiting.asked && agent.tenant == key.tenant) kept.insert(claimant_of(agent));
    }
    if (const auto predictor = predictors_.find(key.tenant); predictor != predictors_.end()) {
        for (const ExpectedTurn &turn : predictor->second.expected(now_ms)) {
            if (turn.probability >= probability) kept.insert(claimant_of({.tenant = key.tenant, .id = turn.agent}));
        }
    }
    return {kept.begin(), kept.end()};
}

void Preloader::serve(Job job, const std::stop_token &stop) {
    Result<void> result = preload(job, stop);
    if (job.asked) job.asked->set_value(std::move(result));  // a guess that fails is no loss to anybody
}

Result<void> Preloader::preload(Job &job, const std::stop_token &stop) {
    const AgentKey &key = job.key;
    const bool hot = parts_.engine.call([&] {
        const Resident *resident = parts_.engine.find(key);
        return resident != nullptr && !resident->kv.empty();
    });
    if (hot) return {};
    ENGRAM_ASSIGN(TurnPlan plan, committed_(key));
    if (plan.stored_tokens.empty()) {
        return fail(ErrorCode::not_found,
                    std::format("agent {} has no stored KV for this model: its next turn computes it", key.id));
    }
    const WarmOutcome outcome = read_to_memory(parts_.context, parts_.store,
                                               {.tenant = key.tenant,
                                                .grid = plan.grid,
                                                .tokens = std::move(plan.tokens),
                                                .stored_tokens = std::move(plan.stored_tokens),
                                                .kept = job.kept},
                                               [&] { return go_on(stop); });
    bool overtaken = false;
    {
        const Lock lock(mutex_);
        overtaken = overtaken_;
        ManagerStats::Preloads &counts = job.asked ? counts_.asked : counts_.learned;
        counts.bytes += outcome.bytes;
        // One that a turn has overtaken is neither of use nor a mistake; one that was ready in time is judged when the turn ends.
        const bool in_time = !overtaken_ || (outcome.end == WarmOutcome::End::complete && running_.contains(key));
        if (!outcome.parts.empty() && in_time) {
            ++counts.done;
            settle(lock, key, false);  // of an earlier one; parts of it had left memory
            waiting_[key] = {.asked = job.asked.has_value(), .until_ms = job.until_ms, .parts = outcome.parts};
        }
    }
    switch (overtaken ? WarmOutcome::End::broken_off : outcome.end) {
        case WarmOutcome::End::complete:
        case WarmOutcome::End::broken_off: return {};
        case WarmOutcome::End::no_room:
            return fail(ErrorCode::over_budget,
                        std::format("agent {}'s KV doesn't fit in host memory: {}", key.id, outcome.problem));
        case WarmOutcome::End::gone:  // nothing is wrong with it: others needed the room on disk
            return fail(ErrorCode::not_found, std::format("agent {}'s KV is not all stored any more ({}): its next turn computes "
                                                          "the rest",
                                                          key.id, outcome.problem));
        case WarmOutcome::End::unusable:
            return fail(
                ErrorCode::corrupt,
                std::format("not all of agent {}'s KV came back ({}): its next turn computes the rest", key.id, outcome.problem));
    }
    return {};
}

// Before each part: waits for restores, which somebody needs now, and gives running turns' computing most of the time.
bool Preloader::go_on(const std::stop_token &stop) {
    parts_.engine.wait_for_restores(stop);
    Lock lock(mutex_);
    const auto given_up = [&] { return overtaken_ || stop.stop_requested(); };
    if (!running_.empty() && last_part_us_) {
        const std::int64_t pause_us = std::min(kPauses * (steady_us() - *last_part_us_), kLongestPauseUs);
        changed_.wait_for(lock, stop, std::chrono::microseconds(pause_us), given_up);
    }
    last_part_us_ = steady_us();
    return !given_up();
}

void Preloader::write_habits() {
    std::vector<HabitRow> rows;
    {
        const std::scoped_lock lock(mutex_);
        for (auto &[tenant, predictor] : predictors_) {
            for (TurnHabit &habit : predictor.take_changed()) rows.push_back({.tenant = tenant, .habit = std::move(habit)});
        }
        unwritten_since_us_.reset();
    }
    // What can't be written is learned again.
    if (!rows.empty()) static_cast<void>(parts_.registry.remember_habits(rows));
}

}  // namespace engram
