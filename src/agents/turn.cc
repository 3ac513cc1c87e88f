#include "agents/turn.h"

#include <algorithm>
#include <format>
#include <iterator>
#include <utility>

namespace engram {

namespace {

constexpr std::uint64_t kMostTokensOfACharacter = 4;  // its bytes

}  // namespace

void TurnChannel::send(Event event) {
    {
        const std::scoped_lock lock(mutex_);
        events_.push_back(std::move(event));
    }
    arrived_.notify_one();
}

TurnChannel::Event TurnChannel::receive() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !events_.empty(); });
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

std::optional<TurnChannel::Event> TurnChannel::receive(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, longest, [this] { return !events_.empty(); })) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

Turn::Turn(TurnPlan plan, const Model &model, Context &context, KvSaver &saver, KvSettings settings,
           std::shared_ptr<TurnChannel> channel, std::size_t index)
    : plan_(std::move(plan)),
      model_(model),
      context_(context),
      saver_(saver),
      settings_(settings),
      channel_(std::move(channel)),
      index_(index),
      text_(plan_.stop_strings) {
    end_.result.prompt_tokens = plan_.tokens.size();
    end_.result.tier = "none";
}

double Turn::ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

// Clients allow answers of tens of thousands of tokens and get some hundreds: reserving all would let one turn run at a time.
std::uint64_t Turn::cells_needed() const {
    const std::uint64_t answer = plan_.max_tokens > answered_ ? plan_.max_tokens - answered_ : 0;
    return std::min<std::uint64_t>(context_.cells(), plan_.tokens.size() + std::min(answer, kUsualAnswer));
}

void Turn::step_aside() {
    // The tail is saved too, so that nothing of it is computed again.
    end_.manifest = saver_.finish(*resident_);
    std::ranges::move(saver_.take_deferred(), std::back_inserter(end_.deferred));
    plan_.stored_tokens = resident_->kv;
    plan_.checkpoints = resident_->checkpoints;
    if (answering_) {
        plan_.tokens = resident_->kv;
        plan_.tokens.insert(plan_.tokens.end(), pending_.begin() + static_cast<std::ptrdiff_t>(computed_), pending_.end());
    }
    pending_.clear();
    computed_ = 0;
    resident_->running = false;
    resident_ = nullptr;
}

std::uint64_t Turn::to_compute() const { return plan_.tokens.size() - common_prefix(plan_.tokens, plan_.stored_tokens); }

void Turn::admitted(Resident &resident) {
    resident_ = &resident;
    resident.running = true;
    if (resident.grid != plan_.grid) resident.chain.clear();
    resident.grid = plan_.grid;
    resident.system_end = plan_.system_end;
    admitted_ = Clock::now();
    if (!began_once_) end_.result.queue_ms = std::chrono::duration<double, std::milli>(admitted_ - submitted_).count();
}

void Turn::restored(const RestoreOutcome &outcome) {
    end_.corrupt_parts += outcome.corrupt_parts;
    if (began_once_) return;  // what is told is what the prompt cost
    restore_ = outcome;
    end_.result.restore_ms = ms_since(admitted_);
    end_.result.restored_bytes = outcome.bytes;
    if (outcome.resume_at > 0) end_.result.tier = tier_name(outcome.tier);
}

void Turn::begin() {
    const std::size_t reused = resident_->kv.size();
    if (std::exchange(began_once_, true)) {
        pending_.assign(plan_.tokens.begin() + static_cast<std::ptrdiff_t>(reused), plan_.tokens.end());
        return;
    }
    began_ = Clock::now();
    end_.result.reused_tokens = reused;
    end_.result.computed_tokens = plan_.tokens.size() - reused;
    if (reused > 0 && end_.result.tier == "none") end_.result.tier = tier_name(Tier::hot);
    if (reused == 0) end_.result.tier = "none";
    note_miss();
    if (plan_.load_only) {
        resident_->running = false;
        send_end();
        return;
    }
    pending_.assign(plan_.tokens.begin() + static_cast<std::ptrdiff_t>(reused), plan_.tokens.end());
    computed_ = 0;
    channel_->send(TurnChannel::Began{.turn = index_, .so_far = end_.result});
    if (!plan_.sampler) return;
    const auto look_back = std::min<std::size_t>(plan_.tokens.size(), 1024);
    plan_.sampler->observe(std::span(plan_.tokens).last(look_back));
}

