#include "engine/synth_plan.h"

#include <array>
#include <cmath>
#include <format>

namespace engram {

namespace {

enum class Kind : std::uint8_t { llama, gemma3, qwen3, lfm2, mamba };

struct Shape {
    Kind kind = Kind::llama;
    std::uint32_t layers = 0;
    std::uint32_t width = 0;  // of the residual stream
    std::uint32_t heads = 0;
    std::uint32_t kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t inner = 0;  // of the feed-forward block; for mamba of the state-space block
    std::uint32_t window = 0;
    std::uint32_t vocabulary = 1024;
    bool pools = false;
    bool thinks = false;
};

constexpr std::uint32_t kLarge = 32768;

constexpr std::array<SynthGeometry, 12> kGeometries{{
    {"tiny-llama", "3 layers of plain attention, for tests", "llama"},
    {"tiny-gemma3", "7 layers, the sixth global, the others with a sliding window of 32, for tests", "gemma3"},
    {"tiny-windows", "4 layers, all with a sliding window of 32, for tests", "gemma3"},
    {"tiny-lfm2", "6 layers, four short convolutions and two of attention, for tests", "lfm2"},
    {"tiny-mamba", "3 recurrent layers, for tests", "mamba"},
    {"tiny-qwen3", "3 layers of attention with normalised queries and keys, for tests", "qwen3"},
    {"tiny-embedder", "3 layers of attention and a pooling: texts become vectors, for tests", "qwen3"},
    {"tiny-thinker", "tiny-llama, with a template that has a switch for thinking, for tests", "llama"},
    {"gemma3-270m", "the shape of Gemma 3 270M (18 layers, 3 global, window 512) with 32,768 tokens of vocabulary", "gemma3"},
    {"gemma3-1b", "the shape of Gemma 3 1B (26 layers, 4 global, window 512) with 32,768 tokens of vocabulary", "gemma3"},
    {"llama-1b", "the shape of Llama 3.2 1B (16 layers) with 32,768 tokens of vocabulary", "llama"},
    {"qwen3-0.6b", "the shape of Qwen3 0.6B (28 layers) with 32,768 tokens of vocabulary", "qwen3"},
}};

constexpr std::array<Shape, kGeometries.size()> kShapes{{
    {.kind = Kind::llama, .layers = 3, .width = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 128},
    {.kind = Kind::gemma3, .layers = 7, .width = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 128, .window = 32},
    {.kind = Kind::gemma3, .layers = 4, .width = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 128, .window = 32},
    {.kind = Kind::lfm2, .layers = 6, .width = 64, .heads = 2, .kv_heads = 1, .head_dim = 32, .inner = 128},
    {.kind = Kind::mamba, .layers = 3, .width = 64, .inner = 128},
    {.kind = Kind::qwen3, .layers = 3, .width = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 128},
    {.kind = Kind::qwen3, .layers = 3, .width = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 128, .pools = true},
    {.kind = Kind::llama, .layers = 3, .width = 64, .heads = 4, .kv_heads = 2, .head_dim = 32, .inner = 128, .thinks = true},
    {.kind = Kind::gemma3,
     .layers = 18,
     .width = 640,
     .heads = 4,
     .kv_heads = 1,
     .head_dim = 256,
     .inner = 2048,
     .window = 512,
     .vocabulary = kLarge},
    {.kind = Kind::gemma3,
     .layers = 26,
     .width = 1152,
     .heads = 4,
     .kv_heads = 1,
     .head_dim = 256,
     .inner = 6912,
     .window = 512,
     .vocabulary = kLarge},
    {.kind = Kind::llama,
     .layers = 16,
     .width = 2048,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 64,
     .inner = 8192,
     .vocabulary = kLarge},
    {.kind = Kind::qwen3,
     .layers = 28,
     .width = 1024,
     .heads = 16,
     .kv_heads = 8,
     .head_dim = 128,
     .inner = 3072,
     .vocabulary = kLarge},
}};

constexpr std::uint32_t kContext = 32768;
constexpr std::uint32_t kConvolution = 4;  // mamba's kernel
constexpr std::uint32_t kState = 16;       // mamba's state for each channel
constexpr std::uint32_t kStepRank = 32;
constexpr std::uint32_t kShortConvolution = 3;
constexpr std::uint32_t kPoolingOfTheLastToken = 3;  // LLAMA_POOLING_TYPE_LAST

// Sharp enough attention, and branches strong enough, that what a token says depends on all the tokens before it.
constexpr float kQueryKeyGain = 1.6F;
constexpr float kBranchGain = 2.0F;
constexpr float kLogitDeviation = 4.0F;

std::size_t index_of(const SynthGeometry &geometry) {
    std::size_t i = 0;
    while (kGeometries[i].name != geometry.name) ++i;
    return i;
}

bool is_convolution(const Shape &shape, std::uint32_t layer) { return shape.kind == Kind::lfm2 && layer % 3 != 2; }

class Planner {
  public:
    Planner(const Shape &shape, std::uint32_t vocabulary) : shape_(shape), vocabulary_(vocabulary) {}

