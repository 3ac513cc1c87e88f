#include "store/testing/samples.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <format>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace engram::testing {

namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "engram-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("can't make a temporary folder");
    path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

Fingerprint sample_fingerprint() {
    Fingerprint fingerprint;
    fingerprint.bytes.fill(0x5A);
    return fingerprint;
}

std::vector<SegmentIdentity> sample_chain(std::uint32_t seed, std::size_t n_tokens, std::uint32_t block_tokens,
                                          std::string_view tenant) {
    std::vector<SegmentIdentity> chain;
    BlockId parent = chain_root(tenant, sample_fingerprint(), block_tokens);
    for (std::size_t first = 0; first < n_tokens; first += block_tokens) {
        SegmentIdentity segment;
        segment.parent = parent;
        segment.fingerprint = sample_fingerprint();
        segment.first_position = static_cast<Position>(first);
        for (std::size_t i = first; i < std::min<std::size_t>(n_tokens, first + block_tokens); ++i) {
            segment.tokens.push_back(static_cast<Token>(seed * 1000 + i));
        }
        segment.id = chain_next(parent, segment.tokens);
        parent = segment.id;
        chain.push_back(std::move(segment));
    }
    return chain;
}

std::shared_ptr<const PartLayout> sample_layout(const Shape &shape) {
    auto layout = std::make_shared<PartLayout>();
    layout->kind = shape.kind;
    layout->rows = shape.rows;
    constexpr std::size_t kGap = 24;
    const std::string_view family = shape.kind == PartKind::attention ? "attn" : shape.kind == PartKind::window ? "swa" : "rec";
    std::size_t next = kGap;
    for (std::uint32_t i = 0; i < shape.layers; ++i) {
        for (const char role : {'k', 'v'}) {
            PartTensor tensor{.name = std::format("{}.{}.{}", family, i, role),
                              .type = shape.type,
                              .rows = shape.rows,
                              .heads = shape.heads,
                              .head_dim = shape.head_dim,
                              .offset = next,
                              .row_bytes = kv_type_bytes(shape.type, shape.heads * shape.head_dim)};
            next += tensor.bytes() + kGap;
            layout->tensors.push_back(std::move(tensor));
        }
    }
    layout->image_bytes = next;
    return layout;
}

namespace {

PartImage filled_image(const Shape &shape, Position first_position, int value) {
    PartImage image{.layout = sample_layout(shape), .first_position = first_position, .buffer = nullptr};
    image.buffer = std::make_shared<std::byte[]>(image.layout->image_bytes);
    std::memset(image.buffer.get(), value, image.layout->image_bytes);
    return image;
}

}  // namespace

PartImage sample_image(const Shape &shape, Position first_position, std::uint64_t seed) {
    PartImage image = filled_image(shape, first_position, 0xEE);
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < image.layout->tensors.size(); ++i) {
        for (std::byte &byte : image.tensor(i)) byte = static_cast<std::byte>(random());
    }
    return image;
}

PartImage empty_image(const Shape &shape, Position first_position) { return filled_image(shape, first_position, 0xAA); }

bool rows_equal(const PartImage &image, std::uint32_t row, const PartImage &expected) {
    if (image.layout->tensors.size() != expected.layout->tensors.size()) return false;
    std::size_t gap = 0;
    for (std::size_t i = 0; i < image.layout->tensors.size(); ++i) {
        const PartTensor &tensor = image.layout->tensors[i];
        for (; gap < tensor.offset; ++gap) {
            if (image.buffer[gap] != std::byte{0xAA}) return false;
        }
        gap = tensor.offset + tensor.bytes();
        const auto want = expected.tensor(i);
        if (std::memcmp(image.tensor(i).data() + row * tensor.row_bytes, want.data(), want.size()) != 0) return false;
    }
    return true;
}

PutRequest sample_put(const SegmentIdentity &segment, const std::string &claimant, Shape shape) {
    if (shape.kind != PartKind::state) shape.rows = static_cast<std::uint32_t>(segment.tokens.size());
    std::uint64_t seed = 0;
    std::memcpy(&seed, segment.id.bytes.data(), sizeof seed);
    PutRequest request{.segment = segment,
                       .image = sample_image(shape, segment.first_position, seed + static_cast<std::uint64_t>(shape.kind)),
                       .claimant = claimant,
                       .tenant = claimant.substr(0, claimant.find('/'))};
    return request;
}

std::vector<std::byte> read_bytes(const fs::path &path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::byte> bytes(text.size());
    std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
}

void write_bytes(const fs::path &path, std::span<const std::byte> bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace engram::testing
