#include "workflow/definition.h"

#include <algorithm>
#include <array>
#include <format>
#include <map>
#include <optional>

#include "chat/json_grammar.h"
#include "core/ids.h"
#include "workflow/definition_check.h"
#include "workflow/definition_reader.h"

namespace engram::workflow {
namespace {

constexpr auto kInputTypes = std::to_array<std::pair<std::string_view, InputType>>({{"text", InputType::text},
                                                                                    {"number", InputType::number},
                                                                                    {"boolean", InputType::boolean},
                                                                                    {"list", InputType::list},
                                                                                    {"json", InputType::json}});

// What a value is as an input of this type; nullopt: it isn't one. Texts come from the command line as well, where all are texts.
using Typed = std::optional<OrderedJson>;
Typed as_input(InputType type, const OrderedJson &value) {
    const auto is = [&](bool right) { return right ? Typed(std::in_place, value) : Typed(); };
    switch (type) {
        case InputType::text:
            if (value.is_number() || value.is_boolean()) return Typed(std::in_place, value.dump());
            return is(value.is_string());
        case InputType::number:
            if (value.is_number()) return is(true);
            break;
        case InputType::boolean:
            if (value.is_boolean()) return is(true);
            break;
        case InputType::list:
            if (value.is_array()) return is(true);
            break;
        case InputType::json:
            if (!value.is_string()) return is(true);
            break;
    }
    if (!value.is_string()) return std::nullopt;
    const auto read = parse_bounded_json(value.get_ref<const std::string &>(), kMaxTextBytes);
    if (!read) return std::nullopt;
    if (type == InputType::json) return Typed(std::in_place, *read);
    return read->is_string() ? Typed() : as_input(type, *read);
}

class DefinitionReader {
  public:
    explicit DefinitionReader(std::string_view file) : complaints_(file) {}

    Result<Definition> read(const YamlValue &root) {
        const MapReader map(root, "the workflow", complaints_);
        if (map.only({"name", "description", "inputs", "agents", "parallel", "timeout", "nodes", "outputs"})) {
            definition_.name = map.text("name").value_or("");
            if (!map.has("name")) {
                map.complain(root.line, "needs a name");
            } else if (auto valid = validate_agent_id(definition_.name); !valid) {
                map.wrong("name", "1 to 128 of A-Z a-z 0-9 . _ -, not beginning with a dot");
            }
            definition_.description = map.text("description").value_or("");
            definition_.parallel = static_cast<std::uint32_t>(map.whole("parallel", 1, 64).value_or(8));
            definition_.timeout = map.time("timeout").value_or(std::chrono::milliseconds(0));
            each(map, "inputs", "input", [&](const YamlMember &member) { read_input(member); });
            each(map, "agents", "", [&](const YamlMember &member) { read_agent(member); });
            if (definition_.agents.size() > kMaxAgents) {
                map.complain(map.line_of("agents"), std::format("there are more than {} agents", kMaxAgents));
            }
            each(map, "nodes", "node", [&](const YamlMember &member) { read_node(member); });
            each(map, "outputs", "output", [&](const YamlMember &member) { read_output(map, member); });
            if (!map.has("nodes")) map.complain(root.line, "needs nodes");
        }
        check_definition(definition_, lines_, complaints_);
        if (!complaints_.empty()) return std::unexpected(complaints_.error());
        return std::move(definition_);
    }

  private:
    // The members of a map under `key`; their names must be names, where they are called something.
    template <typename Take>
    void each(const MapReader &map, std::string_view key, std::string_view called, const Take &take) {
        const YamlValue *value = map.find(key);
        if (value == nullptr) return;
        if (value->kind != YamlValue::Kind::map || value->members.empty()) {
            map.wrong(key, "a map with something in it");
            return;
        }
        for (const YamlMember &member : value->members) {
            if (!called.empty() && !is_name(member.key)) {
                complaints_.add(member.line, std::format("\"{}\" can't be the name of {} {}: it must be a letter, and at most 47 "
                                                         "letters, digits, _ or - behind it",
                                                         member.key.substr(0, 80), called == "node" ? "a" : "an", called));
                continue;
            }
            take(member);
        }
    }

