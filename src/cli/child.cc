#include "cli/child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <format>

#include "cli/home.h"
#include "cli/progress.h"
#include "engine/synth.h"

namespace engram::cli {

namespace {

std::string read_all(int descriptor) {
    std::string text;
    char buffer[4096];
    for (;;) {
        const ssize_t count = ::read(descriptor, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return text;
        text.append(buffer, static_cast<std::size_t>(count));
    }
}

void write_all(int descriptor, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(descriptor, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;  // the parent is gone: nobody to tell
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

[[noreturn]] void run_child(int answer, Ending ending, const std::function<Result<Json>()> &work) {
    Json reply;
    if (Result<Json> result = work()) {
        reply["value"] = std::move(*result);
    } else {
        reply["error"] = {{"code", static_cast<int>(result.error().code)}, {"message", result.error().message}};
    }
    std::fflush(stdout);
    write_all(answer, json_text(reply, false));
    if (ending == Ending::killed) ::raise(SIGKILL);
    ::_exit(0);
}

Result<Json> parse_reply(const std::string &text, int status) {
    const Json reply = Json::parse(text, nullptr, false);
    if (reply.is_object() && reply.contains("value")) return reply["value"];
    if (reply.is_object() && reply.contains("error")) {
        return fail(static_cast<ErrorCode>(reply["error"]["code"].get<int>()), reply["error"]["message"].get<std::string>());
    }
    if (WIFSIGNALED(status)) {
        return fail(ErrorCode::internal, std::format("a child process was ended by signal {} ({}) before it answered",
                                                     WTERMSIG(status), ::strsignal(WTERMSIG(status))));
    }
    return fail(ErrorCode::internal, std::format("a child process ended with status {} before it answered", WEXITSTATUS(status)));
}

}  // namespace

Result<Json> in_child(Ending ending, const std::function<Result<Json>()> &work) {
    int ends[2];
    if (::pipe(ends) != 0) return fail(ErrorCode::io, std::format("no pipe to a child process: {}", std::strerror(errno)));
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child < 0) {
        const int reason = errno;
        ::close(ends[0]);
        ::close(ends[1]);
        return fail(ErrorCode::io, std::format("no child process: {}", std::strerror(reason)));
    }
    if (child == 0) {
        ::close(ends[0]);
        run_child(ends[1], ending, work);
    }
    ::close(ends[1]);
    const std::string reply = read_all(ends[0]);
    ::close(ends[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return parse_reply(reply, status);
}

Result<WorkFolder> WorkFolder::make(const std::filesystem::path &parent, const std::string &prefix, bool keep) {
    ENGRAM_TRY(ensure_home(parent));
    std::string path = (parent / (prefix + "XXXXXX")).string();
    if (::mkdtemp(path.data()) == nullptr) {
        return fail(ErrorCode::io, std::format("no folder could be made in {}: {}", parent.string(), std::strerror(errno)));
    }
    return WorkFolder(path, keep);
}

WorkFolder::WorkFolder(WorkFolder &&other) noexcept : path_(std::move(other.path_)), keep_(other.keep_) { other.path_.clear(); }

WorkFolder::~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty() && !keep_) std::filesystem::remove_all(path_, ignored);
}

Result<ChosenModel> choose_model(const std::filesystem::path &given, const std::filesystem::path &home,
                                 const std::string &geometry, const std::string &type, const Output &out) {
    if (!given.empty()) return ChosenModel{.path = given, .synthetic = false, .name = given.filename().string()};
    ENGRAM_TRY(ensure_home(home / "models"));
    const std::filesystem::path path = home / "models" / std::format("{}-{}.gguf", geometry, type);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        Progress progress(out, std::format("writing the synthetic model {}", geometry));
        ENGRAM_TRY(write_synthetic_model({.geometry = geometry, .type = type}, path,
                                         [&](float done) { progress.update(static_cast<std::uint64_t>(done * 1000), 1000); }));
    }
    return ChosenModel{.path = path, .synthetic = true, .name = std::format("{} {}", geometry, type)};
}

}  // namespace engram::cli
