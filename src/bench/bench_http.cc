// What isn't the model: processor time of the server for each generated token and each request over what the model itself takes,
// and the memory of streams that wait.
//
// The model is so small that nearly all of the time is the server's. What the model takes is measured in a process of its own, by
// decoding alone, and shown beside: the difference is transport, sampling, text, bookkeeping, saving.
#include <algorithm>
#include <ctime>
#include <format>
#include <map>
#include <thread>

#include "bench/entries.h"
#include "engine/context.h"
#include "engram/agents.h"

namespace engram::bench {

namespace {

struct Work {
    std::uint32_t tokens = 0, requests = 0, streams = 0;
};

double cpu_us_of_this_process() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Processor time of one decode step of the model alone, by the length of the context that the answers have on average.
Result<double> model_us(const Lab &lab, const std::filesystem::path &model, std::uint32_t tokens) {
    const auto decode = [&]() -> Result<OrderedJson> {
        BufferPool pool{64ULL << 20};
        ENGRAM_ASSIGN(
            const auto loaded,
            Model::load({.path = model, .context_tokens = tokens + 256, .max_running = 1, .threads = 1}, nullptr, nullptr));
        ENGRAM_ASSIGN(const auto context, Context::create(*loaded, pool));
        double start = 0;
        for (std::uint32_t i = 0; i < tokens; ++i) {
            if (i == 16) start = cpu_us_of_this_process();  // the first ones build what later ones find
            const BatchToken token{.token = 100, .position = static_cast<Position>(i), .sequence = 0, .wants_logits = true};
            ENGRAM_TRY(context->decode(std::span(&token, 1)));
        }
        return OrderedJson((cpu_us_of_this_process() - start) / (tokens - 16));
    };
    ENGRAM_ASSIGN(const OrderedJson json, lab.options().isolate(decode));
    return json.get<double>();
}

Result<double> cpu_us(Side &side) {
    ENGRAM_ASSIGN(const Process::Usage usage, side.process().usage());
    return usage.cpu_s * 1e6;
}

Result<void> measure_work(Side &side, const Work &work, std::vector<double> &by_token, std::vector<double> &by_request) {
    ENGRAM_ASSIGN(Conversation talk, side.converse("long"));
    ENGRAM_ASSIGN(double before, cpu_us(side));
    ENGRAM_ASSIGN(const Answer answer, side.turn(talk, "Tell me everything.", work.tokens));
    ENGRAM_ASSIGN(double after, cpu_us(side));
    by_token.push_back((after - before) / static_cast<double>(std::max<std::uint64_t>(1, answer.answer_tokens)));
    ENGRAM_TRY(side.forget(talk));
    ENGRAM_ASSIGN(before, cpu_us(side));
    std::vector<Conversation> talks;
    for (std::uint32_t i = 0; i < work.requests; ++i) {
        ENGRAM_ASSIGN(Conversation one, side.converse(std::format("one-{}", i)));
        ENGRAM_TRY(side.turn(one, std::format("{} asks.", i), 1));
        talks.push_back(std::move(one));
    }
    ENGRAM_ASSIGN(after, cpu_us(side));
    by_request.push_back((after - before) / work.requests);
    for (Conversation &one : talks) ENGRAM_TRY(side.forget(one));
    return {};
}

// Streams that wait behind a long answer: what each of them adds to the server's memory. Nothing where the server took fewer.
Result<void> measure_streams(Side &side, const Work &work, Row &row) {
    std::stop_source stop;
    std::vector<std::jthread> threads;
    const auto ask = [&](std::uint32_t i, std::uint32_t tokens) {
        const auto client = Client::create(side.url());
        if (!client) return;
        const OrderedJson messages = OrderedJson::array({{{"role", "user"}, {"content", std::format("Stream {} waits.", i)}}});
        // Cut off when everything has been seen.
        static_cast<void>((*client)->stream(
            "/v1/chat/completions", {{"model", "bench"}, {"messages", messages}, {"max_tokens", tokens}, {"stream", true}},
            [](const http::ServerEvent &) {}, stop.get_token()));
    };
    threads.emplace_back([&] { ask(0, side.options().context_tokens); });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    ENGRAM_ASSIGN(const Process::Usage before, side.process().usage());
    for (std::uint32_t i = 1; i <= work.streams; ++i) threads.emplace_back([&, i] { ask(i, 1); });
    std::this_thread::sleep_for(std::chrono::milliseconds(work.streams + 500));
    const auto after = side.process().usage();
    stop.request_stop();
    threads.clear();
    if (!after) return std::unexpected(after.error());
    const auto grown = static_cast<double>(after->resident_bytes) - static_cast<double>(before.resident_bytes);
    row.add("memory of one waiting stream", side.name(), "bytes", std::max(0.0, grown) / work.streams);
    return {};
}

}  // namespace

Result<void> run_http(const Lab &lab, const std::string &, Record &record) {
    record.configuration["model"] = "tiny-llama f32, random weights";
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.options().synthetic("tiny-llama", "f32"));
    const Work work{.tokens = lab.by_size<std::uint32_t>(40, 2000, 6000),
                    .requests = lab.by_size<std::uint32_t>(4, 200, 1000),
                    .streams = lab.by_size<std::uint32_t>(10, 1000, 1000)};
    SideOptions options = lab.side(model);
    options.threads = 1;
    // Longer than the long answers, so that the one which others wait behind goes on until all of them are there.
    options.context_tokens = 16384;
    options.waiting = work.streams + 8;
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record));
    std::map<std::string, std::vector<double>> by_token;
    std::map<std::string, std::vector<double>> by_request;
    std::vector<double> alone;  // each time anew: a processor isn't always as fast
    Row row{.labels = {{"what", "processor time"}}};
    Row streams{.labels = {{"what", std::format("{} streams", work.streams)}}};
    for (std::uint32_t i = 0; i < lab.repetitions(5); ++i) {
        const auto work_on = [&](Side &side) -> Result<void> {
            if (i == 0) lab.note(std::format("{}: {} tokens, {} requests", side.name(), work.tokens, work.requests));
            const std::string name(side.name());
            return measure_work(side, work, by_token[name], by_request[name]);
        };
        ENGRAM_ASSIGN(const double us, model_us(lab, model, work.tokens));
        alone.push_back(us);
        ENGRAM_TRY(pair->each(work_on));
    }
    const auto wait_on = [&](Side &side) -> Result<void> {
        lab.note(std::format("{}: {} streams that wait", side.name(), work.streams));
        return measure_streams(side, work, streams);
    };
    ENGRAM_TRY(pair->each(wait_on));
    for (const auto &side : pair->sides()) {
        const std::string name(side->name());
        row.add("for each token, model included", name, "us", by_token[name]);
        std::vector<double> without;
        for (std::size_t i = 0; i < alone.size(); ++i) without.push_back(by_token[name][i] - alone[i]);
        row.add("for each token, without the model", name, "us", without);
        row.add("for each request of one token", name, "us", by_request[name]);
    }
    row.add("for each token, model included", kFloor, "us", alone);
    record.rows.push_back(std::move(row));
    record.rows.push_back(std::move(streams));
    record.notes.emplace_back(
        "The floor is decoding alone, in a loop. Engram's time for a request includes two commits to disk "
        "and writing its KV; llama-server keeps nothing.");
    record.highlights.push_back({.what = "processor time for each token that isn't the model's",
                                 .labels = record.rows.front().labels,
                                 .figure = "for each token, without the model"});
    record.highlights.push_back(
        {.what = "memory of one waiting stream", .labels = record.rows.back().labels, .figure = "memory of one waiting stream"});
    record.promises.push_back({.what = record.highlights.front().what,
                               .labels = record.highlights.front().labels,
                               .figure = record.highlights.front().figure,
                               .limit = 100});
    record.promises.push_back({.what = record.highlights.back().what,
                               .labels = record.highlights.back().labels,
                               .figure = record.highlights.back().figure,
                               .limit = 64 * 1024});
    return {};
}

}  // namespace engram::bench
