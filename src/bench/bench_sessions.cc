// Agents over a day: five sessions that go on side by side with fewer slots than sessions, and three agents that have five
// sessions with a restart of the server between them.
//
// Wall time is all that a client waits for: requests, the peer's saves and restores, and the server's orderly end. Starting the
// server, which is loading the model, is the same for all and isn't counted.
#include <array>
#include <format>
#include <map>

#include "bench/entries.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kAnswerTokens = 24;
constexpr std::string_view kIdleCached = "llama-server, idle slots cached";  // in host memory: its default

constexpr std::string_view kNoSaves = "llama-server, no saves";

// One day, or several: what they took, and where in their turns that was.
struct Days {
    std::vector<double> seconds, computed;          // of each day
    std::vector<double> first_reads, first_tokens;  // time to the first token, of each agent's first turn and of all others
    std::vector<double> restores;                   // of the latter
    std::vector<double> steps;                      // between two tokens, each answer's mean
    std::vector<double> endings;                    // from the last token's text to the answer's end

    void add(const Answer &answer, bool first) {
        computed.back() += static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
        (first ? first_reads : first_tokens).push_back(answer.ttft_ms);
        if (!first) restores.push_back(answer.restore_ms);
        if (answer.token_ms.empty()) return;
        const double last = answer.token_ms.back();
        endings.push_back(answer.total_ms - last);
        if (answer.answer_tokens > 1) steps.push_back((last - answer.ttft_ms) / static_cast<double>(answer.answer_tokens - 1));
    }
    void add_to(Row &row, std::string_view side) const {
        row.add("all of it", side, "s", seconds);
        row.add("prompt tokens computed", side, "tokens", computed);
        row.add("first token of a first turn", side, "ms", first_reads);
        row.add("first token of a later turn", side, "ms", first_tokens);
        row.add("of that restoring", side, "ms", restores);
        row.add("between two tokens", side, "ms", steps);
        row.add("from the last token to the answer's end", side, "ms", endings);
    }
};

struct Plan {
    std::string name;
    std::uint32_t agents = 0, sessions = 0, turns = 0, tokens = 0;  // turns: of each agent in a session; tokens: read first
    bool restarts = false;
    bool keeps = true;       // the peer's client saves and restores slots
    std::uint32_t days = 1;  // each with agents of its own, who read other texts
};

struct Cast {
    std::vector<Conversation> talks = {};
    const std::vector<std::string> &texts;  // what each agent reads first
    Agreement &agreement;
    Days &days;
};

Result<void> one_session(Side &side, const Plan &plan, std::uint32_t session, Cast &cast) {
    for (std::uint32_t turn = 0; turn < plan.turns; ++turn) {
        for (std::size_t i = 0; i < cast.talks.size(); ++i) {
            const bool first = session == 0 && turn == 0;
            const std::string asked = first ? cast.texts[i] : question(session * 100 + turn);
            ENGRAM_ASSIGN(const Answer answer, side.turn(cast.talks[i], asked, kAnswerTokens));
            cast.days.add(answer, first);
            cast.agreement.add(side, answer);
        }
    }
    return {};
}

struct Place {
    Side &side;
    std::uint32_t day = 0;
    Days &days;
};

Result<void> one_day(const Lab &lab, const Plan &plan, const std::vector<std::string> &texts, Agreement &agreement,
                     const Place &place) {
    Side &side = place.side;
    Cast cast{.texts = texts, .agreement = agreement, .days = place.days};
    for (std::uint32_t i = 0; i < plan.agents; ++i) {
        const std::string name = std::format("{}-{}-{}", plan.restarts ? "day" : "five", place.day, i);
        ENGRAM_ASSIGN(Conversation talk, side.converse(name));
        if (plan.restarts && plan.keeps) talk.slot = static_cast<int>(i);
        cast.talks.push_back(std::move(talk));
    }
    place.days.computed.push_back(0);
    double seconds = 0;
    for (std::uint32_t session = 0; session < plan.sessions; ++session) {
        lab.note(std::format("{}: {}, session {} of {}", side.name(), plan.name, session + 1, plan.sessions));
        const auto start = SteadyClock::now();
        ENGRAM_TRY(one_session(side, plan, session, cast));
        if (plan.restarts && plan.keeps) {
            for (Conversation &talk : cast.talks) ENGRAM_TRY(side.leave(talk));
        }
        if (plan.restarts) side.stop();
        seconds += ms_since(start) / 1000;
        if (plan.restarts) ENGRAM_TRY(side.start());
    }
    place.days.seconds.push_back(seconds);
    return {};
}

