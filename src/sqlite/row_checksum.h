// The checksum that each row carries (XXH3-64), over the row's fields in a fixed order. Texts are preceded by their length, so
// that no two rows have the same bytes. Whose a row is (the agent's key) and where it stands (its ordinal, its first index) are
// two of the fields: a damaged index or page can't give one agent another's rows, nor rows in another order, unnoticed.
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
