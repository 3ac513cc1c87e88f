// TLS on a socket, without buffers of its own: OpenSSL reads from and writes to the socket, and gives its buffers back when they
// are empty. (Asio's own TLS stream keeps 68 KiB for each connection, idle or not.)
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <cerrno>
#include <filesystem>
#include <format>
#include <functional>
#include <utility>

#include "http/wire.h"

namespace engram::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;  // OpenSSL's own sockets would end the process when the client has gone
#else
constexpr int kSendFlags = 0;  // Asio has told the socket
#endif

tcp::socket &socket_of(BIO *bio) { return *static_cast<tcp::socket *>(BIO_get_data(bio)); }

bool is_for_later() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int write_bio(BIO *bio, const char *data, int size) {
    BIO_clear_retry_flags(bio);
    const auto sent = ::send(socket_of(bio).native_handle(), data, static_cast<std::size_t>(size), kSendFlags);
    if (sent < 0 && is_for_later()) BIO_set_retry_write(bio);
    return static_cast<int>(sent);
}

int read_bio(BIO *bio, char *data, int size) {
    BIO_clear_retry_flags(bio);
    const auto got = ::recv(socket_of(bio).native_handle(), data, static_cast<std::size_t>(size), 0);
    if (got < 0 && is_for_later()) BIO_set_retry_read(bio);
    return static_cast<int>(got);
}

long control_bio(BIO *, int command, long, void *) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD *socket_method() {
    static BIO_METHOD *const kMethod = [] {
        BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
        BIO_meth_set_write(method, write_bio);
        BIO_meth_set_read(method, read_bio);
        BIO_meth_set_ctrl(method, control_bio);
        return method;
    }();
    return kMethod;
}

class TlsWire : public Wire {
  public:
    TlsWire(tcp::socket socket, asio::ssl::context &context)
        : socket_(std::move(socket)), ssl_(SSL_new(context.native_handle()), &SSL_free) {
        BIO *bio = BIO_new(socket_method());
        BIO_set_data(bio, &socket_);
        BIO_set_init(bio, 1);
        SSL_set_bio(ssl_.get(), bio, bio);  // which owns it from now on
        error_code ignored;                 // then the first step of the handshake fails
        (void)socket_.non_blocking(true, ignored);
    }

    void handshake(Done done) override {
        attempt([this] { return SSL_accept(ssl_.get()); }, std::move(done));
    }
    void read_some(asio::mutable_buffer into, Done done) override {
        attempt([this, into] { return SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size())); }, std::move(done));
    }
    void write_some(asio::const_buffer from, Done done) override {
        attempt([this, from] { return SSL_write(ssl_.get(), from.data(), static_cast<int>(from.size())); }, std::move(done));
    }
    std::size_t send_now(std::string_view) override { return 0; }  // OpenSSL's state belongs to one thread
    void finish(Done done) override {
        const auto tell = [this] {
            const int result = SSL_shutdown(ssl_.get());
            if (result < 0) return result;
            error_code ignored;  // the client may have closed already
            (void)socket_.shutdown(tcp::socket::shutdown_send, ignored);
            return 1;
        };
        attempt(tell, std::move(done));
    }
    void close() override {
        error_code ignored;  // it is closed afterwards in any case
        (void)socket_.close(ignored);
    }

  private:
    // Calls `step` until it neither waits for the client's bytes nor for room to send.
    void attempt(std::function<int()> step, Done done) {
        ERR_clear_error();
        const int result = step();
        const int why = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
            const auto ready = why == SSL_ERROR_WANT_READ ? tcp::socket::wait_read : tcp::socket::wait_write;
            socket_.async_wait(ready, [this, step = std::move(step), done = std::move(done)](const error_code &error) mutable {
                if (error) return done(error, 0);
                attempt(std::move(step), std::move(done));
            });
            return;
        }
        error_code error;
        if (why == SSL_ERROR_ZERO_RETURN) error = asio::error::eof;
        if (why == SSL_ERROR_SYSCALL) error = asio::error::connection_reset;
        if (why == SSL_ERROR_SSL) error = error_code(static_cast<int>(ERR_get_error()), asio::error::get_ssl_category());
        if (why != SSL_ERROR_NONE && !error) error = asio::error::fault;
        const std::size_t bytes = result > 0 ? static_cast<std::size_t>(result) : 0;
        asio::post(socket_.get_executor(), [error, bytes, done = std::move(done)] { done(error, bytes); });
    }

    tcp::socket socket_;
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
};

std::unexpected<Error> unusable(const std::string &file, std::string_view what, const error_code &error) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
        return fail(ErrorCode::not_found, std::format("there is no {} file \"{}\"", what, file));
    }
    return fail(ErrorCode::invalid_argument, std::format("the {} file \"{}\" can't be used: {}", what, file, error.message()));
}

}  // namespace

std::unique_ptr<Wire> make_tls_wire(asio::ip::tcp::socket socket, asio::ssl::context &context) {
    return std::make_unique<TlsWire>(std::move(socket), context);
}

Result<std::unique_ptr<asio::ssl::context>> make_tls_context(const HttpTls &tls) {
    auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
    error_code error;
    (void)context->set_options(
        asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
    if (error) return fail(ErrorCode::internal, std::format("TLS can't be set up: {}", error.message()));
    SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
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
