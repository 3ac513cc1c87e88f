// What reading a definition is made of: members by name with their types, and complaints that are collected instead of ending the
// reading. Internal to parse_definition. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <format>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workflow/expression.h"
#include "workflow/yaml.h"

namespace engram::workflow {

class Complaints {
  public:
    explicit Complaints(std::string_view file) : file_(file) {}

    void add(int line, std::string_view sentence);
    bool empty() const { return lines_.empty(); }
    Error error() const;  // all, by line; the first hundred

  private:
    std::string file_;
    std::vector<std::pair<int, std::string>> lines_;
};

// A map's members. What is missing, or of the wrong type, reads as absent; the latter, and members that aren't known, are
// complained about. `what` names the map in sentences: "node technical".
class MapReader {
  public:
    MapReader(const YamlValue &map, std::string what, Complaints &complaints)
        : map_(map), what_(std::move(what)), complaints_(complaints) {}

    // false, with a complaint, when it isn't a map.
    bool only(std::initializer_list<std::string_view> known) const;

    const YamlValue *find(std::string_view key) const;  // null, where it is absent or null
    bool has(std::string_view key) const { return find(key) != nullptr; }
    int line_of(std::string_view key) const;  // of the map, where it isn't there

    std::optional<std::string> text(std::string_view key) const;
    std::vector<std::string> texts(std::string_view key) const;
    std::optional<std::int64_t> whole(std::string_view key, std::int64_t least, std::int64_t most) const;
    std::optional<double> number(std::string_view key, double least, double most) const;
    std::optional<std::chrono::milliseconds> time(std::string_view key) const;
    std::optional<Expression> expression(std::string_view key) const;
    std::optional<Template> text_template(std::string_view key) const;

    void complain(int line, std::string_view sentence) const { complaints_.add(line, std::format("{}: {}", what_, sentence)); }
    void wrong(std::string_view key, std::string_view must) const;

  private:
    const YamlValue &map_;
    const std::string what_;
    Complaints &complaints_;
};

// 500ms, 30s, 10m, 2h; more than nothing and at most 30 days.
std::optional<std::chrono::milliseconds> time_of(std::string_view text);

// Begins with a letter, goes on with letters, digits, '_' and '-'; at most 48 characters.
bool is_name(std::string_view text);

}  // namespace engram::workflow
