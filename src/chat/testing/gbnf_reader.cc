#include "chat/testing/gbnf_reader.h"

#include <algorithm>

#include "chat/char_automaton.h"
#include "core/testing/utf8.h"

namespace engram::testing {

// Recursive descent over the characters. What is wrong is said by failed_, which ends everything.
class GbnfReader {
  public:
    explicit GbnfReader(std::string_view text) : text_(characters(text)) {}

    bool read(GbnfGrammar &grammar) {
        while (skip_space(true), at_ < text_.size() && !failed_) {
            const std::string name = word();
            skip_space(false);
            if (name.empty() || !take(U"::=")) return false;
            skip_space(true);
            const std::size_t rule = grammar.rule_of(name);
            if (grammar.rules_[rule].defined) return false;
            std::vector<GbnfGrammar::Sequence> choices = alternatives(grammar, false);
            grammar.rules_[rule].choices = std::move(choices);
            grammar.rules_[rule].defined = true;
            if (at_ < text_.size() && !take(U"\n")) return false;
        }
        return !failed_ && std::ranges::all_of(grammar.rules_, &GbnfGrammar::Rule::defined) && grammar.names_.contains("root");
    }

  private:
    using Sequence = GbnfGrammar::Sequence;
    using Item = GbnfGrammar::Item;

    bool take(std::u32string_view mark) {
        if (!std::u32string_view(text_).substr(at_).starts_with(mark)) return false;
        at_ += mark.size();
        return true;
    }
    char32_t peek() const { return at_ < text_.size() ? text_[at_] : U'\0'; }

    void skip_space(bool lines) {
        while (peek() == ' ' || peek() == '\t' || (lines && (peek() == '\n' || peek() == '\r'))) ++at_;
    }

    std::string word() {
        std::string name;
        const auto belongs = [](char32_t c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
        };
        while (belongs(peek())) name += static_cast<char>(text_[at_++]);
        return name;
    }

    // Within brackets lines may end anywhere; else a line's end is the rule's.
    std::vector<Sequence> alternatives(GbnfGrammar &grammar, bool nested) {
        std::vector<Sequence> choices;
        do {
            skip_space(true);
            choices.push_back(sequence(grammar, nested));
        } while (!failed_ && take(U"|"));
        return choices;
    }

    Sequence sequence(GbnfGrammar &grammar, bool nested) {
        Sequence items;
        while (!failed_ && at_ < text_.size()) {
            if (peek() == '"') {
                literal(items);
            } else if (take(U"[")) {
                items.push_back(char_class());
            } else if (take(U"(")) {
                if (++depth_ > 64) failed_ = true;  // deeper ones the sampler refuses
                Item group{.kind = Item::Kind::group};
                if (!failed_) group.choices = alternatives(grammar, true);
                --depth_;
                if (!take(U")")) failed_ = true;
                items.push_back(std::move(group));
            } else if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{') {
                repetition(items);
            } else if (const std::string name = word(); !name.empty()) {
                Item item{.kind = Item::Kind::rule};
                item.rule = grammar.rule_of(name);
                items.push_back(std::move(item));
            } else {
                break;
            }
            skip_space(nested);
        }
        return items;
    }

    // Each character is an item; what repeats a literal repeats all of it.
    void literal(Sequence &items) {
        ++at_;
        Item whole{.kind = Item::Kind::group};
        whole.choices.emplace_back();
        while (!failed_ && !take(U"\"")) {
            const char32_t c = character();
            Item item;
            item.chars.emplace_back(c, c);
            whole.choices.front().push_back(std::move(item));
        }
        items.push_back(std::move(whole));
    }

    Item char_class() {
        Item item;
        if (take(U"^\\x00-\\U0010FFFF]")) return item;  // no character at all, and no other such class is written
        if (peek() == '^') failed_ = true;
        while (!failed_ && !take(U"]")) {
            const char32_t first = character();
            char32_t last = first;
            if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
                ++at_;
                last = character();
            }
            if (last < first) failed_ = true;
            item.chars.emplace_back(first, last);
        }
        if (item.chars.empty()) failed_ = true;
        return item;
    }

