#include "server/mcp_forward.h"

#include <chrono>
#include <format>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "http/event_reader.h"
#include "http/fetch.h"
#include "protocol/field.h"
#include "protocol/mcp/wire.h"
#include "server/line_io.h"
#include "server/mcp_server.h"
#include "server/mcp_session.h"
#include "server/tasks.h"

namespace engram {

using namespace protocol;

namespace {

namespace mcp = protocol::mcp;

constexpr std::chrono::milliseconds kLookEvery{10};  // for a reader that has gone
constexpr std::chrono::seconds kFarewell{5};
constexpr std::chrono::seconds kTellTimeout{30};   // of a notification: what comes after it waits for it
constexpr std::chrono::seconds kRenewTimeout{30};  // of a session's beginning
constexpr long kNoSession = 404;
constexpr std::string_view kInitialized = R"({"jsonrpc":"2.0","method":"notifications/initialized"})";

class Forward {
  public:
    explicit Forward(const McpForwardOptions &options) : options_(options), out_(options.out) {}

    Result<void> serve(const std::stop_token &stop) {
        server::LineReader lines(options_.in, options_.max_message_bytes);
        const std::stop_callback ends(stop, [this] { cancel_all(); });
        while (true) {
            auto line = lines.next(stop);
            if (!line || !*line) {
                finish(stop);
                return line ? Result<void>() : std::unexpected(std::move(line.error()));
            }
            if (!(*line)->too_long && !(*line)->text.empty()) take((*line)->text);
        }
    }

  private:
    using Under = std::shared_ptr<server::McpSession::Under>;

    void cancel_all() {
        gone_.request_stop();
        session_.cancel_all();
    }

    void take(const std::string &text) {
        auto message = read_rpc(text, options_.max_message_bytes);
        if (!message) return write(answer_to(message.error()));
        const bool stateless = mcp::era_of(*message, {}) == mcp::Era::stateless;
        const auto *said = std::get_if<RpcNotification>(&*message);
        if (said != nullptr) server::McpServer::take(*said, session_);  // over HTTP the end of the connection cancels
        const auto *request = std::get_if<RpcRequest>(&*message);
        std::stop_source stop = gone_;
        Under under;
        if (request != nullptr) {
            stop = std::stop_source();
            under = session_.begin(request->id, stop);
            if (under == nullptr) return refuse(request, server::McpSession::kNotBegun);
        }
        // What follows belongs to the session that `initialize` begins.
        if (request != nullptr && request->method == "initialize") {
            if (told_.valid()) told_.wait();
            {
                const std::scoped_lock lock(mutex_);
                initialize_ = text;
            }
            return post(*message, text, stateless, stop.get_token());
        }
        // Nothing overtakes a notification: what comes behind `initialized` must find a session that has begun.
        const std::shared_future<void> before = told_;
        const auto done = std::make_shared<std::promise<void>>();
        if (said != nullptr) told_ = done->get_future().share();
        tasks_.start([this, message = std::move(*message), text, stateless, token = stop.get_token(), under = std::move(under),
                      before, done]() mutable {
            if (before.valid()) before.wait();
            post(message, text, stateless, token);
            under.reset();
            done->set_value();
        });
    }

    std::string session_id() {
        const std::scoped_lock lock(mutex_);
        return session_id_;
    }

    // `session` is empty where the message belongs to none.
    http::HttpFields headers_of(const RpcMessage &message, bool stateless, const std::string &session) {
        http::HttpFields headers{{"content-type", "application/json"}, {"accept", "application/json, text/event-stream"}};
        if (!options_.key.empty()) headers.emplace_back("authorization", "Bearer " + options_.key);
        if (const auto *request = std::get_if<RpcRequest>(&message); stateless && request != nullptr) {
            for (auto &header : mcp::mirrored_headers(*request)) headers.push_back(std::move(header));
        }
        const std::scoped_lock lock(mutex_);
        if (!session.empty()) {
            headers.emplace_back("mcp-session-id", session);
            headers.emplace_back("mcp-protocol-version", version_);
        }
        return headers;
    }

    // What the server says to a message: the events of its stream go to `on_event`, and any other body is returned.
    struct Heard {
        http::FetchReply reply;
        std::string whole;
    };
    using OnEvent = std::function<void(std::string_view data)>;
    Result<Heard> exchange(const http::FetchRequest &request, const std::stop_token &stop, const OnEvent &on_event) {
        std::string whole;
        http::EventReader events(options_.max_message_bytes);
        const auto on_body = [&](const http::FetchReply &head, std::string_view piece) {
            if (!head.header("content-type").starts_with("text/event-stream")) {
                whole.append(piece);
                return true;
            }
            for (const http::ServerEvent &event : events.take(piece)) on_event(event.data);
            return true;
        };
        ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
        ENGRAM_ASSIGN(http::FetchReply reply, fetcher.send(request, stop, on_body));
        return Heard{.reply = std::move(reply), .whole = std::move(whole)};
    }

    http::FetchRequest fetch_of(std::string text, http::HttpFields headers, std::chrono::milliseconds timeout) const {
        return {.url = options_.url,
                .headers = std::move(headers),
                .body = std::move(text),
                .timeout = timeout,
                .max_reply_bytes = options_.max_message_bytes};
    }

