#include "chat/jinja.h"

#include <array>
#include <cstdint>
#include <ctime>
#include <deque>
#include <format>
#include <minja/minja.hpp>
#include <new>
#include <streambuf>
#include <utility>
#include <vector>

#include "chat/jinja_source.h"
#include "chat/tool_call.h"

// minja/chat-template.hpp isn't used: its constructor prints to stderr, reads the last byte of an empty text, and its
// strftime_now reads the clock.

namespace engram {
namespace {

constexpr std::uint64_t kBaseSteps = 200'000;       // look-ups of variables, range elements and pieces of text put out
constexpr std::uint64_t kStepsPerMessage = 20'000;  // ample: a template looks up tens of names for each message
constexpr std::uint64_t kBaseOutputBytes = 16ULL << 20U;
constexpr std::uint64_t kOutputPerInputByte = 16;  // escaping makes at most six out of one
constexpr std::int64_t kMaxRange = 100'000;
constexpr std::uintptr_t kMaxStackBytes = 256UZ << 10U;  // threads of some systems have 512 KiB

// Thrown through the library. No std::exception on purpose: the library catches those at each level to add the source's lines.
struct LimitExceeded {
    const char *what;
};

struct Budget {
    std::uint64_t steps;
    std::uint64_t output_bytes;
    std::uintptr_t stack_base;

    void step() {
        if (steps == 0) {
            throw LimitExceeded{"takes too many steps"};
        }
        --steps;
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        if ((here < stack_base ? stack_base - here : here - stack_base) > kMaxStackBytes) {
            throw LimitExceeded{"recurses too deeply"};
        }
    }
};

// The outermost variables. Every name that isn't a loop's own is looked up here, and so each step is seen.
class BudgetedContext final : public minja::Context {
  public:
    BudgetedContext(minja::Value &&values, Budget &budget)
        : minja::Context(std::move(values), minja::Context::builtins()), budget_(budget) {}

    minja::Value get(const minja::Value &key) override {
        budget_.step();
        return minja::Context::get(key);
    }
    minja::Value &at(const minja::Value &key) override {
        budget_.step();
        return minja::Context::at(key);
    }
    bool contains(const minja::Value &key) override {
        budget_.step();
        return minja::Context::contains(key);
    }

    // A macro holds the variables that hold it; without this each rendering of a template with macros would leak the messages.
    void forget() {
        for (const minja::Value &key : keys()) {
            set(key, minja::Value());
        }
    }

  private:
    Budget &budget_;
};

// Collects what is put out, up to the budget.
class BoundedOutput final : public std::streambuf {
  public:
    explicit BoundedOutput(Budget &budget) : budget_(budget) {}
    std::string take() { return std::move(text_); }

  protected:
    std::streamsize xsputn(const char *data, std::streamsize size) override {
        budget_.step();
        if (std::cmp_greater(size, budget_.output_bytes - text_.size())) {
            throw LimitExceeded{"puts out too much text"};
        }
        text_.append(data, static_cast<std::size_t>(size));
        return size;
    }
    int_type overflow(int_type c) override {
        if (!traits_type::eq_int_type(c, traits_type::eof())) {
            const char byte = traits_type::to_char_type(c);
            xsputn(&byte, 1);
        }
        return traits_type::not_eof(c);
    }

  private:
    Budget &budget_;
    std::string text_;
};

minja::Value bounded_range(Budget &budget, minja::ArgumentsValue &args) {
    std::array<std::int64_t, 3> bounds = {0, 0, 1};
    args.expectArgs("range", {1, 3}, {0, 0});
    for (std::size_t i = 0; i < args.args.size(); ++i) {
        bounds.at(args.args.size() == 1 ? 1 : i) = args.args[i].get<std::int64_t>();
    }
    const auto [start, end, step] = bounds;
    minja::Value result = minja::Value::array();
    if (step == 0) {
        throw LimitExceeded{"calls range with a step of zero"};
    }
    std::int64_t made = 0;
    std::int64_t i = start;
    while (step > 0 ? i < end : i > end) {
        budget.step();
        if (++made > kMaxRange) {
            throw LimitExceeded{"calls range for too many numbers"};
        }
        result.push_back(minja::Value(i));
        if (__builtin_add_overflow(i, step, &i)) {
            break;
        }
    }
    return result;
}

minja::Value fixed_date(minja::ArgumentsValue &args) {
    args.expectArgs("strftime_now", {1, 1}, {0, 0});
    std::tm date = {};
    date.tm_year = 2024 - 1900;
    date.tm_mon = 6;
    date.tm_mday = 26;
    date.tm_wday = 5;
    date.tm_yday = 207;
    std::array<char, 256> text = {};
    const auto format = args.args[0].get<std::string>();
    const std::size_t size = std::strftime(text.data(), text.size(), format.c_str(), &date);
    return {std::string(text.data(), size)};
}

// Ids of calls and of the results that answer them, in order. They follow from the places of the messages alone: the same when
// the calls themselves are left out of a rendering.
class CallIds {
  public:
    std::string of_call() {
        unanswered_.push_back(next());
        return unanswered_.back();
    }
    std::string of_result() {
        if (unanswered_.empty()) {
            return next();
        }
        std::string id = std::move(unanswered_.front());
        unanswered_.pop_front();
        return id;
    }
    void answer_begins() { unanswered_.clear(); }

