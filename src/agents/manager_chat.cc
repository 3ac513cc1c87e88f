// AgentManager: answers to clients that send all of their conversation each time. Whose memory a request goes on from (an
// agent's, a conversation that is recognised, a new one), and its way from there to the events of the answer.
#include <algorithm>
#include <format>
#include <limits>

#include "agents/chat_answer.h"
#include "agents/chat_prompt.h"
#include "agents/manager_impl.h"
#include "agents/transcript.h"
#include "chat/message_identity.h"
#include "chat/tool_call.h"
#include "core/random_name.h"

namespace engram {
namespace {

constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kDay = 24 * 60 * kMinute;
constexpr std::int64_t kConversationLife = 30 * kDay;  // since it was used last, whatever shorter time a client asks for
constexpr std::size_t kExpiredAtOnce = 64;

std::int64_t life_of(Retention retention) {
    switch (retention) {
        case Retention::forever: return 0;
        case Retention::standard:
        case Retention::five_minutes:
        case Retention::one_hour:
        case Retention::one_day: break;
    }
    return kConversationLife;
}

}  // namespace

// --- whose memory ---

std::optional<AgentManager::Impl::Known> AgentManager::Impl::recognised(std::string_view tenant,
                                                                        const RepairedPrompt &prompt) const {
    const std::vector<TemplateMessage> &messages = prompt.messages;
    const std::vector<Digest> digests = prefix_digests(prompt.tools, messages);
    for (std::size_t n = messages.size(); n > 0; --n) {
        if (messages[n - 1].role != "assistant") continue;
        const auto place = registry->find_prefix(tenant, digests[n - 1].hex());
        if (!place || !*place) continue;
        // What the index leads to is compared, so that a damaged one never gives a wrong memory.
        const auto row = registry->get((*place)->key);
        const auto rows = registry->messages((*place)->key);
        const std::size_t keep = (*place)->ordinal + 1;
        if (!row || !rows || rows->size() < keep || (*rows)[keep - 1].n_tokens == 0) continue;
        const std::vector<TemplateMessage> said = history_of(row->system_prompt, std::span(*rows).first(keep));
        if (said.size() != n || prefix_digests(row->tools, said).back() != digests[n - 1]) continue;
        const bool rephrased =
            !std::ranges::equal(std::span(messages).first(n), said, [](const TemplateMessage &a, const TemplateMessage &b) {
                return a.content == b.content && a.tool_calls == b.tool_calls && a.thinking == b.thinking;
            });
        return Known{.row = *row, .keep_messages = keep, .messages = n, .rephrased = rephrased};
    }
    return std::nullopt;
}

// Where a request's turn takes place: whose transcript it is added to, and what is added.
struct AgentManager::Impl::Place {
    AgentKey key;
    AgentGates::Hold hold;
    Addition addition;
    bool fresh = false;         // made for this request: it goes again when nothing comes of it
    bool conversation = false;  // unnamed
};

// The agent that the request names: with what is new, or gone back to where the request contradicts it.
Result<AgentManager::Impl::Place> AgentManager::Impl::place_of_agent(const AgentKey &key, RepairedPrompt &prompt) {
    Place place{.key = key, .hold = gates.take(key), .addition = {.asks = true}};
    const std::int64_t now = now_ms();
    auto row = registry->get(key);
    if (!row) {
        if (row.error().code != ErrorCode::not_found) return std::unexpected(std::move(row.error()));
        const std::string system(system_text(prompt.messages));
        ENGRAM_TRY(registry->create({.key = key,
                                     .system_prompt = system,
                                     .created_ms = now,
                                     .updated_ms = now,
                                     .last_used_ms = now,
                                     .tools = prompt.tools}));
        place.fresh = true;
        place.addition.messages = rows_of(std::span(prompt.messages).subspan(system.empty() ? 0 : 1), now);
        return place;
    }
    ENGRAM_ASSIGN(const std::vector<MessageRow> rows, registry->messages(key));
    ForAgent added = for_agent(*row, rows, prompt);
    if (added.messages.empty()) {
        return fail(ErrorCode::invalid_argument, "there is nothing to answer: the agent remembers all of these messages");
    }
    if (added.keep < rows.size()) {
        prompt.repairs.emplace_back(
            std::format("the agent went back to message {}, where the request differs from what it remembers; what it remembered "
                        "is kept as a conversation",
                        added.keep));
        const AgentKey before{.tenant = key.tenant, .id = random_name("c-")};
        ENGRAM_TRY(fork_conversation(key, before, {.expires_ms = now + kConversationLife}, UINT64_MAX));
    }
    place.addition.keep_messages = added.keep;
    place.addition.messages = rows_of(added.messages, now);
    place.addition.front = std::move(added.front);
    return place;
}

Result<void> AgentManager::Impl::fork_conversation(const AgentKey &source, const AgentKey &key, ForkAs as,
                                                   std::uint64_t keep_messages) {
    as.kind = AgentKind::conversation;
    ENGRAM_ASSIGN(const AgentRow row, registry->fork(source, key.id, now_ms(), keep_messages, as));
    if (store) {
        if (const auto manifest = registry->manifest(key); manifest && *manifest)
            store->claim(claim_of(row, **manifest, nullptr));
    }
    return {};
}

// A conversation that nobody has named: the known one where it ends, a fork where it doesn't (or is busy), or a new one.
Result<AgentManager::Impl::Place> AgentManager::Impl::place_of_conversation(const std::string &tenant, const ChatRequest &request,
                                                                            const RepairedPrompt &prompt,
                                                                            const std::optional<Known> &known) {
    const std::int64_t now = now_ms();
    const bool answers = request.max_tokens.value_or(1) > 0;  // else what follows must not seem to be an answer of this prompt
    const std::span<const TemplateMessage> said = prompt.messages;
    if (known && known->messages < said.size()) {
        const Addition addition{
            .messages = rows_of(said.subspan(known->messages), now), .asks = true, .keep_messages = known->keep_messages};
        if (known->row.kind == AgentKind::conversation && answers) {
            auto hold = gates.try_take(known->row.key);
            const auto row = registry->get(known->row.key);
            const bool ours = !options.keep_to_model || known->row.model == model_name();
            if (hold && row && ours && row->n_messages == known->keep_messages) {
                return Place{.key = known->row.key, .hold = std::move(*hold), .addition = addition, .conversation = true};
            }
        }
        // A fork can fail only where its source was removed, or is damaged: then the conversation is read anew.
        const ForkAs as{.kind = AgentKind::conversation, .session = request.conversation, .expires_ms = now};
        // Its gate is taken first: as soon as it is there, others find it.
        const AgentKey key{.tenant = tenant, .id = random_name("c-")};
        auto hold = gates.take(key);
        if (fork_conversation(known->row.key, key, as, known->keep_messages)) {
            return Place{.key = key, .hold = std::move(hold), .addition = addition, .fresh = true, .conversation = true};
        }
    }
    const AgentKey key{.tenant = tenant, .id = random_name("c-")};
    auto hold = gates.take(key);
    const std::string_view system = system_text(said);
    // Expired until its first turn is committed: what a crash leaves of it goes.
    ENGRAM_TRY(registry->create({.key = key,
                                 .system_prompt = std::string(system),
                                 .created_ms = now,
                                 .updated_ms = now,
                                 .last_used_ms = now,
                                 .tools = prompt.tools,
                                 .kind = AgentKind::conversation,
                                 .session = request.conversation,
                                 .expires_ms = now}));
    Addition addition{.messages = rows_of(said.subspan(system.empty() ? 0 : 1), now), .asks = true};
    if (!request.raw_prompt.empty()) {
        addition.messages = {{.role = "user", .content = request.raw_prompt, .created_ms = now}};
        addition.raw = true;
    }
    return Place{.key = key, .hold = std::move(hold), .addition = std::move(addition), .fresh = true, .conversation = true};
}

void AgentManager::Impl::remove_expired() {
    const std::int64_t now = now_ms();
    std::int64_t due = next_expiry_ms.load();
    if (now < due || !next_expiry_ms.compare_exchange_strong(due, now + kMinute)) return;
    const auto keys = registry->expired(now, kExpiredAtOnce);
    if (!keys) return;
    for (const AgentKey &key : *keys) {
        // One that is being used lives on: its commit sets a new time.
        if (const auto hold = gates.try_take(key)) static_cast<void>(remove(key));
    }
}

// --- the turn ---

namespace {

std::vector<ChatTool> callable_tools(const ChatRequest &request, const std::string &shown) {
    if (request.tool_choice.use == ToolUse::none) return {};
    std::vector<ChatTool> tools = request.tools.empty() ? parse_tools(shown).value_or(std::vector<ChatTool>()) : request.tools;
    for (const ChatTool &told : request.told_tools) {  // in place of an older one
        std::erase_if(tools, [&](const ChatTool &tool) { return tool.name == told.name; });
        tools.push_back(told);
    }
    std::erase_if(tools, [&](const ChatTool &tool) { return std::ranges::contains(request.withdrawn_tools, tool.name); });
    const ToolChoice &choice = request.tool_choice;
    if (choice.use == ToolUse::named) std::erase_if(tools, [&](const ChatTool &tool) { return tool.name != choice.name; });
    if (!choice.allowed.empty()) {
        std::erase_if(tools, [&](const ChatTool &tool) { return !std::ranges::contains(choice.allowed, tool.name); });
    }
    return tools;
}

// What a call in this style begins with, as it can be waited for.
std::vector<std::string> triggers_of(const AnswerStyle &style) {
    std::string opening = style.calls_open + style.open;
    opening.erase(opening.find_last_not_of(" \t\r\n") + 1);
    if (opening.empty()) return {};
    return {opening};
}

}  // namespace

// The sampling that keeps to what the request says about tools and format.
Result<Sampling> AgentManager::Impl::constrained(const ChatRequest &request, std::span<const ChatTool> tools, bool thinking,
                                                 std::uint32_t choice) const {
    Sampling sampling = request.sampling;
    if (choice > 0 && sampling.seed != Sampling{}.seed) sampling.seed += choice;
    const AnswerStyle &style = chat->answer_style();
    const ToolUse use = request.tool_choice.use;
    const bool several = request.tool_choice.parallel;
    if (use == ToolUse::required || use == ToolUse::named) {
        if (tools.empty())
            return fail(ErrorCode::invalid_argument, "a call is asked for, but there is no tool that may be called");
        ENGRAM_ASSIGN(sampling.grammar, call_grammar(style, tools, several, thinking));
        return sampling;
    }
    if (request.format != AnswerFormat::text) {
        const FormattedAnswer answer{.format = request.format, .schema = request.schema, .tools = tools, .several = several};
        ENGRAM_ASSIGN(sampling.grammar, format_grammar(style, answer, thinking));
        return sampling;
    }
    if (use == ToolUse::none) {
        // Where a call begins with a control token, that token is never chosen.
        for (const std::string &opening : style.call_openings()) {
            const std::vector<Token> tokens = model->tokenise(opening, false, true);
            if (tokens.size() == 1) sampling.logit_bias.emplace_back(tokens.front(), -std::numeric_limits<float>::infinity());
        }
        return sampling;
    }
    const bool strict = !several || !request.tool_choice.allowed.empty() || std::ranges::any_of(tools, &ChatTool::strict);
    if (!tools.empty() && strict) {
        sampling.grammar_triggers = triggers_of(style);
        if (sampling.grammar_triggers.empty()) return sampling;  // a call isn't told from text by its beginning
        ENGRAM_ASSIGN(sampling.grammar, call_grammar(style, tools, several, false));
    }
    return sampling;
}

Result<AgentManager::Impl::Prepared> AgentManager::Impl::prepare_choice(const ChatRequest &request, Place &place,
                                                                        std::uint32_t choice, ChatAnswers &answers) {
    place.addition.thinks = request.thinks;
    if (request.continues_last_message) place.addition.begun_answer = request.messages.back().content;
    const std::string begun = place.addition.begun_answer;
    ENGRAM_ASSIGN(Prepared prepared, prepare(place.key, std::move(place.addition)));
    const std::uint64_t n_prompt = prepared.plan.tokens.size();
    if (n_prompt + 1 > context->cells()) {
        return std::unexpected(Error{.code = ErrorCode::too_long,
                                     .message = std::format("the prompt has {} tokens and the context {}: use a larger context",
                                                            n_prompt, context->cells()),
                                     .asked = n_prompt,
                                     .limit = context->cells() - 1});
    }
    const std::vector<ChatTool> tools = callable_tools(request, prepared.tools);
    ENGRAM_ASSIGN(const Sampling sampling, constrained(request, tools, prepared.opens_thinking, choice));
    TurnPlan &plan = prepared.plan;
    ENGRAM_ASSIGN(plan.sampler, Sampler::create(*model, sampling));
    plan.visible_marks = chat->answer_style().visible_marks();
    if (const auto marks = chat->answer_style().thinking_marks(); marks && request.thinking_tokens) {
        plan.thinking.emplace(*marks, prepared.opens_thinking, *request.thinking_tokens);
        plan.thinking_ending = model->tokenise(marks->ending, false, true);
    }
    plan.max_tokens = request.max_tokens.value_or(static_cast<std::uint32_t>(context->cells() - n_prompt));
    plan.priority = request.priority;
    plan.stop_strings = sampling.stop;
    plan.top_logprobs = request.top_logprobs;
    if (place.conversation) {
        const std::int64_t life = life_of(request.retention);
        prepared.expires_ms = life == 0 ? 0 : now_ms() + life;
    }
    if (request.retention != Retention::standard) prepared.retention = request.retention;
    AnswerStyle style = chat->answer_style();
    style.calls = !tools.empty();
    if (prepared.raw) style = AnswerStyle{.calls = false};
    answers.emplace_back(AnswerReader(std::move(style), tools, prepared.opens_thinking),
                         ChatAnswer::Form{.choice = choice, .call_id_prefix = request.call_id_prefix, .begun = begun});
    return prepared;
}

Result<std::vector<AgentManager::Impl::Place>> AgentManager::Impl::places_for(const std::string &tenant,
                                                                              const ChatRequest &request,
                                                                              RepairedPrompt &prompt) {
    std::vector<Place> places;
    if (!request.agent.empty()) {
        ENGRAM_ASSIGN(Place place, place_of_agent({.tenant = tenant, .id = request.agent}, prompt));
        places.push_back(std::move(place));
        return places;
    }
    const std::optional<Known> known = recognised(tenant, prompt);
    if (known && known->rephrased) {
        prompt.repairs.emplace_back(
            "earlier messages came in other words than before (white space, thinking left out, arguments in another order): what "
            "was read then is kept");
    }
    for (std::uint32_t choice = 0; choice < request.choices; ++choice) {
        auto place = place_of_conversation(tenant, request, prompt, known);
        if (!place) {
            discard(places);
            return std::unexpected(std::move(place.error()));
        }
        places.push_back(std::move(*place));
    }
    return places;
}

// What was made for a request, and nothing came of it.
void AgentManager::Impl::discard(std::span<const Place> places) {
    for (const Place &place : places) {
        if (place.fresh) static_cast<void>(remove(place.key));
    }
}

namespace {

// The sink with a word about what was done to the prompt.
ChatSink told_of(std::string what, const ChatSink &sink) {
    return [what = std::move(what), &sink](const ChatEvent &event) {
        const auto *started = std::get_if<ChatStarted>(&event);
        if (started == nullptr) return sink(event);
        ChatStarted told = *started;
        told.repairs.push_back(what);
        sink(told);
    };
}

}  // namespace

Result<void> AgentManager::Impl::answer(const std::string &tenant, const ChatRequest &request, const ChatSink &sink,
                                        const std::stop_token &stop) {
    ENGRAM_TRY(check_chat(request));
    RepairedPrompt prompt = repaired_prompt(request);
    if (prompt.messages.empty() && request.raw_prompt.empty()) {
        return fail(ErrorCode::invalid_argument, "there are no messages to answer");
    }
    if (request.may_truncate && request.agent.empty()) {
        ENGRAM_ASSIGN(const std::size_t left_out, left_out_to_fit(tenant, request));
        if (left_out > 0) {
            ChatRequest shorter = without_first_messages(request, left_out);
            shorter.may_truncate = false;
            const std::string what =
                std::format("the {} oldest messages were left out: the prompt is longer than the context", left_out);
            return answer(tenant, shorter, told_of(what, sink), stop);
        }
    }
    ENGRAM_ASSIGN(std::vector<Place> places, places_for(tenant, request, prompt));
    ChatAnswers answers;
    std::vector<Prepared> prepared;
    std::vector<TurnPlan> plans;
    for (std::uint32_t choice = 0; choice < places.size(); ++choice) {
        auto ready = prepare_choice(request, places[choice], choice, answers);
        if (!ready) {
            discard(places);
            return std::unexpected(std::move(ready.error()));
        }
        ready->plan.stop = stop;
        plans.push_back(take_plan(*ready));
        prepared.push_back(std::move(*ready));
    }
    Result<void> outcome;
    bool started = false;
    const auto tell = [&](const std::vector<ChatEvent> &events) { std::ranges::for_each(events, sink); };
    const auto on_event = [&](TurnChannel::Event event) {
        if (const auto *began = std::get_if<TurnChannel::Began>(&event)) {
            if (std::exchange(started, true)) return;
            const TurnResult &so_far = began->so_far;
            sink(ChatStarted{.agent = places.front().key.id,
                             .prompt_tokens = so_far.prompt_tokens,
                             .cached_tokens = so_far.reused_tokens,
                             .tier = so_far.tier,
                             .restore_ms = so_far.restore_ms,
                             .queue_ms = so_far.queue_ms,
                             .repairs = prompt.repairs,
                             .miss = so_far.miss});
        } else if (auto *text = std::get_if<TurnChannel::Text>(&event)) {
            tell(answers[text->turn].add(std::move(text->piece)));
        } else if (const auto *progress = std::get_if<TurnChannel::Progress>(&event)) {
            if (progress->turn == 0) sink(ChatProgress{.done = progress->done, .total = progress->total});
        } else if (auto *finished = std::get_if<TurnChannel::Finished>(&event)) {
            const Result<void> ended =
                conclude_choice(request, prepared[finished->turn], answers[finished->turn], std::move(finished->end), sink);
            if (ended) places[finished->turn].fresh = false;
            if (!ended && outcome) outcome = ended;
        }
    };
    run(std::move(plans), on_event, [&] { sink(ChatWaiting{}); });
    discard(places);
    remove_expired();
    return outcome;
}

Result<void> AgentManager::Impl::conclude_choice(const ChatRequest &request, Prepared &prepared, ChatAnswer &answer, TurnEnd end,
                                                 const ChatSink &sink) {
    std::vector<ChatEvent> last;
    std::optional<MessageRow> message;
    const std::string stop_string = end.stop_string;
    if (!end.error) {
        last = answer.finish(std::move(end.last));
        if (request.max_tokens.value_or(1) > 0) message = answer.message(now_ms());
        if (message && answer.choice() == 0) message->public_id = request.answer_id;
        // An agent that was only to read hasn't been told anything: its next turn finds the KV.
        prepared.forget = !message && !request.agent.empty();
    }
    const auto result = conclude(prepared, std::move(end), std::move(message), [&](const TurnResult &so_far) {
        std::ranges::for_each(last, sink);
        sink(answer.finished(so_far, stop_string));
    });
    if (!result) return std::unexpected(result.error());
    return {};
}

Result<void> AgentManager::chat(const ChatRequest &request, const ChatSink &sink, std::stop_token stop) {
    if (request.agent.empty() || !validate_agent_id(request.agent)) return impl_->answer(tenant_, request, sink, stop);
    const auto room = impl_->make_room(key_of(request.agent), impl_->needed_for(request));
    if (!room || room->empty()) return impl_->answer(tenant_, request, sink, stop);  // which says what is wrong with the agent
    return impl_->answer(tenant_, request, told_of(*room, sink), stop);
}

Result<std::vector<ChatMessage>> AgentManager::said_until(std::string_view answer_id) const {
    ENGRAM_ASSIGN(const std::optional<MessagePlace> place, impl_->registry->find_public_id(tenant_, answer_id));
    const auto missing = [&] { return fail(ErrorCode::not_found, std::format("there is no answer {}", answer_id)); };
    if (!place) return missing();
    ENGRAM_ASSIGN(const AgentRow row, impl_->registry->get(place->key));
    ENGRAM_ASSIGN(const std::vector<MessageRow> rows, impl_->registry->messages(place->key));
    if (place->ordinal >= rows.size() || rows[place->ordinal].public_id != answer_id) return missing();
    std::vector<ChatMessage> said;
    for (const TemplateMessage &message : history_of(row.system_prompt, std::span(rows).first(place->ordinal + 1))) {
        ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(message.tool_calls));
        ChatMessage chat{
            .role = message.role, .content = message.content, .thinking = message.thinking, .tool_call_id = message.tool_call_id};
        for (const ToolCall &call : calls)
            chat.tool_calls.push_back({.id = call.id, .name = call.name, .arguments = call.arguments});
        said.push_back(std::move(chat));
    }
    return said;
}

}  // namespace engram
