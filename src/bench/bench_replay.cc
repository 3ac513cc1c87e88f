// A coding agent's day: a long system text with tools, many turns whose inputs are tools' results, sub-agents with a system text
// of their own, one-shot requests for a title, a line in front of everything that changes with each request, and a restart in the
// middle. The shape is that of recorded sessions; the words are invented.
//
// Measured: all requests together, prompt tokens computed and reused, and the longest time to a first token. The peer runs twice:
// asked as it comes (chat completions with the client's messages), and by a client that leaves the changing line out, sends exact
// tokens, keeps agents in slots of their own, and saves and restores them around the restart.
#include <algorithm>
#include <format>

#include "bench/entries.h"

namespace engram::bench {

namespace {

struct Trace {
    std::uint32_t system_tokens = 0, turns = 0, result_tokens = 0, answer_tokens = 0;
    std::uint32_t sub_agent_every = 0, sub_agent_tokens = 0;
};

struct Texts {
    std::string system, sub_system;
    std::vector<std::string> results;
};

struct Told {
    double seconds = 0, computed = 0, reused = 0, worst_ms = 0;
    std::vector<double> first_tokens;
    std::vector<std::string> answers;

    void add(const Answer &answer, bool first_of_all) {
        seconds += answer.total_ms / 1000;
        computed += static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
        reused += static_cast<double>(answer.cached_tokens);
        answers.push_back(answer.text);
        if (first_of_all) return;
        first_tokens.push_back(answer.ttft_ms);
        worst_ms = std::max(worst_ms, answer.ttft_ms);
    }
};

Result<Texts> texts_for(const Trace &trace, Pair &pair) {
    Texts texts;
    ENGRAM_ASSIGN(texts.system, pair.text(trace.system_tokens, 1));
    ENGRAM_ASSIGN(texts.sub_system, pair.text(trace.sub_agent_tokens, 2));
    for (std::uint32_t i = 0; i < trace.turns; ++i) {
        ENGRAM_ASSIGN(std::string result, pair.text(trace.result_tokens, 1000 + i));
        texts.results.push_back("The tool answers: " + result);
    }
    return texts;
}

// The line that real clients put in front, another one for each request. Engram leaves it out of the prompt by itself.
std::string with_header(const std::string &system, std::uint32_t number) {
    return std::format("x-anthropic-billing-header: cc_version=2; cch={:05x};\n{}", number * 48271U % 0xFFFFFU, system);
}

class Replay {
  public:
    Replay(const Lab &lab, Side &side, const Trace &trace, const Texts &texts, bool header)
        : lab_(lab), side_(side), trace_(trace), texts_(texts), header_(header) {}

    Result<Told> run() {
        ENGRAM_ASSIGN(Conversation main, side_.converse("main", texts_.system));
        main.slot = 0;
        for (std::uint32_t turn = 0; turn < trace_.turns; ++turn) {
            if (turn % 10 == 0) lab_.note(std::format("{}: turn {} of {}", side_.name(), turn, trace_.turns));
            if (turn == trace_.turns / 2) ENGRAM_TRY(restart(main));
            if (turn == 1) ENGRAM_TRY(ask_for_title());
            if (turn % trace_.sub_agent_every == trace_.sub_agent_every - 1) ENGRAM_TRY(sub_agent(turn));
            ENGRAM_TRY(say(main, texts_.system, texts_.results[turn], trace_.answer_tokens));
        }
        return std::move(told_);
    }

  private:
    Result<void> say(Conversation &talk, const std::string &system, const std::string &text, std::uint32_t tokens) {
        if (header_) talk.system = with_header(system, ++requests_);
        ENGRAM_ASSIGN(const Answer answer, side_.turn(talk, text, tokens));
        told_.add(answer, told_.answers.empty());
        return {};
    }

    Result<void> restart(Conversation &main) {
        const auto start = SteadyClock::now();
        ENGRAM_TRY(side_.leave(main));
        side_.stop();
        told_.seconds += ms_since(start) / 1000;
        return side_.start();
    }

