// Who is next: runs that wait for a place, in a fair order.
//
// Between tenants by what they have been given: a tenant's clock advances by the tokens that it is charged for, and the tenant
// with the earliest clock is next (start-time fair queueing: Goyal, Vin and Cheng, 1996). One that comes back from a pause starts
// where the one served last stood: it gets no credit for the time in which it asked for nothing. Within a tenant by
// priority, then the same way between its agents, then in order of arrival.
//
// Pure; one thread. T is what waits; keys are texts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace engram {

// The clocks of those who share something.
class FairClocks {
  public:
    void arrives(const std::string &key) { clocks_.try_emplace(key, now_); }
    // `key` is served, and charged for it.
    void serve(const std::string &key, std::uint64_t tokens) {
        now_ = std::max(now_, of(key));
        clocks_[key] = of(key) + tokens;
        std::erase_if(clocks_, [this](const auto &clock) { return clock.second <= now_; });  // as if they had just come
    }
    void charge(const std::string &key, std::uint64_t tokens) { clocks_[key] = of(key) + tokens; }
    std::uint64_t of(const std::string &key) const {
        const auto found = clocks_.find(key);
        return found == clocks_.end() ? now_ : std::max(now_, found->second);
    }

  private:
    std::map<std::string, std::uint64_t> clocks_;  // those that are ahead of now_
    std::uint64_t now_ = 0;                        // the clock of whoever was served last, before it was charged
};

template <typename T>
class AdmissionQueue {
  public:
    struct Entry {
        T item;
        std::string tenant, agent;
        std::int32_t priority = 0;
        std::uint64_t tokens = 0;  // that it is charged for when it is admitted
        std::uint64_t arrival = 0;
    };

    bool empty() const { return entries_.empty(); }
    std::size_t size() const { return entries_.size(); }

    void add(Entry entry) {
        entry.arrival = ++arrivals_;
        tenants_.arrives(entry.tenant);
        agents_[entry.tenant].arrives(entry.agent);
        entries_.push_back(std::move(entry));
    }

    // The one whose turn it is among those that `ready` holds for; null when there is none. Valid until the queue changes.
    template <typename Ready>
    const Entry *next(const Ready &ready) const {
        const Entry *best = nullptr;
        for (const Entry &entry : entries_) {
            if (ready(entry.item) && (best == nullptr || before(entry, *best))) best = &entry;
        }
        return best;
    }

    // It was admitted: out of the queue, and charged.
    void admitted(const Entry &entry) {
        tenants_.serve(entry.tenant, entry.tokens);
        agents_[entry.tenant].serve(entry.agent, entry.tokens);
        take(entry);
    }

    // Somebody who was admitted cost more than was known then.
    void charge(const std::string &tenant, const std::string &agent, std::uint64_t tokens) {
        tenants_.charge(tenant, tokens);
        if (const auto clocks = agents_.find(tenant); clocks != agents_.end()) clocks->second.charge(agent, tokens);
    }

    // It gave up waiting.
    void remove(const Entry &entry) { take(entry); }

    template <typename Visit>
    void for_each(const Visit &visit) const {
        for (const Entry &entry : entries_) visit(entry);
    }

  private:
    bool before(const Entry &a, const Entry &b) const {
        if (a.tenant != b.tenant) {
            const auto x = tenants_.of(a.tenant), y = tenants_.of(b.tenant);
            return x != y ? x < y : a.arrival < b.arrival;
        }
        if (a.priority != b.priority) return a.priority > b.priority;
        const FairClocks &clocks = agents_.at(a.tenant);
        const auto x = clocks.of(a.agent), y = clocks.of(b.agent);
        return x != y ? x < y : a.arrival < b.arrival;
    }

    void take(const Entry &entry) {
        const std::string tenant = entry.tenant;
        std::erase_if(entries_, [arrival = entry.arrival](const Entry &other) { return other.arrival == arrival; });
        // Clocks matter among those who wait; of a tenant that has nobody waiting, the agents' can be forgotten.
        const auto waits = [&](const Entry &other) { return other.tenant == tenant; };
        if (std::ranges::none_of(entries_, waits)) agents_.erase(tenant);
    }

    std::vector<Entry> entries_;
    FairClocks tenants_;
    std::map<std::string, FairClocks> agents_;
    std::uint64_t arrivals_ = 0;
};

}  // namespace engram
