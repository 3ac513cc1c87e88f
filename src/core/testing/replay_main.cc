// The main program of fuzz entries in builds without libFuzzer: PROGRAM FOLDER… gives the entry every file of the folders, and
// random changes of them (ENGRAM_TEST_SEED chooses others).
//
// What an entry is given lies in PROGRAM.input meanwhile: when it brings the process down, in whatever way, that file stays.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "core/testing/test_seed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);

namespace {

constexpr std::size_t kChanged = 300;         // inputs that are made of the corpus
constexpr std::size_t kMaxBytes = 64U << 10;  // of a changed one

std::vector<std::filesystem::path> files_of(const std::filesystem::path &folder) {
    std::vector<std::filesystem::path> files;
    for (const auto &entry : std::filesystem::directory_iterator(folder)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
}

std::string bytes_of(const std::filesystem::path &file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

class Replay {
  public:
    explicit Replay(std::filesystem::path input) : input_(std::move(input)) {}

    void run(const std::string &bytes) const {
        std::ofstream(input_, std::ios::binary | std::ios::trunc) << bytes;
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t *>(bytes.data()), bytes.size());
    }
    void done() const { std::filesystem::remove(input_); }

  private:
    const std::filesystem::path input_;
};

// One to four changes: a byte, a piece that is left out, repeated, or taken from another input.
std::string changed(std::string bytes, const std::string &other, std::mt19937_64 &random) {
    const auto below = [&](std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random() % n); };
    for (std::size_t n = 1 + below(4); n > 0; --n) {
        const std::size_t at = below(bytes.size()), size = 1 + below(16);
        switch (below(5)) {
            case 0:
                if (!bytes.empty()) bytes[at] = static_cast<char>(random());
                break;
            case 1: bytes.erase(at, size); break;
            case 2: bytes.insert(below(bytes.size()), std::string(bytes, at, size)); break;
            case 3: bytes.insert(at, other, below(other.size()), size); break;
            default: bytes.insert(at, 1, static_cast<char>(random())); break;
        }
    }
    bytes.resize(std::min(bytes.size(), kMaxBytes));
    return bytes;
}

}  // namespace

int main(int count, char **words) {
    const std::vector<std::string> arguments(words, words + count);
    const Replay replay(std::filesystem::path(arguments.front()).concat(".input"));
    std::vector<std::string> corpus;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        for (const std::filesystem::path &file : files_of(arguments[i])) {
            std::cout << file.filename().string() << std::endl;
            corpus.push_back(bytes_of(file));
            replay.run(corpus.back());
        }
    }
    if (corpus.empty()) {
        std::cerr << "there is nothing to replay: name the folders of a corpus\n";
        return 2;
    }
    std::mt19937_64 random(engram::test_seed());
    for (std::size_t i = 0; i < kChanged; ++i) {
        replay.run(changed(corpus[i % corpus.size()], corpus[random() % corpus.size()], random));
    }
    replay.done();
    std::cout << corpus.size() << " inputs, and " << kChanged << " made of them" << std::endl;
}
