#include "server/mcp_stdio.h"

#include <chrono>
#include <format>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "server/line_io.h"
#include "server/mcp_agents.h"
#include "server/mcp_fixtures.h"
#include "server/tasks.h"

namespace engram {

using namespace protocol;
using server::McpServer;
using server::McpSession;

namespace {

namespace mcp = protocol::mcp;

constexpr std::chrono::milliseconds kLookEvery{10};  // for a reader that has gone

class Stdio {
  public:
    explicit Stdio(const McpStdioOptions &options)
        : options_(options),
          offer_(options.fixtures ? server::make_mcp_fixtures() : std::make_unique<server::McpAgents>()),
          server_(*offer_),
          out_(options.out) {}

    Result<void> serve(const std::stop_token &stop) {
        server::LineReader lines(options_.in, options_.max_line_bytes);
        const std::stop_callback ends(stop, [this] { session_.cancel_all(); });
        while (true) {
            auto line = lines.next(stop);
            if (!line || !*line) {
                finish(stop);
                return line ? Result<void>() : std::unexpected(std::move(line.error()));
            }
            if ((*line)->too_long) {
                refuse({.id = {},
                        .error = {.code = kRpcParseError,
                                  .message = std::format("a message has more than {} bytes", options_.max_line_bytes)}});
            } else if (!(*line)->text.empty()) {
                take((*line)->text);
            }
        }
    }

  private:
    void take(const std::string &text) {
        auto message = read_rpc(text, options_.max_line_bytes);
        if (!message) return refuse(message.error());
        if (const auto *said = std::get_if<RpcNotification>(&*message)) return McpServer::take(*said, session_);
        if (const auto *answered = std::get_if<RpcResponse>(&*message)) return session_.answered(*answered);
        const auto &request = std::get<RpcRequest>(*message);
        const bool stateless = mcp::era_of(request, {}) == mcp::Era::stateless;
        auto meta = stateless ? mcp::read_stateless_meta(request.params) : mcp::read_session_meta(request.params);
        if (!meta) return refuse({.id = request.id, .error = std::move(meta.error())});
        const std::stop_source stop;
        std::shared_ptr<McpSession::Under> under = session_.begin(request.id, stop);
        if (under == nullptr) {
            return refuse({.id = request.id, .error = {.code = kRpcInvalidRequest, .message = McpSession::kNotBegun}});
        }
        auto work = [this, request, meta = std::move(*meta), token = stop.get_token(), under = std::move(under)]() mutable {
            const auto response = answer(request, meta, token);
            under.reset();
            if (response) write(*response);
        };
        // What runs a model may take long; everything else is answered at once, and in order.
        if (request.method != "tools/call") return work();
        tasks_.start(std::move(work));
    }

    std::optional<RpcResponse> answer(const RpcRequest &request, const mcp::CallMeta &meta, const std::stop_token &stop) {
        return server_.answer(request, {.caller = caller(),
                                        .meta = meta,
                                        .session = &session_,
                                        .send = [this](const RpcMessage &message) { write(message); },
                                        .stop = stop});
    }

    server::McpCaller caller() const {
        const auto run = [this](const RunRequest &request, const RunSink &sink, std::stop_token stop) -> ApiResult<RunResult> {
            RunRequest sampled = request;
            sampled.sampling = options_.sampling;
            auto result = options_.run(*options_.agents, sampled, sink, std::move(stop));
            if (!result) return std::unexpected(api_error(result.error()));
            return std::move(*result);
        };
        return {.agents = options_.agents, .run = run, .may_create = [] { return ApiResult<void>(); }};
    }

    void refuse(const RpcFault &fault) { write(answer_to(fault)); }

    void write(const RpcMessage &message) { out_.write(mcp::write_message(message)); }

    void finish(const std::stop_token &stop) {
        while (!tasks_.all_done()) {
            if (stop.stop_requested() || out_.reader_has_gone()) session_.cancel_all();
            std::this_thread::sleep_for(kLookEvery);
        }
    }

    const McpStdioOptions &options_;
    const std::unique_ptr<server::McpOffer> offer_;
    McpServer server_;
    McpSession session_;
    server::LineWriter out_;
    server::Tasks tasks_;  // last: they use the rest
};

}  // namespace

Result<void> serve_mcp_stdio(const McpStdioOptions &options, std::stop_token stop) { return Stdio(options).serve(stop); }

}  // namespace engram
