#include "http/url.h"

#include <curl/curl.h>

#include <format>
#include <memory>

namespace engram::http {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string part_of(const Handle &url, CURLUPart which, unsigned flags = 0) {
    char *text = nullptr;
    if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return {};
    std::string copy = text;
    curl_free(text);
    return copy;
}

// Null: it can't be read.
Handle read(const std::string &text) {
    Handle url(curl_url(), &curl_url_cleanup);
    if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
    return url;
}

}  // namespace

Url parse_url(const std::string &text) {
    const Handle url = read(text);
    if (url == nullptr) return {};
    Url parts{.scheme = part_of(url, CURLUPART_SCHEME), .host = part_of(url, CURLUPART_HOST)};
    if ((parts.scheme != "http" && parts.scheme != "https") || parts.host.empty()) return {};
    parts.origin = std::format("{}://{}:{}", parts.scheme, parts.host, part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
    // %xx of a host may stand for what no host can have in it.
    if (read(parts.origin) == nullptr) return {};
    parts.has_user = !part_of(url, CURLUPART_USER).empty() || !part_of(url, CURLUPART_PASSWORD).empty();
    return parts;
}

std::string resolve_url(const std::string &base, const std::string &link) {
    const Handle url = read(base);
    if (url == nullptr) return {};
    if (curl_url_set(url.get(), CURLUPART_URL, link.c_str(), 0) != CURLUE_OK) return {};
    return part_of(url, CURLUPART_URL);
}

std::string escaped(const std::string &segment) {
    char *text = curl_easy_escape(nullptr, segment.data(), static_cast<int>(segment.size()));
    std::string copy = text == nullptr ? "" : text;
    curl_free(text);
    return copy;
}

}  // namespace engram::http
