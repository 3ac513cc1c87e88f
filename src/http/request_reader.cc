#include "http/request_reader.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/string_body.hpp>
#include <format>
#include <limits>
#include <utility>

#include "http/target.h"

namespace engram::http {
namespace {

namespace beast_http = boost::beast::http;

// Lines between chunks (sizes with extensions, trailers) have no business being longer.
constexpr std::size_t kMaxUnreadBytes = 8U << 10;

// Method and target as far as they can be seen: a refusal is worded by the path.
void read_request_line(std::string_view bytes, HttpRequest &request) {
    bytes = bytes.substr(0, bytes.find_first_of("\r\n"));
    const std::size_t space = bytes.find(' ');
    if (space > 32) return;  // or there is none
    const std::string_view target = bytes.substr(space + 1);
    request.method = bytes.substr(0, space);
    if (const auto parts = split_target(target.substr(0, target.find(' ')))) request.path = parts->path;
}

}  // namespace

struct RequestReader::Parser {
    beast_http::request_parser<beast_http::string_body> beast;
};

RequestReader::RequestReader(std::size_t header_bytes, std::size_t body_bytes)
    : header_bytes_(header_bytes), body_bytes_(body_bytes) {}

RequestReader::~RequestReader() = default;

RequestReader::Fed RequestReader::refuse(HttpRefusalKind kind, int status, std::string message, std::string_view bytes) {
    refusal_ = {.kind = kind, .status = status, .message = std::move(message)};
    if (parser_->beast.get().target().empty()) {
        read_request_line(bytes, request_);
    } else {
        whole();
    }
    return {.step = Step::refused, .used = 0};
}

RequestReader::Fed RequestReader::feed(std::string_view bytes) {
    if (!parser_) {
        parser_ = std::make_unique<Parser>();
        parser_->beast.eager(true);
        parser_->beast.header_limit(
            static_cast<std::uint32_t>(std::min<std::size_t>(header_bytes_, std::numeric_limits<std::uint32_t>::max() / 2)));
        parser_->beast.body_limit(body_bytes_);
    }
    boost::system::error_code error;
    const std::size_t used = parser_->beast.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (error == beast_http::error::header_limit) {
        return refuse(HttpRefusalKind::headers_too_large, 431,
                      std::format("the request line and headers are longer than {} bytes", header_bytes_), bytes);
    }
    if (error == beast_http::error::body_limit) {
        return refuse(HttpRefusalKind::body_too_large, 413, std::format("the body is longer than {} bytes", body_bytes_), bytes);
    }
    if (error && error != beast_http::error::need_more) {
        return refuse(HttpRefusalKind::malformed, 400, std::format("this is no HTTP request: {}", error.message()), bytes);
    }
    if (parser_->beast.is_done()) {
        if (whole()) return {.step = Step::complete, .used = used};
        return refuse(HttpRefusalKind::malformed, 400, "the request's target, query or Host header isn't as HTTP wants it",
                      bytes);
    }
    if (parser_->beast.is_header_done() && bytes.size() - used > kMaxUnreadBytes) {
        return refuse(HttpRefusalKind::malformed, 400, "a line between two chunks of the body is too long", bytes);
    }
    return {.step = Step::more, .used = used};
}

bool RequestReader::wants_continue() {
    if (continued_ || !parser_ || !parser_->beast.is_header_done() || parser_->beast.is_done()) return false;
    continued_ = true;
    const auto &message = parser_->beast.get();
    return message.version() >= 11 && boost::beast::iequals(message[beast_http::field::expect], "100-continue");
}

// Fills request_ from the parser; false when something in it can't be meant.
bool RequestReader::whole() {
    auto &message = parser_->beast.get();
    request_ = {};
    request_.method = message.method_string();
    for (const auto &field : message) request_.headers.emplace_back(field.name_string(), field.value());
    keep_alive_ = message.keep_alive();
    is_http_1_0_ = message.version() < 11;
    const auto target = split_target(message.target());
    if (!target) return false;
    request_.path = target->path;
    if (parser_->beast.is_done()) request_.body = std::move(message.body());
    auto query = parse_query(target->query);
    if (!query) return false;
    request_.query = std::move(*query);
    return is_http_1_0_ || message.count(beast_http::field::host) == 1;
}

std::size_t RequestReader::body_bytes() const {
    return request_.body.size() + (parser_ ? parser_->beast.get().body().size() : 0);
}

HttpRequest RequestReader::take() {
    parser_.reset();
    continued_ = false;
    return std::exchange(request_, {});
}

}  // namespace engram::http
