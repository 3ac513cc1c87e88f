// AnswerReader's way through a call: its head, its arguments, what follows it.
#include <array>
#include <format>

#include "chat/answer_reader.h"
#include "chat/answer_text.h"
#include "chat/bounded_json.h"

namespace engram {

using namespace answer_text;

namespace {

constexpr std::size_t kMaxWaitBytes = 32UZ << 10U;  // of a call that is understood only when all of it is there
constexpr std::string_view kFunction = "<function=";

bool is_space(char c) { return kSpace.contains(c); }

// The bytes of a JSON text at the front, quotes and all; 0: not there yet, npos: it is none.
std::size_t json_text_size(std::string_view text) {
    if (text.empty()) return 0;
    if (text.front() != '"') return std::string_view::npos;
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == '"') {
            return i + 1;
        }
    }
    return 0;
}

std::string text_of(std::string_view json) {
    const OrderedJson parsed = OrderedJson::parse(json, nullptr, false);
    return parsed.is_string() ? parsed.get<std::string>() : std::string();
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kMaxNameBytes &&
           text.find_first_of(" \t\r\n<>{}[]()\"'`,;|") == std::string_view::npos;
}

}  // namespace

// --- how calls begin ---

bool AnswerReader::step_head(bool last) {
    const std::size_t at = spaces(buffer_);
    const std::string_view text = std::string_view(buffer_).substr(at);
    Found found = Found::perhaps;
    if (text.starts_with('{')) {
        found = json_head(text);
    } else if (text.starts_with('[') && !in_list_ && !bare_ && style_.form == CallForm::json) {
        mark_ += buffer_.substr(0, at + 1);
        drop(at + 1);
        in_list_ = true;
        bare_ = false;
        return true;
    } else if (!text.empty() && !in_list_) {
        for (const std::string &opening : openings_) {  // one after the other, as DeepSeek's
            if (text.starts_with(opening) && opening != trimmed(mark_) && mark_.size() < 200) {
                mark_ += buffer_.substr(0, at + opening.size());
                drop(at + opening.size());
                return true;
            }
            if (!last && begins_like(text, opening)) return false;
        }
        if (mark_.ends_with(kFunction)) {
            found = xml_head(text);
        } else if (text.starts_with(kFunction)) {
            found = xml_head(text.substr(kFunction.size()));
        } else if (begins_like(text, kFunction)) {
            found = Found::perhaps;
        } else {
            found = named_head(text, last);
        }
    } else if (!text.empty()) {
        found = Found::no;
    }
    if (found == Found::no || (found == Found::perhaps && last)) {
        not_a_call(found == Found::no ? "what follows its mark is no call" : "it breaks off");
        return true;
    }
    return found == Found::yes;
}

AnswerReader::Found AnswerReader::json_head(std::string_view text) {
    if (bare_) {  // an object that doesn't begin with a name was asked for as it is, and needn't wait
        const std::string_view key = text.substr(spaces(text, 1));
        if (!key.empty() && !begins_like(key, "\"name\"") && !key.starts_with("\"name\"")) return Found::no;
    }
    const Found standard = standard_head(text);
    return standard == Found::no ? whole_object(text) : standard;
}

// {"name": "…", "arguments": { in this order; the arguments are given as they come.
AnswerReader::Found AnswerReader::standard_head(std::string_view text) {
    std::size_t at = 1;
    std::array<std::string, 3> texts;  // "name", the name, "arguments"
    constexpr std::string_view kFollowing = ":,:";
    for (std::size_t i = 0; i < texts.size(); ++i) {
        at = spaces(text, at);
        const std::size_t size = json_text_size(text.substr(at));
        if (size == std::string_view::npos) return Found::no;
        if (size == 0) return text.size() - at > 2 * kMaxNameBytes ? Found::no : Found::perhaps;
        if (size > kMaxNameBytes) return Found::no;
        texts.at(i) = text_of(text.substr(at, size));
        if (i == 0 && texts[0] != "name") return Found::no;
        if (i == 1 && (texts[1].empty() || (bare_ && !tools_.empty() && !tools_.contains(texts[1])))) return Found::no;
        if (i == 2 && texts[2] != "arguments" && texts[2] != "parameters") return Found::no;
        at = spaces(text, at + size);
        if (at == text.size()) return Found::perhaps;
        if (text[at] != kFollowing[i]) return Found::no;
        ++at;
    }
    at = spaces(text, at);
    if (at == text.size()) return Found::perhaps;
    if (text[at] != '{') return Found::no;
    drop(static_cast<std::size_t>(text.data() - buffer_.data()) + at);
    begin_call(texts[1]);
    depth_ = 0;
    in_text_ = escaped_ = false;
    mode_ = Mode::arguments;
    return Found::yes;
}

