// A program that is measured, as a process of its own: started, paused while another one is measured, and ended by its own id.
//
// It dies with us: nothing is left behind when a benchmark is killed. One thread at a time.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engram/error.h"

namespace engram::bench {

struct ProcessCommand {
    std::vector<std::string> arguments;  // the program first: a path, or a name that PATH knows
    std::filesystem::path log;           // what it says goes there, after what is there already
};

class Process {
  public:
    static Result<Process> start(const ProcessCommand &command);
    Process(Process &&other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
    Process &operator=(Process &&other) noexcept;
    ~Process() { kill(); }

    bool alive();  // also when paused
    void pause();
    void go_on();
    void end(std::chrono::milliseconds patience);  // SIGTERM; SIGKILL when that takes longer
    void kill();

    struct Usage {
        double cpu_s = 0;  // of all its threads, those that have ended included
        std::uint64_t resident_bytes = 0;
        std::map<std::string, double> cpu_s_by_thread;  // of those that live, by name
    };
    Result<Usage> usage() const;

  private:
    explicit Process(pid_t pid) : pid_(pid) {}
    bool reaped(int options);
    pid_t pid_ = 0;  // 0: none, or it has ended
};

// Where a program lies: the path itself when it has a folder in it, else what PATH says; empty when it isn't there.
std::filesystem::path find_program(const std::string &name);

// A port of 127.0.0.1 that nobody listens at now.
Result<std::uint16_t> free_port();

}  // namespace engram::bench
