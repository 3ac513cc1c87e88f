#include "core/ids.h"

#include <blake3.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <format>

namespace engram {

static_assert(std::endian::native == std::endian::little, "hashes and files hold little-endian integers");

std::string_view version() { return ENGRAM_VERSION; }

std::string_view error_code_name(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid_argument: return "invalid_argument";
        case ErrorCode::not_found: return "not_found";
        case ErrorCode::already_exists: return "already_exists";
        case ErrorCode::corrupt: return "corrupt";
        case ErrorCode::incompatible: return "incompatible";
        case ErrorCode::over_budget: return "over_budget";
        case ErrorCode::too_long: return "too_long";
        case ErrorCode::io: return "io";
        case ErrorCode::locked: return "locked";
        case ErrorCode::cancelled: return "cancelled";
        case ErrorCode::unsupported: return "unsupported";
        case ErrorCode::engine: return "engine";
        case ErrorCode::internal: return "internal";
    }
    return "internal";
}

std::string Digest::hex() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

Result<Digest> Digest::from_hex(std::string_view digits) {
    Digest digest;
    if (digits.size() != digest.bytes.size() * 2) {
        return fail(ErrorCode::invalid_argument, std::format("a digest has 64 hexadecimal digits, not {}", digits.size()));
    }
    const auto value = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
        const int high = value(digits[2 * i]);
        const int low = value(digits[2 * i + 1]);
        if (high < 0 || low < 0) {
            return fail(ErrorCode::invalid_argument, "a digest has hexadecimal digits only");
        }
        digest.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return digest;
}

namespace {

class Hasher {
  public:
    Hasher() { blake3_hasher_init(&state_); }

    void add(const void *data, std::size_t size) { blake3_hasher_update(&state_, data, size); }

    // Length first, so that no two sequences of fields have the same bytes.
    void add_text(std::string_view text) {
        const std::uint64_t size = text.size();
        add(&size, sizeof size);
        add(text.data(), text.size());
    }

    BlockId finish() {
        BlockId id;
        blake3_hasher_finalize(&state_, id.bytes.data(), id.bytes.size());
        return id;
    }

  private:
    blake3_hasher state_;
};

Result<void> validate_name(std::string_view id, std::string_view what) {
    const auto allowed = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    };
    if (id.empty() || id.size() > 128 || id.front() == '.' || !std::ranges::all_of(id, allowed)) {
        return fail(ErrorCode::invalid_argument,
                    std::format("{} must be 1 to 128 characters of A-Z a-z 0-9 . _ - and must not start with a dot", what));
    }
    return {};
}

}  // namespace

BlockId chain_root(std::string_view tenant, const Fingerprint &fingerprint, std::uint32_t block_tokens) {
    Hasher hasher;
    hasher.add_text("engram block chain 1");
    hasher.add_text(tenant);
    hasher.add(fingerprint.bytes.data(), fingerprint.bytes.size());
    hasher.add(&block_tokens, sizeof block_tokens);
    return hasher.finish();
}

BlockId chain_next(const BlockId &parent, std::span<const Token> tokens) {
    Hasher hasher;
    hasher.add(parent.bytes.data(), parent.bytes.size());
    const std::uint64_t count = tokens.size();
    hasher.add(&count, sizeof count);
    hasher.add(tokens.data(), tokens.size_bytes());
    return hasher.finish();
}

std::vector<BlockId> chain_of(const BlockId &root, std::span<const Token> tokens, std::uint32_t block_tokens) {
    std::vector<BlockId> ids;
    ids.reserve(tokens.size() / block_tokens + 1);
    BlockId parent = root;
    for (std::size_t first = 0; first < tokens.size(); first += block_tokens) {
        const std::size_t count = std::min<std::size_t>(block_tokens, tokens.size() - first);
        parent = chain_next(parent, tokens.subspan(first, count));
        ids.push_back(parent);
    }
    return ids;
}

Result<void> validate_agent_id(std::string_view id) { return validate_name(id, "an agent id"); }

Result<void> validate_tenant_id(std::string_view id) { return validate_name(id, "a tenant id"); }

Result<void> validate_block_tokens(std::uint32_t block_tokens) {
    if (!std::has_single_bit(block_tokens) || block_tokens < 32 || block_tokens > 1024) {
        return fail(ErrorCode::invalid_argument,
                    std::format("a block has a power of two from 32 to 1024 tokens, not {}", block_tokens));
    }
    return {};
}

}  // namespace engram

std::size_t std::hash<engram::BlockId>::operator()(const engram::BlockId &id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
}
