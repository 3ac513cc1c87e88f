// Fuzz entry of the agent file's reader: any bytes give an agent or an error, also where their checksums are right; what was read
// is read again from what is written of it. Linked to a fuzzer, or driven by agent_file_test.cc.
#include <cstdlib>

#include "agents/agent_file_samples.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    using namespace engram;
    const auto raw = std::as_bytes(std::span(data, size));
    Bytes bytes(raw.begin(), raw.end());
    (void)read_sample(bytes);
    reseal(bytes);
    const auto sample = read_sample(bytes);
    if (!sample) return 0;
    const auto again = read_sample(bytes_of_sample(*sample));
    if (!again || !same(*again, *sample)) std::abort();
    return 0;
}
