#include "workflow/definition.h"

#include <gtest/gtest.h>

#include <format>
#include <random>

#include "core/testing/test_seed.h"

namespace engram::workflow {
namespace {

constexpr std::string_view kAnalysis = R"(name: analysis
description: Three agents
inputs:
  topic: {description: what is looked into}
  count: {type: number, default: 3}
agents:
  technical: {system_prompt: You judge how things are built., skills: [architecture]}
nodes:
  technical:
    agent: technical
    prompt: "Look at ${{ inputs.topic }}"
    retry: {times: 2, wait: 500ms}
    timeout: 10s
  verdict:
    agent: technical
    when: nodes.technical.text contains 'risk'
    prompt: So?
    schema: {type: object, properties: {good: {type: boolean}}, required: [good]}
    max_tokens: 20
    temperature: 0.5
    seed: 7
  each:
    agent: technical
    for_each: inputs.count
    parallel: 2
    prompt: ${{ item }} ${{ nodes.verdict.json.good }}
  all:
    text: ${{ join(nodes.each.texts, ', ') }}
    needs: [technical]
  who:
    route: {skill: architecture}
    prompt: hello
outputs:
  report: ${{ nodes.all.text }}
)";

std::string complaints_of(std::string_view yaml) {
    const auto definition = parse_definition(yaml, "w.yaml");
    return definition ? "" : definition.error().message;
}

TEST(Definition, IsReadWhole) {
    const auto read = parse_definition(kAnalysis, "w.yaml");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->name, "analysis");
    ASSERT_EQ(read->inputs.size(), 2U);
    EXPECT_EQ(read->inputs[1].type, InputType::number);
    ASSERT_TRUE(read->inputs[1].otherwise);
    EXPECT_EQ(*read->inputs[1].otherwise, OrderedJson(3));
    ASSERT_EQ(read->agents.size(), 1U);
    EXPECT_EQ(read->agents[0].card.skills.at(0).id, "architecture");
    const Node &technical = *read->find("technical");
    EXPECT_EQ(technical.retry.times, 2U);
    EXPECT_EQ(technical.retry.wait, std::chrono::milliseconds(500));
    EXPECT_EQ(technical.timeout, std::chrono::seconds(10));
    EXPECT_EQ(technical.memory, MemoryUse::keep);
    const Node &verdict = *read->find("verdict");
    EXPECT_EQ(verdict.needs, std::vector<std::string>{"technical"});
    EXPECT_TRUE(verdict.json);
    EXPECT_EQ(verdict.schema, R"({"type":"object","properties":{"good":{"type":"boolean"}},"required":["good"]})");
    EXPECT_EQ(verdict.max_tokens, 20U);
    EXPECT_EQ(verdict.sampling.seed, 7U);
    EXPECT_EQ(read->find("each")->memory, MemoryUse::fork);
    EXPECT_EQ(read->find("all")->needs, (std::vector<std::string>{"technical", "each"}));
    EXPECT_EQ(read->find("who")->route->skill, "architecture");
    EXPECT_EQ(read->find("absent"), nullptr);
}

using Cases = std::vector<std::pair<std::string, std::string>>;

// A complaint that ends with ": " is the beginning of what is said.
void expect_complaints(const Cases &cases) {
    for (const auto &[yaml, complaint] : cases) {
        const std::string got = complaints_of(yaml);
        if (complaint.ends_with(": ")) {
            EXPECT_TRUE(got.starts_with(complaint)) << yaml << "\n-> " << got;
        } else {
            EXPECT_EQ(got, complaint) << yaml;
        }
    }
}

const std::string kNode = "name: w\nnodes:\n  a:\n    agent: x\n    prompt: hi\n";

TEST(Definition, ComplainsOfMembers) {
    expect_complaints({
        {"", "w.yaml:1: it is empty"},
        {"- a", "w.yaml:1: the workflow: must be a map, not a list"},
        {"name: w", "w.yaml:1: the workflow: needs nodes"},
        {"nodes: {a: {text: x}}", "w.yaml:1: the workflow: needs a name"},
        {"name: w\nnodes: {}", "w.yaml:2: the workflow: nodes must be a map with something in it"},
        {kNode + "extra: 1", "w.yaml:6: the workflow: there is no member \"extra\""},
        {kNode + "    promt: x", "w.yaml:6: node a: there is no member \"promt\""},
        {kNode + "    prompt: x", "w.yaml:6: not valid YAML: \"prompt\" stands here twice"},
        {kNode + "    text: x", "w.yaml:3: node a: needs one of agent, route and text, and no two of them"},
        {"name: w\nnodes:\n  a: {agent: x}", "w.yaml:3: node a: needs a prompt"},
        {"name: w\nnodes:\n  a: {text: x, prompt: y}", "w.yaml:3: node a: a prompt is of nodes that ask an agent"},
        {"name: w\nnodes:\n  a: {text: x, retry: {times: 1}}", "w.yaml:3: node a: retry is of nodes that ask an agent"},
        {"name: w\nnodes:\n  a: 5", "w.yaml:3: node a: must be a map, not a text or number"},
        {"name: w\nnodes:\n  1a: {text: x}",
         "w.yaml:3: \"1a\" can't be the name of a node: it must be a letter, and at most 47 letters, digits, _ or - behind it"},
        {kNode + "    max_tokens: 0", "w.yaml:6: node a: max_tokens must be a whole number from 1 to 1048576"},
        {kNode + "    timeout: 5", "w.yaml:6: node a: timeout must be a time such as 500ms, 30s, 10m or 2h"},
        {kNode + "    memory: lose", "w.yaml:6: node a: memory must be keep or fork"},
        {kNode + "    format: xml", "w.yaml:6: node a: format must be text or json"},
        {kNode + "    schema: {type: thing}", "w.yaml:6: node a: schema: "},
        {kNode + "    needs: a", "w.yaml:6: node a: needs must be a list of texts, not a text or number"},
        {kNode + "    needs: [b]", "w.yaml:6: node a: needs the node \"b\", which there isn't"},
        {kNode + "    needs: [a]", "w.yaml:3: node a: it refers to itself"},
    });
}

