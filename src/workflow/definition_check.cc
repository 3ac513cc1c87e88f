#include "workflow/definition_check.h"

#include <algorithm>
#include <array>
#include <format>
#include <set>

namespace engram::workflow {
namespace {

constexpr auto kMembers = std::to_array<std::string_view>({"text", "json", "agent", "state"});
constexpr auto kListMembers = std::to_array<std::string_view>({"texts", "jsons", "agents", "state"});

const std::string *name_at(const Reference &reference, std::size_t index) {
    return index < reference.size() ? std::get_if<std::string>(&reference[index]) : nullptr;
}

class Checker {
  public:
    Checker(Definition &definition, const DefinitionLines &lines, Complaints &complaints)
        : definition_(definition), lines_(lines), complaints_(complaints) {}

    void check() {
        if (definition_.nodes.size() > kMaxNodes) {
            complaints_.add(definition_.nodes[kMaxNodes].line, std::format("there are more than {} nodes", kMaxNodes));
            return;
        }
        for (Node &node : definition_.nodes) check_node(node);
        for (const Output &output : definition_.outputs) {
            for (const Reference &reference : output.text.references()) {
                const auto line = lines_.outputs.find(output.name);
                check_reference(reference, nullptr, {line->second, std::format("output {}", output.name)});
            }
        }
        if (find_circles()) check_memories();
    }

  private:
    struct Place {
        int line = 1;
        std::string what;
    };

    int line_of(const Node &node, std::string_view member) const {
        const auto found = lines_.nodes.find(node.name);
        if (found == lines_.nodes.end()) return node.line;
        const auto line = found->second.find(member);
        return line == found->second.end() ? node.line : line->second;
    }

    void complain(const Place &place, std::string_view sentence) {
        complaints_.add(place.line, std::format("{}: {}", place.what, sentence));
    }

    void check_node(Node &node) {
        std::set<std::string> needs;
        for (const std::string &need : node.needs) {
            if (definition_.find(need) == nullptr) {
                complain({line_of(node, "needs"), std::format("node {}", node.name)},
                         std::format("needs the node \"{}\", which there isn't", need.substr(0, 80)));
            } else {
                needs.insert(need);
            }
        }
        const auto take = [&](const std::vector<Reference> &references, std::string_view member, bool within) {
            for (const Reference &reference : references) {
                const Place place{line_of(node, member), std::format("node {}, {}", node.name, member)};
                check_reference(reference, within && node.for_each ? &node : nullptr, place);
                const std::string *root = name_at(reference, 0), *name = name_at(reference, 1);
                if (root != nullptr && *root == "nodes" && name != nullptr && definition_.find(*name) != nullptr)
                    needs.insert(*name);
            }
        };
        take(node.text.references(), node.asks() ? "prompt" : "text", true);
        if (node.when) take(node.when->references(), "when", false);
        if (node.for_each) take(node.for_each->references(), "for_each", false);
        if (needs.contains(node.name)) {
            complain({node.line, std::format("node {}", node.name)}, "it refers to itself");
            needs.erase(node.name);
        }
        node.needs.clear();
        for (const Node &other : definition_.nodes) {
            if (needs.contains(other.name)) node.needs.push_back(other.name);
        }
    }

    // `within`: the node whose for_each gives item and index; null: there is none.
    void check_reference(const Reference &reference, const Node *within, const Place &place) {
        const std::string text = reference_text(reference);
        const std::string &root = *name_at(reference, 0);  // the parser begins a reference with a name
        if (root == "item") {
            if (within == nullptr) complain(place, "item stands only in the prompt or text of a node with for_each");
        } else if (root == "index") {
            if (within == nullptr) complain(place, "index stands only in the prompt or text of a node with for_each");
            if (within != nullptr && reference.size() > 1) complain(place, std::format("{}: index is a number", text));
        } else if (root == "inputs") {
            const std::string *name = name_at(reference, 1);
            if (name == nullptr) {
                complain(place, std::format("{}: an input must be named, as in inputs.topic", text));
            } else if (!std::ranges::contains(definition_.inputs, *name, &Input::name)) {
                complain(place, std::format("{}: there is no such input", text));
            }
        } else if (root == "nodes") {
            check_result(reference, text, place);
        } else {
            complain(place, std::format("{}: a reference begins with inputs, nodes, item or index", text));
        }
    }

