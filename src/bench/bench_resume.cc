// First token of a conversation of so many tokens, by where its memory is: read from nothing, in the context, in host memory, on
// disk, on disk with the page cache dropped, and after the server was started again.
#include <algorithm>
#include <array>
#include <cstring>
#include <format>
#include <map>

#include "bench/by_length.h"
#include "bench/entries.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kAnswerTokens = 4;
constexpr std::uint32_t kOften = 2000;  // up to here reading from nothing is cheap enough to be done more than once

enum class Way : std::uint8_t { cold, context, host, disk, dropped, restart };
constexpr std::array<std::pair<Way, std::string_view>, 6> kWays{{{Way::cold, "cold"},
                                                                 {Way::context, "in the context"},
                                                                 {Way::host, "host memory"},
                                                                 {Way::disk, "disk"},
                                                                 {Way::dropped, "disk, page cache dropped"},
                                                                 {Way::restart, "after a restart"}}};

struct Samples {
    std::vector<double> ttft, restore, prompt, cached;
};

struct Length {
    std::uint32_t tokens = 0;
    std::map<std::string, Conversation> talks = {};  // by side
    std::map<std::pair<Way, std::string>, Samples> samples = {};
    std::map<std::string, std::vector<double>> steps = {};  // between tokens, with the memory in the context
    Agreement agreement = {};
    std::uint32_t begun = 0, asked = 0;
    std::map<std::string, CachedPages> dropped = {};  // by side
    std::uint64_t now = 0;                            // tokens that our side's last turn read, those of earlier turns included

    // Each turn makes the context longer: by an eighth, and it is another length.
    bool drifted() const { return now > tokens + tokens / 8; }
    std::uint32_t from_elsewhere = 0, should_be_from_disk = 0;  // turns of ours that weren't served from where they should
};

void note_answer(Length &length, Way way, Side &side, const Answer &answer) {
    const std::string name(side.name());
    if (name == kEngram) length.now = answer.prompt_tokens;
    Samples &samples = length.samples[{way, name}];
    samples.ttft.push_back(answer.ttft_ms);
    samples.prompt.push_back(static_cast<double>(answer.prompt_tokens));
    samples.cached.push_back(static_cast<double>(answer.cached_tokens));
    if (way != Way::cold && way != Way::context) samples.restore.push_back(answer.restore_ms);
    if (way == Way::context) {
        // Pieces that were sent apart may arrive together: only the mean says what a step takes.
        if (answer.token_ms.size() > 1) {
            const double all = answer.token_ms.back() - answer.token_ms.front();
            length.steps[name].push_back(all / static_cast<double>(answer.token_ms.size() - 1));
        }
    }
    length.agreement.add(side, answer.text);
}

// Brings the conversation to where the way has it before a turn.
Result<void> prepare(Way way, Side &side, Conversation &talk, Length &length) {
    switch (way) {
        case Way::cold:
        case Way::context: return {};
        case Way::host: return side.move(talk, Memory::host);
        case Way::disk: return side.move(talk, Memory::disk);
        case Way::dropped: {
            ENGRAM_TRY(side.move(talk, Memory::disk));
            length.dropped[std::string(side.name())] += side.drop_page_cache();
            return {};
        }
        case Way::restart: {
            ENGRAM_TRY(side.leave(talk));
            side.stop();
            return side.start();
        }
    }
    return {};
}

// Has both read a text from nothing, as a new conversation in place of the one there was.
Result<void> begin_anew(const Lab &lab, Pair &pair, Length &length, bool counts) {
    const std::uint32_t number = length.begun++;
    ENGRAM_ASSIGN(const std::string text, pair.text(length.tokens, number + length.tokens));
    const auto read_on = [&](Side &side) -> Result<void> {
        if (counts) lab.note(std::format("{}: {} tokens from nothing", side.name(), length.tokens));
        Conversation &talk = length.talks[std::string(side.name())];
        if (number > 0) ENGRAM_TRY(side.forget(talk));
        ENGRAM_ASSIGN(talk, side.converse(std::format("t{}-{}", length.tokens, number)));
        ENGRAM_ASSIGN(const Answer answer, side.turn(talk, text, kAnswerTokens));
        if (counts) note_answer(length, Way::cold, side, answer);
        return {};
    };
    length.now = length.tokens;
    return pair.each(read_on);
}

Result<void> measure_way(const Lab &lab, Pair &pair, Way way, std::string_view name, Length &length) {
    const std::uint32_t usual = way == Way::dropped || way == Way::restart ? 5 : 7;
    for (std::uint32_t i = 0; i < lab.repetitions(usual); ++i) {
        const std::string asked = std::format("{}?", ++length.asked);
        const auto ask_on = [&](Side &side) -> Result<void> {
            if (i == 0) lab.note(std::format("{}: {} tokens, {}", side.name(), length.tokens, name));
            Conversation &talk = length.talks[std::string(side.name())];
            ENGRAM_TRY(prepare(way, side, talk, length));
            ENGRAM_ASSIGN(const Answer answer, side.turn(talk, asked, kAnswerTokens));
            note_answer(length, way, side, answer);
            const bool on_disk = way == Way::disk || way == Way::dropped || way == Way::restart;
            if (on_disk && side.name() == kEngram) {
                ++length.should_be_from_disk;
                if (answer.tier != "disk") ++length.from_elsewhere;
            }
            return {};
        };
        ENGRAM_TRY(pair.each(ask_on));
    }
    return {};
}