// Says at which token and why committed KV could not be reused.
void Turn::note_miss() {
    const std::size_t reused = resident_->kv.size();
    const std::size_t expected = std::min(common_prefix(plan_.tokens, plan_.stored_tokens), plan_.tokens.size() - 1);
    const bool went_on_in_place = reused > 0 && end_.result.tier == tier_name(Tier::hot);
    if (!plan_.no_kv_reason.empty() && (!went_on_in_place || plan_.no_kv_reason.starts_with("diverged"))) {
        end_.result.miss = PrefixMiss{.at_token = reused, .reason = plan_.no_kv_reason};
    } else if (reused < expected) {
        const std::string_view kind = restore_.recompute ? "recomputed" : restore_.corrupt_parts > 0 ? "corrupt" : "evicted";
        end_.result.miss = PrefixMiss{.at_token = reused, .reason = std::format("{}: {}", kind, restore_.limit)};
    }
}

// Where agents with the same beginning may resume: the seam, and the last whole block in front of it for those that depart
// sooner.
bool Turn::is_of_system(Position position) const {
    if (position == 0 || !resident_->grid.is_boundary(static_cast<std::size_t>(position))) return false;
    return position == resident_->system_boundary() || position == resident_->system_end;
}

// Checkpoints inside the prefill, for memory classes that can't be cut anywhere.
bool Turn::is_checkpoint(Position position) const {
    if (answering_ || position == 0 || (!context_.has_window() && !context_.has_state())) return false;
    return position % static_cast<Position>(settings_.checkpoint_tokens) == 0 || is_of_system(position);
}

// Chunks end at multiples of the batch size, so that a prompt is computed in the same chunks however much of it was restored.
Position Turn::chunk_end() const {
    const Position from = next_position();
    const auto next_multiple = [&](Position step) { return (from / step + 1) * step; };
    Position end = next_multiple(static_cast<Position>(context_.batch_tokens()));
    if (!answering_ && (context_.has_window() || context_.has_state())) {
        end = std::min(end, next_multiple(static_cast<Position>(settings_.checkpoint_tokens)));
        for (const Position of_system : {resident_->system_boundary(), resident_->system_end}) {
            if (of_system > from && is_of_system(of_system)) end = std::min(end, of_system);
        }
    }
    return end;
}

bool Turn::stopped() {
    if (!plan_.stop.stop_requested()) return false;
    if (answering_) {
        finish("cancelled");
    } else {
        // What was computed stays in the context and in the store; the conversation is as it was.
        saver_.save_filled(*resident_);
        resident_->running = false;
        end_.error =
            Error{.code = ErrorCode::cancelled,
                  .message = std::format("cancelled after {} of {} prompt tokens", next_position(), plan_.tokens.size())};
        std::ranges::move(saver_.take_deferred(), std::back_inserter(end_.deferred));
        send_end();
    }
    return true;
}

void Turn::computed(std::size_t count) {
    const auto first = pending_.begin() + static_cast<std::ptrdiff_t>(computed_);
    resident_->kv.insert(resident_->kv.end(), first, first + static_cast<std::ptrdiff_t>(count));
    computed_ += count;
    if (plan_.probe) return;
    saver_.save_filled(*resident_);
    const Position end = next_position();
    if (is_checkpoint(end)) saver_.checkpoint(*resident_);
    if (!answering_) {
        channel_->send(TurnChannel::Progress{.turn = index_,
                                             .done = static_cast<std::uint64_t>(end) - end_.result.reused_tokens,
                                             .total = end_.result.computed_tokens});
    }
}

bool Turn::choose(Context &context, std::size_t index) {
    if (plan_.probe) {
        const auto logits = context.logits(index);
        end_.logits.emplace_back(logits.begin(), logits.end());
        if (const std::size_t read = end_.logits.size() - 1; read < plan_.following.size()) {
            pending_.assign(1, plan_.following[read]);
            computed_ = 0;
            return true;
        }
        end_.result.prefill_ms = ms_since(began_);
        end_.result.ttft_ms = ms_since(submitted_);
        resident_->running = false;
        send_end();
        return false;
    }
    if (!answering_) {
        answering_ = true;
        end_.result.prefill_ms = ms_since(began_);
        if (plan_.max_tokens == 0) {
            end_.result.ttft_ms = ms_since(submitted_);
            finish("length");
            return false;
        }
    }
    const Token token = next_token(context, index);
    if (end_.result.tokens.empty()) {
        end_.result.ttft_ms = ms_since(submitted_);
        first_token_ = Clock::now();
    }
    if (plan_.top_logprobs) note_logprobs(context.logits(index), token);
    return add_token(token);
}

