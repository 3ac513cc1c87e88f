#include "store/quarantine.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>
#include <utility>
#include <vector>

namespace engram {

namespace {

constexpr std::string_view kSuffix = ".safetensors";

// The n of "<id>.<kind>.<n>.safetensors".
std::optional<std::uint64_t> number_of(std::string_view name) {
    if (!name.ends_with(kSuffix)) return std::nullopt;
    name.remove_suffix(kSuffix.size());
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view digits = name.substr(dot + 1);
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return number;
}

}  // namespace

Quarantine::Quarantine(FileSystem &files, std::filesystem::path folder, std::uint64_t budget_bytes)
    : files_(files), folder_(std::move(folder)), budget_bytes_(budget_bytes) {}

Result<void> Quarantine::load() {
    if (loaded_) return {};
    const Result<std::vector<DirectoryEntry>> entries = files_.list(folder_);
    // The folder is made when it is first needed.
    loaded_ = entries.has_value() || entries.error().code == ErrorCode::not_found;
    if (!entries.has_value()) return loaded_ ? Result<void>() : std::unexpected(entries.error());
    for (const DirectoryEntry &entry : *entries) {
        const std::optional<std::uint64_t> number = number_of(entry.name);
        if (entry.is_directory || !number.has_value()) continue;
        kept_.push_back({.number = *number, .name = entry.name, .bytes = entry.bytes});
        bytes_ += entry.bytes;
        ++parts_;
    }
    std::ranges::sort(kept_, {}, &Kept::number);
    if (!kept_.empty()) last_number_ = kept_.back().number;
    return {};
}

Result<void> Quarantine::remove_oldest() {
    const Kept oldest = kept_.front();
    if (Result<void> removed = files_.remove(folder_ / oldest.name);
        !removed.has_value() && removed.error().code != ErrorCode::not_found) {
        return removed;
    }
    kept_.pop_front();
    bytes_ -= oldest.bytes;
    --parts_;
    return {};
}

Result<void> Quarantine::take(const std::filesystem::path &file, const PartKey &key, std::uint64_t bytes) {
    ENGRAM_TRY(load());
    if (bytes > budget_bytes_) return files_.remove(file);
    while (bytes_ + bytes > budget_bytes_) ENGRAM_TRY(remove_oldest());
    ENGRAM_TRY(files_.make_directories(folder_));
    const std::string name = std::format("{}.{}.{}{}", key.id.hex(), part_kind_name(key.kind), last_number_ + 1, kSuffix);
    ENGRAM_TRY(files_.rename(file, folder_ / name));
    kept_.push_back({.number = ++last_number_, .name = name, .bytes = bytes});
    bytes_ += bytes;
    ++parts_;
    return {};
}

Result<std::uint64_t> Quarantine::clear() {
    ENGRAM_TRY(load());
    std::uint64_t removed = 0;
    while (!kept_.empty()) {
        ENGRAM_TRY(remove_oldest());
        ++removed;
    }
    return removed;
}

}  // namespace engram
