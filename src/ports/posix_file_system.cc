#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <format>
#include <system_error>
#include <utility>

#include "ports/file_system.h"

namespace engram {

namespace {

namespace fs = std::filesystem;

#ifdef IOV_MAX
constexpr std::size_t kMaxPieces = IOV_MAX;
#else
constexpr std::size_t kMaxPieces = 1024;
#endif

std::unexpected<Error> refused(std::string_view what, const fs::path &path, int code) {
    const ErrorCode kind = code == ENOENT ? ErrorCode::not_found : ErrorCode::io;
    return fail(kind, std::format("can't {} {}: {}", what, path.string(), std::generic_category().message(code)));
}

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor(const Descriptor &) = delete;
    Descriptor &operator=(const Descriptor &) = delete;
    Descriptor &operator=(Descriptor &&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }

    int get() const { return fd_; }
    bool valid() const { return fd_ >= 0; }

  private:
    int fd_;
};

int open_retrying(const fs::path &path, int flags, mode_t mode = 0) {
    int fd = -1;
    do {
        fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

// Data and the size needed to read it back have reached the device. Returns 0 or an errno.
int flush_to_device(int fd) {
    int rc = -1;
    do {
#ifdef __APPLE__
        // fsync(2) of macOS stops at the drive's cache.
        rc = ::fcntl(fd, F_FULLFSYNC);
        if (rc != 0 && errno != EINTR) rc = ::fsync(fd);
#else
        rc = ::fsync(fd);
#endif
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

// The pieces that are still to be transferred; transfers may stop anywhere inside a piece.
class Remaining {
  public:
    explicit Remaining(std::span<const iovec> pieces) : pieces_(pieces.begin(), pieces.end()) { skip_empty(); }

    bool done() const { return next_ == pieces_.size(); }
    const iovec *data() const { return pieces_.data() + next_; }
    int count() const { return static_cast<int>(std::min(pieces_.size() - next_, kMaxPieces)); }

    void advance(std::size_t bytes) {
        while (bytes > 0) {
            iovec &piece = pieces_[next_];
            const std::size_t step = std::min(bytes, piece.iov_len);
            piece.iov_base = static_cast<std::byte *>(piece.iov_base) + step;
            piece.iov_len -= step;
            bytes -= step;
            skip_empty();
        }
    }

  private:
    void skip_empty() {
        while (next_ < pieces_.size() && pieces_[next_].iov_len == 0) ++next_;
    }

    std::vector<iovec> pieces_;
    std::size_t next_ = 0;
};

class PosixWritableFile final : public WritableFile {
  public:
    PosixWritableFile(fs::path path, Descriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

    Result<void> write(std::span<const iovec> pieces) override {
        Remaining remaining(pieces);
        while (!remaining.done()) {
            const ssize_t n = ::writev(fd_.get(), remaining.data(), remaining.count());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return refused("write", path_, errno);
            remaining.advance(static_cast<std::size_t>(n));
        }
        return {};
    }

    Result<void> sync() override {
        if (const int code = flush_to_device(fd_.get()); code != 0) return refused("sync", path_, code);
        return {};
    }

  private:
    fs::path path_;
    Descriptor fd_;
};

class PosixReadableFile final : public ReadableFile {
  public:
    PosixReadableFile(fs::path path, Descriptor fd, std::uint64_t size)
        : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

    std::uint64_t size() const override { return size_; }

    Result<void> read(std::uint64_t offset, std::span<const iovec> pieces) override {
        Remaining remaining(pieces);
        while (!remaining.done()) {
            const ssize_t n = ::preadv(fd_.get(), remaining.data(), remaining.count(), static_cast<off_t>(offset));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return refused("read", path_, errno);
            if (n == 0)
                return fail(ErrorCode::corrupt,
                            std::format("{} ends at byte {}, before its content does", path_.string(), offset));
            offset += static_cast<std::uint64_t>(n);
            remaining.advance(static_cast<std::size_t>(n));
        }
        return {};
    }

  private:
    fs::path path_;
    Descriptor fd_;
    std::uint64_t size_;
};

std::int64_t modified_ms(const struct stat &facts) {
#ifdef __APPLE__
    const timespec &time = facts.st_mtimespec;
#else
    const timespec &time = facts.st_mtim;
#endif
    return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

class PosixFileSystem final : public FileSystem {
  public:
    Result<std::unique_ptr<WritableFile>> create(const fs::path &path) override {
        Descriptor fd(open_retrying(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
        if (!fd.valid()) return refused("create", path, errno);
        return std::make_unique<PosixWritableFile>(path, std::move(fd));
    }

    Result<std::unique_ptr<ReadableFile>> open(const fs::path &path) override {
        // O_NONBLOCK: a pipe that somebody put there must not hang us; it changes nothing for files.
        Descriptor fd(open_retrying(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
        if (!fd.valid()) return refused("open", path, errno);
        struct stat facts{};
        if (::fstat(fd.get(), &facts) != 0) return refused("examine", path, errno);
        if (!S_ISREG(facts.st_mode)) return fail(ErrorCode::io, std::format("{} isn't a regular file", path.string()));
        return std::make_unique<PosixReadableFile>(path, std::move(fd), static_cast<std::uint64_t>(facts.st_size));
    }

    Result<void> rename(const fs::path &from, const fs::path &to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) return refused("rename", from, errno);
        return {};
    }

    Result<void> remove(const fs::path &path) override {
        if (::unlink(path.c_str()) != 0) return refused("remove", path, errno);
        return {};
    }

    Result<void> make_directories(const fs::path &path) override {
        fs::path made;
        for (const fs::path &component : path) {
            made /= component;
            if (::mkdir(made.c_str(), 0700) == 0 || errno == EEXIST) continue;
            // Some systems refuse to make "/" or a read-only mount's existing folders with other codes than EEXIST.
            const int code = errno;
            struct stat facts{};
            if (::stat(made.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode)) return refused("make the directory", made, code);
        }
        struct stat facts{};
        if (::stat(path.c_str(), &facts) != 0) return refused("make the directory", path, errno);
        if (!S_ISDIR(facts.st_mode)) return refused("make the directory", path, ENOTDIR);
        return {};
    }

    Result<void> sync_directory(const fs::path &path) override {
        const Descriptor fd(open_retrying(path, O_RDONLY | O_DIRECTORY));
        if (!fd.valid()) return refused("open the directory", path, errno);
        if (const int code = flush_to_device(fd.get()); code != 0) return refused("sync the directory", path, code);
        return {};
    }

    Result<std::vector<DirectoryEntry>> list(const fs::path &path) override {
        const std::unique_ptr<DIR, int (*)(DIR *)> directory(::opendir(path.c_str()), &::closedir);
        if (directory == nullptr) return refused("list", path, errno);
        std::vector<DirectoryEntry> entries;
        for (;;) {
            errno = 0;
            const dirent *found = ::readdir(directory.get());
            if (found == nullptr) break;
            const std::string_view name = found->d_name;
            if (name == "." || name == "..") continue;
            struct stat facts{};
            if (::fstatat(::dirfd(directory.get()), found->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
                if (errno == ENOENT) continue;  // removed since it was listed
                return refused("examine", path / name, errno);
            }
            entries.push_back({.name = std::string(name),
                               .is_directory = S_ISDIR(facts.st_mode),
                               .bytes = S_ISREG(facts.st_mode) ? static_cast<std::uint64_t>(facts.st_size) : 0,
                               .modified_ms = modified_ms(facts)});
        }
        if (errno != 0) return refused("list", path, errno);
        return entries;
    }

    Result<std::uint64_t> free_bytes(const fs::path &path) override {
        struct statvfs facts{};
        if (::statvfs(path.c_str(), &facts) != 0) return refused("examine the file system of", path, errno);
        return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
    }
};

}  // namespace

FileSystem &posix_file_system() {
    static PosixFileSystem files;
    return files;
}

}  // namespace engram
