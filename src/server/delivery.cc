#include "server/delivery.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/openai/wire.h"
#include "server/report.h"

namespace engram::server {

using protocol::ApiError;
using protocol::ApiResult;

namespace {

constexpr std::chrono::seconds kPingEvery{3};

http::HttpFields headers_of(const http::HttpRequest &request, const ChatStarted &started) {
    http::HttpFields headers = report_headers(started);
    if (dialect_of(request) == Dialect::anthropic) headers.emplace_back("request-id", request.id);
    return headers;
}

}  // namespace

void Delivery::take(const ChatEvent &event, const Frames &frames) {
    count(event);
    const bool idle = std::holds_alternative<ChatWaiting>(event) || std::holds_alternative<ChatProgress>(event);
    if (!form_.stream) {
        if (!idle) static_cast<void>(frames(event));
        return;
    }
    begin();
    if (!idle) write(frames(event));
    if (form_.report && std::holds_alternative<ChatStarted>(event)) write(form_.report(report_json(started_, form_.divergence)));
    if (!idle) return;
    if (Clock::now() - written_ > kPingEvery) write(form_.ping);
}

void Delivery::count(const ChatEvent &event) {
    Metrics &metrics = app_.metrics();
    if (const auto *started = std::get_if<ChatStarted>(&event)) {
        if (started_.agent.empty()) started_ = *started;
        metrics.started(caller_.tenant, *started);
        app_.tenants().record(caller_.tenant, form_.account,
                              {.requests = 1,
                               .computed_tokens = started->prompt_tokens - started->cached_tokens,
                               .reused_tokens = started->cached_tokens});
    } else if (const auto *finished = std::get_if<ChatFinished>(&event)) {
        metrics.finished(caller_.tenant, *finished);
        app_.tenants().record(caller_.tenant, form_.account, {.generated_tokens = finished->answer_tokens});
    } else if (std::holds_alternative<ChatText>(event) || std::holds_alternative<ChatThinking>(event) ||
               std::holds_alternative<ChatCallArguments>(event)) {
        const Clock::time_point now = Clock::now();
        if (said_) metrics.token_gap(now - *said_);
        said_ = now;
    }
}

void Delivery::begin() {
    if (std::exchange(begun_, true)) return;
    http::HttpFields headers = headers_of(request_, started_);
    headers.emplace_back("content-type", "text/event-stream; charset=utf-8");
    headers.emplace_back("cache-control", "no-cache");
    headers.emplace_back("x-accel-buffering", "no");
    responder_.start(200, headers);
    written_ = Clock::now();
}

void Delivery::write(const std::string &frames) {
    if (frames.empty()) return;
    responder_.write(frames);  // a client that has gone triggers the request's stop token
    written_ = Clock::now();
}

ApiResult<void> Delivery::fail(const ApiError &error, const std::function<std::string()> &frame) {
    if (!begun_) return std::unexpected(error);
    write(frame());
    responder_.end();
    return {};
}

ApiResult<void> Delivery::finish(const std::function<std::string()> &last_frames,
                                 const std::function<ApiResult<std::string>()> &body) {
    if (form_.stream) {
        begin();
        write(last_frames());
        responder_.end();
        return {};
    }
    ENGRAM_ASSIGN(std::string text, body());
    if (form_.report) {
        OrderedJson json = OrderedJson::parse(text);
        json["engram"].update(report_json(started_, form_.divergence));  // OpenAI's answers have one already
        text = protocol::openai::dump(json);
    }
    http::HttpAnswer whole = json_answer(std::move(text));
    std::ranges::move(headers_of(request_, started_), std::back_inserter(whole.headers));
    responder_.send(whole);
    return {};
}

std::optional<AgentManager::Divergence> divergence_of(const Caller &caller, const ChatRequest &chat) {
    auto divergence = caller.agents->divergence(chat);
    if (!divergence) return std::nullopt;  // a new agent; or a request that is refused anyway
    return std::move(*divergence);
}

ApiResult<void> answer(App &app, const Caller &caller, ChatCall call, const http::HttpRequest &request,
                       http::HttpResponder &responder) {
    if (!call.chat.agent.empty()) ENGRAM_TRY(app.check_agent_quota(caller, call.chat.agent));
    ENGRAM_ASSIGN(const App::Place place, app.admit(caller));
    responder.set_tenant(caller.tenant);
    Delivery delivery(app, caller, request, responder,
                      {.stream = call.stream,
                       .ping = call.ping,
                       .account = call.chat.agent,
                       .report = call.report,
                       .divergence = call.report ? divergence_of(caller, call.chat) : std::nullopt});
    const auto done =
        caller.agents->chat(call.chat, [&](const ChatEvent &event) { delivery.take(event, call.take); }, request.stop);
    if (!done) {
        const ApiError error = protocol::api_error(done.error());
        return delivery.fail(error, [&] { return call.fail(error); });
    }
    return delivery.finish(call.end, call.whole);
}

}  // namespace engram::server