    void read_input(const YamlMember &member) {
        Input input{.name = member.key, .type = InputType::text, .description = {}, .otherwise = {}};
        if (member.value.kind == YamlValue::Kind::null) {  // "topic:" is a text that must be given
            definition_.inputs.push_back(std::move(input));
            return;
        }
        const MapReader map(member.value, std::format("input {}", member.key), complaints_);
        if (!map.only({"type", "default", "description"})) return;
        input.description = map.text("description").value_or("");
        if (const auto type = map.text("type")) {
            const auto found = std::ranges::find(kInputTypes, *type, &std::pair<std::string_view, InputType>::first);
            if (found == kInputTypes.end()) {
                map.wrong("type", "text, number, boolean, list or json");
            } else {
                input.type = found->second;
            }
        }
        if (const YamlValue *otherwise = map.find("default")) {
            const Typed typed = as_input(input.type, yaml_json(*otherwise));
            if (typed) {
                input.otherwise.emplace(*typed);
            } else {
                map.wrong("default", std::format("of the type {}", input_type_name(input.type)));
            }
        }
        definition_.inputs.push_back(std::move(input));
    }

    void read_agent(const YamlMember &member) {
        const std::string what = std::format("agent {}", member.key.substr(0, 80));
        const MapReader map(member.value, what, complaints_);
        if (auto valid = validate_agent_id(member.key); !valid) map.complain(member.line, valid.error().message);
        if (!map.only({"system_prompt", "description", "labels", "skills"})) return;
        AgentSpec spec;
        spec.id = member.key;
        spec.system_prompt = map.text("system_prompt").value_or("");
        spec.description = map.text("description").value_or("");
        spec.card.labels = map.texts("labels");
        for (std::string &skill : map.texts("skills")) {
            if (skill.empty() || skill.size() > 128 || std::ranges::contains(spec.card.skills, skill, &AgentSkill::id)) {
                map.wrong("skills", "different texts of 1 to 128 bytes");
                break;
            }
            spec.card.skills.push_back({.id = skill, .name = skill, .description = {}, .tags = {}, .examples = {}});
        }
        definition_.agents.push_back(std::move(spec));
    }

    void read_node(const YamlMember &member) {
        Node node;
        node.name = member.key;
        node.line = member.line;
        const MapReader map(member.value, std::format("node {}", member.key), complaints_);
        if (!map.only({"agent", "route", "text", "prompt", "needs", "when", "for_each", "parallel", "retry", "timeout", "memory",
                       "format", "schema", "max_tokens", "temperature", "seed"})) {
            return;
        }
        read_kind(map, node);
        node.needs = map.texts("needs");
        if (map.has("when")) node.when = map.expression("when");
        if (map.has("for_each")) node.for_each = map.expression("for_each");
        node.parallel = static_cast<std::uint32_t>(map.whole("parallel", 1, 64).value_or(0));
        if (map.has("parallel") && !map.has("for_each")) map.complain(map.line_of("parallel"), "parallel is of for_each");
        node.timeout = map.time("timeout").value_or(std::chrono::milliseconds(0));
        read_retry(map, node);
        read_memory(map, node);
        read_answer(map, node);
        if (!node.asks()) {
            for (const std::string_view key :
                 {"retry", "timeout", "memory", "format", "schema", "max_tokens", "temperature", "seed"}) {
                if (map.has(key)) map.complain(map.line_of(key), std::format("{} is of nodes that ask an agent", key));
            }
        }
        lines_.nodes.emplace(node.name, lines_of(map));
        definition_.nodes.push_back(std::move(node));
    }

    static std::map<std::string, int, std::less<>> lines_of(const MapReader &map) {
        std::map<std::string, int, std::less<>> lines;
        for (const std::string_view key :
             {"agent", "route", "text", "prompt", "needs", "when", "for_each", "parallel", "memory"}) {
            lines.emplace(key, map.line_of(key));
        }
        return lines;
    }

    void read_kind(const MapReader &map, Node &node) {
        const int kinds =
            static_cast<int>(map.has("agent")) + static_cast<int>(map.has("route")) + static_cast<int>(map.has("text"));
        if (kinds != 1) map.complain(node.line, "needs one of agent, route and text, and no two of them");
        if (map.has("agent")) {
            node.agent = map.text("agent").value_or("?");
            if (auto valid = validate_agent_id(node.agent); !valid) map.complain(map.line_of("agent"), valid.error().message);
        }
        if (const YamlValue *value = map.find("route")) {
            const MapReader route(*value, std::format("node {}, route", node.name), complaints_);
            node.route.emplace();
            if (route.only({"agents", "skill", "label", "words"})) {
                node.route->agents = route.texts("agents");
                node.route->skill = route.text("skill").value_or("");
                node.route->label = route.text("label").value_or("");
                node.route->words = route.text("words").value_or("");
                if (value->members.empty()) route.complain(value->line, "needs agents, a skill, a label or words");
            }
        }
        const bool asks = map.has("agent") || map.has("route");
        if (asks && !map.has("prompt")) map.complain(node.line, "needs a prompt");
        if (!asks && map.has("prompt")) map.complain(map.line_of("prompt"), "a prompt is of nodes that ask an agent");
        if (auto text = map.text_template(asks ? "prompt" : "text")) node.text = std::move(*text);
    }

