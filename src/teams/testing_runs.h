// What the tests of runs share: grammars by which a model of random weights says or calls what a test wants, and ends its turn.
#pragma once

#include <string>
#include <vector>

namespace engram::testing {

inline std::string saying(const std::string &text) { return "root ::= \"" + text + "\""; }

// `calls`: as models write them, {"name": …, "arguments": {…}}.
inline std::string calling(const std::vector<std::string> &calls) {
    std::string text;
    for (const std::string &call : calls) {
        text += "<tool_call>";
        for (const char c : call) text += c == '"' ? "\\\"" : std::string(1, c);
        text += "</tool_call>";
    }
    return saying(text);
}

}  // namespace engram::testing
