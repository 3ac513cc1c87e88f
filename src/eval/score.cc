#include "eval/score.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "chat/answer_reader.h"

namespace engram::eval {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }

// As texts are compared: lower case, single spaces, plain apostrophes.
std::string folded(std::string_view text) {
    constexpr std::string_view kApostrophe = "\u2019";
    std::string plain;
    plain.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (text.substr(i).starts_with(kApostrophe)) {
            plain += '\'';
            i += kApostrophe.size() - 1;
        } else if (!is_space(c)) {
            plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        } else if (!plain.empty() && plain.back() != ' ') {
            plain += ' ';
        }
    }
    if (plain.ends_with(' ')) plain.pop_back();
    return plain;
}

// Whether a word or number goes on beyond the phrase [first, end) of `text`.
bool goes_on_before(std::string_view text, std::size_t first) {
    if (first == 0 || !is_word(text[first])) return false;
    const char before = text[first - 1];
    const bool in_number = (before == '.' || before == ',') && is_digit(text[first]) && first >= 2 && is_digit(text[first - 2]);
    return is_word(before) || in_number;
}

bool goes_on_after(std::string_view text, std::size_t end) {
    if (end == text.size() || !is_word(text[end - 1])) return false;
    const bool in_number =
        (text[end] == '.' || text[end] == ',') && is_digit(text[end - 1]) && end + 1 < text.size() && is_digit(text[end + 1]);
    return is_word(text[end]) || in_number;
}

bool holds_folded(std::string_view text, std::string_view phrase) {
    if (phrase.empty()) return true;
    for (std::size_t at = text.find(phrase); at != std::string_view::npos; at = text.find(phrase, at + 1)) {
        if (!goes_on_before(text, at) && !goes_on_after(text, at + phrase.size())) return true;
    }
    return false;
}

bool holds(std::string_view folded_text, const std::string &phrase) { return holds_folded(folded_text, folded(phrase)); }

// Whether each line that begins with "- " holds one of the items.
bool lines_are_known(std::string_view text, const std::vector<std::string> &items) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
        if (!line.starts_with("- ")) continue;
        const std::string plain = folded(line);
        if (std::ranges::none_of(items, [&](const std::string &item) { return holds(plain, item); })) return false;
    }
    return true;
}

bool calls_are_right(const Expectation &expect, const Answer &answer) {
    if (expect.no_tool_call) return answer.calls.empty() && answer.malformed.empty();
    if (!expect.tool_call) return true;
    return answer.calls.size() == 1 && answer.calls.front().name == expect.tool_call->name &&
           same_json(answer.calls.front().arguments, expect.tool_call->arguments);
}

}  // namespace

Answer answer_of(std::string text) {
    ParsedAnswer parsed = read_answer(AnswerStyle::common(), {}, false, text);
    if (!parsed.malformed.empty()) return {.text = std::move(text), .calls = {}, .malformed = std::move(parsed.malformed)};
    return {.text = std::move(parsed.text), .calls = std::move(parsed.calls), .malformed = {}};
}

bool holds_phrase(std::string_view text, std::string_view phrase) { return holds_folded(folded(text), folded(phrase)); }

bool same_json(std::string_view a, std::string_view b) {
    using Json = nlohmann::json;  // whose objects are sorted
    const Json left = Json::parse(a, nullptr, false);
    const Json right = Json::parse(b, nullptr, false);
    return !left.is_discarded() && !right.is_discarded() && left == right;
}

double score(const Expectation &expect, const Answer &answer) {
    const std::string text = folded(answer.text);
    const auto there = [&](const std::string &phrase) { return holds(text, phrase); };
    const auto anywhere = [&](const std::string &phrase) { return text.contains(folded(phrase)); };
    const bool right = std::ranges::all_of(expect.contains, there) && std::ranges::none_of(expect.absent, there) &&
                       (expect.any_of.empty() || std::ranges::any_of(expect.any_of, anywhere)) &&
                       calls_are_right(expect, answer) && (!expect.list_lines || lines_are_known(answer.text, expect.items));
    if (!right) return 0;
    if (expect.items.empty()) return 1;
    return static_cast<double>(std::ranges::count_if(expect.items, there)) / static_cast<double>(expect.items.size());
}

}  // namespace engram::eval
