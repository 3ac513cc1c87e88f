// BLAKE3 over a sequence of fields, each with its length, under a name for what is hashed: no two different sequences of fields
// hash the same bytes. Not thread-safe; finish() may be called at any time, and more fields may follow.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/ids.h"

namespace engram {

class FieldHasher {
  public:
    explicit FieldHasher(const char *domain);
    ~FieldHasher();
    FieldHasher(FieldHasher &&) noexcept;
    FieldHasher &operator=(FieldHasher &&) noexcept;

    void add(const Digest &digest);
    void add(std::uint64_t number);
    void add(float number);
    void add(std::string_view text);

    Digest finish() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace engram
