#include "http/exchange.h"

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <exception>
#include <format>
#include <iterator>
#include <utility>

#include "http/fields.h"

namespace engram::http {
namespace {

constexpr std::size_t kWriteAheadBytes = 16U << 10;

bool is_the_servers_own(std::string_view name) {
    for (const std::string_view own : {"content-length", "transfer-encoding", "connection", "date", "x-request-id"}) {
        if (same_name(name, own)) return true;
    }
    return false;
}

// A line end within a field would begin another one.
std::string one_line(std::string_view text) {
    std::string line(text);
    std::ranges::replace_if(line, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
    return line;
}

// The caller's words for a refusal, and plain ones when it has none or fails.
HttpAnswer word(const HttpRefuse &refuse, const HttpRequest &request, const HttpRefusal &refusal) {
    if (refuse) {
        try {
            return refuse(request, refusal);
        } catch (const std::exception &) {
            return {.status = refusal.status, .headers = {}, .body = refusal.message};
        }
    }
    return {.status = refusal.status, .headers = {{"Content-Type", "text/plain; charset=utf-8"}}, .body = refusal.message + "\n"};
}

}  // namespace

// --- the slot ------------------------------------------------------------------------------------------------------------

std::optional<WorkerSlot> WorkerSlot::take(std::atomic<std::size_t> &taken, std::size_t limit) {
    std::size_t now = taken.load();
    do {
        if (now >= limit) return std::nullopt;
    } while (!taken.compare_exchange_weak(now, now + 1));
    return WorkerSlot(taken);
}

WorkerSlot &WorkerSlot::operator=(WorkerSlot &&other) noexcept {
    if (this != &other) {
        release();
        taken_ = std::exchange(other.taken_, nullptr);
    }
    return *this;
}

void WorkerSlot::release() {
    if (taken_ != nullptr) --*std::exchange(taken_, nullptr);
}

// --- answering -----------------------------------------------------------------------------------------------------------

Exchange::Exchange(Setup setup)
    : request_(std::move(setup.request)),
      body_share_(std::move(setup.body_share)),
      own_headers_(std::move(setup.own_headers)),
      http_1_0_(setup.http_1_0),
      refuse_(std::move(setup.refuse)),
      began_(std::chrono::steady_clock::now()),
      keep_alive_(setup.keep_alive),
      wake_(std::move(setup.wake)),
      send_now_(std::move(setup.send_now)) {
    request_.stop = stop_.get_token();
}

bool Exchange::bodiless(int status) const { return request_.method == "HEAD" || status < 200 || status == 204 || status == 304; }

// `body_bytes` is empty for a stream.
std::string Exchange::head(int status, const HttpFields &headers, std::optional<std::size_t> body_bytes) const {
    namespace beast_http = boost::beast::http;
    const auto reason = beast_http::obsolete_reason(beast_http::int_to_status(static_cast<unsigned>(status)));
    std::string text = std::format("HTTP/1.1 {} {}\r\n", status, std::string_view(reason.data(), reason.size()));
    const auto field = [&](std::string_view name, std::string_view value) {
        text += one_line(name);
        text += ": ";
        text += one_line(value);
        text += "\r\n";
    };
    for (const auto &[name, value] : headers) {
        if (!is_the_servers_own(name)) field(name, value);
    }
    for (const auto &[name, value] : own_headers_) field(name, value);
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    field("Date", std::format("{:%a, %d %b %Y %H:%M:%S} GMT", now));
    if (body_bytes && status >= 200 && status != 204) field("Content-Length", std::to_string(*body_bytes));
    if (!body_bytes && !http_1_0_ && !bodiless(status)) field("Transfer-Encoding", "chunked");
    if (!keep_alive_) {
        field("Connection", "close");
    } else if (http_1_0_) {
        field("Connection", "keep-alive");
    }
    text += "\r\n";
    return text;
}

// With the lock held, as the next two.
void Exchange::finish(bool cut) {
    state_ = State::ended;
    outcome_.cut = cut;
    slot_.reset();
    wake();
}

// After each change that the connection must see.
void Exchange::wake() {
    if (wake_ && !woken_) wake_();
    woken_ = true;
}

// After each piece of a stream.
void Exchange::pass_on() {
    if (std::exchange(idle_, false) && send_now_) {
        pending_.erase(0, send_now_(pending_));
        if (pending_.empty()) {
            idle_ = true;
            return;
        }
    }
    wake();
}

bool Exchange::send(const HttpAnswer &answer) {
    const std::lock_guard lock(mutex_);
    if (gone_ || state_ != State::unanswered) return false;
    pending_ = head(answer.status, answer.headers, answer.body.size());
    if (!bodiless(answer.status)) {
        pending_ += answer.body;
        outcome_.body_bytes = answer.body.size();
    }
    outcome_.status = answer.status;
    finish(false);
    return true;
}

bool Exchange::start(int status, const HttpFields &headers) {
    const std::lock_guard lock(mutex_);
    if (gone_ || state_ != State::unanswered) return false;
    const bool has_body = !bodiless(status);
    chunked_ = !http_1_0_ && has_body;
    if (http_1_0_ && has_body) keep_alive_ = false;  // the body ends where the connection does
    pending_ = head(status, headers, std::nullopt);
    outcome_.status = status;
    if (!has_body) {
        finish(false);
        return true;
    }
    state_ = State::streaming;
    wake();
    return true;
}

void Exchange::append_body(std::string_view text) {
    if (chunked_) std::format_to(std::back_inserter(pending_), "{:x}\r\n", text.size());
    pending_ += text;
    if (chunked_) pending_ += "\r\n";
    outcome_.body_bytes += text.size();
}

bool Exchange::write(std::string_view text) {
    std::unique_lock lock(mutex_);
    do {
        room_.wait(lock, [&] { return gone_ || state_ != State::streaming || pending_.size() < kWriteAheadBytes; });
        if (gone_ || state_ != State::streaming) return false;
        if (text.empty()) return true;
        const std::string_view piece = text.substr(0, kWriteAheadBytes);
        text.remove_prefix(piece.size());
        append_body(piece);
        pass_on();
    } while (!text.empty());
    return true;
}

bool Exchange::offer(std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (gone_ || state_ != State::streaming || pending_.size() >= kWriteAheadBytes) return false;
    if (text.empty()) return true;
    append_body(text);
    pass_on();
    return true;
}

bool Exchange::end() {
    const std::lock_guard lock(mutex_);
    if (gone_ || state_ != State::streaming) return false;
    if (chunked_) pending_ += "0\r\n\r\n";
    finish(false);
    return true;
}

void Exchange::abandon(std::string_view why) {
    {
        const std::lock_guard lock(mutex_);
        slot_.reset();
        if (gone_ || state_ == State::ended) return;
        if (state_ == State::streaming) {
            finish(true);
            return;
        }
    }
    refuse({.kind = HttpRefusalKind::internal, .status = 500, .message = std::string(why)});
}

void Exchange::refuse(const HttpRefusal &refusal, HttpFields headers) {
    HttpAnswer answer = word(refuse_, request_, refusal);
    answer.headers.insert(answer.headers.end(), std::make_move_iterator(headers.begin()), std::make_move_iterator(headers.end()));
    send(answer);
}

bool Exchange::gone() const {
    const std::lock_guard lock(mutex_);
    return gone_;
}

void Exchange::set_tenant(std::string tenant) {
    const std::lock_guard lock(mutex_);
    outcome_.tenant = std::move(tenant);
}

void Exchange::hold(WorkerSlot slot) {
    const std::lock_guard lock(mutex_);
    slot_ = std::move(slot);
}

void Exchange::release_slot() {
    const std::lock_guard lock(mutex_);
    slot_.reset();
}

// --- sending -------------------------------------------------------------------------------------------------------------

Exchange::Output Exchange::take() {
    const std::lock_guard lock(mutex_);
    Output output{.bytes = std::move(pending_), .last = state_ == State::ended, .cut = outcome_.cut, .close = !keep_alive_};
    pending_ = {};
    woken_ = false;
    idle_ = output.bytes.empty();
    room_.notify_all();
    return output;
}

void Exchange::leave() {
    std::function<void()> wake;  // may own the connection, and is destroyed without the lock
    const std::lock_guard lock(mutex_);
    gone_ = true;
    pending_ = {};
    wake.swap(wake_);
    send_now_ = nullptr;
    room_.notify_all();
}

Exchange::Outcome Exchange::outcome() const {
    const std::lock_guard lock(mutex_);
    return outcome_;
}

// --- what the handler sees of it -----------------------------------------------------------------------------------------

HttpResponder::HttpResponder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
HttpResponder::HttpResponder(HttpResponder &&other) noexcept : exchange_(std::move(other.exchange_)) {}
HttpResponder::~HttpResponder() { drop(); }

HttpResponder &HttpResponder::operator=(HttpResponder &&other) noexcept {
    if (this != &other) {
        drop();
        exchange_ = std::move(other.exchange_);
    }
    return *this;
}

void HttpResponder::drop() {
    if (exchange_) exchange_->abandon("the handler gave no answer");
    exchange_.reset();
}

bool HttpResponder::send(const HttpAnswer &answer) { return exchange_ && exchange_->send(answer); }
bool HttpResponder::start(int status, const HttpFields &headers) { return exchange_ && exchange_->start(status, headers); }
bool HttpResponder::write(std::string_view text) { return exchange_ && exchange_->write(text); }
bool HttpResponder::offer(std::string_view text) { return exchange_ && exchange_->offer(text); }
bool HttpResponder::end() { return exchange_ && exchange_->end(); }
int HttpResponder::status() const { return exchange_ ? exchange_->outcome().status : 0; }
bool HttpResponder::gone() const { return !exchange_ || exchange_->gone(); }
void HttpResponder::set_tenant(std::string tenant) {
    if (exchange_) exchange_->set_tenant(std::move(tenant));
}

}  // namespace engram::http
