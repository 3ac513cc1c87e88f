#include "bench/report.h"

#include <algorithm>
#include <format>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "bench/machine.h"
#include "bench/plot.h"
#include "bench/promises.h"

namespace engram::bench {

namespace {

constexpr double kQuickSeconds = 2400;  // of all quick records together

std::string label_text(const OrderedJson &value) {
    if (value.is_string()) return value.get<std::string>();
    return value.is_null() ? std::string() : value.dump();
}

std::string cell(const Figure *figure) {
    if (figure == nullptr) return "";
    std::string text = figure_text(figure->median, figure->unit);
    if (figure->n > 1) {
        text += std::format(" ({} – {}, n={})", figure_text(figure->low, figure->unit), figure_text(figure->high, figure->unit),
                            figure->n);
    }
    return text;
}

// The best that the peer did, in whichever configuration.
const Figure *strongest_peer(const Row &row, std::string_view name) {
    const Figure *best = nullptr;
    for (const Figure &figure : row.figures) {
        if (figure.name != name || !figure.side.starts_with(kPeer)) continue;
        const bool better =
            best == nullptr || (more_is_better(figure.unit) ? figure.median > best->median : figure.median < best->median);
        if (better) best = &figure;
    }
    return best;
}

// By how much the first is ahead of the second; empty where that says nothing.
std::string ahead(const Figure *ours, const Figure *other) {
    if (ours == nullptr || other == nullptr || !is_cost_or_gain(ours->unit)) return "";
    const double above = more_is_better(ours->unit) ? ours->median : other->median;
    const double below = more_is_better(ours->unit) ? other->median : ours->median;
    if (below <= 0 || above <= 0) return "";
    const double ratio = above / below;
    return std::format("{:.{}f} ×", ratio, ratio >= 99.5 ? 0 : ratio >= 9.95 ? 1 : 2);
}

std::string markdown(const FigureTable &table) {
    std::string text = markdown_line(table.headings) + "|";
    for (std::size_t i = 0; i < table.headings.size(); ++i) text += " --- |";
    text += "\n";
    for (const std::vector<std::string> &line : table.lines) text += markdown_line(line);
    return text;
}

std::string machine_text(const Record &record) {
    return std::format("{} × {}, {} of memory", label_text(record.machine.value("processors", OrderedJson())),
                       label_text(record.machine.value("processor", OrderedJson())),
                       memory_text(label_text(record.machine.value("memory", OrderedJson()))));
}

// What else the record says about it; older ones say nothing.
std::string machine_details(const Record &record) {
    std::string text;
    for (const char *name : {"instructions", "kernel", "file_system"}) {
        const std::string value = label_text(record.machine.value(name, OrderedJson()));
        if (!value.empty()) text += "; " + value;
    }
    return text;
}

std::string pairs_text(const OrderedJson &object) {
    std::string text;
    for (const auto &[name, value] : object.items()) {
        if (!text.empty()) text += "; ";
        text += name + " " + (value.is_object() ? "(" + pairs_text(value) + ")" : label_text(value));
    }
    return text;
}

std::string heading_of(const Record &record) {
    return std::format("{} · `{}{}`, {}", record.title, record.benchmark, record.variant.empty() ? "" : " " + record.variant,
                       record.size);
}

std::string section(const Record &record) {
    std::string text = std::format("## {}\n\n", heading_of(record));
    text += std::format("{}, {:.0f} s, size {}. {}{}.\n\n{}.\n\n", record.started, record.seconds, record.size,
                        machine_text(record), machine_details(record), pairs_text(record.configuration));
    text += markdown(figure_table(record)) + "\n";
    for (std::size_t i = 0; i < record.plots.size(); ++i) {
        if (!plot_svg(record, record.plots[i]).empty())
            text += std::format("![{}]({})\n\n", record.plots[i].title, plot_file_name(record, i));
    }
    for (const Check &check : record.checks)
        text += std::format("- {}: {} ({})\n", check.passed ? "holds" : "**doesn't hold**", check.name, check.detail);
    for (const std::string &note : record.notes) text += std::format("- {}\n", note);
    return text + "\n";
}

std::map<std::string, std::string> files_of(std::span<const Record> records) {
    std::map<std::string, std::string> files;
    files["README.md"] = report_page(records);
    for (const Record &record : records) {
        for (std::size_t i = 0; i < record.plots.size(); ++i) {
            if (std::string svg = plot_svg(record, record.plots[i]); !svg.empty())
                files[plot_file_name(record, i)] = std::move(svg);
        }
    }
    return files;
}

std::vector<std::string> plots_without_record(const std::map<std::string, std::string> &files,
                                              const std::filesystem::path &folder) {
    std::vector<std::string> names;
    std::error_code ignored;
    for (const auto &entry : std::filesystem::directory_iterator(folder, ignored)) {
        if (entry.path().extension() == ".svg" && !files.contains(entry.path().filename()))
            names.push_back(entry.path().filename());
    }
    return names;
}

// The lines of the README's table that this record has.
std::string highlights_of(const Record &record) {
    std::string text;
    for (const Highlight &highlight : record.highlights) {
        const auto row = std::ranges::find(record.rows, highlight.labels, &Row::labels);
        if (row == record.rows.end()) continue;
        const Figure *ours = row->find(highlight.figure, kEngram);
        const Figure *peer = strongest_peer(*row, highlight.figure);
        const Figure *floor = row->find(highlight.figure, kFloor);
        if (ours == nullptr) continue;
        const auto median = [](const Figure *figure) {
            return figure == nullptr ? "" : figure_text(figure->median, figure->unit);
        };
        text += markdown_line({highlight.what, model_text(record), median(ours), median(peer), ahead(ours, peer), median(floor)});
    }
    return text;
}

// How long it took, and whether a quick run takes longer than promised.
std::string times_text(std::span<const Record> records) {
    std::map<std::string, double> seconds;
    std::string text;
    for (const Record &record : records) {
        text += std::format("- {}: {:.0f} s\n", heading_of(record), record.seconds);
        seconds[record.size] += record.seconds;
    }
    text += "\nAll together:";
    for (const auto &[size, sum] : seconds)
        text += std::format("{} {} {:.0f} s", seconds.begin()->first == size ? "" : ",", size, sum);
    text += ".";
    if (const auto quick = seconds.find("quick"); quick != seconds.end() && quick->second > kQuickSeconds)
        text += std::format(" That is **more than the {:.0f} s** that `make bench` is to take.", kQuickSeconds);
    return text + "\n\n";
}

std::string with_block(std::string_view text, std::string_view begin_mark, std::string_view end_mark, std::string_view block) {
    const std::size_t begin = text.find(begin_mark);
    const std::size_t end = text.find(end_mark);
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
    return std::format("{}\n\n{}\n{}", text.substr(0, begin + begin_mark.size()), block, text.substr(end));
}

}  // namespace

std::string model_text(const Record &record) {
    std::string model = record.configuration.contains("model") ? label_text(record.configuration["model"]) : "";
    if (const std::size_t comma = model.find(','); comma != std::string::npos) model.resize(comma);
    return model;
}

std::string markdown_line(const std::vector<std::string> &cells) {
    std::string line = "|";
    for (const std::string &text : cells) {
        std::string safe = text;
        for (std::size_t at = 0; (at = safe.find('|', at)) != std::string::npos; at += 2) safe.replace(at, 1, "\\|");
        line += " " + safe + " |";
    }
    return line + "\n";
}

FigureTable figure_table(const Record &record) {
    std::vector<std::string> labels;
    std::vector<std::string> sides;
    const auto note = [](std::vector<std::string> &list, const std::string &name) {
        if (!std::ranges::contains(list, name)) list.push_back(name);
    };
    for (const Row &row : record.rows) {
        for (const auto &[name, value] : row.labels.items()) note(labels, name);
        for (const Figure &figure : row.figures) note(sides, figure.side);
    }
    const bool compared = std::ranges::contains(sides, std::string(kPeer));
    FigureTable table{.headings = labels, .lines = {}};
    table.headings.emplace_back("what");
    table.headings.insert(table.headings.end(), sides.begin(), sides.end());
    if (compared) table.headings.emplace_back("ahead by");
    for (const Row &row : record.rows) {
        std::vector<std::string> names;
        for (const Figure &figure : row.figures) note(names, figure.name);
        for (const std::string &name : names) {
            std::vector<std::string> line;
            for (const std::string &label : labels) line.push_back(label_text(row.labels.value(label, OrderedJson())));
            line.push_back(name);
            for (const std::string &side : sides) line.push_back(cell(row.find(name, side)));
            if (compared) line.push_back(ahead(row.find(name, kEngram), strongest_peer(row, name)));
            table.lines.push_back(std::move(line));
        }
    }
    return table;
}

std::string plot_file_name(const Record &record, std::size_t index) {
    std::string name = record_file_name(record.benchmark, record.variant, record.size);
    name.resize(name.size() - std::string_view(".json").size());
    return std::format("{}-{}.svg", name, index + 1);
}

std::string report_page(std::span<const Record> records) {
    std::string text =
        "# Measurements\n\n"
        "Made by `engram bench report` of the JSON files beside it; changes to this page are lost. What each benchmark measures, "
        "and "
        "how, is in [docs/performance.md](../../docs/performance.md).\n\n"
        "Medians, with quartiles and the number of samples in brackets. *Ahead by* is llama-server's figure, the best of its "
        "configurations, divided by Engram's, "
        "or "
        "the other way round where more is better: above 1 Engram is ahead. *Floor* is what no program could do better here.\n\n";
    if (records.empty()) return text + "There are no results yet: `make bench` makes some.\n";
    text += times_text(records);
    text += "## Promises\n\n" + promises_table(records) + "\n";
    for (const Record &record : records) text += section(record);
    text.pop_back();
    return text;
}

std::vector<const Record *> worth_telling(std::span<const Record> records) {
    std::vector<const Record *> told;
    const auto better = [](const Record &one, const Record &other) {
        const bool full = one.size == "full";
        return full != (other.size == "full") ? full : one.started > other.started;
    };
    for (const Record &record : records) {
        if (record.size == kSmoke) continue;
        const auto same = std::ranges::find_if(told, [&](const Record *known) {
            return known->benchmark == record.benchmark && known->variant == record.variant &&
                   machine_text(*known) == machine_text(record);
        });
        if (same == told.end()) {
            told.push_back(&record);
        } else if (better(record, **same)) {
            *same = &record;
        }
    }
    return told;
}

std::string readme_table(std::span<const Record> records) {
    std::map<std::string, std::vector<const Record *>> machines;
    for (const Record *record : worth_telling(records)) {
        if (!record->highlights.empty()) machines[machine_text(*record)].push_back(record);
    }
    if (machines.empty()) return "There are no results in [bench/results](bench/results) yet: `make bench` makes some.\n";
    std::string text;
    for (const auto &[machine, list] : machines) {
        std::string first = list.front()->started;
        std::string last = first;
        std::set<std::string> engines;
        std::string lines;
        for (const Record *record : list) {
            first = std::min(first, record->started);
            last = std::max(last, record->started);
            engines.insert(label_text(record->configuration.value("libllama", OrderedJson())));
            lines += highlights_of(*record);
        }
        std::string versions;
        for (const std::string &engine : engines) versions += (versions.empty() ? "" : ", ") + engine;
        const std::string days =
            first.substr(0, 10) + (first.substr(0, 10) == last.substr(0, 10) ? "" : " to " + last.substr(0, 10));
        text += std::format("On {}; libllama {}; {}:\n\n", machine, versions, days);
        text += "| what | model | Engram | llama-server | ahead by | floor |\n| --- | --- | --- | --- | --- | --- |\n";
        text += lines + "\n";
    }
    text += "All figures, with spread, configuration and plots: [bench/results](bench/results/README.md).\n";
    return text;
}

std::string promises_table(std::span<const Record> records) {
    std::map<std::string, std::vector<const Record *>> machines;
    for (const Record *record : worth_telling(records)) {
        if (!record->promises.empty()) machines[machine_text(*record)].push_back(record);
    }
    if (machines.empty())
        return "The results that are there were measured without promises: `make bench` makes some that have them.\n";
    std::string text;
    for (const auto &[machine, list] : machines)
        text += std::format("{}On {}:\n\n{}{}", text.empty() ? "" : "\n", machine, kPromiseHeading, promise_lines(list));
    return text;
}

Result<std::string> with_readme_table(std::string_view readme, std::string_view table) {
    std::string text = with_block(readme, kReadmeBegin, kReadmeEnd, table);
    if (text.empty()) {
        return fail(ErrorCode::not_found,
                    std::format("there is no place for the table: the lines {} and {} aren't there", kReadmeBegin, kReadmeEnd));
    }
    return text;
}

Result<std::string> with_results(std::string_view readme, std::span<const Record> records) {
    ENGRAM_ASSIGN(std::string text, with_readme_table(readme, readme_table(records)));
    std::string promises = with_block(text, kPromisesBegin, kPromisesEnd, promises_table(records));
    return promises.empty() ? std::move(text) : std::move(promises);
}

Result<void> write_report(std::span<const Record> records, const std::filesystem::path &folder) {
    const auto files = files_of(records);
    std::error_code error;
    for (const std::string &name : plots_without_record(files, folder)) std::filesystem::remove(folder / name, error);
    std::filesystem::create_directories(folder, error);
    for (const auto &[name, text] : files) {
        std::ofstream out(folder / name, std::ios::binary);
        out << text;
        out.close();
        if (!out) return fail(ErrorCode::io, std::format("{} can't be written", (folder / name).string()));
    }
    return {};
}

std::vector<std::string> outdated(std::span<const Record> records, const std::filesystem::path &folder) {
    const auto files = files_of(records);
    std::vector<std::string> names = plots_without_record(files, folder);
    for (const auto &[name, text] : files) {
        if (read_text_file(folder / name).value_or("") != text) names.push_back(name);
    }
    return names;
}

}  // namespace engram::bench
