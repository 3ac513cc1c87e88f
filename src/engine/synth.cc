#include "engine/synth.h"

#include <ggml.h>
#include <gguf.h>
#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <format>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "engine/backend.h"
#include "engine/synth_plan.h"
#include "engine/synth_vocabulary.h"

namespace engram {

namespace {

constexpr float kConstantChannel = 4.0F;  // in units of the other channels' deviation
constexpr float kSilence = -60.0F;        // weight of the constant channel in a silent token's logit

struct TypeChoice {
    std::string_view name;
    ggml_type type;
    std::uint32_t file_type;
};
constexpr std::array<TypeChoice, 4> kTypes{{
    {"f32", GGML_TYPE_F32, LLAMA_FTYPE_ALL_F32},
    {"f16", GGML_TYPE_F16, LLAMA_FTYPE_MOSTLY_F16},
    {"q8_0", GGML_TYPE_Q8_0, LLAMA_FTYPE_MOSTLY_Q8_0},
    {"q4_0", GGML_TYPE_Q4_0, LLAMA_FTYPE_MOSTLY_Q4_0},
}};

// Integers until the last multiplication, so that no machine's mathematics library shows in the bytes.
class Random {
  public:
    Random(std::uint32_t seed, std::string_view name) : state_(seed) {
        for (const char c : name) state_ = next() ^ static_cast<unsigned char>(c);
    }

    // The sum of four uniform numbers: near enough to a normal distribution, with mean 0 and deviation 1.
    float normal() {
        const std::uint64_t bits = next();
        std::int64_t sum = 0;
        for (int shift = 0; shift < 64; shift += 16) sum += static_cast<std::int64_t>(bits >> shift & 0xFFFF);
        constexpr float kDeviation = 37837.2F;  // 65536 * sqrt(4 / 12)
        return static_cast<float>(sum - 2 * 65535) * (1.0F / kDeviation);
    }

  private:
    std::uint64_t next() {  // splitmix64
        state_ += 0x9E3779B97F4A7C15ULL;
        std::uint64_t z = state_;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
        return z ^ z >> 31;
    }

    std::uint64_t state_;
};

ggml_type stored_type(const SynthTensor &tensor, ggml_type wanted) {
    if (tensor.exact) return GGML_TYPE_F32;
    if (tensor.keeps_precision && wanted == GGML_TYPE_Q4_0) return GGML_TYPE_Q8_0;
    return wanted;
}

void fill_row(const SynthTensor &tensor, const SynthVocabulary &vocabulary, std::int64_t row, Random &random,
              std::span<float> out) {
    switch (tensor.fill) {
        case SynthFill::constant: std::ranges::fill(out, tensor.scale); break;
        case SynthFill::ramp:
            for (std::size_t i = 0; i < out.size(); ++i) out[i] = tensor.scale * static_cast<float>(i + 1);
            break;
        case SynthFill::random:
        case SynthFill::embedding:
        case SynthFill::output:
            for (float &value : out) value = random.normal() * tensor.scale + tensor.centre;
            break;
    }
    if (tensor.fill == SynthFill::embedding) out[0] = kConstantChannel * tensor.scale;
    if (tensor.fill == SynthFill::output) {
        out[0] = 0.0F;
        if (vocabulary.silent[static_cast<std::size_t>(row)]) {
            std::ranges::fill(out, 0.0F);
            out[0] = kSilence;
        }
    }
    if (tensor.zero_row0 && row == 0) std::ranges::fill(out, 0.0F);
    if (tensor.zero_column0) out[0] = 0.0F;
}

// A file that is gone unless it was moved to its final name.
class TemporaryFile {
  public:
    explicit TemporaryFile(const std::filesystem::path &final_path) : final_(final_path), path_(final_path) {
        path_ += std::format(".{}.partial", ::getpid());  // two processes may be writing the same model
        file_ = std::fopen(path_.c_str(), "wb");
        if (file_ == nullptr) error_ = errno;
    }
    ~TemporaryFile() {
        if (file_ != nullptr) std::fclose(file_);
        std::error_code ignored;
        if (!moved_) std::filesystem::remove(path_, ignored);
    }
    TemporaryFile(const TemporaryFile &) = delete;
    TemporaryFile &operator=(const TemporaryFile &) = delete;

    void write(std::span<const std::byte> bytes) {
        if (error_ == 0 && std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) error_ = errno != 0 ? errno : EIO;
        written_ += bytes.size();
    }
    void pad(std::size_t alignment) {
        const std::vector<std::byte> zeros((alignment - written_ % alignment) % alignment);
        write(zeros);
    }
    bool failed() const { return error_ != 0; }

    Result<void> commit() {
        if (file_ != nullptr && std::fclose(file_) != 0 && error_ == 0) error_ = errno;
        file_ = nullptr;
        if (error_ == 0) {
            std::error_code renamed;
            std::filesystem::rename(path_, final_, renamed);
            error_ = renamed.value();
        }
        if (error_ != 0) {
            return fail(ErrorCode::io, std::format("can't write the model {}: {}", final_.string(), std::strerror(error_)));
        }
        moved_ = true;
        return {};
    }

