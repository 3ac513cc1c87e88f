// The model that answers, its agents, and the change to another model while clients are there. Internal to the server.
//
// A change waits until nobody works with the old model; whoever comes meanwhile waits until it is over. One model is in memory at
// a time. When the new one can't be loaded the old one is loaded again, so that at the end one of them answers, unless the old
// one's file has gone or been damaged meanwhile. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>

#include "engram/agents.h"
#include "engram/error.h"

namespace engram::server {

// What clients are told of a model.
struct ModelFacts {
    std::string name;  // by which clients ask for it; empty: none is loaded
    std::filesystem::path file;
    std::int64_t created_s = 0;
    std::uint64_t context_tokens = 0;
    std::string fingerprint;  // "fp_" and the beginning of the model's
};

class ModelHost {
  public:
    // `name`: empty means the file's name without its ending. Errors of AgentManager::open.
    static Result<std::unique_ptr<ModelHost>> open(ManagerOptions options, std::string name);

    // Somebody works with the model: it isn't changed until all such have gone. Must go before the host does.
    class Use {
      public:
        Use() = default;
        explicit Use(ModelHost &host) : host_(&host) {}
        Use(Use &&other) noexcept : host_(std::exchange(other.host_, nullptr)) {}
        Use &operator=(Use &&other) noexcept {
            std::swap(host_, other.host_);
            return *this;
        }
        ~Use();

        AgentManager &default_agents() const { return *host_->agents_; }
        Result<AgentManager *> agents_of(const std::string &tenant) const { return host_->agents_of(tenant); }

      private:
        ModelHost *host_ = nullptr;
    };
    // Waits while the model is being changed. cancelled (`stop`); locked: there is no model, and why.
    Result<Use> use(const std::stop_token &stop = {});

    struct Change {
        std::filesystem::path file;        // a relative one lies beside the file of the model that is loaded
        std::string name;                  // as in open
        std::uint32_t context_tokens = 0;  // 0: as many as now
        std::chrono::milliseconds patience{30'000};
    };
    // Threads, GPU layers and KV types stay; adapters and rope settings were the old model's and go. Without a change: locked (so
    // many requests were still running when the patience was over, or another change is under way), and what AgentManager::open
    // says of the new model; that the old one could not be loaded again either is then said too.
    Result<void> change(const Change &to);

    ModelFacts facts() const;  // of the model that is loaded, or was last
    bool ready() const;        // false while none is loaded

  private:
    explicit ModelHost(ManagerOptions options) : options_(std::move(options)) {}
    Result<void> load(const ManagerOptions &options, std::string name);
    Result<AgentManager *> agents_of(const std::string &tenant);

    // Where the model is used or changed, by whoever does that.
    ManagerOptions options_;
    std::unique_ptr<AgentManager> agents_;
    std::mutex managers_mutex_;
    std::map<std::string, std::unique_ptr<AgentManager>, std::less<>> managers_;  // of other tenants; guarded by managers_mutex_

    mutable std::mutex mutex_;  // for what follows
    std::condition_variable_any changed_;
    std::uint64_t uses_ = 0;
    bool changing_ = false;
    std::string problem_;  // why there is no model
    ModelFacts facts_;
};

}  // namespace engram::server
