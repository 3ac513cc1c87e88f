// Texts of a schema: patterns, formats, lengths.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "chat/json_grammar_builder.h"

namespace engram {
namespace {

// Texts of formats; the parts of them that are easy to say. (The calendar's leap days, for instance, aren't.)
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kFormats{{
    {"date",
     R"((?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))))"},
    {"time", R"((?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)))"},
    {"date-time", ""},  // of the two above
    {"duration",
     R"(P(?:\d{1,9}W|(?:\d{1,9}D|\d{1,9}M(?:\d{1,9}D)?|\d{1,9}Y(?:\d{1,9}M(?:\d{1,9}D)?)?)(?:T\d{1,9}[HMS])?|T\d{1,9}[HMS]))"},
    {"uuid", R"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"},
    {"email", R"([A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*@[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*(?:\.[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*)+)"},
    {"hostname", R"([A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*(?:\.[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*)*)"},
    {"ipv4", R"((?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))"},
    {"ipv6", R"((?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4})"},
    {"uri",
     R"([a-z][a-z0-9+.-]*://[A-Za-z0-9._~-]+(?::\d{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?)"},
}};

// Empty: not known.
std::string format_pattern(std::string_view format) {
    if (format == "date-time") return std::format("^{}T{}$", kFormats[0].second, kFormats[1].second);
    const auto found = std::ranges::find(kFormats, format, &std::pair<std::string_view, std::string_view>::first);
    return found == kFormats.end() ? std::string() : std::format("^(?:{})$", found->second);
}

}  // namespace

Result<void> SchemaRules::Builder::text_automaton(const OrderedJson &plain, const std::string &place,
                                                  std::optional<CharAutomaton> &allowed) const {
    const auto add = [&](const std::string &pattern, const char *keyword) -> Result<void> {
        Result<CharAutomaton> texts = grammar.pattern(pattern);
        if (texts && allowed) texts = CharAutomaton::both(*allowed, *texts);
        if (!texts && refuse && texts.error().code == ErrorCode::invalid_argument) {
            return fail(ErrorCode::invalid_argument,
                        std::format("the schema at {} can't be used: {}", place_of(place, keyword), texts.error().message));
        }
        if (!texts) return cannot(place_of(place, keyword), texts.error().message);
        allowed = *std::move(texts);
        return {};
    };
    if (const OrderedJson *patterns = schema_member(plain, "pattern")) {
        for (const OrderedJson &pattern : *patterns) ENGRAM_TRY(add(pattern.get<std::string>(), "pattern"));
    }
    if (const OrderedJson *formats = schema_member(plain, "format")) {
        for (const OrderedJson &format : *formats) {
            const std::string pattern = format_pattern(format.get<std::string>());
            if (!pattern.empty()) ENGRAM_TRY(add(pattern, "format"));
        }
    }
    return {};
}

SchemaRules::Builder::Lengths SchemaRules::Builder::lengths_of(const OrderedJson &plain, const char *least, const char *most) {
    Lengths lengths;
    lengths.least = static_cast<std::uint64_t>(std::min(std::ceil(plain.value(least, 0.0)), 1e15));
    const OrderedJson *limit = schema_member(plain, most);
    if (limit != nullptr && limit->get<double>() < static_cast<double>(kLongest))
        lengths.most = static_cast<std::uint64_t>(limit->get<double>());
    return lengths;
}

Result<void> SchemaRules::Builder::add_lengths(const OrderedJson &plain, const std::string &place,
                                               std::optional<CharAutomaton> &allowed) const {
    const auto [least, most] = lengths_of(plain, "minLength", "maxLength");
    if (least == 0 && !most) return {};
    auto texts = CharAutomaton::lengths(least, most);
    if (texts && allowed) texts = CharAutomaton::both(*allowed, *texts);
    if (!texts) return cannot(place, std::format("with these lengths {}", texts.error().message));
    allowed = *std::move(texts);
    return {};
}

Result<std::string> SchemaRules::Builder::string_rule(const OrderedJson &plain, const std::string &place) {
    std::optional<CharAutomaton> allowed;
    ENGRAM_TRY(text_automaton(plain, place, allowed));
    if (!allowed) {
        const auto [least, most] = lengths_of(plain, "minLength", "maxLength");
        if (most && *most < least) return std::string();
        if (least > kLongest) return not_enforceable(place_of(place, "minLength"), "no answer is that long");
        if (least == 0 && !most) return grammar.json_string();
        return grammar.rule("text", std::format(R"("\"" {} "\"")", grammar.repeated(grammar.json_char(), least, most)));
    }
    ENGRAM_TRY(add_lengths(plain, place, allowed));
    if (allowed->empty()) return std::string();
    return std::format(R"("\"" {} "\"")", grammar.texts(*allowed, Spelling::json, "text"));
}

bool SchemaRules::Builder::fits(const OrderedJson &plain, const std::string &text, const std::optional<CharAutomaton> &allowed) {
    const auto length = static_cast<double>(characters(text).size());
    return length >= plain.value("minLength", 0.0) && length <= plain.value("maxLength", length) &&
           (!allowed || allowed->accepts(text));
}

}  // namespace engram
