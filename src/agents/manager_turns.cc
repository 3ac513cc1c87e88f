// AgentManager: the way of a turn. Prepare (registry, template, tokenizer), run (engine), conclude (commit, last text, store).
#include <algorithm>
#include <format>
#include <set>

#include "agents/manager_impl.h"
#include "chat/answer_reader.h"
#include "chat/tool_call.h"

namespace engram {

namespace {

TemplateMessage chat_message(const MessageRow &message) {
    return {.role = message.role, .content = message.content, .tool_calls = message.tool_calls};
}

std::vector<TemplateMessage> history_of(const AgentRow &row, std::span<const MessageRow> messages) {
    std::vector<TemplateMessage> history;
    if (!row.system_prompt.empty()) history.push_back({.role = "system", .content = row.system_prompt});
    for (const MessageRow &message : messages) history.push_back(chat_message(message));
    return history;
}

// The answer as the transcript keeps it.
MessageRow answer_message(TurnResult &result, const AnswerStyle &style, const std::string &tools, std::int64_t now) {
    MessageRow message{.role = "assistant", .content = result.text, .created_ms = now};
    if (tools.empty()) return message;
    ParsedAnswer parsed = read_answer(style, parse_tools(tools).value_or(std::vector<ChatTool>()), false, result.text);
    if (parsed.calls.empty() || !parsed.malformed.empty()) return message;
    message.content = std::move(parsed.text);
    if (!parsed.thinking.empty() && !style.think_open.empty()) {
        message.content = std::format("{}\n{}\n{}\n\n{}", style.think_open, parsed.thinking, style.think_close, message.content);
    }
    message.tool_calls = result.tool_calls = tool_calls_json(parsed.calls);
    return message;
}

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
Result<std::vector<Token>> AgentManager::Impl::tokens_with(const AgentRow &row, std::span<const TemplateMessage> history,
                                                           std::span<const TemplateMessage> added,
                                                           std::span<const Token> committed, bool asks) const {
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
    if (asks) {
        ENGRAM_ASSIGN(const std::string text, chat->next_turn(before, following, closed, row.tools));
        return with(text);
    }
    ENGRAM_ASSIGN(const ChatTemplate::Scripted scripted, chat->scripted(before, following, closed, row.tools));
    std::vector<Token> tokens = with(scripted.text + scripted.end_marker);
    // An end-of-turn text that isn't this vocabulary's token can't be told from the answer later: the next turn puts it.
    if (scripted.end_marker.empty() || (!tokens.empty() && model->is_end_of_generation(tokens.back()))) return tokens;
    return with(scripted.text);
}

Result<AgentManager::Impl::Prepared> AgentManager::Impl::prepare(const AgentKey &key, std::vector<MessageRow> messages_added,
                                                                 bool asks) const {
    Prepared prepared;
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    ENGRAM_ASSIGN(const std::vector<MessageRow> messages, registry->messages(key));
    const std::vector<TemplateMessage> history = history_of(row, messages);
    std::vector<TemplateMessage> added;
    std::ranges::transform(messages_added, std::back_inserter(added), chat_message);

    // The committed tokens are what the model has read; they hold as long as the tokenizer is the same and the row is sound.
    std::vector<Token> committed;
    std::string lost;
    if (row.n_tokens > 0) {
        if (row.vocabulary != model->vocabulary_hash().hex()) {
            lost = "incompatible: the conversation's tokens belong to another tokenizer";
        } else if (auto tokens = registry->tokens(key)) {
            committed = std::move(*tokens);
        } else {
            lost = "corrupt: " + tokens.error().message;
        }
    }
    std::vector<Token> &tokens = prepared.plan.tokens;
    ENGRAM_ASSIGN(tokens, tokens_with(row, history, added, committed, asks));
    if (tokens.empty()) return fail(ErrorCode::invalid_argument, "the prompt has no tokens");
    if (!row.system_prompt.empty()) {
        if (const auto system = chat->render(std::span(history).first(1), false, row.tools)) {
            prepared.plan.system_end = static_cast<Position>(common_prefix(model->tokenise(*system, true, true), tokens));
        }
    }
    prepared.keep_tokens = committed.size();
    prepared.first_new_token = committed.size();
    prepared.messages = std::move(messages_added);
    prepared.asks = asks;
    prepared.tools = row.tools;

    const auto manifest = newest_manifest(key);
    if (manifest) prepared.older = *manifest;
    if (!manifest) {
        prepared.plan.no_kv_reason = "corrupt: " + manifest.error().message;
    } else if (!lost.empty()) {
        prepared.plan.no_kv_reason = lost;
    } else if (*manifest && (*manifest)->n_kv > 0 && store) {
        if ((*manifest)->fingerprint == context->fingerprint() && (*manifest)->block_tokens == options.storage.block_tokens) {
            const auto n = std::min<std::size_t>((*manifest)->n_kv, committed.size());
            prepared.plan.stored_tokens.assign(committed.begin(), committed.begin() + static_cast<std::ptrdiff_t>(n));
            prepared.plan.checkpoints = checkpoints_of(**manifest, context->window());
        } else {
            prepared.plan.no_kv_reason = why_incompatible(**manifest, *context, options.storage.block_tokens);
        }
    } else if (row.n_tokens > 0 && store) {
        prepared.plan.no_kv_reason = "not stored: the KV of the turns before never came to be on disk";
    }
    prepared.plan.key = key;
    return prepared;
}

Result<AgentManager::Impl::Prepared> AgentManager::Impl::prepare_turn(const AgentKey &key, const TurnRequest &request) const {
    if (request.role != "user" && request.role != "tool" && request.role != "system") {
        return fail(ErrorCode::invalid_argument, std::format("a turn's role is user, tool or system, not {}", request.role));
    }
    ENGRAM_ASSIGN(Prepared prepared,
                  prepare(key, {{.role = request.role, .content = request.prompt, .created_ms = now_ms()}}, true));
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
    ENGRAM_ASSIGN(const AgentRow row, registry->get(key));
    if (row.n_tokens == 0) return fail(ErrorCode::not_found, std::format("agent {} has said nothing yet: it has no KV", key.id));
    if (row.vocabulary != model->vocabulary_hash().hex()) {
        return fail(ErrorCode::incompatible, std::format("agent {}'s tokens belong to another tokenizer: its next turn reads the "
                                                         "transcript again",
                                                         key.id));
    }
    ENGRAM_ASSIGN(plan.tokens, registry->tokens(key));
    if (const auto manifest = newest_manifest(key); manifest && *manifest && (*manifest)->fingerprint == context->fingerprint() &&
                                                    (*manifest)->block_tokens == options.storage.block_tokens) {
        const auto n = std::min<std::size_t>((*manifest)->n_kv, plan.tokens.size());
        plan.stored_tokens.assign(plan.tokens.begin(), plan.tokens.begin() + static_cast<std::ptrdiff_t>(n));
        plan.checkpoints = checkpoints_of(**manifest, context->window());
    }
    return plan;
}

TurnPlan AgentManager::Impl::take_plan(Prepared &prepared) {
    TurnPlan plan = std::move(prepared.plan);
    prepared.plan.key = plan.key;
    prepared.plan.tokens = plan.tokens;
    return plan;
}

void AgentManager::Impl::run(std::vector<TurnPlan> plans, const std::function<void(TurnChannel::Event)> &on_event) {
    const auto channel = std::make_shared<TurnChannel>();
    for (std::size_t i = 0; i < plans.size(); ++i) engine->submit(std::move(plans[i]), channel, i);
    for (std::size_t finished = 0; finished < plans.size();) {
        TurnChannel::Event event = channel->receive();
        if (std::holds_alternative<TurnChannel::Finished>(event)) ++finished;
        on_event(std::move(event));
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

Result<TurnResult> AgentManager::Impl::conclude(Prepared &prepared, TurnEnd end, const TurnRequest &request) {
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
    std::vector<Token> new_tokens(prepared.plan.tokens.begin() + static_cast<std::ptrdiff_t>(prepared.first_new_token),
                                  prepared.plan.tokens.end());
    new_tokens.insert(new_tokens.end(), result.tokens.begin(), result.tokens.end());
    const std::int64_t now = now_ms();
    if (prepared.asks) prepared.messages.push_back(answer_message(result, chat->answer_style(), prepared.tools, now));
    const Manifest nothing{
        .fingerprint = context->fingerprint(), .block_tokens = options.storage.block_tokens, .n_kv = 0, .parts = {}};
    const bool stale = prepared.older && prepared.keep_tokens < prepared.older->n_kv;
    const auto committed =
        registry->commit_turn({.key = prepared.plan.key,
                               .keep_tokens = prepared.keep_tokens,
                               .new_tokens = new_tokens,
                               .new_messages = prepared.messages,
                               // The manifest follows when its files are there; one of other tokens must go now.
                               .manifest = stale ? &nothing : nullptr,
                               .now_ms = now,
                               .model = model->description(),
                               .vocabulary = model->vocabulary_hash().hex(),
                               .counts_as_turn = prepared.asks});
    result.commit_ms = static_cast<double>(system_clock().steady_us() - commit_start) / 1000.0;
    if (!committed) {
        result.warning = "this turn was not committed and will be forgotten: " + committed.error().message;
    }
    if (request.on_text && !end.last_text.empty()) request.on_text(end.last_text);
    if (store) {
        put_deferred();
        if (committed) {
            if (auto row = registry->get(prepared.plan.key)) {
                publisher->publish(std::move(*row), std::move(end.manifest), std::move(prepared.older));
            }
        }
        std::string problem = store->last_write_error();
        if (problem.empty()) problem = publisher->last_error();
        if (result.warning.empty() && !problem.empty()) {
            result.warning = "KV could not be written to disk (it will be recomputed when it is needed): " + problem;
        }
    }
    return result;
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
            if (request.on_text) request.on_text(text->text);
        } else if (const auto *progress = std::get_if<TurnChannel::Progress>(&event)) {
            const TurnRequest &request = items[origin[progress->turn]]->request;
            if (request.on_prefill) request.on_prefill(progress->done, progress->total);
        } else if (auto *finished = std::get_if<TurnChannel::Finished>(&event)) {
            const std::size_t item = origin[finished->turn];
            results[item] = conclude(prepared[finished->turn], std::move(finished->end), items[item]->request);
        }
    });
    return results;
}

Result<TurnResult> AgentManager::append(std::string_view id, std::span<const Message> messages) {
    ENGRAM_TRY(validate_agent_id(id));
    ENGRAM_ASSIGN(std::vector<MessageRow> rows, checked_messages(messages, impl_->now_ms()));
    const auto hold = impl_->gates.take(key_of(id));
    ENGRAM_ASSIGN(Impl::Prepared prepared, impl_->prepare(key_of(id), std::move(rows), false));
    std::vector<TurnPlan> plans;
    plans.push_back(Impl::take_plan(prepared));
    TurnEnd end;
    impl_->run(std::move(plans), [&](TurnChannel::Event event) {
        if (auto *finished = std::get_if<TurnChannel::Finished>(&event)) end = std::move(finished->end);
    });
    ENGRAM_ASSIGN(TurnResult result, impl_->conclude(prepared, std::move(end), {}));
    result.finish = "appended";
    return result;
}

Result<TurnResult> AgentManager::generate(std::string_view id, const TurnRequest &request) {
    const BatchItem item{.id = std::string(id), .request = request};
    const BatchItem *pointer = &item;
    return std::move(impl_->generate(tenant_, std::span(&pointer, 1)).front());
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
        std::vector<Result<TurnResult>> some = impl_->generate(tenant_, wave);
        for (std::size_t i = 0; i < some.size(); ++i) results[origin[i]] = std::move(some[i]);
    }
    return results;
}

}  // namespace engram
