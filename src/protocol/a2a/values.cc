#include "protocol/a2a/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <format>

namespace engram::protocol::a2a {
namespace {

struct StateNames {
    TaskState state;
    std::string_view v1_0, v0_3;
};
constexpr auto kStates = std::to_array<StateNames>({
    {TaskState::submitted, "TASK_STATE_SUBMITTED", "submitted"},
    {TaskState::working, "TASK_STATE_WORKING", "working"},
    {TaskState::completed, "TASK_STATE_COMPLETED", "completed"},
    {TaskState::failed, "TASK_STATE_FAILED", "failed"},
    {TaskState::canceled, "TASK_STATE_CANCELED", "canceled"},
    {TaskState::input_required, "TASK_STATE_INPUT_REQUIRED", "input-required"},
    {TaskState::rejected, "TASK_STATE_REJECTED", "rejected"},
    {TaskState::auth_required, "TASK_STATE_AUTH_REQUIRED", "auth-required"},
});

constexpr int kMaxYear = 9999;

// The number that `text` begins with, of exactly so many digits, which are taken off.
std::optional<int> digits(std::string_view &text, std::size_t count) {
    if (text.size() < count) return std::nullopt;
    const std::string_view number = text.substr(0, count);
    if (!std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    int value = 0;
    std::from_chars(number.data(), number.data() + number.size(), value);
    text.remove_prefix(count);
    return value;
}

bool skip(std::string_view &text, char c) {
    if (!text.starts_with(c)) return false;
    text.remove_prefix(1);
    return true;
}

// Milliseconds of ".5", ".123456789"; 0 where there is no fraction.
std::optional<int> fraction_ms(std::string_view &text) {
    if (!skip(text, '.')) return 0;
    const std::size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    if (end == 0 || end > 9) return std::nullopt;
    std::string padded(text.substr(0, std::min<std::size_t>(end, 3)));
    padded.resize(3, '0');
    text.remove_prefix(end);
    std::string_view rest = padded;
    return digits(rest, 3);
}

}  // namespace

bool is_terminal(TaskState state) {
    return state == TaskState::completed || state == TaskState::failed || state == TaskState::canceled ||
           state == TaskState::rejected;
}

bool is_interrupted(TaskState state) { return state == TaskState::input_required || state == TaskState::auth_required; }

std::string_view state_name(TaskState state, WireVersion dialect) {
    const auto found = std::ranges::find(kStates, state, &StateNames::state);
    return dialect == WireVersion::v1_0 ? found->v1_0 : found->v0_3;
}

std::optional<TaskState> state_from_name(std::string_view name, WireVersion dialect) {
    const auto names = dialect == WireVersion::v1_0 ? &StateNames::v1_0 : &StateNames::v0_3;
    const auto found = std::ranges::find(kStates, name, names);
    if (found == kStates.end()) return std::nullopt;
    return found->state;
}

std::string timestamp(std::int64_t time_ms) {
    const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(time_ms)};
    return std::format("{:%FT%T}Z", time);
}

std::optional<std::int64_t> time_from(std::string_view text) {
    using namespace std::chrono;
    const auto year_number = digits(text, 4);
    if (!year_number || *year_number > kMaxYear || !skip(text, '-')) return std::nullopt;
    const auto month_number = digits(text, 2);
    if (!month_number || !skip(text, '-')) return std::nullopt;
    const auto day_number = digits(text, 2);
    if (!day_number || !(skip(text, 'T') || skip(text, 't'))) return std::nullopt;
    const year_month_day date{year(*year_number), month(static_cast<unsigned>(*month_number)),
                              day(static_cast<unsigned>(*day_number))};
    const auto hour = digits(text, 2);
    if (!date.ok() || !hour || *hour > 23 || !skip(text, ':')) return std::nullopt;
    const auto minute = digits(text, 2);
    if (!minute || *minute > 59 || !skip(text, ':')) return std::nullopt;
    const auto second = digits(text, 2);
    if (!second || *second > 60) return std::nullopt;
    const auto fraction = fraction_ms(text);
    if (!fraction || !(skip(text, 'Z') || skip(text, 'z')) || !text.empty()) return std::nullopt;
    const auto time = sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second) + milliseconds(*fraction);
    return duration_cast<milliseconds>(time.time_since_epoch()).count();
}

}  // namespace engram::protocol::a2a
