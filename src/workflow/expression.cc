#include "workflow/expression.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <format>
#include <optional>

namespace engram::workflow {
namespace {

using Node = Expression::Node;
using Op = Expression::Op;

constexpr std::string_view kOpening = "${{", kClosing = "}}";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool goes_on_with(char c) { return is_letter(c) || is_digit(c) || c == '-'; }  // a name that has begun

constexpr std::array<std::string_view, 4> kOperators{"or", "and", "not", "contains"};  // that look like names

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    const std::size_t first = text.find_first_not_of(kSpace);
    if (first == text.npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

std::unexpected<Error> too_long() {
    return fail(ErrorCode::too_long, std::format("the text is longer than {} bytes", kMaxTextBytes));
}

std::string as_text(const OrderedJson &value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) return {};
    return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// Recursive descent, or < and < not < comparison < operand.
class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<Node> all() {
        ENGRAM_ASSIGN(Node node, disjunction());
        skip_space();
        if (at_ != text_.size()) return unexpected("an operator");
        return node;
    }

  private:
    // Counts how deep the parser is in itself.
    class Level {
      public:
        explicit Level(std::size_t &depth) : depth_(depth) { ++depth_; }
        ~Level() { --depth_; }
        Level(const Level &) = delete;
        Level &operator=(const Level &) = delete;

      private:
        std::size_t &depth_;
    };

    std::unexpected<Error> unexpected(std::string_view instead) const {
        if (at_ >= text_.size()) return wrong(std::format("the expression ends where {} should stand", instead));
        std::size_t end = at_ + 1;  // a whole character: the message is UTF-8 when the text is
        while (end < text_.size() && end < at_ + 20 && text_[end] != ' ') ++end;
        while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xC0U) == 0x80U) ++end;
        return wrong(std::format("\"{}\" stands where {} should", text_.substr(at_, end - at_), instead));
    }

    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").contains(text_[at_])) ++at_;
    }

    bool take(std::string_view sign) {
        skip_space();
        if (!text_.substr(at_).starts_with(sign)) return false;
        at_ += sign.size();
        return true;
    }

    bool take_word(std::string_view word) {
        skip_space();
        const std::string_view rest = text_.substr(at_);
        if (!rest.starts_with(word)) return false;
        if (rest.size() > word.size() && goes_on_with(rest[word.size()])) return false;
        at_ += word.size();
        return true;
    }

    Result<Node> disjunction() {
        const Level level(depth_);
        if (depth_ > kMaxExpressionDepth) return wrong(std::format("nested more than {} deep", kMaxExpressionDepth));
        ENGRAM_ASSIGN(Node node, conjunction());
        while (take_word("or")) {
            ENGRAM_ASSIGN(Node right, conjunction());
            merge(node, Op::disjunction, std::move(right));
        }
        return node;
    }

    Result<Node> conjunction() {
        ENGRAM_ASSIGN(Node node, negation());
        while (take_word("and")) {
            ENGRAM_ASSIGN(Node right, negation());
            merge(node, Op::conjunction, std::move(right));
        }
        return node;
    }

    // a or b or c is one node with three operands, so that long chains aren't deep.
    static void merge(Node &node, Op op, Node right) {
        if (node.op != op) {
            Node whole{.op = op, .literal = {}, .reference = {}, .operands = {}};
            whole.operands.push_back(std::move(node));
            node = std::move(whole);
        }
        node.operands.push_back(std::move(right));
    }

    Result<Node> negation() {
        bool negated = false, any = false;
        while (take_word("not")) {
            negated = !negated;
            any = true;
        }
        ENGRAM_ASSIGN(Node node, comparison());
        if (!any) return node;
        Node inner{.op = Op::negation, .literal = {}, .reference = {}, .operands = {}};
        inner.operands.push_back(std::move(node));
        if (negated) return inner;
        Node outer{.op = Op::negation, .literal = {}, .reference = {}, .operands = {}};
        outer.operands.push_back(std::move(inner));
        return outer;
    }

    std::optional<Op> comparison_sign() {
        constexpr auto kSigns = std::to_array<std::pair<std::string_view, Op>>({{"==", Op::equal},
                                                                                {"!=", Op::unequal},
                                                                                {"<=", Op::less_equal},
                                                                                {">=", Op::greater_equal},
                                                                                {"<", Op::less},
                                                                                {">", Op::greater}});
        for (const auto &[sign, op] : kSigns) {
            if (take(sign)) return op;
        }
        if (take_word("contains")) return Op::contains;
        return std::nullopt;
    }

    Result<Node> comparison() {
        ENGRAM_ASSIGN(Node left, operand());
        const std::optional<Op> op = comparison_sign();
        if (!op) return left;
        ENGRAM_ASSIGN(Node right, operand());
        Node node{.op = *op, .literal = {}, .reference = {}, .operands = {}};
        node.operands.push_back(std::move(left));
        node.operands.push_back(std::move(right));
        if (comparison_sign()) return wrong("comparisons can't be chained: put \"and\" between them");
        return node;
    }

    Result<Node> operand() {
        skip_space();
        if (at_ >= text_.size()) return unexpected("a value");
        const char c = text_[at_];
        if (take("(")) {
            ENGRAM_ASSIGN(Node node, disjunction());
            if (!take(")")) return unexpected("\")\"");
            return node;
        }
        if (c == '\'' || c == '"') return quoted(c);
        if (is_digit(c) || c == '-') return number();
        if (take_word("true")) return literal(true);
        if (take_word("false")) return literal(false);
        if (take_word("null")) return literal(nullptr);
        if (is_letter(c)) return named();
        return unexpected("a value");
    }

    static Node literal(OrderedJson value) {
        return Node{.op = Op::literal, .literal = std::move(value), .reference = {}, .operands = {}};
    }

    Result<Node> quoted(char mark) {
        std::string text;
        for (++at_; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == mark) {
                ++at_;
                return literal(std::move(text));
            }
            if (c != '\\') {
                text += c;
                continue;
            }
            ++at_;
            if (at_ >= text_.size()) break;
            const char escaped = text_[at_];
            if (escaped == 'n') {
                text += '\n';
            } else if (escaped == 't') {
                text += '\t';
            } else if (escaped == '\\' || escaped == '\'' || escaped == '"') {
                text += escaped;
            } else {
                return wrong("a backslash in a text must be one of \\n, \\t, \\\\, \\' and \\\"");
            }
        }
        return wrong("a text isn't closed by its quotation mark");
    }

    Result<Node> number() {
        const char *begin = text_.data() + at_;
        const char *end = text_.data() + text_.size();
        double real = 0;
        const auto read = std::from_chars(begin, end, real);
        if (read.ec != std::errc() || read.ptr == begin || !is_digit(*(read.ptr - 1))) return unexpected("a number");
        std::int64_t whole = 0;
        const auto as_whole = std::from_chars(begin, end, whole);
        at_ += static_cast<std::size_t>(read.ptr - begin);
        if (at_ < text_.size() && is_letter(text_[at_])) return unexpected("an operator");
        if (as_whole.ec == std::errc() && as_whole.ptr == read.ptr) return literal(whole);
        return literal(real);
    }

    std::string name() {
        const std::size_t begin = at_;
        while (at_ < text_.size() && goes_on_with(text_[at_])) ++at_;
        return std::string(text_.substr(begin, at_ - begin));
    }

    Result<Node> named() {
        const std::size_t begin = at_;
        std::string first = name();
        if (std::ranges::contains(kOperators, first)) {
            at_ = begin;
            return unexpected("a value");
        }
        if (take("(")) {
            const bool joins = first == "join";
            if (!joins && first != "length") {
                at_ = begin;
                return wrong(std::format("there is no function \"{}\": there are length and join", first));
            }
            return call(joins ? Op::join : Op::length, first, joins ? 2 : 1);
        }
        Node node{.op = Op::reference, .literal = {}, .reference = {}, .operands = {}};
        node.reference.emplace_back(std::move(first));
        for (;;) {
            if (at_ < text_.size() && text_[at_] == '.') {
                ++at_;
                if (at_ >= text_.size() || !is_letter(text_[at_])) return unexpected("a name");
                node.reference.emplace_back(name());
            } else if (at_ < text_.size() && text_[at_] == '[') {
                ++at_;
                std::size_t index = 0;
                const auto read = std::from_chars(text_.data() + at_, text_.data() + text_.size(), index);
                if (read.ec != std::errc()) return unexpected("an index");
                at_ = static_cast<std::size_t>(read.ptr - text_.data());
                if (!take("]")) return unexpected("\"]\"");
                node.reference.emplace_back(index);
            } else {
                return node;
            }
        }
    }

    Result<Node> call(Op op, const std::string &name, std::size_t arguments) {
        Node node{.op = op, .literal = {}, .reference = {}, .operands = {}};
        do {
            ENGRAM_ASSIGN(Node argument, disjunction());
            node.operands.push_back(std::move(argument));
        } while (take(","));
        if (!take(")")) return unexpected("\")\"");
        if (node.operands.size() != arguments) {
            return wrong(
                std::format("{} takes {} argument{}, not {}", name, arguments, arguments == 1 ? "" : "s", node.operands.size()));
        }
        return node;
    }

    const std::string_view text_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
};

