#include "http/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

namespace engram::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
constexpr int kSendFlags = MSG_DONTWAIT;  // Asio has told the socket to send no signal
#endif

class PlainWire : public Wire {
  public:
    explicit PlainWire(asio::ip::tcp::socket socket) : socket_(std::move(socket)), handle_(socket_.native_handle()) {}

    void handshake(Done done) override {
        asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
    }
    void read_some(asio::mutable_buffer into, Done done) override { socket_.async_read_some(into, std::move(done)); }
    void write_some(asio::const_buffer from, Done done) override { socket_.async_write_some(from, std::move(done)); }
    std::size_t send_now(std::string_view bytes) override {
        return static_cast<std::size_t>(std::max<ssize_t>(0, ::send(handle_, bytes.data(), bytes.size(), kSendFlags)));
    }
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
    const int handle_;  // of the socket, for other threads
};

}  // namespace

std::unique_ptr<Wire> make_wire(asio::ip::tcp::socket socket) { return std::make_unique<PlainWire>(std::move(socket)); }

}  // namespace engram::http
