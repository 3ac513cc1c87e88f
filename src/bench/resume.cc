#include "bench/resume.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <format>
#include <fstream>

#include "agents/engine_thread.h"
#include "agents/paths.h"
#include "bench/page_cache.h"
#include "engine/codec.h"

namespace engram::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kTurnTokens = 100;   // of the turn that is saved
constexpr std::uint32_t kAnswerTokens = 10;  // of those, sampled

double ms_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

AgentKey key_of(std::uint32_t tokens) { return {.tenant = "bench", .id = std::format("tokens-{}", tokens)}; }

std::filesystem::path logits_file(const std::filesystem::path &home, std::uint32_t tokens) {
    return home / std::format("logits-{}.f32", tokens);
}

Result<void> write_logits(const std::filesystem::path &file, std::span<const float> logits) {
    std::ofstream out(file, std::ios::binary);
    out.write(reinterpret_cast<const char *>(logits.data()), static_cast<std::streamsize>(logits.size_bytes()));
    if (!out) return fail(ErrorCode::io, std::format("{} could not be written", file.string()));
    return {};
}

std::vector<float> read_logits(const std::filesystem::path &file, std::size_t count) {
    std::vector<float> logits(count);
    std::ifstream in(file, std::ios::binary);
    in.read(reinterpret_cast<char *>(logits.data()), static_cast<std::streamsize>(count * sizeof(float)));
    if (!in) logits.clear();
    return logits;
}

// The layers that a turn goes through, without registry and text.
class Lab {
  public:
    static Result<std::unique_ptr<Lab>> open(const ResumeOptions &options) {
        auto lab = std::make_unique<Lab>();
        lab->options_ = options;
        ModelOptions model = options.model;
        model.context_tokens = std::ranges::max(options.tokens) + 512;
        model.max_running = 1;
        ENGRAM_TRY(posix_file_system().make_directories(options.home));
        ENGRAM_ASSIGN(lab->store, BlockStore::open({.root = store_path(options.home), .disk_budget_bytes = 64ULL << 30},
                                                   posix_file_system(), system_clock(), &engine_codec()));
        ENGRAM_ASSIGN(lab->model, Model::load(model, nullptr, nullptr));
        ENGRAM_ASSIGN(lab->context, Context::create(*lab->model, lab->pool));
        lab->engine = std::make_unique<EngineThread>(
            *lab->model, *lab->context, lab->store.get(),
            KvSettings{.checkpoint_tokens = options.storage.checkpoint_tokens, .weigh_restores = false});
        return lab;
    }

    // Any text will do; the same one for every process.
    std::vector<Token> tokens(std::size_t count) const {
        std::string text;
        for (std::size_t i = 0; text.size() < count * 16; ++i)
            text += std::format("Entry {}: node {} is {}. ", i, i * 7919 % 1000, i * 31 % 97);
        std::vector<Token> list = model->tokenise(text, true, false);
        list.resize(count);
        return list;
    }

    Result<TurnEnd> run(TurnPlan plan) const {
        plan.grid.block_tokens = options_.storage.block_tokens;
        const auto channel = std::make_shared<TurnChannel>();
        engine->submit(std::move(plan), channel, 0);
        for (;;) {
            TurnChannel::Event event = channel->receive();
            auto *finished = std::get_if<TurnChannel::Finished>(&event);
            if (finished == nullptr) continue;
            TurnEnd end = std::move(finished->end);
            for (PutRequest &put : end.deferred) store->put(std::move(put));
            if (end.error) return std::unexpected(std::move(*end.error));
            return end;
        }
    }

    // The logits after `prompt` and one more token, which is not kept.
    Result<TurnEnd> probe(std::uint32_t n, std::span<const Token> prompt) const {
        TurnPlan plan{
            .key = key_of(n), .tokens = {prompt.begin(), prompt.end()}, .stored_tokens = {prompt.begin(), prompt.end()}};
        plan.tokens.push_back(prompt.back());
        plan.probe = true;
        return run(std::move(plan));
    }

    void drop(std::uint32_t n) const {
        engine->call([&] { engine->drop(key_of(n)); });
    }

    void drop_from_memory() const {
        std::vector<PartKey> keys;
        for (const PartInfo &part : store->parts()) keys.push_back(part.key);
        store->drop_from_memory(keys);
    }

    CachedPages drop_page_cache() const {
        CachedPages all;
        for (const PartInfo &part : store->parts()) all += drop_from_page_cache(part.path);
        return all;
    }

    std::uint64_t token_bytes() const { return context->row_bytes(PartKind::attention) + context->row_bytes(PartKind::window); }

    void note(const std::string &line) const {
        if (options_.note) options_.note(line);
    }

    std::unique_ptr<BlockStore> store;
    BufferPool pool{64ULL << 20};
    std::unique_ptr<Model> model;
    std::unique_ptr<Context> context;
    std::unique_ptr<EngineThread> engine;

  private:
    ResumeOptions options_;
};

// A turn of kTurnTokens tokens after the prompt: how long its KV takes to be on disk, and how much is written for it.
Result<void> measure_save(const Lab &lab, const ResumeOptions &options, std::span<const Token> prompt, ComputedRow &row) {
    ENGRAM_TRY(lab.store->drain());
    const std::uint64_t before = lab.store->stats().written_bytes;
    TurnPlan plan{.key = key_of(row.tokens), .tokens = {prompt.begin(), prompt.end()}, .max_tokens = kAnswerTokens};
    // The last sampled token's KV isn't computed in this turn.
    const std::vector<Token> further = lab.tokens(kTurnTokens - kAnswerTokens + 1);
    plan.tokens.insert(plan.tokens.end(), further.begin(), further.end());
    ENGRAM_ASSIGN(plan.sampler, Sampler::create(*lab.model, {}));
    ENGRAM_ASSIGN(const TurnEnd end, lab.run(std::move(plan)));
    const auto start = Clock::now();
    ENGRAM_TRY(lab.store->drain());
    row.save_ms = end.result.save_ms + ms_since(start);
    row.save_bytes = lab.store->stats().written_bytes - before;
    row.turn_kv_bytes = kTurnTokens * lab.token_bytes();
    row.block_bytes = options.storage.block_tokens * lab.token_bytes();
    return {};
}

