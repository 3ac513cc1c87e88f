// How long an agent's first token takes: computed from nothing, from the cells, and brought back from disk in a new process.
//
// Two phases, each to be run in a process of its own over the same home: `compute` prefills an agent of each length, measures the
// cold start and the saving of a further turn, and leaves KV on disk and the expected logits beside it; `resume` brings the
// agents back. The floor of a resume, one memcpy of the bytes that are restored and one decode step, is measured between the
// resumes.
//
// TTFT is from the submission of a prompt of `tokens` + 1 tokens to the logits of its last one; a resume includes planning,
// reading, verifying and putting back. Times are medians of `repetitions`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engram/agents.h"
#include "engram/error.h"

namespace engram::bench {

struct ResumeOptions {
    std::filesystem::path home;  // of this benchmark alone
    ModelOptions model;          // context_tokens and max_running are chosen by the benchmark
    StorageOptions storage;
    std::vector<std::uint32_t> tokens{67, 2000, 20000};
    std::uint32_t repetitions = 7;
    std::function<void(const std::string &)> note;  // a line of progress; may be null
};

struct ComputedRow {
    std::uint32_t tokens = 0;
    double cold_ttft_ms = 0, hot_ttft_ms = 0;
    double save_ms = 0;               // taking a turn's KV out of the context and writing it, until all of it is synced
    std::uint64_t save_bytes = 0;     // written to disk for that turn of 100 tokens, file headers included
    std::uint64_t turn_kv_bytes = 0;  // the KV of those 100 tokens
    std::uint64_t block_bytes = 0;    // the KV of one full block
    double placement_difference =
        0;  // largest difference between the logits of the same agent before it left and after it came back
};

struct ResumedRow {
    std::uint32_t tokens = 0;
    double disk_ttft_ms = 0;                     // page cache warm
    double disk_first_ttft_ms = 0;               // the very first resume of the process
    std::optional<double> disk_dropped_ttft_ms;  // page cache dropped for the parts' files
    double stayed_cached = 0;                    // of those files' pages: the share that stayed there nevertheless
    double restore_ms = 0;
    std::uint64_t restored_bytes = 0;
    double memcpy_ms = 0, step_ms = 0;  // the floor
    std::uint64_t reused_tokens = 0;
    std::string tier;
    bool logits_equal = false;  // bit for bit to the computing process's, cells placed alike
};

Result<std::vector<ComputedRow>> measure_computed(const ResumeOptions &options);
Result<std::vector<ResumedRow>> measure_resumed(const ResumeOptions &options);

}  // namespace engram::bench
