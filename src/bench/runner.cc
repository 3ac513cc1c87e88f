#include <array>
#include <cstdlib>
#include <format>

#include "bench/entries.h"
#include "bench/machine.h"
#include "engine/system_info.h"

namespace engram::bench {

namespace {

constexpr std::array<Benchmark, 11> kBenchmarks{{
    {"resume", "First token by where the memory is",
     "time to the first token of a long conversation: read from nothing, in the context, in host memory, on disk, after a "
     "restart",
     resume_variants, run_resume},
    {"library", "Resuming in the library alone",
     "a resume from disk against a cold start and the floor, without a server; logits are compared bit for bit", library_variants,
     run_library},
    {"save", "Saving a turn", "milliseconds and bytes until a turn of 100 tokens is on disk, by length of the context",
     save_variants, run_save},
    {"fanout", "Sixteen agents with one beginning",
     "agents that share a long prefix: time until all have answered, bytes, and what a fork takes", one_variant, run_fanout},
    {"throughput", "Agents that decode together", "tokens per second of 1 to 16 agents, together and one after another",
     one_variant, run_throughput},
    {"sessions", "Agents over a day", "wall time of agents' sessions with a restart between them", one_variant, run_sessions},
    {"interference", "Answers beside other work", "time between tokens of running answers while others prefill, restore and save",
     one_variant, run_interference},
    {"scale", "Many agents, many blocks", "start-up, look-up, size and memory by number of agents and blocks", one_variant,
     run_scale},
    {"http", "What isn't the model", "processor time per token and request, and memory of idle streams", one_variant, run_http},
    {"lossy", "Types of stored KV", "bytes, restore time, agreement and recall for each type of storage", one_variant, run_lossy},
    {"replay", "A coding agent's day", "a trace of the shape of coding agents' sessions, with a restart in the middle",
     one_variant, run_replay},
}};

double load_average() {
    double load = 0;
    return ::getloadavg(&load, 1) == 1 ? load : -1;
}

// What it was asked to do: the same for the same command.
OrderedJson asked_json(const Lab &lab, const Origin &origin) {
    OrderedJson json{{"version", origin.version}, {"commit", origin.commit}, {"threads", lab.options().threads}};
    json["peer"] = !lab.options().peer.empty();
    if (!lab.options().model.empty()) json["given_model"] = lab.options().model.filename().string();
    if (!lab.options().tokens.empty()) json["tokens"] = lab.options().tokens;
    if (lab.options().repetitions > 0) json["repetitions"] = lab.options().repetitions;
    return json;
}

}  // namespace

std::span<const Benchmark> benchmarks() { return kBenchmarks; }

const Benchmark *find_benchmark(std::string_view name) {
    for (const Benchmark &benchmark : kBenchmarks) {
        if (benchmark.name == name) return &benchmark;
    }
    return nullptr;
}

std::vector<std::string> one_variant(const Lab &) { return {""}; }

Record expected_record(const Benchmark &benchmark, const std::string &variant, const Lab &lab, const Origin &origin) {
    Record record{.benchmark = std::string(benchmark.name),
                  .variant = variant,
                  .title = std::string(benchmark.title),
                  .size = std::string(size_name(lab.size())),
                  .started = utc_now()};
    record.machine = machine_json(lab.options().home);
    record.configuration["asked"] = asked_json(lab, origin);
    return record;
}

Result<Record> run_benchmark(const Benchmark &benchmark, const std::string &variant, const Lab &lab, const Origin &origin) {
    Record record = expected_record(benchmark, variant, lab, origin);
    const double load = load_average();
    const auto start = SteadyClock::now();
    if (Result<void> ran = benchmark.run(lab, variant, record); !ran)
        return std::unexpected(std::move(ran.error()).within(std::format("benchmark {}", benchmark.name)));
    record.seconds += ms_since(start) / 1000;
    const SystemInfo system = system_info();
    record.configuration["libllama"] = system.llama_version;
    record.configuration["ggml"] = system.ggml_version;
    record.configuration["load_at_start"] = load;
    return record;
}

}  // namespace engram::bench
