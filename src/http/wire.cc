#include "http/wire.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace engram::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class PlainWire : public Wire {
  public:
    explicit PlainWire(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

    void handshake(Done done) override {
        asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
    }
    void read_some(asio::mutable_buffer into, Done done) override { socket_.async_read_some(into, std::move(done)); }
    void write_some(asio::const_buffer from, Done done) override { socket_.async_write_some(from, std::move(done)); }
    void finish(Done done) override {
        error_code error;
        (void)socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
        asio::post(socket_.get_executor(), [done = std::move(done), error] { done(error, 0); });
    }
    void close() override {
        error_code ignored;  // it is closed afterwards in any case
        (void)socket_.close(ignored);
    }

  private:
    asio::ip::tcp::socket socket_;
};

}  // namespace

std::unique_ptr<Wire> make_wire(asio::ip::tcp::socket socket) { return std::make_unique<PlainWire>(std::move(socket)); }

}  // namespace engram::http
