// A resume in the library alone (resume.h), in two processes: one that computes, and one that has only the files.
#include <algorithm>
#include <format>

#include "bench/entries.h"
#include "bench/page_cache.h"
#include "bench/resume.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kLong = 20000;  // from here on what going on from disk takes is promised

OrderedJson computed_json(const ComputedRow &row) {
    return {{"cold", row.cold_ttft_ms},     {"hot", row.hot_ttft_ms},    {"save", row.save_ms},
            {"save_bytes", row.save_bytes}, {"turn", row.turn_kv_bytes}, {"placement", row.placement_difference}};
}

OrderedJson resumed_json(const ResumedRow &row) {
    OrderedJson json{{"disk", row.disk_ttft_ms},    {"first", row.disk_first_ttft_ms},
                     {"restore", row.restore_ms},   {"bytes", row.restored_bytes},
                     {"memcpy", row.memcpy_ms},     {"step", row.step_ms},
                     {"reused", row.reused_tokens}, {"tier", row.tier},
                     {"equal", row.logits_equal},   {"stayed", row.stayed_cached}};
    if (row.disk_dropped_ttft_ms) json["dropped"] = *row.disk_dropped_ttft_ms;
    return json;
}

template <typename Rows, typename ToJson>
Result<OrderedJson> list_of(const Result<Rows> &rows, ToJson to_json) {
    if (!rows) return std::unexpected(rows.error());
    OrderedJson list = OrderedJson::array();
    for (const auto &row : *rows) list.push_back(to_json(row));
    return list;
}

void add_row(std::uint32_t tokens, const OrderedJson &computed, const OrderedJson &resumed, Record &record) {
    Row row{.labels = {{"tokens", tokens}}};
    const auto add = [&](std::string_view name, std::string_view side, const OrderedJson &json, const char *member) {
        if (json.contains(member)) row.add(name, side, "ms", json[member].get<double>());
    };
    add("first token, cold", kEngram, computed, "cold");
    add("first token, in the context", kEngram, computed, "hot");
    add("first token, disk", kEngram, resumed, "disk");
    row.add("first token, disk", kFloor, "ms", resumed["memcpy"].get<double>() + resumed["step"].get<double>());
    add("first token, disk, first of the process", kEngram, resumed, "first");
    add("first token, disk, page cache dropped", kEngram, resumed, "dropped");
    add("of that restoring", kEngram, resumed, "restore");
    add("of the floor memcpy", kFloor, resumed, "memcpy");
    row.add("restored", kEngram, "bytes", resumed["bytes"].get<double>());
    row.add("tokens reused", kEngram, "tokens", resumed["reused"].get<double>());
    add("saving a turn of 100 tokens", kEngram, computed, "save");
    row.add("written for it", kEngram, "bytes", computed["save_bytes"].get<double>());
    row.add("KV of that turn", kFloor, "bytes", computed["turn"].get<double>());
    record.rows.push_back(std::move(row));
    if (const double stayed = resumed["stayed"].get<double>(); stayed >= kStayedTooMuch) {
        record.notes.push_back(std::format(
            "{} tokens: {:.0f} % of the files stayed in the page cache although they were dropped.", tokens, stayed * 100));
    }
    record.check(
        std::format("next logits are equal bit for bit after a resume, {} tokens", tokens),
        resumed["equal"].get<bool>() && resumed["tier"] == "disk",
        std::format("{} tokens reused from {}", resumed["reused"].get<std::uint64_t>(), resumed["tier"].get<std::string>()));
}

// One length: what computes and what has only the files are processes of their own.
Result<void> measure(const Lab &lab, const ResumeOptions &options, Record &record) {
    const auto &isolate = lab.options().isolate;
    ENGRAM_ASSIGN(const OrderedJson computed, isolate([&] { return list_of(measure_computed(options), computed_json); }));
    ENGRAM_ASSIGN(const OrderedJson resumed, isolate([&] { return list_of(measure_resumed(options), resumed_json); }));
    add_row(options.tokens.front(), computed.front(), resumed.front(), record);
    return {};
}

}  // namespace

std::vector<std::string> library_variants(const Lab &lab) {
    if (!lab.options().model.empty()) return {"given f16"};
    return lab.size() == Size::full ? resume_variants(lab) : std::vector<std::string>{"gemma3-270m f16"};
}

Result<void> run_library(const Lab &lab, const std::string &variant, Record &record) {
    const std::size_t space = variant.find(' ');
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.model(variant.substr(0, space), record));
    const std::vector<std::uint32_t> lengths =
        lab.lengths(lab.by_size<std::vector<std::uint32_t>>({67, 300}, {67, 2000, 20000}, {67, 2000, 20000, 32000}));
    ResumeOptions options{.home = {},
                          .model = {.path = model, .threads = lab.options().threads},
                          .storage = {},
                          .repetitions = lab.repetitions(7),
                          .note = [&lab](const std::string &line) { lab.note(line); }};
    options.model.kv_type_k = options.model.kv_type_v = variant.substr(space + 1);
    record.configuration["kv_type"] = options.model.kv_type_k;
    record.configuration["block_tokens"] = options.storage.block_tokens;
    for (const std::uint32_t tokens : lengths) {
        options.home = lab.options().folder / std::format("home-{}", tokens);
        options.tokens = {tokens};
        ENGRAM_TRY(lab.part(record, std::format("{} tokens", tokens), [&](Record &part) { return measure(lab, options, part); }));
    }
    record.notes.emplace_back(
        "The floor of a first token from disk is one memcpy of the bytes that are restored and one step of the model, both "
        "measured between the resumes; that of bytes written is the KV of the turn's 100 tokens.");
    record.plots.push_back({.title = "First token after a resume from disk, in the library",
                            .figure = "first token, disk",
                            .over = "tokens",
                            .series = "",
                            .logarithmic = true});
    record.highlights.push_back({.what = std::format("first token from disk in the library, {} tokens", lengths.back()),
                                 .labels = {{"tokens", lengths.back()}},
                                 .figure = "first token, disk"});
    for (const std::uint32_t tokens : lengths) {
        if (tokens < kLong && tokens != lengths.back()) continue;
        const OrderedJson labels{{"tokens", tokens}};
        record.promises.push_back({.what = std::format("first token from disk in the library, {} tokens", tokens),
                                   .labels = labels,
                                   .figure = "first token, disk",
                                   .limit = 1.5,
                                   .against = Promise::Reference{"the floor", labels, "first token, disk", std::string(kFloor)}});
    }
    return {};
}

}  // namespace engram::bench
