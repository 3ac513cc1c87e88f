// The transport of the server: HTTP/1.1 over TCP or TLS. It knows routes, bodies and streams, and nothing of agents or protocols.
//
// A request is read on the one thread that owns all sockets, within the limits below, and finds its route. The route's handler
// runs on a worker thread, where it may wait as long as it likes; no request waits for another one's handler. It answers through
// its HttpResponder, with one whole answer or with a stream. What the server itself has to refuse (no such route, too large, too
// many, malformed, a handler that failed) gets its words from the caller's `refuse`, because each protocol has its own shape of
// an error.
//
// Memory is bounded: `bodies_bytes` for all bodies, `connections` times the other limits of a request and 64 KiB of a body that
// always finds room, and for each stream about 64 KiB that the client hasn't read yet. A client that doesn't read makes `write`
// wait, and is cut off after `send_timeout`.
//
// Threads: handlers of several requests run at the same time. `refuse` and `log` are called from the thread that owns the sockets
// or from a worker, also at the same time: they are quick and thread-safe. Any number of servers may live in one process, at the
// same time or one after another.
#pragma once

#include <engram/error.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace engram::http {

class Exchange;  // one request and its answer; private to the transport

// Names and values in the order of the wire.
using HttpFields = std::vector<std::pair<std::string, std::string>>;

// --- a request -----------------------------------------------------------------------------------------------------------

struct HttpRequest {
    std::string id;              // the client's X-Request-Id when it is 1 to 128 letters, digits, '-', '_' or '.'; else a new one
    std::string method;          // "POST". A HEAD request is given to the GET route: only the head of its answer is sent
    std::string path;            // as it was sent, without the query: percent-encoded
    std::string route;           // the pattern that matched, empty in front of `refuse` when none did
    HttpFields path_parameters;  // name in the pattern, percent-decoded value
    HttpFields query;            // percent-decoded, '+' is a space
    HttpFields headers;
    std::string body;      // whole; chunks are put together
    std::string peer;      // "127.0.0.1:51234"
    std::stop_token stop;  // triggered when the client has gone, or when the server stops and can't wait any longer.
                           // Callbacks on it run on the thread that owns the sockets: they must be quick

    std::string_view parameter(std::string_view name) const;                   // of the path; empty when there is none
    std::optional<std::string_view> query_value(std::string_view name) const;  // the first of that name
    std::string_view header(std::string_view name) const;  // the first of that name in any case; empty when there is none
};

// --- an answer -----------------------------------------------------------------------------------------------------------

// Content-Length, Transfer-Encoding, Connection, Date, X-Request-Id and the CORS headers are the server's own.
struct HttpAnswer {
    int status = 200;
    HttpFields headers;
    std::string body;
};

// Answers one request: either `send` once, or `start`, any number of `write`, `end`. Each returns false once the client has gone
// (or the answer has been given already): then there is nothing left to do for it.
//
// One thread uses a responder at a time. A handler that moves it away may return and let others answer later; such a request
// needs no thread while it waits. A responder that is destroyed with nothing sent makes the server answer that the handler
// failed; one that is destroyed within a stream cuts the connection, so that the client sees that the answer isn't whole.
class HttpResponder {
  public:
    HttpResponder() = default;  // of no request: everything returns false
    explicit HttpResponder(std::shared_ptr<Exchange> exchange);
    ~HttpResponder();
    HttpResponder(HttpResponder &&other) noexcept;
    HttpResponder &operator=(HttpResponder &&other) noexcept;

    bool send(const HttpAnswer &answer);

    // A stream's head goes out at once.
    bool start(int status, const HttpFields &headers);
    // Sends text without delay. Waits while the client is behind by more than 16 KiB.
    bool write(std::string_view text);
    // Takes all of the text, or nothing while the client is behind by more than 16 KiB (false). Never waits: for a thread that
    // writes to many. Nor does it take anything once the client has gone.
    bool offer(std::string_view text);
    bool end();

    bool gone() const;
    int status() const;                   // of the answer; 0: none was given
    void set_tenant(std::string tenant);  // for the log

  private:
    void drop();

    std::shared_ptr<Exchange> exchange_;
};

// An error means that the handler failed: the client gets `refuse`'s words for `internal`, or, within a stream, a cut connection.
// So does an exception. What a handler does after its answer's end holds up a worker.
using HttpHandler = std::function<Result<void>(const HttpRequest &, HttpResponder &)>;

// --- routes --------------------------------------------------------------------------------------------------------------

// A pattern begins with '/'; its segments are literal text, or contain one name: "/v1/agents/{id}/turn", "/tasks/{id}:cancel". A
// name stands for one or more characters. When several patterns fit, the one with the longer literal text in the first segment
// that differs wins. OPTIONS needs no route; HEAD is served by GET's.
struct HttpRoute {
    std::string method;
    std::string path;
    HttpHandler handler;
    // Answers within microseconds and never waits (health, metrics): runs on a thread kept for these routes, so that it answers
    // also when all workers are busy, and while the server stops.
    bool quick = false;
};

