// AgentManager: room in a full context, as the agent's card says (Compaction).
//
// A message of the role "compaction" in a transcript takes the place of all before it: what is read is the system prompt with its
// text behind it, and the messages after it (agents/transcript.h). Nothing of the transcript goes, and the turns that stay keep
// their words. Results are read with their calls, and these with the question: within a turn of many calls the oldest go.
#include <algorithm>
#include <format>

#include "agents/chat_prompt.h"
#include "agents/manager_impl.h"
#include "agents/manifest_publisher.h"
#include "agents/transcript.h"
#include "chat/agent_card.h"
#include "core/random_name.h"

namespace engram {
namespace {

constexpr std::uint64_t kTokensAroundMessage = 16;  // what templates put there, and to spare
constexpr std::uint64_t kMostOfSummary = 1024;
constexpr std::string_view kAsksForSummary =
    "Sum up our conversation so far for yourself, so that you can go on without it: the facts, names and numbers, what was "
    "decided, and what is still to do. Write the summary only.";

bool has_calls(const MessageRow &row) { return row.role == "assistant" && !row.tool_calls.empty(); }

// Where the last answer stands, when its calls wait for results, or have got some and no answer to them yet.
std::optional<std::size_t> open_calls(std::span<const MessageRow> rows) {
    std::size_t n = rows.size();
    while (n > 0 && rows[n - 1].role == "tool") --n;
    if (n == 0 || !has_calls(rows[n - 1])) return std::nullopt;
    return n - 1;
}

}  // namespace

std::uint64_t AgentManager::Impl::tokens_of(const MessageRow &row) const {
    return model->tokenise(row.content + row.tool_calls + row.thinking, false, false).size() + kTokensAroundMessage;
}

// The last turns that fit into `most` tokens, and at least what was said last: the place where they begin.
std::size_t AgentManager::Impl::last_turns(std::span<const MessageRow> rows, std::uint64_t most) const {
    std::size_t place = rows.size();
    std::uint64_t tokens = 0;
    for (std::size_t i = rows.size(); i > still_read(rows).first; --i) {
        tokens += tokens_of(rows[i - 1]);
        if (tokens > most) break;
        if (rows[i - 1].role == "user") place = i - 1;
    }
    return place;
}

// Before results are told: the place where the last turns begin that fit into `most` tokens, and where the turn under way doesn't
// fit, where its last calls begin that fit together with its question. The calls that the results are of stay in any case that
// leaves the turn possible, which is while they fit into `room`; else nothing may go.
std::size_t AgentManager::Impl::last_calls(std::span<const MessageRow> rows, std::uint64_t most, std::uint64_t room) const {
    const std::optional<std::size_t> open = open_calls(rows);
    const std::size_t turn = last_turns(rows, most);
    if (!open || turn <= *open) return turn;
    const StillRead read = still_read(rows);
    std::size_t question = *open;
    while (question > read.first && rows[question - 1].role != "user") --question;
    std::uint64_t tokens = 0;  // of the question, which stands at question - 1 or before what is read
    if (question > read.first) {
        tokens = tokens_of(rows[question - 1]);
    } else if (read.question) {
        tokens = tokens_of(rows[*read.question]);
    }
    std::size_t place = read.first;
    for (std::size_t i = rows.size(); i > question; --i) {
        tokens += tokens_of(rows[i - 1]);
        if (!has_calls(rows[i - 1])) continue;
        if (tokens > (i - 1 == *open ? room : most)) break;
        place = i - 1;
    }
    return place;
}

Result<void> AgentManager::Impl::compact(const AgentKey &key, std::size_t keep_from, const std::string &summary) {
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    ENGRAM_ASSIGN(std::vector<MessageRow> rows, registry->messages(key));
    const bool may_begin =
        keep_from == rows.size() || (keep_from < rows.size() && (rows[keep_from].role == "user" || has_calls(rows[keep_from])));
    if (!may_begin || keep_from < still_read(rows).first) {
        return fail(ErrorCode::invalid_argument,
                    std::format("agent {} can't go on from message {}: it must be a user's, and one that is still read", key.id,
                                keep_from));
    }
    std::vector<MessageRow> after{{.role = std::string(kCompactionRole), .content = summary, .created_ms = now_ms()}};
    std::ranges::move(std::span(rows).subspan(keep_from), std::back_inserter(after));
    for (MessageRow &message : after) {  // the tokens after which they ended are others now
        message.n_tokens = 0;
        message.prefix.clear();
    }
    const Manifest nothing{
        .fingerprint = context->fingerprint(), .block_tokens = options.storage.block_tokens, .n_kv = 0, .parts = {}};
    ENGRAM_TRY(registry->commit_turn({.key = key,
                                      .keep_tokens = 0,
                                      .new_tokens = {},
                                      .new_messages = after,
                                      .keep_messages = keep_from,
                                      .manifest = &nothing,
                                      .now_ms = now_ms(),
                                      .model = row.model,
                                      .vocabulary = row.vocabulary}));
    if (!publisher) return {};
    ENGRAM_ASSIGN(AgentRow after_it, registry->get(key));
    // What the older manifest named stays until somebody needs the room: the next turn may begin like an earlier one, and names
    // what is stored of that.
    publisher->publish(std::move(after_it), nothing, std::nullopt);
    return {};
}

// The agent sums up what it remembers, in a fork of which nothing stays. Its prompt is its memory and one question.
Result<std::string> AgentManager::Impl::own_summary(const AgentKey &key) {
    const AgentKey fork{.tenant = key.tenant, .id = random_name("c-")};
    ENGRAM_TRY(fork_conversation(key, fork, {.expires_ms = now_ms()}, UINT64_MAX));
    ChatRequest request{.agent = fork.id, .messages = {{.role = "user", .content = std::string(kAsksForSummary)}}};
    request.max_tokens = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMostOfSummary, context->cells() / 8));
    request.tool_choice.use = ToolUse::none;
    request.sampling.temperature = 0;
    std::string summary;
    const auto said = answer(key.tenant, request,
                             [&](const ChatEvent &event) {
                                 if (const auto *text = std::get_if<ChatText>(&event)) summary += text->text;
                             },
                             {});
    const auto hold = gates.take(fork);
    static_cast<void>(remove(fork));
    if (!said) return std::unexpected(said.error());
    return summary;
}

