// One conversation with a server about one task: requests in the binding that its card offers, and what it answers. Internal.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>

#include "a2a/remote_list.h"
#include "http/fetch.h"
#include "protocol/a2a/method.h"
#include "protocol/a2a/read_answer.h"

namespace engram::a2a {

class Exchange {
  public:
    using Clock = std::chrono::steady_clock;
    struct Parts {
        const RemoteConfig &config;
        const protocol::a2a::Interface &interface;
        http::Fetcher fetcher;
        Clock::time_point until;
    };
    explicit Exchange(Parts parts) : parts_(std::move(parts)) {}

    // The answer's JSON. not_found: there is no such task; io: what else the server refuses, or that can't be read.
    Result<OrderedJson> call(protocol::a2a::Method method, const OrderedJson &params, const std::stop_token &stop);

    // The events of a stream, until `take` says that it is enough, or it breaks off. A server that answers with one value instead
    // has sent one event.
    using Take = std::function<bool(const protocol::a2a::StreamEvent &event)>;
    Result<void> stream(protocol::a2a::Method method, const OrderedJson &params, const Take &take, const std::stop_token &stop);

    void extend(Clock::time_point until) { parts_.until = until; }

  private:
    http::FetchRequest request(protocol::a2a::Method method, const OrderedJson &params) const;
    Result<OrderedJson> result_of(std::string_view body, long status) const;
    std::unexpected<Error> refused(const protocol::a2a::Refusal &refusal, long status) const;

    Parts parts_;
};

// Of the agent's server, headers that are configured go to the configured server alone.
http::HttpFields headers_for(const RemoteConfig &config, const std::string &url);

}  // namespace engram::a2a
