// The JSON of a part file's header as values. Internal to part_file.cc.
#pragma once

#include <string_view>

#include "store/part_file.h"

namespace engram {

// Types that safetensors has no dtype for (and raw bytes) are stored as U8 rows, with their type and shape in the metadata.
bool part_dtype_is_bytes(KvType type);

// Everything but header_bytes. Duplicate keys, unknown keys, missing keys, nesting that isn't ours, and tensors that overlap,
// leave holes or don't fit their type are `corrupt`. The caller still compares the payload's size with the file's and validates
// the layout.
Result<PartHeader> read_header_json(std::string_view json);

}  // namespace engram
