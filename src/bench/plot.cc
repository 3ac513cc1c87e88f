#include "bench/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <format>
#include <iterator>
#include <set>

namespace engram::bench {

namespace {

constexpr double kWidth = 820, kHeight = 420;
constexpr double kLeft = 96, kRight = 310, kTop = 44, kBottom = 48;  // margins; the right one has the legend
constexpr std::array<std::string_view, 8> kColours{"#1b6ca8", "#d1495b", "#4c956c", "#8d5a97",
                                                   "#c77d1e", "#2aa5a0", "#7a6a53", "#e07a8b"};
constexpr std::string_view kFloorColour = "#777";

struct Point {
    double x = 0;  // of bars: the group's index
    double median = 0, low = 0, high = 0;
    bool operator==(const Point &) const = default;
};

struct Series {
    std::string side, kind;  // kind: the row's label that plot.series names; empty: there is none
    std::vector<Point> points;
    std::string name() const { return kind.empty() ? side : side + ", " + kind; }
};

struct Drawing {
    std::vector<Series> series;
    std::vector<std::string> groups;  // of bars; empty: lines
    std::string unit;
};

std::string escaped(std::string_view text) {
    std::string safe;
    for (const char c : text) {
        if (c == '<')
            safe += "&lt;";
        else if (c == '>')
            safe += "&gt;";
        else if (c == '&')
            safe += "&amp;";
        else if (c == '"')
            safe += "&quot;";
        else
            safe += c;
    }
    return safe;
}

std::string label_text(const OrderedJson &value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

// The floor is often the same for all kinds: one line then.
void join_floors(Drawing &drawing) {
    const auto is_floor = [](const Series &series) { return series.side == kFloor; };
    const auto first = std::ranges::find_if(drawing.series, is_floor);
    if (first == drawing.series.end()) return;
    const std::vector<Point> points = first->points;
    if (!std::ranges::all_of(drawing.series, [&](const Series &series) { return !is_floor(series) || series.points == points; }))
        return;
    std::erase_if(drawing.series, is_floor);
    drawing.series.push_back({.side = std::string(kFloor), .kind = {}, .points = points});
}

Drawing collect(const Record &record, const Plot &plot) {
    Drawing drawing;
    bool numbers = true;
    for (const Row &row : record.rows) {
        if (row.labels.contains(plot.over)) numbers = numbers && row.labels[plot.over].is_number();
    }
    for (const Row &row : record.rows) {
        if (!row.labels.contains(plot.over)) continue;
        const OrderedJson &over = row.labels[plot.over];
        const bool in_series = !plot.series.empty() && row.labels.contains(plot.series);
        for (const Figure &figure : row.figures) {
            if (figure.name != plot.figure) continue;
            double x = 0;
            if (numbers) {
                x = over.get<double>();
            } else {
                const auto found = std::ranges::find(drawing.groups, label_text(over));
                x = static_cast<double>(found - drawing.groups.begin());
                if (found == drawing.groups.end()) drawing.groups.push_back(label_text(over));
            }
            const std::string kind = in_series ? label_text(row.labels[plot.series]) : std::string();
            auto series = std::ranges::find_if(
                drawing.series, [&](const Series &known) { return known.side == figure.side && known.kind == kind; });
            if (series == drawing.series.end()) {
                drawing.series.push_back({.side = figure.side, .kind = kind, .points = {}});
                series = std::prev(drawing.series.end());
            }
            series->points.push_back({.x = x, .median = figure.median, .low = figure.low, .high = figure.high});
            drawing.unit = figure.unit;
        }
    }
    join_floors(drawing);
    return drawing;
}

// A colour for each kind where there are kinds, and sides tell themselves by their lines; else one for each side.
std::string_view colour_of(const Drawing &drawing, const Series &series) {
    if (series.side == kFloor) return kFloorColour;
    std::vector<std::string> names;
    for (const Series &other : drawing.series) {
        const std::string &name = series.kind.empty() ? other.side : other.kind;
        if (other.side != kFloor && !std::ranges::contains(names, name)) names.push_back(name);
    }
    const auto found = std::ranges::find(names, series.kind.empty() ? series.side : series.kind);
    return kColours[static_cast<std::size_t>(found - names.begin()) % kColours.size()];
}

std::string_view dashes_of(const Series &series) {
    if (series.side == kFloor) return " stroke-dasharray=\"2 3\"";
    return series.kind.empty() || series.side == kEngram ? "" : " stroke-dasharray=\"7 4\"";
}

// From values to places on the page.
class Axis {
  public:
    Axis(double least, double most, bool logarithmic, double from, double to)
        : logarithmic_(logarithmic), from_(from), to_(to), least_(moved(least)), most_(moved(most)) {
        if (most_ <= least_) most_ = least_ + 1;
    }
    double operator()(double value) const { return from_ + (to_ - from_) * (moved(value) - least_) / (most_ - least_); }

  private:
    double moved(double value) const { return logarithmic_ ? std::log10(std::max(value, 1e-6)) : value; }
    bool logarithmic_;
    double from_, to_, least_, most_;
};

struct Range {
    double least = 0, most = 0;
};

Range range_of(const Drawing &drawing, bool logarithmic) {
    Range range{.least = 1e300, .most = 0};
    for (const Series &series : drawing.series) {
        for (const Point &point : series.points) {
            if (point.low > 0) range.least = std::min(range.least, point.low);
            range.most = std::max(range.most, point.high);
        }
    }
    if (range.least > range.most) range.least = range.most;
    if (!logarithmic) return {.least = 0, .most = range.most <= 0 ? 1 : range.most * 1.05};
    const double floor = std::pow(10.0, std::floor(std::log10(std::max(range.least, 1e-6))));
    return {.least = floor, .most = std::pow(10.0, std::ceil(std::log10(std::max(range.most, floor * 10))))};
}

std::vector<double> ticks_of(const Range &range, bool logarithmic) {
    std::vector<double> ticks;
    if (logarithmic) {
        for (double tick = range.least; tick <= range.most * 1.001; tick *= 10) ticks.push_back(tick);
        return ticks;
    }
    const double raw = range.most / 5;
    const double power = std::pow(10.0, std::floor(std::log10(raw)));
    const double step = power * (raw / power > 5 ? 10 : raw / power > 2 ? 5 : raw / power > 1 ? 2 : 1);
    for (double tick = 0; tick <= range.most; tick += step) ticks.push_back(tick);
    return ticks;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text, std::string_view more = "") {
    return std::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more, escaped(text));
}

std::string head(const std::string &title) {
    return std::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" "
               "font-size=\"12\" fill=\"#222\">\n<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#fff\"/>\n",
               kWidth, kHeight) +
           text_at(kLeft, 24, "start", title, " font-size=\"15\"");
}

std::string line_of(const Series &series, const Axis &x, const Axis &y, std::string_view colour) {
    std::vector<Point> points = series.points;
    std::ranges::sort(points, {}, &Point::x);
    std::string path;
    std::string marks;
    for (const Point &point : points) {
        path += std::format("{:.1f},{:.1f} ", x(point.x), y(point.median));
        marks += std::format(
            "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"{3}\"/>\n"
            "<circle cx=\"{0:.1f}\" cy=\"{4:.1f}\" r=\"3\" fill=\"{3}\"/>\n",
            x(point.x), y(point.low), y(point.high), colour, y(point.median));
    }
    return std::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\"{}/>\n", path, colour,
                       dashes_of(series)) +
           marks;
}

