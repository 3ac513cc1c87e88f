// What storing KV in fewer bits costs and saves: bytes on disk, how long bringing it back takes, how often the next token is the
// same as with exact storage, how far the distributions are apart (Kullback-Leibler divergence), and what the model still
// recalls.
//
// With the model that comes with the program, since random weights recall nothing. Each agent's next logits are taken before it
// leaves the context and after it came back from disk.
#include <algorithm>
#include <cmath>
#include <format>

#include "bench/entries.h"
#include "engram/agents.h"
#include "eval/eval.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kContext = 4096;

struct Comparison {
    double same_top = 0, divergence = 0;
};

// exact and restored: logits of the same place.
Comparison compare(const std::vector<float> &exact, const std::vector<float> &restored) {
    const auto log_probabilities = [](const std::vector<float> &logits) {
        const float most = std::ranges::max(logits);
        double sum = 0;
        for (const float logit : logits) sum += std::exp(static_cast<double>(logit - most));
        std::vector<double> list;
        for (const float logit : logits) list.push_back(static_cast<double>(logit - most) - std::log(sum));
        return list;
    };
    const std::vector<double> p = log_probabilities(exact);
    const std::vector<double> q = log_probabilities(restored);
    Comparison comparison;
    for (std::size_t i = 0; i < p.size(); ++i) {
        if (std::isfinite(p[i]) && std::isfinite(q[i])) comparison.divergence += std::exp(p[i]) * (p[i] - q[i]);
    }
    comparison.same_top = std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin() ? 1 : 0;
    return comparison;
}

// Facts in the model's own patterns, and reports in between.
std::string story(std::uint32_t number, std::uint32_t reports) {
    std::string text = std::format("The port of server Kestrel is {}. ", 8000 + number * 37 % 1000);
    for (std::uint32_t i = 0; i < reports; ++i)
        text += std::format("Report {}: all {} systems are running, load {} percent. ", i, number + 3, (i * 13 + number) % 100);
    return text;
}

struct Work {
    std::uint32_t agents = 0, reports = 0;
    std::uint64_t questions = 0;  // of each task; 0: all
    std::string tasks = {};       // a regular expression; empty: all
};

ManagerOptions manager_of(const Lab &lab, const std::filesystem::path &model, const std::string &type, std::string_view folder) {
    ManagerOptions options{.home = lab.options().folder / std::format("{}-{}", folder, type.empty() ? "exact" : type),
                           .model = {.path = model, .context_tokens = kContext, .threads = lab.options().threads},
                           .storage = {}};
    options.storage.stored_type = type;
    options.storage.weigh_restores = false;
    options.storage.preload = false;
    return options;
}

Result<OrderedJson> measure_agents(const Lab &lab, const std::filesystem::path &model, const std::string &type,
                                   const Work &work) {
    ENGRAM_ASSIGN(const auto manager, AgentManager::open(manager_of(lab, model, type, "agents")));
    OrderedJson json{{"bytes", OrderedJson::array()},
                     {"tokens", OrderedJson::array()},
                     {"load_ms", OrderedJson::array()},
                     {"same", OrderedJson::array()},
                     {"kl", OrderedJson::array()}};
    for (std::uint32_t i = 0; i < work.agents; ++i) {
        const std::string id = std::format("agent-{}", i);
        ENGRAM_TRY(manager->create({.id = id, .system_prompt = "You are Ada, the technical agent."}));
        const std::string asked = story(i, work.reports * (i + 1) / work.agents) + "What is the port of server Kestrel?";
        ENGRAM_TRY(manager->generate(id, {.prompt = asked, .max_tokens = 4}));
        ENGRAM_ASSIGN(const std::vector<float> exact, manager->next_logits(id));
        ENGRAM_TRY(manager->save(id));
        ENGRAM_TRY(manager->evict(id, AgentManager::EvictTo::disk));
        ENGRAM_ASSIGN(const AgentInfo info, manager->get(id));
        const auto start = SteadyClock::now();
        ENGRAM_TRY(manager->load(id));
        json["load_ms"].push_back(ms_since(start));
        ENGRAM_ASSIGN(const std::vector<float> restored, manager->next_logits(id));
        const Comparison comparison = compare(exact, restored);
        json["bytes"].push_back(info.disk_bytes);
        json["tokens"].push_back(info.n_tokens);
        json["same"].push_back(comparison.same_top);
        json["kl"].push_back(comparison.divergence);
    }
    return json;
}

