// A turn of 100 tokens at the end of a context: how long until its KV is in files, and how many bytes are written for it.
#include <algorithm>
#include <format>
#include <map>

#include "bench/by_length.h"
#include "bench/entries.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kTurnTokens = 100;
constexpr std::uint32_t kAnswerTokens = 10;

struct Samples {
    std::vector<double> ms, bytes, turn_ms, turn_tokens;
};

Result<void> measure_length(const Lab &lab, Pair &pair, std::uint32_t tokens, const KvBytes &kv, Record &record) {
    ENGRAM_ASSIGN(const std::string text, pair.text(tokens, tokens));
    ENGRAM_ASSIGN(const std::string more, pair.text(kTurnTokens - kAnswerTokens, 7));
    std::map<std::string, Conversation> talks;
    std::map<std::string, Samples> samples;
    Agreement agreement;
    const auto read_on = [&](Side &side) -> Result<void> {
        lab.note(std::format("{}: {} tokens from nothing", side.name(), tokens));
        ENGRAM_ASSIGN(Conversation talk, side.converse(std::format("t{}", tokens)));
        ENGRAM_ASSIGN(const Answer answer, side.turn(talk, text, kAnswerTokens));
        agreement.add(side, answer.text);
        ENGRAM_TRY(side.save(talk));
        talks[std::string(side.name())] = std::move(talk);
        return {};
    };
    ENGRAM_TRY(pair.each(read_on));
    for (std::uint32_t i = 0; i < lab.repetitions(5); ++i) {
        const auto save_on = [&](Side &side) -> Result<void> {
            Conversation &talk = talks[std::string(side.name())];
            ENGRAM_ASSIGN(const Answer answer, side.turn(talk, question(i) + " " + more, kAnswerTokens));
            agreement.add(side, answer.text);
            ENGRAM_ASSIGN(const Saved saved, side.save(talk));
            Samples &of = samples[std::string(side.name())];
            of.ms.push_back(saved.ms);
            of.bytes.push_back(static_cast<double>(saved.bytes));
            of.turn_ms.push_back(answer.total_ms);
            of.turn_tokens.push_back(static_cast<double>(answer.prompt_tokens - answer.cached_tokens + answer.answer_tokens));
            return {};
        };
        ENGRAM_TRY(pair.each(save_on));
    }
    Row row{.labels = {{"tokens", tokens}}};
    for (const auto &side : pair.sides()) {
        const Samples &of = samples[std::string(side->name())];
        row.add("saved after the answer", side->name(), "ms", of.ms);
        row.add("written for the turn", side->name(), "bytes", of.bytes);
        row.add("the turn itself", side->name(), "ms", of.turn_ms);
    }
    // Question, template and answer are more than the text that is read.
    std::vector<double> turn_kv;
    for (const double turn : samples[std::string(kEngram)].turn_tokens)
        turn_kv.push_back(turn * static_cast<double>(kv.attention_row + kv.window_row));
    row.add("written for the turn", kFloor, "bytes", turn_kv);
    record.promises.push_back(
        {.what = std::format("bytes written for a turn of 100 tokens, context of {}", tokens),
         .labels = row.labels,
         .figure = "written for the turn",
         .limit = 1.1,
         .against = Promise::Reference{"the turn's own KV", row.labels, "written for the turn", std::string(kFloor)}});
    record.rows.push_back(std::move(row));
    agreement.check(record, std::format("{} tokens", tokens));
    return pair.each([&](Side &side) { return side.forget(talks[std::string(side.name())]); });
}

}  // namespace

std::vector<std::string> save_variants(const Lab &lab) {
    if (!lab.options().model.empty()) return {"given f16"};
    if (lab.size() == Size::full) return {"gemma3-270m f16", "llama-1b f16", "qwen3-0.6b f16"};
    return {"gemma3-270m f16"};
}

Result<void> run_save(const Lab &lab, const std::string &variant, Record &record) {
    ENGRAM_ASSIGN(const ByLength set, start_by_length(lab, variant, {67, 2000, 8000}, record));
    for (const std::uint32_t tokens : set.lengths) {
        const auto measure = [&](Record &part) { return measure_length(lab, *set.pair, tokens, set.kv, part); };
        ENGRAM_TRY(lab.part(record, std::format("{} tokens", tokens), measure));
    }
    record.notes.emplace_back(
        "Engram writes while the answer is made and after it, syncs every file and needs no call; what is "
        "timed is a call that waits until all of it is on disk. llama-server writes the whole slot when it "
        "is called, and syncs nothing. The floor is the turn's own KV: tokens read and said × what "
        "one has in all layers.");
    record.plots.push_back({.title = "Bytes written for a turn of 100 tokens",
                            .figure = "written for the turn",
                            .over = "tokens",
                            .series = "",
                            .logarithmic = true});
    record.highlights.push_back({.what = std::format("bytes written for a turn of 100 tokens, context of {}", set.lengths.back()),
                                 .labels = {{"tokens", set.lengths.back()}},
                                 .figure = "written for the turn"});
    return {};
}

}  // namespace engram::bench
