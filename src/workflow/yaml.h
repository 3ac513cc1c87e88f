// A YAML document as plain values that know their lines. Foreign text: its size, depth and number of values are bounded, and what
// a definition doesn't need (anchors, aliases, tags, several documents) is refused. Pure; the only place that knows yaml-cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/error.h"

namespace engram::workflow {

struct YamlMember;

struct YamlValue {
    enum class Kind : std::uint8_t { null, scalar, list, map };
    Kind kind = Kind::null;
    int line = 1;         // from 1
    bool quoted = false;  // a scalar that is text whatever it looks like
    std::string text;     // of a scalar
    std::vector<YamlValue> items;
    std::vector<YamlMember> members;  // of a map, in their order; no key stands twice

    const YamlValue *find(std::string_view key) const;  // of a map; null: not there
};

struct YamlMember {
    std::string key;
    int line = 1;
    YamlValue value;
};

std::string_view yaml_kind_name(YamlValue::Kind kind);  // "nothing", "a text or number", "a list", "a map"

inline constexpr std::size_t kMaxYamlBytes = 256UZ << 10U;
inline constexpr std::size_t kMaxYamlDepth = 32;
inline constexpr std::size_t kMaxYamlValues = 20'000;

// invalid_argument: "NAME:LINE: …".
Result<YamlValue> parse_yaml(std::string_view text, std::string_view name);

// As JSON: what isn't quoted and looks like a number, a truth value or null is one.
OrderedJson yaml_json(const YamlValue &value);

}  // namespace engram::workflow
