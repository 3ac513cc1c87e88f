// What storing KV in fewer bits costs and saves: bytes on disk, how long bringing it back takes, how often the next token is the
// same as with exact storage, how far the distributions are apart (divergence.h), and what the model still recalls.
//
// With the model that comes with the program, since random weights recall nothing. Agents have memories of many lengths. Before
// one leaves the context, and after it came back from disk, the same text is read on from there, and the logits after each of its
// tokens are compared: a message that quotes what the memory has and says something new, and the right answer to its question.
// One place would say nothing, as a model may be certain there whatever happened to its memory.
#include <algorithm>
#include <array>
#include <format>

#include "bench/divergence.h"
#include "bench/entries.h"
#include "engram/agents.h"
#include "eval/eval.h"

namespace engram::bench {

namespace {

constexpr std::uint32_t kContext = 4096;

constexpr std::uint32_t kAnswerTokens = 16;
constexpr std::size_t kGroups = 3;  // of agents with memories of like length

constexpr std::array<std::string_view, 6> kServers{"Kestrel", "Merlin", "Heron", "Osprey", "Falcon", "Curlew"};

std::string fact(std::uint32_t number, std::size_t server) {
    return std::format("The port of server {} is {}. ", kServers[server], 8000 + (number * 37 + server * 211) % 1000);
}

std::string report(std::uint32_t number, std::uint32_t i) {
    return std::format("Report {}: all {} systems are running, load {} percent. ", i, number + 3, (i * 13 + number) % 100);
}

// Facts in the model's own patterns, from the first word to nearly the last, and reports in between.
std::string story(std::uint32_t number, std::uint32_t reports) {
    std::string text;
    std::size_t told = 0;
    for (std::uint32_t i = 0; i < reports; ++i) {
        for (; told * reports <= i * kServers.size() && told < kServers.size(); ++told) text += fact(number, told);
        text += report(number, i);
    }
    return text;
}

// What is said next: something of all of the story again, which is to be found in the memory, and something new.
std::string following(std::uint32_t number, std::uint32_t reports, std::uint32_t quotes) {
    std::string text = "This is what you were told: ";
    for (std::uint32_t i = 0; i < quotes; ++i) {
        text += fact(number, i * kServers.size() / quotes);
        text += report(number, i * reports / quotes);
    }
    return text + report(number, reports) + "What is the port of server Osprey?";
}

struct Work {
    std::uint32_t agents = 0, reports = 0, quotes = 0;
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

// The tokens that the agent would read next, and what it should answer.
Result<std::vector<std::int32_t>> tokens_that_follow(const AgentManager &manager, const std::string &id, std::uint32_t number,
                                                     std::uint32_t reports, std::uint32_t quotes) {
    const ChatRequest request{.agent = id, .messages = {{.role = "user", .content = following(number, reports, quotes)}}};
    ENGRAM_ASSIGN(const AgentManager::ChatPrompt prompt, manager.render(request));
    ENGRAM_ASSIGN(const std::vector<std::int32_t> known, manager.tokens(id));
    const auto [in_prompt, in_known] = std::ranges::mismatch(prompt.tokens, known);
    if (in_known != known.end()) return fail(ErrorCode::engine, "the prompt doesn't go on from the agent's memory");
    std::vector<std::int32_t> tokens(in_prompt, prompt.tokens.end());
    const std::vector<std::int32_t> answer = manager.tokenise(fact(number, 3));
    tokens.insert(tokens.end(), answer.begin(), answer.end());
    return tokens;
}

Result<OrderedJson> measure_agents(const Lab &lab, const std::filesystem::path &model, const std::string &type,
                                   const Work &work) {
    ENGRAM_ASSIGN(const auto manager, AgentManager::open(manager_of(lab, model, type, "agents")));
    OrderedJson json{{"bytes", OrderedJson::array()},
                     {"tokens", OrderedJson::array()},
                     {"load_ms", OrderedJson::array()},
                     {"places", OrderedJson::array()}};
    for (std::uint32_t i = 0; i < work.agents; ++i) {
        const std::string id = std::format("agent-{}", i);
        const std::uint32_t reports = work.reports * (i + 1) / work.agents;
        ENGRAM_TRY(manager->create({.id = id, .system_prompt = "You are Ada, the technical agent."}));
        const std::string asked = story(i, reports) + "What is the port of server Kestrel?";
        ENGRAM_TRY(manager->generate(id, {.prompt = asked, .max_tokens = kAnswerTokens}));
        ENGRAM_ASSIGN(const std::vector<std::int32_t> next, tokens_that_follow(*manager, id, i, reports, work.quotes));
        ENGRAM_ASSIGN(const auto exact, manager->logits_along(id, next));
        ENGRAM_TRY(manager->evict(id, AgentManager::EvictTo::disk));
        ENGRAM_ASSIGN(const AgentInfo info, manager->get(id));
        const auto start = SteadyClock::now();
        ENGRAM_TRY(manager->load(id));
        json["load_ms"].push_back(ms_since(start));
        ENGRAM_ASSIGN(const auto restored, manager->logits_along(id, next));
        Divergences divergences;
        for (std::size_t place = 0; place < exact.size(); ++place) divergences.add(exact[place], restored[place]);
        json["bytes"].push_back(info.disk_bytes);
        json["tokens"].push_back(info.n_tokens);
        json["places"].push_back(divergences.json());
        ENGRAM_TRY(
            manager->evict(id, AgentManager::EvictTo::disk));  // so that the next one's cells lie where they would lie alone
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

constexpr std::string_view kMean = "mean divergence (nats)";
constexpr std::string_view kSameToken = "same next token";

void add_divergences(Row &row, const Divergences &divergences) {
    row.add(kSameToken, kEngram, "share", divergences.same_top());
    row.add(kMean, kEngram, "", divergences.mean());
    row.add("divergence of 99 of 100 places within (nats)", kEngram, "", divergences.within(0.99));
    row.add("largest divergence (nats)", kEngram, "", divergences.within(1));
    row.add("places compared", kEngram, "", static_cast<double>(divergences.places()));
    row.add("of these where the model isn't sure", kEngram, "", static_cast<double>(divergences.unsure()));
}

// The same by length of the memory that was brought back.
void add_by_length(const std::string &name, const std::vector<double> &tokens, const std::vector<Divergences> &agents,
                   Record &record) {
    const std::size_t groups = std::min(kGroups, agents.size());
    for (std::size_t group = 0; group < groups; ++group) {
        const std::size_t first = group * agents.size() / groups;
        const std::size_t end = (group + 1) * agents.size() / groups;
        Divergences of;
        for (std::size_t i = first; i < end; ++i) of.add(agents[i]);
        Row row{.labels = {{"stored as", name}, {"restored tokens", std::format("{} to {}", tokens[first], tokens[end - 1])}}};
        add_divergences(row, of);
        record.rows.push_back(std::move(row));
    }
}

Result<void> measure_type(const Lab &lab, const std::filesystem::path &model, const std::string &type, const std::string &name,
                          const Work &work, Record &record) {
    const auto &isolate = lab.options().isolate;
    lab.note(std::format("stored as {}", name));
    ENGRAM_ASSIGN(const OrderedJson json, isolate([&] { return measure_agents(lab, model, type, work); }));
    Row row{.labels = {{"stored as", name}}};
    const auto bytes = json["bytes"].get<std::vector<double>>();
    const auto tokens = json["tokens"].get<std::vector<double>>();
    std::vector<double> each;
    for (std::size_t i = 0; i < bytes.size(); ++i) each.push_back(bytes[i] / tokens[i]);
    std::vector<Divergences> agents;
    Divergences all;
    for (const OrderedJson &places : json["places"]) all.add(agents.emplace_back(Divergences::of(places)));
    row.add("on disk for each token", kEngram, "bytes", each);
    row.add("brought back within", kEngram, "ms", json["load_ms"].get<std::vector<double>>());
    add_divergences(row, all);
    if (lab.options().model.empty() && !lab.options().suite.empty()) {
        ENGRAM_ASSIGN(const OrderedJson recall, isolate([&] { return measure_recall(lab, model, type, work); }));
        for (const auto &[task, score] : recall.items()) row.add("task " + task, kEngram, "share", score.get<double>());
    }
    if (type.empty()) {
        record.check("exact storage brings back the same logits", all.within(1) == 0,
                     std::format("largest divergence {:.3g} nats at {} places", all.within(1), all.places()));
    }
    record.rows.push_back(std::move(row));
    add_by_length(name, tokens, agents, record);
    return {};
}

}  // namespace

Result<void> run_lossy(const Lab &lab, const std::string &, Record &record) {
    const bool given = !lab.options().model.empty();
    const std::filesystem::path model = given ? lab.options().model : lab.options().embedded;
    if (model.empty()) return fail(ErrorCode::not_found, "this installation has no model of its own: name one with --model");
    record.configuration["model"] = model.filename().string();
    const auto work = lab.by_size<Work>({3, 8, 1, 1, "role"}, {24, 60, 2, 6}, {64, 60, 4, 0});
    // The context holds f16: stored as f16 it is exact, which a short run needn't show twice.
    const std::vector<std::string> all{"", "f16", "q8_0", "q4_0"};
    for (const std::string &type : lab.by_size(all, {"", "q8_0", "q4_0"}, all)) {
        const std::string name = type.empty() ? "exact" : type;
        ENGRAM_TRY(lab.part(record, name, [&](Record &part) { return measure_type(lab, model, type, name, work, part); }));
    }
    for (const std::string_view type : {"q8_0", "q4_0"}) {
        const auto row = std::ranges::find(record.rows, OrderedJson{{"stored as", type}}, &Row::labels);
        if (row == record.rows.end()) continue;
        for (const Figure &figure : row->figures) {
            if (figure.name != kMean && figure.name != kSameToken && !figure.name.starts_with("task recall")) continue;
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