    SynthPlan plan() {
        keys();
        const float scaled = shape_.kind == Kind::gemma3 ? 1.0F / std::sqrt(static_cast<float>(shape_.width)) : 1.0F;
        add({.name = "token_embd.weight",
             .columns = shape_.width,
             .rows = vocabulary_,
             .fill = SynthFill::embedding,
             .scale = scaled,
             .keeps_precision = true});
        // libllama reads lfm2's last norm under the name that it has there.
        norm(shape_.kind == Kind::lfm2 ? "token_embd_norm.weight" : "output_norm.weight", shape_.width);
        add({.name = "output.weight",
             .columns = shape_.width,
             .rows = vocabulary_,
             .fill = SynthFill::output,
             .scale = kLogitDeviation / std::sqrt(static_cast<float>(shape_.width)),
             .keeps_precision = true});
        for (layer_ = 0; layer_ < shape_.layers; ++layer_) {
            if (shape_.kind == Kind::mamba) {
                state_space();
                continue;
            }
            if (is_convolution(shape_, layer_)) {
                convolution();
            } else {
                attention();
            }
            feed_forward();
        }
        return std::move(plan_);
    }

  private:
    void add(SynthTensor tensor) { plan_.tensors.push_back(std::move(tensor)); }
    void key(std::string name, SynthPlan::Value value) { plan_.keys.emplace_back(std::move(name), std::move(value)); }
    std::string in_layer(std::string_view name) const { return std::format("blk.{}.{}", layer_, name); }

    void norm(std::string name, std::uint32_t columns, float scale = 1.0F, bool writes = false) {
        add({.name = std::move(name),
             .columns = columns,
             .fill = SynthFill::constant,
             .scale = scale,
             .zero_column0 = writes,
             .exact = true});
    }
    void reads(std::string_view name, std::uint32_t rows, float gain = 1.0F) {
        add({.name = in_layer(name),
             .columns = shape_.width,
             .rows = rows,
             .scale = gain / std::sqrt(static_cast<float>(shape_.width)),
             .zero_column0 = true});
    }
    void writes(std::string_view name, std::uint32_t columns, float gain) {
        add({.name = in_layer(name),
             .columns = columns,
             .rows = shape_.width,
             .scale = gain / std::sqrt(static_cast<float>(columns)),
             .zero_row0 = true});
    }

    void keys() {
        key("context_length", kContext);
        key("embedding_length", shape_.width);
        key("block_count", shape_.layers);
        key("vocab_size", vocabulary_);
        key("attention.layer_norm_rms_epsilon", 1e-6F);
        if (shape_.kind == Kind::mamba) {
            key("feed_forward_length", 0U);
            key("attention.head_count", 0U);
            key("ssm.conv_kernel", kConvolution);
            key("ssm.inner_size", shape_.inner);
            key("ssm.state_size", kState);
            key("ssm.time_step_rank", kStepRank);
            return;
        }
        key("feed_forward_length", shape_.inner);
        key("attention.head_count", shape_.heads);
        key("attention.key_length", shape_.head_dim);
        key("attention.value_length", shape_.head_dim);
        key("rope.dimension_count", shape_.head_dim);
        key("rope.freq_base", shape_.kind == Kind::llama ? 500000.0F : 1000000.0F);
        if (shape_.pools) key("pooling_type", kPoolingOfTheLastToken);
        if (shape_.window > 0) key("attention.sliding_window", shape_.window);
        if (shape_.kind == Kind::lfm2) {
            std::vector<std::uint32_t> kv_heads;
            for (std::uint32_t i = 0; i < shape_.layers; ++i) kv_heads.push_back(is_convolution(shape_, i) ? 0 : shape_.kv_heads);
            key("attention.head_count_kv", std::move(kv_heads));
            key("shortconv.l_cache", kShortConvolution);
        } else {
            key("attention.head_count_kv", shape_.kv_heads);
        }
    }

