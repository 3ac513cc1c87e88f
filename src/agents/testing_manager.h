// What the tests of AgentManager share: managers over tiny models in temporary folders.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/testing/tiny_models.h"
#include "engram/agents.h"

namespace engram::testing {

// With bf16, what is computed together changes no bit of an answer, so that answers can be compared. With f16 it does: libggml's
// attention goes another way for batches of 64 tokens and more (context_test.cc).
inline ManagerOptions tiny_manager(const std::filesystem::path &home, const std::string &geometry = "tiny-llama",
                                   const std::string &kv_type = "bf16") {
    ManagerOptions options;
    options.home = home;
    options.model = tiny_options(geometry, 2048);
    options.model.kv_type_k = options.model.kv_type_v = kv_type;
    options.storage.block_tokens = 32;
    options.storage.checkpoint_tokens = 128;
    options.storage.weigh_restores = options.storage.preload = false;  // so that a test knows what comes from where
    return options;
}

inline std::unique_ptr<AgentManager> open_manager(const ManagerOptions &options) {
    auto manager = AgentManager::open(options);
    if (!manager) {
        ADD_FAILURE() << manager.error().message;
        return nullptr;
    }
    return std::move(*manager);
}

template <typename T>
T must(Result<T> result) {
    if (!result) {
        ADD_FAILURE() << result.error().message;
        if constexpr (!std::is_void_v<T>) return T{};
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

inline TurnResult say(AgentManager &manager, const std::string &id, const std::string &prompt, std::uint32_t max_tokens) {
    return must(manager.generate(id, {.prompt = prompt, .max_tokens = max_tokens}));
}

// Some text of a given length that differs with `seed`.
inline std::string filler(std::size_t words, int seed = 0) {
    static constexpr const char *kWords[] = {"river", "report", "server", "meeting", "budget", "cluster", "memory", "window"};
    std::string text;
    for (std::size_t i = 0; i < words; ++i)
        text += std::string(kWords[(i * 7 + i / 5 + static_cast<std::size_t>(seed) * 3) % 8]) + " ";
    return text;
}

}  // namespace engram::testing
