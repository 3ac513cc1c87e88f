// A socket with or without TLS, as a connection sees it. Used on the thread that runs its io_context, but where something else is
// said.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string_view>

#include "http/server.h"

namespace engram::http {

class Wire {
  public:
    using Done = std::function<void(const boost::system::error_code &error, std::size_t bytes)>;

    virtual ~Wire() = default;
    // One of each may be under way at the same time. `done` is called exactly once, never from within the call.
    virtual void handshake(Done done) = 0;
    virtual void read_some(boost::asio::mutable_buffer into, Done done) = 0;
    virtual void write_some(boost::asio::const_buffer from, Done done) = 0;
    // Sends what the socket takes at once, and returns how many bytes that was; 0 where it takes nothing, can't tell, or has
    // failed. Any thread, but never while a write is under way nor after `close`.
    virtual std::size_t send_now(std::string_view bytes) = 0;
    // Tells the client that nothing more is sent.
    virtual void finish(Done done) = 0;
    // Ends what is under way, with an error.
    virtual void close() = 0;
};

std::unique_ptr<Wire> make_wire(boost::asio::ip::tcp::socket socket);
std::unique_ptr<Wire> make_tls_wire(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context &context);

// TLS 1.2 or newer. not_found or invalid_argument with a sentence that names the file.
Result<std::unique_ptr<boost::asio::ssl::context>> make_tls_context(const HttpTls &tls);

}  // namespace engram::http
