// A tool server as a child process: one JSON-RPC message a line, on its standard input and output (MCP, "stdio").
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <boost/asio/write.hpp>
#include <boost/process/v2/environment.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/process/v2/start_dir.hpp>
#include <boost/process/v2/stdio.hpp>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <format>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "mcp/link.h"

namespace engram::mcp {
namespace {

namespace asio = boost::asio;
namespace process = boost::process::v2;
using namespace protocol;

constexpr std::size_t kKeptOfStderr = 4096;
constexpr std::size_t kMostUnwritten = 1024;  // messages: a server that asks and asks, and doesn't read what it is answered
// What a call's caller hasn't heard yet of its progress: the newest.
constexpr std::size_t kMostProgress = 64;
constexpr std::size_t kMaxProgressBytes = 64UZ << 10U;  // of one such message
constexpr std::chrono::milliseconds kTimeToEnd{2000};
constexpr std::chrono::milliseconds kLook{20};
// What a program needs to find itself and its user. Nothing else of our environment is the server's business: keys live there.
constexpr auto kPassedOn = std::to_array<const char *>(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TERM", "TMPDIR", "XDG_CACHE_HOME"});

// In the child, before the program begins: a group of its own, which can be ended whole, and no life after ours. Linux sends the
// signal when the *thread* that forked ends.
struct OwnGroup {
    boost::system::error_code on_exec_setup(process::posix::default_launcher & /*launcher*/,
                                            const process::filesystem::path & /*program*/, const char *const * /*line*/) const {
        ::setpgid(0, 0);
#ifdef __linux__
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
        sigset_t none;
        sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        return {};
    }
};

std::vector<std::string> environment_of(const ServerConfig &config) {
    std::map<std::string, std::string> variables;
    for (const char *name : kPassedOn) {
        if (const char *value = std::getenv(name); value != nullptr) variables[name] = value;  // NOLINT(concurrency-mt-unsafe)
    }
    for (const auto &[name, value] : config.env) variables[name] = value;
    std::vector<std::string> list;
    for (const auto &[name, value] : variables) list.push_back(std::format("{}={}", name, value));
    return list;
}

class StdioLink final : public Link {
  public:
    explicit StdioLink(std::string name) : name_(std::move(name)) {}
    ~StdioLink() override;

    Result<void> start(const ServerConfig &config);

    Result<RpcResult<OrderedJson>> ask(const std::string &method, OrderedJson params, const Asking &asking) override;
    Result<void> tell(const std::string &method, OrderedJson params) override;
    void speak(std::string) override {}
    bool broken() const override {
        const std::scoped_lock lock(mutex_);
        return !why_broken_.empty();
    }
    bool tools_have_changed() override {
        const std::scoped_lock lock(mutex_);
        return std::exchange(tools_changed_, false);
    }

  private:
    // A request that waits for its answer.
    struct Waiting {
        std::deque<RpcNotification> notifications;
        std::optional<RpcResult<OrderedJson>> answer;
    };

    // On the thread of the pipes.
    Result<void> launch(const ServerConfig &config);
    void read_line();
    void read_stderr();
    void take(std::string_view line);
    void write_next();
    void end(const std::string &why);

    void send(std::string line);
    Error gone() const;  // under mutex_

    const std::string name_;
    asio::io_context io_;
    asio::writable_pipe input_{io_};
    asio::readable_pipe output_{io_}, stderr_{io_};
    asio::streambuf read_{kMaxMessageBytes};
    std::array<char, 1024> stderr_read_{};
    std::deque<std::string> to_write_;  // the thread of the pipes only
    std::optional<process::process> child_;

    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    std::map<std::int64_t, Waiting> waiting_;  // guarded by mutex_
    std::int64_t next_id_ = 1;                 // guarded by mutex_
    std::string why_broken_;                   // guarded by mutex_; empty: it isn't
    std::string stderr_end_;                   // guarded by mutex_
    bool tools_changed_ = false;               // guarded by mutex_
    std::jthread thread_;
};

Result<void> StdioLink::launch(const ServerConfig &config) {
    const std::vector<std::string> variables = environment_of(config);
    try {
        const auto found = config.command.contains('/') ? process::filesystem::path(config.command)
                                                        : process::environment::find_executable(config.command);
        if (found.empty()) {
            return fail(ErrorCode::io, std::format("{}: there is no program {} in PATH; install it, or give its whole path",
                                                   name_, config.command));
        }
        // Not const: the launcher passes over initializers that it can't call.
        process::process_stdio pipes{.in = input_, .out = output_, .err = stderr_};
        process::process_start_dir folder(config.cwd.empty() ? "." : config.cwd);
        child_.emplace(io_, found, config.args, pipes, process::process_environment(variables), folder, OwnGroup{});
    } catch (const std::exception &error) {
        return fail(ErrorCode::io, std::format("{}: {} could not be started: {}", name_, config.command, error.what()));
    }
    read_line();
    read_stderr();
    return {};
}

// The link's own thread forks, since it lives as long as the link: whoever asks for a server may be gone long before it.
Result<void> StdioLink::start(const ServerConfig &config) {
    std::promise<Result<void>> promise;
    std::future<Result<void>> launched = promise.get_future();
    thread_ = std::jthread([this, &config, promise = std::move(promise)]() mutable {
        sigset_t pipe;  // a server that has ended is an error of the write, not our end
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
        const auto work = asio::make_work_guard(io_);  // also while the pipes are closed and the program still runs
        Result<void> result = launch(config);
        const bool runs = result.has_value();
        promise.set_value(std::move(result));  // beyond this, `config` may be gone
        if (runs) io_.run();
    });
    return launched.get();
}

// Its input ends, which asks it to end; who doesn't is told more and more clearly.
StdioLink::~StdioLink() {
    if (!child_) return;
    asio::post(io_, [this] {
        boost::system::error_code ignored;
        static_cast<void>(input_.close(ignored));
    });
    boost::system::error_code ignored;
    const pid_t group = child_->id();
    const auto ends_within = [&](std::chrono::milliseconds time) {
        const auto until = std::chrono::steady_clock::now() + time;
        while (child_->running(ignored)) {
            if (std::chrono::steady_clock::now() > until) return false;
            std::this_thread::sleep_for(kLook);
        }
        return true;
    };
    if (!ends_within(kTimeToEnd)) {
        ::kill(-group, SIGTERM);
        if (!ends_within(kTimeToEnd)) ::kill(-group, SIGKILL);
        child_->wait(ignored);
    }
    ::kill(-group, SIGKILL);  // what it started and left
    io_.stop();
}

void StdioLink::read_line() {
    asio::async_read_until(output_, read_, '\n', [this](boost::system::error_code error, std::size_t bytes) {
        if (error) {
            const bool too_long = error == asio::error::not_found;
            return end(too_long ? std::format("it sent a line of more than {} MiB", kMaxMessageBytes >> 20U) : "it has ended");
        }
        const auto data = read_.data();
        const std::string line(asio::buffers_begin(data), asio::buffers_begin(data) + static_cast<std::ptrdiff_t>(bytes));
        read_.consume(bytes);
        take(line);
        read_line();
    });
}

void StdioLink::read_stderr() {
    stderr_.async_read_some(asio::buffer(stderr_read_), [this](boost::system::error_code error, std::size_t bytes) {
        if (error) return;
        {
            const std::scoped_lock lock(mutex_);
            stderr_end_.append(stderr_read_.data(), bytes);
            if (stderr_end_.size() > kKeptOfStderr) stderr_end_.erase(0, stderr_end_.size() - kKeptOfStderr);
        }
        read_stderr();
    });
}

void StdioLink::take(std::string_view line) {
    line = line.substr(0, line.find_last_not_of(" \t\r\n") + 1);
    if (line.empty()) return;
    auto message = read_rpc(line, kMaxMessageBytes);
    if (!message) return;  // servers that print to their output: what is no message says nothing
    if (const auto *request = std::get_if<RpcRequest>(&*message)) {
        RpcResponse answer{.id = request->id, .outcome = OrderedJson::object()};
        if (request->method != "ping") answer.outcome = rpc_fail(kRpcMethodNotFound, "this client answers ping only");
        if (to_write_.size() >= kMostUnwritten) return end("it doesn't read what it is answered");
        to_write_.push_back(write_rpc(answer) + "\n");
        if (to_write_.size() == 1) write_next();
        return;
    }
    const std::scoped_lock lock(mutex_);
    if (auto *response = std::get_if<RpcResponse>(&*message)) {
        const auto *id = response->id ? std::get_if<std::int64_t>(&*response->id) : nullptr;
        const auto found = id != nullptr ? waiting_.find(*id) : waiting_.end();
        if (found == waiting_.end()) return;
        found->second.answer = std::move(response->outcome);
    } else if (auto *notification = std::get_if<RpcNotification>(&*message)) {
        if (notification->method == "notifications/tools/list_changed") tools_changed_ = true;
        const auto token = notification->params.find("progressToken");
        if (token == notification->params.end() || !token->is_number_integer()) return;
        const auto found = waiting_.find(token->get<std::int64_t>());
        if (found == waiting_.end()) return;
        if (line.size() > kMaxProgressBytes) return;
        if (found->second.notifications.size() == kMostProgress) found->second.notifications.pop_front();
        found->second.notifications.push_back(std::move(*notification));
    }
    changed_.notify_all();
}

void StdioLink::end(const std::string &why) {
    const std::scoped_lock lock(mutex_);
    if (why_broken_.empty()) why_broken_ = why;
    changed_.notify_all();
}

void StdioLink::write_next() {
    asio::async_write(input_, asio::buffer(to_write_.front()), [this](boost::system::error_code error, std::size_t) {
        if (error) return end("it takes no input any more");
        to_write_.pop_front();
        if (!to_write_.empty()) write_next();
    });
}

void StdioLink::send(std::string line) {
    asio::post(io_, [this, line = std::move(line)]() mutable {
        to_write_.push_back(std::move(line));
        if (to_write_.size() == 1) write_next();
    });
}

Error StdioLink::gone() const {
    std::string last = stderr_end_.substr(0, stderr_end_.find_last_not_of(" \t\r\n") + 1);
    const std::size_t line = last.rfind('\n');
    if (line != std::string::npos) last.erase(0, line + 1);
    return {.code = ErrorCode::io,
            .message = std::format("the tool server {} doesn't answer: {}{}", name_, why_broken_,
                                   last.empty() ? "" : "; it said: " + last)};
}

Result<RpcResult<OrderedJson>> StdioLink::ask(const std::string &method, OrderedJson params, const Asking &asking) {
    std::unique_lock lock(mutex_);
    if (!why_broken_.empty()) return std::unexpected(gone());
    const std::int64_t id = next_id_++;
    if (asking.on_notification) params["_meta"]["progressToken"] = id;
    Waiting &waiting = waiting_[id];
    send(write_rpc(RpcRequest{.id = id, .method = method, .params = std::move(params)}) + "\n");
    const auto until = std::chrono::steady_clock::now() + asking.timeout;
    const auto something = [&] { return waiting.answer || !waiting.notifications.empty() || !why_broken_.empty(); };
    while (true) {
        const bool came = changed_.wait_until(lock, asking.stop, until, something);
        while (!waiting.notifications.empty()) {
            const RpcNotification notification = std::move(waiting.notifications.front());
            waiting.notifications.pop_front();
            lock.unlock();
            if (asking.on_notification) asking.on_notification(notification);
            lock.lock();
        }
        if (waiting.answer || !why_broken_.empty() || !came) break;
    }
    std::optional<RpcResult<OrderedJson>> answer = std::move(waiting.answer);
    waiting_.erase(id);
    if (answer) return std::move(*answer);
    if (!why_broken_.empty()) return std::unexpected(gone());
    send(write_rpc(RpcNotification{.method = "notifications/cancelled",
                                   .params = {{"requestId", id}, {"reason", "nobody waits for it"}}}) +
         "\n");
    if (asking.stop.stop_requested()) return fail(ErrorCode::cancelled, std::format("the request to {} was stopped", name_));
    return fail(ErrorCode::io, std::format("the tool server {} didn't answer within {} ms", name_, asking.timeout.count()));
}

Result<void> StdioLink::tell(const std::string &method, OrderedJson params) {
    const std::scoped_lock lock(mutex_);
    if (!why_broken_.empty()) return std::unexpected(gone());
    send(write_rpc(RpcNotification{.method = method, .params = std::move(params)}) + "\n");
    return {};
}

}  // namespace

Result<std::unique_ptr<Link>> start_stdio_link(const ServerConfig &config) {
    auto link = std::make_unique<StdioLink>(config.name);
    ENGRAM_TRY(link->start(config));
    return link;
}

}  // namespace engram::mcp
