#include "engine/codec.h"

#include <ggml.h>

#include <cstring>
#include <format>
#include <vector>

#include "engine/kv_types.h"

namespace engram {

namespace {

constexpr std::size_t kMaxRowElements = 1 << 24;

bool fits(KvType type, std::size_t row_elements) {
    return row_elements > 0 && row_elements <= kMaxRowElements && (!kv_type_is_quantised(type) || row_elements % 32 == 0);
}

void to_floats(KvType type, const std::byte *in, std::size_t count, float *out) {
    if (type == KvType::f32) {
        std::memcpy(out, in, count * sizeof(float));
        return;
    }
    ggml_get_type_traits(ggml_type_of(type))->to_float(in, out, static_cast<std::int64_t>(count));
}

void from_floats(KvType type, const float *in, std::size_t count, std::byte *out) {
    if (type == KvType::f32) {
        std::memcpy(out, in, count * sizeof(float));
        return;
    }
    ggml_quantize_chunk(ggml_type_of(type), in, out, 0, 1, static_cast<std::int64_t>(count), nullptr);
}

class EngineCodec final : public TensorCodec {
  public:
    bool supports(KvType from, KvType to, std::size_t row_elements) const override {
        if (!fits(from, row_elements) || !fits(to, row_elements)) return false;
        return from == to || (from != KvType::u8 && to != KvType::u8);
    }

    Result<void> convert(KvType from, KvType to, std::size_t row_elements, std::size_t rows, std::span<const std::byte> in,
                         std::span<std::byte> out) const override {
        if (!supports(from, to, row_elements)) {
            return fail(ErrorCode::unsupported, std::format("rows of {} elements can't be converted from {} to {}", row_elements,
                                                            kv_type_name(from), kv_type_name(to)));
        }
        const std::size_t in_row = kv_type_bytes(from, row_elements);
        const std::size_t out_row = kv_type_bytes(to, row_elements);
        if (in.size() / in_row != rows || in.size() % in_row != 0 || out.size() / out_row != rows || out.size() % out_row != 0) {
            return fail(ErrorCode::invalid_argument,
                        std::format("{} rows of {} elements from {} to {} aren't {} bytes to {} bytes", rows, row_elements,
                                    kv_type_name(from), kv_type_name(to), in.size(), out.size()));
        }
        if (from == to) {
            if (!in.empty()) std::memcpy(out.data(), in.data(), in.size());
            return {};
        }
        std::vector<float> values(row_elements);
        for (std::size_t row = 0; row < rows; ++row) {
            to_floats(from, in.data() + row * in_row, row_elements, values.data());
            from_floats(to, values.data(), row_elements, out.data() + row * out_row);
        }
        return {};
    }
};

}  // namespace

const TensorCodec &engine_codec() {
    static const EngineCodec kCodec;
    return kCodec;
}

}  // namespace engram
