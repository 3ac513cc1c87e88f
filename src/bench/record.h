// What a benchmark has found: rows of figures, checks, and where and with what it ran. A record is one file of JSON in
// bench/results; reports, plots and the README's table are made of such files and nothing else.
//
// Figures are medians with quartiles. Who ahead is follows from the unit: more tokens per second are better, fewer of everything
// else. Pure, but for read_records and write_record.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/bounded_json.h"
#include "engram/error.h"

namespace engram::bench {

inline constexpr std::string_view kEngram = "engram";
inline constexpr std::string_view kPeer = "llama-server";
inline constexpr std::string_view kFloor = "floor";  // what no program could do better here

inline constexpr std::string_view kSmoke = "smoke";  // the size of runs that say nothing about time

struct Figure {
    std::string name;                      // "first token"
    std::string side;                      // kEngram, kPeer, kFloor, …
    std::string unit;                      // "ms", "s", "us", "bytes", "tokens/s", "tokens", "share", "" (a plain number)
    double median = 0, low = 0, high = 0;  // low and high: quartiles
    std::size_t n = 0;                     // samples
};

// `samples` isn't empty.
Figure figure_of(std::string_view name, std::string_view side, std::string_view unit, std::span<const double> samples);
bool more_is_better(std::string_view unit);
bool is_cost_or_gain(std::string_view unit);  // else one of two figures isn't better than the other

struct Row {
    OrderedJson labels = OrderedJson::object();  // what was measured: {"tokens": 20000, "way": "disk"}
    std::vector<Figure> figures;

    // Nothing is added without samples: what a side can't do has no figure.
    void add(std::string_view name, std::string_view side, std::string_view unit, std::span<const double> samples);
    void add(std::string_view name, std::string_view side, std::string_view unit, double value);
    const Figure *find(std::string_view name, std::string_view side) const;  // nullptr when there is none
};

struct Check {
    std::string name;
    bool passed = false;
    std::string detail;
};

// How a figure is drawn: over a label that is a number, or as bars over a label that is a text; one line or bar for each side and
// each value of the label `series`.
struct Plot {
    std::string title, figure, over, series;
    bool logarithmic = false;
};

// A row's figure for the README's table.
struct Highlight {
    std::string what;    // "first token after a restart, 20,000 tokens"
    OrderedJson labels;  // of the row
    std::string figure;
};

// What Engram's figure is held to: at most the limit, or at least where more is better. Broken ones fail nothing: reports tell.
struct Promise {
    struct Reference {
        std::string called;  // "the floor"
        OrderedJson labels;  // of its row
        std::string figure, side;
    };
    std::string what;    // "first token from disk, 20000 tokens"
    OrderedJson labels;  // of the row
    std::string figure;
    double limit = 0;                       // in the figure's unit; times the reference where there is one
    std::optional<Reference> against = {};  // another figure of the same record
};

struct Record {
    std::string benchmark, variant;  // "resume", "gemma3-270m f16"
    std::string title, size;         // "smoke", "quick", "full"
    std::string started;             // UTC
    double seconds = 0;
    OrderedJson machine = OrderedJson::object(), configuration = OrderedJson::object();
    std::vector<Row> rows;
    std::vector<Check> checks;
    std::vector<Plot> plots;
    std::vector<Highlight> highlights;
    std::vector<Promise> promises = {};  // files of older versions have none
    std::vector<std::string> notes;      // sentences for the reader

    void check(std::string name, bool passed, std::string detail) {
        checks.push_back({std::move(name), passed, std::move(detail)});
    }
    // Adds what a part of the benchmark has found: figures of rows with equal labels come together, and so do the seconds.
    void take(Record part);
    bool passed() const;
};

std::string utc_now();  // as `started`

OrderedJson record_json(const Record &record);
Result<Record> record_of(const OrderedJson &json);  // invalid_argument: what is missing or of another type

// "resume-gemma3-270m-f16-quick.json": a quick run leaves alone what a full one took hours for.
std::string record_file_name(std::string_view benchmark, std::string_view variant, std::string_view size);
Result<Record> read_record(const std::filesystem::path &file);                  // not_found, invalid_argument
Result<std::vector<Record>> read_records(const std::filesystem::path &folder);  // by file name; none when there is no folder
// Makes the folder; what was kept of an interrupted run (parts.h) goes.
Result<void> write_record(const Record &record, const std::filesystem::path &folder);

inline constexpr std::size_t kMaxRecordBytes = 16UZ << 20U;
Result<std::string> read_text_file(const std::filesystem::path &file);  // not_found
// In place of the file, if there is one; there is never half of it. Makes the folder. io.
Result<void> write_json_file(const OrderedJson &json, const std::filesystem::path &file);

// Whether measuring the one again would measure the other: the same benchmark, asked for alike (`configuration.asked`), of the
// same program on the same machine.
bool measured_alike(const Record &record, const Record &other);

}  // namespace engram::bench