// The sampler's, or one that ends thinking.
Token Turn::next_token(Context &context, std::size_t index) {
    // Not within a character.
    const bool due = plan_.thinking && plan_.thinking->due() && (next_.tokens == 0 || next_.tokens >= kMostTokensOfACharacter);
    if (due || ended_thinking_ > 0) {
        while (ended_thinking_ < plan_.thinking_ending.size()) {
            const Token token = plan_.thinking_ending[ended_thinking_++];
            if (plan_.sampler->accept(token)) return token;  // else a grammar says what follows
        }
    }
    return plan_.sampler->sample(context.handle(), static_cast<std::int32_t>(index));
}

void Turn::note_logprobs(std::span<const float> logits, Token token) {
    const Sampler::Logprobs logprobs = Sampler::logprobs(logits, token, *plan_.top_logprobs);
    TokenLogprob noted{.token = token, .bytes = model_.piece(token, true), .logprob = logprobs.chosen, .alternatives = {}};
    for (const auto &[other, logprob] : logprobs.most_probable) {
        noted.alternatives.push_back(
            {.token = other, .bytes = model_.piece(other, true), .logprob = logprob, .alternatives = {}});
    }
    next_.logprobs.push_back(std::move(noted));
}

// Control tokens are no text, but for the marks that tool calls are written with.
std::string Turn::text_of(Token token) const {
    std::string piece = model_.piece(token, false);
    if (!piece.empty() || plan_.visible_marks.empty()) return piece;
    piece = model_.piece(token, true);
    return std::ranges::contains(plan_.visible_marks, piece) ? piece : std::string();
}

bool Turn::add_token(Token token) {
    end_.result.tokens.push_back(token);
    ++answered_;
    ++next_.tokens;
    if (model_.is_end_of_generation(token)) {
        finish("stop");
        return false;
    }
    const std::string text = text_of(token);
    if (plan_.thinking) plan_.thinking->add(text);
    next_.text = text_.add(text);
    if (!next_.text.empty()) {
        if (!held_.text.empty()) channel_->send(TurnChannel::Text{.turn = index_, .piece = std::move(held_)});
        held_ = std::exchange(next_, {});
    }
    if (text_.stopped()) {
        end_.stop_string = text_.stop();
        finish("stop_string");
        return false;
    }
    if (end_.result.tokens.size() >= plan_.max_tokens) {
        finish("length");
        return false;
    }
    if (resident_->kv.size() + 1 >= context_.cells()) {
        finish("context");
        return false;
    }
    if (!held_.text.empty() && !std::exchange(began_to_tell_, true)) {
        channel_->send(TurnChannel::Text{.turn = index_, .piece = std::exchange(held_, {})});
    }
    pending_.assign(1, token);
    computed_ = 0;
    return true;
}

// The answer as it is: its last piece, and its text.
void Turn::end_answer(std::string_view reason) {
    end_.result.finish = reason;
    if (!end_.result.tokens.empty()) end_.result.decode_ms = ms_since(first_token_);
    held_.text += text_.finish();
    held_.tokens += next_.tokens;
    if (reason == "stop" && !next_.logprobs.empty()) next_.logprobs.pop_back();  // of the end-of-generation token: it is no text
    std::ranges::move(next_.logprobs, std::back_inserter(held_.logprobs));
    end_.last = std::move(held_);
    end_.result.text = text_.text();
}

void Turn::finish(std::string_view reason) {
    end_answer(reason);
    const Clock::time_point save_start = Clock::now();
    end_.manifest = saver_.finish(*resident_);
    end_.result.save_ms = ms_since(save_start);
    std::ranges::move(saver_.take_deferred(), std::back_inserter(end_.deferred));
    end_.result.warning = saver_.take_warning();
    resident_->running = false;
    send_end();
}

void Turn::failed(const Error &error) {
    resident_->kv.clear();
    resident_->chain.clear();
    resident_->checkpoints.clear();
    resident_->running = false;
    end_.error = error;
    send_end();
}

void Turn::abandon(Error error) {
    if (answering_ && resident_ == nullptr) {  // it has stepped aside: what it said stays
        end_answer("cancelled");
        send_end();
        return;
    }
    if (resident_ != nullptr) resident_->running = false;
    end_.error = std::move(error);
    send_end();
}

void Turn::send_end() { channel_->send(TurnChannel::Finished{.turn = index_, .end = std::move(end_)}); }

}  // namespace engram
