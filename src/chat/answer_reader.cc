#include "chat/answer_reader.h"

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "chat/answer_text.h"
#include "chat/bounded_json.h"
#include "chat/json_grammar.h"
#include "chat/json_schema.h"

namespace engram {

using namespace answer_text;

namespace {

constexpr std::string_view kMessage = "<|message|>";

}  // namespace

AnswerReader::AnswerReader(AnswerStyle style, std::span<const ChatTool> tools, bool thinking)
    : style_(std::move(style)), openings_(style_.call_openings()) {
    for (const ChatTool &tool : tools) {
        tools_.insert(tool.name);
        auto schema = parse_bounded_json(tool.parameters, kMaxCallBytes);
        if (!schema) continue;  // then nothing is known of its parameters
        const SchemaDocument document(*schema);
        const auto plain = document.flat(*schema);
        if (!plain || !plain->is_object()) continue;
        const OrderedJson listed = plain->value("properties", OrderedJson::object());
        for (const auto &[name, parameter] : listed.items()) {
            const auto flat = document.flat(parameter);
            if (flat && allows_only_texts(*flat)) text_parameters_[tool.name].insert(name);
        }
    }
    if (style_.form == CallForm::harmony) {
        mode_ = thinking ? Mode::body : Mode::header;
        body_ = AnswerPart::Kind::thinking;
    } else if (thinking) {
        mode_ = Mode::thinking;
    }
}

std::vector<AnswerPart> AnswerReader::add(std::string_view text) {
    buffer_ += text;
    while (step(false)) {
    }
    return std::exchange(parts_, {});
}

std::vector<AnswerPart> AnswerReader::finish() {
    while (step(true)) {
    }
    const bool in_call = mode_ == Mode::arguments || mode_ == Mode::parameters || mode_ == Mode::value;
    if (mode_ == Mode::value && !streams_) add_arguments(json_of(buffer_));
    if (in_call) end_call(false);
    if (calls_ == 0 && !structure_) give(AnswerPart::Kind::text, std::exchange(space_, {}));
    return std::exchange(parts_, {});
}

// One step further in the buffer; false: more text is needed.
bool AnswerReader::step(bool last) {
    switch (mode_) {
        case Mode::text: return step_text(last);
        case Mode::thinking: return step_thinking(last);
        case Mode::head: return step_head(last);
        case Mode::arguments: return step_arguments();
        case Mode::object_end: return step_object_end();
        case Mode::parameters: return step_parameters(last);
        case Mode::value: return step_value(last);
        case Mode::after: return step_after(last);
        case Mode::header: return step_header(last);
        case Mode::body: return step_body(last);
    }
    return false;
}

// --- what is given ---

void AnswerReader::give(AnswerPart::Kind kind, std::string_view text) {
    if (text.empty()) return;
    if (!parts_.empty() && parts_.back().kind == kind) {
        parts_.back().text += text;
    } else {
        parts_.push_back({.kind = kind, .text = std::string(text)});
    }
}

void AnswerReader::say(std::string_view text) {
    const std::size_t begin = spaces(text);
    if (begin == text.size()) {
        space_ += text;
        return;
    }
    const std::size_t end = text.find_last_not_of(kSpace) + 1;
    space_ += text.substr(0, begin);
    if (structure_) space_ = said_ ? "\n" : "";  // what is said around calls stands on lines of its own
    give(AnswerPart::Kind::text, space_);
    give(AnswerPart::Kind::text, text.substr(begin, end - begin));
    space_ = text.substr(end);
    said_ = true;
    structure_ = false;
}

void AnswerReader::think(std::string_view text) {
    structure_ = true;
    const std::size_t begin = spaces(text);
    if (begin == text.size()) {
        if (thought_) thought_space_ += text;
        return;
    }
    const std::size_t end = text.find_last_not_of(kSpace) + 1;
    give(AnswerPart::Kind::thinking, thought_ ? thought_space_ : std::string());
    give(AnswerPart::Kind::thinking, text.substr(thought_ ? 0 : begin, end - (thought_ ? 0 : begin)));
    thought_space_ = text.substr(end);
    thought_ = true;
}

void AnswerReader::not_a_call(std::string_view why) {
    if (!bare_ && malformed_.empty()) malformed_ = std::format("the answer's tool call is malformed: {}", why);
    bare_ = in_list_ = false;
    mode_ = Mode::text;
    say(std::exchange(mark_, {}));
}

void AnswerReader::begin_call(std::string_view name) {
    name_ = name;
    arguments_.clear();
    space_.clear();
    structure_ = true;
    ++calls_;
    mark_.clear();
    parts_.push_back({.kind = AnswerPart::Kind::call_begin, .text = name_});
}

void AnswerReader::add_arguments(std::string_view text) {
    arguments_ += text;
    give(AnswerPart::Kind::call_arguments, text);
}

void AnswerReader::end_call(bool whole) {
    if (whole) {
        const auto read = parse_bounded_json(arguments_, kMaxCallBytes);
        std::string why = read ? "its arguments are no object" : read.error().message;
        whole = read.has_value() && read->is_object();
        // A message keeps it within a list (tool_call.h), which must be readable for as long as the agent lives.
        const ToolCall call{.name = name_, .arguments = arguments_};
        if (whole && !parse_tool_calls(tool_calls_json(std::span(&call, 1)))) {
            whole = false;
            why = "its arguments are nested too deeply, or too large";
        }
        if (!whole && malformed_.empty()) malformed_ = std::format("the answer's tool call is malformed: {}", why);
    } else if (malformed_.empty()) {
        malformed_ = "the answer's tool call is malformed: it breaks off";
    }
    parts_.push_back({.kind = AnswerPart::Kind::call_end, .text = {}, .whole = whole});
}

std::size_t AnswerReader::skip_space() {
    drop(spaces(buffer_));
    return buffer_.size();
}

// How much of the buffer's end may be the beginning of a mark.
std::size_t AnswerReader::held_back(std::span<const std::string> marks, bool last) const {
    if (last) return 0;
    std::size_t most = 0;
    for (const std::string &mark : marks) {
        for (std::size_t size = std::min(mark.size() - 1, buffer_.size()); size > most; --size) {
            if (std::string_view(buffer_).ends_with(std::string_view(mark).substr(0, size))) most = size;
        }
    }
    return most;
}

// --- text and thinking ---

bool AnswerReader::step_text(bool last) {
    if (buffer_.empty()) return false;
    // An answer that is nothing but a call may do without a mark.
    const std::size_t begin = spaces(buffer_);
    const bool fresh = !said_ && calls_ == 0 && !tried_bare_ && std::ranges::contains(openings_, kPythonTag);
    if (fresh && begin < buffer_.size() && buffer_[begin] == '{') {
        space_ += buffer_.substr(0, begin);
        drop(begin);
        mark_.clear();
        bare_ = tried_bare_ = true;
        mode_ = Mode::head;
        return true;
    }
    std::vector<std::string> marks = openings_;
    if (!said_ && !style_.think_open.empty()) marks.push_back(style_.think_open);
    std::size_t first = std::string::npos;
    const std::string *found = nullptr;
    for (const std::string &mark : marks) {
        const std::size_t at = buffer_.find(mark);
        if (at < first) {
            first = at;
            found = &mark;
        }
    }
    if (found == nullptr) {
        const std::size_t sure = buffer_.size() - held_back(marks, last);
        say(buffer_.substr(0, sure));
        drop(sure);
        return false;
    }
    // Thinking comes before anything is said.
    const std::string mark = *found;
    say(buffer_.substr(0, first));
    drop(first + mark.size());
    if (mark == style_.think_open && said_) {
        say(mark);
        return true;
    }
    if (mark == style_.think_open) {
        space_.clear();
        mode_ = Mode::thinking;
        thought_ = false;
        thought_space_.clear();
        return true;
    }
    mark_ = mark;
    bare_ = in_list_ = false;
    mode_ = Mode::head;
    return true;
}

bool AnswerReader::step_thinking(bool last) {
    const std::vector<std::string> marks{style_.think_close};
    structure_ = true;
    const std::size_t at = buffer_.find(style_.think_close);
    if (at == std::string::npos) {
        const std::size_t sure = buffer_.size() - held_back(marks, last);
        think(buffer_.substr(0, sure));
        drop(sure);
        return false;
    }
    think(buffer_.substr(0, at));
    drop(at + style_.think_close.size());
    mode_ = Mode::text;
    return true;
}

// --- harmony ---

// <|channel|>analysis<|message|>, with <|start|>assistant before it from the second message on, and to=functions.NAME in either.
bool AnswerReader::step_header(bool last) {
    std::size_t message = buffer_.find(kMessage);
    if (message != std::string::npos && message >= 2 * kMaxNameBytes - kMessage.size()) message = std::string::npos;
    const std::size_t begin = spaces(buffer_);
    const std::string_view text = std::string_view(buffer_).substr(begin);
    const auto could_be = [&text](std::string_view mark) { return text.starts_with(mark) || begins_like(text, mark); };
    if (text.empty() && !last) return false;
    if (!could_be("<|channel|>") && !could_be("<|start|>") && !could_be("to=")) {
        mode_ = Mode::body;  // no header: a text
        body_ = AnswerPart::Kind::text;
        return true;
    }
    if (message == std::string::npos) {
        if (!last && buffer_.size() < 2 * kMaxNameBytes) return false;
        // No header after all. A mark that begins a message would be found again.
        const std::size_t said = text.starts_with("<|start|>") ? begin + std::string_view("<|start|>").size() : 0;
        say(buffer_.substr(0, said));
        drop(said);
        mode_ = Mode::body;
        body_ = AnswerPart::Kind::text;
        return !buffer_.empty();
    }
    const std::string header = buffer_.substr(0, message);
    drop(message + kMessage.size());
    mode_ = Mode::body;
    constexpr std::string_view kTo = "to=functions.";
    std::string_view name;
    if (const std::size_t to = header.find(kTo); to != std::string::npos && style_.calls) {
        name = std::string_view(header).substr(to + kTo.size());
        name = name.substr(0, name.find_first_of(" \t\n<"));
    }
    if (!name.empty()) {  // a call of nothing could be kept, and never be read again
        begin_call(name);
        depth_ = 0;
        in_text_ = escaped_ = false;
        mode_ = Mode::arguments;
    } else if (header.contains("<|channel|>analysis")) {
        body_ = AnswerPart::Kind::thinking;
        thought_ = false;
        thought_space_.clear();
    } else {
        body_ = AnswerPart::Kind::text;
    }
    return true;
}

bool AnswerReader::step_body(bool last) {
    const std::array<std::string, 4> marks{"<|end|>", "<|call|>", "<|return|>", "<|start|>"};
    std::size_t first = std::string::npos;
    std::size_t size = 0;
    for (const std::string &mark : marks) {
        const std::size_t at = buffer_.find(mark);
        if (at < first) {
            first = at;
            size = mark == "<|start|>" ? 0 : mark.size();
        }
    }
    const std::size_t sure = first == std::string::npos ? buffer_.size() - held_back(marks, last) : first;
    const std::string text = buffer_.substr(0, sure);
    if (body_ == AnswerPart::Kind::thinking) {
        think(text);
    } else if (body_ == AnswerPart::Kind::text || spaces(text) < text.size()) {
        say(text);
    }
    drop(sure);
    if (first == std::string::npos) return false;
    drop(size);
    if (said_ || calls_ > 0) structure_ = true;
    mode_ = Mode::header;
    return true;
}

ParsedAnswer read_answer(const AnswerStyle &style, std::span<const ChatTool> tools, bool thinking, std::string_view answer) {
    AnswerReader reader(style, tools, thinking);
    std::vector<AnswerPart> parts;
    // In pieces, as it would come from a model: what is understood leaves the reader's buffer, which is to stay small.
    constexpr std::size_t kPiece = 4096;
    while (!answer.empty()) {
        std::size_t size = std::min(kPiece, answer.size());
        while (size < answer.size() && (static_cast<unsigned char>(answer[size]) & 0xC0U) == 0x80U) ++size;
        std::ranges::move(reader.add(answer.substr(0, size)), std::back_inserter(parts));
        answer.remove_prefix(size);
    }
    std::ranges::move(reader.finish(), std::back_inserter(parts));
    ParsedAnswer parsed;
    ToolCall call;
    for (const AnswerPart &part : parts) {
        switch (part.kind) {
            case AnswerPart::Kind::thinking: parsed.thinking += part.text; break;
            case AnswerPart::Kind::text: parsed.text += part.text; break;
            case AnswerPart::Kind::call_begin: call = {.name = part.text, .arguments = {}}; break;
            case AnswerPart::Kind::call_arguments: call.arguments += part.text; break;
            case AnswerPart::Kind::call_end:
                if (!part.whole) break;
                call.arguments = OrderedJson::parse(call.arguments, nullptr, false).dump();
                parsed.calls.push_back(std::exchange(call, {}));
                break;
        }
    }
    parsed.malformed = reader.malformed();
    while (!parse_tool_calls(tool_calls_json(parsed.calls))) {
        parsed.calls.pop_back();
        if (parsed.malformed.empty()) parsed.malformed = "the answer's tool calls are too large together";
    }
    return parsed;
}

}  // namespace engram
