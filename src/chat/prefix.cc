#include "chat/prefix.h"

namespace engram {
namespace {

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

}  // namespace

PrefixMatch match_stored_prefix(std::span<const std::string_view> stored_pieces, std::string_view text) {
    PrefixMatch whole;  // the longest match so far that ends between two characters
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < stored_pieces.size(); ++i) {
        if (!text.substr(bytes).starts_with(stored_pieces[i])) {
            break;
        }
        bytes += stored_pieces[i].size();
        if (bytes == text.size() || !continues_character(text[bytes])) {
            whole = {.tokens = i + 1, .bytes = bytes};
        }
    }
    return whole;
}

}  // namespace engram