// --- what the server refuses ---------------------------------------------------------------------------------------------

enum class HttpRefusalKind : std::uint8_t {
    malformed,           // 400: no HTTP, or a path or query with a wrong escape. The connection is closed
    not_found,           // 404
    method_not_allowed,  // 405, with Allow
    too_slow,            // 408: the request wasn't whole within receive_timeout. The connection is closed
    body_too_large,      // 413. The connection is closed
    headers_too_large,   // 431: request line and headers. The connection is closed
    internal,            // 500: the handler failed
    overloaded,          // 503: all workers are busy; with Retry-After
    stopping,            // 503: with Retry-After. The connection is closed
    foreign,             // 403: sent by a web page of another origin that isn't allowed, or to a name that isn't this machine's
    no_room,             // 503: bodies of other requests take the memory for them; with Retry-After. The connection is closed
};

struct HttpRefusal {
    HttpRefusalKind kind = HttpRefusalKind::internal;
    int status = 500;     // what the table above says; the answer may choose another one, 429 for instance
    std::string message;  // a sentence for the client
};

// Words a refusal. What isn't known of the request at that point is empty. Allow, Retry-After and Connection are added by the
// server.
using HttpRefuse = std::function<HttpAnswer(const HttpRequest &, const HttpRefusal &)>;

// --- the server ----------------------------------------------------------------------------------------------------------

struct HttpTls {
    std::string certificate_file;  // PEM, with the chain
    std::string key_file;          // PEM, without a password
};

struct HttpLimits {
    std::size_t body_bytes = 32U << 20;
    std::size_t bodies_bytes = 256U << 20;  // of those that are in memory, beside small ones; at least one always fits
    std::size_t header_bytes = 32U << 10;   // request line and headers together
    std::size_t connections = 4096;         // more clients than that wait until one has gone
    std::size_t workers = 128;              // handlers that run at the same time; a further request is refused as overloaded
    std::chrono::milliseconds receive_timeout{30'000};  // from a request's first byte to its last one; for TLS's handshake too
    std::chrono::milliseconds idle_timeout{75'000};     // between two requests
    std::chrono::milliseconds send_timeout{30'000};     // in which the client takes nothing of what is sent
};

struct HttpServerOptions {
    std::string host = "127.0.0.1";  // an address, or "localhost"
    std::uint16_t port = 0;          // 0: any free one
    bool allow_remote = false;       // without it, only addresses of this machine alone (loopback) are accepted
    std::optional<HttpTls> tls;
    HttpLimits limits;
    // Web pages of these origins ("https://example.com", or "*" for all) may call the server. Of others only those that came from
    // the server itself may: what a browser says to come from elsewhere is refused, also where the page couldn't read the answer.
    std::vector<std::string> cors_origins;
    // Without allow_remote: the names that clients may call the server by, beside addresses and "localhost" ("*": any). A web
    // page whose name is made to lead here (DNS rebinding) would otherwise count as the server's own.
    std::vector<std::string> names;
    std::vector<HttpRoute> routes;
    HttpRefuse refuse;  // when empty, refusals are plain text
    // Gets one JSON object for each request when its answer is over, without a line end: time, id, method, route (null when none
    // matched), status, bytes (of the answer's body), ms, tenant (when set), cut (true: a stream that its handler didn't end),
    // gone (true: the client left before the end, or had to go because the server stopped). Never a body, a query or a header.
    std::function<void(std::string_view line)> log;
};

struct HttpServerCounts {
    std::size_t connections = 0;
    std::size_t open = 0;     // requests that aren't answered to the end
    std::size_t running = 0;  // of these, how many have a worker
};

class HttpServer {
  public:
    // Listens when it returns. already_exists: the port is taken. invalid_argument: a host, route, limit or certificate that
    // can't be used. not_found: no such certificate or key file. io: the system refuses the address or port.
    static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options);
    ~HttpServer();  // stop with no time to wait
    HttpServer(const HttpServer &) = delete;
    HttpServer &operator=(const HttpServer &) = delete;

    std::uint16_t port() const;
    std::string address() const;  // "http://127.0.0.1:8000"

    // Method and pattern of each route, as given.
    std::vector<std::pair<std::string, std::string>> routes() const;
    HttpServerCounts counts() const;

    // New requests are refused as stopping, and open ones may go on for as long as `drain`; then their stop tokens are triggered
    // and all connections closed. Returns when every handler has returned. May be called once, from any thread that isn't a
    // handler's.
    void stop(std::chrono::milliseconds drain);

  private:
    class Impl;
    explicit HttpServer(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace engram::http
