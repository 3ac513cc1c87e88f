// The checksum that each row carries (XXH3-64), over the row's fields in a fixed order. Texts are preceded by their length, so
// that no two rows have the same bytes. Where a row stands (its ordinal, its first index) is one of the fields: rows can't change
// places unnoticed. The agent's key isn't, so that a fork can copy rows as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace engram {

class RowChecksum {
  public:
    RowChecksum &integer(std::int64_t value);
    RowChecksum &text(std::string_view value);
    RowChecksum &blob(std::span<const std::byte> value);
    std::int64_t value() const;  // as SQLite stores it: the 64 bits as a signed integer

  private:
    std::string bytes_;
};

}  // namespace engram
