#include "bench/record.h"

#include <gtest/gtest.h>

#include <array>

namespace engram::bench {
namespace {

Record sample() {
    Record record{.benchmark = "resume",
                  .variant = "gemma3-270m f16",
                  .title = "First token",
                  .size = "quick",
                  .started = "2026-01-02T03:04:05Z",
                  .seconds = 12.5};
    record.machine = {{"processor", "one"}, {"processors", 2}};
    record.configuration = {{"asked", {{"commit", "abc"}}}, {"load_at_start", 0.5}};
    Row row{.labels = {{"tokens", 2000}, {"memory", "disk"}}};
    row.add("first token", kEngram, "ms", std::array{3.0, 1.0, 2.0});
    row.add("first token", kPeer, "ms", 4.0);
    record.rows.push_back(row);
    record.check("both answer alike", true, "3 of 3");
    record.plots.push_back({.title = "t", .figure = "first token", .over = "tokens", .series = "memory", .logarithmic = true});
    record.highlights.push_back({.what = "w", .labels = row.labels, .figure = "first token"});
    record.promises.push_back({.what = "soon", .labels = row.labels, .figure = "first token", .limit = 5});
    record.promises.push_back({.what = "sooner",
                               .labels = row.labels,
                               .figure = "first token",
                               .limit = 1.5,
                               .against = Promise::Reference{"llama-server", row.labels, "first token", std::string(kPeer)}});
    record.notes.emplace_back("a note");
    return record;
}

TEST(Figure, IsMedianAndQuartiles) {
    const Figure figure = figure_of("x", kEngram, "ms", std::array{5.0, 1.0, 2.0, 4.0, 3.0});
    EXPECT_EQ(figure.median, 3);
    EXPECT_EQ(figure.low, 2);
    EXPECT_EQ(figure.high, 4);
    EXPECT_EQ(figure.n, 5U);
    EXPECT_EQ(figure_of("x", kEngram, "ms", std::array{1.0, 2.0}).median, 1.5);
}

TEST(Row, HasNoFigureWithoutSamples) {
    Row row;
    row.add("x", kEngram, "ms", std::span<const double>());
    EXPECT_TRUE(row.figures.empty());
    row.add("x", kEngram, "ms", 1.0);
    EXPECT_NE(row.find("x", kEngram), nullptr);
    EXPECT_EQ(row.find("x", kPeer), nullptr);
}

TEST(Record, GoesThroughJsonUnchanged) {
    const Record record = sample();
    const auto back = record_of(record_json(record));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(record_json(*back), record_json(record));
    EXPECT_EQ(back->rows.front().find("first token", kEngram)->median, 2);
    EXPECT_TRUE(back->passed());
}

TEST(Record, OfAnOlderVersionHasNoPromises) {
    OrderedJson json = record_json(sample());
    json.erase("promises");
    const auto record = record_of(json);
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_TRUE(record->promises.empty());
}

TEST(Record, SaysWhatIsWrongWithAForeignFile) {
    OrderedJson json = record_json(sample());
    json["rows"][0]["figures"][0]["median"] = "fast";
    const auto wrong = record_of(json);
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().message.find("\"median\" must be a number"), std::string::npos) << wrong.error().message;
    json = record_json(sample());
    json["promises"][1].erase("factor");
    EXPECT_FALSE(record_of(json));
    json["format"] = 2;
    EXPECT_FALSE(record_of(json));
    EXPECT_FALSE(record_of(OrderedJson::array()));
}

TEST(Record, PassesOnlyWhenEveryCheckDoes) {
    Record record = sample();
    record.check("another", false, "");
    EXPECT_FALSE(record.passed());
}

TEST(Record, IsMeasuredAlikeWhateverItFound) {
    Record other = sample();
    other.rows.clear();
    other.started = "2027-01-01T00:00:00Z";
    other.configuration["load_at_start"] = 3;
    EXPECT_TRUE(measured_alike(sample(), other));
    other.configuration["asked"]["commit"] = "def";
    EXPECT_FALSE(measured_alike(sample(), other));
    other = sample();
    other.machine["processors"] = 4;
    EXPECT_FALSE(measured_alike(sample(), other));
    other = sample();
    other.size = "full";
    EXPECT_FALSE(measured_alike(sample(), other));
}

TEST(Record, FilesAreReadInTheOrderOfTheirNames) {
    std::string name = (std::filesystem::temp_directory_path() / "engram-records-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    const std::filesystem::path folder = std::filesystem::path(name) / "results";
    EXPECT_TRUE(read_records(folder)->empty());
    Record record = sample();
    ASSERT_TRUE(write_record(record, folder));
    record.benchmark = "fanout";
    record.variant = "";
    ASSERT_TRUE(write_record(record, folder));
    const auto records = read_records(folder);
    ASSERT_TRUE(records) << records.error().message;
    ASSERT_EQ(records->size(), 2U);
    EXPECT_EQ(records->front().benchmark, "fanout");
    EXPECT_TRUE(std::filesystem::exists(folder / "resume-gemma3-270m-f16-quick.json"));
    std::filesystem::remove_all(name);
}

TEST(Record, SizesDoNotOverwriteEachOther) {
    std::string name = (std::filesystem::temp_directory_path() / "engram-records-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    Record record = sample();
    record.size = "full";
    ASSERT_TRUE(write_record(record, name));
    record.size = "quick";
    ASSERT_TRUE(write_record(record, name));
    const auto records = read_records(name);
    ASSERT_TRUE(records) << records.error().message;
    ASSERT_EQ(records->size(), 2U);
    EXPECT_EQ(records->front().size, "full");
    EXPECT_EQ(records->back().size, "quick");
    std::filesystem::remove_all(name);
}

}  // namespace
}  // namespace engram::bench
