// AgentManager: the prompt that a request becomes, without reading it.
#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "agents/chat_prompt.h"
#include "agents/kv_plan.h"
#include "agents/manager_impl.h"
#include "agents/transcript.h"
#include "chat/prefix.h"

namespace engram {
namespace {

constexpr std::size_t kMostCompared = 32;  // of the conversations used last
constexpr std::size_t kStepBack = 4;       // tokens that may come out otherwise together with what follows
constexpr std::size_t kMostSteps = 16;

// Tokens that spell `text` where it isn't the beginning: a tokenizer may put a space in front of whatever it is given. Empty: it
// can't be had.
std::vector<Token> tokens_within(const Model &model, std::string_view text) {
    for (const std::string_view tried : {text, text.starts_with(' ') ? text.substr(1) : text}) {
        std::vector<Token> tokens = model.tokenise(tried, false, true);
        if (model.detokenise(tokens, true) == text) return tokens;
    }
    return {};
}

bool begins_character(std::string_view text, std::size_t at) {
    return at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
}

}  // namespace

// --- prompts that are plain text (completions) ---
//
// Who goes on with such a text sends it again, with what was answered and more; the tokenizer would put other tokens where prompt
// and answer meet than those that were read and sampled. So what was read stays as it is, and only the rest is tokenised.

// Stored tokens that spell the text's beginning, and then the text's own; empty where they spell nothing of use.
std::vector<Token> AgentManager::Impl::raw_tokens_after(std::span<const Token> stored, std::string_view text) const {
    std::vector<std::string> pieces;
    for (const Token token : stored) pieces.push_back(model->piece(token, true));
    // In front stands what the tokenizer adds by itself.
    const std::string bos = model->bos_text();
    if (model->adds_bos() && !pieces.empty() && pieces.front() == bos && !text.starts_with(bos)) pieces.front().clear();
    const std::vector<std::string_view> views(pieces.begin(), pieces.end());
    PrefixMatch match = match_stored_prefix(views, text);
    for (std::size_t step = 1; step <= kMostSteps && match.tokens > 1; ++step) {
        match.bytes -= pieces[--match.tokens].size();
        if (step < kStepBack || !begins_character(text, match.bytes)) continue;
        const std::vector<Token> further = tokens_within(*model, text.substr(match.bytes));
        if (further.empty()) continue;
        std::vector<Token> tokens(stored.begin(), stored.begin() + static_cast<std::ptrdiff_t>(match.tokens));
        tokens.insert(tokens.end(), further.begin(), further.end());
        return tokens;
    }
    return {};
}

std::vector<Token> AgentManager::Impl::raw_tokens(const std::string &tenant, std::string_view text) const {
    std::vector<Token> best = model->tokenise(text, true, true);
    const auto rows =
        registry->used_last(tenant, {.vocabulary = model->vocabulary_hash().hex(), .unnamed_only = true, .limit = kMostCompared});
    std::size_t reused = 0;
    for (const AgentRow &row : rows.value_or(std::vector<AgentRow>())) {
        const auto stored = registry->tokens(row.key);
        if (!stored) continue;  // damaged: whoever asks for it is told
        reused = std::max(reused, common_prefix(best, *stored));
        std::vector<Token> tokens = raw_tokens_after(*stored, text);
        const std::size_t common = common_prefix(tokens, *stored);
        if (common <= reused) continue;
        reused = common;
        best = std::move(tokens);
    }
    return best;
}

// --- prompts that are too long ---

// How many messages after the system's go so that the prompt, and some answer, fit into the context. What goes are whole halves
// of a context, counted from the conversation's beginning: so that the next turns leave out the same, and find what was read.
Result<std::size_t> AgentManager::Impl::left_out_to_fit(const std::string &tenant, const ChatRequest &request) const {
    constexpr std::uint64_t kLeastAnswer = 256;
    const std::uint64_t answer = std::min<std::uint64_t>(request.max_tokens.value_or(kLeastAnswer), kLeastAnswer);
    const auto tokens_without = [&](std::size_t count) -> Result<std::uint64_t> {
        ENGRAM_ASSIGN(const ChatPrompt prompt, prompt_of(tenant, without_first_messages(request, count)));
        return prompt.tokens.size();
    };
    ENGRAM_ASSIGN(const std::uint64_t whole, tokens_without(0));
    if (whole + answer < context->cells()) return 0;
    const std::uint64_t half = context->cells() / 2;
    const std::uint64_t too_much = whole + answer + 1 - context->cells();
    const std::uint64_t leaving = (too_much + half - 1) / half * half;
    // A conversation may begin again only with what somebody asked.
    std::vector<std::size_t> beginnings;
    const std::size_t first = first_said(request);
    for (std::size_t i = first + 1; i < request.messages.size(); ++i) {
        if (request.messages[i].role == "user") beginnings.push_back(i - first);
    }
    if (beginnings.empty()) return 0;  // the prompt is refused as it is
    std::size_t low = 0;
    std::size_t high = beginnings.size() - 1;
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        ENGRAM_ASSIGN(const std::uint64_t rest, tokens_without(beginnings[middle]));
        if (rest + leaving <= whole) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return beginnings[low];
}

Result<AgentManager::ChatPrompt> AgentManager::render(const ChatRequest &request) const {
    return impl_->prompt_of(tenant_, request);
}

Result<AgentManager::ChatPrompt> AgentManager::Impl::prompt_of(const std::string &tenant, const ChatRequest &request) const {
    ENGRAM_TRY(check_chat(request));
    RepairedPrompt prompt = repaired_prompt(request);
    const std::span<const TemplateMessage> said = prompt.messages;
    const std::string_view system = system_text(said);
    AgentRow row{.key = {.tenant = tenant, .id = "c-new"}, .system_prompt = std::string(system), .tools = prompt.tools};
    std::vector<MessageRow> rows;
    Addition addition{.messages = rows_of(said.subspan(system.empty() ? 0 : 1), 0), .asks = true, .thinks = request.thinks};
    bool known_one = false;
    if (!request.raw_prompt.empty()) {
        addition.messages = {{.role = "user", .content = request.raw_prompt}};
        addition.raw = true;
    } else if (!request.agent.empty()) {
        if (auto agent = registry->get({.tenant = tenant, .id = request.agent})) {
            row = std::move(*agent);
            ENGRAM_ASSIGN(rows, registry->messages(row.key));
            ForAgent added = for_agent(row, rows, prompt);
            addition.messages = rows_of(added.messages, 0);
            addition.keep_messages = added.keep;
            addition.front = std::move(added.front);
            known_one = true;
        }
    } else if (const auto known = recognised(tenant, prompt); known && known->messages < said.size()) {
        row = known->row;
        ENGRAM_ASSIGN(rows, registry->messages(row.key));
        addition.messages = rows_of(said.subspan(known->messages), 0);
        addition.keep_messages = known->keep_messages;
        known_one = true;
    }
    if (addition.messages.empty()) return fail(ErrorCode::invalid_argument, "there are no messages to answer");
    if (request.continues_last_message) addition.begun_answer = request.messages.back().content;
    ENGRAM_ASSIGN(Prepared prepared, prepare_from(row, std::move(rows), std::move(addition)));
    ChatPrompt result{.tokens = std::move(prepared.plan.tokens),
                      .known_tokens = prepared.keep_tokens,
                      .text = {},
                      .agent = known_one ? row.key.id : std::string(),
                      .repairs = std::move(prompt.repairs)};
    for (const Token token : result.tokens) result.text += model->piece(token, true);
    return result;
}

std::vector<std::int32_t> AgentManager::tokenise(std::string_view text) const {
    return impl_->model->tokenise(text, false, true);
}

Result<std::string> AgentManager::detokenise(std::span<const std::int32_t> tokens) const {
    std::string text;
    for (const Token token : tokens) {
        ENGRAM_TRY(impl_->model->check_token(token));
        text += impl_->model->piece(token, true);
    }
    return text;
}

Result<AgentManager::Embedding> AgentManager::embed(std::string_view text) const {
    return embed(impl_->model->tokenise(text, true, false));
}

Result<AgentManager::Embedding> AgentManager::embed(std::span<const std::int32_t> tokens) const {
    ENGRAM_ASSIGN(std::vector<float> vector, impl_->engine->call([&] { return impl_->embedder->embed(tokens); }));
    return Embedding{.vector = std::move(vector), .tokens = tokens.size()};
}

}  // namespace engram
