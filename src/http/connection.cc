#include "http/connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <format>
#include <utility>

namespace engram::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kReadBytes = 16U << 10;
constexpr std::size_t kIdleReadBytes = 1U << 10;   // while nothing is expected
constexpr std::size_t kReadAheadBytes = 4U << 10;  // of the next request, while one is handled
constexpr std::size_t kKeptBytes = 4U << 10;       // a larger buffer is given back when it is empty
constexpr std::chrono::milliseconds kLingerTime{2'000};

void empty(std::string &buffer) {
    buffer.clear();
    if (buffer.capacity() > kKeptBytes) buffer.shrink_to_fit();
}

}  // namespace

Connection::Connection(Setup setup)
    : wire_(std::move(setup.wire)),
      executor_(std::move(setup.executor)),
      peer_(std::move(setup.peer)),
      dispatcher_(setup.dispatcher),
      limits_(setup.limits),
      closed_(std::move(setup.closed)),
      reader_(limits_.header_bytes, limits_.body_bytes),
      body_share_(dispatcher_.body_share()),
      timer_(executor_) {}

void Connection::start() {
    expect_within(limits_.receive_timeout);
    wire_->handshake([self = shared_from_this()](const error_code &error, std::size_t) {
        if (self->phase_ == Phase::closed) return;
        if (error) return self->close();
        self->await_request();
    });
}

// --- receiving -----------------------------------------------------------------------------------------------------------

void Connection::await_request() {
    phase_ = Phase::idle;
    expect_within(limits_.idle_timeout);
    consume();
}

void Connection::read() {
    if (reading_ || phase_ == Phase::closed) return;
    if (phase_ == Phase::handling && in_.size() >= kReadAheadBytes) return;
    reading_ = true;
    const bool expecting = phase_ == Phase::receiving || phase_ == Phase::lingering;
    read_buffer_.resize(expecting ? kReadBytes : kIdleReadBytes);
    if (!expecting) read_buffer_.shrink_to_fit();
    wire_->read_some(asio::buffer(read_buffer_),
                     [self = shared_from_this()](const error_code &error, std::size_t bytes) { self->on_read(error, bytes); });
}

void Connection::on_read(const error_code &error, std::size_t bytes) {
    reading_ = false;
    if (phase_ == Phase::closed) return;
    if (error) return leave();
    if (phase_ == Phase::lingering) return read();
    in_.append(read_buffer_.data(), bytes);
    if (phase_ == Phase::handling) return read();
    consume();
}

void Connection::consume() {
    if (in_.empty()) return read();
    if (phase_ == Phase::idle) {
        phase_ = Phase::receiving;
        expect_within(limits_.receive_timeout);
    }
    const RequestReader::Fed fed = reader_.feed(in_);
    in_.erase(0, fed.used);
    if (in_.empty()) empty(in_);
    if (fed.step != RequestReader::Step::refused && !body_share_.grow_to(reader_.body_bytes())) return refuse_body();
    switch (fed.step) {
        case RequestReader::Step::more:
            if (reader_.wants_continue() && !writing_) {
                out_ = "HTTP/1.1 100 Continue\r\n\r\n";
                write_out();
            }
            return read();
        case RequestReader::Step::complete: return open(dispatcher_.dispatch(arrival()));
        case RequestReader::Step::refused: return open(dispatcher_.refuse(arrival(), reader_.refusal()));
    }
}

// What has arrived of the body is dropped at once, so that others find room.
void Connection::refuse_body() {
    reader_.refuse(HttpRefusalKind::no_room, 503, "the server holds as many bodies of other requests as it takes: try again soon",
                   in_);
    in_.clear();
    body_share_.release();
    open(dispatcher_.refuse(arrival(), reader_.refusal()));
}

