#include "http/route_table.h"

#include <algorithm>
#include <format>
#include <utility>

#include "http/target.h"

namespace engram::http {
namespace {

std::vector<std::string_view> split_path(std::string_view path) {
    std::vector<std::string_view> segments;
    path.remove_prefix(1);
    while (true) {
        const std::size_t end = path.find('/');
        segments.push_back(path.substr(0, end));
        if (end == std::string_view::npos) return segments;
        path.remove_prefix(end + 1);
    }
}

std::unexpected<Error> bad_route(const std::string &path, std::string_view why) {
    return fail(ErrorCode::invalid_argument, std::format("the route \"{}\" {}", path, why));
}

}  // namespace

Result<RouteTable::Pattern> RouteTable::parse(const std::string &path) {
    if (!path.starts_with('/')) return bad_route(path, "doesn't begin with '/'");
    Pattern pattern;
    for (const std::string_view text : split_path(path)) {
        Segment segment;
        const std::size_t open = text.find('{');
        segment.before = text.substr(0, open);
        if (open != std::string_view::npos) {
            const std::size_t close = text.find('}', open);
            if (close == std::string_view::npos || close == open + 1)
                return bad_route(path, "has a '{' that no name and '}' follow");
            segment.name = text.substr(open + 1, close - open - 1);
            segment.after = text.substr(close + 1);
        }
        if ((segment.before + segment.name + segment.after).find_first_of("{}?#%") != std::string::npos) {
            return bad_route(path, "has a segment with more than one name, or with a character that belongs to no path");
        }
        const auto same_name = [&](const Segment &other) { return !other.name.empty() && other.name == segment.name; };
        if (std::ranges::any_of(pattern.segments, same_name)) return bad_route(path, "uses a name twice");
        pattern.segments.push_back(std::move(segment));
    }
    return pattern;
}

// An order in which the first pattern that fits is the most literal one.
bool RouteTable::before(const Pattern &a, const Pattern &b) {
    if (a.segments.size() != b.segments.size()) return a.segments.size() < b.segments.size();
    for (std::size_t i = 0; i < a.segments.size(); i++) {
        const Segment &x = a.segments[i];
        const Segment &y = b.segments[i];
        if (x.name.empty() != y.name.empty()) return x.name.empty();
        const std::size_t x_literal = x.before.size() + x.after.size();
        const std::size_t y_literal = y.before.size() + y.after.size();
        if (!x.name.empty() && x_literal != y_literal) return x_literal > y_literal;
    }
    return false;
}

Result<RouteTable> RouteTable::create(std::vector<HttpRoute> routes) {
    RouteTable table;
    table.routes_ = std::move(routes);
    for (std::size_t i = 0; i < table.routes_.size(); i++) {
        const HttpRoute &route = table.routes_[i];
        if (!route.handler) return bad_route(route.path, "has no handler");
        if (route.method.empty() || route.method == "HEAD" || route.method == "OPTIONS") {
            return bad_route(route.path, "has no method, or one that the server answers itself (HEAD, OPTIONS)");
        }
        ENGRAM_ASSIGN(Pattern pattern, parse(route.path));
        const auto same_path = [&](const Pattern &other) { return table.routes_[other.routes.front()].path == route.path; };
        if (const auto known = std::ranges::find_if(table.patterns_, same_path); known != table.patterns_.end()) {
            for (const std::size_t other : known->routes) {
                if (table.routes_[other].method == route.method)
                    return bad_route(route.path, "is there twice with the same method");
            }
            known->routes.push_back(i);
        } else {
            pattern.routes.push_back(i);
            table.patterns_.push_back(std::move(pattern));
        }
    }
    std::ranges::stable_sort(table.patterns_, before);
    return table;
}

bool RouteTable::fits(const Pattern &pattern, const std::vector<std::string> &path, HttpFields &parameters) {
    if (pattern.segments.size() != path.size()) return false;
    parameters.clear();
    for (std::size_t i = 0; i < path.size(); i++) {
        const Segment &segment = pattern.segments[i];
        const std::string_view text = path[i];
        if (segment.name.empty()) {
            if (text != segment.before) return false;
            continue;
        }
        const std::size_t literal = segment.before.size() + segment.after.size();
        if (text.size() <= literal || !text.starts_with(segment.before) || !text.ends_with(segment.after)) return false;
        parameters.emplace_back(segment.name, text.substr(segment.before.size(), text.size() - literal));
    }
    return true;
}

std::optional<RouteMatch> RouteTable::find(std::string_view method, std::string_view path) const {
    RouteMatch match;
    if (!path.starts_with('/')) return match;
    std::vector<std::string> segments;
    for (const std::string_view segment : split_path(path)) {
        auto decoded = percent_decode(segment);
        if (!decoded) return std::nullopt;
        segments.push_back(std::move(*decoded));
    }
    const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
    for (const Pattern &pattern : patterns_) {
        HttpFields parameters;
        if (!fits(pattern, segments, parameters)) continue;
        for (const std::size_t index : pattern.routes) {
            const HttpRoute &route = routes_[index];
            match.allowed.push_back(route.method);
            if (route.method == "GET") match.allowed.emplace_back("HEAD");
            if (route.method == wanted && match.route == nullptr) {
                match.route = &route;
                match.parameters = parameters;
            }
        }
    }
    if (!match.allowed.empty()) {
        match.allowed.emplace_back("OPTIONS");
        std::ranges::sort(match.allowed);
        const auto repeated = std::ranges::unique(match.allowed);
        match.allowed.erase(repeated.begin(), repeated.end());
    }
    return match;
}

}  // namespace engram::http