std::string bars_of(const Drawing &drawing, std::size_t index, const Axis &y, std::string_view colour) {
    const double group = (kWidth - kLeft - kRight) / static_cast<double>(drawing.groups.size());
    const double bar = group * 0.8 / static_cast<double>(drawing.series.size());
    std::string bars;
    for (const Point &point : drawing.series[index].points) {
        const double left = kLeft + group * (point.x + 0.1) + bar * static_cast<double>(index);
        const double top = y(point.median);
        bars += std::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", left, top,
                            bar * 0.92, std::max(0.0, kHeight - kBottom - top), colour);
    }
    return bars;
}

std::string grid(const Drawing &drawing, const Range &range, bool logarithmic, const Axis &y) {
    std::string svg;
    for (const double tick : ticks_of(range, logarithmic)) {
        svg += std::format("<line x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n", kLeft,
                           kWidth - kRight, y(tick), y(tick));
        svg += text_at(kLeft - 8, y(tick) + 4, "end", figure_text(tick, drawing.unit));
    }
    return svg;
}

std::string feet(const Drawing &drawing, const Plot &plot, const Axis &x) {
    std::string svg;
    if (!drawing.groups.empty()) {
        const double group = (kWidth - kLeft - kRight) / static_cast<double>(drawing.groups.size());
        for (std::size_t i = 0; i < drawing.groups.size(); ++i) {
            std::string name = drawing.groups[i];
            const auto fits = static_cast<std::size_t>(group / 6);
            if (name.size() > fits && fits > 2) name = name.substr(0, fits - 1) + "…";
            svg += text_at(kLeft + group * (static_cast<double>(i) + 0.5), kHeight - kBottom + 18, "middle", name);
        }
        return svg;
    }
    std::set<double> places;
    for (const Series &series : drawing.series)
        for (const Point &point : series.points) places.insert(point.x);
    for (const double place : places) svg += text_at(x(place), kHeight - kBottom + 18, "middle", std::format("{}", place));
    return svg + text_at((kLeft + kWidth - kRight) / 2, kHeight - 12, "middle", plot.over);
}

}  // namespace