Result<std::string> AgentManager::Impl::make_room(const AgentKey &key, const Needed &needed) {
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    if (row.card.empty() || row.n_tokens == 0) return std::string();
    ENGRAM_ASSIGN(const AgentCard card, parse_card(row.card));
    const std::uint64_t cells = context->cells();
    // A summary is asked for while there is room for it.
    const std::uint64_t of_summary =
        card.compaction == Compaction::summarise ? std::min<std::uint64_t>(kMostOfSummary, cells / 8) : 0;
    const std::uint64_t reserve = of_summary > 0 ? of_summary + 128 : 0;
    const std::uint64_t more = needed.prompt + needed.answer + reserve;
    if (card.compaction == Compaction::stop || row.n_tokens + more < cells) return std::string();
    const auto hold = gates.take(key);
    ENGRAM_ASSIGN(const AgentRow now, registry->get(key));
    if (now.n_tokens + more < cells) return std::string();  // another turn has made room meanwhile
    ENGRAM_ASSIGN(const std::vector<MessageRow> rows, registry->messages(key));
    const StillRead read = still_read(rows);
    const std::uint64_t front =
        model->tokenise(row.system_prompt, false, false).size() + model->tokenise(row.tools, false, false).size();
    const std::uint64_t most = front + more < cells / 2 ? (cells / 2) - front - more : 0;
    const std::uint64_t least = front + needed.prompt + of_summary;  // a short answer is better than none
    const std::size_t keep_from =
        needed.results ? last_calls(rows, most, least < cells ? cells - least : 0) : last_turns(rows, most);
    if (keep_from == read.first) return std::string();  // nothing can be left out
    std::string summary, trouble;
    if (card.compaction == Compaction::summarise) {
        auto own = own_summary(key);
        if (own) {
            summary = std::move(*own);
        } else {
            trouble = std::format(", without a summary ({})", own.error().message);
        }
    }
    ENGRAM_TRY(compact(key, keep_from, summary));
    // A question before what was read stays read, or becomes one.
    const bool after_question = keep_from < rows.size() && has_calls(rows[keep_from]);
    const std::size_t others = after_question ? 1 : 0;
    return std::format("the context was full: {} earlier messages are not read any more, and {} are{}{}",
                       keep_from - read.first + (read.question ? 1 : 0) - others, rows.size() - keep_from + others,
                       summary.empty() ? "" : ", after a summary", trouble);
}

// For a turn, which itself says what is wrong with its agent.
std::string AgentManager::Impl::make_room(const std::string &tenant, const BatchItem &item) {
    if (!validate_agent_id(item.id)) return {};
    const std::uint64_t answer = std::min<std::uint64_t>(item.request.max_tokens, context->cells() / 4);
    const std::uint64_t prompt = model->tokenise(item.request.prompt, false, false).size() + kTokensAroundMessage;
    const Needed needed{.prompt = prompt, .answer = answer, .results = item.request.role == "tool"};
    return make_room({.tenant = tenant, .id = item.id}, needed).value_or(std::string());
}

AgentManager::Impl::Needed AgentManager::Impl::needed_for(const ChatRequest &request) const {
    Needed needed{.answer = std::min<std::uint64_t>(request.max_tokens.value_or(0), context->cells() / 4)};
    const auto last = std::ranges::find_last(request.messages, "assistant", &ChatMessage::role);
    const std::size_t first = last.empty() ? 0 : static_cast<std::size_t>(last.begin() - request.messages.begin()) + 1;
    for (const ChatMessage &message : std::span(request.messages).subspan(first)) {
        needed.prompt += model->tokenise(message.content, false, false).size() + kTokensAroundMessage;
        needed.results = needed.results || message.role == "tool";
    }
    return needed;
}

Result<void> AgentManager::compact(std::string_view id, std::size_t keep_from, const std::string &summary) {
    ENGRAM_TRY(validate_agent_id(id));
    const auto hold = impl_->gates.take(key_of(id));
    ENGRAM_ASSIGN(const std::vector<MessageRow> rows, impl_->registry->messages(key_of(id)));
    // Calls that wait for their results stay, so that these are read with what they are results of.
    if (const auto open = open_calls(rows); open && keep_from == rows.size()) keep_from = *open;
    return impl_->compact(key_of(id), keep_from, summary);
}

}  // namespace engram
