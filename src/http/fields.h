// Header fields.
#pragma once

#include <string_view>

namespace engram::http {

// Names of fields are equal in any case.
bool same_name(std::string_view a, std::string_view b);

}  // namespace engram::http
