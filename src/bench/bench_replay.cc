// A coding agent's day: a long system text, twenty tools, many turns whose inputs are tools' results, sub-agents with a system
// text and fewer tools of their own, one-shot requests for a title, a line in front of everything that changes with each request,
// earlier calls whose arguments come back in another order, and a restart in the middle. The shape is that of recorded sessions;
// the words are invented.
//
// A model of random weights calls nothing, so the calls are the trace's. The client keeps each answer as it came, and the call
// follows as a message of its own (as in the Responses protocol, where a text and a call are two items): what a server said
// itself stays as it was said, and it can go on from there as it could had it said the call too. The call is new to it then, and
// comes in the order in which a model writes it; from the next request on the client sends its members in the order of their
// names.
//
// Measured: all requests together, prompt tokens computed and reused, and the longest time to a first token. The peer runs twice:
// asked as it comes (chat completions with the client's messages), and by a client that leaves the changing line out, sends exact
// tokens, keeps agents in slots of their own, and saves and restores them around the restart.
#include <algorithm>
#include <format>

#include "bench/entries.h"
#include "bench/trace_tools.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kTurnsOfAPrompt = 10;  // so often the user says something, and the conversation gets a title
constexpr std::uint32_t kSchemaTokens = 80;    // of a tool without a description to speak of
constexpr std::uint32_t kLeastSystem = 40;

struct Trace {
    std::uint32_t system_tokens = 0;  // of the tools, too
    std::uint32_t turns = 0, result_tokens = 0, answer_tokens = 0;
    std::uint32_t sub_agent_every = 0, sub_agent_tokens = 0;
    std::uint32_t tools = 0;
};

struct Texts {
    std::string system, sub_system;
    OrderedJson tools = OrderedJson::array(), sub_tools = OrderedJson::array();
    std::vector<std::string> results;
};

struct Told {
    double seconds = 0, computed = 0, reused = 0, worst_ms = 0;
    std::vector<double> first_tokens;
    std::vector<Answer> answers;

    void add(const Answer &answer, bool first_of_all) {
        seconds += answer.total_ms / 1000;
        computed += static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
        reused += static_cast<double>(answer.cached_tokens);
        answers.push_back(answer);
        if (first_of_all) return;
        first_tokens.push_back(answer.ttft_ms);
        worst_ms = std::max(worst_ms, answer.ttft_ms);
    }
};

// About two fifths of what clients send in front are tools.
Result<OrderedJson> tools_for(const Trace &trace, Pair &pair) {
    const std::uint32_t each = trace.system_tokens * 2 / 5 / trace.tools;
    std::vector<std::string> more(trace.tools);
    for (std::uint32_t i = 0; i < trace.tools && each > kSchemaTokens; ++i) {
        ENGRAM_ASSIGN(more[i], pair.text(each - kSchemaTokens, 5000 + i));
    }
    return trace_tools(more);
}

Result<Texts> texts_for(const Trace &trace, Pair &pair) {
    Texts texts;
    ENGRAM_ASSIGN(texts.tools, tools_for(trace, pair));
    // A sub-agent has the first half of them.
    for (std::size_t i = 0; i < (texts.tools.size() + 1) / 2; ++i) texts.sub_tools.push_back(texts.tools[i]);
    std::uint64_t of_tools = 0;
    const auto count = [&](Side &side) -> Result<void> {
        ENGRAM_ASSIGN(of_tools, side.count_tokens(texts.tools.dump()));
        return {};
    };
    ENGRAM_TRY(pair.alone(pair.ours(), count));
    const std::uint32_t left = of_tools < trace.system_tokens ? trace.system_tokens - static_cast<std::uint32_t>(of_tools) : 0;
    ENGRAM_ASSIGN(texts.system, pair.text(std::max(left, kLeastSystem), 1));
    ENGRAM_ASSIGN(texts.sub_system, pair.text(trace.sub_agent_tokens, 2));
    for (std::uint32_t i = 0; i < trace.turns; ++i) {
        ENGRAM_ASSIGN(std::string result, pair.text(trace.result_tokens, 1000 + i));
        texts.results.push_back(std::move(result));
    }
    return texts;
}

// The line that real clients put in front, another one for each request. Engram leaves it out of the prompt by itself.
std::string with_header(const std::string &system, std::uint32_t number) {
    return std::format("x-anthropic-billing-header: cc_version=2; cch={:05x};\n{}", number * 48271U % 0xFFFFFU, system);
}

OrderedJson asked_by_user(const std::string &text) {
    OrderedJson messages = OrderedJson::array();
    messages.push_back(user_message(text));
    return messages;
}

class Replay {
  public:
    Replay(const Lab &lab, Side &side, const Trace &trace, const Texts &texts, bool header)
        : lab_(lab), side_(side), trace_(trace), texts_(texts), header_(header) {}

    Result<Told> run() {
        ENGRAM_ASSIGN(Conversation main, side_.converse("main", texts_.system));
        main.slot = 0;
        main.tools = texts_.tools;
        for (std::uint32_t turn = 0; turn < trace_.turns; ++turn) {
            if (turn % 10 == 0) lab_.note(std::format("{}: turn {} of {}", side_.name(), turn, trace_.turns));
            if (turn == trace_.turns / 2) ENGRAM_TRY(restart(main));
            if (turn % kTurnsOfAPrompt == 1) ENGRAM_TRY(ask_for_title(turn));
            if (turn % trace_.sub_agent_every == trace_.sub_agent_every - 1) ENGRAM_TRY(sub_agent(turn));
            const std::string &text = texts_.results[turn];
            const OrderedJson added = turn % kTurnsOfAPrompt == 0 ? asked_by_user("Mend what this log tells of.\n" + text)
                                                                  : trace_call(texts_.tools, turn, text);
            ENGRAM_TRY(say(main, texts_.system, added, trace_.answer_tokens));
        }
        return std::move(told_);
    }

