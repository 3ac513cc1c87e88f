// What a definition as a whole must keep to: references lead somewhere, nodes wait for what they refer to, there is no circle,
// and nobody's memory depends on chance. Internal to parse_definition. Pure.
#pragma once

#include <map>
#include <string>

#include "workflow/definition.h"
#include "workflow/definition_reader.h"

namespace engram::workflow {

struct DefinitionLines {
    std::map<std::string, std::map<std::string, int, std::less<>>, std::less<>> nodes;  // by name and member
    std::map<std::string, int, std::less<>> outputs;
};

// Completes Node::needs with what the nodes refer to.
void check_definition(Definition &definition, const DefinitionLines &lines, Complaints &complaints);

}  // namespace engram::workflow