void collect(const Node &node, std::vector<Reference> &into) {
    if (node.op == Op::reference) into.push_back(node.reference);
    for (const Node &operand : node.operands) collect(operand, into);
}

OrderedJson looked_up(const OrderedJson &scope, const Reference &reference) {
    const OrderedJson *at = &scope;
    for (const PathStep &step : reference) {
        if (const auto *name = std::get_if<std::string>(&step)) {
            if (!at->is_object()) return nullptr;
            const auto found = at->find(*name);
            if (found == at->end()) return nullptr;
            at = &*found;
        } else {
            const std::size_t index = std::get<std::size_t>(step);
            if (!at->is_array() || index >= at->size()) return nullptr;
            at = &(*at)[index];
        }
    }
    return *at;
}

bool contains(const OrderedJson &whole, const OrderedJson &part) {
    if (whole.is_array()) return std::ranges::contains(whole, part);
    if (!part.is_string()) return false;
    const auto &text = part.get_ref<const std::string &>();
    if (whole.is_string()) return whole.get_ref<const std::string &>().contains(text);
    return whole.is_object() && whole.contains(text);
}

// Before, the same, after; nullopt where there is no order.
std::optional<int> order(const OrderedJson &a, const OrderedJson &b) {
    if (a.is_number() && b.is_number()) return a < b ? -1 : (b < a ? 1 : 0);
    if (a.is_string() && b.is_string()) {
        const int compared = a.get_ref<const std::string &>().compare(b.get_ref<const std::string &>());
        return compared < 0 ? -1 : (compared > 0 ? 1 : 0);
    }
    return std::nullopt;
}

