// Agents that decode together: tokens per second of all, against the same agents one after another, and against the peer.
#include <algorithm>
#include <array>
#include <format>
#include <map>
#include <optional>

#include "bench/decode_rate.h"
#include "bench/entries.h"
#include "bench/together.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kContext = 256;  // what each agent has read before
constexpr std::size_t kPromised = 8;     // agents that promises are about; where time is short only they answer in turn

struct Group {
    const Lab &lab;
    Pair &pair;
    std::uint32_t answer_tokens = 0;
    std::map<std::string, std::vector<Conversation>> talks;  // by side
    std::uint32_t asked = 0;
};

struct Round {
    std::size_t agents = 0;
    bool together = false;  // else one after another
};

struct Rate {
    double whole = 0;                    // tokens per second of the turns, their questions' reading included
    std::optional<double> decoded = {};  // without it
};

Result<Rate> tokens_per_second(Side &side, Group &group, const Round &round, Agreement &agreement) {
    std::vector<Conversation> &talks = group.talks[std::string(side.name())];
    std::vector<Spoken> spoken(round.agents);
    const auto start = SteadyClock::now();
    const auto ask = [&](std::size_t i) -> Result<void> {
        spoken[i].began_ms = ms_since(start);
        ENGRAM_ASSIGN(spoken[i].answer, side.turn(talks[i], question(group.asked), group.answer_tokens));
        return {};
    };
    if (round.together) {
        ENGRAM_TRY(together(round.agents, ask));
    } else {
        for (std::size_t i = 0; i < round.agents; ++i) ENGRAM_TRY(ask(i));
    }
    const double seconds = ms_since(start) / 1000;
    double tokens = 0;
    for (const Spoken &one : spoken) {
        tokens += static_cast<double>(one.answer.answer_tokens);
        agreement.add(side, one.answer);
    }
    return Rate{.whole = tokens / seconds, .decoded = round.together ? while_all_answer(spoken) : while_each_answers(spoken)};
}

Result<void> prepare(Group &group, std::size_t agents) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < agents; ++i) {
        ENGRAM_ASSIGN(std::string text, group.pair.text(kContext, static_cast<std::uint32_t>(i)));
        texts.push_back(std::move(text));
    }
    return group.pair.each([&](Side &side) -> Result<void> {
        group.lab.note(std::format("{}: {} agents read {} tokens each", side.name(), agents, kContext));
        for (std::size_t i = 0; i < agents; ++i) {
            ENGRAM_ASSIGN(Conversation talk, side.converse(std::format("agent-{}", i)));
            talk.slot = static_cast<int>(i);
            ENGRAM_ASSIGN(const Answer answer, side.turn(talk, texts[i], 2));
            group.talks[std::string(side.name())].push_back(std::move(talk));
        }
        return {};
    });
}

Result<void> measure(Group &group, std::size_t agents, Record &record) {
    Row row{.labels = {{"agents", agents}}};
    Agreement agreement;
    for (const Round round : {Round{.agents = agents, .together = true}, Round{.agents = agents, .together = false}}) {
        const bool in_turn = group.lab.size() == Size::quick ? agents == kPromised : agents > 1;
        if (!round.together && !in_turn) continue;
        std::map<std::string, std::vector<double>> samples, decoded;
        for (std::uint32_t i = 0; i < group.lab.repetitions(3); ++i) {
            const auto decode_on = [&](Side &side) -> Result<void> {
                if (i == 0)
                    group.lab.note(
                        std::format("{}: {} agents, {}", side.name(), agents, round.together ? "together" : "in turn"));
                ENGRAM_ASSIGN(const Rate rate, tokens_per_second(side, group, round, agreement));
                samples[std::string(side.name())].push_back(rate.whole);
                if (rate.decoded) decoded[std::string(side.name())].push_back(*rate.decoded);
                return {};
            };
            ENGRAM_TRY(group.pair.each(decode_on));
            ++group.asked;
        }
        const std::string what = round.together ? "decoded together" : "one after another";
        for (const auto &side : group.pair.sides()) {
            const std::string name(side->name());
            row.add(what, name, "tokens/s", samples[name]);
            if (!decoded[name].empty()) row.add(what + ", without reading", name, "tokens/s", decoded[name]);
        }
    }
    agreement.check(record, std::format("{} agents", agents));
    record.rows.push_back(std::move(row));
    return {};
}

void promise(std::size_t agents, Record &record) {
    const OrderedJson labels{{"agents", agents}};
    const std::string what = std::format("{} agents decoding together", agents);
    record.promises.push_back(
        {.what = what,
         .labels = labels,
         .figure = "decoded together",
         .limit = 2,
         .against = Promise::Reference{"one after another", labels, "one after another", std::string(kEngram)}});
    record.promises.push_back({.what = what,
                               .labels = labels,
                               .figure = "decoded together",
                               .limit = 1,
                               .against = Promise::Reference{"llama-server", labels, "decoded together", std::string(kPeer)}});
}

}  // namespace

Result<void> run_throughput(const Lab &lab, const std::string &, Record &record) {
    ENGRAM_TRY(answer_alike(lab, record, run_throughput));
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model("gemma3-270m", record));
    const auto counts = lab.by_size<std::vector<std::size_t>>({1, 2}, {1, 8, 16}, {1, 2, 3, 4, 6, 8, 12, 16});
    SideOptions options = lab.side(model);
    options.slots = static_cast<std::uint32_t>(counts.back());
    const auto answer_tokens = lab.by_size<std::uint32_t>(8, 32, 128);
    const std::size_t turns = 2 * counts.size() * lab.repetitions(3);
    const auto each = static_cast<std::uint32_t>(kContext + 64 + turns * (answer_tokens + 48));
    options.context_tokens = options.slots * (each + 255) / 256 * 256;
    record.configuration["answer_tokens"] = answer_tokens;
    record.configuration["context_of_each_agent"] = kContext;
    const std::array<PeerKind, 2> peers{
        {{.label = std::string(kPeer), .flags = kSlotsStay}, {.label = std::string(kPeerOwnStreams), .flags = kOwnStreams}}};
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record, peers));
    Group group{.lab = lab, .pair = *pair, .answer_tokens = answer_tokens, .talks = {}};
    ENGRAM_TRY(prepare(group, counts.back()));
    for (const std::size_t agents : counts) {
        const auto answer = [&](Record &part) { return measure(group, agents, part); };
        ENGRAM_TRY(lab.part(record, std::format("{} agents", agents), answer));
    }
    record.plots.push_back({.title = "Tokens per second of all agents together",
                            .figure = "decoded together",
                            .over = "agents",
                            .series = "",
                            .logarithmic = false});
    record.highlights.push_back({.what = std::format("{} agents decoding together", counts.back()),
                                 .labels = {{"agents", counts.back()}},
                                 .figure = "decoded together"});
    promise(std::ranges::contains(counts, kPromised) ? kPromised : counts.back(), record);
    return {};
}

}  // namespace engram::bench
