// A tool server behind an address: each message its own POST, answered with JSON or a stream of events (MCP, "Streamable HTTP").
// What versions before 2026-07-28 have more is served as well: sessions, and streams that are taken up again where they broke
// off.
#include <algorithm>
#include <atomic>
#include <format>
#include <mutex>
#include <optional>
#include <thread>

#include "http/event_reader.h"
#include "http/fetch.h"
#include "mcp/link.h"

namespace engram::mcp {
namespace {

using namespace protocol;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kKeptFetchers = 4;
constexpr int kMostResumptions = 100;
constexpr int kMostFailures = 3;  // one after the other, of connections that bring nothing new
constexpr std::chrono::milliseconds kShortestPause{200}, kLongestPause{10'000};
constexpr std::chrono::milliseconds kTellTimeout{15'000};
constexpr std::chrono::milliseconds kSlack{50};             // libcurl counts whole milliseconds
constexpr std::chrono::milliseconds kCancelTimeout{2'000};  // somebody waits who wants nothing any more

std::string beginning(std::string_view body) {
    const std::string_view line = body.substr(0, std::min(body.find_first_of("\r\n"), std::size_t{200}));
    return line.empty() ? std::string("nothing") : std::string(line);
}

class HttpLink final : public Link {
  public:
    explicit HttpLink(ServerConfig config) : config_(std::move(config)) {}
    ~HttpLink() override { end_session(); }

    Result<RpcResult<OrderedJson>> ask(const std::string &method, OrderedJson params, const Asking &asking) override;
    Result<void> tell(const std::string &method, OrderedJson params) override {
        return notify(method, std::move(params), kTellTimeout);
    }
    void speak(std::string version) override {
        const std::scoped_lock lock(mutex_);
        version_ = std::move(version);
    }
    bool broken() const override { return session_is_gone_; }
    bool tools_have_changed() override { return tools_changed_.exchange(false); }

  private:
    // One request's answer, as it comes in one or more replies.
    struct Exchange {
        std::int64_t id;
        const Asking &asking;
        Clock::time_point until;
        std::optional<RpcResult<OrderedJson>> answer = {};
        std::string last_event = {};
        std::optional<std::chrono::milliseconds> pause = {};
        std::string body = {};  // of a reply that is no stream
        std::string fault = {};
    };

    Result<RpcResult<OrderedJson>> answer_to(const http::FetchRequest &post, Exchange &exchange);
    Result<void> notify(const std::string &method, OrderedJson params, std::chrono::milliseconds timeout);
    void cancel(const Exchange &exchange);
    http::FetchRequest request(std::string method, const Asking &asking) const;
    Result<http::FetchReply> fetch(const http::FetchRequest &request, Exchange &exchange);
    void take(std::string_view text, Exchange &exchange);
    void join_session(const http::FetchReply &head);
    void refuse(const RpcRequest &asked);
    static bool can_resume(const Error &error, const Exchange &exchange);
    Result<void> resume(Exchange &exchange);
    void end_session();
    Result<http::Fetcher> fetcher();
    void keep(http::Fetcher fetcher);
    std::unexpected<Error> wrong(std::string_view what) const {
        return fail(ErrorCode::io, std::format("the tool server {} at {} {}", config_.name, config_.url, what));
    }

    const ServerConfig config_;
    mutable std::mutex mutex_;
    std::string version_, session_;        // guarded by mutex_
    std::vector<http::Fetcher> fetchers_;  // guarded by mutex_: those that nobody uses
    std::atomic<std::int64_t> next_id_ = 1;
    std::atomic<bool> session_is_gone_ = false, tools_changed_ = false;
};

Result<http::Fetcher> HttpLink::fetcher() {
    {
        const std::scoped_lock lock(mutex_);
        if (!fetchers_.empty()) {
            http::Fetcher kept = std::move(fetchers_.back());
            fetchers_.pop_back();
            return kept;
        }
    }
    return http::Fetcher::create();
}

void HttpLink::keep(http::Fetcher fetcher) {
    const std::scoped_lock lock(mutex_);
    if (fetchers_.size() < kKeptFetchers) fetchers_.push_back(std::move(fetcher));
}

http::FetchRequest HttpLink::request(std::string method, const Asking &asking) const {
    http::FetchRequest request{.method = std::move(method), .url = config_.url, .max_reply_bytes = kMaxMessageBytes};
    request.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json, text/event-stream"}};
    for (const auto &[name, value] : config_.headers) request.headers.emplace_back(name, value);
    const std::scoped_lock lock(mutex_);
    if (!version_.empty()) request.headers.emplace_back("MCP-Protocol-Version", version_);
    if (!session_.empty()) request.headers.emplace_back("Mcp-Session-Id", session_);
    for (const auto &header : asking.headers) request.headers.push_back(header);
    return request;
}

void HttpLink::join_session(const http::FetchReply &head) {
    const std::string_view session = head.header("mcp-session-id");
    if (session.empty()) return;
    const std::scoped_lock lock(mutex_);
    session_ = session;
}

// A message that came with an answer, or the answer.
void HttpLink::take(std::string_view text, Exchange &exchange) {
    auto message = read_rpc(text, kMaxMessageBytes);
    if (!message) {
        exchange.fault = message.error().error.message;
        return;
    }
    if (auto *response = std::get_if<RpcResponse>(&*message)) {
        // An error about a request that couldn't be read has no id, and here it can only be about this one.
        if (!response->id || *response->id == RpcId(exchange.id)) exchange.answer = std::move(response->outcome);
    } else if (const auto *notification = std::get_if<RpcNotification>(&*message)) {
        if (notification->method == "notifications/tools/list_changed") tools_changed_ = true;
        if (exchange.asking.on_notification) exchange.asking.on_notification(*notification);
    } else if (const auto *asked = std::get_if<RpcRequest>(&*message)) {
        refuse(*asked);
    }
}

// What servers of older versions ask their client: it answers pings.
void HttpLink::refuse(const RpcRequest &asked) {
    RpcResponse answer{.id = asked.id, .outcome = OrderedJson::object()};
    if (asked.method != "ping") answer.outcome = rpc_fail(kRpcMethodNotFound, "this client answers ping only");
    auto other = fetcher();
    if (!other) return;
    http::FetchRequest post = request("POST", {});
    post.body = write_rpc(answer);
    post.timeout = kTellTimeout;
    if (other->send(post, {})) keep(std::move(*other));
}

Result<http::FetchReply> HttpLink::fetch(const http::FetchRequest &request, Exchange &exchange) {
    ENGRAM_ASSIGN(http::Fetcher own, fetcher());
    http::FetchRequest timed = request;
    timed.timeout = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(exchange.until - Clock::now()),
                             std::chrono::milliseconds(1));
    http::EventReader events(kMaxMessageBytes);
    ENGRAM_ASSIGN(http::FetchReply reply,
                  own.send(timed, exchange.asking.stop, [&](const http::FetchReply &head, std::string_view piece) {
                      join_session(head);  // now: a stream that breaks off gives no reply
                      if (!head.header("content-type").starts_with("text/event-stream")) {
                          exchange.body += piece;
                          return true;
                      }
                      for (const http::ServerEvent &event : events.take(piece)) {
                          if (!event.id.empty()) exchange.last_event = event.id;
                          if (!event.data.empty() && (event.event.empty() || event.event == "message"))
                              take(event.data, exchange);
                      }
                      if (events.retry()) exchange.pause = *events.retry();
                      return !exchange.answer && !events.too_large();
                  }));
    keep(std::move(own));
    return reply;
}

// Whether what a broken connection didn't bring can still be asked for: the server has numbered what came.
bool HttpLink::can_resume(const Error &error, const Exchange &exchange) {
    return error.code == ErrorCode::io && !exchange.last_event.empty() && Clock::now() + kSlack < exchange.until;
}

// A stream of an older version that ended, or broke off, before its answer: the rest of it is asked for.
Result<void> HttpLink::resume(Exchange &exchange) {
    int failures = 0;
    for (int i = 0; i < kMostResumptions && !exchange.answer && !exchange.last_event.empty(); ++i) {
        const auto pause = std::clamp(exchange.pause.value_or(std::chrono::milliseconds(1000)), kShortestPause, kLongestPause);
        for (const auto until = Clock::now() + pause; Clock::now() < until && !exchange.asking.stop.stop_requested();) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        if (exchange.asking.stop.stop_requested()) return fail(ErrorCode::cancelled, "the request was stopped");
        if (Clock::now() > exchange.until) return wrong("didn't answer in time");
        http::FetchRequest again = request("GET", exchange.asking);
        again.headers.emplace_back("Last-Event-ID", exchange.last_event);
        const std::string before = exchange.last_event;
        const auto reply = fetch(again, exchange);
        if (!reply) {
            failures = exchange.last_event == before ? failures + 1 : 0;
            if (failures < kMostFailures && can_resume(reply.error(), exchange)) continue;
            return std::unexpected(reply.error());
        }
        if (reply->status != 200)
            return wrong(std::format("broke off its answer, and says {} when asked for the rest", reply->status));
        failures = 0;
    }
    return {};
}

Result<RpcResult<OrderedJson>> HttpLink::ask(const std::string &method, OrderedJson params, const Asking &asking) {
    Exchange exchange{.id = next_id_++, .asking = asking, .until = Clock::now() + asking.timeout};
    if (asking.on_notification) params["_meta"]["progressToken"] = exchange.id;
    http::FetchRequest post = request("POST", asking);
    post.body = write_rpc(RpcRequest{.id = exchange.id, .method = method, .params = std::move(params)});
    auto answer = answer_to(post, exchange);
    if (!answer) cancel(exchange);
    return answer;
}

// A server of an older version takes a connection that ends for one that broke, and works on.
void HttpLink::cancel(const Exchange &exchange) {
    const bool is_given_up = exchange.asking.stop.stop_requested() || Clock::now() + kSlack > exchange.until;
    {
        const std::scoped_lock lock(mutex_);
        // Where no version was agreed on yet, the request is `initialize`, which can't be cancelled.
        if (!is_given_up || version_.empty() || version_ == kStateless) return;
    }
    static_cast<void>(
        notify("notifications/cancelled", {{"requestId", exchange.id}, {"reason", "nobody waits for it"}}, kCancelTimeout));
}

Result<RpcResult<OrderedJson>> HttpLink::answer_to(const http::FetchRequest &post, Exchange &exchange) {
    const auto reply = fetch(post, exchange);
    if (!reply && !exchange.answer && !can_resume(reply.error(), exchange)) return std::unexpected(reply.error());
    if (!exchange.body.empty()) take(exchange.body, exchange);
    const long status = reply ? reply->status : 200;
    if (!exchange.answer && status == 200) ENGRAM_TRY(resume(exchange));
    if (exchange.answer) return std::move(*exchange.answer);
    if (status == 404) {
        const std::scoped_lock lock(mutex_);
        session_is_gone_ = !session_.empty();
    }
    if (status == 401 || status == 403) {
        return wrong(
            std::format("refuses with status {}: give it what it wants in \"headers\", an Authorization for instance", status));
    }
    if (status == 200)
        return wrong(std::format("gave no answer: {}", exchange.fault.empty() ? "the stream ended" : exchange.fault));
    return wrong(std::format("answered with status {}: {}", status, beginning(exchange.body)));
}

Result<void> HttpLink::notify(const std::string &method, OrderedJson params, std::chrono::milliseconds timeout) {
    ENGRAM_ASSIGN(http::Fetcher own, fetcher());
    http::FetchRequest post = request("POST", {});
    post.body = write_rpc(RpcNotification{.method = method, .params = std::move(params)});
    post.timeout = timeout;
    ENGRAM_ASSIGN(const http::FetchReply reply, own.send(post, {}));
    keep(std::move(own));
    if (reply.status >= 400)
        return wrong(std::format("answered {} with status {}: {}", method, reply.status, beginning(reply.body)));
    return {};
}

void HttpLink::end_session() {
    {
        const std::scoped_lock lock(mutex_);
        if (session_.empty() || session_is_gone_) return;
    }
    auto own = fetcher();
    if (!own) return;
    http::FetchRequest end = request("DELETE", {});
    end.timeout = std::chrono::milliseconds(2000);
    static_cast<void>(own->send(end, {}));
}

}  // namespace

Result<std::unique_ptr<Link>> open_http_link(const ServerConfig &config) {
    if (auto valid = http::check_url(config.url); !valid) {
        return std::unexpected(std::move(valid.error()).within("the tool server " + config.name));
    }
    return std::make_unique<HttpLink>(config);
}

}  // namespace engram::mcp