  private:
    Result<void> say(Conversation &talk, const std::string &system, const OrderedJson &added, std::uint32_t tokens) {
        if (header_) talk.system = with_header(system, ++requests_);
        write_calls_anew(talk.said);
        ENGRAM_ASSIGN(const Answer answer, side_.say(talk, added, tokens));
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

    // One request without tools, with a system text of its own, that quotes what the user has said.
    Result<void> ask_for_title(std::uint32_t turn) {
        const std::string system = "You give conversations a title of three to seven words, and say nothing else.";
        ENGRAM_ASSIGN(Conversation title, side_.converse(std::format("title-{}", turn), system));
        title.slot = 1;
        const std::string quoted = texts_.results[turn - 1].substr(0, 400);
        return say(title, system, asked_by_user("Give this conversation a title:\n" + quoted), 8);
    }

    // Two turns of an agent of its own, which goes again: its task, and what a tool has answered.
    Result<void> sub_agent(std::uint32_t turn) {
        ENGRAM_ASSIGN(Conversation sub, side_.converse(std::format("sub-{}", turn), texts_.sub_system));
        sub.slot = 2;
        sub.tools = texts_.sub_tools;
        const OrderedJson task = asked_by_user(std::format("{} is your task: find the file.", turn));
        ENGRAM_TRY(say(sub, texts_.sub_system, task, trace_.answer_tokens));
        return say(sub, texts_.sub_system, trace_call(texts_.sub_tools, turn, "It was found in the second folder."),
                   trace_.answer_tokens);
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
    ENGRAM_TRY(answer_alike(lab, record, run_replay));
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model("gemma3-270m", record));
    Trace trace =
        lab.by_size<Trace>({150, 4, 30, 4, 2, 60, 3}, {2000, 8, 250, 24, 4, 1000, 20}, {25000, 40, 300, 64, 10, 4000, 20});
    if (lab.examined()) trace.answer_tokens = 16;
    SideOptions options = lab.side(model);
    options.slots = 3;
    const std::uint32_t longest = trace.system_tokens + trace.turns * (trace.result_tokens + trace.answer_tokens + 128);
    options.context_tokens = (longest * 11 / 10 + 2 * trace.sub_agent_tokens + 4096) / 256 * 256;
    record.configuration["trace"] = {{"system_tokens", trace.system_tokens},
                                     {"turns", trace.turns},
                                     {"result_tokens", trace.result_tokens},
                                     {"answer_tokens", trace.answer_tokens},
                                     {"sub_agent_every", trace.sub_agent_every},
                                     {"sub_agent_tokens", trace.sub_agent_tokens},
                                     {"tools", trace.tools}};
    const PeerKind peer{.label = std::string(kPeer), .flags = kSlotsStay};
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record, std::span(&peer, 1)));
    ENGRAM_ASSIGN(const Texts texts, texts_for(trace, *pair));
    const OrderedJson labels{
        {"trace", std::format("{} turns, {} tokens of system text and tools", trace.turns, trace.system_tokens)}};
    const auto replay_both = [&](Record &part) -> Result<void> {
        Row row{.labels = labels};
        Agreement agreement;
        const auto replay_on = [&](Side &side) -> Result<void> {
            ENGRAM_ASSIGN(const Told told, Replay(lab, side, trace, texts, side.name() == kEngram).run());
            add_told(row, side.name(), told);
            for (const Answer &answer : told.answers) agreement.add(side, answer);
            return {};
        };
        ENGRAM_TRY(pair->each(replay_on));
        agreement.check(part, "the whole trace");
        part.rows.push_back(std::move(row));
        return {};
    };
    ENGRAM_TRY(lab.part(record, "both", replay_both));
    const auto replay_plainly = [&](Record &part) -> Result<void> {
        const auto replay_on = [&](Side &side) -> Result<void> {
            side.stop();  // and with it what it had in memory
            side.ask_plainly();
            ENGRAM_TRY(side.start());
            ENGRAM_ASSIGN(const Told plain, Replay(lab, side, trace, texts, true).run());
            add_told(part.rows.emplace_back(Row{.labels = labels}), "llama-server, as it comes", plain);
            return {};
        };
        return pair->alone(*pair->peer(), replay_on);
    };
    if (pair->peer() != nullptr && !lab.examined()) ENGRAM_TRY(lab.part(record, "as it comes", replay_plainly));
    record.highlights.push_back({.what = std::format("a coding agent's trace, {} turns: all requests", trace.turns),
                                 .labels = labels,
                                 .figure = "all requests"});
    record.highlights.push_back(
        {.what = "the same: longest wait for a first token", .labels = labels, .figure = "longest wait for a first token"});
    record.plots.push_back({.title = "A coding agent's trace: all requests",
                            .figure = "all requests",
                            .over = "trace",
                            .series = "",
                            .logarithmic = true});
    return {};
}

}  // namespace engram::bench