std::string figure_text(double value, std::string_view unit) {
    if (unit == "bytes") {
        constexpr std::array<std::string_view, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
        std::size_t power = 0;
        while (value >= 1023.5 && power + 1 < kUnits.size()) {
            value /= 1024;
            ++power;
        }
        return std::format("{:.{}f} {}", value, power == 0 || value >= 99.95 ? 0 : 1, kUnits[power]);
    }
    if (unit == "share") return std::format("{:.1f} %", value * 100);
    if (unit == "ms" && value >= 1000) return figure_text(value / 1000, "s");
    if (unit == "us" && value >= 1000) return figure_text(value / 1000, "ms");
    if (unit == "tokens" || unit.empty()) {
        const bool whole = std::floor(value) == value;
        return std::format("{:.{}g}", value, whole ? 12 : 3);
    }
    const double size = std::abs(value);
    return std::format("{:.{}f} {}", value, size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2, unit);
}

std::string plot_svg(const Record &record, const Plot &plot) {
    const Drawing drawing = collect(record, plot);
    if (drawing.series.empty()) return {};
    const Range range = range_of(drawing, plot.logarithmic);
    const Axis y(range.least, range.most, plot.logarithmic, kHeight - kBottom, kTop);
    double first = 1e300;
    double last = -1e300;
    for (const Series &series : drawing.series) {
        for (const Point &point : series.points) {
            first = std::min(first, point.x);
            last = std::max(last, point.x);
        }
    }
    const Axis x(first, last, plot.logarithmic && first > 0, kLeft + 16, kWidth - kRight - 16);
    std::string svg = head(plot.title) + grid(drawing, range, plot.logarithmic, y) + feet(drawing, plot, x);
    for (std::size_t i = 0; i < drawing.series.size(); ++i) {
        const Series &series = drawing.series[i];
        const std::string_view colour = colour_of(drawing, series);
        svg += drawing.groups.empty() ? line_of(series, x, y, colour) : bars_of(drawing, i, y, colour);
        const double row = kTop + 8 + static_cast<double>(i) * 18;
        const double left = kWidth - kRight + 10;
        svg +=
            std::format("<line x1=\"{:.0f}\" x2=\"{:.0f}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{}\"{}/>\n",
                        left, left + 24, row - 4, row - 4, colour, drawing.groups.empty() ? "2" : "10", dashes_of(series));
        svg += text_at(left + 32, row, "start", series.name());
    }
    return svg + "</svg>\n";
}

}  // namespace engram::bench
