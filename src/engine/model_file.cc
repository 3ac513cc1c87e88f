#include "engine/model_file.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <format>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace engram {

namespace {

// Far above every real model's; below what could exhaust memory.
constexpr std::uint64_t kMaxPairs = 1 << 16;
constexpr std::uint64_t kMaxTensors = 1 << 17;
constexpr std::uint64_t kMaxName = 1 << 16;
constexpr std::uint64_t kMaxVocabulary = 1 << 24;

struct Value {
    std::int32_t type = 0;
    std::int32_t element = 0;  // of an array
    std::uint64_t count = 1;
    std::optional<std::uint64_t> integer;  // of integer scalars that aren't negative
    float real = 0.0F;                     // of 32-bit floats
};

std::size_t scalar_bytes(std::int32_t type) {
    switch (type) {
        case GGUF_TYPE_UINT8:
        case GGUF_TYPE_INT8:
        case GGUF_TYPE_BOOL: return 1;
        case GGUF_TYPE_UINT16:
        case GGUF_TYPE_INT16: return 2;
        case GGUF_TYPE_UINT32:
        case GGUF_TYPE_INT32:
        case GGUF_TYPE_FLOAT32: return 4;
        case GGUF_TYPE_UINT64:
        case GGUF_TYPE_INT64:
        case GGUF_TYPE_FLOAT64: return 8;
        default: return 0;
    }
}

// Reads forward and never past the file's end; after a failure every read fails.
class Reader {
  public:
    Reader(std::FILE *file, std::uint64_t bytes) : file_(file), remaining_(bytes), total_(bytes) {}

    bool read(void *out, std::uint64_t bytes) {
        ok_ = ok_ && bytes <= remaining_ && std::fread(out, 1, bytes, file_) == bytes;
        if (ok_) remaining_ -= bytes;
        return ok_;
    }
    template <typename T>
    bool read(T &out) {
        return read(&out, sizeof out);
    }
    bool skip(std::uint64_t bytes) {
        ok_ = ok_ && bytes <= remaining_ && ::fseeko(file_, static_cast<off_t>(bytes), SEEK_CUR) == 0;
        if (ok_) remaining_ -= bytes;
        return ok_;
    }
    bool read_name(std::string &out) {
        std::uint64_t size = 0;
        if (!read(size) || size > kMaxName || size > remaining_) return ok_ = false;
        out.resize(size);
        return read(out.data(), size);
    }
    bool skip_text() {
        std::uint64_t size = 0;
        return read(size) && skip(size);
    }
    std::uint64_t position() const { return total_ - remaining_; }
    std::uint64_t remaining() const { return remaining_; }

  private:
    std::FILE *file_;
    std::uint64_t remaining_;
    const std::uint64_t total_;
    bool ok_ = true;
};

class Checker {
  public:
    Checker(std::FILE *file, std::uint64_t bytes) : in_(file, bytes), bytes_(bytes) {}

    // What is wrong, as the end of a sentence; empty when nothing is.
    std::string check() {
        std::uint32_t magic = 0;
        if (!in_.read(magic) || std::memcmp(&magic, GGUF_MAGIC, sizeof magic) != 0) return "it doesn't begin with GGUF";
        std::uint32_t version = 0;
        std::uint64_t tensors = 0;
        std::uint64_t pairs = 0;
        if (!in_.read(version) || !in_.read(tensors) || !in_.read(pairs)) return kCutOff;
        if (version < 2 || version > GGUF_VERSION) return std::format("its GGUF version {} isn't known", version);
        if (pairs > kMaxPairs || tensors > kMaxTensors) return "its header has absurd counts";
        for (std::uint64_t i = 0; i < pairs; ++i) {
            if (std::string wrong = check_pair(); !wrong.empty()) return wrong;
        }
        if (std::string wrong = check_alignment(); !wrong.empty()) return wrong;
        if (std::string wrong = check_vocabulary(); !wrong.empty()) return wrong;
        if (std::string wrong = check_shape(); !wrong.empty()) return wrong;
        std::uint64_t end = 0;
        for (std::uint64_t i = 0; i < tensors; ++i) {
            if (std::string wrong = check_tensor(end); !wrong.empty()) return wrong;
        }
        if (std::string wrong = check_layers(); !wrong.empty()) return wrong;
        const std::uint64_t data = (in_.position() + alignment_ - 1) / alignment_ * alignment_;
        if (end > 0 && (data > bytes_ || end > bytes_ - data)) {
            return std::format("it is cut off: {} bytes of tensors are missing", data + end - bytes_);
        }
        return {};
    }

