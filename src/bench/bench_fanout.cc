// Agents that begin alike: a long common system text, and a question of each one's own. How long until all have answered, what
// that takes on disk and in memory, and what a fork takes.
#include <algorithm>
#include <format>

#include "bench/entries.h"
#include "bench/kv_bytes.h"
#include "bench/together.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kAnswerTokens = 16;
constexpr std::uint32_t kRoomForEach = 512;
constexpr std::uint32_t kPromisedPrefix = 8000;  // with less in common, a second checkpoint of the window counts for more

enum class Way : std::uint8_t {
    at_once,    // nobody knows of the others
    after_one,  // the others ask when the first one has answered
    by_copies,  // the peer's clever client: what is common is read once, and its slot copied into all others'
};

struct Outcome {
    double seconds = 0;
    double computed = 0;       // prompt tokens that were computed
    std::uint64_t tokens = 0;  // of all conversations
    std::vector<Answer> answers;
};

struct Fan {
    const Lab &lab;
    Pair &pair;
    std::size_t agents = 0;
    std::uint32_t prefix = 0;
    KvBytes kv = {};

    OrderedJson labels(std::string_view asked) const { return {{"asked", asked}, {"agents", agents}, {"common tokens", prefix}}; }
};

constexpr std::string_view kSaved = "saved";
constexpr std::string_view kForks = "forks";

Result<std::vector<Conversation>> conversations(const Fan &fan, Side &side, const std::string &system, Way way) {
    std::vector<Conversation> talks;
    for (std::size_t i = 0; i < fan.agents; ++i) {
        ENGRAM_ASSIGN(Conversation talk, side.converse(std::format("fan-{}-{}", static_cast<int>(way), i), system));
        if (way == Way::by_copies) talk.slot = static_cast<int>(i);
        talk.reports = side.name() == kEngram;
        talks.push_back(std::move(talk));
    }
    return talks;
}

Result<std::vector<std::int32_t>> prompt_of(Side &side, const Conversation &talk, const std::string &asked) {
    ENGRAM_ASSIGN(const OrderedJson text, side.client().post("/apply-template", {{"messages", messages_json(talk, asked)}}));
    ENGRAM_ASSIGN(const OrderedJson json,
                  side.client().post("/tokenize", {{"content", text["prompt"]}, {"add_special", true}, {"parse_special", true}}));
    return json["tokens"].get<std::vector<std::int32_t>>();
}

// What a clever client does: has exactly the common beginning read in the first slot, and copies that slot into all others.
// The tokens that this computes.
Result<std::size_t> copy_slots(Side &side, std::vector<Conversation> &talks) {
    ENGRAM_ASSIGN(std::vector<std::int32_t> common, prompt_of(side, talks.front(), question(0)));
    ENGRAM_ASSIGN(const std::vector<std::int32_t> other, prompt_of(side, talks.front(), "Another question."));
    common.erase(std::ranges::mismatch(common, other).in1, common.end());
    const OrderedJson body{{"prompt", common}, {"n_predict", 1}, {"cache_prompt", true}, {"id_slot", 0}};
    ENGRAM_TRY(side.client().post("/completion", body));
    ENGRAM_TRY(side.save(talks.front()));
    for (std::size_t i = 1; i < talks.size(); ++i) {
        const OrderedJson file{{"filename", talks.front().name + ".slot"}};
        ENGRAM_TRY(side.client().post(std::format("/slots/{}?action=restore", i), file));
    }
    return common.size();
}