bool compared(Op op, const OrderedJson &a, const OrderedJson &b) {
    if (op == Op::equal) return a == b;
    if (op == Op::unequal) return a != b;
    if (op == Op::contains) return contains(a, b);
    const std::optional<int> is = order(a, b);
    if (!is) return false;
    switch (op) {
        case Op::less: return *is < 0;
        case Op::less_equal: return *is <= 0;
        case Op::greater: return *is > 0;
        default: return *is >= 0;
    }
}

std::size_t length_of(const OrderedJson &value) {
    if (!value.is_string()) return value.is_structured() ? value.size() : 0;
    const auto &text = value.get_ref<const std::string &>();
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
    return static_cast<std::size_t>(std::ranges::count_if(text, begins));
}

Result<OrderedJson> joined(const OrderedJson &list, const OrderedJson &between) {
    if (!list.is_array()) return OrderedJson(as_text(list));
    std::string text;
    const std::string separator = as_text(between);
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (i > 0) text += separator;
        text += as_text(list[i]);
        if (text.size() > kMaxTextBytes) return too_long();
    }
    return OrderedJson(std::move(text));
}

Result<OrderedJson> evaluated(const Node &node, const OrderedJson &scope) {
    if (node.op == Op::literal) return node.literal;
    if (node.op == Op::reference) return looked_up(scope, node.reference);
    if (node.op == Op::conjunction || node.op == Op::disjunction) {
        const bool ends = node.op == Op::disjunction;
        for (const Node &operand : node.operands) {
            ENGRAM_ASSIGN(const OrderedJson value, evaluated(operand, scope));
            if (is_true(value) == ends) return OrderedJson(ends);
        }
        return OrderedJson(!ends);
    }
    ENGRAM_ASSIGN(const OrderedJson first, evaluated(node.operands.front(), scope));
    if (node.op == Op::negation) return OrderedJson(!is_true(first));
    if (node.op == Op::length) return OrderedJson(length_of(first));
    ENGRAM_ASSIGN(const OrderedJson second, evaluated(node.operands.back(), scope));
    if (node.op == Op::join) return joined(first, second);
    return OrderedJson(compared(node.op, first, second));
}

}  // namespace

