// Bytes of one connection into requests, within limits. No I/O.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace engram::http {

class RequestReader {
  public:
    enum class Step : std::uint8_t {
        more,      // nothing is wrong, and the request isn't whole
        complete,  // take() gives the request
        refused,   // refusal() says why; the connection can't be used any further
    };
    struct Fed {
        Step step = Step::more;
        std::size_t used = 0;  // what of the bytes was read; the rest is to be given again, with more after it
    };

    RequestReader(std::size_t header_bytes, std::size_t body_bytes);
    ~RequestReader();
    RequestReader(const RequestReader &) = delete;
    RequestReader &operator=(const RequestReader &) = delete;

    Fed feed(std::string_view bytes);

    // The refusal of a request that doesn't arrive whole, for whatever reason. `bytes` are those that weren't used.
    Fed refuse(HttpRefusalKind kind, int status, std::string message, std::string_view bytes);

    // Once, after the headers of a request whose client waits for "100 Continue" before it sends the body.
    bool wants_continue();

    // The request, or what is known of it after a refusal. Then the reader is ready for the next one.
    HttpRequest take();

    std::size_t body_bytes() const;  // of the request's body that have arrived, until it is taken

    bool keep_alive() const { return keep_alive_; }    // of the request that was taken
    bool is_http_1_0() const { return is_http_1_0_; }  // likewise
    const HttpRefusal &refusal() const { return refusal_; }

  private:
    struct Parser;

    bool whole();

    std::size_t header_bytes_;
    std::size_t body_bytes_;
    std::unique_ptr<Parser> parser_;
    bool continued_ = false;
    bool keep_alive_ = true;
    bool is_http_1_0_ = false;
    HttpRequest request_;
    HttpRefusal refusal_;
};

}  // namespace engram::http