    char32_t character() {
        if (at_ >= text_.size() || peek() == '\n') {
            failed_ = true;
            return 0;
        }
        const char32_t c = text_[at_++];
        if (c != '\\') return c;
        const char32_t escaped = peek();
        ++at_;
        switch (escaped) {
            case 'x': return hexadecimal(2);
            case 'u': return hexadecimal(4);
            case 'U': return hexadecimal(8);
            case 't': return '\t';
            case 'r': return '\r';
            case 'n': return '\n';
            case '\\':
            case '"':
            case '[':
            case ']': return escaped;
            default: failed_ = true; return 0;
        }
    }

    char32_t hexadecimal(int digits) {
        char32_t value = 0;
        for (; digits > 0; --digits, ++at_) {
            const std::size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(peek() | 0x20U));
            if (peek() > 'f' || digit == std::string_view::npos) failed_ = true;
            value = value * 16 + static_cast<char32_t>(digit & 0xFU);
        }
        return value;
    }

    void repetition(Sequence &items) {
        if (items.empty() || items.back().least != 1 || items.back().most != 1U) {
            failed_ = true;
            return;
        }
        Item &item = items.back();
        if (take(U"*")) {
            item.least = 0, item.most = std::nullopt;
        } else if (take(U"+")) {
            item.most = std::nullopt;
        } else if (take(U"?")) {
            item.least = 0;
        } else {
            counts(item);
        }
    }

    void counts(Item &item) {
        ++at_;
        const auto number = [this]() -> std::optional<std::uint32_t> {
            std::optional<std::uint32_t> value;
            while (peek() >= '0' && peek() <= '9' && value.value_or(0) < 100'000)
                value = value.value_or(0) * 10 + (text_[at_++] - U'0');
            return value;
        };
        const auto least = number();
        std::optional<std::uint32_t> most = least;
        if (take(U",")) most = number();
        constexpr std::uint32_t kMostRepetitions = 2000;  // libllama's
        const bool fits = least && *least <= kMostRepetitions && (!most || (*most >= *least && *most <= kMostRepetitions));
        if (!fits || !take(U"}")) failed_ = true;
        item.least = least.value_or(0);
        item.most = most;
    }

    const std::u32string text_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    bool failed_ = false;
};

std::size_t GbnfGrammar::rule_of(const std::string &name) {
    const auto [at, added] = names_.try_emplace(name, rules_.size());
    if (added) rules_.emplace_back();
    return at->second;
}

bool GbnfGrammar::may_be_empty(const std::vector<Sequence> &choices) const {
    const auto item_may = [this](const Item &item) {
        if (item.least == 0) return true;
        if (item.kind == Item::Kind::rule) return rules_[item.rule].may_be_empty;
        return item.kind == Item::Kind::group && may_be_empty(item.choices);
    };
    return std::ranges::any_of(choices, [&](const Sequence &sequence) { return std::ranges::all_of(sequence, item_may); });
}

std::size_t GbnfGrammar::depth_of(const Item &item) const {
    switch (item.kind) {
        case Item::Kind::chars: return item.chars.empty() ? SIZE_MAX : 0;
        case Item::Kind::rule: return rules_[item.rule].depth;
        case Item::Kind::group: break;
    }
    return depth_of(item.choices);
}

std::size_t GbnfGrammar::depth_of(const Sequence &sequence) const {
    std::size_t depth = 0;
    for (const Item &item : sequence) {
        if (item.least > 0) depth = std::max(depth, depth_of(item));
    }
    return depth;
}

std::size_t GbnfGrammar::depth_of(const std::vector<Sequence> &choices) const {
    std::size_t depth = SIZE_MAX;
    for (const Sequence &sequence : choices) depth = std::min(depth, depth_of(sequence));
    return depth;
}