Result<ComputedRow> compute(const Lab &lab, const ResumeOptions &options, std::uint32_t n) {
    ComputedRow row{.tokens = n};
    const std::vector<Token> prompt = lab.tokens(n);
    lab.note(std::format("computing {} tokens from nothing", n));
    TurnPlan plan{.key = key_of(n), .tokens = prompt, .max_tokens = 1};
    ENGRAM_ASSIGN(plan.sampler, Sampler::create(*lab.model, {}));
    ENGRAM_ASSIGN(const TurnEnd cold, lab.run(std::move(plan)));
    row.cold_ttft_ms = cold.result.ttft_ms;
    ENGRAM_TRY(lab.store->drain());
    std::vector<double> hot;
    std::vector<float> in_place;
    for (std::uint32_t i = 0; i < options.repetitions; ++i) {
        ENGRAM_ASSIGN(TurnEnd end, lab.probe(n, prompt));
        if (end.result.tier != "hot") break;  // a recurrent state can't be taken back: only the first probe is hot
        hot.push_back(end.result.ttft_ms);
        if (in_place.empty()) in_place = std::move(end.logits.front());
    }
    if (!hot.empty()) row.hot_ttft_ms = median(hot);
    // The same process, the cells placed as a resume places them: what a resume must equal bit for bit.
    lab.drop(n);
    ENGRAM_ASSIGN(const TurnEnd placed, lab.probe(n, prompt));
    ENGRAM_TRY(write_logits(logits_file(options.home, n), placed.logits.front()));
    for (std::size_t i = 0; i < in_place.size(); ++i) {
        row.placement_difference =
            std::max(row.placement_difference, static_cast<double>(std::abs(in_place[i] - placed.logits.front()[i])));
    }
    ENGRAM_TRY(measure_save(lab, options, prompt, row));
    lab.drop(n);
    lab.drop_from_memory();
    return row;
}

double measure_memcpy(std::size_t bytes, std::vector<std::byte> &from, std::vector<std::byte> &to) {
    from.resize(bytes, std::byte{1});
    to.resize(bytes, std::byte{2});
    const auto start = Clock::now();
    std::memcpy(to.data(), from.data(), bytes);
    return ms_since(start);
}

Result<ResumedRow> resume(const Lab &lab, const ResumeOptions &options, std::uint32_t n) {
    ResumedRow row{.tokens = n, .logits_equal = true};
    const std::vector<Token> prompt = lab.tokens(n);
    lab.note(std::format("resuming {} tokens from disk", n));
    const std::vector<float> expected = read_logits(logits_file(options.home, n), lab.model->vocabulary_size());
    std::vector<double> ttft;
    std::vector<double> restore;
    std::vector<double> copy;
    std::vector<double> step;
    std::vector<std::byte> from;
    std::vector<std::byte> to;
    for (std::uint32_t i = 0; i < options.repetitions; ++i) {
        lab.drop(n);
        ENGRAM_ASSIGN(const TurnEnd end, lab.probe(n, prompt));
        ttft.push_back(end.result.ttft_ms);
        restore.push_back(end.result.restore_ms);
        row.restored_bytes = end.result.restored_bytes;
        row.reused_tokens = end.result.reused_tokens;
        row.tier = end.result.tier;
        row.logits_equal = row.logits_equal && !expected.empty() && end.logits.front() == expected;
        step.push_back(end.result.prefill_ms);
        if (i == 0) measure_memcpy(row.restored_bytes, from, to);  // faults the buffers in
        copy.push_back(measure_memcpy(row.restored_bytes, from, to));
    }
    row.disk_first_ttft_ms = ttft.front();
    row.disk_ttft_ms = median(ttft);
    row.restore_ms = median(restore);
    row.memcpy_ms = median(copy);
    row.step_ms = median(step);
    std::vector<double> dropped;
    CachedPages pages;
    for (std::uint32_t i = 0; i < std::min(3U, options.repetitions); ++i) {
        lab.drop(n);
        pages += lab.drop_page_cache();
        ENGRAM_ASSIGN(const TurnEnd end, lab.probe(n, prompt));
        dropped.push_back(end.result.ttft_ms);
    }
    row.disk_dropped_ttft_ms = median(dropped);
    row.stayed_cached = pages.share();
    lab.drop(n);
    return row;
}

template <typename Row, typename Measure>
Result<std::vector<Row>> measure_all(const ResumeOptions &options, Measure measure) {
    if (options.tokens.empty() || std::ranges::min(options.tokens) < 2 || options.repetitions == 0) {
        return fail(ErrorCode::invalid_argument, "give at least one length of two tokens or more, and one repetition");
    }
    ENGRAM_ASSIGN(const std::unique_ptr<Lab> lab, Lab::open(options));
    std::vector<Row> rows;
    for (const std::uint32_t n : options.tokens) {
        ENGRAM_ASSIGN(Row row, measure(*lab, options, n));
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace

Result<std::vector<ComputedRow>> measure_computed(const ResumeOptions &options) {
    return measure_all<ComputedRow>(options, compute);
}

Result<std::vector<ResumedRow>> measure_resumed(const ResumeOptions &options) { return measure_all<ResumedRow>(options, resume); }

}  // namespace engram::bench
