// Where a newly rendered prompt departs from tokens that are stored.
//
// The same text may come in other tokens at a boundary, so prompts are matched by bytes: the stored tokens that spell the text's
// beginning stay, and only the text after them is tokenized anew. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace engram {

struct PrefixMatch {
    std::size_t tokens = 0;  // stored tokens that stay
    std::size_t bytes = 0;   // of the text, that they spell; the rest of the text begins there
    bool operator==(const PrefixMatch &) const = default;
};

// The longest run of stored tokens whose bytes, put together, are a prefix of `text`. `stored_pieces` are the bytes of each
// stored token, in order. The match never ends inside a UTF-8 character of `text` (the tokenizer would see half a character),
// unless the text itself ends there. Tokens without bytes (control tokens that the caller spells as nothing) stay when the token
// before them does.
PrefixMatch match_stored_prefix(std::span<const std::string_view> stored_pieces, std::string_view text);

}  // namespace engram