    void attention() {
        const bool normed = shape_.kind != Kind::llama;
        norm(in_layer("attn_norm.weight"), shape_.width);
        reads("attn_q.weight", shape_.heads * shape_.head_dim, normed ? 1.0F : kQueryKeyGain);
        reads("attn_k.weight", shape_.kv_heads * shape_.head_dim, normed ? 1.0F : kQueryKeyGain);
        reads("attn_v.weight", shape_.kv_heads * shape_.head_dim);
        writes("attn_output.weight", shape_.heads * shape_.head_dim, kBranchGain);
        if (normed) {
            norm(in_layer("attn_q_norm.weight"), shape_.head_dim, kQueryKeyGain);
            norm(in_layer("attn_k_norm.weight"), shape_.head_dim, kQueryKeyGain);
        }
        if (shape_.kind == Kind::gemma3) norm(in_layer("post_attention_norm.weight"), shape_.width, 1.0F, true);
    }

    void feed_forward() {
        norm(in_layer("ffn_norm.weight"), shape_.width);
        reads("ffn_gate.weight", shape_.inner);
        reads("ffn_up.weight", shape_.inner);
        writes("ffn_down.weight", shape_.inner, 1.0F);
        if (shape_.kind == Kind::gemma3) norm(in_layer("post_ffw_norm.weight"), shape_.width, 1.0F, true);
    }

    void convolution() {
        norm(in_layer("attn_norm.weight"), shape_.width);
        reads("shortconv.in_proj.weight", 3 * shape_.width);
        add({.name = in_layer("shortconv.conv.weight"),
             .columns = kShortConvolution,
             .rows = shape_.width,
             .scale = 0.7F,
             .exact = true});
        writes("shortconv.out_proj.weight", shape_.width, 1.0F);
    }

    void state_space() {
        const std::uint32_t inner = shape_.inner;
        const float out_of_inner = 1.0F / std::sqrt(static_cast<float>(inner));
        norm(in_layer("attn_norm.weight"), shape_.width);
        reads("ssm_in.weight", 2 * inner);
        add({.name = in_layer("ssm_conv1d.weight"), .columns = kConvolution, .rows = inner, .scale = 0.6F, .exact = true});
        add({.name = in_layer("ssm_conv1d.bias"), .columns = inner, .scale = 0.1F, .exact = true});
        add({.name = in_layer("ssm_x.weight"), .columns = inner, .rows = kStepRank + 2 * kState, .scale = 2.0F * out_of_inner});
        add({.name = in_layer("ssm_dt.weight"), .columns = kStepRank, .rows = inner, .scale = 0.1F});
        // Steps near softplus(-3) = 0.05: the state remembers some twenty tokens well and the rest faintly.
        add({.name = in_layer("ssm_dt.bias"), .columns = inner, .scale = 0.5F, .centre = -3.0F, .exact = true});
        add({.name = in_layer("ssm_a"),
             .columns = kState,
             .rows = inner,
             .fill = SynthFill::ramp,
             .scale = -1.0F,
             .exact = true});
        add({.name = in_layer("ssm_d"), .columns = inner, .fill = SynthFill::constant, .scale = 1.0F, .exact = true});
        writes("ssm_out.weight", inner, kBranchGain);
    }

    const Shape &shape_;
    const std::uint32_t vocabulary_;
    std::uint32_t layer_ = 0;
    SynthPlan plan_;
};

}  // namespace

std::span<const SynthGeometry> synth_plan_geometries() { return kGeometries; }

std::uint32_t synth_vocabulary_target(const SynthGeometry &geometry) { return kShapes[index_of(geometry)].vocabulary; }
bool synth_thinks(const SynthGeometry &geometry) { return kShapes[index_of(geometry)].thinks; }

SynthPlan make_synth_plan(const SynthGeometry &geometry, std::uint32_t vocabulary) {
    return Planner(kShapes[index_of(geometry)], vocabulary).plan();
}

}  // namespace engram
