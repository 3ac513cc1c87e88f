// ggml's element types and ours. Internal to the engine.
#pragma once

#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/kv_part.h"

namespace engram {

inline ggml_type ggml_type_of(KvType type) {
    switch (type) {
        case KvType::f32: return GGML_TYPE_F32;
        case KvType::f16: return GGML_TYPE_F16;
        case KvType::bf16: return GGML_TYPE_BF16;
        case KvType::q8_0: return GGML_TYPE_Q8_0;
        case KvType::q4_0: return GGML_TYPE_Q4_0;
        case KvType::q4_1: return GGML_TYPE_Q4_1;
        case KvType::q5_0: return GGML_TYPE_Q5_0;
        case KvType::q5_1: return GGML_TYPE_Q5_1;
        case KvType::iq4_nl: return GGML_TYPE_IQ4_NL;
        case KvType::u8: return GGML_TYPE_I8;
    }
    return GGML_TYPE_COUNT;
}

// nullopt: a type that we have no name for; its rows travel as bytes.
inline std::optional<KvType> kv_type_of(std::int32_t type) {
    for (int i = 0; i < static_cast<int>(KvType::u8); ++i) {
        if (ggml_type_of(static_cast<KvType>(i)) == type) return static_cast<KvType>(i);
    }
    return std::nullopt;
}

// Values in a row of `row_bytes`.
inline std::size_t elements_of_row(KvType type, std::size_t row_bytes) {
    return row_bytes / kv_type_bytes(type, 32) * 32 +
           (kv_type_is_quantised(type) ? 0 : row_bytes % kv_type_bytes(type, 32) / kv_type_bytes(type, 1));
}

}  // namespace engram
