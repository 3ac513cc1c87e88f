// What isn't the model: processor time of the server for each generated token and each request over what the model itself takes,
// and the memory of streams that wait.
//
// What the model takes is measured in a process of its own, by decoding alone, and shown beside: the difference is transport,
// sampling, text, bookkeeping. It would drown in what the model takes if that were much, so the model is small, and answers
// aren't long: looking back at two thousand tokens takes even this model a millisecond. What a request costs beyond its tokens
// (reading the prompt, committing, saving) is measured with answers of one token, and taken off.
#include <algorithm>
#include <atomic>
#include <ctime>
#include <format>
#include <map>
#include <mutex>
#include <sstream>
#include <stop_token>
#include <thread>
#include <utility>

#include "bench/entries.h"
#include "engine/context.h"
#include "engram/agents.h"

namespace engram::bench {

namespace {

constexpr double kPatienceMs = 20'000;  // until the long answer has begun, and until all streams wait
constexpr std::chrono::milliseconds kLookEvery{20};
constexpr std::chrono::milliseconds kSettling{500};  // until the last stream has all the memory that it gets

struct Work {
    std::uint32_t answer_tokens = 0, answers = 0, requests = 0, streams = 0;
};

double cpu_us_of_this_process() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Processor time of one decode step of the model alone, on average over answers as long as those that are asked for.
Result<double> model_us(const Lab &lab, const std::filesystem::path &model, const Work &work) {
    const auto decode = [&]() -> Result<OrderedJson> {
        BufferPool pool{64ULL << 20};
        ENGRAM_ASSIGN(const auto loaded,
                      Model::load({.path = model, .context_tokens = work.answer_tokens + 256, .max_running = 1, .threads = 1},
                                  nullptr, nullptr));
        ENGRAM_ASSIGN(const auto context, Context::create(*loaded, pool));
        double start = 0;
        for (std::uint32_t answer = 0; answer <= work.answers; ++answer) {
            if (answer == 1) start = cpu_us_of_this_process();  // the first one builds what later ones find
            context->clear(0);
            for (std::uint32_t i = 0; i < work.answer_tokens; ++i) {
                const BatchToken token{.token = 100, .position = static_cast<Position>(i), .sequence = 0, .wants_logits = true};
                ENGRAM_TRY(context->decode(std::span(&token, 1)));
            }
        }
        return OrderedJson((cpu_us_of_this_process() - start) / (work.answers * work.answer_tokens));
    };
    ENGRAM_ASSIGN(const OrderedJson json, lab.options().isolate(decode));
    return json.get<double>();
}

Result<double> cpu_us(Side &side) {
    ENGRAM_ASSIGN(const Process::Usage usage, side.process().usage());
    return usage.cpu_s * 1e6;
}

struct Spent {
    double us = 0;
    std::uint64_t tokens = 0;  // of the answers
};

// What so many requests take, each of a conversation of its own.
Result<Spent> spend(Side &side, std::uint32_t requests, std::uint32_t answer_tokens) {
    std::vector<Conversation> talks;
    Spent spent;
    ENGRAM_ASSIGN(const double before, cpu_us(side));
    for (std::uint32_t i = 0; i < requests; ++i) {
        ENGRAM_ASSIGN(Conversation one, side.converse(std::format("{}-{}", answer_tokens, i)));
        ENGRAM_ASSIGN(const Answer answer, side.turn(one, std::format("{} asks.", i), answer_tokens));
        spent.tokens += answer.answer_tokens;
        talks.push_back(std::move(one));
    }
    ENGRAM_ASSIGN(const double after, cpu_us(side));
    spent.us = after - before;
    for (Conversation &one : talks) ENGRAM_TRY(side.forget(one));
    return spent;
}

struct Times {
    std::vector<double> token;        // model included
    std::vector<double> token_alone;  // without it, and without what a request costs
    std::vector<double> request;      // of one token
};

Result<void> measure_work(Side &side, const Work &work, double model_us, Times &times) {
    ENGRAM_ASSIGN(const Spent answers, spend(side, work.answers, work.answer_tokens));
    ENGRAM_ASSIGN(const Spent requests, spend(side, work.requests, 1));
    const double request = requests.us / work.requests;
    times.request.push_back(request);
    times.token.push_back(answers.us / static_cast<double>(std::max<std::uint64_t>(1, answers.tokens)));
    const std::uint64_t more = answers.tokens > work.answers ? answers.tokens - work.answers : 1;  // than one each
    times.token_alone.push_back((answers.us - work.answers * request) / static_cast<double>(more) - model_us);
    return {};
}

Result<void> measure_times(const Lab &lab, const std::filesystem::path &model, Pair &pair, const Work &work, Record &record) {
    std::map<std::string, Times> times;
    std::vector<double> alone;  // each time anew: a processor isn't always as fast
    Row row{.labels = {{"what", "processor time"}}};
    for (std::uint32_t i = 0; i < lab.repetitions(5); ++i) {
        ENGRAM_ASSIGN(const double us, model_us(lab, model, work));
        alone.push_back(us);
        const auto work_on = [&](Side &side) -> Result<void> {
            if (i == 0) {
                lab.note(std::format("{}: {} answers of {} tokens, {} of one", side.name(), work.answers, work.answer_tokens,
                                     work.requests));
            }
            return measure_work(side, work, us, times[std::string(side.name())]);
        };
        ENGRAM_TRY(pair.each(work_on));
    }
    for (const auto &side : pair.sides()) {
        const std::string name(side->name());
        row.add("for each token, model included", name, "us", times[name].token);
        row.add("for each token, without the model", name, "us", times[name].token_alone);
        row.add("for each request of one token", name, "us", times[name].request);
    }
    row.add("for each token, model included", kFloor, "us", alone);
    record.rows.push_back(std::move(row));
    return {};
}

// What became of requests: how many were sent, and how many of those have heard something or were refused.
struct Fate {
    std::atomic<std::uint32_t> sent = 0, over = 0;
    std::mutex mutex;
    std::string failure;  // the first one

