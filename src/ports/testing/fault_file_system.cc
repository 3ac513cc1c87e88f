#include "ports/testing/fault_file_system.h"

#include <algorithm>
#include <fstream>
#include <ranges>
#include <system_error>
#include <utility>

namespace engram::testing {

namespace fs = std::filesystem;

namespace {

std::vector<std::byte> bytes_of(const fs::path &path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::byte> bytes(fs::file_size(path));
    file.read(reinterpret_cast<char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

void put_bytes(const fs::path &path, const std::vector<std::byte> &bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

class FaultFileSystem::File final : public WritableFile {
  public:
    File(FaultFileSystem &owner, std::unique_ptr<WritableFile> real, std::shared_ptr<Content> content)
        : owner_(owner), real_(std::move(real)), content_(std::move(content)) {}

    Result<void> write(std::span<const iovec> pieces) override {
        std::vector<std::byte> bytes;
        for (const iovec &piece : pieces) {
            const auto *start = static_cast<const std::byte *>(piece.iov_base);
            bytes.insert(bytes.end(), start, start + piece.iov_len);
        }
        Lock lock(owner_.mutex_);
        Result<void> result = owner_.begin_change(lock);
        if (!result.has_value()) bytes.resize(bytes.size() / 2);
        if (const std::uint64_t used = owner_.total_bytes(lock);
            owner_.space_.has_value() && used + bytes.size() > *owner_.space_) {
            bytes.resize(*owner_.space_ > used ? *owner_.space_ - used : 0);
            result = fail(ErrorCode::io, "can't write: No space left on device");
        }
        content_->live.insert(content_->live.end(), bytes.begin(), bytes.end());
        content_->synced = false;
        owner_.largest_total_bytes_ = std::max(owner_.largest_total_bytes_, owner_.total_bytes(lock));
        const iovec all{.iov_base = bytes.data(), .iov_len = bytes.size()};
        ENGRAM_TRY(real_->write(std::span(&all, 1)));
        return result;
    }

    // Not passed on: what is durable is the model's business, and tests needn't wait for a disk.
    Result<void> sync() override {
        Lock lock(owner_.mutex_);
        ENGRAM_TRY(owner_.begin_change(lock));
        content_->durable = content_->live;
        content_->synced = true;
        return {};
    }

  private:
    FaultFileSystem &owner_;
    std::unique_ptr<WritableFile> real_;
    std::shared_ptr<Content> content_;
};

FaultFileSystem::FaultFileSystem(fs::path root) : real_(posix_file_system()), root_(std::move(root)) {
    live_folders_.insert(root_);
    for (const fs::directory_entry &entry : fs::recursive_directory_iterator(root_)) {
        if (entry.is_directory()) {
            live_folders_.insert(entry.path());
        } else {
            const std::vector<std::byte> bytes = bytes_of(entry.path());
            live_names_[entry.path()] = std::make_shared<Content>(Content{.live = bytes, .durable = bytes});
        }
    }
    durable_folders_ = live_folders_;
    durable_names_ = live_names_;
}

std::uint64_t FaultFileSystem::operations() const {
    const Lock lock(mutex_);
    return operations_;
}

void FaultFileSystem::fail_at(std::uint64_t operation) {
    const Lock lock(mutex_);
    fail_at_ = operation;
}

void FaultFileSystem::stop_at(std::uint64_t operation) {
    const Lock lock(mutex_);
    stop_at_ = operation;
}

void FaultFileSystem::set_read_only(bool read_only) {
    const Lock lock(mutex_);
    read_only_ = read_only;
}

void FaultFileSystem::set_space(std::optional<std::uint64_t> bytes) {
    const Lock lock(mutex_);
    space_ = bytes;
}

void FaultFileSystem::hold_changes(bool hold) {
    const Lock lock(mutex_);
    hold_changes_ = hold;
    released_.notify_all();
}

void FaultFileSystem::hold_lists(bool hold) {
    const Lock lock(mutex_);
    hold_lists_ = hold;
    released_.notify_all();
}

std::uint64_t FaultFileSystem::largest_total_bytes() const {
    const Lock lock(mutex_);
    return largest_total_bytes_;
}

std::uint64_t FaultFileSystem::total_bytes(const Lock &) const {
    std::uint64_t sum = 0;
    for (const auto &[path, content] : live_names_) sum += content->live.size();
    return sum;
}

Result<void> FaultFileSystem::begin_change(Lock &lock) {
    released_.wait(lock, [&] { return !hold_changes_; });
    ++operations_;
    if (read_only_) return fail(ErrorCode::io, "can't write: Read-only file system");
    if (operations_ == fail_at_ || (stop_at_ != 0 && operations_ >= stop_at_))
        return fail(ErrorCode::io, "can't write: Input/output error");
    return {};
}

void FaultFileSystem::cut_power(PowerCut kind) {
    const Lock lock(mutex_);
    for (const auto &path : std::views::keys(live_names_)) fs::remove(path);
    if (kind == PowerCut::keep_names) {
        durable_names_ = live_names_;
        durable_folders_ = live_folders_;
        for (const auto &content : std::views::values(durable_names_)) {
            if (content->synced) continue;
            content->durable = content->live;
            content->durable.resize(content->live.size() / 2);
        }
    }
    for (const fs::path &folder : std::views::reverse(live_folders_)) {
        if (!durable_folders_.contains(folder)) fs::remove_all(folder);
    }
    std::erase_if(durable_folders_, [&](const fs::path &folder) {
        return folder != root_ && !durable_folders_.contains(folder.parent_path());  // set order: parents are seen first
    });
    std::erase_if(durable_names_, [&](const auto &entry) { return !durable_folders_.contains(entry.first.parent_path()); });
    for (const fs::path &folder : durable_folders_) fs::create_directories(folder);
    for (const auto &[path, content] : durable_names_) {
        content->live = content->durable;
        content->synced = true;
        put_bytes(path, content->durable);
    }
    live_names_ = durable_names_;
    live_folders_ = durable_folders_;
}

Result<std::unique_ptr<WritableFile>> FaultFileSystem::create(const fs::path &path) {
    Lock lock(mutex_);
    ENGRAM_TRY(begin_change(lock));
    ENGRAM_ASSIGN(std::unique_ptr<WritableFile> file, real_.create(path));
    auto content = std::make_shared<Content>();
    live_names_[path] = content;
    return std::make_unique<File>(*this, std::move(file), std::move(content));
}

Result<std::unique_ptr<ReadableFile>> FaultFileSystem::open(const fs::path &path) { return real_.open(path); }

Result<void> FaultFileSystem::rename(const fs::path &from, const fs::path &to) {
    Lock lock(mutex_);
    ENGRAM_TRY(begin_change(lock));
    ENGRAM_TRY(real_.rename(from, to));
    live_names_[to] = live_names_.at(from);
    live_names_.erase(from);
    return {};
}

Result<void> FaultFileSystem::remove(const fs::path &path) {
    Lock lock(mutex_);
    ENGRAM_TRY(begin_change(lock));
    ENGRAM_TRY(real_.remove(path));
    live_names_.erase(path);
    return {};
}

Result<void> FaultFileSystem::make_directories(const fs::path &path) {
    Lock lock(mutex_);
    ENGRAM_TRY(begin_change(lock));
    ENGRAM_TRY(real_.make_directories(path));
    for (fs::path folder = path; folder != root_ && folder.has_relative_path(); folder = folder.parent_path())
        live_folders_.insert(folder);
    return {};
}

Result<void> FaultFileSystem::sync_directory(const fs::path &path) {
    Lock lock(mutex_);
    ENGRAM_TRY(begin_change(lock));
    std::erase_if(durable_names_, [&](const auto &entry) { return entry.first.parent_path() == path; });
    for (const auto &entry : live_names_) {
        if (entry.first.parent_path() == path) durable_names_.insert(entry);
    }
    for (const fs::path &folder : live_folders_) {
        if (folder.parent_path() == path) durable_folders_.insert(folder);
    }
    return {};
}

Result<std::vector<DirectoryEntry>> FaultFileSystem::list(const fs::path &path) {
    {
        Lock lock(mutex_);
        released_.wait(lock, [&] { return !hold_lists_; });
    }
    return real_.list(path);
}

Result<std::uint64_t> FaultFileSystem::free_bytes(const fs::path &path) {
    {
        const Lock lock(mutex_);
        if (space_.has_value()) return *space_ - std::min(*space_, total_bytes(lock));
    }
    return real_.free_bytes(path);
}

}  // namespace engram::testing