Result<Outcome> ask_all(const Fan &fan, Side &side, std::vector<Conversation> &talks, Way way) {
    std::vector<Answer> answers(talks.size());
    const auto ask = [&](std::size_t i) -> Result<void> {
        ENGRAM_ASSIGN(answers[i], side.turn(talks[i], question(static_cast<std::uint32_t>(i)), kAnswerTokens));
        return {};
    };
    const auto start = SteadyClock::now();
    std::size_t first = 0;
    if (way == Way::after_one) {
        ENGRAM_TRY(ask(0));
        first = 1;
    }
    std::size_t copied = 0;
    if (way == Way::by_copies) {
        ENGRAM_ASSIGN(copied, copy_slots(side, talks));
    }
    ENGRAM_TRY(together(talks.size() - first, [&](std::size_t i) { return ask(i + first); }));
    Outcome outcome{.seconds = ms_since(start) / 1000, .computed = static_cast<double>(copied), .tokens = 0, .answers = {}};
    for (const Answer &answer : answers) {
        outcome.computed += static_cast<double>(answer.prompt_tokens - answer.cached_tokens);
        outcome.tokens += answer.prompt_tokens + answer.answer_tokens;
    }
    outcome.answers = std::move(answers);
    fan.lab.note(std::format("{}: {:.1f} s, {:.0f} tokens computed", side.name(), outcome.seconds, outcome.computed));
    return outcome;
}

// What there is in files when everybody's memory is saved.
Result<double> saved_bytes(Side &side, std::vector<Conversation> &talks) {
    double bytes = 0;
    for (Conversation &talk : talks) {
        ENGRAM_ASSIGN(const Saved saved, side.save(talk));
        bytes += static_cast<double>(saved.bytes);
    }
    return bytes;
}

// What the side's files grow by; and the least that can be: the common tokens' KV once, and that of each one's own tokens.
Result<void> measure_saved(Side &side, std::vector<Conversation> &talks, std::uint64_t before, Row &saved) {
    ENGRAM_ASSIGN(const double bytes, saved_bytes(side, talks));
    saved.add("written for all", side.name(), "bytes", bytes);
    const std::uint64_t after = side.disk_bytes();
    saved.add("bytes on disk", side.name(), "bytes", static_cast<double>(after) - static_cast<double>(before));
    return {};
}

double floor_bytes(const Fan &fan, std::uint64_t common, std::uint64_t tokens) {
    const std::uint64_t own = tokens - fan.agents * common;
    return static_cast<double>(fan.kv.of(common) + own * (fan.kv.attention_row + fan.kv.window_row));
}

Result<void> measure(const Fan &fan, Way way, std::string_view name, Record &record) {
    Row row{.labels = fan.labels(name)};
    Row saved{.labels = fan.labels(kSaved)};
    Agreement agreement;
    ENGRAM_ASSIGN(const std::string system, fan.pair.text(fan.prefix, 100 + static_cast<std::uint32_t>(way)));
    const auto measure_on = [&](Side &side) -> Result<void> {
        if (way == Way::by_copies && side.name() != kPeer) return {};
        if (way == Way::by_copies) ENGRAM_TRY(side.restart_with(kSlotsStay));
        fan.lab.note(std::format("{}: {} agents with {} tokens in common, {}", side.name(), fan.agents, fan.prefix, name));
        const std::uint64_t on_disk = side.disk_bytes();
        ENGRAM_ASSIGN(std::vector<Conversation> talks, conversations(fan, side, system, way));
        ENGRAM_ASSIGN(const Outcome outcome, ask_all(fan, side, talks, way));
        row.add("all have answered after", side.name(), "s", outcome.seconds);
        row.add("prompt tokens computed", side.name(), "tokens", outcome.computed);
        for (const Answer &answer : outcome.answers) agreement.add(side, answer);
        ENGRAM_ASSIGN(const Process::Usage usage, side.process().usage());
        row.add("resident memory", side.name(), "bytes", static_cast<double>(usage.resident_bytes));
        if (way == (side.name() == kPeer ? Way::by_copies : Way::at_once)) {
            ENGRAM_TRY(measure_saved(side, talks, on_disk, saved));
        }
        if (way == Way::at_once && side.name() == kEngram) {
            ENGRAM_ASSIGN(const std::uint64_t common, side.count_tokens(system));
            saved.add("bytes on disk", kFloor, "bytes", floor_bytes(fan, common, outcome.tokens));
        }
        return {};
    };
    ENGRAM_TRY(fan.pair.each(measure_on));
    if (way != Way::by_copies) agreement.check(record, std::string(name));
    record.rows.push_back(std::move(row));
    if (!saved.figures.empty()) record.rows.push_back(std::move(saved));
    return {};
}

