// One turn of one agent on its way through the engine: restore, prefill, decode, save.
//
// The caller's thread prepares a TurnPlan (registry, template, tokenizer) and later commits the TurnEnd; in between the turn
// belongs to the engine thread. Text and progress reach the caller through a TurnChannel, whose pieces of text are
// held back, but for the first, until the next is there or the turn is committed (docs/adr/0016).
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agents/kv_saver.h"
#include "agents/restorer.h"
#include "chat/thinking_limit.h"
#include "engine/sampler.h"
#include "engram/agents.h"
#include "scheduler/scheduler.h"

namespace engram {

struct TurnPlan {
    AgentKey key;
    std::vector<Token> tokens;         // everything the model is to have read before it answers
    std::vector<Token> stored_tokens;  // the committed tokens whose KV the manifest names; empty when it names none
    std::set<Position> checkpoints;    // inside stored_tokens, from the manifest
    Position system_end = 0;           // tokens of the system prompt and the tools: other agents may share them
    SegmentGrid grid;                  // how the agent's KV is stored, or will be
    std::string no_kv_reason;          // why stored_tokens is empty although there was KV; empty: there was none
    std::optional<Sampler> sampler;    // of a turn that answers
    std::uint32_t max_tokens = 0;
    std::vector<std::string> stop_strings;
    std::vector<std::string> visible_marks;     // texts of control tokens that belong to the answer's text
    std::optional<ThinkingLimit> thinking;      // given: thinking that goes on for longer is ended
    std::vector<Token> thinking_ending;         // with these, which are sampled as it were
    std::optional<std::uint32_t> top_logprobs;  // given: log probabilities come with the text, with so many alternatives
    std::stop_token stop;
    std::int32_t priority = 0;
    bool probe = false;  // compute logits only: the last token's, and those of `following`; sample nothing, save nothing
    std::vector<Token> following;  // what a probe reads as if it had been said next
    bool load_only = false;        // bring back what is stored; compute nothing
};

// Some text of an answer.
struct TurnPiece {
    std::string text;  // whole UTF-8 characters
    std::uint64_t tokens = 0;
    std::vector<TokenLogprob> logprobs;  // when they were asked for
};

// What the engine hands back. Nothing is committed yet.
struct TurnEnd {
    std::optional<Error> error;  // then there is nothing to commit
    TurnResult result;
    std::string stop_string;  // that ended the answer
    TurnPiece last;           // not handed out yet
    Manifest manifest;
    std::vector<PutRequest> deferred;        // to be put by a thread that may wait
    std::vector<std::vector<float>> logits;  // of a probe
    std::uint64_t corrupt_parts = 0;         // that were found while restoring
};

// Events of the turns that one caller waits for.
class TurnChannel {
  public:
    // The prompt is about to be read; of the result, what is known by now.
    struct Began {
        std::size_t turn = 0;
        TurnResult so_far;
    };
    struct Text {
        std::size_t turn = 0;
        TurnPiece piece;
    };
    struct Progress {
        std::size_t turn = 0;
        std::uint64_t done = 0, total = 0;
    };
    struct Finished {
        std::size_t turn = 0;
        TurnEnd end;
    };
    using Event = std::variant<Began, Text, Progress, Finished>;

    void send(Event event);
    Event receive();  // waits
    std::optional<Event> receive(std::chrono::milliseconds longest);

  private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<Event> events_;  // guarded by mutex_
};

struct KvSettings {
    std::uint32_t checkpoint_tokens = 2048;
    double prefill_share = 1.0;
    bool weigh_restores = true;
};

class Turn final : public Run {
  public:
    static constexpr std::uint64_t kUsualAnswer = 256;  // tokens that room is kept for; a longer answer takes what is free

    Turn(TurnPlan plan, const Model &model, Context &context, KvSaver &saver, KvSettings settings,
         std::shared_ptr<TurnChannel> channel, std::size_t index);

    const AgentKey &key() const { return plan_.key; }
    const TurnPlan &plan() const { return plan_; }
    std::uint64_t cells_needed() const;  // of what is known, and of an answer of usual length

    // The engine thread admits the turn: `resident` holds a prefix of the prompt in its kv, which need not be computed.
    void admitted(Resident &resident);
    void restored(const RestoreOutcome &outcome);
    void begin();  // kv is what could be reused: the rest is pending
    // Gives its cells up to others, to be admitted again. What it has read and said is in the store, and it goes on behind that.
    void step_aside();
    void abandon(Error error);  // while it waits

    SequenceId sequence() const override { return resident_->sequence; }
    Position next_position() const override { return static_cast<Position>(resident_->kv.size()); }
    std::span<const Token> pending() const override { return std::span(pending_).subspan(computed_); }
    Position chunk_end() const override;
    bool stopped() override;
    void computed(std::size_t count) override;
    bool choose(Context &context, std::size_t index) override;
    void failed(const Error &error) override;

    Resident *resident() const { return resident_; }
    std::uint64_t answered() const { return answered_; }  // tokens sampled so far
    std::uint64_t to_compute() const;                     // prompt tokens whose KV isn't known to be stored

  private:
    using Clock = std::chrono::steady_clock;
    static double ms_since(Clock::time_point start);

    bool is_of_system(Position position) const;
    bool is_checkpoint(Position position) const;
    void note_miss();
    Token next_token(Context &context, std::size_t index);
    void note_logprobs(std::span<const float> logits, Token token);
    std::string text_of(Token token) const;
    bool add_token(Token token);
    void end_answer(std::string_view reason);
    void finish(std::string_view reason);
    void send_end();

    TurnPlan plan_;
    const Model &model_;
    Context &context_;
    KvSaver &saver_;
    const KvSettings settings_;
    std::shared_ptr<TurnChannel> channel_;
    const std::size_t index_;

    Resident *resident_ = nullptr;
    std::vector<Token> pending_;
    std::size_t computed_ = 0;  // of pending_
    bool answering_ = false;
    std::size_t ended_thinking_ = 0;  // of thinking_ending, said or left out by now
    bool began_once_ = false;
    std::uint64_t answered_ = 0;
    TextStream text_;
    TurnPiece held_;              // newest piece, not handed out yet
    bool began_to_tell_ = false;  // its first piece, at once
    TurnPiece next_;              // tokens whose text isn't certain yet
    TurnEnd end_;
    RestoreOutcome restore_;
    Clock::time_point submitted_ = Clock::now(), admitted_{}, began_{}, first_token_{};
};

}  // namespace engram
