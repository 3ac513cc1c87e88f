// Grammars of JSON texts: of any object, or of the values that a JSON schema allows, so that what is sampled with one is valid by
// construction.
//
// Enforced: type (also lists of types), enum, const, nullable; properties, required, additionalProperties, patternProperties;
// items, prefixItems, minItems, maxItems; minLength, maxLength, pattern and format (date, time, date-time, duration, uuid, email,
// hostname, ipv4, ipv6, uri); minimum, maximum and their exclusive forms; anyOf, oneOf (as anyOf), allOf; $ref into the same
// document, also recursive.
//
// A grammar allows a part of what the schema does, where all of it would help nobody: members come in the schema's order, and an
// object with listed properties has others only when additionalProperties says so itself; a schema without a type that
// speaks of properties means objects, of items lists, and so on; numbers have at most 15 digits; white space is one space or one
// line's end with an indentation.
//
// Unknown members of a schema and unknown formats say nothing about validity, and are ignored. What can't be enforced (not, if,
// uniqueItems, contains, multipleOf, propertyNames, the dependent… and unevaluated… ones, patterns that aren't regular) is
// refused or ignored, as the caller says. Bounded, and an error beyond: the grammar's size, the number of optional properties of
// one object (256), alternatives that can't be told apart from their first member on and contain one another, so that the ways to
// read a text would multiply. Pure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "chat/gbnf.h"
#include "chat/json_schema.h"
#include "engram/error.h"

namespace engram {

// GBNF for a JSON object, or for what `schema` allows. invalid_argument: it is no schema, or allows nothing. unsupported: it
// can't be enforced. Both name the place: "#/properties/x".
Result<std::string> json_object_grammar();
Result<std::string> json_schema_grammar(std::string_view schema);

enum class Unenforceable : std::uint8_t { refuse, ignore };

// The rules of one schema, within a grammar that may have others. Everything it is given must outlive it.
class SchemaRules {
  public:
    SchemaRules(Grammar &grammar, const OrderedJson &root, Unenforceable unenforceable);
    ~SchemaRules();
    SchemaRules(SchemaRules &&) noexcept;

    // The rule for a value of the root, or of a schema within it. invalid_argument, unsupported: as above.
    Result<std::string> value();
    Result<std::string> value(const OrderedJson &schema, std::string_view place);

    // What an object that the root allows may have, in order.
    struct Member {
        std::string name;
        OrderedJson schema;
        bool required = false;
    };
    Result<std::vector<Member>> members();
    // The rule for a value that stands as raw text before `mark`, for schemas that allow texts only; nullopt: it isn't one.
    Result<std::optional<std::string>> raw_text(const OrderedJson &schema, std::string_view mark, std::string_view place);

  private:
    struct Builder;
    std::unique_ptr<Builder> builder_;
};

// Whether the schema (flat) allows texts, and nothing else.
bool allows_only_texts(const OrderedJson &flat);

}  // namespace engram
