// What running answers notice of other work: the time between their tokens alone, while somebody else's long prompt is read,
// while memories come back from disk, and while blocks are written. What is written is somebody's turn, which is computed first:
// what writing adds is seen against the same turns where nothing is written.
#include <algorithm>
#include <array>
#include <atomic>
#include <format>
#include <limits>
#include <map>

#include "bench/entries.h"
#include "bench/together.h"

namespace engram::bench {

namespace {

constexpr std::size_t kAnswering = 2;
constexpr std::string_view kSaves = "saves";
constexpr std::string_view kTurns = "turns that aren't stored";  // the same ones

enum class Beside : std::uint8_t { nothing, prefill, restore, save, turn };
constexpr std::array<std::pair<Beside, std::string_view>, 5> kWork{{{Beside::nothing, "nothing"},
                                                                    {Beside::prefill, "a prefill"},
                                                                    {Beside::restore, "restores from disk"},
                                                                    {Beside::save, kSaves},
                                                                    {Beside::turn, kTurns}}};
const std::vector<std::string> kOurFlags{"--preload", "off"};  // nothing comes back from disk before it is asked for
constexpr std::string_view kNoRoom = "4K";                     // on disk: less than anything that could be written

struct Scene {
    const Lab &lab;
    std::uint32_t tokens = 0;         // that the other ones have, or read
    std::uint32_t answer_tokens = 0;  // of each running answer
    std::uint32_t fewer_tokens = 0;   // the same beside a prefill, which takes long
    std::uint32_t pieces = 0;         // of the other work, at most, in one go
    std::vector<std::string> texts = {};
    std::uint32_t asked = 0;
};

struct Watched {
    std::vector<double> gaps, other_ms;
};

// Of fewer gaps, what 99 of 100 kept within would be one or two of them.
constexpr std::size_t kEnoughGaps = 200;

// `values` isn't empty.
double at_share(std::vector<double> values, double share) {
    std::ranges::sort(values);
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

// One piece of the other work; how long it took is what somebody else waits.
Result<double> work_once(Scene &scene, Side &side, Beside beside, Conversation &other, std::uint32_t number) {
    if (beside == Beside::prefill) {
        ENGRAM_ASSIGN(Conversation fresh, side.converse(std::format("fresh-{}", number)));
        fresh.slot = static_cast<int>(kAnswering + 1);
        const std::string &text = scene.texts[number % scene.texts.size()];
        ENGRAM_ASSIGN(const Answer answer, side.turn(fresh, std::format("Read {}. {}", number, text), 1));
        return answer.ttft_ms;
    }
    if (beside == Beside::restore) {
        ENGRAM_TRY(side.move(other, Memory::disk));
        ENGRAM_ASSIGN(const Answer answer, side.turn(other, question(number), 1));
        return answer.ttft_ms;
    }
    ENGRAM_ASSIGN(const Answer answer, side.turn(other, question(number), 1));
    if (beside == Beside::turn) return answer.ttft_ms;
    ENGRAM_ASSIGN(const Saved saved, side.save(other));
    return saved.ms;
}

Result<void> watch(Scene &scene, Side &side, Beside beside, std::vector<Conversation> &talks, Watched &watched) {
    std::vector<Answer> answers(kAnswering);
    std::atomic<std::size_t> running = kAnswering;
    const std::uint32_t first_number = 1000 + scene.asked * 100;
    const auto answer_or_work = [&](std::size_t i) -> Result<void> {
        if (i < kAnswering) {
            const std::uint32_t tokens = beside == Beside::prefill ? scene.fewer_tokens : scene.answer_tokens;
            auto answer = side.turn(talks[i], question(scene.asked), tokens);
            running.fetch_sub(1);
            if (!answer) return std::unexpected(std::move(answer.error()));
            answers[i] = *std::move(answer);
            return {};
        }
        if (beside == Beside::nothing) return {};
        // As long as the answers go on, and not before they have begun.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        for (std::uint32_t number = 0; running.load() > 0 && number < scene.pieces; ++number) {
            ENGRAM_ASSIGN(const double ms, work_once(scene, side, beside, talks[kAnswering], first_number + number));
            watched.other_ms.push_back(ms);
        }
        return {};
    };
    ENGRAM_TRY(together(kAnswering + 1, answer_or_work));
    for (const Answer &answer : answers) {
        const std::vector<double> gaps = answer.gaps_ms();
        watched.gaps.insert(watched.gaps.end(), gaps.begin(), gaps.end());
    }
    return {};
}

Result<std::vector<Conversation>> begin(const Scene &scene, Side &side) {
    std::vector<Conversation> talks;
    for (std::size_t i = 0; i <= kAnswering; ++i) {
        ENGRAM_ASSIGN(Conversation talk, side.converse(i < kAnswering ? std::format("running-{}", i) : "other"));
        talk.slot = static_cast<int>(i);
        const std::string &text = scene.texts[i % scene.texts.size()];
        ENGRAM_ASSIGN(const Answer answer, side.turn(talk, i < kAnswering ? text.substr(0, text.size() / 8) : text, 2));
        talks.push_back(std::move(talk));
    }
    return talks;
}

void record_work(const Pair &pair, std::string_view name, std::map<std::string, Watched> &watched, Record &record) {
    Row row{.labels = {{"beside", name}}};
    for (const auto &side : pair.sides()) {
        Watched &of = watched[std::string(side->name())];
        row.add("between two tokens", side->name(), "ms", of.gaps);
        if (of.gaps.size() >= kEnoughGaps) row.add("99 of 100 within", side->name(), "ms", at_share(of.gaps, 0.99));
        if (!of.gaps.empty()) row.add("longest", side->name(), "ms", at_share(of.gaps, 1));
        row.add("the other work", side->name(), "ms", of.other_ms);
    }
    const bool enough = row.find("99 of 100 within", kEngram) != nullptr;
    record.highlights.push_back(
        {.what = std::format("time between tokens of two answers, {}, beside {}", enough ? "99 of 100" : "the longest", name),
         .labels = row.labels,
         .figure = enough ? "99 of 100 within" : "longest"});
    record.rows.push_back(std::move(row));
}

using Talks = std::map<std::string, std::vector<Conversation>>;  // by side

Result<void> begin_all(const Scene &scene, Pair &pair, Talks &talks) {
    const auto begin_on = [&](Side &side) -> Result<void> {
        ENGRAM_ASSIGN(talks[std::string(side.name())], begin(scene, side));
        return {};
    };
    return pair.each(begin_on);
}

Result<void> measure_beside(Scene &scene, Pair &pair, Beside beside, std::string_view name, Talks &talks, Record &record) {
    std::map<std::string, Watched> watched;
    if (beside == Beside::save || beside == Beside::turn) {  // both begin alike, since longer contexts make slower steps
        std::vector<std::string> flags = kOurFlags;
        if (beside == Beside::turn) flags.insert(flags.end(), {"--disk-budget", std::string(kNoRoom)});  // nothing is written
        ENGRAM_TRY(pair.alone(pair.ours(), [&](Side &side) { return side.restart_with(std::move(flags)); }));
        ENGRAM_TRY(begin_all(scene, pair, talks));
    }
    for (std::uint32_t i = 0; i < scene.lab.repetitions(2); ++i) {
        const auto watch_on = [&](Side &side) -> Result<void> {
            scene.lab.note(std::format("{}: {} answers beside {}", side.name(), kAnswering, name));
            const std::string of(side.name());
            return watch(scene, side, beside, talks[of], watched[of]);
        };
        ENGRAM_TRY(pair.each(watch_on));
        ++scene.asked;
    }
    record_work(pair, name, watched, record);
    return {};
}

}  // namespace

Result<void> run_interference(const Lab &lab, const std::string &, Record &record) {
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model("gemma3-270m", record));
    Scene scene{.lab = lab,
                .tokens = lab.lengths({lab.by_size<std::uint32_t>(120, 2000, 8000)}).front(),
                .answer_tokens = lab.by_size<std::uint32_t>(12, 128, 512),
                .fewer_tokens = lab.by_size<std::uint32_t>(12, 24, 512),
                .pieces = lab.by_size<std::uint32_t>(3, 3, std::numeric_limits<std::uint32_t>::max())};
    SideOptions options = lab.side(model);
    options.slots = kAnswering + 2;
    options.more = kOurFlags;
    // Streams of their own have a quarter of it each.
    options.context_tokens = (8 * (scene.tokens + scene.answer_tokens * 4) + 4096) / 1024 * 1024;
    const std::array<PeerKind, 2> peers{
        {{.label = std::string(kPeer), .flags = kSlotsStay}, {.label = std::string(kPeerOwnStreams), .flags = kOwnStreams}}};
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record, peers));
    record.configuration["answers_running"] = kAnswering;
    record.configuration["tokens_of_the_other"] = scene.tokens;
    Talks talks;
    for (std::uint32_t i = 0; i < 3; ++i) {
        ENGRAM_ASSIGN(std::string text, pair->text(scene.tokens, 30 + i));
        scene.texts.push_back(std::move(text));
    }
    ENGRAM_TRY(begin_all(scene, *pair, talks));
    for (const auto &[beside, name] : kWork) {
        const auto measure = [&](Record &part) { return measure_beside(scene, *pair, beside, name, talks, part); };
        ENGRAM_TRY(lab.part(record, std::format("beside {}", name), measure));
    }
    record.promises.push_back(
        {.what = "time between tokens of two answers, 99 of 100, while memories are written",
         .labels = {{"beside", kSaves}},
         .figure = "99 of 100 within",
         .limit = 1.2,
         .against = Promise::Reference{
             "beside the same turns where nothing is written", {{"beside", kTurns}}, "99 of 100 within", std::string(kEngram)}});
    record.plots.push_back({.title = "Time between tokens within which 99 of 100 came",
                            .figure = "99 of 100 within",
                            .over = "beside",
                            .series = "",
                            .logarithmic = true});
    return {};
}

}  // namespace engram::bench
