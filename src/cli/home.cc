#include "cli/home.h"

#include <sys/stat.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <format>

#include "config/installed_file.h"
#include "config/options.h"

namespace engram::cli {

Result<void> ensure_home(const std::filesystem::path &home) {
    std::filesystem::path made;
    for (const std::filesystem::path &step : home) {
        made /= step;
        if (::mkdir(made.c_str(), 0700) != 0 && errno != EEXIST && errno != EISDIR) {
            const int reason = errno;
            std::error_code ignored;
            if (!std::filesystem::is_directory(made, ignored)) {  // a read-only parent that is there is no obstacle
                return fail(ErrorCode::io, std::format("can't make the folder {}: {}", made.string(), std::strerror(reason)));
            }
        }
    }
    std::error_code error;
    if (!std::filesystem::is_directory(home, error)) {
        return fail(ErrorCode::io, std::format("{} isn't a folder", home.string()));
    }
    return {};
}

Result<void> require_model(ManagerOptions &options) {
    if (options.model.path.empty()) options.model.path = installed_file(kInstalledModel).value_or(std::filesystem::path());
    if (!options.model.path.empty()) return {};
    return fail(ErrorCode::invalid_argument,
                "no model is given: use --model PATH or ENGRAM_MODEL, or write a synthetic one with "
                "`engram model synth --geometry tiny-llama OUT.gguf`");
}

Result<std::unique_ptr<AgentManager>> open_manager(const Context &context) {
    ENGRAM_ASSIGN(ManagerOptions options, manager_options(context.settings));
    ENGRAM_TRY(require_model(options));
    ENGRAM_TRY(ensure_home(options.home));
    options.storage.preload = false;  // a command ends before a guess could be of use
    return AgentManager::open(std::move(options));
}

std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace engram::cli
