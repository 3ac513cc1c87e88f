// One call of an A2A method, whichever binding it came by. Internal to the server.
#pragma once

#include <functional>
#include <string>

#include "chat/bounded_json.h"
#include "protocol/a2a/errors.h"
#include "protocol/a2a/method.h"
#include "server/a2a_tasks.h"
#include "server/app.h"

namespace engram::server {

// How an answer looks in the binding that the request came by.
struct A2aBinding {
    bool rpc = false;
    OrderedJson id;  // of the JSON-RPC request
    protocol::a2a::WireVersion dialect = protocol::a2a::WireVersion::v1_0;
    std::string media_type = "application/json";  // of HTTP+JSON; "application/a2a+json" for who speaks it

    http::HttpAnswer answer(OrderedJson result) const;
    http::HttpAnswer error(const protocol::a2a::A2aError &error) const;
    std::string frame(const protocol::a2a::StreamEvent &event) const;
};

struct A2aCall {
    protocol::a2a::Method method = protocol::a2a::Method::get_task;
    A2aBinding binding;
    OrderedJson params;
    std::optional<std::string> agent;  // of the address; none given: the server's own
};

class A2aMethods {
  public:
    A2aMethods(App &app, A2aTasks &tasks) : app_(app), tasks_(tasks) {}

    // Answers, or gives the responder away to be answered later; then `answered` is called when that is done (with the status),
    // and the result is false.
    using Answered = std::function<void(int status)>;
    protocol::a2a::A2aResult<bool> call(const http::HttpRequest &request, http::HttpResponder &responder, const A2aCall &call,
                                        Answered answered);

    // The card of the address; of the server's own only with `agents`, which need a key, its agents as skills.
    protocol::a2a::A2aResult<OrderedJson> card(const http::HttpRequest &request, const std::optional<std::string> &agent,
                                               protocol::a2a::WireVersion dialect, bool agents);

  private:
    struct Asked {
        const http::HttpRequest &request;
        const A2aCall &call;
        const A2aPlace &place;
    };
    protocol::a2a::A2aResult<bool> send(Caller caller, const Asked &asked, http::HttpResponder &responder, Answered answered);
    protocol::a2a::A2aResult<bool> subscribe(const Asked &asked, http::HttpResponder &responder, Answered answered);
    protocol::a2a::A2aResult<OrderedJson> result(const Asked &asked);
    protocol::a2a::A2aResult<OrderedJson> list(const Asked &asked);
    protocol::a2a::A2aResult<OrderedJson> hooks(const Asked &asked);

    App &app_;
    A2aTasks &tasks_;
};

}  // namespace engram::server
