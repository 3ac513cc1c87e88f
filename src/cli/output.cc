#include "cli/output.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <format>

#include "cli/humanise.h"

namespace engram::cli {
namespace {

constexpr std::array<std::string_view, 6> kLevelNames{"trace", "debug", "info", "warn", "error", "off"};

bool colors_wanted() {
    const char *no_color = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): before any thread is started
    const char *terminal = std::getenv("TERM");      // NOLINT(concurrency-mt-unsafe)
    return (no_color == nullptr || *no_color == '\0') && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

std::string paint(std::string_view text, Style style) {
    constexpr std::array<std::string_view, 6> kCodes{"0", "2", "1", "32", "33", "31"};
    return std::format("\033[{}m{}\033[0m", kCodes.at(static_cast<std::size_t>(style)), text);
}

}  // namespace

LogLevel log_level_from_name(std::string_view name) {
    const auto *found = std::ranges::find(kLevelNames, name);
    return static_cast<LogLevel>(found - kLevelNames.begin());
}

Output::Output(bool json)
    : json_(json),
      terminal_in_(::isatty(STDIN_FILENO) == 1),
      terminal_out_(::isatty(STDOUT_FILENO) == 1),
      terminal_error_(::isatty(STDERR_FILENO) == 1),
      color_out_(terminal_out_ && colors_wanted()),
      color_error_(terminal_error_ && colors_wanted()) {}

void Output::print(std::string_view text) const {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void Output::print_json(const Json &value) const { print(json_text(value, terminal_out_) + "\n"); }

void Output::facts(const Json &value, std::string_view text) const {
    if (json_) {
        print_json(value);
        return;
    }
    print(text);
    if (!text.empty() && !text.ends_with('\n')) {
        print("\n");
    }
}

void Output::say(LogLevel level, std::string_view sentence) const {
    if (level < level_) {
        return;
    }
    std::string label;
    if (level >= LogLevel::warn) {
        label = level == LogLevel::warn ? "warning:" : "error:";
        label = (color_error_ ? paint(label, level == LogLevel::warn ? Style::yellow : Style::red) : label) + " ";
    }
    const std::string line = std::format("engram: {}{}\n", label, printable(sentence));
    std::fwrite(line.data(), 1, line.size(), stderr);
}

ExitCode Output::report(const Error &error) const {
    if (json_) {
        print_json({{"error", {{"code", error_code_name(error.code)}, {"message", error.message}}}});
    }
    const std::string label = color_error_ ? paint("error:", Style::red) : "error:";
    const std::string line = std::format("engram: {} {}\n", label, printable(error.message));
    std::fwrite(line.data(), 1, line.size(), stderr);
    return exit_code_of(error.code);
}

std::string Output::styled(std::string_view text, Style style) const {
    return color_out_ && style != Style::plain ? paint(text, style) : std::string(text);
}

std::string json_text(const Json &value, bool pretty) {
    return value.dump(pretty ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace engram::cli
