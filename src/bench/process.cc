#include "bench/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <format>
#include <fstream>
#include <sstream>

namespace engram::bench {

namespace {

constexpr useconds_t kLookEvery = 2'000;  // microseconds

double ticks_in_seconds(std::uint64_t ticks) { return static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK)); }

// Name and processor time out of a stat file of /proc.
struct Stat {
    std::string name;
    double cpu_s = 0;
};
Result<Stat> read_stat(const std::filesystem::path &file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    const std::size_t open = line.find('(');
    const std::size_t close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos) {
        return fail(ErrorCode::not_found, std::format("{} says nothing: has the process ended?", file.string()));
    }
    std::istringstream rest(line.substr(close + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) rest >> skipped;
    std::uint64_t user = 0;
    std::uint64_t system = 0;
    rest >> user >> system;
    return Stat{.name = line.substr(open + 1, close - open - 1), .cpu_s = ticks_in_seconds(user + system)};
}

}  // namespace

Result<Process> Process::start(const ProcessCommand &command) {
    std::vector<std::string> words = command.arguments;
    std::vector<char *> arguments;
    for (std::string &word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int log = ::open(command.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0) return fail(ErrorCode::io, std::format("{} can't be written: {}", command.log.string(), std::strerror(errno)));
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(127);
        ::dup2(log, STDOUT_FILENO);
        ::dup2(log, STDERR_FILENO);
        ::execvp(arguments.front(), arguments.data());
        ::_exit(127);
    }
    ::close(log);
    if (child < 0) return fail(ErrorCode::io, std::format("no process for {}: {}", words.front(), std::strerror(errno)));
    return Process(child);
}

Process &Process::operator=(Process &&other) noexcept {
    kill();
    pid_ = std::exchange(other.pid_, 0);
    return *this;
}

bool Process::reaped(int options) {
    pid_t found = 0;
    while ((found = ::waitpid(pid_, nullptr, options)) < 0 && errno == EINTR) {
    }
    if (found != 0) pid_ = 0;
    return found != 0;
}

bool Process::alive() { return pid_ != 0 && !reaped(WNOHANG); }

void Process::pause() {
    if (pid_ == 0 || ::kill(pid_, SIGSTOP) != 0) return;
    int status = 0;
    // Until it really stands still; unless it ends first.
    if (::waitpid(pid_, &status, WUNTRACED) == pid_ && !WIFSTOPPED(status)) pid_ = 0;
}

void Process::go_on() {
    if (pid_ != 0) ::kill(pid_, SIGCONT);
}

void Process::end(std::chrono::milliseconds patience) {
    if (pid_ == 0) return;
    go_on();
    ::kill(pid_, SIGTERM);
    const auto until = std::chrono::steady_clock::now() + patience;
    while (alive() && std::chrono::steady_clock::now() < until) ::usleep(kLookEvery);
    kill();
}

void Process::kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    reaped(0);
}

Result<Process::Usage> Process::usage() const {
    const std::filesystem::path folder = std::format("/proc/{}", pid_);
    Usage usage;
    ENGRAM_ASSIGN(const Stat whole, read_stat(folder / "stat"));
    usage.cpu_s = whole.cpu_s;
    std::error_code ignored;
    for (const auto &thread : std::filesystem::directory_iterator(folder / "task", ignored)) {
        if (const auto stat = read_stat(thread.path() / "stat")) usage.cpu_s_by_thread[stat->name] += stat->cpu_s;
    }
    std::ifstream memory(folder / "statm");
    std::uint64_t pages = 0;
    std::uint64_t resident = 0;
    memory >> pages >> resident;
    usage.resident_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return usage;
}

std::filesystem::path find_program(const std::string &name) {
    if (name.empty()) return {};
    if (name.contains('/')) return ::access(name.c_str(), X_OK) == 0 ? std::filesystem::path(name) : std::filesystem::path();
    const char *path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing here sets variables
    std::istringstream folders(path == nullptr ? "" : path);
    for (std::string folder; std::getline(folders, folder, ':');) {
        const std::filesystem::path file = std::filesystem::path(folder) / name;
        if (!folder.empty() && ::access(file.c_str(), X_OK) == 0) return file;
    }
    return {};
}

Result<std::uint16_t> free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool bound = socket >= 0 && ::bind(socket, reinterpret_cast<const sockaddr *>(&address), size) == 0 &&
                       ::getsockname(socket, reinterpret_cast<sockaddr *>(&address), &size) == 0;
    const int reason = errno;
    if (socket >= 0) ::close(socket);
    if (!bound) return fail(ErrorCode::io, std::format("no free port: {}", std::strerror(reason)));
    return ntohs(address.sin_port);
}

}  // namespace engram::bench
