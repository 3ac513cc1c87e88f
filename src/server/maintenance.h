// What the server does at intervals, whoever asks or not: quotas of bytes become the store's limits, what is stored goes into the
// ledger, and what is wrong with the tenants' files is told once.
//
// Internal to the server. Threads: one of its own; construction and destruction belong to one thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "ports/clock.h"
#include "server/model_host.h"
#include "tenants/storage_meter.h"
#include "tenants/tenants.h"

namespace engram::server {

class Maintenance {
  public:
    struct Options {
        std::chrono::milliseconds every{5000};       // limits and problems; what is stored each twelfth time
        std::function<void(std::string_view)> warn;  // a sentence for the operator; may be null
    };

    // Does its work once before it returns, so that limits hold from the first request on; after a change of the model they hold
    // again at the next interval. The others must outlive it.
    Maintenance(ModelHost &models, Tenants &tenants, Options options, Clock &clock = system_clock());
    ~Maintenance();  // with a last look at what is stored

  private:
    void work(const std::stop_token &stop);
    void check();
    std::set<std::string> apply_limits();  // what went wrong
    void look();

    ModelHost &models_;
    Tenants &tenants_;
    const Options options_;
    StorageMeter meter_;
    std::set<std::string> told_;  // problems that are still there

    std::mutex sleep_mutex_;
    std::condition_variable_any sleep_;
    std::jthread thread_;  // last: it uses everything above
};

}  // namespace engram::server
