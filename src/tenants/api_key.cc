#include "tenants/api_key.h"

#include <openssl/sha.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif
#include <unistd.h>

#include <cerrno>
#include <format>
#include <span>
#include <system_error>

namespace engram {
namespace {

constexpr std::string_view kBase62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kBase32 = "0123456789abcdefghjkmnpqrstvwxyz";  // without i, l, o and u, which are misread

Result<void> fill_with_random(std::span<std::uint8_t> bytes) {
    if (::getentropy(bytes.data(), bytes.size()) == 0) return {};
    return fail(ErrorCode::io, std::format("the system gives no random bytes: {}", std::system_category().message(errno)));
}

// Divides the number (most significant byte first) in place and returns the remainder.
unsigned divide(std::span<std::uint8_t> number, unsigned divisor) {
    unsigned remainder = 0;
    for (std::uint8_t &byte : number) {
        const unsigned value = remainder << 8U | byte;
        byte = static_cast<std::uint8_t>(value / divisor);
        remainder = value % divisor;
    }
    return remainder;
}

}  // namespace

Result<std::string> make_key_text() {
    std::array<std::uint8_t, 32> number{};
    ENGRAM_TRY(fill_with_random(number));
    std::string text(kKeyBytes, '0');
    for (std::size_t i = kKeyBytes; i > kKeyPrefix.size(); --i) text[i - 1] = kBase62[divide(number, kBase62.size())];
    return text.replace(0, kKeyPrefix.size(), kKeyPrefix);
}

KeyHash hash_of_key(std::string_view text) {
    KeyHash hash;
    SHA256(reinterpret_cast<const unsigned char *>(text.data()), text.size(), hash.data());
    return hash;
}

Result<std::string> make_key_id() {
    std::array<std::uint8_t, 8> random{};
    ENGRAM_TRY(fill_with_random(random));
    std::string id;
    for (const std::uint8_t byte : random) id += kBase32[byte % kBase32.size()];
    return id;
}

}  // namespace engram
