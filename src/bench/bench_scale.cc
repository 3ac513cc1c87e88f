// Many agents and many blocks: how long the server takes to be ready over what the model takes, how large registry and memory
// are, and what a look-up of a block takes.
#include <algorithm>
#include <array>
#include <format>
#include <fstream>

#include "agents/paths.h"
#include "bench/entries.h"
#include "engram/agents.h"
#include "store/disk_index.h"

namespace engram::bench {

namespace {

Result<OrderedJson> make_agents(const Lab &lab, const std::filesystem::path &model, const std::filesystem::path &home,
                                std::uint32_t agents) {
    ENGRAM_ASSIGN(const auto manager,
                  AgentManager::open({.home = home,
                                      .model = {.path = model, .context_tokens = 2048, .max_running = 1, .threads = 1},
                                      .storage = {.preload = false}}));
    const auto start = SteadyClock::now();
    for (std::uint32_t i = 0; i < agents; ++i) {
        const std::string id = std::format("agent-{}", i);
        ENGRAM_TRY(manager->create({.id = id, .system_prompt = std::format("You are number {}.", i)}));
        ENGRAM_TRY(manager->generate(id, {.prompt = std::format("{} asks: what is new?", i), .max_tokens = 2}));
        if (i % 1000 == 999) lab.note(std::format("{} agents made", i + 1));
    }
    ENGRAM_TRY(manager->save_everything());
    return OrderedJson{{"ms_each", ms_since(start) / agents}};
}

Result<void> measure_agents(const Lab &lab, const std::filesystem::path &model, std::uint32_t agents, Record &record) {
    SideOptions options = lab.side(model);
    options.folder = lab.options().folder / std::format("agents-{}", agents);
    const std::unique_ptr<Side> side = engram_side(options);
    std::error_code error;
    std::filesystem::create_directories(side->memory_folder(), error);
    Row row{.labels = {{"agents", agents}}};
    if (agents > 0) {
        lab.note(std::format("making {} agents", agents));
        const auto make = [&] { return make_agents(lab, model, side->memory_folder(), agents); };
        ENGRAM_ASSIGN(const OrderedJson made, lab.options().isolate(make));
        row.add("making one, with its first turn", kEngram, "ms", made["ms_each"].get<double>());
    }
    std::vector<double> ready;
    std::vector<double> found;
    for (std::uint32_t i = 0; i < lab.repetitions(5); ++i) {
        const auto start = SteadyClock::now();
        ENGRAM_TRY(side->start());
        ready.push_back(ms_since(start));
        if (agents > 0) {
            const auto asked = SteadyClock::now();
            ENGRAM_TRY(side->client().get(std::format("/v1/agents/agent-{}", agents / 2)));
            found.push_back(ms_since(asked));
        }
        ENGRAM_ASSIGN(const Process::Usage usage, side->process().usage());
        if (i == 0) row.add("resident memory", kEngram, "bytes", static_cast<double>(usage.resident_bytes));
        side->stop();
    }
    row.add("ready after", kEngram, "ms", ready);
    row.add("an agent is told about after", kEngram, "ms", found);
    row.add("registry", kEngram, "bytes",
            static_cast<double>(std::filesystem::file_size(registry_path(side->memory_folder()), error)));
    row.add("all files", kEngram, "bytes", static_cast<double>(side->disk_bytes()));
    record.rows.push_back(std::move(row));
    std::filesystem::remove_all(options.folder, error);
    return {};
}

PartKey key_of(std::uint64_t number) {
    const std::array<Token, 2> tokens{static_cast<Token>(number & 0xFFFFFF), static_cast<Token>(number >> 24U)};
    return {.id = chain_next(BlockId{}, tokens), .kind = PartKind::attention};
}

std::uint64_t resident_bytes() {
    std::ifstream memory("/proc/self/statm");
    std::uint64_t pages = 0;
    std::uint64_t resident = 0;
    memory >> pages >> resident;
    return resident * 4096;
}

// The store's index with so many blocks of agents of 64 blocks each.
OrderedJson measure_index(std::uint64_t blocks) {
    constexpr std::uint64_t kEach = 64;
    constexpr std::uint64_t kLookUps = 20'000;
    const std::uint64_t before = resident_bytes();
    DiskIndex index;
    for (std::uint64_t i = 0; i < blocks; i += kEach) {
        Claim claim{.claimant = std::format("bench/agent-{}", i), .tenant = "bench"};
        for (std::uint64_t j = i; j < std::min(blocks, i + kEach); ++j) {
            index.add(key_of(j), {.bytes = 1U << 20U, .last_used_ms = static_cast<std::int64_t>(j), .tokens = 256}, "bench");
            claim.parts.push_back(key_of(j));
        }
        index.claim(claim);
    }
    const std::uint64_t after = resident_bytes();
    std::vector<PartKey> asked;  // every other one isn't there
    for (std::uint64_t i = 0; i < kLookUps; ++i) asked.push_back(key_of(i * 7919 % (2 * blocks)));
    std::uint64_t found = 0;
    const auto start = SteadyClock::now();
    for (const PartKey &key : asked) found += index.find(key) != nullptr ? 1 : 0;
    const double us = ms_since(start) * 1000 / kLookUps;
    const auto choosing = SteadyClock::now();
    const std::size_t victims = index
                                    .victims({.bytes = 8U << 20U, .incoming = 8U << 20U, .budget = index.bytes()},
                                             {.claimant = "bench/new", .tenant = "bench"}, 0)
                                    .size();
    return {{"us", us}, {"found", found}, {"bytes", after - before}, {"victims_ms", ms_since(choosing)}, {"victims", victims}};
}

Result<void> measure_blocks(const Lab &lab, std::uint64_t blocks, Record &record) {
    lab.note(std::format("an index of {} blocks", blocks));
    const auto measure = [&]() -> Result<OrderedJson> { return measure_index(blocks); };
    ENGRAM_ASSIGN(const OrderedJson measured, lab.options().isolate(measure));
    Row row{.labels = {{"blocks", blocks}}};
    row.add("one look-up", kEngram, "us", measured["us"].get<double>());
    row.add("choosing what makes room for 8 MiB", kEngram, "ms", measured["victims_ms"].get<double>());
    row.add("memory of the index", kEngram, "bytes", measured["bytes"].get<double>());
    record.check(std::format("the index of {} blocks finds what is there, and nothing else", blocks),
                 measured["found"].get<std::uint64_t>() > 0 && measured["victims"].get<std::uint64_t>() > 0,
                 std::format("{} look-ups found a block; {} blocks would go", measured["found"].get<std::uint64_t>(),
                             measured["victims"].get<std::uint64_t>()));
    record.rows.push_back(std::move(row));
    return {};
}

}  // namespace

Result<void> run_scale(const Lab &lab, const std::string &, Record &record) {
    record.configuration["model"] = "tiny-llama f32, random weights";
    ENGRAM_ASSIGN(const std::filesystem::path model, lab.options().synthetic("tiny-llama", "f32"));
    const auto agents = lab.by_size<std::vector<std::uint32_t>>({0, 5}, {0, 10, 1000, 10000}, {0, 10, 1000, 10000});
    for (const std::uint32_t count : agents) {
        const auto measure = [&](Record &part) { return measure_agents(lab, model, count, part); };
        ENGRAM_TRY(lab.part(record, std::format("{} agents", count), measure));
    }
    const auto blocks =
        lab.by_size<std::vector<std::uint64_t>>({1000}, {1000, 10000, 100000, 1000000}, {1000, 10000, 100000, 1000000});
    for (const std::uint64_t count : blocks) {
        const auto measure = [&](Record &part) { return measure_blocks(lab, count, part); };
        ENGRAM_TRY(lab.part(record, std::format("{} blocks", count), measure));
    }
    record.notes.emplace_back(
        "The row of 0 agents is what loading this tiny model and starting takes; llama-server has no agents.");
    record.plots.push_back({.title = "Server ready, by number of agents",
                            .figure = "ready after",
                            .over = "agents",
                            .series = "",
                            .logarithmic = false});
    record.plots.push_back({.title = "One look-up, by number of blocks",
                            .figure = "one look-up",
                            .over = "blocks",
                            .series = "",
                            .logarithmic = true});
    record.highlights.push_back({.what = std::format("server ready with {} agents", agents.back()),
                                 .labels = {{"agents", agents.back()}},
                                 .figure = "ready after"});
    record.promises.push_back({.what = std::format("server ready with {} agents, loading the tiny model included", agents.back()),
                               .labels = {{"agents", agents.back()}},
                               .figure = "ready after",
                               .limit = 300});
    record.highlights.push_back({.what = std::format("one look-up among {} blocks", blocks.back()),
                                 .labels = {{"blocks", blocks.back()}},
                                 .figure = "one look-up"});
    return {};
}

}  // namespace engram::bench
