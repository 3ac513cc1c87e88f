// Segments, images and folders for tests of the store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "core/kv_part.h"
#include "store/block_store.h"

namespace engram::testing {

// A folder of its own under the system's temporary one, removed with everything in it at the end.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    const std::filesystem::path &path() const { return path_; }

  private:
    std::filesystem::path path_;
};

Fingerprint sample_fingerprint();

// The segments of a sequence of `n_tokens` tokens made from `seed`, cut into blocks; the last one may be a tail.
std::vector<SegmentIdentity> sample_chain(std::uint32_t seed, std::size_t n_tokens, std::uint32_t block_tokens = 32,
                                          std::string_view tenant = "default");

struct Shape {
    PartKind kind = PartKind::attention;
    KvType type = KvType::f16;
    std::uint32_t rows = 32;
    std::uint32_t layers = 2;
    std::uint64_t heads = 2;
    std::uint64_t head_dim = 32;
};

// Tensors with gaps between them, as in the engine's images (counts and positions lie there).
std::shared_ptr<const PartLayout> sample_layout(const Shape &shape);

// Bytes from `seed` in the tensors, 0xEE in the gaps.
PartImage sample_image(const Shape &shape, Position first_position, std::uint64_t seed);
// All bytes 0xAA: what wasn't written shows.
PartImage empty_image(const Shape &shape, Position first_position);

// Are `rows` rows from `row` on of every tensor of `image` those of `expected`, and have the gaps been left alone?
bool rows_equal(const PartImage &image, std::uint32_t row, const PartImage &expected);

// A put of a whole segment's part: its content follows from its id.
PutRequest sample_put(const SegmentIdentity &segment, const std::string &claimant, Shape shape = {});

std::vector<std::byte> read_bytes(const std::filesystem::path &path);
void write_bytes(const std::filesystem::path &path, std::span<const std::byte> bytes);

}  // namespace engram::testing
