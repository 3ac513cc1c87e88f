// JSON schemas (2020-12 and the older drafts that are about) brought into one plain form, in which references and allOf are
// resolved. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/error.h"

namespace engram {

class SchemaDocument {
  public:
    // `root` must outlive the document: references are looked up in it.
    explicit SchemaDocument(const OrderedJson &root) : root_(root) {}

    // `false` where the schema allows nothing; else an object with what is to be enforced, all of it at once:
    //     type              a list of names
    //     enum              const is one of one value
    //     pattern, format   lists: all of them hold
    //     anyOf             one of them holds too; also made of oneOf, whose "not two of them" is left to the model
    //     prefixItems, items, minItems, maxItems, uniqueItems, contains
    //     properties, patternProperties, additionalProperties, required, minProperties, maxProperties, propertyNames
    //     minimum, maximum, exclusiveMinimum, exclusiveMaximum (numbers), multipleOf, minLength, maxLength
    //     not, if, dependentRequired, dependentSchemas, dependencies, unevaluatedItems, unevaluatedProperties
    // Other members say nothing about what is valid, and are left out.
    //
    // invalid_argument: it is no schema, or refers to what isn't there or to itself. unsupported: a reference to another
    // document, too long lists, or too many combinations: references may multiply, so all that one document is asked for has a
    // common limit, which grows with its size.
    Result<OrderedJson> flat(const OrderedJson &schema) const;

  private:
    Result<OrderedJson> flat(const OrderedJson &schema, std::size_t depth) const;
    Result<OrderedJson> referred(const std::string &reference) const;
    Result<void> spend(const OrderedJson &looked_at) const;

    const OrderedJson &root_;
    // One thread at a time.
    mutable std::size_t spent_ = 0;  // values that were looked at
    mutable std::size_t most_ = 0;   // that may be; 0: not counted yet
};

const OrderedJson *schema_member(const OrderedJson &schema, const char *name);  // null: not there

}  // namespace engram
