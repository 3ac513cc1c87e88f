#include "http/wire.h"

#include <openssl/ssl.h>

#include <boost/asio/ssl/stream.hpp>
#include <filesystem>
#include <format>
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

class TlsWire : public Wire {
  public:
    TlsWire(asio::ip::tcp::socket socket, asio::ssl::context &context) : stream_(std::move(socket), context) {}

    void handshake(Done done) override {
        stream_.async_handshake(asio::ssl::stream_base::server,
                                [done = std::move(done)](const error_code &error) { done(error, 0); });
    }
    void read_some(asio::mutable_buffer into, Done done) override { stream_.async_read_some(into, std::move(done)); }
    void write_some(asio::const_buffer from, Done done) override { stream_.async_write_some(from, std::move(done)); }
    void finish(Done done) override {
        stream_.async_shutdown([done = std::move(done)](const error_code &error) { done(error, 0); });
    }
    void close() override {
        error_code ignored;
        (void)stream_.next_layer().close(ignored);
    }

  private:
    asio::ssl::stream<asio::ip::tcp::socket> stream_;
};

std::unexpected<Error> unusable(const std::string &file, std::string_view what, const error_code &error) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
        return fail(ErrorCode::not_found, std::format("there is no {} file \"{}\"", what, file));
    }
    return fail(ErrorCode::invalid_argument, std::format("the {} file \"{}\" can't be used: {}", what, file, error.message()));
}

}  // namespace

std::unique_ptr<Wire> make_wire(asio::ip::tcp::socket socket) { return std::make_unique<PlainWire>(std::move(socket)); }

std::unique_ptr<Wire> make_tls_wire(asio::ip::tcp::socket socket, asio::ssl::context &context) {
    return std::make_unique<TlsWire>(std::move(socket), context);
}

Result<std::unique_ptr<asio::ssl::context>> make_tls_context(const HttpTls &tls) {
    auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
    error_code error;
    (void)context->set_options(
        asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
    if (error) return fail(ErrorCode::internal, std::format("TLS can't be set up: {}", error.message()));
    // An idle connection keeps no buffers.
    SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
    (void)context->use_certificate_chain_file(tls.certificate_file, error);
    if (error) return unusable(tls.certificate_file, "certificate", error);
    // A key with a password would otherwise ask for it at the terminal.
    (void)context->set_password_callback([](std::size_t, asio::ssl::context::password_purpose) { return std::string(); }, error);
    (void)context->use_private_key_file(tls.key_file, asio::ssl::context::pem, error);
    if (error) return unusable(tls.key_file, "key", error);
    if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
        return fail(ErrorCode::invalid_argument, std::format("the key in \"{}\" doesn't belong to the certificate in \"{}\"",
                                                             tls.key_file, tls.certificate_file));
    }
    return context;
}

}  // namespace engram::http
