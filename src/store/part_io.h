// Parts between images and files: gather and scatter, checksums on the way, lossy conversion. No names, no folders, no budgets.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/kv_part.h"
#include "ports/file_system.h"
#include "store/block_store.h"
#include "store/part_file.h"

namespace engram {

// A file ready to be written: its pieces point into the image, except for tensors that were converted.
struct EncodedPart {
    std::vector<iovec> pieces;
    std::uint64_t bytes = 0;

    std::string header;                                   // owned by this
    std::vector<std::unique_ptr<std::byte[]>> converted;  // owned by this
    PartImage image;                                      // keeps the gathered rows alive
};

// With `stored_type`, attention and window tensors are converted where the codec can; others stay exact.
Result<EncodedPart> encode_part(const PutRequest &request, std::optional<KvType> stored_type, const TensorCodec *codec);

// Opens nothing: reads and verifies the header of an open file.
Result<PartHeader> read_part_header(ReadableFile &file);
// The same, of the file that bears this part's name: corrupt when the file holds another part.
Result<PartHeader> read_part_header(ReadableFile &file, const PartKey &key);

// Where a part's rows go.
struct ScatterTarget {
    PartImage *image = nullptr;
    std::uint32_t row = 0;  // row 0 of the part goes there
};

// Same tensors in the same order (names, heads, head_dim; types before lossy storage), and room for the rows? `incompatible`
// otherwise.
Result<void> match_target(const PartLayout &part, std::span<const KvType> source_types, const ScatterTarget &target);

// Reads the payload into the target's rows and verifies its checksum, each piece right after it was read, while the processor
// still has it in its cache. Requires match_target(). `corrupt` when the checksum differs: what is in the target's rows is then
// garbage.
Result<void> read_part_payload(ReadableFile &file, const PartHeader &header, const ScatterTarget &target,
                               const TensorCodec *codec);

// The same without a target: only verifies.
Result<void> verify_part_payload(ReadableFile &file, const PartHeader &header);

// Copies the rows of an image in memory. Requires match_target().
void copy_rows(const PartImage &from, const ScatterTarget &target);

}  // namespace engram
