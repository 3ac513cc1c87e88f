#include "bench/parts.h"

#include <format>

namespace engram::bench {

namespace {

// A list of {"name": …, "found": a record}.
OrderedJson read_parts(const std::filesystem::path &file) {
    const auto text = read_text_file(file);
    if (!text) return OrderedJson::array();
    auto json = parse_bounded_json(*text, kMaxRecordBytes);
    return json && json->is_array() ? *std::move(json) : OrderedJson::array();
}

std::optional<Record> found_in(const OrderedJson &part, const Record &whole) {
    if (!part.is_object() || !part.contains("found")) return std::nullopt;
    auto record = record_of(part["found"]);
    if (!record || !measured_alike(*record, whole)) return std::nullopt;
    return *std::move(record);
}

}  // namespace

std::filesystem::path partial_file(const Record &record, const std::filesystem::path &folder) {
    return folder / (record_file_name(record.benchmark, record.variant, record.size) + ".partial");
}

std::optional<Record> kept_part(const std::filesystem::path &file, const Record &whole, const std::string &name) {
    for (const OrderedJson &part : read_parts(file)) {
        if (auto found = found_in(part, whole); found && part.value("name", OrderedJson()) == name) return found;
    }
    return std::nullopt;
}

Result<void> keep_part(const std::filesystem::path &file, const std::string &name, const Record &part) {
    OrderedJson parts = OrderedJson::array();
    for (OrderedJson &other : read_parts(file)) {
        if (found_in(other, part)) parts.push_back(std::move(other));
    }
    parts.push_back({{"name", name}, {"found", record_json(part)}});
    return write_json_file(parts, file);
}

}  // namespace engram::bench
