#include "core/beginning.h"

namespace engram {

std::string_view beginning_of(std::string_view text, std::size_t most_bytes) {
    if (text.size() <= most_bytes) return text;
    std::size_t end = most_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // text[end] goes on with a character
    return text.substr(0, end);
}

}  // namespace engram
