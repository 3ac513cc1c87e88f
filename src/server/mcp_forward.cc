#include "server/mcp_forward.h"

#include <chrono>
#include <format>
#include <memory>
#include <mutex>
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

class Forward {
  public:
    explicit Forward(const McpForwardOptions &options) : options_(options), out_(options.out) {}

    Result<void> serve(const std::stop_token &stop) {
        server::LineReader lines(options_.in, options_.max_message_bytes);
        const std::stop_callback ends(stop, [this] { session_.cancel_all(); });
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
    void take(const std::string &text) {
        auto message = read_rpc(text, options_.max_message_bytes);
        if (!message) return write(answer_to(message.error()));
        const bool stateless = mcp::era_of(*message, {}) == mcp::Era::stateless;
        if (const auto *said = std::get_if<RpcNotification>(&*message)) {
            server::McpServer::take(*said, session_);  // over HTTP the end of the connection cancels
        }
        const auto *request = std::get_if<RpcRequest>(&*message);
        // What follows belongs to the session that `initialize` begins.
        if (request != nullptr && request->method == "initialize") return post(*message, text, stateless);
        tasks_.start([this, message = std::move(*message), text, stateless] { post(message, text, stateless); });
    }

    http::HttpFields headers_of(const RpcMessage &message, bool stateless) {
        http::HttpFields headers{{"content-type", "application/json"}, {"accept", "application/json, text/event-stream"}};
        if (!options_.key.empty()) headers.emplace_back("authorization", "Bearer " + options_.key);
        if (const auto *request = std::get_if<RpcRequest>(&message); stateless && request != nullptr) {
            for (auto &header : mcp::mirrored_headers(*request)) headers.push_back(std::move(header));
        }
        const std::scoped_lock lock(mutex_);
        if (!stateless && !session_id_.empty()) {
            headers.emplace_back("mcp-session-id", session_id_);
            headers.emplace_back("mcp-protocol-version", version_);
        }
        return headers;
    }

    // Sends the message and passes on what the server says to it.
    void post(const RpcMessage &message, const std::string &text, bool stateless) {
        const auto *request = std::get_if<RpcRequest>(&message);
        const std::stop_source stop;
        std::unique_ptr<server::McpSession::Under> under;
        if (request != nullptr) {
            under = session_.begin(request->id, stop);
            if (under == nullptr) return refuse(request, server::McpSession::kNotBegun);
        }
        bool answered = false;
        std::string whole;
        http::EventReader events(options_.max_message_bytes);
        const auto on_body = [&](const http::FetchReply &head, std::string_view piece) {
            if (!head.header("content-type").starts_with("text/event-stream")) {
                whole.append(piece);
                return true;
            }
            for (const http::ServerEvent &event : events.take(piece)) answered = pass_on(event.data, request) || answered;
            return true;
        };
        const auto reply = send({.url = options_.url,
                                 .headers = headers_of(message, stateless),
                                 .body = text,
                                 .timeout = std::chrono::milliseconds(0),
                                 .max_reply_bytes = options_.max_message_bytes},
                                stop.get_token(), on_body);
        if (stop.stop_requested() || request == nullptr) return;
        if (!reply) return refuse(request, reply.error().message);
        if (request->method == "initialize") {
            const std::scoped_lock lock(mutex_);
            session_id_ = reply->header("mcp-session-id");
        }
        if (!answered && !pass_on(whole, request)) {
            refuse(request, std::format("{} answered {} {}", options_.url, reply->status, whole.substr(0, 1024)));
        }
    }

    Result<http::FetchReply> send(const http::FetchRequest &request, const std::stop_token &stop,
                                  const http::Fetcher::OnBody &on_body = {}) {
        ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
        return fetcher.send(request, stop, on_body);
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
            if (stop.stop_requested() || out_.reader_has_gone()) session_.cancel_all();
            std::this_thread::sleep_for(kLookEvery);
        }
        if (session_id_.empty()) return;
        // Whether it arrives or not: a session that is left alone ends by itself.
        static_cast<void>(send(
            {.method = "DELETE", .url = options_.url, .headers = headers_of(RpcResponse{}, false), .timeout = kFarewell}, {}));
    }

    const McpForwardOptions &options_;
    server::LineWriter out_;
    server::McpSession session_;  // of it, the requests under way
    std::mutex mutex_;
    std::string session_id_, version_;  // guarded by mutex_
    server::Tasks tasks_;               // last: they use the rest
};

}  // namespace

Result<void> forward_mcp_stdio(const McpForwardOptions &options, std::stop_token stop) {
    ENGRAM_TRY(http::check_url(options.url));
    return Forward(options).serve(stop);
}

}  // namespace engram