    void failed(const std::string &why) {
        const std::scoped_lock lock(mutex);
        if (failure.empty()) failure = why;
    }
};

// A stream that goes on until it is told to stop.
void ask(const Side &side, std::uint32_t number, std::uint32_t tokens, Fate &fate, const std::stop_token &stop) {
    const auto client = Client::create(side.url());
    if (!client) return fate.failed(client.error().message);
    const OrderedJson messages = OrderedJson::array({{{"role", "user"}, {"content", std::format("Stream {} waits.", number)}}});
    bool heard = false;
    const auto hear = [&](const http::ServerEvent &) {
        if (!std::exchange(heard, true)) fate.over.fetch_add(1);
    };
    fate.sent.fetch_add(1);
    const auto done =
        (*client)->stream("/v1/chat/completions",
                          {{"model", "bench"}, {"messages", messages}, {"max_tokens", tokens}, {"stream", true}}, hear, stop);
    if (!heard) fate.over.fetch_add(1);
    if (!done && !stop.stop_requested()) fate.failed(done.error().message);
}

// How many wait behind the long answer: by what our server tells; of the peer those that have heard nothing yet.
Result<std::uint32_t> count_waiting(Side &side, const Fate &fate) {
    if (side.name() != kEngram) {
        const std::uint32_t over = fate.over.load();  // first: it never is ahead of what was sent
        return fate.sent.load() - over;
    }
    constexpr std::string_view kName = "engram_requests_in_flight ";
    ENGRAM_ASSIGN(const std::string metrics, side.client().text("/metrics"));
    std::istringstream lines(metrics);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(kName)) continue;
        const double all = std::stod(line.substr(kName.size()));
        return static_cast<std::uint32_t>(std::max(0.0, all - 1));
    }
    return fail(ErrorCode::internal, "the metrics don't say how many requests there are");
}

struct Waited {
    std::uint32_t streams = 0;
    double bytes_each = 0;
    std::string failure;
};

