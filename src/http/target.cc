#include "http/target.h"

#include <charconv>

namespace engram::http {

std::optional<Target> split_target(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!target.starts_with(scheme)) continue;
        target.remove_prefix(scheme.size());
        const std::size_t end = target.find_first_of("/?");
        if (end == std::string_view::npos) return Target{.path = "/", .query = {}};
        target.remove_prefix(end);
        if (target.front() == '?') return Target{.path = "/", .query = target.substr(1)};
        break;
    }
    if (target == "*") return Target{.path = target, .query = {}};
    if (!target.starts_with('/')) return std::nullopt;
    target = target.substr(0, target.find('#'));
    const std::size_t question = target.find('?');
    if (question == std::string_view::npos) return Target{.path = target, .query = {}};
    return Target{.path = target.substr(0, question), .query = target.substr(question + 1)};
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] == '+' && plus_is_space) {
            decoded += ' ';
        } else if (text[i] != '%') {
            decoded += text[i];
        } else {
            if (text.size() - i < 3) return std::nullopt;
            unsigned byte = 0;
            const char *digits = text.data() + i + 1;
            const auto [end, error] = std::from_chars(digits, digits + 2, byte, 16);
            if (error != std::errc{} || end != digits + 2 || byte == 0) return std::nullopt;
            decoded += static_cast<char>(byte);
            i += 2;
        }
    }
    return decoded;
}

std::optional<HttpFields> parse_query(std::string_view query) {
    HttpFields fields;
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view field = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
        if (field.empty()) continue;
        const std::size_t equals = field.find('=');
        auto name = percent_decode(field.substr(0, equals), true);
        auto value = percent_decode(equals == std::string_view::npos ? std::string_view() : field.substr(equals + 1), true);
        if (!name || !value) return std::nullopt;
        fields.emplace_back(std::move(*name), std::move(*value));
    }
    return fields;
}

}  // namespace engram::http