    void check_result(const Reference &reference, const std::string &text, const Place &place) {
        const std::string *name = name_at(reference, 1), *member = name_at(reference, 2);
        if (name == nullptr || member == nullptr) {
            return complain(place, std::format("{}: a node's result must be named, as in nodes.review.text", text));
        }
        const Node *node = definition_.find(*name);
        if (node == nullptr) return complain(place, std::format("{}: there is no such node", text));
        const std::span<const std::string_view> members = node->for_each ? std::span(kListMembers) : std::span(kMembers);
        if (!std::ranges::contains(members, *member)) {
            return complain(place, node->for_each
                                       ? std::format("{}: a node with for_each has texts, jsons, agents and state", text)
                                       : std::format("{}: a node has text, json, agent and state", text));
        }
        const bool json = *member == "json" || *member == "jsons";
        if (json && !node->json) return complain(place, std::format("{}: the node's format isn't json", text));
        if ((*member == "agent" || *member == "agents") && !node->asks()) {
            return complain(place, std::format("{}: the node has no agent", text));
        }
        if (!json && *member != "texts" && *member != "agents" && reference.size() > 3) {
            return complain(place, std::format("{}: {} is a text", text, *member));
        }
        if (*member == "json" && !node->schema.empty()) check_schema_member(*node, reference, text, place);
    }

    // Of a schema that says which members there are, and that there are no others.
    void check_schema_member(const Node &node, const Reference &reference, const std::string &text, const Place &place) {
        const std::string *member = name_at(reference, 3);
        if (member == nullptr) return;
        const OrderedJson schema = OrderedJson::parse(node.schema, nullptr, false);
        if (!schema.is_object() || !schema.contains("properties") || !schema["properties"].is_object()) return;
        if (schema.contains("allOf") || schema.contains("anyOf") || schema.contains("oneOf") || schema.contains("$ref")) return;
        const bool others = schema.contains("additionalProperties") && schema["additionalProperties"] != OrderedJson(false);
        if (!others && !schema.contains("patternProperties") && !schema["properties"].contains(*member)) {
            complain(place, std::format("{}: the schema of {} has no \"{}\"", text, node.name, *member));
        }
    }

    // False, with a complaint for each node that waits for itself in a circle.
    bool find_circles() {
        std::map<std::string, std::size_t> open;
        std::vector<const Node *> ready;
        for (const Node &node : definition_.nodes) {
            open[node.name] = node.needs.size();
            if (node.needs.empty()) ready.push_back(&node);
        }
        while (!ready.empty()) {
            const Node &done = *ready.back();
            ready.pop_back();
            order_.push_back(&done);
            for (const Node &node : definition_.nodes) {
                if (std::ranges::contains(node.needs, done.name) && --open[node.name] == 0) ready.push_back(&node);
            }
        }
        if (order_.size() == definition_.nodes.size()) return true;
        std::string names;
        int line = 0;
        for (const Node &node : definition_.nodes) {
            if (open[node.name] == 0) continue;
            if (line == 0) line = node.line;
            names += (names.empty() ? "" : ", ") + node.name;
        }
        complaints_.add(line, std::format("these nodes wait for each other in a circle, or for one that does: {}", names));
        return false;
    }

    // Two nodes that keep one agent's memory must have an order; so must the elements of one.
    void check_memories() {
        std::map<std::string, std::set<std::string>> before;  // all that a node waits for, directly or not
        for (const Node *node : order_) {
            std::set<std::string> &all = before[node->name];
            for (const std::string &need : node->needs) {
                all.insert(need);
                all.insert(before[need].begin(), before[need].end());
            }
        }
        std::map<std::string, std::vector<const Node *>> keepers;
        for (const Node &node : definition_.nodes) {
            const Place place{line_of(node, "memory"), std::format("node {}", node.name)};
            if (!node.asks() || node.memory != MemoryUse::keep) continue;
            if (node.for_each && node.parallel != 1) {
                complain(place, "with memory: keep the elements of for_each must come one after the other: parallel: 1");
            }
            if (node.route) {
                complain(place, "a route has memory: fork, since it isn't known beforehand whose memory it would be");
                continue;
            }
            for (const Node *other : keepers[node.agent]) {
                if (before[node.name].contains(other->name) || before[other->name].contains(node.name)) continue;
                complain({node.line, place.what},
                         std::format("it and {} add to the memory of {}, and neither waits for the other: put one into the "
                                     "other's needs, or give one memory: fork",
                                     other->name, node.agent));
            }
            keepers[node.agent].push_back(&node);
        }
    }

    Definition &definition_;
    const DefinitionLines &lines_;
    Complaints &complaints_;
    std::vector<const Node *> order_;
};

}  // namespace

void check_definition(Definition &definition, const DefinitionLines &lines, Complaints &complaints) {
    Checker(definition, lines, complaints).check();
}

}  // namespace engram::workflow
