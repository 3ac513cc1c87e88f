// Fuzz entry of JSON schemas, which come from clients, tool servers and workflow files: each is refused with a sentence, or gives
// a grammar that libllama accepts, whose texts are JSON; and the grammar of a call's texts are read as calls of that tool.
#include <random>

#include "chat/answer_reader.h"
#include "chat/answer_style.h"
#include "chat/bounded_json.h"
#include "chat/json_grammar.h"
#include "chat/testing/gbnf_reader.h"
#include "core/testing/fuzz.h"

namespace {

using namespace engram;
using fuzz::require;
using testing::GbnfGrammar;

constexpr std::size_t kMostBytes = 4096;

void check_schema(std::string_view schema, std::mt19937_64 &random) {
    const auto text = json_schema_grammar(schema);
    if (!text) return require(!text.error().message.empty());
    require(text->size() <= kMaxGrammarBytes + 1024);
    const auto grammar = GbnfGrammar::read(*text);
    require(grammar.has_value());
    for (int i = 0; i < 4; ++i) {
        const auto sampled = grammar->sample(random, kMostBytes);
        if (sampled) require(OrderedJson::accept(*sampled));
    }
}

void check_calls(std::string_view schema, CallForm form, std::mt19937_64 &random) {
    AnswerStyle style = AnswerStyle::common();
    style.form = form;
    const std::vector<ChatTool> tools{{.name = "one", .description = {}, .parameters = std::string(schema)}};
    const auto text = call_grammar(style, tools, true, false);
    if (!text) return require(!text.error().message.empty());
    const auto grammar = GbnfGrammar::read(*text);
    require(grammar.has_value());
    const auto sampled = grammar->sample(random, kMostBytes);
    if (!sampled) return;
    const ParsedAnswer answer = read_answer(style, tools, false, *sampled);
    for (const ToolCall &call : answer.calls) require(call.name == "one");
    const bool has_arguments = form == CallForm::json && sampled->contains(R"("arguments": {)");
    if (has_arguments) require(!answer.calls.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view schema = fuzz::text_of(data, size);
    std::mt19937_64 random(size);
    check_schema(schema, random);
    for (const CallForm form : {CallForm::json, CallForm::function_xml, CallForm::arg_xml}) check_calls(schema, form, random);
    return 0;
}
