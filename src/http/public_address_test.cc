#include "http/public_address.h"

#include <gtest/gtest.h>
#include <netdb.h>

#include <memory>

#include "http/url.h"

namespace engram::http {
namespace {

bool is_public(const char *address) {
    const addrinfo hints{.ai_flags = AI_NUMERICHOST};
    addrinfo *found = nullptr;
    EXPECT_EQ(getaddrinfo(address, nullptr, &hints, &found), 0) << address;
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
    return owned != nullptr && is_public_address(*owned->ai_addr);
}

TEST(PublicAddress, OnlyTheInternetIsPublic) {
    for (const char *address : {"8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2001:4860::8888",
                                "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"}) {
        EXPECT_TRUE(is_public(address)) << address;
    }
    for (const char *address : {"127.0.0.1",
                                "127.9.9.9",
                                "0.0.0.0",
                                "10.1.2.3",
                                "172.16.0.1",
                                "172.31.255.255",
                                "192.168.1.1",
                                "169.254.169.254",
                                "100.64.0.1",
                                "198.18.0.1",
                                "224.0.0.1",
                                "255.255.255.255",
                                "::",
                                "::1",
                                "fe80::1",
                                "fc00::1",
                                "fd12::1",
                                "ff02::1",
                                "::ffff:127.0.0.1",
                                "::ffff:10.0.0.1",
                                "64:ff9b::7f00:1",
                                "2002:7f00:1::1",
                                "::127.0.0.1"}) {
        EXPECT_FALSE(is_public(address)) << address;
    }
}

TEST(PublicAddress, HostsThatAreAddressesAreSeenInTheUrl) {
    const std::string http = "http://";
    EXPECT_TRUE(check_public_url("https://example.com/hook?x=1"));
    for (const char *host :
         {"127.0.0.1", "localhost:8000", "a.localhost", "[::1]", "10.0.0.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"}) {
        EXPECT_FALSE(check_public_url(http + host + "/")) << host;
    }
}

TEST(Url, HasParts) {
    const std::string http = "http://";
    EXPECT_EQ(parse_url("HTTP://Example.com/a?b").scheme, "http");
    EXPECT_EQ(parse_url("http://example.com/a?b").origin, "http://example.com:80");
    EXPECT_EQ(parse_url("https://[::1]:8443/").origin, "https://[::1]:8443");
    EXPECT_EQ(parse_url(http + "ex%61mple.com/").host, "example.com");
    EXPECT_TRUE(parse_url(http + "user:key@example.com/").has_user);
    EXPECT_TRUE(parse_url(http + "user@example.com/").has_user);
    for (const char *text : {"", "example.com", "file:///etc/passwd", "ftp://example.com", "http://", "http://a b/",
                             "http://0%7f", "http://a%0Ab/"}) {
        EXPECT_EQ(parse_url(text).host, "") << text;
    }
}

TEST(Url, LinksLeadFromWhereTheyStand) {
    EXPECT_EQ(resolve_url("http://h:1/a/b", "c"), "http://h:1/a/c");
    EXPECT_EQ(resolve_url("http://h:1/a/b", "/c"), "http://h:1/c");
    EXPECT_EQ(resolve_url("http://h:1/a/b", "https://k/c"), "https://k/c");
    EXPECT_EQ(resolve_url("http://h:1/a/b", "http://"), "");
}

}  // namespace
}  // namespace engram::http
