// Fuzz entry of addresses that others name: what is read as one has a scheme that is spoken and a host, its origin is one too,
// and what passes as the internet's isn't this machine or a private network.
#include <arpa/inet.h>

#include "core/testing/fuzz.h"
#include "http/fetch.h"
#include "http/public_address.h"
#include "http/url.h"

namespace {

using namespace engram::http;
using engram::fuzz::require;

// The first byte of an IPv4 address tells enough here; public_address_test.cc has the whole table.
bool is_plainly_private(const std::string &host) {
    if (host == "localhost" || host == "[::1]" || host == "[::]") return true;
    in_addr address{};
    if (inet_pton(AF_INET, host.c_str(), &address) != 1) return false;
    const std::uint32_t first = ntohl(address.s_addr) >> 24U;
    return first == 0 || first == 10 || first == 127 || first >= 224;
}

void check(const std::string &text) {
    const Url url = parse_url(text);
    require(check_url(text).has_value() == !url.host.empty());
    if (url.host.empty()) {
        require(url.scheme.empty() && url.origin.empty());
        return;
    }
    require(url.scheme == "http" || url.scheme == "https");
    require(url.origin.starts_with(url.scheme + "://" + url.host + ":"));
    require(parse_url(url.origin).origin == url.origin);
    require(!check_public_url(text).has_value() || !is_plainly_private(url.host));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const auto [base, link] = engram::fuzz::two_texts(engram::fuzz::text_of(data, size));
    check(std::string(base));
    check(std::string(link));
    const std::string resolved = resolve_url(std::string(base), std::string(link));
    if (!resolved.empty()) check(resolved);
    const std::string segment = escaped(std::string(base));
    require(segment.find_first_of("/?#& \r\n") == std::string::npos);
    return 0;
}
