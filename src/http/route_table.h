// Which route a request belongs to. Constant after it is made. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.h"

namespace engram::http {

struct RouteMatch {
    const HttpRoute *route = nullptr;  // none: the path is known to other methods, or to nobody
    HttpFields parameters;
    std::vector<std::string> allowed;  // all methods of the path, sorted, HEAD and OPTIONS included; empty when no pattern fits
};

class RouteTable {
  public:
    // invalid_argument: a pattern that can't be read, a route without a handler, or two that are the same.
    static Result<RouteTable> create(std::vector<HttpRoute> routes);

    // `path` is percent-encoded. Nothing when an escape in it is wrong.
    std::optional<RouteMatch> find(std::string_view method, std::string_view path) const;

    const std::vector<HttpRoute> &routes() const { return routes_; }

  private:
    // Literal text, or text around one name.
    struct Segment {
        std::string before;
        std::string name;  // empty: `before` is all of it
        std::string after;
    };
    struct Pattern {
        std::vector<Segment> segments;
        std::vector<std::size_t> routes;  // of one path, one for each method
    };

    static Result<Pattern> parse(const std::string &path);
    static bool fits(const Pattern &pattern, const std::vector<std::string> &path, HttpFields &parameters);
    static bool before(const Pattern &a, const Pattern &b);

    std::vector<HttpRoute> routes_;
    std::vector<Pattern> patterns_;  // the more literal one first
};

}  // namespace engram::http
