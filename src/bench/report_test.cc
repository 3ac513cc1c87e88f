#include "bench/report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <format>
#include <fstream>
#include <sstream>

#include "bench/plot.h"

namespace engram::bench {
namespace {

Record record_of_two() {
    Record record{
        .benchmark = "throughput", .variant = "", .title = "Together", .size = "quick", .started = "2026-01-02T03:04:05Z"};
    record.machine = {{"processor", "a processor"}, {"processors", 2}, {"memory", "8 GB"}};
    record.configuration = {{"model", "gemma3-270m q8_0, random weights"}, {"libllama", "0.7.0"}};
    for (const int agents : {1, 8}) {
        Row row{.labels = {{"agents", agents}}};
        row.add("rate", kEngram, "tokens/s", 100.0 * agents);
        row.add("rate", kPeer, "tokens/s", 50.0 * agents);
        row.add("wait", kEngram, "ms", 10.0);
        row.add("wait", kPeer, "ms", 5.0);
        row.add("wait", kFloor, "ms", 1.0);
        row.add("reused", kEngram, "tokens", 7.0);
        record.rows.push_back(row);
    }
    record.plots.push_back({.title = "Rates & waits", .figure = "rate", .over = "agents", .series = "", .logarithmic = false});
    record.plots.push_back(
        {.title = "Nothing", .figure = "no such figure", .over = "agents", .series = "", .logarithmic = false});
    record.highlights.push_back({.what = "8 agents", .labels = {{"agents", 8}}, .figure = "rate"});
    record.check("both answer alike", false, "1 of 2 answers are equal");
    return record;
}

std::string read_file(const std::filesystem::path &file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

TEST(FigureTable, SaysWhoIsAheadByTheUnit) {
    const FigureTable table = figure_table(record_of_two());
    EXPECT_EQ(table.headings, (std::vector<std::string>{"agents", "what", "engram", "llama-server", "floor", "ahead by"}));
    ASSERT_EQ(table.lines.size(), 6U);
    EXPECT_EQ(table.lines[0], (std::vector<std::string>{"1", "rate", "100 tokens/s", "50.0 tokens/s", "", "2.00 ×"}));
    EXPECT_EQ(table.lines[1], (std::vector<std::string>{"1", "wait", "10.0 ms", "5.00 ms", "1.00 ms", "0.50 ×"}));
    EXPECT_EQ(table.lines[2], (std::vector<std::string>{"1", "reused", "7", "", "", ""}));
}

TEST(FigureText, IsForPeople) {
    EXPECT_EQ(figure_text(1536, "bytes"), "1.5 KiB");
    EXPECT_EQ(figure_text(0.981, "share"), "98.1 %");
    EXPECT_EQ(figure_text(69'000, "ms"), "69.0 s");
    EXPECT_EQ(figure_text(0.25, "us"), "0.25 us");
    EXPECT_EQ(figure_text(20000, "tokens"), "20000");
}

TEST(ReportPage, HasTablePlotAndChecks) {
    const std::vector<Record> records{record_of_two()};
    const std::string page = report_page(records);
    EXPECT_NE(page.find("| 8 | rate | 800 tokens/s | 400 tokens/s |  | 2.00 × |"), std::string::npos) << page;
    EXPECT_NE(page.find("![Rates & waits](throughput-quick-1.svg)"), std::string::npos);
    EXPECT_EQ(page.find("throughput-quick-2.svg"), std::string::npos) << "a plot of nothing";
    EXPECT_NE(page.find("**doesn't hold**: both answer alike"), std::string::npos);
    EXPECT_NE(page.find("2 × a processor, 8 GB of memory.\n"), std::string::npos) << page;
    std::vector<Record> detailed = records;
    detailed.front().machine["memory"] = "24684092 kB";
    detailed.front().machine["instructions"] = "avx2";
    detailed.front().machine["kernel"] = "Linux 6.1";
    detailed.front().machine["file_system"] = "ext4";
    EXPECT_NE(report_page(detailed).find("2 × a processor, 23.5 GiB of memory; avx2; Linux 6.1; ext4.\n"), std::string::npos)
        << report_page(detailed);
}

TEST(Plot, DrawsALineForEachSideAndEscapesText) {
    const Record record = record_of_two();
    const std::string svg = plot_svg(record, record.plots[0]);
    EXPECT_TRUE(svg.starts_with("<svg "));
    EXPECT_TRUE(svg.ends_with("</svg>\n"));
    EXPECT_NE(svg.find("Rates &amp; waits"), std::string::npos);
    const auto count = [&](std::string_view what) {
        std::size_t n = 0;
        for (std::size_t at = svg.find(what); at != std::string::npos; at = svg.find(what, at + 1)) ++n;
        return n;
    };
    EXPECT_EQ(count("<polyline"), 2U);
    EXPECT_EQ(count("<circle"), 4U);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_TRUE(plot_svg(record, record.plots[1]).empty());
}

TEST(Plot, KindsHaveColoursAndSidesLines) {
    Record record;
    for (const std::string_view memory : {"cold", "disk"}) {
        for (const double tokens : {10.0, 100.0}) {
            Row row{.labels = {{"tokens", tokens}, {"memory", memory}}};
            row.add("x", kEngram, "ms", tokens);
            row.add("x", kPeer, "ms", tokens + 1);
            row.add("x", kFloor, "ms", 1.0);
            record.rows.push_back(row);
        }
    }
    const std::string svg =
        plot_svg(record, {.title = "k", .figure = "x", .over = "tokens", .series = "memory", .logarithmic = true});
    const auto lines_with = [&](std::string_view what) {
        std::size_t n = 0;
        for (std::size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1))
            n += svg.substr(at, svg.find("/>", at) - at).contains(what) ? 1 : 0;
        return n;
    };
    EXPECT_EQ(lines_with(""), 5U) << "two for each kind, and one floor";
    EXPECT_EQ(lines_with("dasharray=\"7 4\""), 2U);
    EXPECT_EQ(lines_with("dasharray=\"2 3\""), 1U);
    EXPECT_EQ(lines_with("#1b6ca8"), 2U);
    EXPECT_NE(svg.find(">llama-server, disk</text>"), std::string::npos);
}

TEST(Plot, DrawsBarsOverTexts) {
    Record record;
    for (const std::string_view name : {"one", "two"}) {
        Row row{.labels = {{"what", name}}};
        row.add("x", kEngram, "bytes", 1000.0);
        record.rows.push_back(row);
    }
    const std::string svg = plot_svg(record, {.title = "b", .figure = "x", .over = "what", .series = "", .logarithmic = true});
    EXPECT_EQ(svg.find("<polyline"), std::string::npos);
    EXPECT_NE(svg.find(">one</text>"), std::string::npos);
}

TEST(ReadmeTable, HasHighlightsByMachineAndNoSmoke) {
    std::vector<Record> records{record_of_two(), record_of_two()};
    records[1].machine["processor"] = "another processor";
    const std::string table = readme_table(records);
    EXPECT_NE(table.find("On 2 × a processor, 8 GB of memory; libllama 0.7.0; 2026-01-02:"), std::string::npos) << table;
    EXPECT_NE(table.find("On 2 × another processor"), std::string::npos);
    EXPECT_NE(table.find("| 8 agents | gemma3-270m q8_0 | 800 tokens/s | 400 tokens/s | 2.00 × |  |"), std::string::npos)
        << table;
    for (Record &record : records) record.size = kSmoke;
    EXPECT_EQ(readme_table(records).find("| 8 agents"), std::string::npos);
}

TEST(ReadmeTable, PrefersTheNewestFullRecord) {
    std::vector<Record> records(4, record_of_two());
    const auto make = [&](std::size_t i, std::string_view size, std::string_view started, double rate) {
        records[i].size = size;
        records[i].started = started;
        records[i].rows.back().figures.front().median = rate;
    };
    make(0, "full", "2026-01-01T00:00:00Z", 701);
    make(1, "full", "2026-01-02T00:00:00Z", 702);
    make(2, "quick", "2026-01-03T00:00:00Z", 703);
    make(3, "quick", "2026-01-04T00:00:00Z", 704);
    const std::string table = readme_table(records);
    EXPECT_NE(table.find("| 702 tokens/s |"), std::string::npos) << table;
    for (const int old : {701, 703, 704}) EXPECT_EQ(table.find(std::format("| {} tokens/s |", old)), std::string::npos) << table;
    EXPECT_NE(readme_table(std::span(records).subspan(2)).find("| 704 tokens/s |"), std::string::npos);
}

TEST(ReadmeTable, ComparesWithTheStrongestPeer) {
    Record record = record_of_two();
    for (Row &row : record.rows) {
        row.add("rate", "llama-server, another way", "tokens/s", 500.0);
        row.add("rate", "llama-server, badly", "tokens/s", 100.0);
    }
    const std::vector<Record> records{record};
    EXPECT_NE(readme_table(records).find("| 800 tokens/s | 500 tokens/s | 1.60 × |"), std::string::npos) << readme_table(records);
    EXPECT_NE(report_page(records).find("| 1.60 × |"), std::string::npos);
}

TEST(ReadmeTable, StandsBetweenItsMarks) {
    const std::string readme = std::format("# Title\n\n{}\nold\n{}\n\nmore\n", kReadmeBegin, kReadmeEnd);
    const auto text = with_readme_table(readme, "new\n");
    ASSERT_TRUE(text);
    EXPECT_EQ(*text, std::format("# Title\n\n{}\n\nnew\n\n{}\n\nmore\n", kReadmeBegin, kReadmeEnd));
    EXPECT_EQ(*with_readme_table(*text, "new\n"), *text);
    EXPECT_FALSE(with_readme_table("# Title\n", "new\n"));
}

// A record whose promises hold, don't hold, and lack what they need.
Record record_with_promises() {
    Record record = record_of_two();
    const OrderedJson one{{"agents", 1}};
    const OrderedJson eight{{"agents", 8}};
    const auto against = [](std::string called, const OrderedJson &labels, std::string figure, std::string_view side) {
        return Promise::Reference{std::move(called), labels, std::move(figure), std::string(side)};
    };
    record.promises = {
        {.what = "eight are fast",
         .labels = eight,
         .figure = "rate",
         .limit = 2,
         .against = against("one", one, "rate", kEngram)},
        {.what = "too fast", .labels = eight, .figure = "rate", .limit = 3, .against = against("the peer", eight, "rate", kPeer)},
        {.what = "short waits", .labels = eight, .figure = "wait", .limit = 10},
        {.what = "shorter",
         .labels = eight,
         .figure = "wait",
         .limit = 1.5,
         .against = against("the floor", eight, "wait", kFloor)},
        {.what = "unknown", .labels = {{"agents", 9}}, .figure = "wait", .limit = 10}};
    return record;
}

TEST(Report, TellsWhetherPromisesHold) {
    const std::vector<Record> records{record_with_promises()};
    const std::array lines{
        "| eight are fast | gemma3-270m q8_0 | at least 2 × one | 800 tokens/s, 8.00 × 100 tokens/s | holds |",
        "| too fast | gemma3-270m q8_0 | at least 3 × the peer | 800 tokens/s, 2.00 × 400 tokens/s | **doesn't hold** |",
        "| short waits | gemma3-270m q8_0 | at most 10.0 ms | 10.0 ms | holds |",
        "| shorter | gemma3-270m q8_0 | at most 1.5 × the floor | 10.0 ms, 10.00 × 1.00 ms | **doesn't hold** |",
        "| unknown | gemma3-270m q8_0 | at most 10 |  | not measured |"};
    const std::string page = report_page(records);
    const std::string readme =
        std::format("{}\n{}\n\n{}\nfrom before\n{}\n", kReadmeBegin, kReadmeEnd, kPromisesBegin, kPromisesEnd);
    const auto text = with_results(readme, records);
    ASSERT_TRUE(text) << text.error().message;
    for (const std::string_view line : lines) {
        EXPECT_NE(page.find(line), std::string::npos) << line << "\n" << page;
        EXPECT_NE(text->find(line), std::string::npos) << line << "\n" << *text;
    }
    EXPECT_EQ(text->find("from before"), std::string::npos);
    EXPECT_EQ(*with_results(*text, records), *text);
    Record kept = record_with_promises();
    kept.checks.clear();
    EXPECT_TRUE(kept.passed()) << "a broken promise fails nothing";
    // Where there are no marks for promises, the table of figures is all.
    EXPECT_TRUE(with_results(std::format("{}\n{}\n", kReadmeBegin, kReadmeEnd), records));
}

TEST(Report, TellsWhatTheMeasuringTook) {
    std::vector<Record> records{record_of_two(), record_of_two()};
    records[0].seconds = 1000;
    records[1].seconds = 1400;
    std::string page = report_page(records);
    EXPECT_NE(page.find("- Together · `throughput`, quick: 1000 s\n"), std::string::npos) << page;
    EXPECT_NE(page.find("All together: quick 2400 s.\n"), std::string::npos) << page;
    records[1].seconds = 1401;
    page = report_page(records);
    EXPECT_NE(page.find("All together: quick 2401 s. That is **more than the 2400 s**"), std::string::npos) << page;
    records[1].size = "full";
    EXPECT_NE(report_page(records).find("All together: full 1401 s, quick 1000 s.\n"), std::string::npos);
}

TEST(Report, KnowsWhatIsOutdated) {
    std::string name = (std::filesystem::temp_directory_path() / "engram-report-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    const std::filesystem::path folder = name;
    std::vector<Record> records{record_of_two()};
    EXPECT_FALSE(outdated(records, folder).empty());
    ASSERT_TRUE(write_report(records, folder));
    EXPECT_TRUE(outdated(records, folder).empty());
    records[0].rows[0].figures[0].median += 1;
    EXPECT_EQ(outdated(records, folder).size(), 2U);  // the page and the plot
    records[0].benchmark = "another";
    ASSERT_TRUE(write_report(records, folder));
    EXPECT_FALSE(std::filesystem::exists(folder / "throughput-quick-1.svg")) << "the plot of a record that has gone stays";
    std::filesystem::remove_all(folder);
}

// What stands in the repository: the pages are made of the results beside them.
TEST(Report, OfTheRepositoryIsWhatItsResultsSay) {
    const std::filesystem::path root = ENGRAM_ROOT;
    const auto records = read_records(root / "bench" / "results");
    ASSERT_TRUE(records) << records.error().message;
    for (const std::string &file : outdated(*records, root / "bench" / "results"))
        ADD_FAILURE() << "bench/results/" << file << " is not what the results say: run engram bench report";
    const std::string readme = read_file(root / "README.md");
    const auto expected = with_results(readme, *records);
    ASSERT_TRUE(expected) << expected.error().message;
    EXPECT_EQ(readme, *expected) << "run engram bench report --readme README.md";
    EXPECT_TRUE(std::ranges::none_of(*records, [](const Record &record) { return record.size == kSmoke; }))
        << "a smoke run is no result";
}

}  // namespace
}  // namespace engram::bench
