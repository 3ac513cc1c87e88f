#include "store/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <format>
#include <string>
#include <system_error>

namespace engram {

namespace {

long read_pid(int fd) {
    std::array<char, 32> text{};
    const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
    long pid = 0;
    if (n > 0) std::from_chars(text.data(), text.data() + n, pid);
    return pid;
}

bool write_pid(int fd) {
    const std::string text = std::format("{}\n", ::getpid());
    return ::ftruncate(fd, 0) == 0 && ::pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

std::string reason(int code) { return std::generic_category().message(code); }

}  // namespace

Result<std::unique_ptr<StoreLock>> StoreLock::acquire(const std::filesystem::path &path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return fail(ErrorCode::io, std::format("can't open the lock file {}: {}", path.string(), reason(errno)));
    int rc = -1;
    do {
        rc = ::flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        const int code = errno;
        const long pid = read_pid(fd);
        ::close(fd);
        if (code != EWOULDBLOCK) return fail(ErrorCode::io, std::format("can't lock {}: {}", path.string(), reason(code)));
        // The holder may not have written its pid yet.
        const std::string holder = pid > 0 ? std::format("process {}", pid) : "another process";
        return fail(ErrorCode::locked, std::format("{} is using this store (lock file {}); stop it, or choose another folder",
                                                   holder, path.string()));
    }
    const bool taken_over = read_pid(fd) > 0;
    std::unique_ptr<StoreLock> lock(new StoreLock(fd, taken_over));
    if (!write_pid(fd))
        return fail(ErrorCode::io, std::format("can't write to the lock file {}: {}", path.string(), reason(errno)));
    return lock;
}

StoreLock::~StoreLock() {
    // Left behind, the pid would look like a crash. When even that fails, the next open reports a takeover: harmless.
    if (::ftruncate(fd_, 0) != 0) errno = 0;
    ::close(fd_);
}

}  // namespace engram