void GbnfGrammar::measure() {
    for (bool changed = true; changed;) {
        changed = false;
        for (Rule &rule : rules_) {
            const std::size_t inside = depth_of(rule.choices);
            const std::size_t depth = inside == SIZE_MAX ? inside : inside + 1;
            const bool empty = may_be_empty(rule.choices);
            changed = changed || depth < rule.depth || empty != rule.may_be_empty;
            rule.depth = std::min(rule.depth, depth);
            rule.may_be_empty = empty;
        }
    }
}

// The rules that a text of the choices may begin with.
void GbnfGrammar::first_rules(const std::vector<Sequence> &choices, std::vector<std::size_t> &into) const {
    for (const Sequence &sequence : choices) {
        for (const Item &item : sequence) {
            bool empty = item.least == 0;
            if (item.kind == Item::Kind::rule) {
                into.push_back(item.rule);
                empty = empty || rules_[item.rule].may_be_empty;
            } else if (item.kind == Item::Kind::group) {
                first_rules(item.choices, into);
                empty = empty || may_be_empty(item.choices);
            }
            if (!empty) break;
        }
    }
}

bool GbnfGrammar::begins_with_itself() const {
    std::vector<std::vector<std::size_t>> first(rules_.size());
    std::vector<std::size_t> needed(rules_.size());
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        first_rules(rules_[i].choices, first[i]);
        for (const std::size_t rule : first[i]) ++needed[rule];
    }
    // Rules that no text of another one begins with are taken away, until none is left or a circle is.
    std::vector<std::size_t> todo;
    for (std::size_t i = 0; i < needed.size(); ++i) {
        if (needed[i] == 0) todo.push_back(i);
    }
    std::size_t gone = 0;
    for (; gone < todo.size(); ++gone) {
        const std::size_t at = todo[gone];
        for (const std::size_t rule : first[at]) {
            if (--needed[rule] == 0) todo.push_back(rule);
        }
    }
    return gone < rules_.size();
}

std::optional<GbnfGrammar> GbnfGrammar::read(std::string_view text) {
    GbnfGrammar grammar;
    if (!GbnfReader(text).read(grammar)) return std::nullopt;
    grammar.measure();
    if (grammar.begins_with_itself()) return std::nullopt;
    return grammar;
}

struct GbnfGrammar::Sampling {
    std::mt19937_64 &random;
    std::size_t most_bytes;
    std::string text = {};
};

namespace {

constexpr std::size_t kFreeDepth = 24;  // deeper than that the shortest way out is taken

}  // namespace

bool GbnfGrammar::put(const std::vector<Sequence> &choices, Sampling &sampling, std::size_t depth) const {
    const auto below = [&](std::uint64_t n) { return sampling.random() % n; };
    const Sequence *chosen = &choices[below(choices.size())];
    if (depth > kFreeDepth || depth_of(*chosen) == SIZE_MAX) {
        chosen = &*std::ranges::min_element(choices, {}, [this](const Sequence &sequence) { return depth_of(sequence); });
    }
    for (const Item &item : *chosen) {
        const std::uint32_t spread = std::min(item.most.value_or(item.least + 3), item.least + 3) - item.least;
        const bool leads_on = depth_of(item) != SIZE_MAX;
        const std::uint64_t times = item.least + (depth > kFreeDepth || !leads_on ? 0 : below(spread + 1));
        for (std::uint64_t i = 0; i < times; ++i) {
            if (item.kind == Item::Kind::chars) {
                const auto &[first, last] = item.chars[below(item.chars.size())];
                add_utf8(sampling.text, first + static_cast<char32_t>(below(last - first + 1)));
            } else if (!put(item.kind == Item::Kind::group ? item.choices : rules_[item.rule].choices, sampling, depth + 1)) {
                return false;
            }
            if (sampling.text.size() > sampling.most_bytes) return false;
        }
    }
    return true;
}

std::optional<std::string> GbnfGrammar::sample(std::mt19937_64 &random, std::size_t most_bytes) const {
    Sampling sampling{.random = random, .most_bytes = most_bytes};
    if (!put(rules_[names_.find("root")->second].choices, sampling, 0)) return std::nullopt;
    return std::move(sampling.text);
}

}  // namespace engram::testing
