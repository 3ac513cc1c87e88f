// What the tests of AgentManager::chat share: an answer's events put together.
#pragma once

#include <algorithm>
#include <iterator>
#include <stop_token>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agents/testing_manager.h"

namespace engram::testing {

// What came of a request.
struct Answered {
    ChatStarted started;
    std::vector<std::string> texts, thinking;  // of each choice
    std::vector<ChatToolCall> calls;
    std::vector<TokenLogprob> logprobs;
    std::vector<ChatFinished> finished;
    std::uint64_t progress = 0;

    const std::string &text() const { return texts.front(); }
};

inline Result<Answered> try_ask(AgentManager &manager, const ChatRequest &request, std::stop_token stop = {}) {
    Answered answered;
    answered.texts.resize(request.choices);
    answered.thinking.resize(request.choices);
    const auto done = manager.chat(
        request,
        [&](const ChatEvent &event) {
            if (const auto *started = std::get_if<ChatStarted>(&event)) answered.started = *started;
            if (const auto *progress = std::get_if<ChatProgress>(&event)) answered.progress = progress->done;
            if (const auto *text = std::get_if<ChatText>(&event)) {
                answered.texts.at(text->choice) += text->text;
                std::ranges::copy(text->logprobs, std::back_inserter(answered.logprobs));
            }
            if (const auto *thinking = std::get_if<ChatThinking>(&event))
                answered.thinking.at(thinking->choice) += thinking->text;
            if (const auto *call = std::get_if<ChatCallBegin>(&event)) {
                answered.calls.push_back({.id = call->id, .name = call->name, .arguments = {}});
            }
            if (const auto *part = std::get_if<ChatCallArguments>(&event)) answered.calls.back().arguments += part->text;
            if (const auto *finished = std::get_if<ChatFinished>(&event)) answered.finished.push_back(*finished);
        },
        std::move(stop));
    if (!done) return std::unexpected(done.error());
    return answered;
}

inline Answered ask(AgentManager &manager, const ChatRequest &request) { return must(try_ask(manager, request)); }

}  // namespace engram::testing