  private:
    static constexpr const char *kCutOff = "its header is cut off or damaged";

    std::string check_pair() {
        std::string key;
        Value value;
        if (!in_.read_name(key) || !in_.read(value.type)) return kCutOff;
        if (key.empty() || key.find('\0') != std::string::npos) return "its header has a key without a name";
        if (value.type == GGUF_TYPE_ARRAY) {
            if (!in_.read(value.element) || !in_.read(value.count)) return kCutOff;
            if (!skip_elements(value.element, value.count)) return kCutOff;
        } else if (value.type == GGUF_TYPE_STRING) {
            if (!in_.skip_text()) return kCutOff;
        } else if (!read_scalar(value)) {
            return kCutOff;
        }
        if (!values_.emplace(key, value).second) return std::format("its header has the key {} twice", key);
        return {};
    }

    bool skip_elements(std::int32_t type, std::uint64_t count) {
        if (type == GGUF_TYPE_STRING) {
            if (count > in_.remaining() / sizeof(std::uint64_t)) return false;
            for (std::uint64_t i = 0; i < count; ++i) {
                if (!in_.skip_text()) return false;
            }
            return true;
        }
        const std::size_t size = scalar_bytes(type);
        return size > 0 && count <= in_.remaining() / size && in_.skip(count * size);
    }

    bool read_scalar(Value &value) {
        const std::size_t size = scalar_bytes(value.type);
        std::uint64_t bits = 0;
        if (size == 0 || !in_.read(&bits, size)) return false;
        const bool negative =
            (value.type == GGUF_TYPE_INT32 && bits >> 31 != 0) || (value.type == GGUF_TYPE_INT64 && bits >> 63 != 0);
        const bool integer = value.type != GGUF_TYPE_FLOAT32 && value.type != GGUF_TYPE_FLOAT64;
        if (integer && !negative) value.integer = bits;
        if (value.type == GGUF_TYPE_FLOAT32) value.real = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        return true;
    }

    std::string check_alignment() {
        const auto found = values_.find(GGUF_KEY_GENERAL_ALIGNMENT);
        if (found == values_.end()) return {};
        const std::uint64_t value = found->second.integer.value_or(0);
        if (found->second.type != GGUF_TYPE_UINT32 || !std::has_single_bit(value) || value > 1 << 20)
            return "its alignment is invalid";
        alignment_ = value;
        return {};
    }