Result<void> measure_forks(const Fan &fan, Record &record) {
    Row row{.labels = fan.labels(kForks)};
    ENGRAM_ASSIGN(const std::string system, fan.pair.text(fan.prefix, 100));
    const auto fork_all = [&](Side &side) -> Result<void> {
        ENGRAM_ASSIGN(Conversation talk, side.converse("forked", system));
        ENGRAM_ASSIGN(const Answer answer, side.turn(talk, question(1000), kAnswerTokens));
        std::vector<double> times;
        for (std::size_t i = 0; i < fan.agents; ++i) {
            const auto start = SteadyClock::now();
            ENGRAM_TRY(side.client().post(std::format("/v1/agents/{}/fork", talk.agent), {{"id", std::format("fork-{}", i)}}));
            times.push_back(ms_since(start));
        }
        row.add("one fork", side.name(), "ms", times);
        return {};
    };
    ENGRAM_TRY(fan.pair.alone(fan.pair.ours(), fork_all));
    record.rows.push_back(std::move(row));
    return {};
}

}  // namespace

Result<void> run_fanout(const Lab &lab, const std::string &, Record &record) {
    ENGRAM_TRY(answer_alike(lab, record, run_fanout));
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model("gemma3-270m", record));
    const std::size_t agents = lab.by_size<std::size_t>(3, 16, 16);
    const std::uint32_t prefix = lab.lengths({lab.by_size<std::uint32_t>(300, 1000, 8000)}).front();
    SideOptions options = lab.side(model);
    options.slots = static_cast<std::uint32_t>(agents);
    options.context_tokens = static_cast<std::uint32_t>(agents) * (prefix + kRoomForEach);
    ENGRAM_ASSIGN(const KvBytes kv, kv_bytes(lab, model, options.kv_type));
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record));
    const Fan fan{.lab = lab, .pair = *pair, .agents = agents, .prefix = prefix, .kv = kv};
    const auto ask = [&](Way way, std::string_view name) {
        return lab.part(record, std::string(name), [&](Record &part) { return measure(fan, way, name, part); });
    };
    ENGRAM_TRY(ask(Way::at_once, "all at once"));
    ENGRAM_TRY(ask(Way::after_one, "one first, then all others"));
    if (lab.examined()) return {};
    if (pair->peer() != nullptr) ENGRAM_TRY(ask(Way::by_copies, "slots copied by save and restore"));
    ENGRAM_TRY(lab.part(record, std::string(kForks), [&](Record &part) { return measure_forks(fan, part); }));
    record.promises.push_back({.what = std::format("one fork of an agent with {} tokens", prefix),
                               .labels = fan.labels(kForks),
                               .figure = "one fork",
                               .limit = 5});
    if (prefix >= kPromisedPrefix) {
        record.promises.push_back({.what = std::format("bytes on disk of {} agents with {} tokens in common", agents, prefix),
                                   .labels = fan.labels(kSaved),
                                   .figure = "bytes on disk",
                                   .limit = 1.2,
                                   .against = Promise::Reference{"what is common once, and each one's own", fan.labels(kSaved),
                                                                 "bytes on disk", std::string(kFloor)}});
    }
    record.notes.emplace_back(
        "The floor of bytes on disk is the KV of the common tokens once (T × a + min(T, window) × w) and that of each "
        "agent's own tokens (n × (a + w)): a and w are what one token has in all attention layers and in all sliding-window "
        "layers.");
    record.notes.emplace_back(
        "Engram shares the cells of what begins alike, and reads it once; the peer gets a context that "
        "holds every agent's own copy.");
    record.plots.push_back({.title = "Until all agents have answered",
                            .figure = "all have answered after",
                            .over = "asked",
                            .series = "",
                            .logarithmic = true});
    record.highlights.push_back({.what = std::format("bytes on disk of {} agents with {} tokens in common", agents, prefix),
                                 .labels = fan.labels(kSaved),
                                 .figure = "bytes on disk"});
    record.highlights.push_back(
        {.what = std::format("{} agents with {} tokens in common, asked at once: all have answered", agents, prefix),
         .labels = record.rows.front().labels,
         .figure = "all have answered after"});
    return {};
}

}  // namespace engram::bench
