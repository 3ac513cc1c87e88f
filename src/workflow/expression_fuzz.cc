// Fuzz entry of expressions and of texts with expressions in them: total, bounded, the same each time, and their references are
// those that they look up.
#include "core/testing/fuzz.h"
#include "workflow/expression.h"

namespace {

using namespace engram;
using namespace engram::workflow;
using fuzz::require;

const OrderedJson &scope() {
    static const OrderedJson kScope =
        OrderedJson::parse(R"({"inputs": {"topic": "trains", "n": 3, "yes": true, "list": ["a", "b", 1],
        "none": null}, "nodes": {"review": {"text": "fine", "json": {"score": 0.5, "list": [{"name": "x"}, {"name": "y"}]}}},
        "item": "a"})");
    return kScope;
}

void check_value(const Result<OrderedJson> &value) {
    if (!value) return require(value.error().code == ErrorCode::too_long);
    static_cast<void>(is_true(*value));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    if (const auto expression = Expression::parse(text)) {
        require(size <= kMaxExpressionBytes);
        const auto value = expression->value(scope());
        check_value(value);
        if (value) require(*value == *expression->value(scope()) || value->is_number_float());
        check_value(expression->value(OrderedJson::object()));
        for (const Reference &reference : expression->references()) {
            const auto again = Expression::parse(reference_text(reference));
            require(again && again->references() == std::vector<Reference>{reference});
        }
    } else {
        require(!expression.error().message.empty());
    }
    if (const auto whole = Template::parse(text)) {
        const auto made = whole->text(scope());
        require(made ? made->size() <= kMaxTextBytes : made.error().code == ErrorCode::too_long);
        if (whole->references().empty() && !text.contains("{{")) require(made && *made == text);
    }
    return 0;
}
