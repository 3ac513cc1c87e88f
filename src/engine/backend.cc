#include "engine/backend.h"

#include <ggml-backend.h>
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string_view>

#include "engine/huge_pages.h"

namespace engram {

namespace {

// libllama reports the cause first and "failed to load model" after it, so one line would keep the useless half.
constexpr std::size_t kKeptLines = 3;
constexpr std::size_t kLineBytes = 512;

struct EngineLog {
    std::mutex mutex;
    std::deque<std::string> lines;  // guarded by mutex
    bool continues = false;         // guarded by mutex: the last message was an error, so a continuation belongs to it
    bool verbose = false;           // constant after initialise_engine
    HugePages huge_pages;           // guarded by mutex
};

// "load_tensors: CPU model buffer size = 161.05 MiB", and the same about KV, states, and what is computed: said when a buffer has
// been made and before it is filled.
constexpr std::string_view kOfABuffer = "buffer size";

EngineLog &engine_log() {
    static auto *const kLog = new EngineLog;  // never destroyed: backends log from their own static destructors
    return *kLog;
}

void on_log(ggml_log_level level, const char *text, void * /*unused*/) {
    EngineLog &log = engine_log();
    if (log.verbose) std::fputs(text, stderr);
    const std::scoped_lock lock(log.mutex);
    if (std::string_view(text).contains(kOfABuffer)) log.huge_pages.advise_new();
    const bool continuation = level == GGML_LOG_LEVEL_CONT && log.continues && !log.lines.empty();
    log.continues = level == GGML_LOG_LEVEL_ERROR || continuation;
    if (!log.continues) return;
    if (!continuation) {
        if (log.lines.size() == kKeptLines) log.lines.pop_front();
        log.lines.emplace_back();
    }
    std::string &line = log.lines.back();
    line.append(std::string_view(text).substr(0, kLineBytes - std::min(line.size(), kLineBytes)));
}

}  // namespace

void initialise_engine() {
    static std::once_flag once;
    std::call_once(once, [] {
        const char *wanted = std::getenv("ENGRAM_ENGINE_LOG");
        engine_log().verbose = wanted != nullptr && std::string_view(wanted) == "1";
        llama_log_set(on_log, nullptr);
        ggml_backend_load_all();
        llama_backend_init();
    });
}

std::string last_engine_error() {
    EngineLog &log = engine_log();
    const std::scoped_lock lock(log.mutex);
    std::string joined;
    for (const std::string &line : log.lines) {
        const std::string_view text = std::string_view(line).substr(0, line.find_last_not_of(" \r\n") + 1);
        if (text.empty()) continue;
        if (!joined.empty()) joined += "; ";
        joined += text;
    }
    log.lines.clear();
    log.continues = false;
    return joined;
}

}  // namespace engram