  private:
    std::string next() { return std::format("call{:05}", made_++ % 100'000); }  // nine letters and digits, as Mistral's want

    std::deque<std::string> unanswered_;
    std::size_t made_ = 0;
};

Result<json> calls_for_template(std::string_view text, CallIds &ids) {
    ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(text));
    json list = json::array();
    for (const ToolCall &call : calls) {
        list.push_back({{"id", ids.of_call()},
                        {"type", "function"},
                        {"function", {{"name", call.name}, {"arguments", json::parse(call.arguments, nullptr, false)}}}});
    }
    return list;
}

Result<json> messages_for_template(const JinjaInput &input) {
    json messages = json::array();
    CallIds ids;
    for (const JinjaMessage &message : input.messages) {
        const std::string content(message.content);
        json typed = json::array();
        if (input.typed_content) {
            typed.push_back({{"type", "text"}, {"text", content}});
        }
        json entry{{"role", std::string(message.role)}, {"content", input.typed_content ? std::move(typed) : json(content)}};
        if (message.role == "assistant") {
            ids.answer_begins();
        }
        if (!message.thinking.empty()) {
            entry["reasoning_content"] = entry["thinking"] = std::string(message.thinking);
        }
        if (!message.tool_calls.empty()) {
            ENGRAM_ASSIGN(entry["tool_calls"], calls_for_template(message.tool_calls, ids));
        }
        if (message.role == "tool") {
            entry["tool_call_id"] = ids.of_result();
        }
        messages.push_back(std::move(entry));
    }
    return messages;
}

minja::Value variables(const JinjaInput &input, const json &messages, const json &tools, Budget &budget) {
    minja::Value values = minja::Value::object();
    values.set("messages", minja::Value(messages));
    if (!tools.is_null()) {
        values.set("tools", minja::Value(tools));
    }
    values.set("add_generation_prompt", minja::Value(input.add_generation_prompt));
    if (input.thinks) {
        values.set("enable_thinking", minja::Value(*input.thinks));
        values.set("thinking", minja::Value(*input.thinks));
        if (!*input.thinks) values.set("reasoning_effort", minja::Value(std::string("low")));
    }
    values.set("bos_token", minja::Value(std::string(input.bos_token)));
    values.set("eos_token", minja::Value(std::string(input.eos_token)));
    using ContextPointer = std::shared_ptr<minja::Context>;
    values.set("range", minja::Value::callable([&budget](const ContextPointer &, minja::ArgumentsValue &args) {
                   return bounded_range(budget, args);
               }));
    values.set("strftime_now",
               minja::Value::callable([](const ContextPointer &, minja::ArgumentsValue &args) { return fixed_date(args); }));
    return values;
}

// The library's message goes on with the source's lines for each level; the first line says what is wrong and where.
std::string first_line(std::string_view message) {
    constexpr std::size_t kLongest = 300;
    message = message.substr(0, std::min(message.find('\n'), kLongest));
    while (!message.empty() && (message.back() == ':' || message.back() == ' ')) {
        message.remove_suffix(1);
    }
    return std::string(message);
}

// The value of `work`, or whatever it throws as an error.
template <typename Work>
auto guarded(std::string_view doing, Work &&work) -> Result<decltype(work())> {
    try {
        return work();
    } catch (const LimitExceeded &limit) {
        return fail(ErrorCode::invalid_argument, std::format("{}: the chat template {}", doing, limit.what));
    } catch (const std::bad_alloc &) {
        return fail(ErrorCode::invalid_argument, std::format("{}: the chat template needs too much memory", doing));
    } catch (const std::exception &error) {
        return fail(ErrorCode::invalid_argument, std::format("{}: {}", doing, first_line(error.what())));
    }
}

}  // namespace

struct JinjaTemplate::Parsed {
    std::shared_ptr<minja::TemplateNode> root;
};

JinjaTemplate::JinjaTemplate(std::unique_ptr<Parsed> parsed) : parsed_(std::move(parsed)) {}
JinjaTemplate::~JinjaTemplate() = default;
JinjaTemplate::JinjaTemplate(JinjaTemplate &&) noexcept = default;
JinjaTemplate &JinjaTemplate::operator=(JinjaTemplate &&) noexcept = default;

Result<JinjaTemplate> JinjaTemplate::parse(std::string_view source) {
    ENGRAM_ASSIGN(const std::string checked, check_jinja_source(source));
    return guarded("the chat template can't be parsed", [&] {
        const minja::Options options = {.trim_blocks = true, .lstrip_blocks = true, .keep_trailing_newline = false};
        return JinjaTemplate(std::make_unique<Parsed>(minja::Parser::parse(checked, options)));
    });
}

Result<std::string> JinjaTemplate::render(const JinjaInput &input) const {
    std::uint64_t input_bytes = input.tools.size();
    for (const JinjaMessage &message : input.messages) {
        input_bytes += message.content.size() + message.role.size() + message.tool_calls.size() + message.thinking.size();
    }
    ENGRAM_ASSIGN(const json messages, messages_for_template(input));
    json tools;
    if (!input.tools.empty()) {
        ENGRAM_ASSIGN(const std::string checked, checked_tools(input.tools));
        tools = json::parse(checked, nullptr, false);
    }
    Budget budget = {
        .steps = kBaseSteps + kStepsPerMessage * (input.messages.size() + tools.size()),
        .output_bytes = kBaseOutputBytes + kOutputPerInputByte * input_bytes,
        .stack_base = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)),
    };
    return guarded("the conversation can't be rendered", [&] {
        const auto context = std::make_shared<BudgetedContext>(variables(input, messages, tools, budget), budget);
        struct Forget {
            BudgetedContext &context;
            ~Forget() { context.forget(); }
        } const forget{*context};
        BoundedOutput output(budget);
        std::ostringstream stream;
        static_cast<std::ios &>(stream).rdbuf(&output);
        stream.exceptions(std::ios::badbit);  // so that the budget's exception isn't swallowed by the stream
        parsed_->root->render(stream, context);
        return output.take();
    });
}

}  // namespace engram
