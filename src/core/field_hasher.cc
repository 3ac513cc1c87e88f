#include "core/field_hasher.h"

#include <blake3.h>

namespace engram {

struct FieldHasher::State {
    blake3_hasher hasher;

    template <typename T>
    void add(const T *data, std::size_t size) {
        blake3_hasher_update(&hasher, data, size);
    }
};

FieldHasher::FieldHasher(const char *domain) : state_(std::make_unique<State>()) {
    blake3_hasher_init_derive_key(&state_->hasher, domain);
}

FieldHasher::~FieldHasher() = default;
FieldHasher::FieldHasher(FieldHasher &&) noexcept = default;
FieldHasher &FieldHasher::operator=(FieldHasher &&) noexcept = default;

void FieldHasher::add(const Digest &digest) { state_->add(digest.bytes.data(), digest.bytes.size()); }

void FieldHasher::add(std::uint64_t number) { state_->add(&number, sizeof number); }

void FieldHasher::add(float number) {
    if (number == 0.0F) number = 0.0F;  // -0 means the same
    state_->add(&number, sizeof number);
}

void FieldHasher::add(std::string_view text) {
    add(std::uint64_t{text.size()});
    state_->add(text.data(), text.size());
}

Digest FieldHasher::finish() const {
    Digest digest;
    blake3_hasher_finalize(&state_->hasher, digest.bytes.data(), digest.bytes.size());
    return digest;
}

}  // namespace engram
