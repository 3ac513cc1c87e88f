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

struct Day {
    double seconds = 0;
    double computed = 0;
    std::vector<double> first_tokens;  // of all turns but each agent's first
};

struct Plan {
    std::string name;
    std::uint32_t agents = 0, sessions = 0, turns = 0, tokens = 0;  // turns: of each agent in a session; tokens: read first
    bool restarts = false;
    bool keeps = true;  // the peer's client saves and restores slots
};

void add(Day &day, const Answer &answer, bool first) {
    day.computed += static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
    if (!first) day.first_tokens.push_back(answer.ttft_ms);
}

struct Cast {
    std::vector<Conversation> talks = {};
    const std::vector<std::string> &texts;  // what each agent reads first
    Agreement &agreement;
    Day day = {};
};

Result<void> one_session(Side &side, const Plan &plan, std::uint32_t session, Cast &cast) {
    for (std::uint32_t turn = 0; turn < plan.turns; ++turn) {
        for (std::size_t i = 0; i < cast.talks.size(); ++i) {
            const bool first = session == 0 && turn == 0;
            const std::string asked = first ? cast.texts[i] : question(session * 100 + turn);
            ENGRAM_ASSIGN(const Answer answer, side.turn(cast.talks[i], asked, kAnswerTokens));
            add(cast.day, answer, first);
            cast.agreement.add(side, answer);
        }
    }
    return {};
}

Result<Day> one_day(const Lab &lab, Side &side, const Plan &plan, const std::vector<std::string> &texts, Agreement &agreement) {
    Cast cast{.texts = texts, .agreement = agreement};
    for (std::uint32_t i = 0; i < plan.agents; ++i) {
        ENGRAM_ASSIGN(Conversation talk, side.converse(std::format("{}-{}", plan.restarts ? "day" : "five", i)));
        if (plan.restarts && plan.keeps) talk.slot = static_cast<int>(i);
        cast.talks.push_back(std::move(talk));
    }
    for (std::uint32_t session = 0; session < plan.sessions; ++session) {
        lab.note(std::format("{}: {}, session {} of {}", side.name(), plan.name, session + 1, plan.sessions));
        const auto start = SteadyClock::now();
        ENGRAM_TRY(one_session(side, plan, session, cast));
        if (plan.restarts && plan.keeps) {
            for (Conversation &talk : cast.talks) ENGRAM_TRY(side.leave(talk));
        }
        if (plan.restarts) side.stop();
        cast.day.seconds += ms_since(start) / 1000;
        if (plan.restarts) ENGRAM_TRY(side.start());
    }
    return std::move(cast.day);
}

Result<void> measure(const Lab &lab, Pair &pair, const Plan &plan, Record &record) {
    std::vector<std::string> texts;
    for (std::uint32_t i = 0; i < plan.agents; ++i) {
        ENGRAM_ASSIGN(std::string text, pair.text(plan.tokens, (plan.restarts ? 50 : 70) + i));
        texts.push_back(std::move(text));
    }
    Row row{.labels = {{"scenario", plan.name}}};
    Agreement agreement;
    const auto live_on = [&](Side &side) -> Result<void> {
        // Agents with slots of their own, which are saved and restored, don't go with idle slots that move away.
        if (plan.restarts && side.name() == kIdleCached) return {};
        ENGRAM_ASSIGN(const Day day, one_day(lab, side, plan, texts, agreement));
        row.add("all of it", side.name(), "s", day.seconds);
        row.add("prompt tokens computed", side.name(), "tokens", day.computed);
        row.add("first token of a later turn", side.name(), "ms", day.first_tokens);
        if (side.name() != kPeer || !plan.restarts || lab.examined()) return {};
        // The same again by a client that knows nothing of slots: each session reads everything again.
        Plan plain = plan;
        plain.keeps = false;
        Agreement unused;
        ENGRAM_ASSIGN(const Day without, one_day(lab, side, plain, texts, unused));
        row.add("all of it", "llama-server, no saves", "s", without.seconds);
        row.add("prompt tokens computed", "llama-server, no saves", "tokens", without.computed);
        row.add("first token of a later turn", "llama-server, no saves", "ms", without.first_tokens);
        return {};
    };
    ENGRAM_TRY(pair.each(live_on));
    agreement.check(record, plan.name);
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
                                      .tokens = tokens},
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
