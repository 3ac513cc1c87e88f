#include "http/server.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <format>
#include <iterator>
#include <ranges>
#include <thread>
#include <unordered_map>
#include <vector>

#include "http/connection.h"

namespace engram::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// After an error of the system (too many open files), so that it isn't asked again in a tight loop.
constexpr std::chrono::milliseconds kAcceptPause{100};

std::string text_of(const tcp::endpoint &endpoint) {
    const std::string address = endpoint.address().to_string();
    return std::format("{}:{}", endpoint.address().is_v6() ? "[" + address + "]" : address, endpoint.port());
}

Result<tcp::endpoint> endpoint_of(const HttpServerOptions &options) {
    error_code error;
    const auto address = asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error) {
        return fail(ErrorCode::invalid_argument,
                    std::format("\"{}\" is no address to listen on: give one of this machine's, like 127.0.0.1", options.host));
    }
    if (!address.is_loopback() && !options.allow_remote) {
        return fail(
            ErrorCode::invalid_argument,
            std::format("{} can be reached from other machines, which has not been allowed: listen on 127.0.0.1, or allow it",
                        options.host));
    }
    return tcp::endpoint(address, options.port);
}

Result<void> check(const HttpLimits &limits) {
    const auto positive = std::min({limits.receive_timeout, limits.idle_timeout, limits.send_timeout}).count() > 0;
    if (limits.header_bytes < 256 || limits.connections == 0 || limits.workers == 0 || !positive) {
        return fail(
            ErrorCode::invalid_argument,
            "the limits leave no room for a request: 256 bytes of headers, one connection, one worker and a time are needed");
    }
    return {};
}

std::unexpected<Error> cant_listen(const tcp::endpoint &endpoint, const error_code &error) {
    if (error == asio::error::address_in_use) {
        return fail(ErrorCode::already_exists,
                    std::format("{} is in use by another program: stop that one, or choose another port", text_of(endpoint)));
    }
    return fail(ErrorCode::io, std::format("{} can't be listened on: {}", text_of(endpoint), error.message()));
}

}  // namespace

// --- the server ----------------------------------------------------------------------------------------------------------

class HttpServer::Impl {
  public:
    Impl(const HttpServerOptions &options, RouteTable routes, std::unique_ptr<asio::ssl::context> tls)
        : limits_(options.limits), tls_(std::move(tls)), dispatcher_(options, std::move(routes)), acceptor_(io_), pause_(io_) {}
    ~Impl() { stop(std::chrono::milliseconds(0)); }
    Impl(const Impl &) = delete;
    Impl &operator=(const Impl &) = delete;

    Result<void> listen(const tcp::endpoint &wanted);
    void stop(std::chrono::milliseconds drain);

    const tcp::endpoint &endpoint() const { return endpoint_; }
    bool has_tls() const { return tls_ != nullptr; }
    const Dispatcher &dispatcher() const { return dispatcher_; }
    std::size_t connections() const { return connection_count_; }

  private:
    void run();
    void accept();
    void on_accepted(tcp::socket socket);
    void close_all();

    // constant after listen
    const HttpLimits limits_;
    const std::unique_ptr<asio::ssl::context> tls_;
    tcp::endpoint endpoint_;

    Dispatcher dispatcher_;
    asio::io_context io_{1};
    std::atomic<std::size_t> connection_count_ = 0;
    std::atomic<bool> stopped_ = false;

    // of the thread below
    tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    std::unordered_map<Connection *, std::shared_ptr<Connection>> connections_;
    bool accepting_ = false;
    bool closing_ = false;

    std::jthread thread_;
};

Result<void> HttpServer::Impl::listen(const tcp::endpoint &wanted) {
    error_code error;
    (void)acceptor_.open(wanted.protocol(), error);
    if (!error) (void)acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) (void)acceptor_.bind(wanted, error);
    if (!error) (void)acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) endpoint_ = acceptor_.local_endpoint(error);
    if (error) return cant_listen(wanted, error);
    thread_ = std::jthread([this] { run(); });
    return {};
}

