// The benchmarks, and what they run with.
//
// A benchmark has variants (a model and a KV type, for instance); each run of one gives a record of its own. It runs in a process
// of its own that has neither touched the engine nor started a thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/agreement.h"
#include "bench/record.h"
#include "bench/side.h"
#include "engram/error.h"

namespace engram::bench {

enum class Size : std::uint8_t {
    smoke,  // does it work: a tiny model, a few tokens, one repetition
    quick,  // a selection: all of them in 40 minutes on two cores
    full,   // hours
};
std::string_view size_name(Size size);

struct LabOptions {
    Size size = Size::quick;
    std::string engram;                                  // the program's path
    std::string peer;                                    // llama-server's; empty: measured without it
    std::filesystem::path model;                         // instead of the synthetic ones; empty: none
    std::filesystem::path embedded;                      // the model that comes with the program; empty: there is none
    std::filesystem::path suite;                         // of questions for it; empty: there is none
    std::filesystem::path home;                          // what folders of runs are made in; the records name its file system
    std::filesystem::path folder;                        // of this run alone
    std::filesystem::path partial = {};                  // the file that parts are kept in (parts.h); empty: they aren't
    std::int32_t threads = 0;                            // of each server; not 0
    std::vector<std::uint32_t> tokens = {};              // lengths, instead of the benchmark's own
    std::uint32_t repetitions = 0;                       // 0: the benchmark's own
    bool examined = false;                               // a small run in which answers are compared, and nothing else counts
    std::function<void(const std::string &)> note = {};  // a line of progress; may be null
    // The file of a synthetic model.
    std::function<Result<std::filesystem::path>(const std::string &geometry, const std::string &type)> synthetic = {};
    // Runs work in a process of its own, and returns what it returned.
    std::function<Result<OrderedJson>(const std::function<Result<OrderedJson>()> &)> isolate = {};
};

// What benchmarks have in common: models, servers, texts.
class Lab {
  public:
    explicit Lab(LabOptions options) : options_(std::move(options)) {}

    const LabOptions &options() const { return options_; }
    Size size() const { return options_.size; }
    bool smoke() const { return options_.size == Size::smoke; }
    bool examined() const { return options_.examined; }
    template <typename T>
    T by_size(const T &smoke, const T &quick, const T &full) const {
        return options_.size == Size::smoke ? smoke : options_.size == Size::quick ? quick : full;
    }
    std::uint32_t repetitions(std::uint32_t usual) const;
    std::vector<std::uint32_t> lengths(const std::vector<std::uint32_t> &usual) const;
    void note(const std::string &line) const;
    // Something that a benchmark measures and that needs nothing of its other parts: `work` adds to a record that is otherwise as
    // this one, and is not called where an interrupted run has done so (parts.h); a note then says it. What work sets in the
    // configuration is lost. The benchmark's parts have different names.
    Result<void> part(Record &record, const std::string &name, const std::function<Result<void>(Record &part)> &work) const;

    // The model to measure with: the given one, or the synthetic one of the usual shape (a tiny one when smoke). The name goes
    // into the record's configuration.
    Result<std::filesystem::path> model(const std::string &usual, Record &record) const;
    std::string geometry(const std::string &usual) const;
    SideOptions side(const std::filesystem::path &model) const;  // what both sides have in common

  private:
    LabOptions options_;
};

// The peer, with flags of its own.
struct PeerKind {
    std::string label;  // its side's name in the record
    std::vector<std::string> flags;
};

// Both servers. Only the one that is being measured runs; the other one stands still. The same peer can be there several times,
// with other flags.
class Pair {
  public:
    // Without a peer there is only one; the record's notes then say so. Its configuration says how both run.
    static Result<std::unique_ptr<Pair>> start(const Lab &lab, const SideOptions &options, Record &record,
                                               std::span<const PeerKind> peers);
    static Result<std::unique_ptr<Pair>> start(const Lab &lab, const SideOptions &options, Record &record) {
        const PeerKind peer{.label = std::string(kPeer), .flags = {}};
        return start(lab, options, record, std::span(&peer, 1));
    }

    // Calls it for one after the other, in this order and in the opposite one by turns.
    Result<void> each(const std::function<Result<void>(Side &)> &measure);
    Side &ours() { return *sides_.front(); }
    Side *peer() { return sides_.size() > 1 ? sides_[1].get() : nullptr; }
    std::span<const std::unique_ptr<Side>> sides() const { return sides_; }
    // Text of about so many tokens as the model reads it; with another seed it differs from its first words on.
    Result<std::string> text(std::uint32_t tokens, std::uint32_t seed);
    // Only for this one call; the other one stands still.
    Result<void> alone(Side &side, const std::function<Result<void>(Side &)> &measure);

  private:
    std::vector<std::unique_ptr<Side>> sides_;
    bool other_first_ = false;
};

std::string question(std::uint32_t number);  // a short one, with another beginning for each number

// What a comparison begins with: the same benchmark in its smallest size with the model that comes with the program, which knows
// what it says. Whether both servers answered alike goes into the record, as checks; figures are thrown away. Nothing in that
// small run itself, or without a peer.
using RunBenchmark = Result<void> (*)(const Lab &lab, const std::string &variant, Record &record);
Result<void> answer_alike(const Lab &lab, Record &record, RunBenchmark run);

struct Benchmark {
    std::string_view name, title, about;  // about: one sentence for the list of them
    std::vector<std::string> (*variants)(const Lab &lab);
    RunBenchmark run;
};

std::span<const Benchmark> benchmarks();
const Benchmark *find_benchmark(std::string_view name);  // nullptr: none of that name

// What a record says about where and with what it was made, beside what the benchmark itself writes: the machine, versions.
// Loads the engine's backends.
struct Origin {
    std::string version, commit;  // of the program
};
Result<Record> run_benchmark(const Benchmark &benchmark, const std::string &variant, const Lab &lab, const Origin &origin);
// The same without having run: what measured_alike compares.
Record expected_record(const Benchmark &benchmark, const std::string &variant, const Lab &lab, const Origin &origin);

}  // namespace engram::bench
