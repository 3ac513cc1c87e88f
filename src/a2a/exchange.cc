#include "a2a/exchange.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

#include "core/beginning.h"
#include "http/event_reader.h"
#include "http/url.h"

namespace engram::a2a {

using namespace protocol::a2a;
using protocol::Field;

namespace {

constexpr int kTaskNotFound = -32001;
constexpr std::size_t kShownBytes = 400;  // of what a server says

std::string shown(std::string_view text) {
    const std::string_view beginning = beginning_of(text, kShownBytes);
    return std::string(beginning) + (beginning.size() < text.size() ? " …" : "");
}

std::string dump(const OrderedJson &json) { return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace); }

// The HTTP+JSON binding's verb and path (specification 1.0, section 11).
struct Place {
    const char *verb;
    std::string path;
    bool body = false;
};
Place place_of(Method method, const OrderedJson &params) {
    const std::string task = "/tasks/" + http::escaped(Field(params)["id"].text_or("").value_or(""));
    switch (method) {
        case Method::send_message: return {"POST", "/message:send", true};
        case Method::send_streaming_message: return {"POST", "/message:stream", true};
        case Method::cancel_task: return {"POST", task + ":cancel", true};
        case Method::subscribe_to_task: return {"GET", task + ":subscribe"};
        default: return {"GET", task};
    }
}

}  // namespace

http::HttpFields headers_for(const RemoteConfig &config, const std::string &url) {
    http::HttpFields headers;
    if (http::parse_url(url).origin != http::parse_url(config.url).origin) return headers;
    for (const auto &[name, value] : config.headers) headers.emplace_back(name, value);
    return headers;
}

http::FetchRequest Exchange::request(Method method, const OrderedJson &params) const {
    const Interface &interface = parts_.interface;
    http::FetchRequest request{.url = interface.url, .headers = headers_for(parts_.config, interface.url)};
    OrderedJson named = params;
    if (!interface.tenant.empty()) named["tenant"] = interface.tenant;
    if (interface.binding == Binding::json_rpc) {
        request.body =
            dump({{"jsonrpc", "2.0"}, {"id", 1}, {"method", method_name(method, interface.version)}, {"params", named}});
    } else {
        const Place place = place_of(method, params);
        request.method = place.verb;
        while (request.url.ends_with('/')) request.url.pop_back();
        if (!interface.tenant.empty()) request.url += "/" + http::escaped(interface.tenant);
        request.url += place.path;
        if (place.body) request.body = dump(params);
    }
    request.headers.emplace_back("Content-Type", "application/json");
    request.headers.emplace_back("Accept", "application/json, application/a2a+json, text/event-stream");
    request.headers.emplace_back("A2A-Version", interface.version == WireVersion::v1_0 ? "1.0" : "0.3");
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(parts_.until - Clock::now());
    request.timeout = std::max(left, std::chrono::milliseconds(1));
    return request;
}

std::unexpected<Error> Exchange::refused(const Refusal &refusal, long status) const {
    const std::string what = refusal.message.empty() ? std::format("HTTP status {}", status) : shown(refusal.message);
    if (status == 401 || status == 403) {
        return fail(ErrorCode::io,
                    std::format("{} wants a key ({}): say it in `headers` of a2aAgents.{}, which are sent to the address's own "
                                "server alone",
                                parts_.interface.url, what, parts_.config.name));
    }
    const bool unknown_task = refusal.code == kTaskNotFound || (parts_.interface.binding == Binding::http_json && status == 404);
    return fail(unknown_task ? ErrorCode::not_found : ErrorCode::io, std::format("{} refuses: {}", parts_.interface.url, what));
}

Result<OrderedJson> Exchange::result_of(std::string_view body, long status) const {
    auto json = parse_bounded_json(body, http::kMaxReplyBytes);
    if (!json || !json->is_object()) {
        if (status / 100 != 2) return refused({}, status);
        return fail(ErrorCode::io, std::format("{} answered with no JSON object: {}", parts_.interface.url, shown(body)));
    }
    const bool is_error = json->contains("error") && !(*json)["error"].is_null();
    if (is_error || status / 100 != 2) return refused(read_refusal(Field(*json)), status);
    if (parts_.interface.binding == Binding::http_json) return std::move(*json);
    if (!json->contains("result")) return fail(ErrorCode::io, std::format("{} answered without a result", parts_.interface.url));
    return OrderedJson(std::move((*json)["result"]));
}

Result<OrderedJson> Exchange::call(Method method, const OrderedJson &params, const std::stop_token &stop) {
    ENGRAM_ASSIGN(const http::FetchReply reply, parts_.fetcher.send(request(method, params), stop));
    return result_of(reply.body, reply.status);
}

Result<void> Exchange::stream(Method method, const OrderedJson &params, const Take &take, const std::stop_token &stop) {
    http::EventReader events;
    std::string body;
    std::optional<Error> fault;
    const auto take_json = [&](std::string_view text, long status) {
        auto json = result_of(text, status);
        if (!json) {
            fault = std::move(json.error());
            return false;
        }
        auto event = read_event(Field(*json));
        if (!event) {
            fault =
                Error{ErrorCode::io, std::format("{} said what can't be read: {}", parts_.interface.url, event.error().message)};
            return false;
        }
        return take(*event);
    };
    const auto reply =
        parts_.fetcher.send(request(method, params), stop, [&](const http::FetchReply &head, std::string_view piece) {
            if (!head.header("content-type").starts_with("text/event-stream")) {
                body += piece;
                return true;
            }
            for (const http::ServerEvent &event : events.take(piece)) {
                if (!event.data.empty() && !take_json(event.data, head.status)) return false;
            }
            return !events.too_large();
        });
    if (fault) return std::unexpected(std::move(*fault));
    if (!reply) return std::unexpected(reply.error());
    if (!reply->header("content-type").starts_with("text/event-stream")) take_json(body, reply->status);
    if (fault) return std::unexpected(std::move(*fault));
    return {};
}

}  // namespace engram::a2a
