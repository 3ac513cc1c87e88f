// Texts made from the settings' table.
#pragma once

#include <string>

namespace engram::cli {

std::string settings_text();    // for `engram help settings`
std::string config_template();  // a TOML file in which every setting stands with its default, commented out

}  // namespace engram::cli
