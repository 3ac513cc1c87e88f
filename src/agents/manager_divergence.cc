// AgentManager: where and why a request leaves what was said before.
#include <algorithm>
#include <format>
#include <tuple>
#include <utility>

#include "agents/chat_prompt.h"
#include "agents/manager_impl.h"
#include "agents/transcript.h"
#include "chat/message_identity.h"

namespace engram {
namespace {

constexpr std::size_t kMostCompared = 64;  // of the agents used last
constexpr std::size_t kTokensBefore = 12, kTokensFrom = 24;

std::string field_that_differs(const TemplateMessage &asked, const TemplateMessage &remembered) {
    if (asked.role != remembered.role) return "role";
    if (asked.content != remembered.content) return "content";
    return "tool_calls";
}

// What was said, on both sides.
struct Said {
    std::span<const TemplateMessage> messages;
    std::string_view tools;
};

// The place in the request, "messages[2].content", and a sentence about it.
std::pair<std::string, std::string> place_of(const Said &asked, const Said &remembered) {
    if (canonical_json(ordered_tools(asked.tools)) != canonical_json(ordered_tools(remembered.tools))) {
        return {"tools", "the tools are others than before, and they stand at the front of the prompt"};
    }
    const std::size_t same = common_messages(asked.messages, remembered.messages);
    const std::string place = std::format("messages[{}]", same);
    if (same == remembered.messages.size()) {
        return {same == asked.messages.size() ? std::string() : place,
                "the messages are the ones that were said, but the model read them in other tokens"};
    }
    if (same == asked.messages.size()) {
        return {place, std::format("the request ends after {} messages, and {} were said", same, remembered.messages.size())};
    }
    const std::string field = field_that_differs(asked.messages[same], remembered.messages[same]);
    return {place + "." + field,
            std::format("message {} ({}) differs from what was said there", same, asked.messages[same].role)};
}

}  // namespace

Result<AgentManager::Divergence> AgentManager::divergence(const ChatRequest &request) const {
    ENGRAM_ASSIGN(const ChatPrompt prompt, impl_->prompt_of(tenant_, request));
    const std::string vocabulary = impl_->model->vocabulary_hash().hex();
    std::vector<AgentRow> rows;
    if (!request.agent.empty()) {
        ENGRAM_ASSIGN(AgentRow row, impl_->registry->get(key_of(request.agent)));
        rows.push_back(std::move(row));
    } else {
        ENGRAM_ASSIGN(rows, impl_->registry->used_last(tenant_, {.vocabulary = vocabulary, .limit = kMostCompared}));
    }
    Divergence found{.prompt_tokens = prompt.tokens.size(), .repairs = prompt.repairs};
    std::vector<Token> remembered;
    const AgentRow *nearest = nullptr;
    for (const AgentRow &row : rows) {
        if (row.n_tokens == 0 || row.vocabulary != vocabulary) continue;  // a named agent's may be another model's
        auto tokens = impl_->registry->tokens(row.key);
        if (!tokens) continue;  // damaged: the next turn says so
        const std::size_t common = common_prefix(prompt.tokens, *tokens);
        if (nearest != nullptr && common <= found.common_tokens) continue;
        nearest = &row;
        found.common_tokens = common;
        remembered = std::move(*tokens);
    }
    if (nearest == nullptr) {
        found.explanation = "nothing was said before that the prompt could be compared with";
        return found;
    }
    found.agent = nearest->key.id;
    found.remembered_tokens = remembered.size();
    if (found.common_tokens == remembered.size()) {
        found.explanation = "the prompt goes on from all that was said";
        return found;
    }
    found.diverges = true;
    ENGRAM_ASSIGN(const std::vector<MessageRow> messages, impl_->registry->messages(nearest->key));
    const RepairedPrompt asked = repaired_prompt(request);
    const std::vector<TemplateMessage> said = history_of(nearest->system_prompt, messages);
    std::tie(found.place, found.explanation) =
        place_of({.messages = asked.messages, .tools = asked.tools}, {.messages = said, .tools = nearest->tools});
    const auto text = [&](std::span<const Token> tokens, std::size_t first, std::size_t end) {
        std::string joined;
        for (std::size_t i = std::min(first, tokens.size()); i < std::min(end, tokens.size()); ++i)
            joined += impl_->model->piece(tokens[i], true);
        return joined;
    };
    const std::size_t at = found.common_tokens;
    found.before = text(remembered, at - std::min(at, kTokensBefore), at);
    found.prompt_text = text(prompt.tokens, at, at + kTokensFrom);
    found.remembered_text = text(remembered, at, at + kTokensFrom);
    return found;
}

}  // namespace engram
