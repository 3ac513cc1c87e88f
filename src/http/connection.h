// One client's connection: reads requests, has them answered one after the other, sends the answers, and notices when the client
// goes.
//
// A read is always under way, also while a handler works and nothing is sent: that is how a client's leaving is seen at once,
// without looking for it. What arrives of the next request meanwhile is kept, up to a small limit. A client that closes its
// sending side counts as gone.
//
// Everything runs on the thread of the executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "http/dispatcher.h"
#include "http/request_reader.h"
#include "http/wire.h"

namespace engram::http {

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    struct Setup {
        std::unique_ptr<Wire> wire;
        boost::asio::any_io_executor executor;
        std::string peer;
        Dispatcher &dispatcher;
        const HttpLimits &limits;
        std::function<void(Connection &)> closed;  // called once
    };

    explicit Connection(Setup setup);

    void start();
    // The client is as good as gone: its request's stop token is triggered, the socket closed.
    void leave();

  private:
    using Time = std::chrono::steady_clock::time_point;
    enum class Phase : std::uint8_t { handshake, idle, receiving, handling, lingering, closed };

    void read();
    void on_read(const boost::system::error_code &error, std::size_t bytes);
    void consume();
    void refuse_body();
    Dispatcher::Arrival arrival();
    void open(std::shared_ptr<Exchange> exchange);
    void flush();
    void write_out();
    void on_written(const boost::system::error_code &error, std::size_t bytes);
    void answered();
    void await_request();
    void linger();
    void close();

    void expect_within(std::chrono::milliseconds time);
    void schedule();
    void on_timer();

    // constant after construction
    const std::unique_ptr<Wire> wire_;
    const boost::asio::any_io_executor executor_;
    const std::string peer_;
    Dispatcher &dispatcher_;
    const HttpLimits &limits_;
    const std::function<void(Connection &)> closed_;

    Phase phase_ = Phase::handshake;

    bool reading_ = false;
    std::vector<char> read_buffer_;
    std::string in_;  // read, and not yet used by reader_
    RequestReader reader_;
    BodyShare body_share_;  // of the body that is arriving

    std::shared_ptr<Exchange> exchange_;  // while handling
    bool writing_ = false;
    std::string out_;
    std::size_t sent_ = 0;
    Exchange::Output taken_;  // its bytes are in out_

    boost::asio::steady_timer timer_;
    Time timer_due_ = Time::max();       // when it fires; max: it isn't running
    Time phase_deadline_ = Time::max();  // until when the phase must have ended
    Time send_deadline_ = Time::max();   // until when the client must have taken something
};

}  // namespace engram::http