Result<void> measure(const Lab &lab, Pair &pair, const Plan &plan, Record &record) {
    Agreement agreement;
    std::map<std::string, Days> days;  // by side
    for (std::uint32_t day = 0; day < plan.days; ++day) {
        std::vector<std::string> texts;
        for (std::uint32_t i = 0; i < plan.agents; ++i) {
            ENGRAM_ASSIGN(std::string text, pair.text(plan.tokens, day * 1000 + (plan.restarts ? 50 : 70) + i));
            texts.push_back(std::move(text));
        }
        const auto live_on = [&](Side &side) -> Result<void> {
            // Agents with slots of their own, which are saved and restored, don't go with idle slots that move away.
            if (plan.restarts && side.name() == kIdleCached) return {};
            ENGRAM_TRY(one_day(lab, plan, texts, agreement, {side, day, days[std::string(side.name())]}));
            if (side.name() != kPeer || !plan.restarts || lab.examined()) return {};
            // The same again by a client that knows nothing of slots: each session reads everything again.
            Plan plain = plan;
            plain.keeps = false;
            Agreement unused;
            return one_day(lab, plain, texts, unused, {side, day, days[std::string(kNoSaves)]});
        };
        ENGRAM_TRY(pair.each(live_on));
    }
    agreement.check(record, plan.name);
    Row row{.labels = {{"scenario", plan.name}}};
    for (const auto &side : pair.sides()) days[std::string(side->name())].add_to(row, side->name());
    days[std::string(kNoSaves)].add_to(row, kNoSaves);
    record.rows.push_back(std::move(row));
    return {};
}

}  // namespace

Result<void> run_sessions(const Lab &lab, const std::string &, Record &record) {
    ENGRAM_TRY(answer_alike(lab, record, run_sessions));
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model("gemma3-270m", record));
    const auto tokens = lab.by_size<std::uint32_t>(120, 1500, 6000);
    const auto sessions = lab.by_size<std::uint32_t>(2, 5, 5);
    const auto turns = lab.by_size<std::uint32_t>(1, 1, 4);
    SideOptions options = lab.side(model);
    options.slots = 3;
    // Room for the three agents that answer, not for all five sessions of the first scenario.
    options.context_tokens = 3 * (tokens + sessions * turns * (kAnswerTokens + 64) + 512) / 256 * 256;
    const std::array<PeerKind, 2> peers{
        {{.label = std::string(kPeer), .flags = kSlotsStay}, {.label = std::string(kIdleCached), .flags = {}}}};
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record, peers));
    const std::array<Plan, 2> plans{{{.name = "five sessions side by side on three slots",
                                      .agents = 5,
                                      .sessions = 1,
                                      .turns = lab.by_size<std::uint32_t>(2, 3, 10),
                                      .tokens = tokens,
                                      .days = lab.repetitions(lab.by_size<std::uint32_t>(1, 1, 3))},
                                     {.name = "three agents, five sessions, restarts between them",
                                      .agents = 3,
                                      .sessions = sessions,
                                      .turns = turns,
                                      .tokens = tokens,
                                      .restarts = true}}};
    for (const Plan &plan : plans)
        ENGRAM_TRY(lab.part(record, plan.name, [&](Record &part) { return measure(lab, *pair, plan, part); }));
    record.plots.push_back(
        {.title = "Wall time of all requests", .figure = "all of it", .over = "scenario", .series = "", .logarithmic = false});
    for (const Row &row : record.rows)
        record.highlights.push_back(
            {.what = row.labels["scenario"].get<std::string>(), .labels = row.labels, .figure = "all of it"});
    return {};
}

}  // namespace engram::bench
