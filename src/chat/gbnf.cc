#include "chat/gbnf.h"

#include <algorithm>
#include <format>
#include <vector>

namespace engram {
namespace {

constexpr std::uint64_t kMostAtOnce = 1000;  // libllama takes a repetition of 2000 as one without an end
constexpr std::size_t kFreeDepth = 16;

// Within a literal or a class.
std::string escaped(char32_t c) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '_' ||
                       c == ':' || c == ',' || c == '<' || c == '>' || c == '/' || c == '=' || c == '{' || c == '}' || c == '.';
    if (plain) return {static_cast<char>(c)};
    if (c == '\n') return "\\n";
    if (c < 0x100) return std::format("\\x{:02X}", static_cast<std::uint32_t>(c));
    if (c < 0x10000) return std::format("\\u{:04X}", static_cast<std::uint32_t>(c));
    return std::format("\\U{:08X}", static_cast<std::uint32_t>(c));
}

std::string literal_of(std::u32string_view text) {
    std::string literal = "\"";
    for (const char32_t c : text) literal += escaped(c);
    return literal + "\"";
}

std::string class_of(const CharSet &set) {
    std::string text = "[";
    for (const CharRange &range : set) {
        text += escaped(range.first);
        if (range.last != range.first) text += "-" + escaped(range.last);
    }
    return text + "]";
}

// Ways to write one character of the set.
std::vector<std::string> spellings(const CharSet &set, Spelling spelling) {
    std::vector<std::string> ways;
    if (spelling == Spelling::raw) return {class_of(set)};
    const CharSet plain =
        overlap(set, {{.first = 0x20, .last = 0x21}, {.first = 0x23, .last = 0x5B}, {.first = 0x5D, .last = 0x10FFFF}});
    if (!plain.empty()) ways.push_back(class_of(plain));
    constexpr std::string_view kShort = "\"\"\\\\\bb\ff\nn\rr\tt";  // a character, and how it is written after a backslash
    const CharSet rest = overlap(set, {{.first = 0, .last = 0x1F}, {.first = '"', .last = '"'}, {.first = '\\', .last = '\\'}});
    for (const CharRange &range : rest) {
        for (char32_t c = range.first; c <= range.last; ++c) {
            std::size_t at = 0;
            while (at < kShort.size() && static_cast<char32_t>(kShort[at]) != c) at += 2;
            ways.push_back(gbnf_literal(at < kShort.size() ? std::format("\\{}", kShort[at + 1])
                                                           : std::format("\\u{:04x}", static_cast<std::uint32_t>(c))));
        }
    }
    return ways;
}

}  // namespace

std::string gbnf_literal(std::string_view text) { return literal_of(characters(text)); }

std::string Grammar::rule(std::string_view what, std::string body) {
    const auto known = names_.find(body);
    if (known != names_.end()) return known->second;
    std::string name = reserve(what);
    names_.emplace(body, name);
    define(name, std::move(body));
    return name;
}

std::string Grammar::reserve(std::string_view what) { return std::format("{}-{}", what, count_++); }

void Grammar::define(const std::string &name, std::string body) {
    bytes_ += name.size() + body.size() + 6;
    if (!too_large()) rules_ += std::format("{} ::= {}\n", name, body);
}

std::string Grammar::up_to(const std::string &item, std::uint64_t most) {
    return most == 0 ? "\"\"" : std::format("{}{{0,{}}}", item, most);
}

