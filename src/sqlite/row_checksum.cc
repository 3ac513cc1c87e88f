#include "sqlite/row_checksum.h"

#include <xxhash.h>

#include <array>
#include <bit>

namespace engram {

RowChecksum &RowChecksum::integer(std::int64_t value) {
    const auto raw = std::bit_cast<std::array<char, sizeof value>>(value);
    bytes_.append(raw.data(), raw.size());
    return *this;
}

RowChecksum &RowChecksum::text(std::string_view value) {
    integer(static_cast<std::int64_t>(value.size()));
    bytes_.append(value);
    return *this;
}

RowChecksum &RowChecksum::blob(std::span<const std::byte> value) {
    return text({reinterpret_cast<const char *>(value.data()), value.size()});
}

std::int64_t RowChecksum::value() const { return std::bit_cast<std::int64_t>(XXH3_64bits(bytes_.data(), bytes_.size())); }

}  // namespace engram
