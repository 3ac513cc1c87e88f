// Numbers between bounds, as expressions of a grammar (gbnf.h). Pure.
#pragma once

#include <optional>
#include <string>

namespace engram {

struct NumberBounds {
    std::optional<double> least, most;
    bool above_least = false;  // `least` itself is not meant
    bool below_most = false;   // nor `most`
};

// Whole numbers of up to 15 digits, which every reader of JSON keeps exactly. Empty: there is none.
std::string gbnf_integer(const NumberBounds &bounds);

// Numbers of up to 15 digits before the point and 15 after it (6 where there are bounds). Empty: there is none.
std::string gbnf_number(const NumberBounds &bounds);

}  // namespace engram