  private:
    std::filesystem::path final_, path_;
    std::FILE *file_ = nullptr;
    int error_ = 0;
    std::size_t written_ = 0;
    bool moved_ = false;
};

struct FreeGguf {
    void operator()(gguf_context *file) const { gguf_free(file); }
};
struct FreeGgml {
    void operator()(ggml_context *context) const { ggml_free(context); }
};
using Gguf = std::unique_ptr<gguf_context, FreeGguf>;

void set_key(gguf_context *file, const std::string &key, const SynthPlan::Value &value) {
    if (const auto *number = std::get_if<std::uint32_t>(&value)) {
        gguf_set_val_u32(file, key.c_str(), *number);
    } else if (const auto *real = std::get_if<float>(&value)) {
        gguf_set_val_f32(file, key.c_str(), *real);
    } else {
        const auto &list = std::get<std::vector<std::uint32_t>>(value);
        gguf_set_arr_data(file, key.c_str(), GGUF_TYPE_UINT32, list.data(), list.size());
    }
}

Gguf make_header(const SynthGeometry &geometry, const TypeChoice &type, const SynthVocabulary &vocabulary,
                 const SynthPlan &plan) {
    Gguf file(gguf_init_empty());
    const std::string architecture(geometry.architecture);
    gguf_set_val_str(file.get(), "general.architecture", architecture.c_str());
    gguf_set_val_str(file.get(), "general.name", std::format("synthetic {}", geometry.name).c_str());
    gguf_set_val_u32(file.get(), "general.file_type", type.file_type);
    gguf_set_val_u32(file.get(), "general.quantization_version", GGML_QNT_VERSION);
    for (const auto &[key, value] : plan.keys) set_key(file.get(), std::format("{}.{}", architecture, key), value);
    write_synth_vocabulary(vocabulary, synth_thinks(geometry), file.get());

    const std::unique_ptr<ggml_context, FreeGgml> shapes(
        ggml_init({.mem_size = ggml_tensor_overhead() * (plan.tensors.size() + 1), .mem_buffer = nullptr, .no_alloc = true}));
    for (const SynthTensor &tensor : plan.tensors) {
        const ggml_type stored = stored_type(tensor, type.type);
        ggml_tensor *shape = tensor.rows == 0 ? ggml_new_tensor_1d(shapes.get(), stored, tensor.columns)
                                              : ggml_new_tensor_2d(shapes.get(), stored, tensor.columns, tensor.rows);
        ggml_set_name(shape, tensor.name.c_str());
        gguf_add_tensor(file.get(), shape);
    }
    return file;
}

void write_tensor(const SynthTensor &tensor, ggml_type type, const SynthVocabulary &vocabulary, std::uint32_t seed,
                  TemporaryFile &out) {
    Random random(seed, tensor.name);
    const std::int64_t rows = std::max<std::int64_t>(tensor.rows, 1);
    const auto columns = static_cast<std::size_t>(tensor.columns);
    const std::int64_t chunk = std::clamp<std::int64_t>((1 << 18) / tensor.columns, 1, rows);
    std::vector<float> values(static_cast<std::size_t>(chunk) * columns);
    std::vector<std::byte> stored(static_cast<std::size_t>(chunk) * ggml_row_size(type, tensor.columns));
    for (std::int64_t first = 0; first < rows && !out.failed(); first += chunk) {
        const std::int64_t count = std::min(chunk, rows - first);
        for (std::int64_t i = 0; i < count; ++i) {
            fill_row(tensor, vocabulary, first + i, random,
                     std::span(values).subspan(static_cast<std::size_t>(i) * columns, columns));
        }
        std::size_t bytes = 0;
        if (type == GGML_TYPE_F32) {
            bytes = static_cast<std::size_t>(count) * columns * sizeof(float);
            std::memcpy(stored.data(), values.data(), bytes);
        } else {
            bytes = ggml_quantize_chunk(type, values.data(), stored.data(), 0, count, tensor.columns, nullptr);
        }
        out.write(std::span(stored).first(bytes));
    }
}

template <typename List>
std::string names_of(const List &list) {
    std::string names;
    for (const auto &item : list) {
        if (!names.empty()) names += ", ";
        names += item.name;
    }
    return names;
}

}  // namespace

std::span<const SynthGeometry> synth_geometries() { return synth_plan_geometries(); }

Result<void> write_synthetic_model(const SynthOptions &options, const std::filesystem::path &out,
                                   const std::function<void(float)> &progress) {
    const auto geometry = std::ranges::find(synth_geometries(), options.geometry, &SynthGeometry::name);
    if (geometry == synth_geometries().end()) {
        return fail(ErrorCode::invalid_argument, std::format("there is no model geometry \"{}\"; known are {}", options.geometry,
                                                             names_of(synth_geometries())));
    }
    const auto *const type = std::ranges::find(kTypes, options.type, &TypeChoice::name);
    if (type == kTypes.end()) {
        return fail(ErrorCode::invalid_argument,
                    std::format("there is no weight type \"{}\"; known are {}", options.type, names_of(kTypes)));
    }
    initialise_engine();
    const SynthVocabulary vocabulary = make_synth_vocabulary(synth_vocabulary_target(*geometry));
    const SynthPlan plan = make_synth_plan(*geometry, static_cast<std::uint32_t>(vocabulary.tokens.size()));
    const Gguf header = make_header(*geometry, *type, vocabulary, plan);

    TemporaryFile file(out);
    std::vector<std::byte> meta(gguf_get_meta_size(header.get()));
    gguf_get_meta_data(header.get(), meta.data());
    file.write(meta);
    for (std::size_t i = 0; i < plan.tensors.size() && !file.failed(); ++i) {
        const SynthTensor &tensor = plan.tensors[i];
        write_tensor(tensor, stored_type(tensor, type->type), vocabulary, options.seed, file);
        file.pad(gguf_get_alignment(header.get()));
        if (progress) progress(static_cast<float>(i + 1) / static_cast<float>(plan.tensors.size()));
    }
    return file.commit();
}

}  // namespace engram
