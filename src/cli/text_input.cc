#include "cli/text_input.h"

#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <format>
#include <nlohmann/json.hpp>

#include "config/config_file.h"

namespace engram::cli {

Result<std::string> read_standard_input() {
    std::string text;
    std::array<char, 65536> piece{};
    while (true) {
        const ssize_t n = ::read(STDIN_FILENO, piece.data(), piece.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(ErrorCode::io, std::format("can't read standard input: {}", std::strerror(errno)));
        }
        if (n == 0) {
            break;
        }
        text.append(piece.data(), static_cast<std::size_t>(n));
        if (text.size() > kMaxInputBytes) {
            return fail(ErrorCode::over_budget, std::format("standard input is larger than {} MiB", kMaxInputBytes >> 20));
        }
    }
    if (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

Result<std::string> text_argument(const std::string &argument) {
    if (argument == "-") {
        return read_standard_input();
    }
    if (argument.starts_with("@@")) {
        return argument.substr(1);
    }
    if (argument.starts_with('@')) {
        return read_bounded_file(argument.substr(1), kMaxInputBytes);
    }
    return argument;
}

Result<void> require_text(const std::string &text, std::string_view what) {
    if (text.find('\0') != std::string::npos) {
        return fail(ErrorCode::invalid_argument, std::format("{} holds a zero byte", what));
    }
    try {
        static_cast<void>(nlohmann::json(text).dump());  // its strict encoder is the UTF-8 check
    } catch (const nlohmann::json::exception &) {
        return fail(ErrorCode::invalid_argument, std::format("{} isn't valid UTF-8", what));
    }
    return {};
}

}  // namespace engram::cli
