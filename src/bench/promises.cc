#include "bench/promises.h"

#include <algorithm>
#include <format>

#include "bench/plot.h"
#include "bench/report.h"

namespace engram::bench {

namespace {

const Figure *figure_in(const Record &record, const OrderedJson &labels, std::string_view figure, std::string_view side) {
    const auto row = std::ranges::find(record.rows, labels, &Row::labels);
    return row == record.rows.end() ? nullptr : row->find(figure, side);
}

}  // namespace

Verdict verdict_of(const Record &record, const Promise &promise) {
    const Figure *ours = figure_in(record, promise.labels, promise.figure, kEngram);
    const Figure *other = nullptr;
    if (promise.against) other = figure_in(record, promise.against->labels, promise.against->figure, promise.against->side);
    const std::string unit = ours != nullptr ? ours->unit : other != nullptr ? other->unit : std::string();
    const std::string_view bound = more_is_better(unit) ? "at least" : "at most";
    Verdict verdict;
    if (promise.against) {
        verdict.promised = std::format("{} {:.3g} × {}", bound, promise.limit, promise.against->called);
    } else {
        verdict.promised = std::format("{} {}", bound, figure_text(promise.limit, unit));
    }
    if (ours == nullptr || (promise.against && (other == nullptr || other->median <= 0))) return verdict;
    verdict.measured = figure_text(ours->median, unit);
    double measured = ours->median;
    if (other != nullptr) {
        measured /= other->median;
        verdict.measured += std::format(", {:.2f} × {}", measured, figure_text(other->median, unit));
    }
    verdict.holds = more_is_better(unit) ? measured >= promise.limit : measured <= promise.limit;
    return verdict;
}

std::string outcome_text(const Verdict &verdict) {
    if (!verdict.holds) return "not measured";
    return *verdict.holds ? "holds" : "doesn't hold";
}

std::string promise_lines(std::span<const Record *const> records) {
    std::string lines;
    for (const Record *record : records) {
        for (const Promise &promise : record->promises) {
            const Verdict verdict = verdict_of(*record, promise);
            const std::string outcome = outcome_text(verdict);
            lines += markdown_line({promise.what, model_text(*record), verdict.promised, verdict.measured,
                                    verdict.holds.value_or(true) ? outcome : std::format("**{}**", outcome)});
        }
    }
    return lines;
}

}  // namespace engram::bench
