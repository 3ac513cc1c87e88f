#include "http/dispatcher.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <exception>
#include <format>
#include <nlohmann/json.hpp>
#include <utility>

#include "http/fields.h"

namespace engram::http {
namespace {

constexpr std::size_t kMaxIdLength = 128;

bool is_sane_id(std::string_view id) {
    return !id.empty() && id.size() <= kMaxIdLength &&
           std::ranges::all_of(id, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

std::string joined(const std::vector<std::string> &words) {
    std::string text;
    for (const std::string &word : words) text += (text.empty() ? "" : ", ") + word;
    return text;
}

std::string_view without_port(std::string_view host) {
    if (host.starts_with('[')) return host.substr(0, host.find(']') + 1);
    return host.substr(0, host.find(':'));
}

bool is_address(std::string_view name) {
    if (name.starts_with('[')) return true;  // a name has no bracket
    in_addr address{};
    return ::inet_pton(AF_INET, std::string(name).c_str(), &address) == 1;
}

}  // namespace

Dispatcher::Dispatcher(const HttpServerOptions &options, RouteTable routes)
    : routes_(std::move(routes)),
      cors_origins_(options.cors_origins),
      names_(options.names),
      checks_names_(!options.allow_remote && !std::ranges::contains(options.names, "*")),
      refuse_(options.refuse),
      log_(options.log),
      max_running_(options.limits.workers),
      bodies_(std::make_shared<BodyBudget>(std::max(options.limits.bodies_bytes, options.limits.body_bytes))),
      random_(std::random_device{}()),
      quick_("http-quick", 1),
      workers_("http-worker", options.limits.workers) {}

std::string Dispatcher::make_id() { return std::format("{:016x}{:016x}", random_(), random_()); }

bool Dispatcher::allows(std::string_view origin) const {
    return std::ranges::any_of(cors_origins_, [&](const std::string &allowed) { return allowed == "*" || allowed == origin; });
}

bool Dispatcher::is_foreign(const HttpRequest &request) const {
    const std::string_view host = request.header("Host");
    const std::string_view origin = request.header("Origin");
    if (checks_names_ && !host.empty()) {
        const std::string_view name = without_port(host);
        const auto is_name = [&](const std::string &known) { return same_name(known, name); };
        if (!is_address(name) && !same_name(name, "localhost") && std::ranges::none_of(names_, is_name)) return true;
    }
    if (origin.empty() || allows(origin)) return false;
    const std::size_t scheme = origin.find("://");
    return scheme == std::string_view::npos || !same_name(origin.substr(scheme + 3), host);
}

HttpFields Dispatcher::own_headers(const HttpRequest &request) const {
    HttpFields headers = {{"X-Request-Id", request.id}};
    if (cors_origins_.empty()) return headers;
    headers.emplace_back("Vary", "Origin");  // whoever keeps the answer must not give it to another origin
    const std::string_view origin = request.header("Origin");
    if (!origin.empty() && allows(origin)) {
        headers.emplace_back("Access-Control-Allow-Origin", origin);
        headers.emplace_back("Access-Control-Expose-Headers", "*");
    }
    return headers;
}

std::shared_ptr<Exchange> Dispatcher::open_exchange(Arrival arrival) {
    const std::string_view id = arrival.request.header("X-Request-Id");
    arrival.request.id = is_sane_id(id) ? std::string(id) : make_id();
    {
        const std::lock_guard lock(mutex_);
        open_++;
    }
    HttpFields own = own_headers(arrival.request);
    return std::make_shared<Exchange>(Exchange::Setup{.request = std::move(arrival.request),
                                                      .body_share = std::move(arrival.body_share),
                                                      .own_headers = std::move(own),
                                                      .http_1_0 = arrival.http_1_0,
                                                      .keep_alive = arrival.keep_alive && !stopping_,
                                                      .refuse = refuse_,
                                                      .wake = std::move(arrival.wake),
                                                      .send_now = std::move(arrival.send_now)});
}

std::shared_ptr<Exchange> Dispatcher::refuse(Arrival arrival, const HttpRefusal &refusal) {
    arrival.keep_alive = false;
    const auto exchange = open_exchange(std::move(arrival));
    HttpFields headers;
    if (refusal.kind == HttpRefusalKind::no_room) headers.emplace_back("Retry-After", "1");
    exchange->refuse(refusal, std::move(headers));
    return exchange;
}

std::shared_ptr<Exchange> Dispatcher::dispatch(Arrival arrival) {
    const auto match = routes_.find(arrival.request.method, arrival.request.path);
    if (!match) {
        return refuse(std::move(arrival), {.kind = HttpRefusalKind::malformed,
                                           .status = 400,
                                           .message = "the path contains a '%' that two hexadecimal digits don't follow"});
    }
    if (match->route != nullptr) {
        arrival.request.route = match->route->path;
        arrival.request.path_parameters = match->parameters;
    }
    const auto exchange = open_exchange(std::move(arrival));
    const HttpRequest &request = exchange->request();
    if (is_foreign(request)) {
        exchange->refuse({.kind = HttpRefusalKind::foreign,
                          .status = 403,
                          .message = "the request comes from a web page that isn't allowed here, or calls the server by a name "
                                     "that it doesn't know"});
    } else if (request.method == "OPTIONS" && (!match->allowed.empty() || request.path == "*")) {
        answer_options(*exchange, *match);
    } else if (match->route != nullptr) {
        hand_over(exchange, *match->route);
    } else if (match->allowed.empty()) {
        exchange->refuse(
            {.kind = HttpRefusalKind::not_found, .status = 404, .message = std::format("there is nothing at {}", request.path)});
    } else {
        const std::string allowed = joined(match->allowed);
        exchange->refuse({.kind = HttpRefusalKind::method_not_allowed,
                          .status = 405,
                          .message = std::format("{} doesn't take {}, only {}", request.path, request.method, allowed)},
                         {{"Allow", allowed}});
    }
    return exchange;
}

void Dispatcher::answer_options(Exchange &exchange, const RouteMatch &match) const {
    const HttpRequest &request = exchange.request();
    HttpAnswer answer{.status = 204, .headers = {}, .body = {}};
    const std::string allowed = match.allowed.empty() ? "GET, HEAD, OPTIONS, POST" : joined(match.allowed);
    answer.headers.emplace_back("Allow", allowed);
    const bool preflight = !request.header("Access-Control-Request-Method").empty();
    if (preflight && allows(request.header("Origin"))) {
        answer.headers.emplace_back("Access-Control-Allow-Methods", allowed);
        if (const auto headers = request.header("Access-Control-Request-Headers"); !headers.empty()) {
            answer.headers.emplace_back("Access-Control-Allow-Headers", headers);
        }
        answer.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    exchange.send(answer);
}

void Dispatcher::hand_over(const std::shared_ptr<Exchange> &exchange, const HttpRoute &route) {
    const HttpRefusal overloaded{
        .kind = HttpRefusalKind::overloaded,
        .status = 503,
        .message = "the server is busy with as many requests as it takes at the same time: try again soon"};
    if (!route.quick) {
        if (stopping_) {
            exchange->refuse(
                {.kind = HttpRefusalKind::stopping, .status = 503, .message = "the server is stopping: try again later"},
                {{"Retry-After", "5"}});
            return;
        }
        auto slot = WorkerSlot::take(running_, max_running_);
        if (!slot) {
            exchange->refuse(overloaded, {{"Retry-After", "1"}});
            return;
        }
        exchange->hold(std::move(*slot));
    }
    WorkerPool &pool = route.quick ? quick_ : workers_;
    if (!pool.submit([exchange, &route] { run(exchange, route); })) {
        exchange->release_slot();
        exchange->refuse(overloaded, {{"Retry-After", "1"}});
    }
}

void Dispatcher::run(const std::shared_ptr<Exchange> &exchange, const HttpRoute &route) {
    HttpResponder responder(exchange);
    try {
        if (const auto done = route.handler(exchange->request(), responder); !done) exchange->abandon(done.error().message);
    } catch (const std::exception &error) {
        exchange->abandon(error.what());
    } catch (...) {
        exchange->abandon("the handler failed");
    }
    exchange->release_slot();
}

void Dispatcher::finished(const Exchange &exchange, bool gone) {
    if (log_) {
        const HttpRequest &request = exchange.request();
        const Exchange::Outcome outcome = exchange.outcome();
        const auto took = std::chrono::steady_clock::now() - exchange.began();
        const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
        nlohmann::ordered_json line;
        line["time"] = std::format("{:%FT%TZ}", now);
        line["id"] = request.id;
        line["method"] = request.method;
        line["route"] = request.route.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(request.route);
        line["status"] = outcome.status;
        line["bytes"] = outcome.body_bytes;
        line["ms"] = std::chrono::round<std::chrono::milliseconds>(took).count();
        if (!outcome.tenant.empty()) line["tenant"] = outcome.tenant;
        if (outcome.cut) line["cut"] = true;
        if (gone) line["gone"] = true;
        log_(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    }
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) none_open_.notify_all();
}

bool Dispatcher::wait_until_none_is_open(std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return none_open_.wait_until(lock, deadline, [&] { return open_ == 0; });
}

void Dispatcher::join() {
    workers_.stop();
    quick_.stop();
}

std::size_t Dispatcher::open() const {
    const std::lock_guard lock(mutex_);
    return open_;
}

}  // namespace engram::http