Dispatcher::Arrival Connection::arrival() {
    Dispatcher::Arrival arrival{.request = reader_.take(),
                                .body_share = std::exchange(body_share_, dispatcher_.body_share()),
                                .http_1_0 = reader_.is_http_1_0(),
                                .keep_alive = reader_.keep_alive()};
    arrival.request.peer = peer_;
    // Once: while a wake-up is on its way, the exchange sends no further one.
    arrival.wake = [self = shared_from_this()] { asio::post(self->executor_, [self] { self->flush(); }); };
    // The exchange lets go of it in `leave`, which comes before the socket is closed.
    arrival.send_now = [wire = wire_.get()](std::string_view bytes) { return wire->send_now(bytes); };
    return arrival;
}

// --- answering -----------------------------------------------------------------------------------------------------------

void Connection::open(std::shared_ptr<Exchange> exchange) {
    phase_ = Phase::handling;
    phase_deadline_ = Time::max();
    exchange_ = std::move(exchange);
    read();
}

void Connection::flush() {
    if (writing_ || !exchange_) return;
    taken_ = exchange_->take();
    out_ = std::move(taken_.bytes);
    if (!out_.empty()) return write_out();
    if (taken_.last) answered();
}

void Connection::write_out() {
    writing_ = true;
    send_deadline_ = std::chrono::steady_clock::now() + limits_.send_timeout;
    schedule();
    wire_->write_some(asio::buffer(out_) + sent_, [self = shared_from_this()](const error_code &error, std::size_t bytes) {
        self->on_written(error, bytes);
    });
}

void Connection::on_written(const error_code &error, std::size_t bytes) {
    writing_ = false;
    send_deadline_ = Time::max();
    if (phase_ == Phase::closed) return;
    if (error) return leave();
    sent_ += bytes;
    if (sent_ < out_.size()) return write_out();
    sent_ = 0;
    empty(out_);
    if (taken_.last) return answered();
    flush();
}

void Connection::answered() {
    const auto exchange = std::exchange(exchange_, nullptr);
    exchange->leave();
    dispatcher_.finished(*exchange, false);
    const auto output = std::exchange(taken_, {});
    if (output.cut) return close();
    if (output.close) return linger();
    await_request();
}

// --- the end -------------------------------------------------------------------------------------------------------------

// A socket that is closed with unread bytes loses what was sent last: first the client is told, and what it still sends is
// dropped.
void Connection::linger() {
    phase_ = Phase::lingering;
    in_.clear();
    expect_within(kLingerTime);
    wire_->finish([self = shared_from_this()](const error_code &, std::size_t) {});
    read();
}

void Connection::leave() {
    const auto self = shared_from_this();
    if (const auto exchange = std::exchange(exchange_, nullptr)) {
        exchange->leave();
        exchange->request_stop();
        dispatcher_.finished(*exchange, true);
    }
    close();
}

void Connection::close() {
    if (phase_ == Phase::closed) return;
    phase_ = Phase::closed;
    timer_.cancel();
    wire_->close();
    closed_(*this);
}

// --- time ----------------------------------------------------------------------------------------------------------------

void Connection::expect_within(std::chrono::milliseconds time) {
    phase_deadline_ = std::chrono::steady_clock::now() + time;
    schedule();
}

// A deadline that moves away leaves the timer as it is: it fires, sees that it is too early, and is set anew. Only so is sending
// a token cheap.
void Connection::schedule() {
    const Time due = std::min(phase_deadline_, send_deadline_);
    if (due >= timer_due_ || phase_ == Phase::closed) return;
    timer_due_ = due;
    timer_.expires_at(due);
    timer_.async_wait([self = shared_from_this()](const error_code &error) {
        if (error || self->phase_ == Phase::closed) return;
        self->timer_due_ = Time::max();
        self->on_timer();
        self->schedule();
    });
}

void Connection::on_timer() {
    const Time now = std::chrono::steady_clock::now();
    if (now >= send_deadline_) return leave();
    if (now < phase_deadline_) return;
    if (phase_ != Phase::receiving) return close();
    reader_.refuse(HttpRefusalKind::too_slow, 408,
                   std::format("the request didn't arrive within {} seconds",
                               std::chrono::ceil<std::chrono::seconds>(limits_.receive_timeout).count()),
                   in_);
    in_.clear();
    open(dispatcher_.refuse(arrival(), reader_.refusal()));
}

}  // namespace engram::http
