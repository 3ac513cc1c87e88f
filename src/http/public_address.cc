#include "http/public_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <format>
#include <span>

#include "http/url.h"

namespace engram::http {
namespace {

struct Network {
    std::uint32_t address;
    unsigned bits;
};
// Of IPv4, what isn't the internet.
constexpr auto kNotPublic = std::to_array<Network>({
    {0x00000000, 8},   // this network
    {0x0A000000, 8},   // private
    {0x64400000, 10},  // carriers'
    {0x7F000000, 8},   // loopback
    {0xA9FE0000, 16},  // link-local, metadata services of clouds
    {0xAC100000, 12},  // private
    {0xC0000000, 24},  // protocol assignments
    {0xC0A80000, 16},  // private
    {0xC6120000, 15},  // benchmarks
    {0xE0000000, 3},   // multicast, reserved
});

bool is_public_v4(std::uint32_t address) {
    return std::ranges::none_of(kNotPublic,
                                [&](const Network &network) { return (address ^ network.address) >> (32 - network.bits) == 0; });
}

std::uint32_t v4_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint32_t>(bytes[at]) << 24U | static_cast<std::uint32_t>(bytes[at + 1]) << 16U |
           static_cast<std::uint32_t>(bytes[at + 2]) << 8U | bytes[at + 3];
}

bool is_public_v6(std::span<const std::uint8_t> a) {
    const auto zero = [&](std::size_t from, std::size_t to) {
        return std::ranges::all_of(a.subspan(from, to - from), [](std::uint8_t byte) { return byte == 0; });
    };
    const bool mapped = zero(0, 10) && a[10] == 0xFF && a[11] == 0xFF;
    const bool translated = a[0] == 0 && a[1] == 0x64 && a[2] == 0xFF && a[3] == 0x9B && zero(4, 12);
    if (mapped || translated) return is_public_v4(v4_at(a, 12));
    if (a[0] == 0x20 && a[1] == 0x02) return is_public_v4(v4_at(a, 2));  // 6to4
    return (a[0] & 0xE0U) == 0x20;                                       // global unicast; all else is something special
}

// Whether the host is an address that isn't the internet's. Names are looked up when the connection is made.
bool is_private_host(std::string host) {
    if (host == "localhost" || host.ends_with(".localhost")) return true;
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    in_addr v4{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return !is_public_v4(ntohl(v4.s_addr));
    in6_addr v6{};
    if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return !is_public_v6(v6.s6_addr);
    return false;
}

}  // namespace

bool is_public_address(const sockaddr &address) {
    if (address.sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        return is_public_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address.sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        return is_public_v6(v6.sin6_addr.s6_addr);
    }
    return false;
}

Result<void> check_public_url(const std::string &url) {
    if (!is_private_host(parse_url(url).host)) return {};
    return fail(ErrorCode::invalid_argument,
                std::format("\"{}\" leads to this machine or to a private network, which may not be reached from here", url));
}

}  // namespace engram::http
