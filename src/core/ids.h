// Identities: tokens, agents, tenants, block ids and the model fingerprint. Values only; no I/O.
//
// A block's identity is chained: block_id = BLAKE3(parent_id | count | tokens). The first parent of a chain is
// chain_root(tenant, fingerprint, block_tokens), so two chains are equal exactly when tenant, model fingerprint, block size
// and all tokens up to there are equal; equal ids mean equal prefixes. A tail (fewer tokens than a block holds) is hashed in
// the same way, so it is named by the prefix it completes.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"

namespace engram {

using Token = std::int32_t;     // libllama's llama_token
using Position = std::int32_t;  // 0-based position of a token in its sequence (llama_pos)

// 32 bytes of BLAKE3.
struct Digest {
    std::array<std::uint8_t, 32> bytes{};

    auto operator<=>(const Digest &) const = default;

    std::string hex() const;                                  // 64 lower-case digits
    static Result<Digest> from_hex(std::string_view digits);  // invalid_argument unless exactly 64 hexadecimal digits
};

struct BlockId : Digest {};      // names the prefix that ends with this block
struct Fingerprint : Digest {};  // what must be equal for KV to be interchangeable

BlockId chain_root(std::string_view tenant, const Fingerprint &fingerprint, std::uint32_t block_tokens);
BlockId chain_next(const BlockId &parent, std::span<const Token> tokens);

// The ids of all full blocks of `tokens`, in order, and of the tail when tokens.size() isn't a multiple of block_tokens.
std::vector<BlockId> chain_of(const BlockId &root, std::span<const Token> tokens, std::uint32_t block_tokens);

// Agent ids: 1 to 128 characters of A-Z a-z 0-9 . _ -, the first not a dot. Anything else is invalid_argument.
Result<void> validate_agent_id(std::string_view id);

// Tenant ids follow the same rule.
Result<void> validate_tenant_id(std::string_view id);

// Block sizes: a power of two from 32 to 1024 tokens.
Result<void> validate_block_tokens(std::uint32_t block_tokens);

}  // namespace engram

template <>
struct std::hash<engram::BlockId> {
    std::size_t operator()(const engram::BlockId &id) const noexcept;  // its first eight bytes: already uniform
};
