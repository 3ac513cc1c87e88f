// Fuzz entry of a request line's target, its query and its route: what is taken apart is what stood there, and what is decoded is
// the same when it is escaped and read again.
#include "core/testing/fuzz.h"
#include "http/route_table.h"
#include "http/target.h"
#include "http/url.h"

namespace {

using namespace engram::http;
using engram::fuzz::require;

const RouteTable &routes() {
    static const RouteTable kTable = [] {
        const HttpHandler none = [](const HttpRequest &, HttpResponder &) { return engram::Result<void>(); };
        return *RouteTable::create({{.method = "GET", .path = "/v1/agents/{id}/turn", .handler = none},
                                    {.method = "POST", .path = "/v1/agents/{id}/turn", .handler = none},
                                    {.method = "GET", .path = "/v1/agents/{id}", .handler = none},
                                    {.method = "POST", .path = "/tasks/{id}:cancel", .handler = none},
                                    {.method = "GET", .path = "/", .handler = none}});
    }();
    return kTable;
}

void check_query(std::string_view query) {
    const auto fields = parse_query(query);
    if (!fields || query.contains('\0')) return;  // the parser in front of it lets no zero byte through
    std::string written;
    for (const auto &[name, value] : *fields) {
        require((name + value).find('\0') == std::string::npos);
        written += (written.empty() ? "" : "&") + escaped(name) + "=" + escaped(value);
    }
    const auto again = parse_query(written);
    require(again && *again == *fields);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view text = engram::fuzz::text_of(data, size);
    check_query(text);
    if (const auto decoded = percent_decode(text)) {
        require(decoded->size() <= size);
        const auto again = percent_decode(escaped(*decoded));
        require(text.contains('\0') || (again && *again == *decoded));
    }
    const auto target = split_target(text);
    if (!target) return 0;
    require(target->path == "*" || target->path.starts_with('/'));
    require(target->path.find_first_of("?#") == std::string_view::npos && target->path.size() + target->query.size() <= size + 1);
    check_query(target->query);
    for (const char *method : {"GET", "POST", "HEAD"}) {
        const auto match = routes().find(method, target->path);
        if (!match) continue;
        for (const auto &[name, value] : match->parameters)
            require(!value.empty() && (text.contains('\0') || !value.contains('\0')));
        require(match->route == nullptr || !match->allowed.empty());
    }
    return 0;
}
