// From a request to its handler: ids, CORS, routes, workers, refusals, the log. Knows no sockets.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "http/exchange.h"
#include "http/route_table.h"
#include "http/server.h"
#include "http/worker_pool.h"

namespace engram::http {

class Dispatcher {
  public:
    struct Arrival {
        HttpRequest request;
        BodyShare body_share;
        bool http_1_0 = false;
        bool keep_alive = true;
        std::function<void()> wake;  // see Exchange::Setup
        std::function<std::size_t(std::string_view)> send_now;
    };

    Dispatcher(const HttpServerOptions &options, RouteTable routes);

    // --- the thread that owns the sockets --------------------------------------------------------------------------------

    // Has the request answered by its handler, or refuses it. Never waits.
    std::shared_ptr<Exchange> dispatch(Arrival arrival);
    // Answers a request that couldn't be read.
    std::shared_ptr<Exchange> refuse(Arrival arrival, const HttpRefusal &refusal);
    // Once for each exchange: its answer has been sent, or the client has gone.
    void finished(const Exchange &exchange, bool gone);

    // --- any thread ------------------------------------------------------------------------------------------------------

    void refuse_new_requests() { stopping_ = true; }
    // False when some are still open at `deadline`.
    bool wait_until_none_is_open(std::chrono::steady_clock::time_point deadline);
    // Returns when every handler has.
    void join();

    BodyShare body_share() { return BodyShare(bodies_); }  // of a request that is to come
    const RouteTable &routes() const { return routes_; }
    std::size_t open() const;
    std::size_t running() const { return running_; }

  private:
    std::shared_ptr<Exchange> open_exchange(Arrival arrival);
    void answer_options(Exchange &exchange, const RouteMatch &match) const;
    void hand_over(const std::shared_ptr<Exchange> &exchange, const HttpRoute &route);
    static void run(const std::shared_ptr<Exchange> &exchange, const HttpRoute &route);
    HttpFields own_headers(const HttpRequest &request) const;
    bool allows(std::string_view origin) const;
    bool is_foreign(const HttpRequest &request) const;
    std::string make_id();

    // constant after construction
    const RouteTable routes_;
    const std::vector<std::string> cors_origins_;
    const std::vector<std::string> names_;
    const bool checks_names_;
    const HttpRefuse refuse_;
    const std::function<void(std::string_view)> log_;
    const std::size_t max_running_;
    const std::shared_ptr<BodyBudget> bodies_;

    std::mt19937_64 random_;  // of the thread that owns the sockets
    std::atomic<bool> stopping_ = false;
    std::atomic<std::size_t> running_ = 0;

    // guarded by mutex_
    mutable std::mutex mutex_;
    std::condition_variable none_open_;
    std::size_t open_ = 0;

    WorkerPool quick_;  // last: their threads use what stands above
    WorkerPool workers_;
};

}  // namespace engram::http
