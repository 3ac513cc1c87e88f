#include <algorithm>
#include <format>
#include <thread>
#include <utility>

#include "bench/benchmark.h"
#include "bench/parts.h"

namespace engram::bench {

namespace {

constexpr std::string_view kWeights = "q8_0";

constexpr std::chrono::milliseconds kSettling{30};  // timers that came due while a server stood still go off

}  // namespace

std::string_view size_name(Size size) {
    switch (size) {
        case Size::smoke: return kSmoke;
        case Size::quick: return "quick";
        case Size::full: return "full";
    }
    return "";
}

std::uint32_t Lab::repetitions(std::uint32_t usual) const {
    if (options_.repetitions > 0) return options_.repetitions;
    return smoke() ? 1 : usual;
}

std::vector<std::uint32_t> Lab::lengths(const std::vector<std::uint32_t> &usual) const {
    return options_.tokens.empty() ? usual : options_.tokens;
}

void Lab::note(const std::string &line) const {
    if (options_.note) options_.note(line);
}

std::string Lab::geometry(const std::string &usual) const {
    if (!smoke()) return usual;
    return usual.starts_with("gemma3") ? "tiny-gemma3" : usual.starts_with("qwen3") ? "tiny-qwen3" : "tiny-llama";
}

Result<void> Lab::part(Record &record, const std::string &name, const std::function<Result<void>(Record &part)> &work) const {
    const bool kept = !options_.partial.empty();
    if (std::optional<Record> found = kept ? kept_part(options_.partial, record, name) : std::nullopt) {
        note(std::format("{}: is there already", name));
        found->notes.push_back(
            std::format("{}: measured by an earlier run, from {} on, that was interrupted.", name, found->started));
        record.take(*std::move(found));
        return {};
    }
    Record part{.benchmark = record.benchmark,
                .variant = record.variant,
                .title = record.title,
                .size = record.size,
                .started = utc_now(),
                .machine = record.machine,
                .configuration = record.configuration};
    const auto start = SteadyClock::now();
    ENGRAM_TRY(work(part));
    part.seconds = ms_since(start) / 1000;
    if (kept) ENGRAM_TRY(keep_part(options_.partial, name, part));
    part.seconds = 0;  // the run's own time has them
    record.take(std::move(part));
    return {};
}

Result<std::filesystem::path> Lab::model(const std::string &usual, Record &record) const {
    if (!options_.model.empty()) {
        record.configuration["model"] = options_.model.filename().string();
        return options_.model;
    }
    const std::string shape = geometry(usual);
    const std::string type(smoke() ? kTinyWeights : kWeights);
    record.configuration["model"] = std::format("{} {}{}", shape, type, kRandomWeights);
    return options_.synthetic(shape, type);
}

SideOptions Lab::side(const std::filesystem::path &model) const {
    return {.program = options_.engram,
            .model = model,
            .folder = options_.folder,
            .threads = options_.threads,
            .examined = options_.examined};
}

Result<std::unique_ptr<Pair>> Pair::start(const Lab &lab, const SideOptions &options, Record &record,
                                          std::span<const PeerKind> peers) {
    auto pair = std::make_unique<Pair>();
    SideOptions ours = options;
    ours.folder = options.folder / "engram";
    pair->sides_.push_back(engram_side(std::move(ours)));
    if (lab.options().peer.empty()) record.notes.emplace_back("llama-server was not there: measured without it.");
    for (const PeerKind &peer : peers) {
        if (lab.options().peer.empty()) break;
        if (lab.options().examined && peer.label != kPeer) continue;  // nothing else is compared
        SideOptions theirs = options;
        theirs.folder = options.folder / std::format("peer-{}", pair->sides_.size());
        theirs.program = lab.options().peer;
        theirs.more = peer.flags;
        theirs.label = peer.label;
        pair->sides_.push_back(peer_side(std::move(theirs)));
    }
    for (const auto &side : pair->sides_) {
        record.configuration[std::string(side->name())] = side->configuration();
        ENGRAM_TRY(side->start());
        side->process().pause();
    }
    return pair;
}

Result<void> Pair::alone(Side &side, const std::function<Result<void>(Side &)> &measure) {
    side.process().go_on();
    std::this_thread::sleep_for(kSettling);
    if (Result<void> measured = measure(side); !measured) return std::unexpected(std::move(measured.error()).within(side.name()));
    side.process().pause();
    return {};
}

Result<void> Pair::each(const std::function<Result<void>(Side &)> &measure) {
    std::vector<Side *> order;
    for (const auto &side : sides_) order.push_back(side.get());
    if (std::exchange(other_first_, !other_first_)) std::ranges::reverse(order);
    for (Side *side : order) ENGRAM_TRY(alone(*side, measure));
    return {};
}

namespace {

Result<std::string> text_of(Side &counter, std::uint32_t tokens, std::uint32_t seed) {
    const auto entries = [&](std::size_t count) {
        std::string text = std::format("Log {} of the agents. ", seed);
        for (std::size_t i = 0; i < count; ++i)
            text += std::format("Entry {}: the value of node {} is {}. ", i, (i + seed) * 7919 % 1000, (i * 31 + seed) % 97);
        return text;
    };
    constexpr std::size_t kSample = 64;
    ENGRAM_ASSIGN(const std::uint64_t sample, counter.count_tokens(entries(kSample)));
    ENGRAM_ASSIGN(const std::uint64_t head, counter.count_tokens(entries(0)));
    const double each = static_cast<double>(sample - head) / kSample;
    auto count = static_cast<std::size_t>(std::max(0.0, (tokens - static_cast<double>(head)) / each));
    // Entries of higher numbers have more tokens than the first ones: corrected by what was counted.
    for (int correction = 0; correction < 3 && count > 0; ++correction) {
        ENGRAM_ASSIGN(const std::uint64_t counted, counter.count_tokens(entries(count)));
        const double ratio = static_cast<double>(tokens) / static_cast<double>(counted);
        if (ratio > 0.995 && ratio < 1.005) break;
        count = static_cast<std::size_t>(static_cast<double>(count) * ratio);
    }
    return entries(count);
}

}  // namespace

Result<std::string> Pair::text(std::uint32_t tokens, std::uint32_t seed) {
    Result<std::string> text;
    const auto make = [&](Side &side) -> Result<void> {
        text = text_of(side, tokens, seed);
        return {};
    };
    ENGRAM_TRY(alone(ours(), make));
    return text;
}

Result<void> answer_alike(const Lab &lab, Record &record, RunBenchmark run) {
    if (lab.examined() || lab.options().peer.empty()) return {};
    if (lab.options().embedded.empty()) {
        record.notes.emplace_back("This installation has no model of its own: whether both answer alike was not looked at.");
        return {};
    }
    LabOptions options = lab.options();
    options.size = Size::smoke;
    options.model = options.embedded;
    options.folder /= "alike";
    options.partial.clear();
    options.tokens.clear();
    options.repetitions = 1;
    options.note = {};
    options.examined = true;
    const std::string model = options.model.stem().string();
    lab.note(std::format("{}: do both answer alike?", model));
    Record found{.benchmark = record.benchmark};
    if (Result<void> ran = run(Lab(std::move(options)), {}, found); !ran)
        return std::unexpected(std::move(ran.error()).within(std::format("comparing answers of {}", model)));
    for (const Check &check : found.checks)
        record.check(std::format("{} (a small run with {})", check.name, model), check.passed, check.detail);
    return {};
}

std::string question(std::uint32_t number) { return std::format("{} is the next line. What is the value of its node?", number); }

}  // namespace engram::bench