// Anything else that is an object with a name: taken when all of it is there.
AnswerReader::Found AnswerReader::whole_object(std::string_view text) {
    std::size_t depth = 0;
    std::size_t end = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size() && end == 0; ++i) {
        if (quoted) {
            if (text[i] == '"') quoted = false;
            if (text[i] == '\\') ++i;
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '{' || text[i] == '[') {
            ++depth;
        } else if ((text[i] == '}' || text[i] == ']') && --depth == 0) {
            end = i + 1;
        }
    }
    if (end > kMaxWaitBytes || (end == 0 && text.size() > kMaxWaitBytes)) return Found::no;
    if (end == 0) return Found::perhaps;
    const std::string_view object = text.substr(0, end);
    if (bare_ && !object.contains("\"arguments\"") && !object.contains("\"parameters\""))
        return Found::no;  // JSON that was asked for
    const auto call = parse_call(object);
    if (!call) {
        if (malformed_.empty()) malformed_ = std::format("the answer's tool call is malformed: {}", call.error().message);
        return Found::no;
    }
    if (bare_ && !tools_.empty() && !tools_.contains(call->name)) return Found::no;
    drop(static_cast<std::size_t>(text.data() - buffer_.data()) + end);
    begin_call(call->name);
    add_arguments(call->arguments);
    end_call(true);
    mode_ = Mode::after;
    return Found::yes;
}

// NAME> after <function=.
AnswerReader::Found AnswerReader::xml_head(std::string_view text) {
    const std::size_t end = text.find('>');
    if (end == std::string_view::npos) return text.size() > kMaxNameBytes ? Found::no : Found::perhaps;
    const std::string name(trimmed(text.substr(0, end)));
    if (!is_name(name)) return Found::no;
    drop(static_cast<std::size_t>(text.data() - buffer_.data()) + end + 1);
    begin_call(name);
    add_arguments("{");
    mode_ = Mode::parameters;
    return Found::yes;
}

// NAME and what separates it from its arguments.
AnswerReader::Found AnswerReader::named_head(std::string_view text, bool last) {
    if (style_.form == CallForm::arg_xml) {
        const std::size_t end = text.find_first_of("\n<");
        if (end == std::string_view::npos) return text.size() > kMaxNameBytes ? Found::no : Found::perhaps;
        const std::string name(trimmed(text.substr(0, end)));
        if (!is_name(name)) return Found::no;
        drop(static_cast<std::size_t>(text.data() - buffer_.data()) + end);
        begin_call(name);
        add_arguments("{");
        mode_ = Mode::parameters;
        return Found::yes;
    }
    if (style_.form != CallForm::named_json) return Found::no;
    const std::string separator(trimmed(style_.separator));
    const std::size_t brace = text.find('{');
    if (brace == std::string_view::npos) return last || text.size() > 2 * kMaxNameBytes ? Found::no : Found::perhaps;
    std::string_view head = trimmed(text.substr(0, brace));
    if (!separator.empty() && head.ends_with(separator)) head = trimmed(head.substr(0, head.size() - separator.size()));
    const std::string name(head);
    if (!is_name(name)) return Found::no;
    drop(static_cast<std::size_t>(text.data() - buffer_.data()) + brace);
    begin_call(name);
    depth_ = 0;
    in_text_ = escaped_ = false;
    mode_ = Mode::arguments;
    return Found::yes;
}

// --- arguments ---

bool AnswerReader::step_arguments() {
    if (arguments_.empty()) {
        if (skip_space() == 0) return false;
        if (buffer_.front() != '{') {  // harmony's may be anything
            end_call(false);
            mode_ = Mode::body;
            body_ = AnswerPart::Kind::text;
            return true;
        }
    }
    std::size_t i = 0;
    bool ended = false;
    for (; i < buffer_.size() && !ended; ++i) {
        const char c = buffer_[i];
        if (escaped_) {
            escaped_ = false;
        } else if (in_text_) {
            escaped_ = c == '\\';
            in_text_ = c != '"';
        } else if (c == '"') {
            in_text_ = true;
        } else if (c == '{' || c == '[') {
            ++depth_;
        } else if (c == '}' || c == ']') {
            ended = --depth_ == 0;
        }
    }
    add_arguments(std::string_view(buffer_).substr(0, i));
    drop(i);
    if (!ended) return false;
    end_call(true);
    if (style_.form == CallForm::harmony) {
        mode_ = Mode::body;
        body_ = AnswerPart::Kind::call_end;
    } else {
        mode_ = style_.form == CallForm::named_json && !in_list_ ? Mode::after : Mode::object_end;
        depth_ = 1;
        more_members_ = false;
    }
    return true;
}

// Until the call's own object is closed. Other members of it don't matter.
bool AnswerReader::step_object_end() {
    for (std::size_t i = 0; i < buffer_.size(); ++i) {
        const char c = buffer_[i];
        bool ended = false;
        if (escaped_) {
            escaped_ = false;
        } else if (in_text_) {
            escaped_ = c == '\\';
            in_text_ = c != '"';
        } else if (!more_members_ && c != ',' && c != '}' && !is_space(c)) {
            drop(i);  // it doesn't go on as an object
            mode_ = Mode::after;
            return true;
        } else if (c == '"') {
            in_text_ = true;
        } else if (c == ',') {
            more_members_ = true;
        } else if (c == '{' || c == '[') {
            ++depth_;
        } else if (c == '}' || c == ']' || c == '<') {
            ended = c == '<' || --depth_ == 0;
        }
        if (ended) {
            drop(c == '<' ? i : i + 1);
            mode_ = Mode::after;
            return true;
        }
    }
    buffer_.clear();
    return false;
}

