#include "core/kv_part.h"

#include <array>
#include <map>
#include <mutex>
#include <new>

namespace engram {

namespace {

struct TypeFacts {
    KvType type;
    std::string_view name;
    std::size_t block_elements;  // elements that share a scale
    std::size_t block_bytes;
};

// ggml's own block layouts (ggml-common.h): a half-precision scale, for q4_1 and q5_1 a minimum as well, then the quants.
constexpr std::array<TypeFacts, 10> kTypes{{
    {KvType::f32, "f32", 1, 4},
    {KvType::f16, "f16", 1, 2},
    {KvType::bf16, "bf16", 1, 2},
    {KvType::q8_0, "q8_0", 32, 34},
    {KvType::q4_0, "q4_0", 32, 18},
    {KvType::q4_1, "q4_1", 32, 20},
    {KvType::q5_0, "q5_0", 32, 22},
    {KvType::q5_1, "q5_1", 32, 24},
    {KvType::iq4_nl, "iq4_nl", 32, 18},
    {KvType::u8, "u8", 1, 1},
}};

const TypeFacts &facts(KvType type) { return kTypes[static_cast<std::size_t>(type)]; }

constexpr std::array<std::string_view, kPartKinds> kPartNames{"attention", "window", "state"};

constexpr std::align_val_t kAlignment{64};

}  // namespace

std::string_view part_kind_name(PartKind kind) { return kPartNames[static_cast<std::size_t>(kind)]; }

std::optional<PartKind> part_kind_from_name(std::string_view name) {
    for (std::size_t i = 0; i < kPartKinds; ++i) {
        if (kPartNames[i] == name) return static_cast<PartKind>(i);
    }
    return std::nullopt;
}

std::string_view kv_type_name(KvType type) { return facts(type).name; }

std::optional<KvType> kv_type_from_name(std::string_view name) {
    for (const TypeFacts &t : kTypes) {
        if (t.name == name) return t.type;
    }
    return std::nullopt;
}

std::size_t kv_type_bytes(KvType type, std::size_t elements) {
    return elements / facts(type).block_elements * facts(type).block_bytes;
}

bool kv_type_is_quantised(KvType type) { return facts(type).block_elements > 1; }

std::size_t PartLayout::payload_bytes() const {
    std::size_t sum = 0;
    for (const PartTensor &tensor : tensors) sum += tensor.bytes();
    return sum;
}

// Released buffers by capacity. Capacities are rounded up so that images of nearly equal size share buffers.
struct BufferPool::Shared {
    explicit Shared(std::size_t keep) : keep_bytes(keep) {}
    ~Shared() {
        for (auto &[capacity, memory] : released) operator delete[](memory, kAlignment);
    }

    const std::size_t keep_bytes;
    std::mutex mutex;
    std::size_t kept_bytes = 0;                        // guarded by mutex
    std::multimap<std::size_t, std::byte *> released;  // guarded by mutex
};

BufferPool::BufferPool(std::size_t keep_bytes) : shared_(std::make_shared<Shared>(keep_bytes)) {}

std::shared_ptr<std::byte[]> BufferPool::acquire(std::size_t bytes) {
    constexpr std::size_t kGranule = 4 << 10;
    const std::size_t wanted = (bytes + kGranule - 1) / kGranule * kGranule;
    std::byte *memory = nullptr;
    std::size_t capacity = wanted;
    {
        const std::scoped_lock lock(shared_->mutex);
        // Up to a quarter of waste: a larger buffer than that is better kept for a larger image.
        const auto found = shared_->released.lower_bound(wanted);
        if (found != shared_->released.end() && found->first <= wanted + wanted / 4) {
            capacity = found->first;
            memory = found->second;
            shared_->kept_bytes -= capacity;
            shared_->released.erase(found);
        }
    }
    if (memory == nullptr) memory = static_cast<std::byte *>(operator new[](capacity, kAlignment));
    return {memory, [shared = shared_, capacity](std::byte *released) {
                {
                    const std::scoped_lock lock(shared->mutex);
                    if (shared->kept_bytes + capacity <= shared->keep_bytes) {
                        shared->kept_bytes += capacity;
                        shared->released.emplace(capacity, released);
                        return;
                    }
                }
                operator delete[](released, kAlignment);
            }};
}

}  // namespace engram
