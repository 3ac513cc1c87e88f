// Lossy storage's conversions, with ggml's own quantisers.
#pragma once

#include "core/kv_part.h"

namespace engram {

// Between all floating-point and quantised types, through f32; exact where the target can hold the value. Rows of quantised types
// must be a multiple of 32 elements. Equal types are copied. u8 (opaque bytes) converts to nothing but itself. Lives until the
// program ends.
const TensorCodec &engine_codec();

}  // namespace engram