double memcpy_ms(std::uint64_t bytes) {
    std::vector<std::byte> from(bytes, std::byte{1});
    std::vector<std::byte> to(bytes, std::byte{2});
    std::vector<double> times;
    for (int i = 0; i < 5; ++i) {
        const auto start = SteadyClock::now();
        std::memcpy(to.data(), from.data(), bytes);
        times.push_back(ms_since(start));
    }
    return figure_of("", "", "ms", times).median;
}

// The least that going on from files can take: the bytes of KV that are needed copied once, and one step of the model.
double floor_ms(const Length &length, const KvBytes &kv) {
    double step = 0;
    for (const auto &[side, gaps] : length.steps) {
        if (gaps.empty()) continue;
        const double median = figure_of("", "", "ms", gaps).median;
        step = step == 0 ? median : std::min(step, median);
    }
    return step == 0 ? 0 : memcpy_ms(kv.of(length.tokens)) + step;
}

void record_length(const Pair &pair, const Length &length, const KvBytes &kv, Record &record) {
    const double floor = floor_ms(length, kv);
    for (const auto &[way, name] : kWays) {
        Row row{.labels = {{"tokens", length.tokens}, {"memory", name}}};
        for (const auto &side : pair.sides()) {
            const auto found = length.samples.find({way, std::string(side->name())});
            if (found == length.samples.end()) continue;
            row.add("first token", side->name(), "ms", found->second.ttft);
            row.add("of that restoring", side->name(), "ms", found->second.restore);
            row.add("tokens reused", side->name(), "tokens", found->second.cached);
        }
        if (floor > 0 && way != Way::cold && way != Way::context) row.add("first token", kFloor, "ms", floor);
        record.rows.push_back(std::move(row));
    }
    const auto prompt_of = [&](std::string_view side) {
        const auto found = length.samples.find({Way::cold, std::string(side)});
        return found == length.samples.end() ? 0.0 : found->second.prompt.front();
    };
    if (pair.sides().size() > 1) {
        record.check(std::format("both read the same prompt, {} tokens", length.tokens), prompt_of(kEngram) == prompt_of(kPeer),
                     std::format("{} and {} tokens", prompt_of(kEngram), prompt_of(kPeer)));
    }
    length.agreement.check(record, std::format("{} tokens", length.tokens));
    for (const auto &[side, pages] : length.dropped) {
        if (pages.share() < kStayedTooMuch) continue;
        record.notes.push_back(
            std::format("{} tokens, {}: {:.0f} % of the files stayed in the page cache although they were dropped.",
                        length.tokens, side, pages.share() * 100));
    }
    record.notes.push_back(std::format("{} tokens: {} of {} turns that should come from disk did.", length.tokens,
                                       length.should_be_from_disk - length.from_elsewhere, length.should_be_from_disk));
}

Result<void> measure_length(const Lab &lab, Pair &pair, std::uint32_t tokens, const KvBytes &kv, Record &record) {
    Length length{.tokens = tokens};
    // Long ones once: what a prefill takes hardly varies.
    const std::uint32_t colds = tokens <= kOften ? lab.repetitions(lab.by_size<std::uint32_t>(1, 2, 3)) : 1;
    for (std::uint32_t i = 0; i < colds; ++i) ENGRAM_TRY(begin_anew(lab, pair, length, true));
    for (const auto &[way, name] : kWays) {
        if (way == Way::cold) continue;
        if (length.drifted()) ENGRAM_TRY(begin_anew(lab, pair, length, false));
        ENGRAM_TRY(measure_way(lab, pair, way, name, length));
    }
    record_length(pair, length, kv, record);
    return pair.each([&](Side &side) { return side.forget(length.talks[std::string(side.name())]); });
}

}  // namespace

std::vector<std::string> resume_variants(const Lab &lab) {
    if (!lab.options().model.empty()) return {"given f16"};
    if (lab.smoke()) return {"gemma3-270m f16", "llama-1b q8_0"};
    if (lab.size() == Size::quick) return {"gemma3-270m f16"};
    std::vector<std::string> all;
    for (const std::string_view geometry : {"gemma3-270m", "gemma3-1b", "llama-1b", "qwen3-0.6b"}) {
        for (const std::string_view type : {"f16", "q8_0", "q4_0"}) all.push_back(std::format("{} {}", geometry, type));
    }
    return all;
}

Result<void> run_resume(const Lab &lab, const std::string &variant, Record &record) {
    ENGRAM_ASSIGN(const ByLength set, start_by_length(lab, variant, {67, 2000, 20000}, record));
    for (const std::uint32_t tokens : set.lengths) {
        const auto measure = [&](Record &part) { return measure_length(lab, *set.pair, tokens, set.kv, part); };
        ENGRAM_TRY(lab.part(record, std::format("{} tokens", tokens), measure));
    }
    record.notes.emplace_back(
        "The floor of a first token from memory or disk is one memcpy of the KV that is needed (T × a + min(T, window) × w: what "
        "T tokens have in attention layers, and the last window of them in sliding-window layers) and one step of the model, the "
        "shorter of both servers' medians between two tokens in the context. It reads no new tokens; a turn does.");
    record.plots.push_back({.title = "First token by length of the context",
                            .figure = "first token",
                            .over = "tokens",
                            .series = "memory",
                            .logarithmic = true});
    for (const auto &[way, name] : kWays) {
        record.highlights.push_back({.what = std::format("first token, {} tokens, {}", set.lengths.back(), name),
                                     .labels = {{"tokens", set.lengths.back()}, {"memory", name}},
                                     .figure = "first token"});
    }
    return {};
}

}  // namespace engram::bench
