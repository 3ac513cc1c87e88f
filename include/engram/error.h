// Errors as values.
//
// Every fallible call of libengram returns Result<T>: the value, or an Error whose message is a sentence that a user can
// act on (what was wrong, where, what to do). Nothing is thrown across a public function; exceptions of a library are
// caught where that library is called. A miss (no such block in a tier) is a value, not an error.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace engram {

enum class ErrorCode : std::uint8_t {
    invalid_argument,  // the caller's input is wrong; the same call fails again
    not_found,         // no agent, model or file of that name
    already_exists,    // the name is taken
    corrupt,           // stored bytes don't match their checksum, tokens or format; they are never used
    incompatible,      // whole, but made by another model, adapter, KV type or format version
    over_budget,       // a byte budget or a queue is full
    too_long,          // the prompt has more tokens than the context
    io,                // the file system refused: no space, read-only, not permitted, device error
    locked,            // somebody else holds it: another process the store, requests the model
    cancelled,         // the caller's stop token was triggered
    unsupported,       // this model or build can't do it
    engine,            // libllama refused or failed
    internal,          // a bug of ours; please report
};

// The library's version, "0.1.0".
std::string_view version();

// The code's name as it stands above ("invalid_argument", ...).
std::string_view error_code_name(ErrorCode code);

struct [[nodiscard]] Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;
    // Of too_long: the prompt's tokens, and the most that fit.
    std::uint64_t asked = 0, limit = 0;

    // The same error with `context` and ": " put before its message, for callers that know more about the where.
    Error within(std::string_view context) && {
        std::string text(context);
        text += ": ";
        text += message;
        return Error{.code = code, .message = std::move(text), .asked = asked, .limit = limit};
    }
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
    return std::unexpected(Error{.code = code, .message = std::move(message)});
}

}  // namespace engram

// Returns the error of `expression` (a Result<void>) from the calling function.
#define ENGRAM_TRY(expression)                                               \
    do {                                                                     \
        if (auto engram_result = (expression); !engram_result.has_value()) { \
            return std::unexpected(std::move(engram_result.error()));        \
        }                                                                    \
    } while (false)

#define ENGRAM_CONCAT_INNER(a, b) a##b
#define ENGRAM_CONCAT(a, b) ENGRAM_CONCAT_INNER(a, b)

// Declares `declaration` from the value of `expression` (a Result<T>), or returns its error from the calling function.
#define ENGRAM_ASSIGN(declaration, expression)                                             \
    auto ENGRAM_CONCAT(engram_value_, __LINE__) = (expression);                            \
    if (!ENGRAM_CONCAT(engram_value_, __LINE__).has_value()) {                             \
        return std::unexpected(std::move(ENGRAM_CONCAT(engram_value_, __LINE__).error())); \
    }                                                                                      \
    declaration = std::move(*ENGRAM_CONCAT(engram_value_, __LINE__))