std::string reference_text(std::span<const PathStep> reference) {
    std::string text;
    for (const PathStep &step : reference) {
        if (const auto *name = std::get_if<std::string>(&step)) {
            text += (text.empty() ? "" : ".") + *name;
        } else {
            text += std::format("[{}]", std::get<std::size_t>(step));
        }
    }
    return text;
}

Result<Expression> Expression::parse(std::string_view text) {
    if (text.size() > kMaxExpressionBytes)
        return wrong(std::format("the expression is longer than {} bytes", kMaxExpressionBytes));
    text = trimmed(text);
    if (text.starts_with(kOpening) && text.ends_with(kClosing)) {
        text = text.substr(kOpening.size(), text.size() - kOpening.size() - kClosing.size());
    }
    Expression expression;
    ENGRAM_ASSIGN(expression.root_, Parser(text).all());
    return expression;
}

std::vector<Reference> Expression::references() const {
    std::vector<Reference> references;
    collect(root_, references);
    return references;
}

Result<OrderedJson> Expression::value(const OrderedJson &scope) const { return evaluated(root_, scope); }

bool is_true(const OrderedJson &value) {
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>() != 0;
    if (value.is_string()) return !value.get_ref<const std::string &>().empty();
    return value.is_structured() && !value.empty();
}

Result<Template> Template::parse(std::string_view text) {
    Template parsed;
    std::string plain;
    const auto flush = [&] {
        if (!plain.empty()) parsed.parts_.emplace_back(std::exchange(plain, {}));
    };
    while (!text.empty()) {
        const std::size_t opening = text.find(kOpening);
        if (opening == text.npos) {
            plain += text;
            break;
        }
        plain += text.substr(0, opening);
        text.remove_prefix(opening);
        if (plain.ends_with('$')) {  // $${{ is ${{
            plain.pop_back();
            plain += kOpening;
            text.remove_prefix(kOpening.size());
            continue;
        }
        const std::size_t closing = text.find(kClosing);
        if (closing == text.npos) return wrong("${{ isn't closed by }}");
        auto expression = Expression::parse(text.substr(0, closing + kClosing.size()));
        if (!expression) return std::unexpected(std::move(expression.error()));
        flush();
        parsed.parts_.emplace_back(std::move(*expression));
        text.remove_prefix(closing + kClosing.size());
    }
    flush();
    return parsed;
}

std::vector<Reference> Template::references() const {
    std::vector<Reference> all;
    for (const auto &part : parts_) {
        if (const auto *expression = std::get_if<Expression>(&part))
            std::ranges::move(expression->references(), std::back_inserter(all));
    }
    return all;
}

Result<std::string> Template::text(const OrderedJson &scope) const {
    std::string text;
    for (const auto &part : parts_) {
        if (const auto *expression = std::get_if<Expression>(&part)) {
            ENGRAM_ASSIGN(const OrderedJson value, expression->value(scope));
            text += as_text(value);
        } else {
            text += std::get<std::string>(part);
        }
        if (text.size() > kMaxTextBytes) return too_long();
    }
    return text;
}

}  // namespace engram::workflow
