// One answer on its way to the client: events in, server-sent events or one body out, and counted on the way. A stream begins
// with its first event, so that what goes wrong before has a status of its own. One thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "engram/chat.h"
#include "server/app.h"

namespace engram::server {

class Delivery {
  public:
    struct Form {
        bool stream = false;
        std::string ping;     // a frame that says nothing
        std::string account;  // the agent in the ledger; empty: none that has a name
        // Given: the answer tells what became of its prompt; a stream in this frame.
        std::function<std::string(const OrderedJson &report)> report = {};
        std::optional<AgentManager::Divergence> divergence = {};
    };
    using Frames = std::function<std::string(const ChatEvent &)>;

    Delivery(App &app, const Caller &caller, const http::HttpRequest &request, http::HttpResponder &responder, Form form)
        : app_(app), caller_(caller), request_(request), responder_(responder), form_(std::move(form)) {}

    // `frames`: what the protocol makes of the event.
    void take(const ChatEvent &event, const Frames &frames);
    // The error, or, where the stream has begun, nothing: then `frame` was its last one.
    protocol::ApiResult<void> fail(const protocol::ApiError &error, const std::function<std::string()> &frame);
    protocol::ApiResult<void> finish(const std::function<std::string()> &last_frames,
                                     const std::function<protocol::ApiResult<std::string>()> &body);

  private:
    using Clock = std::chrono::steady_clock;

    void count(const ChatEvent &event);
    void begin();
    void write(const std::string &frames);

    App &app_;
    const Caller &caller_;
    const http::HttpRequest &request_;
    http::HttpResponder &responder_;
    const Form form_;
    ChatStarted started_;
    bool begun_ = false;
    Clock::time_point written_;
    std::optional<Clock::time_point> said_;
};

// Of the request as it comes, for a report; nullopt: it can't be compared.
std::optional<AgentManager::Divergence> divergence_of(const Caller &caller, const ChatRequest &chat);

}  // namespace engram::server