Result<OrderedJson> measure_recall(const Lab &lab, const std::filesystem::path &model, const std::string &type,
                                   const Work &work) {
    ENGRAM_ASSIGN(const eval::Suite suite, eval::read_suite(lab.options().suite));
    ENGRAM_ASSIGN(const auto subject,
                  eval::local_subject({.manager = manager_of(lab, model, type, "recall"), .cold = true}, suite));
    ENGRAM_ASSIGN(const eval::Report report, eval::run(suite, *subject, {.task = work.tasks, .limit = work.questions}));
    OrderedJson json = OrderedJson::object();
    for (const eval::TaskRow &task : report.tasks) json[task.task] = task.score;
    return json;
}

double mean(const std::vector<double> &values) {
    double sum = 0;
    for (const double value : values) sum += value;
    return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

}  // namespace

Result<void> run_lossy(const Lab &lab, const std::string &, Record &record) {
    const bool given = !lab.options().model.empty();
    const std::filesystem::path model = given ? lab.options().model : lab.options().embedded;
    if (model.empty()) return fail(ErrorCode::not_found, "this installation has no model of its own: name one with --model");
    record.configuration["model"] = model.filename().string();
    const auto work = lab.by_size<Work>({3, 8, 1, "role"}, {24, 60, 6}, {64, 60, 0});
    const auto &isolate = lab.options().isolate;
    for (const std::string &type : std::vector<std::string>{"", "f16", "q8_0", "q4_0"}) {
        const std::string name = type.empty() ? "exact" : type;
        lab.note(std::format("stored as {}", name));
        ENGRAM_ASSIGN(const OrderedJson agents, isolate([&] { return measure_agents(lab, model, type, work); }));
        Row row{.labels = {{"stored as", name}}};
        const auto bytes = agents["bytes"].get<std::vector<double>>();
        const auto tokens = agents["tokens"].get<std::vector<double>>();
        const auto divergence = agents["kl"].get<std::vector<double>>();
        std::vector<double> each;
        for (std::size_t i = 0; i < bytes.size(); ++i) each.push_back(bytes[i] / tokens[i]);
        row.add("on disk for each token", kEngram, "bytes", each);
        row.add("brought back within", kEngram, "ms", agents["load_ms"].get<std::vector<double>>());
        row.add("same next token", kEngram, "share", mean(agents["same"].get<std::vector<double>>()));
        row.add("mean divergence (nats)", kEngram, "", mean(divergence));
        row.add("largest divergence (nats)", kEngram, "", std::ranges::max(divergence));
        if (!given && !lab.options().suite.empty()) {
            ENGRAM_ASSIGN(const OrderedJson recall, isolate([&] { return measure_recall(lab, model, type, work); }));
            for (const auto &[task, score] : recall.items()) row.add("task " + task, kEngram, "share", score.get<double>());
        }
        if (type.empty()) {
            record.check("exact storage brings back the same logits", std::ranges::max(divergence) == 0,
                         std::format("largest divergence {:.3g} nats", std::ranges::max(divergence)));
        }
        record.rows.push_back(std::move(row));
    }
    for (const std::string_view type : {"q8_0", "q4_0"}) {
        const auto row = std::ranges::find(record.rows, OrderedJson{{"stored as", type}}, &Row::labels);
        if (row == record.rows.end()) continue;
        for (const Figure &figure : row->figures) {
            if (figure.name != "mean divergence (nats)" && !figure.name.starts_with("task recall")) continue;
            record.highlights.push_back(
                {.what = std::format("{}, KV stored as {}", figure.name, type), .labels = row->labels, .figure = figure.name});
        }
    }
    record.plots.push_back({.title = "Bytes on disk for each token",
                            .figure = "on disk for each token",
                            .over = "stored as",
                            .series = "",
                            .logarithmic = false});
    return {};
}

}  // namespace engram::bench
