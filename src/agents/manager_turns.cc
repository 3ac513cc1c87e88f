// AgentManager: the way of a turn. Prepare (registry, template, tokenizer), run (engine), conclude (commit, last text, store).
#include <algorithm>
#include <array>
#include <format>
#include <set>

#include "agents/manager_impl.h"
#include "agents/transcript.h"
#include "chat/answer_reader.h"
#include "chat/message_identity.h"
#include "chat/tool_call.h"

namespace engram {

namespace {

constexpr std::chrono::milliseconds kSilence{5000};

Result<std::vector<MessageRow>> checked_messages(std::span<const Message> messages, std::int64_t now) {
    if (messages.empty()) return fail(ErrorCode::invalid_argument, "there are no messages to append");
    std::vector<MessageRow> rows;
    for (const Message &message : messages) {
        const bool answer = message.role == "assistant";
        if (!answer && message.role != "user" && message.role != "tool" && message.role != "system") {
            return fail(ErrorCode::invalid_argument,
                        std::format("message {} has the role \"{}\": it must be system, user, assistant or tool", rows.size(),
                                    message.role));
        }
        ENGRAM_ASSIGN(const std::vector<ToolCall> calls, parse_tool_calls(message.tool_calls));
        if (!answer && !calls.empty()) {
            return fail(ErrorCode::invalid_argument,
                        std::format("message {} has tool calls, but only an assistant's can", rows.size()));
        }
        rows.push_back({.role = message.role,
                        .content = message.content,
                        .created_ms = message.created_ms == 0 ? now : message.created_ms,
                        .tool_calls = tool_calls_json(calls)});
    }
    return rows;
}

std::string why_incompatible(const Manifest &manifest, const Context &context, std::uint32_t block_tokens) {
    if (manifest.fingerprint != context.fingerprint()) {
        return "incompatible: the stored KV was made by another model, adapter, KV type or rope setting";
    }
    return std::format("incompatible: the stored KV has blocks of {} tokens, not {}", manifest.block_tokens, block_tokens);
}

}  // namespace

// What the model is to have read: the committed tokens, and what the template makes of the messages that follow.
Result<AgentManager::Impl::Rendered> AgentManager::Impl::rendered(const AgentKey &key, const Addition &addition,
                                                                  const AgentFront &front,
                                                                  std::span<const TemplateMessage> history,
                                                                  std::span<const TemplateMessage> added,
                                                                  std::span<const Token> committed) const {
    if (addition.raw) return Rendered{.tokens = raw_tokens(key.tenant, addition.messages.front().content)};
    const bool first = committed.empty();  // then everything is rendered
    std::vector<TemplateMessage> following;
    if (first) following.assign(history.begin(), history.end());
    following.insert(following.end(), added.begin(), added.end());
    const std::span<const TemplateMessage> before = first ? std::span<const TemplateMessage>() : history;
    const bool closed = !first && model->is_end_of_generation(committed.back());
    const auto with = [&](const std::string &text) {
        std::vector<Token> tokens(committed.begin(), committed.end());
        const std::vector<Token> further = model->tokenise(text, first, true);
        tokens.insert(tokens.end(), further.begin(), further.end());
        return tokens;
    };
    if (addition.asks) {
        ENGRAM_ASSIGN(std::string text, chat->next_turn(before, following, closed, front.tools, addition.thinks));
        const AnswerStyle &style = chat->answer_style();
        bool thinking = style.opens_thinking(text);
        if (!addition.begun_answer.empty()) {
            if (thinking) text += style.think_close + "\n\n";
            text += addition.begun_answer;
            thinking = false;
        }
        return Rendered{.tokens = with(text), .opens_thinking = thinking};
    }
    ENGRAM_ASSIGN(const ChatTemplate::Scripted scripted, chat->scripted(before, following, closed, front.tools));
    std::vector<Token> tokens = with(scripted.text + scripted.end_marker);
    // An end-of-turn text that isn't this vocabulary's token can't be told from the answer later: the next turn puts it.
    if (scripted.end_marker.empty() || (!tokens.empty() && model->is_end_of_generation(tokens.back()))) {
        return Rendered{.tokens = std::move(tokens)};
    }
    return Rendered{.tokens = with(scripted.text)};
}

Result<AgentManager::Impl::Prepared> AgentManager::Impl::prepare(const AgentKey &key, Addition addition) const {
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    if (options.keep_to_model && row.kind == AgentKind::agent && !row.model.empty() && row.model != model_name()) {
        return fail(ErrorCode::incompatible,
                    std::format("agent {} belongs to the model {}, and {} is loaded: load that one, or let this one adopt the "
                                "agent, whose transcript it then reads again",
                                key.id, row.model, model_name()));
    }
    ENGRAM_ASSIGN(std::vector<MessageRow> messages, registry->messages(key));
    return prepare_from(row, std::move(messages), std::move(addition));
}

Result<AgentManager::Impl::Prepared> AgentManager::Impl::prepare_from(const AgentRow &row, std::vector<MessageRow> messages,
                                                                      Addition addition) const {
    Prepared prepared;
    prepared.began_ms = now_ms();
    const bool cut = addition.keep_messages < messages.size();
    if (cut) messages.resize(addition.keep_messages);
    const AgentFront front = addition.front.value_or(AgentFront{.system_prompt = row.system_prompt, .tools = row.tools});
    std::vector<TemplateMessage> &said = prepared.said;
    said = history_of(front.system_prompt, messages);
    const std::size_t n_history = said.size();
    std::ranges::transform(addition.messages, std::back_inserter(said), template_message);

    // The committed tokens are what the model has read; they hold as long as the tokenizer is the same and the row is sound, up
    // to where a turn ended.
    std::vector<Token> committed;
    std::string lost;
    if (row.n_tokens > 0) {
        if (row.vocabulary != model->vocabulary_hash().hex()) {
            lost = "incompatible: the conversation's tokens belong to another tokenizer";
        } else if (addition.front) {
            lost = "diverged: the system prompt or the tools are others than before";
        } else if (auto tokens = registry->tokens(row.key)) {
            committed = std::move(*tokens);
            if (cut) committed.resize(messages.empty() ? 0 : std::min<std::size_t>(committed.size(), messages.back().n_tokens));
        } else {
            lost = "corrupt: " + tokens.error().message;
        }
    }
    const std::span<const TemplateMessage> all = said;
    ENGRAM_ASSIGN(Rendered prompt, rendered(row.key, addition, front, all.first(n_history), all.subspan(n_history), committed));
    std::vector<Token> &tokens = prepared.plan.tokens;
    tokens = std::move(prompt.tokens);
    if (tokens.empty()) return fail(ErrorCode::invalid_argument, "the prompt has no tokens");
    prepared.plan.system_end = system_end(front, tokens);
    prepared.keep_tokens = committed.size();
    prepared.keep_messages = messages.size();
    prepared.first_new_token = committed.size();
    prepared.messages = std::move(addition.messages);
    prepared.front = std::move(addition.front);
    prepared.opens_thinking = prompt.opens_thinking;
    prepared.tools = front.tools;
    prepared.raw = addition.raw;
    prepared.asks = addition.asks;
    prepared.plan.key = row.key;
    plan_stored(prepared, committed, lost, row.n_tokens > 0);
    return prepared;
}

// What a prompt has in common with one of the same front and another first message.
Position AgentManager::Impl::system_end(const AgentFront &front, std::span<const Token> tokens) const {
    if (front.system_prompt.empty() && front.tools.empty()) return 0;
    std::vector<TemplateMessage> said = history_of(front.system_prompt, {});
    said.push_back({.role = "user", .content = "."});
    const auto text = chat->render(said, false, front.tools);
    return text ? static_cast<Position>(common_prefix(model->tokenise(*text, true, true), tokens)) : 0;
}

void AgentManager::Impl::plan_stored(Prepared &prepared, std::span<const Token> committed, const std::string &lost,
                                     bool has_read) const {
    TurnPlan &plan = prepared.plan;
    plan.grid = SegmentGrid::with_beginning(options.storage.block_tokens, static_cast<std::size_t>(plan.system_end));
    const auto manifest = newest_manifest(plan.key);
    if (manifest) prepared.older = *manifest;
    if (!manifest) {
        plan.no_kv_reason = "corrupt: " + manifest.error().message;
    } else if (!lost.empty()) {
        plan.no_kv_reason = lost;
    } else if (*manifest && (*manifest)->n_kv > 0 && store) {
        if (usable(**manifest)) {
            const auto stored = committed.first(std::min<std::size_t>((*manifest)->n_kv, committed.size()));
            plan.stored_tokens.assign(stored.begin(), stored.end());
            plan.checkpoints = checkpoints_of(**manifest, context->window());
            plan.grid = grid_of(**manifest);
        } else {
            plan.no_kv_reason = why_incompatible(**manifest, *context, options.storage.block_tokens);
        }
    } else if (has_read && store) {
        plan.no_kv_reason = "not stored: the KV of the turns before never came to be on disk";
    }
}

Result<AgentManager::Impl::Prepared> AgentManager::Impl::prepare_turn(const AgentKey &key, const TurnRequest &request) const {
    if (request.role != "user" && request.role != "tool" && request.role != "system") {
        return fail(ErrorCode::invalid_argument, std::format("a turn's role is user, tool or system, not {}", request.role));
    }
    ENGRAM_ASSIGN(
        Prepared prepared,
        prepare(key, {.messages = {{.role = request.role, .content = request.prompt, .created_ms = now_ms()}}, .asks = true}));
    ENGRAM_ASSIGN(prepared.plan.sampler, Sampler::create(*model, request.sampling));
    if (!prepared.tools.empty()) prepared.plan.visible_marks = chat->answer_style().visible_marks();
    prepared.plan.max_tokens = request.max_tokens;
    prepared.plan.priority = request.priority;
    prepared.plan.stop_strings = request.sampling.stop;
    prepared.plan.stop = request.stop;
    return prepared;
}

Result<TurnPlan> AgentManager::Impl::committed_plan(const AgentKey &key) const {
    TurnPlan plan;
    plan.key = key;
    plan.grid.block_tokens = options.storage.block_tokens;
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    if (row.n_tokens == 0) return fail(ErrorCode::not_found, std::format("agent {} has said nothing yet: it has no KV", key.id));
    if (row.vocabulary != model->vocabulary_hash().hex()) {
        return fail(ErrorCode::incompatible, std::format("agent {}'s tokens belong to another tokenizer: its next turn reads the "
                                                         "transcript again",
                                                         key.id));
    }
    ENGRAM_ASSIGN(plan.tokens, registry->tokens(key));
    if (const auto manifest = newest_manifest(key); manifest && *manifest && usable(**manifest)) {
        const auto n = std::min<std::size_t>((*manifest)->n_kv, plan.tokens.size());
        plan.stored_tokens.assign(plan.tokens.begin(), plan.tokens.begin() + static_cast<std::ptrdiff_t>(n));
        plan.checkpoints = checkpoints_of(**manifest, context->window());
        plan.grid = grid_of(**manifest);
    }
    return plan;
}

TurnPlan AgentManager::Impl::take_plan(Prepared &prepared) {
    TurnPlan plan = std::move(prepared.plan);
    prepared.plan.key = plan.key;
    prepared.plan.tokens = plan.tokens;
    return plan;
}

void AgentManager::Impl::run(std::vector<TurnPlan> plans, const std::function<void(TurnChannel::Event)> &on_event,
                             const std::function<void()> &on_silence) {
    const auto channel = std::make_shared<TurnChannel>();
    std::vector<std::pair<AgentKey, bool>> turns;  // and whether it is a real one
    for (std::size_t i = 0; i < plans.size(); ++i) {
        turns.emplace_back(plans[i].key, !plans[i].probe && !plans[i].load_only);
        if (preloader) preloader->began(plans[i].key);
        engine->submit(std::move(plans[i]), channel, i);
    }
    for (std::size_t finished = 0; finished < turns.size();) {
        std::optional<TurnChannel::Event> event = on_silence ? channel->receive(kSilence) : std::optional(channel->receive());
        if (!event) {
            on_silence();
            continue;
        }
        if (const auto *end = std::get_if<TurnChannel::Finished>(&*event)) {
            ++finished;
            const auto &[key, real] = turns[end->turn];
            const bool told = real && !end->end.error;
            if (preloader) preloader->ended(key, told ? std::optional<std::string_view>(end->end.result.tier) : std::nullopt);
        }
        on_event(std::move(*event));
    }
}

Result<TurnEnd> AgentManager::Impl::run_one(TurnPlan plan) {
    std::vector<TurnPlan> plans;
    plans.push_back(std::move(plan));
    TurnEnd end;
    run(std::move(plans), [&](TurnChannel::Event event) {
        if (auto *finished = std::get_if<TurnChannel::Finished>(&event)) end = std::move(finished->end);
    });
    if (end.error) return std::unexpected(std::move(*end.error));
    return end;
}

MessageRow AgentManager::Impl::answer_message(const Prepared &prepared, TurnResult &result) const {
    MessageRow message{.role = "assistant", .content = result.text, .created_ms = now_ms()};
    const std::vector<ChatTool> tools = parse_tools(prepared.tools).value_or(std::vector<ChatTool>());
    AnswerStyle style = chat->answer_style();
    style.calls = !tools.empty();
    ParsedAnswer parsed = read_answer(style, tools, prepared.opens_thinking, result.text);
    if (!parsed.malformed.empty()) return message;
    message.content = std::move(parsed.text);
    message.thinking = std::move(parsed.thinking);
    message.tool_calls = result.tool_calls = tool_calls_json(parsed.calls);
    return message;
}

Result<TurnResult> AgentManager::Impl::conclude(Prepared &prepared, TurnEnd end, std::optional<MessageRow> answer,
                                                const std::function<void(const TurnResult &)> &hand_out) {
    {
        const std::scoped_lock lock(totals_mutex);
        totals.corrupt += end.corrupt_parts;
        totals.restored_tokens += end.result.reused_tokens;
        totals.computed_tokens += end.result.computed_tokens;
        if (end.result.tier == tier_name(Tier::disk)) ++totals.from_disk;
        if (end.result.tier == tier_name(Tier::memory)) ++totals.from_memory;
        if (end.result.miss && end.result.miss->reason.starts_with("incompatible")) ++totals.incompatible;
        totals.prefill_tokens += end.result.computed_tokens;
        totals.prefill_ms += end.result.prefill_ms;
    }
    const auto put_deferred = [&] {
        for (PutRequest &put : end.deferred) store->put(std::move(put));
    };
    if (end.error) {
        put_deferred();
        return std::unexpected(std::move(*end.error));
    }
    TurnResult result = std::move(end.result);
    const auto commit_start = system_clock().steady_us();
    const auto committed = prepared.forget ? Result<void>() : commit(prepared, result, std::move(answer));
    result.commit_ms = static_cast<double>(system_clock().steady_us() - commit_start) / 1000.0;
    if (!committed) {
        result.committed = false;
        result.warning = "this turn was not committed and will be forgotten: " + committed.error().message;
    }
    hand_out(result);
    if (store) {
        put_deferred();
        if (committed && !prepared.forget) {
            if (auto row = registry->get(prepared.plan.key)) {
                publisher->publish(std::move(*row), std::move(end.manifest), std::move(prepared.older));
            }
            if (preloader) preloader->learn(prepared.plan.key, prepared.began_ms);
        }
        const std::string problem = unstored(prepared.plan.key.tenant);
        if (result.warning.empty() && !problem.empty()) {
            result.warning = "KV could not be written to disk (it will be recomputed when it is needed): " + problem;
        }
    }
    return result;
}

std::string AgentManager::Impl::unstored(std::string_view tenant) const {
    std::string why = store->last_write_error();
    if (why.empty()) why = store->refusal(tenant);
    // A small part may have been written since: what an agent needs is still not there.
    if (why.empty()) why = publisher->last_error(tenant);
    return why;
}

// One transaction: tokens, messages, and by what the conversation is found when its client sends it again.
Result<void> AgentManager::Impl::commit(Prepared &prepared, const TurnResult &result, std::optional<MessageRow> answer) {
    std::vector<Token> new_tokens(prepared.plan.tokens.begin() + static_cast<std::ptrdiff_t>(prepared.first_new_token),
                                  prepared.plan.tokens.end());
    new_tokens.insert(new_tokens.end(), result.tokens.begin(), result.tokens.end());
    const bool answered = answer.has_value();
    if (answer) {
        prepared.said.push_back(template_message(*answer));
        prepared.messages.push_back(std::move(*answer));
    }
    MessageRow &last = prepared.messages.back();
    // A prompt that was only read ends with the beginning of an answer: no turn goes on from there.
    const bool ends_turn = answered || !prepared.asks;
    if (ends_turn) last.n_tokens = prepared.keep_tokens + new_tokens.size();
    if (ends_turn && last.role == "assistant" && !prepared.raw)
        last.prefix = prefix_digests(prepared.tools, prepared.said).back().hex();
    const Manifest nothing{
        .fingerprint = context->fingerprint(), .block_tokens = options.storage.block_tokens, .n_kv = 0, .parts = {}};
    const bool stale = prepared.older && prepared.keep_tokens < prepared.older->n_kv;
    return registry->commit_turn({.key = prepared.plan.key,
                                  .keep_tokens = prepared.keep_tokens,
                                  .new_tokens = new_tokens,
                                  .new_messages = prepared.messages,
                                  .keep_messages = prepared.keep_messages,
                                  // The manifest follows when its files are there; one of other tokens must go now.
                                  .manifest = stale ? &nothing : nullptr,
                                  .now_ms = now_ms(),
                                  .model = model_name(),
                                  .vocabulary = model->vocabulary_hash().hex(),
                                  .counts_as_turn = answered,
                                  .front = prepared.front,
                                  .expires_ms = prepared.expires_ms,
                                  .retention = prepared.retention});
}

std::vector<Result<TurnResult>> AgentManager::Impl::generate(const std::string &tenant, std::span<const BatchItem *const> items) {
    std::vector<Result<TurnResult>> results;
    std::vector<Prepared> prepared;
    std::vector<TurnPlan> plans;
    std::vector<std::size_t> origin;  // of plan i: index in items
    std::vector<AgentKey> keys;
    for (const BatchItem *item : items) keys.push_back({.tenant = tenant, .id = item->id});
    const auto hold = gates.take(keys);
    for (std::size_t i = 0; i < items.size(); ++i) {
        results.push_back(fail(ErrorCode::internal, "the turn did not run"));
        if (const auto valid = validate_agent_id(items[i]->id); !valid) {
            results[i] = std::unexpected(valid.error());
            continue;
        }
        auto ready = prepare_turn(keys[i], items[i]->request);
        if (!ready) {
            results[i] = std::unexpected(std::move(ready.error()));
            continue;
        }
        plans.push_back(take_plan(*ready));
        prepared.push_back(std::move(*ready));
        origin.push_back(i);
    }
    // Each turn is committed as soon as it has ended, whatever the others still do.
    run(std::move(plans), [&](TurnChannel::Event event) {
        if (const auto *text = std::get_if<TurnChannel::Text>(&event)) {
            const TurnRequest &request = items[origin[text->turn]]->request;
            if (request.on_text) request.on_text(text->piece.text);
        } else if (const auto *progress = std::get_if<TurnChannel::Progress>(&event)) {
            const TurnRequest &request = items[origin[progress->turn]]->request;
            if (request.on_prefill) request.on_prefill(progress->done, progress->total);
        } else if (auto *finished = std::get_if<TurnChannel::Finished>(&event)) {
            const std::size_t item = origin[finished->turn];
            const TurnRequest &request = items[item]->request;
            TurnEnd &end = finished->end;
            std::optional<MessageRow> answer;
            if (!end.error) answer = answer_message(prepared[finished->turn], end.result);
            const std::string last = std::move(end.last.text);
            results[item] = conclude(prepared[finished->turn], std::move(end), std::move(answer), [&](const TurnResult &) {
                if (request.on_text && !last.empty()) request.on_text(last);
            });
        }
    });
    return results;
}

Result<TurnResult> AgentManager::append(std::string_view id, std::span<const Message> messages) {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_ASSIGN(std::vector<MessageRow> rows, checked_messages(messages, impl_->now_ms()));
    const auto hold = impl_->gates.take(key_of(id));
    ENGRAM_ASSIGN(Impl::Prepared prepared, impl_->prepare(key_of(id), {.messages = std::move(rows)}));
    std::vector<TurnPlan> plans;
    plans.push_back(Impl::take_plan(prepared));
    TurnEnd end;
    impl_->run(std::move(plans), [&](TurnChannel::Event event) {
        if (auto *finished = std::get_if<TurnChannel::Finished>(&event)) end = std::move(finished->end);
    });
    ENGRAM_ASSIGN(TurnResult result, impl_->conclude(prepared, std::move(end), std::nullopt, [](const TurnResult &) {}));
    result.finish = "appended";
    return result;
}

Result<TurnResult> AgentManager::generate(std::string_view id, const TurnRequest &request) {
    return std::move(generate_batch(std::array{BatchItem{.id = std::string(id), .request = request}}).front());
}

std::vector<Result<TurnResult>> AgentManager::generate_batch(std::span<const BatchItem> items) {
    std::vector<Result<TurnResult>> results;
    for (std::size_t i = 0; i < items.size(); ++i) results.push_back(fail(ErrorCode::internal, "the turn did not run"));
    // An agent that is named twice takes its turns one after the other: in waves.
    std::vector<bool> done(items.size(), false);
    for (std::size_t left = items.size(); left > 0;) {
        std::set<std::string_view> taken;
        std::vector<const BatchItem *> wave;
        std::vector<std::size_t> origin;
        for (std::size_t i = 0; i < items.size(); ++i) {
            if (done[i] || !taken.insert(items[i].id).second) continue;
            wave.push_back(&items[i]);
            origin.push_back(i);
            done[i] = true;
        }
        left -= wave.size();
        std::vector<std::string> rooms;
        for (const BatchItem *item : wave) rooms.push_back(impl_->make_room(tenant_, *item));
        std::vector<Result<TurnResult>> some = impl_->generate(tenant_, wave);
        for (std::size_t i = 0; i < some.size(); ++i) {
            if (some[i] && some[i]->warning.empty()) some[i]->warning = std::move(rooms[i]);
            results[origin[i]] = std::move(some[i]);
        }
    }
    return results;
}

}  // namespace engram
