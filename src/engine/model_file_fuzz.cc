// Fuzz entry of the reader of models' headers, which stands between a file and libllama: any bytes are accepted or refused with a
// sentence, and nothing is accepted whose end can be cut off.
#include <sys/mman.h>
#include <unistd.h>

#include <format>

#include "core/testing/fuzz.h"
#include "engine/model_file.h"

namespace {

using namespace engram;
using fuzz::require;

bool accepts(std::string_view bytes) {
    const int file = ::memfd_create("model", MFD_CLOEXEC);
    require(file >= 0 && ::write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    const auto checked = check_gguf(std::format("/proc/self/fd/{}", file));
    ::close(file);
    require(checked.has_value() || !checked.error().message.empty());
    return checked.has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view bytes = fuzz::text_of(data, size);
    // A header of 24 bytes says how much there is; what is left of a file without it is none.
    if (accepts(bytes) && size > 0) require(!accepts(bytes.substr(0, 23)));
    return 0;
}