std::string Grammar::repeated(const std::string &item, std::uint64_t least, std::optional<std::uint64_t> most) {
    if (most && *most == 0) return "\"\"";
    const std::uint64_t largest = most.value_or(least);
    if (largest <= kMostAtOnce) {
        if (!most && least <= 1) return item + (least == 0 ? "*" : "+");
        return std::format("{}{{{},{}}}", item, least, most ? std::to_string(*most) : "");
    }
    // In thousands, and what is left over.
    const std::string thousand = rule("thousand", std::format("{}{{{},{}}}", item, kMostAtOnce, kMostAtOnce));
    const std::uint64_t full = least / kMostAtOnce;
    std::string text = full > 0 ? repeated(thousand, full, full) + " " : "";
    text += repeated(item, least % kMostAtOnce, least % kMostAtOnce) + " ";
    if (!most) return text + item + "*";
    const std::uint64_t extra = *most - least;
    if (extra < kMostAtOnce) return text + up_to(item, extra);
    const std::uint64_t thousands = extra / kMostAtOnce;
    return text + std::format("({} {} | {} {})", repeated(thousand, 0, thousands - 1), up_to(item, kMostAtOnce - 1),
                              repeated(thousand, thousands, thousands), up_to(item, extra % kMostAtOnce));
}

const Result<CharAutomaton> &Grammar::pattern(const std::string &pattern) {
    const auto found = automata_.find(pattern);
    if (found != automata_.end()) return found->second;
    static const Result<CharAutomaton> kTooMany =
        fail(ErrorCode::unsupported, std::format("there are more than {} different patterns", kMaxPatterns));
    if (automata_.size() >= kMaxPatterns) return kTooMany;
    return automata_.emplace(pattern, CharAutomaton::pattern(pattern)).first->second;
}

std::string Grammar::texts(const CharAutomaton &automaton, Spelling spelling, std::string_view what) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < automaton.states().size(); ++i) names.push_back(reserve(what));
    for (std::size_t i = 0; i < automaton.states().size() && !too_large(); ++i) {
        const CharAutomaton::State &state = automaton.states()[i];
        std::string body;
        const auto add = [&body](std::string_view way) { body += std::format("{}{}", body.empty() ? "" : " | ", way); };
        for (const CharAutomaton::Edge &edge : state.edges) {
            const std::vector<std::string> ways = spellings(edge.chars, spelling);
            for (const std::string &way : ways) add(std::format("{} {}", way, names[edge.to]));
        }
        if (state.accepts) add("\"\"");
        define(names[i], std::move(body));
    }
    return names.empty() ? std::string() : names.front();
}

std::string Grammar::white_space() { return rule("ws", R"((" " | "\n" [ ]{0,16})?)"); }

std::string Grammar::json_char() {
    // No halves of characters: a text that ends between two of them isn't JSON.
    const std::string code = rule("code", R"([0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2})");
    return rule("char", std::format(R"([ !#-\x5B\x5D-~\x80-\uD7FF\uE000-\U0010FFFF] | "\\" (["\\/bfnrt] | "u" {}))", code));
}

std::string Grammar::json_string() { return rule("string", std::format(R"("\"" {}* "\"")", json_char())); }

std::string Grammar::json_number() {
    return rule("number", R"("-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?)");
}

std::string Grammar::json_value() { return free_values().first; }
std::string Grammar::json_object() { return free_values().second; }

// Any value, and any object, each with values one level less deep inside.
std::pair<std::string, std::string> Grammar::free_values() {
    const std::string ws = white_space();
    const std::string flat = std::format(R"({} | {} | "true" | "false" | "null")", json_string(), json_number());
    std::string value = rule("value", flat);
    std::string object;
    for (std::size_t depth = 0; depth < kFreeDepth; ++depth) {
        const std::string member = rule("member", std::format(R"({} ":" {} {})", json_string(), ws, value));
        object = rule("object", std::format(R"("{{" {0} ({1} ("," {0} {1})* {0})? "}}")", ws, member));
        const std::string list = rule("list", std::format(R"("[" {0} ({1} ("," {0} {1})* {0})? "]")", ws, value));
        value = rule("value", std::format("{} | {} | {}", flat, list, object));
    }
    return {value, object};
}

Result<std::string> Grammar::text(std::string_view root) const {
    if (too_large()) {
        return fail(ErrorCode::unsupported,
                    std::format("the grammar for it would take more than {} KiB", kMaxGrammarBytes >> 10U));
    }
    return std::format("root ::= {}\n{}", root, rules_);
}

}  // namespace engram
