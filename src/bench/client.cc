#include "bench/client.h"

#include <format>

namespace engram::bench {

namespace {

constexpr std::chrono::hours kPatience{2};  // a cold prefill of a long context takes its time

http::FetchRequest request_of(const char *method, std::string url, std::string body) {
    http::FetchRequest request{.method = method, .url = std::move(url), .headers = {}, .body = std::move(body)};
    request.headers.emplace_back("Content-Type", "application/json");
    request.timeout = kPatience;
    request.max_reply_bytes = 256UZ << 20U;
    return request;
}

Error refusal(const std::string &path, long status, std::string_view said) {
    return {.code = ErrorCode::io,
            .message = std::format("{} was answered with status {}: {}", path, status, said.substr(0, 300))};
}

}  // namespace

Result<std::unique_ptr<Client>> Client::create(std::string url) {
    ENGRAM_ASSIGN(http::Fetcher fetcher, http::Fetcher::create());
    return std::unique_ptr<Client>(new Client(std::move(url), std::move(fetcher)));
}

Result<http::FetchReply> Client::send(const char *method, const std::string &path, std::string body) {
    ENGRAM_ASSIGN(http::FetchReply reply, fetcher_.send(request_of(method, url_ + path, std::move(body)), {}));
    if (reply.status < 200 || reply.status > 299) return std::unexpected(refusal(path, reply.status, reply.body));
    return reply;
}

Result<OrderedJson> Client::json(const char *method, const std::string &path, std::string body) {
    ENGRAM_ASSIGN(const http::FetchReply reply, send(method, path, std::move(body)));
    OrderedJson json = OrderedJson::parse(reply.body, nullptr, false);
    if (json.is_discarded()) return fail(ErrorCode::io, std::format("{} was answered with something else than JSON", path));
    return json;
}

Result<OrderedJson> Client::get(const std::string &path) { return json("GET", path, {}); }

Result<OrderedJson> Client::post(const std::string &path, const OrderedJson &body) {
    return json("POST", path, body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
}

Result<OrderedJson> Client::remove(const std::string &path) { return json("DELETE", path, {}); }

Result<std::string> Client::text(const std::string &path) {
    ENGRAM_ASSIGN(http::FetchReply reply, send("GET", path, {}));
    return std::move(reply.body);
}

Result<http::FetchReply> Client::stream(const std::string &path, const OrderedJson &body, const OnEvent &on_event,
                                        const std::stop_token &stop) {
    http::EventReader reader;
    std::string refused;
    const auto take = [&](const http::FetchReply &head, std::string_view piece) {
        if (head.status != 200) {
            refused += piece;
        } else {
            for (const http::ServerEvent &event : reader.take(piece)) on_event(event);
        }
        return true;
    };
    std::string text = body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
    ENGRAM_ASSIGN(http::FetchReply reply, fetcher_.send(request_of("POST", url_ + path, std::move(text)), stop, take));
    if (reply.status != 200) return std::unexpected(refusal(path, reply.status, refused));
    return reply;
}

}  // namespace engram::bench
