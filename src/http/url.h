// The parts of an address on the web, as libcurl reads it.
#pragma once

#include <string>

namespace engram::http {

struct Url {
    std::string scheme;  // "http", in small letters
    std::string host;    // as it is written, but for %xx; IPv6 in brackets
    std::string origin;  // scheme, host and port: "http://127.0.0.1:8000", the port also where it is the scheme's own
    bool has_user = false;
};

// All empty: it can't be read, or is neither http nor https.
Url parse_url(const std::string &text);

// "https://example.com/x/y" and "z" or "/z" or a whole URL: where a link on a page leads. Empty: it can't be read.
std::string resolve_url(const std::string &base, const std::string &link);

// As one segment of a path: "a%2Fb" of "a/b".
std::string escaped(const std::string &segment);

}  // namespace engram::http
