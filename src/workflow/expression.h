// Expressions over a run's inputs and results (docs/WORKFLOWS.md): conditions, lists, and what stands in a template between ${{
// and }}. They are total: parsed once, they always have a value, without effects. Pure; foreign text, bounded in size and depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/error.h"

namespace engram::workflow {

inline constexpr std::size_t kMaxExpressionBytes = 4096;
inline constexpr std::size_t kMaxExpressionDepth = 32;
inline constexpr std::size_t kMaxTextBytes = 1UZ << 20U;  // of what a template or join() becomes

// inputs.topic, nodes.review.json.list[0]: names, and indices of lists.
using PathStep = std::variant<std::string, std::size_t>;
using Reference = std::vector<PathStep>;
std::string reference_text(std::span<const PathStep> reference);

class Expression {
  public:
    // invalid_argument: a sentence about what is wrong where, without the text's place. "${{ … }}" around all of it is left out.
    static Result<Expression> parse(std::string_view text);

    std::vector<Reference> references() const;
    // `scope`: an object that references begin in; what isn't there is null. too_long: a text of more than kMaxTextBytes.
    Result<OrderedJson> value(const OrderedJson &scope) const;

    enum class Op : std::uint8_t {
        literal,
        reference,
        negation,
        conjunction,
        disjunction,
        equal,
        unequal,
        less,
        less_equal,
        greater,
        greater_equal,
        contains,
        length,
        join
    };
    struct Node {
        Op op = Op::literal;
        OrderedJson literal;
        Reference reference;
        std::vector<Node> operands;
    };

  private:
    Node root_;
};

// null, false, 0, and empty texts, lists and objects aren't.
bool is_true(const OrderedJson &value);

// A text with expressions in it.
class Template {
  public:
    static Result<Template> parse(std::string_view text);  // as Expression::parse

    std::vector<Reference> references() const;
    Result<std::string> text(const OrderedJson &scope) const;  // too_long

  private:
    std::vector<std::variant<std::string, Expression>> parts_;
};

}  // namespace engram::workflow
