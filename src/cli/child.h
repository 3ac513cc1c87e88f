// Work in a process of its own: what proves that memory survives a process, or is measured in a new one.
#pragma once

#include <filesystem>
#include <functional>

#include "cli/output.h"
#include "engram/error.h"

namespace engram::cli {

enum class Ending : std::uint8_t {
    normal,
    killed,  // by SIGKILL, straight after the work's last word: no destructor runs, nothing is closed
};

// Forks, runs `work` in the child, and returns what it returned. The parent must not have touched the engine, nor started a
// thread. internal: the child died before it answered (the message says how).
Result<Json> in_child(Ending ending, const std::function<Result<Json>()> &work);

// A new folder `prefix`XXXXXX under `parent`, removed with everything in it at the end unless kept.
class WorkFolder {
  public:
    static Result<WorkFolder> make(const std::filesystem::path &parent, const std::string &prefix, bool keep);
    ~WorkFolder();
    WorkFolder(WorkFolder &&other) noexcept;
    WorkFolder &operator=(WorkFolder &&) = delete;

    const std::filesystem::path &path() const { return path_; }

  private:
    WorkFolder(std::filesystem::path path, bool keep) : path_(std::move(path)), keep_(keep) {}
    std::filesystem::path path_;  // empty: moved from
    bool keep_ = false;
};

// The given model; else a synthetic one of this geometry, written to ENGRAM_HOME/models once.
struct ChosenModel {
    std::filesystem::path path;
    bool synthetic = false;
    std::string name;
};
Result<ChosenModel> choose_model(const std::filesystem::path &given, const std::filesystem::path &home,
                                 const std::string &geometry, const std::string &type, const Output &out);

}  // namespace engram::cli
