// An agent that remembers: run this twice, and the second run goes on where the first one stopped, without reading again.
//
//     embed MODEL.gguf [HOME]
#include <engram/agents.h>

#include <print>

int main(int argc, char **argv) {
    if (argc < 2) {
        std::println(stderr, "usage: embed MODEL.gguf [HOME]");
        return 2;
    }
    auto manager = engram::AgentManager::open({.home = argc > 2 ? argv[2] : "engram-home", .model = {.path = argv[1]}});
    if (!manager) {
        std::println(stderr, "{}", manager.error().message);
        return 1;
    }
    auto &agents = **manager;
    if (!agents.get("analyst")) {
        if (const auto made = agents.create({.id = "analyst", .system_prompt = "You analyse logs."}); !made) {
            std::println(stderr, "{}", made.error().message);
            return 1;
        }
    }
    const auto answer = agents.generate("analyst", {.prompt = "What happened at noon?", .max_tokens = 32});
    if (!answer) {
        std::println(stderr, "{}", answer.error().message);
        return 1;
    }
    std::println("{}\n[{} of {} tokens reused, from: {}]", answer->text, answer->reused_tokens, answer->prompt_tokens,
                 answer->tier);
}
