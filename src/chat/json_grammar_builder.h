// The inside of SchemaRules (json_grammar.h): what json_grammar.cc, json_grammar_object.cc and json_grammar_text.cc share.
#pragma once

#include <cstdint>
#include <format>
#include <limits>
#include <set>

#include "chat/json_grammar.h"

namespace engram {

inline constexpr std::uint64_t kLongest = 1'000'000;  // no answer is longer: a larger maximum says nothing

struct SchemaRules::Builder {
    // What is known of a rule.
    struct Value {
        std::string rule;                                           // empty: nothing is allowed
        bool object = false, list = false;                          // among other things
        std::set<std::string> first_keys;                           // of the object: names, or names with a value; "*": any other
        std::size_t ways = 1;                                       // to read one text with it, at most
        std::size_t low = std::numeric_limits<std::size_t>::max();  // the outermost rule around it that it contains
    };
    // One alternative, and the rules that it can't do without.
    struct Way {
        std::string text;
        std::vector<std::string> needs;
    };
    struct Known {
        Value value;
        bool open = false;
        std::size_t depth = 0, level = 0;
    };
    struct Property {
        std::string name;
        std::string rule;
        bool required = false;
    };
    struct Extra {  // members beyond the listed ones
        std::string rule;
        std::string needs;
    };

    Grammar &grammar;
    const OrderedJson &root;
    SchemaDocument document;
    bool refuse = true;
    std::map<std::string, Known> known;                                  // by the schema's text
    std::map<std::string, std::vector<std::vector<std::string>>> needs;  // of rules
    std::size_t nodes = 0;
    std::size_t depth = 0;  // rules that are being made
    std::size_t level = 0;  // objects and lists around

    Builder(Grammar &into, const OrderedJson &schema, Unenforceable unenforceable)
        : grammar(into), root(schema), document(schema), refuse(unenforceable == Unenforceable::refuse) {}

    Result<OrderedJson> flat(const OrderedJson &schema, const std::string &place) const;
    // Nothing where it is to be ignored.
    Result<void> cannot(const std::string &place, std::string_view what) const;
    Result<std::string> top(const OrderedJson &schema, const std::string &place);
    // Each rule must have a text that ends: one that needs itself hasn't.
    Result<void> check_ends(const std::string &place) const;
    Result<Value> value(const OrderedJson &schema, const std::string &place);
    static void take(Value &whole, const Value &part);
    Result<std::vector<Way>> alternatives(const OrderedJson &plain, const std::string &place, Value &self);
    Result<void> check_enforceable(const OrderedJson &plain, const std::string &place) const;
    Result<std::vector<Way>> choices(const OrderedJson &plain, const std::string &place, Value &self);
    // Whether a text could begin as both, and go on into what they contain.
    static bool look_alike(const Value &a, const Value &b);
    // The values of an enumeration, as far as the rest of the schema allows them.
    Result<std::vector<Way>> values(const OrderedJson &plain, const std::string &place);
    static bool fits(const OrderedJson &plain, const std::string &text, const std::optional<CharAutomaton> &allowed);
    Result<std::optional<Way>> of_type(const std::string &type, const OrderedJson &plain, const std::string &place, Value &self);
    // What patterns and formats allow; nothing: any text.
    Result<void> text_automaton(const OrderedJson &plain, const std::string &place, std::optional<CharAutomaton> &allowed) const;
    struct Lengths {
        std::uint64_t least = 0;
        std::optional<std::uint64_t> most;
    };
    static Lengths lengths_of(const OrderedJson &plain, const char *least, const char *most);
    // With lengths, where there are some.
    Result<void> add_lengths(const OrderedJson &plain, const std::string &place, std::optional<CharAutomaton> &allowed) const;
    // Empty: no text is allowed.
    Result<std::string> string_rule(const OrderedJson &plain, const std::string &place);
    Result<std::optional<Way>> list_way(const OrderedJson &plain, const std::string &place, Value &self);
    Result<std::optional<Way>> object_way(const OrderedJson &plain, const std::string &place, Value &self);
    Result<std::optional<std::vector<Property>>> properties_of(const OrderedJson &plain, const std::string &place, Value &self);
    Result<std::vector<Extra>> extras_of(const OrderedJson &plain, const std::string &place, Value &self);
    Result<OrderedJson> with_patterns(const OrderedJson &plain, const std::string &name, OrderedJson schema,
                                      const std::string &place) const;
    Result<void> describe(const OrderedJson &plain, Value &self) const;
    std::string members_text(const std::vector<Property> &properties, const std::string &extra, bool one_at_least);
};

std::string place_of(std::string_view place, std::string_view name);  // "#/properties" and "x"
std::unexpected<Error> not_enforceable(std::string_view place, std::string_view what);
std::vector<std::string> types_of(const OrderedJson &flat);  // also those that a schema without "type" speaks of

}  // namespace engram
