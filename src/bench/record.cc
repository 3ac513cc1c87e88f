#include "bench/record.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <format>
#include <fstream>
#include <iterator>
#include <sstream>

#include "bench/parts.h"

namespace engram::bench {

namespace {

constexpr int kFormat = 1;

// The value at a share of the sorted samples, between the two next to it.
double quantile(std::span<const double> sorted, double share) {
    const double at = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

// Five significant digits: more would be noise in every difference of two files.
double rounded(double value) {
    if (value == 0 || !std::isfinite(value)) return 0;
    const double scale = std::pow(10.0, 4 - std::floor(std::log10(std::abs(value))));
    return std::round(value * scale) / scale;
}

OrderedJson figure_json(const Figure &figure) {
    return {
        {"name", figure.name},        {"side", figure.side},          {"unit", figure.unit}, {"median", rounded(figure.median)},
        {"low", rounded(figure.low)}, {"high", rounded(figure.high)}, {"n", figure.n}};
}

// Reads members, and remembers the first that isn't what it should be.
class Reader {
  public:
    std::string text(const OrderedJson &object, const char *name) {
        const OrderedJson *found = member(object, name);
        if (found == nullptr || !found->is_string()) return wrong<std::string>(name, "a text");
        return found->get<std::string>();
    }
    double number(const OrderedJson &object, const char *name) {
        const OrderedJson *found = member(object, name);
        if (found == nullptr || !found->is_number()) return wrong<double>(name, "a number");
        return found->get<double>();
    }
    bool truth(const OrderedJson &object, const char *name) {
        const OrderedJson *found = member(object, name);
        if (found == nullptr || !found->is_boolean()) return wrong<bool>(name, "true or false");
        return found->get<bool>();
    }
    OrderedJson object(const OrderedJson &parent, const char *name) {
        const OrderedJson *found = member(parent, name);
        if (found == nullptr || !found->is_object()) return wrong<OrderedJson>(name, "an object");
        return *found;
    }
    OrderedJson list(const OrderedJson &parent, const char *name) {
        const OrderedJson *found = member(parent, name);
        if (found == nullptr || !found->is_array()) return wrong<OrderedJson>(name, "a list");
        return *found;
    }
    const std::string &problem() const { return problem_; }

  private:
    static const OrderedJson *member(const OrderedJson &object, const char *name) {
        const auto found = object.find(name);
        return found == object.end() ? nullptr : &*found;
    }
    template <typename T>
    T wrong(const char *name, const char *what) {
        if (problem_.empty()) problem_ = std::format("\"{}\" must be {}", name, what);
        return T{};
    }
    std::string problem_;
};

Row row_of(const OrderedJson &json, Reader &reader) {
    Row row{.labels = reader.object(json, "labels"), .figures = {}};
    for (const OrderedJson &figure : reader.list(json, "figures")) {
        row.figures.push_back({.name = reader.text(figure, "name"),
                               .side = reader.text(figure, "side"),
                               .unit = reader.text(figure, "unit"),
                               .median = reader.number(figure, "median"),
                               .low = reader.number(figure, "low"),
                               .high = reader.number(figure, "high"),
                               .n = static_cast<std::size_t>(reader.number(figure, "n"))});
    }
    return row;
}

OrderedJson promise_json(const Promise &promise) {
    OrderedJson json{{"what", promise.what}, {"labels", promise.labels}, {"figure", promise.figure}};
    if (!promise.against) {
        json["limit"] = promise.limit;
        return json;
    }
    json["factor"] = promise.limit;
    json["against"] = {{"called", promise.against->called},
                       {"labels", promise.against->labels},
                       {"figure", promise.against->figure},
                       {"side", promise.against->side}};
    return json;
}

Promise promise_of(const OrderedJson &json, Reader &reader) {
    const bool compared = json.is_object() && json.contains("against");
    Promise promise{.what = reader.text(json, "what"),
                    .labels = reader.object(json, "labels"),
                    .figure = reader.text(json, "figure"),
                    .limit = reader.number(json, compared ? "factor" : "limit")};
    if (compared) {
        const OrderedJson against = reader.object(json, "against");
        promise.against = Promise::Reference{.called = reader.text(against, "called"),
                                             .labels = reader.object(against, "labels"),
                                             .figure = reader.text(against, "figure"),
                                             .side = reader.text(against, "side")};
    }
    return promise;
}

}  // namespace

Figure figure_of(std::string_view name, std::string_view side, std::string_view unit, std::span<const double> samples) {
    std::vector<double> sorted(samples.begin(), samples.end());
    std::ranges::sort(sorted);
    return {.name = std::string(name),
            .side = std::string(side),
            .unit = std::string(unit),
            .median = quantile(sorted, 0.5),
            .low = quantile(sorted, 0.25),
            .high = quantile(sorted, 0.75),
            .n = sorted.size()};
}

bool more_is_better(std::string_view unit) { return unit == "tokens/s" || unit == "share"; }

bool is_cost_or_gain(std::string_view unit) { return !unit.empty() && unit != "tokens"; }

void Row::add(std::string_view name, std::string_view side, std::string_view unit, std::span<const double> samples) {
    if (!samples.empty()) figures.push_back(figure_of(name, side, unit, samples));
}

void Row::add(std::string_view name, std::string_view side, std::string_view unit, double value) {
    add(name, side, unit, std::span(&value, 1));
}

const Figure *Row::find(std::string_view name, std::string_view side) const {
    const auto found = std::ranges::find_if(figures, [&](const Figure &f) { return f.name == name && f.side == side; });
    return found == figures.end() ? nullptr : &*found;
}

void Record::take(Record part) {
    for (Row &row : part.rows) {
        const auto same = std::ranges::find(rows, row.labels, &Row::labels);
        if (same == rows.end()) {
            rows.push_back(std::move(row));
        } else {
            std::ranges::move(row.figures, std::back_inserter(same->figures));
        }
    }
    const auto add = [](auto &list, auto &more) { std::ranges::move(more, std::back_inserter(list)); };
    add(checks, part.checks);
    add(plots, part.plots);
    add(highlights, part.highlights);
    add(promises, part.promises);
    add(notes, part.notes);
    seconds += part.seconds;
    started = std::min(started, part.started);
}

std::string utc_now() {
    return std::format("{:%Y-%m-%dT%H:%M:%SZ}", std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
}

bool Record::passed() const { return std::ranges::all_of(checks, &Check::passed); }

OrderedJson record_json(const Record &record) {
    OrderedJson json{{"format", kFormat},
                     {"benchmark", record.benchmark},
                     {"variant", record.variant},
                     {"title", record.title},
                     {"size", record.size},
                     {"started", record.started},
                     {"seconds", rounded(record.seconds)},
                     {"machine", record.machine},
                     {"configuration", record.configuration},
                     {"rows", OrderedJson::array()},
                     {"checks", OrderedJson::array()},
                     {"plots", OrderedJson::array()},
                     {"highlights", OrderedJson::array()},
                     {"promises", OrderedJson::array()},
                     {"notes", record.notes}};
    for (const Row &row : record.rows) {
        OrderedJson figures = OrderedJson::array();
        for (const Figure &figure : row.figures) figures.push_back(figure_json(figure));
        json["rows"].push_back({{"labels", row.labels}, {"figures", std::move(figures)}});
    }
    for (const Check &check : record.checks)
        json["checks"].push_back({{"name", check.name}, {"passed", check.passed}, {"detail", check.detail}});
    for (const Plot &plot : record.plots) {
        json["plots"].push_back({{"title", plot.title},
                                 {"figure", plot.figure},
                                 {"over", plot.over},
                                 {"series", plot.series},
                                 {"logarithmic", plot.logarithmic}});
    }
    for (const Highlight &highlight : record.highlights)
        json["highlights"].push_back({{"what", highlight.what}, {"labels", highlight.labels}, {"figure", highlight.figure}});
    for (const Promise &promise : record.promises) json["promises"].push_back(promise_json(promise));
    return json;
}

Result<Record> record_of(const OrderedJson &json) {
    Reader reader;
    if (reader.number(json, "format") != kFormat) return fail(ErrorCode::invalid_argument, "it is no record of format 1");
    Record record{.benchmark = reader.text(json, "benchmark"),
                  .variant = reader.text(json, "variant"),
                  .title = reader.text(json, "title"),
                  .size = reader.text(json, "size"),
                  .started = reader.text(json, "started"),
                  .seconds = reader.number(json, "seconds"),
                  .machine = reader.object(json, "machine"),
                  .configuration = reader.object(json, "configuration"),
                  .rows = {},
                  .checks = {},
                  .plots = {},
                  .highlights = {},
                  .promises = {},
                  .notes = {}};
    for (const OrderedJson &row : reader.list(json, "rows")) record.rows.push_back(row_of(row, reader));
    for (const OrderedJson &check : reader.list(json, "checks"))
        record.check(reader.text(check, "name"), reader.truth(check, "passed"), reader.text(check, "detail"));
    for (const OrderedJson &plot : reader.list(json, "plots")) {
        record.plots.push_back({.title = reader.text(plot, "title"),
                                .figure = reader.text(plot, "figure"),
                                .over = reader.text(plot, "over"),
                                .series = reader.text(plot, "series"),
                                .logarithmic = reader.truth(plot, "logarithmic")});
    }
    for (const OrderedJson &highlight : reader.list(json, "highlights")) {
        record.highlights.push_back({.what = reader.text(highlight, "what"),
                                     .labels = reader.object(highlight, "labels"),
                                     .figure = reader.text(highlight, "figure")});
    }
    if (json.contains("promises")) {
        for (const OrderedJson &promise : reader.list(json, "promises")) record.promises.push_back(promise_of(promise, reader));
    }
    for (const OrderedJson &note : reader.list(json, "notes"))
        record.notes.push_back(note.is_string() ? note.get<std::string>() : std::string());
    if (!reader.problem().empty()) return fail(ErrorCode::invalid_argument, reader.problem());
    return record;
}

std::string record_file_name(std::string_view benchmark, std::string_view variant, std::string_view size) {
    std::string name(benchmark);
    for (const std::string_view more : {variant, size})
        if (!more.empty()) name += "-" + std::string(more);
    std::ranges::replace_if(name, [](char c) { return std::string_view(" /,:").contains(c); }, '-');
    return name + ".json";
}

Result<std::string> read_text_file(const std::filesystem::path &file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail(ErrorCode::not_found, std::format("there is no file {}", file.string()));
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Result<void> write_json_file(const OrderedJson &json, const std::filesystem::path &file) {
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    const std::filesystem::path fresh = std::filesystem::path(file).concat(".new");
    std::ofstream out(fresh, std::ios::binary);
    out << json.dump(1, ' ', false, OrderedJson::error_handler_t::replace) << '\n';
    out.close();
    if (out) std::filesystem::rename(fresh, file, error);
    if (!out || error) return fail(ErrorCode::io, std::format("{} can't be written", file.string()));
    return {};
}

Result<Record> read_record(const std::filesystem::path &file) {
    ENGRAM_ASSIGN(const std::string text, read_text_file(file));
    auto json = parse_bounded_json(text, kMaxRecordBytes);
    if (!json) return std::unexpected(std::move(json.error()).within(file.string()));
    auto record = record_of(*json);
    if (!record) return std::unexpected(std::move(record.error()).within(file.string()));
    return record;
}

Result<std::vector<Record>> read_records(const std::filesystem::path &folder) {
    std::vector<std::filesystem::path> files;
    std::error_code ignored;
    for (const auto &entry : std::filesystem::directory_iterator(folder, ignored)) {
        if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    std::vector<Record> records;
    for (const std::filesystem::path &file : files) {
        ENGRAM_ASSIGN(Record record, read_record(file));
        records.push_back(std::move(record));
    }
    return records;
}

Result<void> write_record(const Record &record, const std::filesystem::path &folder) {
    ENGRAM_TRY(write_json_file(record_json(record), folder / record_file_name(record.benchmark, record.variant, record.size)));
    std::error_code ignored;
    std::filesystem::remove(partial_file(record, folder), ignored);
    return {};
}

bool measured_alike(const Record &record, const Record &other) {
    const auto asked = [](const Record &of) { return of.configuration.value("asked", OrderedJson()); };
    return record.benchmark == other.benchmark && record.variant == other.variant && record.size == other.size &&
           record.machine == other.machine && asked(record) == asked(other);
}

}  // namespace engram::bench