TEST(Definition, ComplainsOfReferencesAndTheWhole) {
    expect_complaints({
        {kNode + "    when: a ==", "w.yaml:6: node a: when: the expression ends where a value should stand"},
        {kNode + "    when: item", "w.yaml:6: node a, when: item stands only in the prompt or text of a node with for_each"},
        {kNode + "    parallel: 2", "w.yaml:6: node a: parallel is of for_each"},
        {kNode + "outputs: {o: \"${{ inputs.x }}\"}", "w.yaml:6: output o: inputs.x: there is no such input"},
        {kNode + "outputs: {o: \"${{ nodes.b.text }}\"}", "w.yaml:6: output o: nodes.b.text: there is no such node"},
        {kNode + "outputs: {o: \"${{ nodes.a }}\"}",
         "w.yaml:6: output o: nodes.a: a node's result must be named, as in nodes.review.text"},
        {kNode + "outputs: {o: \"${{ nodes.a.json }}\"}", "w.yaml:6: output o: nodes.a.json: the node's format isn't json"},
        {kNode + "outputs: {o: \"${{ nodes.a.texts }}\"}",
         "w.yaml:6: output o: nodes.a.texts: a node has text, json, agent and state"},
        {kNode + "outputs: {o: \"${{ nodes.a.text.b }}\"}", "w.yaml:6: output o: nodes.a.text.b: text is a text"},
        {kNode + "outputs: {o: \"${{ topic }}\"}",
         "w.yaml:6: output o: topic: a reference begins with inputs, nodes, item or index"},
        {kNode + "    schema: {type: object, properties: {x: {type: boolean}}}\noutputs: {o: \"${{ nodes.a.json.y }}\"}",
         "w.yaml:7: output o: nodes.a.json.y: the schema of a has no \"y\""},
        {kNode + "    for_each: [1, 2]", "w.yaml:6: node a: for_each must be a text, not a list"},
        {kNode + "    for_each: inputs.x", "w.yaml:6: node a, for_each: inputs.x: there is no such input"},
        {kNode + "inputs: {x: {type: list}}\n", ""},
        {"inputs: {x: {type: list}}\n" + kNode + "    for_each: inputs.x\n    memory: keep",
         "w.yaml:8: node a: with memory: keep the elements of for_each must come one after the other: parallel: 1"},
        {kNode + "inputs: {x: {type: word}}", "w.yaml:6: input x: type must be text, number, boolean, list or json"},
        {kNode + "inputs: {x: {type: number, default: abc}}", "w.yaml:6: input x: default must be of the type number"},
        {kNode + "agents: {x: {prompt: a}}", "w.yaml:6: agent x: there is no member \"prompt\""},
        {"name: w\nnodes:\n  r: {route: {}, prompt: x}", "w.yaml:3: node r, route: needs agents, a skill, a label or words"},
        {"name: w\nnodes:\n  r: {route: {skill: s}, prompt: x, memory: keep}",
         "w.yaml:3: node r: a route has memory: fork, since it isn't known beforehand whose memory it would be"},
        {"name: w\nnodes:\n  a: {text: \"${{ nodes.b.text }}\"}\n  b: {text: \"${{ nodes.a.text }}\"}\n  c: {text: c}",
         "w.yaml:3: these nodes wait for each other in a circle, or for one that does: a, b"},
        {"name: w\nnodes:\n  a: {agent: x, prompt: a}\n  b: {agent: x, prompt: b}",
         "w.yaml:4: node b: it and a add to the memory of x, and neither waits for the other: put one into the other's needs, or "
         "give one memory: fork"},
        {"name: w\nnodes:\n  a: &x {text: a}\n  b: *x", "w.yaml:3: not valid YAML: anchors (&name) are not allowed here"},
        {"name: !!str w\nnodes: {a: {text: a}}", "w.yaml:1: not valid YAML: tags (!name) are not allowed here"},
        {"name: [\n", "w.yaml:2: not valid YAML: "},
        {"a: b\n---\nc: d", "w.yaml:1: there is more than one document in it"},
    });
}