    Result<void> ask_for_title() {
        ENGRAM_ASSIGN(Conversation title, side_.converse("title", "You give conversations a title of three words."));
        title.slot = 1;
        return say(title, "You give conversations a title of three words.", "Somebody repairs a parser.", 8);
    }

    // Two turns of an agent of its own, which goes again.
    Result<void> sub_agent(std::uint32_t turn) {
        ENGRAM_ASSIGN(Conversation sub, side_.converse(std::format("sub-{}", turn), texts_.sub_system));
        sub.slot = 2;
        ENGRAM_TRY(say(sub, texts_.sub_system, std::format("{} is your task: find the file.", turn), trace_.answer_tokens));
        return say(sub, texts_.sub_system, "It was found. Now sum up.", trace_.answer_tokens);
    }

    const Lab &lab_;
    Side &side_;
    const Trace &trace_;
    const Texts &texts_;
    const bool header_;
    std::uint32_t requests_ = 0;
    Told told_;
};

void add_told(Row &row, std::string_view side, const Told &told) {
    row.add("all requests", side, "s", told.seconds);
    row.add("prompt tokens computed", side, "tokens", told.computed);
    row.add("prompt tokens reused", side, "", told.reused);
    row.add("first token", side, "ms", told.first_tokens);
    row.add("longest wait for a first token", side, "ms", told.worst_ms);
}

}  // namespace

Result<void> run_replay(const Lab &lab, const std::string &, Record &record) {
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model("gemma3-270m", record));
    const Trace trace = lab.by_size<Trace>({150, 4, 30, 4, 2, 60}, {4000, 10, 250, 24, 4, 1000}, {25000, 40, 300, 64, 10, 4000});
    SideOptions options = lab.side(model);
    options.slots = 3;
    const std::uint32_t longest = trace.system_tokens + trace.turns * (trace.result_tokens + trace.answer_tokens + 64);
    options.context_tokens = (longest * 11 / 10 + 2 * trace.sub_agent_tokens + 4096) / 256 * 256;
    record.configuration["trace"] = {{"system_tokens", trace.system_tokens},     {"turns", trace.turns},
                                     {"result_tokens", trace.result_tokens},     {"answer_tokens", trace.answer_tokens},
                                     {"sub_agent_every", trace.sub_agent_every}, {"sub_agent_tokens", trace.sub_agent_tokens}};
    const PeerKind peer{.label = std::string(kPeer), .flags = kSlotsStay};
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record, std::span(&peer, 1)));
    ENGRAM_ASSIGN(const Texts texts, texts_for(trace, *pair));
    Row row{.labels = {{"trace", std::format("{} turns, {} tokens of system text", trace.turns, trace.system_tokens)}}};
    Agreement agreement;
    const auto replay_on = [&](Side &side) -> Result<void> {
        ENGRAM_ASSIGN(const Told told, Replay(lab, side, trace, texts, side.name() == kEngram).run());
        add_told(row, side.name(), told);
        for (const std::string &answer : told.answers) agreement.add(side, answer);
        if (side.name() != kPeer) return {};
        side.stop();  // and with it what it had in memory
        side.ask_plainly();
        ENGRAM_TRY(side.start());
        ENGRAM_ASSIGN(const Told plain, Replay(lab, side, trace, texts, true).run());
        add_told(row, "llama-server, as it comes", plain);
        return {};
    };
    ENGRAM_TRY(pair->each(replay_on));
    agreement.check(record, "the whole trace");
    record.highlights.push_back({.what = std::format("a coding agent's trace, {} turns: all requests", trace.turns),
                                 .labels = row.labels,
                                 .figure = "all requests"});
    record.highlights.push_back(
        {.what = "the same: longest wait for a first token", .labels = row.labels, .figure = "longest wait for a first token"});
    record.rows.push_back(std::move(row));
    record.plots.push_back({.title = "A coding agent's trace: all requests",
                            .figure = "all requests",
                            .over = "trace",
                            .series = "",
                            .logarithmic = true});
    return {};
}

}  // namespace engram::bench