void HttpServer::Impl::run() {
#ifdef __linux__
    pthread_setname_np(pthread_self(), "http-io");
#endif
    while (true) {
        try {
            accept();
            io_.run();
            return;
        } catch (const std::exception &) {
            continue;  // one connection's failure (there is no memory) isn't that of the others
        }
    }
}

void HttpServer::Impl::accept() {
    if (accepting_ || closing_ || connections_.size() >= limits_.connections) return;
    accepting_ = true;
    acceptor_.async_accept([this](const error_code &error, tcp::socket socket) {
        accepting_ = false;
        if (closing_) return;
        if (!error) {
            on_accepted(std::move(socket));
            return accept();
        }
        pause_.expires_after(kAcceptPause);
        pause_.async_wait([this](const error_code &) { accept(); });
    });
}

void HttpServer::Impl::on_accepted(tcp::socket socket) {
    error_code error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (!error) (void)socket.set_option(tcp::no_delay(true), error);
    if (error) return;  // it has gone already
    auto wire = tls_ ? make_tls_wire(std::move(socket), *tls_) : make_wire(std::move(socket));
    const auto connection = std::make_shared<Connection>(Connection::Setup{
        .wire = std::move(wire),
        .executor = io_.get_executor(),
        .peer = text_of(peer),
        .dispatcher = dispatcher_,
        .limits = limits_,
        .closed =
            [this](Connection &closed) {
                connections_.erase(&closed);
                connection_count_ = connections_.size();
                accept();
            },
    });
    connections_.emplace(connection.get(), connection);
    connection_count_ = connections_.size();
    connection->start();
}

void HttpServer::Impl::close_all() {
    closing_ = true;
    error_code ignored;  // it is closed afterwards in any case
    (void)acceptor_.close(ignored);
    pause_.cancel();
    std::vector<std::shared_ptr<Connection>> connections;  // leaving changes the map
    std::ranges::copy(connections_ | std::views::values, std::back_inserter(connections));
    for (const auto &connection : connections) connection->leave();
}

void HttpServer::Impl::stop(std::chrono::milliseconds drain) {
    if (!thread_.joinable() || stopped_.exchange(true)) return;
    dispatcher_.refuse_new_requests();
    dispatcher_.wait_until_none_is_open(std::chrono::steady_clock::now() + drain);
    asio::post(io_, [this] { close_all(); });
    thread_.join();  // it ends when nothing is under way any more
    dispatcher_.join();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options) {
    ENGRAM_ASSIGN(const tcp::endpoint endpoint, endpoint_of(options));
    ENGRAM_TRY(check(options.limits));
    ENGRAM_ASSIGN(RouteTable routes, RouteTable::create(std::move(options.routes)));
    std::unique_ptr<asio::ssl::context> tls;
    if (options.tls) {
        ENGRAM_ASSIGN(tls, make_tls_context(*options.tls));
    }
    auto impl = std::make_unique<Impl>(options, std::move(routes), std::move(tls));
    ENGRAM_TRY(impl->listen(endpoint));
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const { return impl_->endpoint().port(); }

std::string HttpServer::address() const {
    return std::format("{}://{}", impl_->has_tls() ? "https" : "http", text_of(impl_->endpoint()));
}

std::vector<std::pair<std::string, std::string>> HttpServer::routes() const {
    std::vector<std::pair<std::string, std::string>> routes;
    for (const HttpRoute &route : impl_->dispatcher().routes().routes()) routes.emplace_back(route.method, route.path);
    return routes;
}

HttpServerCounts HttpServer::counts() const {
    const Dispatcher &dispatcher = impl_->dispatcher();
    return {.connections = impl_->connections(), .open = dispatcher.open(), .running = dispatcher.running()};
}

void HttpServer::stop(std::chrono::milliseconds drain) { impl_->stop(drain); }

}  // namespace engram::http
