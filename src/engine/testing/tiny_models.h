// Tiny synthetic models for tests, written once for each test program into its temporary folder.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <format>
#include <map>
#include <memory>
#include <string>

#include "engine/backend.h"
#include "engine/model.h"
#include "engine/synth.h"

namespace engram::testing {

// A folder that disappears with the object.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "engram-test-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder &) = delete;
    TemporaryFolder &operator=(const TemporaryFolder &) = delete;
    const std::filesystem::path &path() const { return path_; }

  private:
    std::filesystem::path path_;
};

inline std::filesystem::path tiny_model(const std::string &geometry, const std::string &type = "f32", std::uint32_t seed = 1) {
    static TemporaryFolder folder;
    const std::filesystem::path file = folder.path() / std::format("{}-{}-{}.gguf", geometry, type, seed);
    if (!std::filesystem::exists(file)) {
        const auto written = write_synthetic_model({.geometry = geometry, .type = type, .seed = seed}, file, nullptr);
        if (!written) ADD_FAILURE() << written.error().message;
    }
    return file;
}

// What names a test of a geometry or type: only letters, digits and underscores may stand in it.
inline std::string test_name(std::string parameter) {
    std::ranges::replace(parameter, '-', '_');
    return parameter;
}

inline ModelOptions tiny_options(const std::string &geometry, std::uint32_t context_tokens = 1024) {
    ModelOptions options;
    options.path = tiny_model(geometry);
    options.context_tokens = context_tokens;
    options.batch_tokens = 128;
    options.max_running = 4;
    options.threads = 1;
    return options;
}

inline std::unique_ptr<Model> load_tiny(const ModelOptions &options) {
    auto model = Model::load(options, nullptr, nullptr);
    if (!model) {
        ADD_FAILURE() << model.error().message;
        return nullptr;
    }
    return std::move(*model);
}

}  // namespace engram::testing
