// Fuzz entry of workflow files: a tree within its limits, and a definition that keeps definition.h's promises, or complaints that
// name lines. What the file says as values is the same when it is written as JSON, which is YAML too, and read again.
#include <algorithm>

#include "core/testing/fuzz.h"
#include "workflow/definition.h"
#include "workflow/yaml.h"

namespace {

using namespace engram;
using namespace engram::workflow;
using fuzz::require;

struct Size {
    std::size_t values = 0, depth = 0;
};

Size size_of(const YamlValue &value) {
    Size size{.values = 1, .depth = 1};
    const auto add = [&](const YamlValue &inner) {
        const Size one = size_of(inner);
        size.values += one.values;
        size.depth = std::max(size.depth, one.depth + 1);
    };
    std::ranges::for_each(value.items, add);
    for (const YamlMember &member : value.members) add(member.value);
    return size;
}

void check_tree(const YamlValue &tree) {
    const Size size = size_of(tree);
    require(size.values <= kMaxYamlValues && size.depth <= kMaxYamlDepth + 1);
    const OrderedJson json = yaml_json(tree);
    std::string text;
    try {
        text = json.dump();
    } catch (const OrderedJson::exception &) {
        return;  // texts that aren't UTF-8 have no JSON
    }
    require(OrderedJson::parse(text) == json);
}

bool known(const Definition &definition, const Reference &reference) {
    if (reference.size() < 2 || reference[0] == PathStep("item")) return true;
    const auto *name = std::get_if<std::string>(&reference[1]);
    if (name == nullptr) return true;
    if (reference[0] == PathStep("inputs")) return std::ranges::contains(definition.inputs, *name, &Input::name);
    return reference[0] != PathStep("nodes") || definition.find(*name) != nullptr;
}

void check(const Definition &definition) {
    require(!definition.name.empty() && !definition.nodes.empty() && definition.nodes.size() <= kMaxNodes);
    for (const Node &node : definition.nodes) {
        for (const std::string &need : node.needs) require(need != node.name && definition.find(need) != nullptr);
        for (const Reference &reference : node.text.references()) require(known(definition, reference));
        require(node.agent.empty() || !node.route);
    }
    static_cast<void>(complete_inputs(definition, OrderedJson::object()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    if (const auto tree = parse_yaml(text, "flow.yaml")) {
        check_tree(*tree);
    } else {
        require(tree.error().message.starts_with("flow.yaml:"));
    }
    const auto definition = parse_definition(text, "flow.yaml");
    if (definition) {
        check(*definition);
    } else {
        require(definition.error().message.starts_with("flow.yaml:"));
    }
    return 0;
}
