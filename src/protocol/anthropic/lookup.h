// What a request carries beside its body: its headers, or the parameters behind its path's question mark.
#pragma once

#include <functional>
#include <string_view>

namespace engram::protocol::anthropic {

// The value of the header (name in lower case) or parameter; empty when there is none. The text need live only until the next
// call.
using Lookup = std::function<std::string_view(std::string_view name)>;

}  // namespace engram::protocol::anthropic
