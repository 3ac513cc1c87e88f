// Named entries in a JSON file that says which servers Engram talks to, as {"mcpServers": {"files": {…}, "search": {…}}}. Texts
// in them may name variables of the environment, ${NAME} or ${NAME:-otherwise}; unknown members are left alone, because other
// programs read such files too.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/error.h"

namespace engram {

using Environment = std::function<std::optional<std::string>(const std::string &name)>;
Environment process_environment();

// One entry. A member that is missing, and one that is null, read as empty. Errors are invalid_argument, and name the place.
class JsonEntry {
  public:
    JsonEntry(std::string_view file, std::string_view group, std::string name, const OrderedJson &json,
              const Environment &environment);

    const std::string &name() const { return name_; }
    // `what` is the sentence's end: "must be a text". Without a member it is about the entry.
    std::unexpected<Error> wrong(std::string_view member, std::string_view what) const;

    bool has(const char *member) const { return find(member) != nullptr; }
    Result<std::string> text(const char *member) const;
    Result<std::vector<std::string>> texts(const char *member) const;
    Result<std::map<std::string, std::string>> text_map(const char *member) const;
    Result<bool> boolean(const char *member) const;
    Result<std::chrono::milliseconds> milliseconds(const char *member,
                                                   std::chrono::milliseconds otherwise) const;  // at most a day

  private:
    const OrderedJson *find(const char *member) const;
    Result<std::string> expanded(const OrderedJson &json, std::string_view member) const;

    const std::string name_;
    const std::string place_;
    const OrderedJson &json_;
    const Environment &environment_;
};

inline constexpr std::size_t kMaxEntriesFileBytes = 1UZ << 20U;

// The whole file. not_found, io, invalid_argument.
Result<std::string> read_entries_file(const std::filesystem::path &file);

// Calls `take` for each entry of `group` that isn't disabled, in the file's order; false: the file has no such group. `file`
// stands in messages. invalid_argument; and what `take` says.
Result<bool> for_each_entry(std::string_view json, std::string_view file, std::string_view group, const Environment &environment,
                            const std::function<Result<void>(const JsonEntry &)> &take);

}  // namespace engram
