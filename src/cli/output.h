// Where a command's words go: facts to standard output (as text, or with --json as one JSON value), everything else to standard
// error.
//
// With --json, standard output holds exactly one JSON value (chat: one for each line), an error as {"error":{"code","message"}};
// a sentence about an error goes to standard error in either case. Colours and progress bars appear only on a terminal, and
// colours not when NO_COLOR is set or TERM is dumb. Used by one thread at a time, but for Progress and TurnView, which say so.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/exit_codes.h"
#include "engram/error.h"

namespace engram::cli {

using Json = nlohmann::ordered_json;

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error, off };
LogLevel log_level_from_name(std::string_view name);  // one of the setting's choices

enum class Style : std::uint8_t { plain, dim, bold, green, yellow, red };

class Output {
  public:
    explicit Output(bool json);

    bool json() const { return json_; }
    void set_log_level(LogLevel level) { level_ = level; }
    LogLevel log_level() const { return level_; }
    bool terminal_in() const { return terminal_in_; }
    bool terminal_out() const { return terminal_out_; }
    bool terminal_error() const { return terminal_error_; }
    bool color_out() const { return color_out_; }

    void print(std::string_view text) const;   // to standard output, as it is
    void print_json(const Json &value) const;  // pretty on a terminal, one line in a pipe
    // Facts: the JSON with --json, else the text (a line break is added when it ends without one).
    void facts(const Json &value, std::string_view text) const;
    void say(LogLevel level, std::string_view sentence) const;     // to standard error, when the level asks for it
    ExitCode report(const Error &error) const;                     // prints it, returns its exit code
    std::string styled(std::string_view text, Style style) const;  // for standard output

  private:
    bool json_ = false;
    LogLevel level_ = LogLevel::warn;
    bool terminal_in_ = false, terminal_out_ = false, terminal_error_ = false;
    bool color_out_ = false, color_error_ = false;
};

// Serialised text; bytes that aren't UTF-8 become U+FFFD.
std::string json_text(const Json &value, bool pretty);

}  // namespace engram::cli