    // libllama takes these arrays' types and lengths on trust.
    std::string check_vocabulary() {
        const auto tokens = values_.find("tokenizer.ggml.tokens");
        const std::uint64_t size = tokens == values_.end() ? 0 : tokens->second.count;
        if (size > kMaxVocabulary) return "its vocabulary is absurdly large";
        struct Expected {
            const char *key;
            std::int32_t element, other_element;
            bool for_each_token;
        };
        for (const Expected &expected :
             {Expected{"tokenizer.ggml.tokens", GGUF_TYPE_STRING, GGUF_TYPE_STRING, true},
              Expected{"tokenizer.ggml.merges", GGUF_TYPE_STRING, GGUF_TYPE_STRING, false},
              Expected{"tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, GGUF_TYPE_FLOAT32, true},
              Expected{"tokenizer.ggml.token_type", GGUF_TYPE_INT32, GGUF_TYPE_UINT32, true},
              Expected{"tokenizer.ggml.precompiled_charsmap", GGUF_TYPE_INT8, GGUF_TYPE_UINT8, false}}) {
            const auto found = values_.find(expected.key);
            if (found == values_.end()) continue;
            const Value &value = found->second;
            if (value.type != GGUF_TYPE_ARRAY || (value.element != expected.element && value.element != expected.other_element) ||
                (expected.for_each_token && value.count != size)) {
                return std::format("its key {} isn't what a vocabulary needs", expected.key);
            }
        }
        return {};
    }

    // Sizes that libllama divides by or allocates from before it has compared them with the tensors.
    std::string check_shape() {
        struct Bound {
            const char *suffix;
            std::uint64_t low, high;
        };
        for (const Bound &bound : {Bound{".block_count", 1, 4096}, Bound{".embedding_length", 1, 1 << 20},
                                   Bound{".context_length", 1, 1ULL << 31}, Bound{".attention.head_count", 0, 1 << 16},
                                   Bound{".attention.key_length", 0, 1 << 16}, Bound{".attention.value_length", 0, 1 << 16}}) {
            for (const auto &[key, value] : values_) {
                if (!key.ends_with(bound.suffix) || value.type == GGUF_TYPE_ARRAY) continue;
                if (!value.integer || *value.integer < bound.low || *value.integer > bound.high) {
                    return std::format("its key {} is outside {} to {}", key, bound.low, bound.high);
                }
            }
        }
        for (const auto &[key, value] : values_) {
            if (key.ends_with("_epsilon") && value.type == GGUF_TYPE_FLOAT32 && !(value.real >= 0.0F && value.real <= 1.0F)) {
                return std::format("its key {} is outside 0 to 1", key);
            }
            // Rotation of an odd number of channels, of none, or of more than a head has ends in an endless loop or an abort.
            constexpr std::string_view kRotated = ".rope.dimension_count";
            if (!key.ends_with(kRotated) || value.type == GGUF_TYPE_ARRAY) continue;
            const auto head = values_.find(key.substr(0, key.size() - kRotated.size()) + ".attention.key_length");
            const std::uint64_t limit = head == values_.end() ? 1 << 16 : head->second.integer.value_or(1 << 16);
            const std::uint64_t rotated = value.integer.value_or(0);
            if (rotated == 0 || rotated > limit || rotated % 2 != 0) return std::format("its key {} is invalid", key);
        }
        return {};
    }

    // Layers that the header promises and the file lacks. A split file's part knows only its own tensors.
    std::string check_layers() const {
        if (values_.contains("split.count")) return {};
        for (const auto &[key, value] : values_) {
            if (!key.ends_with(".block_count") || value.integer.value_or(0) == 0) continue;
            const auto has_layer = [this](std::uint64_t layer) {
                const std::string prefix = std::format("blk.{}.", layer);
                const auto found = names_.lower_bound(prefix);
                return found != names_.end() && found->starts_with(prefix);
            };
            if (has_layer(0) && !has_layer(*value.integer - 1))
                return std::format("its key {} promises layers that it lacks", key);
        }
        return {};
    }

    std::string check_tensor(std::uint64_t &end) {
        std::string name;
        std::uint32_t dimensions = 0;
        if (!in_.read_name(name) || !in_.read(dimensions)) return kCutOff;
        if (name.size() >= GGML_MAX_NAME || dimensions > GGML_MAX_DIMS) return kCutOff;
        if (!names_.insert(name).second) return std::format("it has the tensor {} twice", name);
        std::uint64_t elements = 1;
        std::uint64_t columns = 1;
        for (std::uint32_t i = 0; i < dimensions; ++i) {
            std::uint64_t size = 0;
            if (!in_.read(size)) return kCutOff;
            if (size == 0 || size > (1ULL << 40) / elements) return std::format("its tensor {} has an absurd shape", name);
            elements *= size;
            if (i == 0) columns = size;
        }
        std::int32_t type = 0;
        std::uint64_t offset = 0;
        if (!in_.read(type) || !in_.read(offset)) return kCutOff;
        if (type < 0 || type >= GGML_TYPE_COUNT) return std::format("its tensor {} has a type that isn't known", name);
        const auto block = static_cast<std::uint64_t>(ggml_blck_size(static_cast<ggml_type>(type)));
        if (block == 0 || columns % block != 0) return std::format("its tensor {} has a type that doesn't fit its shape", name);
        const std::uint64_t size = elements / block * ggml_type_size(static_cast<ggml_type>(type));
        if (offset % alignment_ != 0 || offset > bytes_ || size > bytes_)
            return std::format("its tensor {} lies outside the file", name);
        end = std::max(end, offset + size);
        return {};
    }

    Reader in_;
    const std::uint64_t bytes_;
    std::uint64_t alignment_ = GGUF_DEFAULT_ALIGNMENT;
    std::map<std::string, Value, std::less<>> values_;
    std::set<std::string, std::less<>> names_;
};

struct CloseFile {
    void operator()(std::FILE *file) const { std::fclose(file); }
};

}  // namespace

Result<void> check_gguf(const std::filesystem::path &path) {
    ENGRAM_ASSIGN(const FileStamp stamp, stamp_file(path));
    const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
    if (file == nullptr) {
        return fail(ErrorCode::io, std::format("can't open the model file {}: {}", path.string(), std::strerror(errno)));
    }
    const std::string wrong = Checker(file.get(), stamp.bytes).check();
    if (!wrong.empty()) {
        return fail(ErrorCode::engine,
                    std::format("{} isn't a whole GGUF file: {}; fetch or convert it again", path.string(), wrong));
    }
    return {};
}

}  // namespace engram