bool AnswerReader::step_parameters(bool last) {
    if (skip_space() == 0) return false;
    const bool keys = style_.form == CallForm::arg_xml;
    const std::string open = keys ? "<arg_key>" : "<parameter=";
    const std::string end = keys ? "</tool_call>" : "</function>";
    if (buffer_.starts_with(end)) {
        if (!keys) drop(end.size());
        add_arguments("}");
        end_call(true);
        mode_ = Mode::after;
        return true;
    }
    if (buffer_.starts_with(open)) {
        const std::string key_end = keys ? "</arg_key>" : ">";
        const std::size_t key = buffer_.find(key_end);
        if (key == std::string::npos) return false;
        std::size_t begin = key + key_end.size();
        if (keys) {
            begin = spaces(buffer_, begin);
            const std::string_view rest = std::string_view(buffer_).substr(begin);
            if (rest.empty() || begins_like(rest, "<arg_value>")) return false;
            if (!rest.starts_with("<arg_value>")) {
                end_call(false);
                mode_ = Mode::text;
                return true;
            }
            begin += std::string_view("<arg_value>").size();
        }
        key_ = trimmed(std::string_view(buffer_).substr(open.size(), key - open.size()));
        drop(begin);
        const auto tool = text_parameters_.find(name_);
        streams_ = tool != text_parameters_.end() && tool->second.contains(key_);
        add_arguments(std::format("{}{}:{}", arguments_.size() > 1 ? "," : "", json_of(key_), streams_ ? "\"" : ""));
        key_.clear();
        value_begun_ = false;
        mode_ = Mode::value;
        return true;
    }
    if (!last && (begins_like(buffer_, open) || begins_like(buffer_, end))) return false;
    end_call(false);
    mode_ = Mode::text;
    return true;
}

bool AnswerReader::step_value(bool last) {
    const bool keys = style_.form == CallForm::arg_xml;
    const std::string close = keys ? "</arg_value>" : "</parameter>";
    if (!keys && !value_begun_) {  // the value stands on lines of its own
        if (buffer_.empty()) return false;
        if (buffer_.front() == '\n') drop(1);
        value_begun_ = true;
    }
    const std::size_t at = buffer_.find(close);
    const auto quoted = [](std::string_view text) {
        const std::string json = json_of(text);
        return json.substr(1, json.size() - 2);
    };
    if (at == std::string::npos) {
        if (!streams_) return false;
        const std::vector<std::string> marks{close, "\n" + close};
        const std::size_t sure = buffer_.size() - held_back(marks, last);
        add_arguments(quoted(std::string_view(buffer_).substr(0, sure)));
        drop(sure);
        return false;
    }
    std::string value = buffer_.substr(0, at);
    if (!keys && value.ends_with('\n')) value.pop_back();
    if (streams_) {
        add_arguments(quoted(value) + "\"");
    } else {
        const auto read = parse_bounded_json(value, kMaxCallBytes);
        add_arguments(read ? read->dump() : json_of(value));
    }
    drop(at + close.size());
    mode_ = Mode::parameters;
    return true;
}

// Marks after a call, and the next one in a list.
bool AnswerReader::step_after(bool last) {
    if (skip_space() == 0) return false;
    if (bare_) {
        bare_ = false;
        mode_ = Mode::text;
        return true;
    }
    if (in_list_ && buffer_.front() == ',') {
        drop(1);
        mark_ = ",";
        mode_ = Mode::head;
        return true;
    }
    if (in_list_ && buffer_.front() == ']') {
        drop(1);
        in_list_ = false;
        return true;
    }
    for (const std::string &opening : openings_) {  // may begin like what closes a call, as fences do
        const bool opens = buffer_.starts_with(opening);
        if (opens) mode_ = Mode::text;
        if (opens) in_list_ = false;
        if (opens || (!last && begins_like(buffer_, opening))) return opens;
    }
    std::vector<std::string> closings;
    for (const std::string *mark : {&style_.close, &style_.calls_close}) {
        if (!trimmed(*mark).empty() && *mark != "]") closings.emplace_back(trimmed(*mark));
    }
    if (std::ranges::contains(openings_, "<tool_call>")) closings.emplace_back("</tool_call>");
    for (const std::string &closing : closings) {
        if (buffer_.starts_with(closing)) {
            drop(closing.size());
            return true;
        }
        if (!last && begins_like(buffer_, closing)) return false;
    }
    in_list_ = false;
    mode_ = Mode::text;
    return true;
}

}  // namespace engram
