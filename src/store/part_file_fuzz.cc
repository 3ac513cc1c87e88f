// libFuzzer's entry for the parser of part files; part_file_test.cc drives it as well, so that it runs in every build.
#include <cstring>
#include <string>
#include <vector>

#include "core/testing/fuzz.h"
#include "store/part_file.h"

namespace {

using engram::fuzz::require;

// What the parser accepts must be what the encoder can write, or an identity could be read that nobody wrote.
void check_accepted(const engram::PartHeader &header, std::span<const std::byte> file) {
    require(engram::validate_layout(header.layout).has_value());
    require(header.file_bytes() == file.size());
    require(!header.segment.tokens.empty());
    engram::PartHeader copy = header;
    const engram::Result<std::string> encoded = engram::encode_part_header(copy);
    require(encoded.has_value());
    std::vector<std::byte> again(file.begin(), file.end());
    again.resize(encoded->size() + header.layout.image_bytes);
    std::memcpy(again.data(), encoded->data(), encoded->size());
    const auto parsed = engram::parse_part_header(again, again.size());
    require(parsed.has_value() && parsed->segment.tokens == header.segment.tokens && parsed->segment.id == header.segment.id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    std::vector<std::byte> file(size);
    if (size > 0) std::memcpy(file.data(), data, size);
    if (const auto header = engram::parse_part_header(file, file.size()); header.has_value()) check_accepted(*header, file);
    // Behind the checksum as well: with the right one put in, whatever the other bytes are.
    if (const auto length = engram::part_header_bytes(file, file.size()); length.has_value()) {
        engram::seal_part_header({reinterpret_cast<char *>(file.data()), *length});
        if (const auto header = engram::parse_part_header(file, file.size()); header.has_value()) check_accepted(*header, file);
    }
    return 0;
}
