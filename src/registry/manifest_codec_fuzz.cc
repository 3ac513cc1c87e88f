// Fuzz entry of the manifest decoder: any bytes give a manifest or an error; a manifest that was read encodes to the same bytes.
// Linked to a fuzzer, or driven by manifest_codec_test.cc.
#include <algorithm>
#include <cstdlib>

#include "registry/manifest_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto manifest = engram::decode_manifest(bytes);
    if (!manifest) return 0;
    const auto again = engram::encode_manifest(*manifest);
    if (!again || !std::ranges::equal(*again, bytes)) std::abort();
    return 0;
}
