// A client of a server under measurement: JSON over HTTP, and streams with the time at which each event came.
//
// Its connection is kept for the next request. One thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "chat/bounded_json.h"
#include "engram/error.h"
#include "http/event_reader.h"
#include "http/fetch.h"

namespace engram::bench {

using SteadyClock = std::chrono::steady_clock;

inline double ms_since(SteadyClock::time_point start) {
    return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
}

class Client {
  public:
    static Result<std::unique_ptr<Client>> create(std::string url);  // of the server, without a slash at its end

    // io: no answer, a status that says no (with what the server said), no JSON.
    Result<OrderedJson> get(const std::string &path);
    Result<OrderedJson> post(const std::string &path, const OrderedJson &body);
    Result<OrderedJson> remove(const std::string &path);
    Result<std::string> text(const std::string &path);

    // Each event as it comes; the headers are the reply's. Triggered, `stop` ends the request as a client's leaving does.
    using OnEvent = std::function<void(const http::ServerEvent &)>;
    Result<http::FetchReply> stream(const std::string &path, const OrderedJson &body, const OnEvent &on_event,
                                    const std::stop_token &stop = {});

  private:
    Client(std::string url, http::Fetcher fetcher) : url_(std::move(url)), fetcher_(std::move(fetcher)) {}
    Result<http::FetchReply> send(const char *method, const std::string &path, std::string body);
    Result<OrderedJson> json(const char *method, const std::string &path, std::string body);

    std::string url_;
    http::Fetcher fetcher_;
};

}  // namespace engram::bench