// Streams that wait behind a long answer: how many really do, and what each of them adds to the server's memory. In a new
// process, since what earlier streams needed isn't given back.
Result<Waited> wait_once(Side &side, const Work &work) {
    side.stop();
    ENGRAM_TRY(side.start());
    Fate running;
    Fate waiting;
    std::stop_source stop;
    std::vector<std::jthread> threads;
    const auto measure = [&]() -> Result<Waited> {
        threads.emplace_back([&] { ask(side, 0, side.options().context_tokens, running, stop.get_token()); });
        const auto begun = SteadyClock::now();
        while (running.over.load() == 0 && ms_since(begun) < kPatienceMs) std::this_thread::sleep_for(kLookEvery);
        ENGRAM_ASSIGN(const Process::Usage before, side.process().usage());
        for (std::uint32_t i = 1; i <= work.streams; ++i)
            threads.emplace_back([&, i] { ask(side, i, 1, waiting, stop.get_token()); });
        Waited waited;
        const auto sent = SteadyClock::now();
        while (waited.streams < work.streams && ms_since(sent) < kPatienceMs) {
            std::this_thread::sleep_for(kLookEvery);
            ENGRAM_ASSIGN(waited.streams, count_waiting(side, waiting));
        }
        std::this_thread::sleep_for(kSettling);
        ENGRAM_ASSIGN(const Process::Usage after, side.process().usage());
        ENGRAM_ASSIGN(waited.streams, count_waiting(side, waiting));  // that still do
        const auto grown = static_cast<double>(after.resident_bytes) - static_cast<double>(before.resident_bytes);
        waited.bytes_each = std::max(0.0, grown) / std::max(1U, waited.streams);
        return waited;
    };
    Result<Waited> waited = measure();
    stop.request_stop();
    threads.clear();
    if (waited) waited->failure = !running.failure.empty() ? running.failure : waiting.failure;
    return waited;
}

Result<void> measure_streams(const Lab &lab, Pair &pair, const Work &work, Record &record) {
    Row row{.labels = {{"what", std::format("{} streams", work.streams)}}};
    std::map<std::string, std::vector<double>> bytes;
    std::string told;
    bool all = true;
    for (std::uint32_t i = 0; i < lab.repetitions(3); ++i) {
        const auto wait_on = [&](Side &side) -> Result<void> {
            if (i == 0) lab.note(std::format("{}: {} streams that wait", side.name(), work.streams));
            ENGRAM_ASSIGN(const Waited waited, wait_once(side, work));
            if (waited.streams > 0) bytes[std::string(side.name())].push_back(waited.bytes_each);
            all = all && waited.streams == work.streams;
            told += std::format("{}{}: {}{}", told.empty() ? "" : ", ", side.name(), waited.streams,
                                waited.failure.empty() ? "" : " (" + waited.failure + ")");
            return {};
        };
        ENGRAM_TRY(pair.each(wait_on));
    }
    for (const auto &side : pair.sides())
        row.add("memory of one waiting stream", side->name(), "bytes", bytes[std::string(side->name())]);
    record.check(std::format("{} streams waited", work.streams), all, told);
    record.rows.push_back(std::move(row));
    return {};
}

}  // namespace

Result<void> run_http(const Lab &lab, const std::string &, Record &record) {
    record.configuration["model"] = "tiny-llama f32, random weights";
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.options().synthetic("tiny-llama", "f32"));
    const Work work{.answer_tokens = lab.by_size<std::uint32_t>(12, 200, 200),
                    .answers = lab.by_size<std::uint32_t>(2, 20, 60),
                    .requests = lab.by_size<std::uint32_t>(4, 200, 1000),
                    .streams = lab.by_size<std::uint32_t>(10, 1000, 1000)};
    SideOptions options = lab.side(model);
    options.huge_pages = false;
    options.threads = 1;
    // So that the long answer which others wait behind goes on until all of them are there.
    options.context_tokens = 16384;
    options.waiting = work.streams + 8;
    ENGRAM_ASSIGN(const std::unique_ptr<Pair> pair, Pair::start(lab, options, record));
    const auto times = [&](Record &part) { return measure_times(lab, model, *pair, work, part); };
    ENGRAM_TRY(lab.part(record, "processor time", times));
    const auto streams = [&](Record &part) { return measure_streams(lab, *pair, work, part); };
    ENGRAM_TRY(lab.part(record, "waiting streams", streams));
    for (const std::string_view figure : {"for each token, without the model", "memory of one waiting stream"})
        record.plots.push_back({.title = std::format("What isn't the model: {}", figure),
                                .figure = std::string(figure),
                                .over = "what",
                                .series = "",
                                .logarithmic = false});
    record.notes.emplace_back(
        "The floor is decoding alone, in a loop. Engram's time for a request includes two commits to disk "
        "and writing its KV; llama-server keeps nothing. Without the model is also without what a request of one token takes.");
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
