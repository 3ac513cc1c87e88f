#include "bench/kv_bytes.h"

#include "engine/context.h"

namespace engram::bench {

Result<KvBytes> kv_bytes(const Lab &lab, const std::filesystem::path &model, const std::string &kv_type) {
    const auto measure = [&]() -> Result<OrderedJson> {
        const ModelOptions options{.path = model,
                                   .context_tokens = 1024,
                                   .max_running = 1,
                                   .threads = lab.options().threads,
                                   .kv_type_k = kv_type,
                                   .kv_type_v = kv_type};
        BufferPool pool{64ULL << 20};
        ENGRAM_ASSIGN(const auto loaded, Model::load(options, nullptr, nullptr));
        ENGRAM_ASSIGN(const auto context, Context::create(*loaded, pool));
        return OrderedJson{{"attention", context->row_bytes(PartKind::attention)},
                           {"window_row", context->row_bytes(PartKind::window)},
                           {"window", context->window()}};
    };
    ENGRAM_ASSIGN(const OrderedJson json, lab.options().isolate(measure));
    return KvBytes{.attention_row = json["attention"].get<std::uint64_t>(),
                   .window_row = json["window_row"].get<std::uint64_t>(),
                   .window = json["window"].get<std::uint32_t>()};
}

}  // namespace engram::bench