    void read_retry(const MapReader &map, Node &node) {
        const YamlValue *value = map.find("retry");
        if (value == nullptr) return;
        const MapReader retry(*value, std::format("node {}, retry", node.name), complaints_);
        if (!retry.only({"times", "wait"})) return;
        node.retry.times = static_cast<std::uint32_t>(retry.whole("times", 0, 10).value_or(1));
        node.retry.wait = retry.time("wait").value_or(node.retry.wait);
    }

    void read_memory(const MapReader &map, Node &node) {
        node.memory = map.has("for_each") || map.has("route") ? MemoryUse::fork : MemoryUse::keep;
        const auto memory = map.text("memory");
        if (!memory) return;
        if (*memory != "keep" && *memory != "fork") map.wrong("memory", "keep or fork");
        node.memory = *memory == "fork" ? MemoryUse::fork : MemoryUse::keep;
    }

    void read_answer(const MapReader &map, Node &node) {
        const auto format = map.text("format");
        if (format && *format != "text" && *format != "json") map.wrong("format", "text or json");
        node.json = format == "json";
        if (const YamlValue *schema = map.find("schema")) {
            if (format == "text") map.complain(map.line_of("schema"), "a schema is of the format json");
            node.json = true;
            const OrderedJson json = yaml_json(*schema);
            node.schema = json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
            if (auto grammar = json_schema_grammar(node.schema); !grammar) {
                map.complain(schema->line, std::format("schema: {}", grammar.error().message));
            }
        }
        node.max_tokens = static_cast<std::uint32_t>(map.whole("max_tokens", 1, 1 << 20).value_or(1024));
        node.sampling.temperature = static_cast<float>(map.number("temperature", 0, 5).value_or(0));
        node.sampling.seed = static_cast<std::uint32_t>(map.whole("seed", 0, 0xFFFFFFFE).value_or(0));
    }

    void read_output(const MapReader &map, const YamlMember &member) {
        const MapReader outputs(*map.find("outputs"), "outputs", complaints_);
        if (auto text = outputs.text_template(member.key)) {
            lines_.outputs.emplace(member.key, member.line);
            definition_.outputs.push_back({.name = member.key, .text = std::move(*text)});
        }
    }

    Complaints complaints_;
    Definition definition_;
    DefinitionLines lines_;
};

}  // namespace

std::string_view input_type_name(InputType type) {
    return std::ranges::find(kInputTypes, type, &std::pair<std::string_view, InputType>::second)->first;
}

const Node *Definition::find(std::string_view node) const {
    const auto found = std::ranges::find(nodes, node, &Node::name);
    return found == nodes.end() ? nullptr : &*found;
}

Result<Definition> parse_definition(std::string_view yaml, std::string_view file) {
    ENGRAM_ASSIGN(const YamlValue root, parse_yaml(yaml, file));
    return DefinitionReader(file).read(root);
}

Result<OrderedJson> complete_inputs(const Definition &definition, const OrderedJson &given) {
    if (!given.is_object()) return fail(ErrorCode::invalid_argument, "a workflow's inputs must be an object");
    for (const auto &[name, value] : given.items()) {
        if (!std::ranges::contains(definition.inputs, name, &Input::name)) {
            return fail(ErrorCode::invalid_argument, std::format("the workflow {} has no input \"{}\"", definition.name, name));
        }
    }
    OrderedJson inputs = OrderedJson::object();
    for (const Input &input : definition.inputs) {
        const auto found = given.find(input.name);
        if (found == given.end()) {
            if (!input.otherwise) {
                return fail(ErrorCode::invalid_argument,
                            std::format("the workflow {} needs the input \"{}\"{}", definition.name, input.name,
                                        input.description.empty() ? "" : std::format(" ({})", input.description)));
            }
            inputs[input.name] = *input.otherwise;
            continue;
        }
        const Typed value = as_input(input.type, *found);
        if (!value) {
            return fail(ErrorCode::invalid_argument,
                        std::format("the input \"{}\" must be of the type {}", input.name, input_type_name(input.type)));
        }
        inputs[input.name] = *value;
    }
    if (inputs.dump(-1, ' ', false, OrderedJson::error_handler_t::replace).size() > kMaxTextBytes) {
        return fail(ErrorCode::invalid_argument, std::format("the inputs are longer than {} bytes", kMaxTextBytes));
    }
    return inputs;
}

}  // namespace engram::workflow