    // Sends the message and passes on what the server says to it. A request for a session that the server knows no more (it was
    // left alone for long, or the server was started again) is sent once more in another one.
    void post(const RpcMessage &message, const std::string &text, bool stateless, const std::stop_token &stop) {
        const auto *request = std::get_if<RpcRequest>(&message);
        const bool begins = request != nullptr && request->method == "initialize";
        std::string session = stateless || begins ? std::string() : session_id();
        const std::chrono::milliseconds timeout = request == nullptr ? kTellTimeout : std::chrono::seconds(0);
        bool answered = false;
        const auto attempt = [&] {
            return exchange(fetch_of(text, headers_of(message, stateless, session), timeout), stop,
                            [&](std::string_view data) { answered = pass_on(data, request) || answered; });
        };
        auto heard = attempt();
        if (heard && heard->reply.status == kNoSession && request != nullptr && !session.empty() && renew(session, stop)) {
            session = session_id();
            heard = attempt();
        }
        if (stop.stop_requested() || request == nullptr) return;
        if (!heard) return refuse(request, heard.error().message);
        if (begins) {
            const std::scoped_lock lock(mutex_);
            session_id_ = heard->reply.header("mcp-session-id");
        }
        if (!answered && !pass_on(heard->whole, request)) {
            refuse(request, std::format("{} answered {} {}", options_.url, heard->reply.status, heard->whole.substr(0, 1024)));
        }
    }

    // Begins another session in place of the one that has gone, with the client's own words; whether there is one then.
    bool renew(const std::string &gone, const std::stop_token &stop) {
        const std::scoped_lock one_at_a_time(renewing_);
        std::string initialize;
        {
            const std::scoped_lock lock(mutex_);
            if (session_id_ != gone) return !session_id_.empty();  // somebody else has been here
            initialize = initialize_;
        }
        if (initialize.empty()) return false;
        std::optional<RpcResponse> response;
        const auto listen = [&](std::string_view data) {
            auto message = read_rpc(data, options_.max_message_bytes);
            if (auto *answer = message ? std::get_if<RpcResponse>(&*message) : nullptr) response = std::move(*answer);
        };
        const auto heard =
            exchange(fetch_of(std::move(initialize), headers_of(RpcResponse{}, false, {}), kRenewTimeout), stop, listen);
        if (!heard) return false;
        if (!response) listen(heard->whole);
        const std::string session(heard->reply.header("mcp-session-id"));
        if (!response || !response->outcome || session.empty()) return false;
        begin_session(*response);
        {
            const std::scoped_lock lock(mutex_);
            session_id_ = session;
        }
        const auto told = exchange(
            fetch_of(std::string(kInitialized), headers_of(RpcNotification{}, false, session), kTellTimeout), stop, listen);
        return told.has_value();
    }

    // Whether it was the answer to the request.
    bool pass_on(std::string_view text, const RpcRequest *request) {
        auto message = read_rpc(text, options_.max_message_bytes);
        if (!message) return false;
        auto *response = std::get_if<RpcResponse>(&*message);
        const bool answers = response != nullptr && request != nullptr && (!response->id || response->id == request->id);
        if (answers) response->id = request->id;
        if (answers && request->method == "initialize") begin_session(*response);
        write(*message);
        return answers;
    }

    // What the answer to `initialize` has agreed on goes with all that follows.
    void begin_session(const RpcResponse &response) {
        if (!response.outcome) return;
        const std::scoped_lock lock(mutex_);
        version_ = Field(*response.outcome)["protocolVersion"].text_or("").value_or("");
    }

    void refuse(const RpcRequest *request, std::string why) {
        write(RpcResponse{.id = request->id,
                          .outcome = std::unexpected(RpcError{.code = kRpcInternalError, .message = std::move(why)})});
    }
    void write(const RpcMessage &message) { out_.write(mcp::write_message(message)); }

    void finish(const std::stop_token &stop) {
        while (!tasks_.all_done()) {
            if (stop.stop_requested() || out_.reader_has_gone()) cancel_all();
            std::this_thread::sleep_for(kLookEvery);
        }
        const std::string session = session_id();
        if (session.empty()) return;
        // Whether it arrives or not: a session that is left alone ends by itself.
        http::FetchRequest farewell = fetch_of({}, headers_of(RpcResponse{}, false, session), kFarewell);
        farewell.method = "DELETE";
        static_cast<void>(exchange(farewell, {}, [](std::string_view) {}));
    }

    const McpForwardOptions &options_;
    server::LineWriter out_;
    server::McpSession session_;     // of it, the requests under way
    std::stop_source gone_;          // nobody listens any more
    std::shared_future<void> told_;  // when the last notification has arrived; of the thread that reads
    std::mutex renewing_;            // held while a session is begun in place of another one
    std::mutex mutex_;
    std::string session_id_, version_, initialize_;  // guarded by mutex_
    server::Tasks tasks_;                            // last: they use the rest
};

}  // namespace

Result<void> forward_mcp_stdio(const McpForwardOptions &options, std::stop_token stop) {
    ENGRAM_TRY(http::check_url(options.url));
    return Forward(options).serve(stop);
}

}  // namespace engram