TEST(Definition, ComplainsOfEverythingAtOnceByLine) {
    EXPECT_EQ(
        complaints_of(
            "nodes:\n  b:\n    agent: \"?\"\n    prompt: ${{ inputs.x }}\n    when: (\n  a: {text: x, needs: [c]}\nnmae: w\n"),
        "w.yaml:1: the workflow: needs a name\n"
        "w.yaml:3: node b: " +
            [] {
                const std::string one = complaints_of("name: w\nnodes:\n  b:\n    agent: \"?\"\n    prompt: x\n");
                return one.substr(std::string("w.yaml:4: node b: ").size());
            }() +
            "\nw.yaml:4: node b, prompt: inputs.x: there is no such input\n"
            "w.yaml:5: node b: when: the expression ends where a value should stand\n"
            "w.yaml:6: node a: needs the node \"c\", which there isn't\n"
            "w.yaml:7: the workflow: there is no member \"nmae\"");
}

TEST(Definition, IsBounded) {
    EXPECT_EQ(complaints_of("name: " + std::string(300'000, 'x')), "w.yaml:1: larger than 262144 bytes");
    EXPECT_EQ(complaints_of(std::string(100, '[') + std::string(100, ']')).substr(0, 49),
              "w.yaml:1: not valid YAML: nested more than 32 dee");
    std::string many = "name: w\nnodes:\n";
    for (int i = 0; i < 201; ++i) many += std::format("  n{}: {{text: x}}\n", i);
    EXPECT_EQ(complaints_of(many), "w.yaml:203: there are more than 200 nodes");
    std::string makes = "name: w\nnodes: {a: {text: x}}\nagents:\n";
    for (int i = 0; i < 201; ++i) makes += std::format("  x{}: {{description: x}}\n", i);
    EXPECT_EQ(complaints_of(makes), "w.yaml:3: the workflow: there are more than 200 agents");
    std::string values = "name: [";
    for (int i = 0; i < 20'001; ++i) values += "1,";
    EXPECT_EQ(complaints_of(values + "]"), "w.yaml:1: not valid YAML: there are more than 20000 values");
    EXPECT_EQ(complaints_of(std::string("name: w\n\0x", 10)), "w.yaml:2: there is a zero byte");
}

TEST(Definition, InputsAreCompletedAndTyped) {
    const auto definition = parse_definition(
        "name: w\ninputs: {t: , n: {type: number, default: 2}, l: {type: list, default: [1]}, b: {type: boolean, default: true},"
        " j: {type: json, default: {a: 1}}}\nnodes: {a: {text: x}}",
        "w.yaml");
    ASSERT_TRUE(definition) << definition.error().message;
    const auto inputs = [&](const char *json) {
        const auto done = complete_inputs(*definition, OrderedJson::parse(json));
        return done ? done->dump() : done.error().message;
    };
    EXPECT_EQ(inputs(R"({"t":"x"})"), R"({"t":"x","n":2,"l":[1],"b":true,"j":{"a":1}})");
    EXPECT_EQ(inputs(R"({"t":5,"n":"7","l":"[\"a\"]","b":"false","j":"[2]"})"), R"({"t":"5","n":7,"l":["a"],"b":false,"j":[2]})");
    EXPECT_EQ(inputs("{}"), "the workflow w needs the input \"t\"");
    EXPECT_EQ(inputs(R"({"t":"x","z":1})"), "the workflow w has no input \"z\"");
    EXPECT_EQ(inputs(R"({"t":"x","n":"many"})"), "the input \"n\" must be of the type number");
    EXPECT_EQ(inputs(R"({"t":["x"]})"), "the input \"t\" must be of the type text");
    EXPECT_EQ(inputs("[]"), "a workflow's inputs must be an object");
}

TEST(Definition, RandomBytes) {
    std::mt19937_64 random(test_seed());
    std::size_t whole = 0;
    for (int round = 0; round < 2'000; ++round) {
        std::string yaml(kAnalysis);
        for (std::size_t n = random() % 4; n > 0; --n) {
            const std::size_t at = random() % yaml.size();
            switch (random() % 3) {
                case 0: yaml[at] = static_cast<char>(random()); break;
                case 1: yaml.erase(at, random() % 20); break;
                default: yaml.insert(at, std::string(1 + random() % 3, "{}[]:-&*!|>'\"\n\t#"[random() % 16])); break;
            }
            if (yaml.empty()) break;
        }
        const auto definition = parse_definition(yaml, "w.yaml");
        whole += definition ? 1U : 0U;
        const std::string message = definition ? "w.yaml:" : definition.error().message;
        EXPECT_TRUE(message.starts_with("w.yaml:")) << message;
    }
    EXPECT_GT(whole, 200U);
    EXPECT_LT(whole, 1'999U);
}

}  // namespace
}  // namespace engram::workflow
