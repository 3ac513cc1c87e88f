#include <blake3.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <format>
#include <memory>

#include "engine/model_file.h"

namespace engram {

namespace {

class Descriptor {
  public:
    explicit Descriptor(const std::filesystem::path &path) : value_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    Descriptor(const Descriptor &) = delete;
    Descriptor &operator=(const Descriptor &) = delete;
    int get() const { return value_; }

  private:
    int value_;
};

std::unexpected<Error> refuse(const std::filesystem::path &path, int error) {
    const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io;
    return fail(code, std::format("can't read the model file {}: {}", path.string(), std::strerror(error)));
}

Result<FileStamp> stamp_of(const struct stat &status, const std::filesystem::path &path) {
    if (!S_ISREG(status.st_mode)) return fail(ErrorCode::io, std::format("the model {} isn't a regular file", path.string()));
#ifdef __APPLE__
    const timespec &modified = status.st_mtimespec;
#else
    const timespec &modified = status.st_mtim;
#endif
    return FileStamp{.bytes = static_cast<std::uint64_t>(status.st_size),
                     .modified_ns = static_cast<std::int64_t>(modified.tv_sec) * 1'000'000'000 + modified.tv_nsec,
                     .inode = static_cast<std::uint64_t>(status.st_ino)};
}

// Read, not mapped: a file that is cut off meanwhile would end the process with SIGBUS.
Result<Digest> hash_content(int descriptor, const std::filesystem::path &path) {
    constexpr std::size_t kChunk = 1 << 20;
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kChunk);
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    for (;;) {
        const ssize_t count = ::read(descriptor, buffer.get(), kChunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return refuse(path, errno);
        if (count == 0) break;
        blake3_hasher_update(&hasher, buffer.get(), static_cast<std::size_t>(count));
    }
    Digest digest;
    blake3_hasher_finalize(&hasher, digest.bytes.data(), digest.bytes.size());
    return digest;
}

Result<Digest> hash_one(const std::filesystem::path &path, HashMemo *memo) {
    const Descriptor file(path);
    if (file.get() < 0) return refuse(path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return refuse(path, errno);
    ENGRAM_ASSIGN(const FileStamp before, stamp_of(status, path));
    if (memo != nullptr) {
        if (const auto known = memo->find(path, before.bytes, before.modified_ns, before.inode)) return *known;
    }
    ENGRAM_ASSIGN(const Digest digest, hash_content(file.get(), path));
    if (::fstat(file.get(), &status) != 0) return refuse(path, errno);
    ENGRAM_ASSIGN(const FileStamp after, stamp_of(status, path));
    if (before != after) {
        return fail(ErrorCode::io, std::format("the model file {} was changed while it was read; try again", path.string()));
    }
    if (memo != nullptr) memo->remember(path, before.bytes, before.modified_ns, before.inode, digest);
    return digest;
}

}  // namespace

Result<FileStamp> stamp_file(const std::filesystem::path &path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return refuse(path, errno);
    return stamp_of(status, path);
}

std::vector<std::filesystem::path> model_file_parts(const std::filesystem::path &path) {
    constexpr std::string_view kPattern = "-00001-of-00001.gguf";
    constexpr std::size_t kNumberAt = 1;
    constexpr std::size_t kCountAt = 10;
    constexpr std::size_t kDigits = 5;
    const std::string name = path.filename().string();
    if (name.size() <= kPattern.size()) return {path};
    const std::string_view ending = std::string_view(name).substr(name.size() - kPattern.size());
    for (std::size_t i = 0; i < kPattern.size(); ++i) {
        const bool digit_wanted = kPattern[i] >= '0' && kPattern[i] <= '9';
        if (digit_wanted ? ending[i] < '0' || ending[i] > '9' : ending[i] != kPattern[i]) return {path};
    }
    const auto number = [ending](std::size_t at) {
        unsigned value = 0;
        std::from_chars(ending.data() + at, ending.data() + at + kDigits, value);
        return value;
    };
    const unsigned count = number(kCountAt);
    if (count < 2 || number(kNumberAt) < 1 || number(kNumberAt) > count) return {path};
    std::vector<std::filesystem::path> parts;
    const std::string_view prefix = std::string_view(name).substr(0, name.size() - kPattern.size());
    for (unsigned part = 1; part <= count; ++part) {
        parts.push_back(path.parent_path() / std::format("{}-{:05}-of-{:05}.gguf", prefix, part, count));
    }
    return parts;
}

Result<Digest> hash_model_file(const std::filesystem::path &path, HashMemo *memo) {
    const std::vector<std::filesystem::path> parts = model_file_parts(path);
    if (parts.size() == 1) return hash_one(parts.front(), memo);
    blake3_hasher hasher;
    blake3_hasher_init_derive_key(&hasher, "engram split model 1");
    for (const std::filesystem::path &part : parts) {
        ENGRAM_ASSIGN(const Digest digest, hash_one(part, memo));
        blake3_hasher_update(&hasher, digest.bytes.data(), digest.bytes.size());
    }
    Digest digest;
    blake3_hasher_finalize(&hasher, digest.bytes.data(), digest.bytes.size());
    return digest;
}

}  // namespace engram
