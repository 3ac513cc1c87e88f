#include "bench/agreement.h"

#include <algorithm>
#include <format>
#include <map>

namespace engram::bench {

namespace {

// Benchmarks that have one conversation in the context at a time, so that its cells lie alike in both servers.
bool one_conversation(const Record &record) {
    return record.benchmark == "resume" || record.benchmark == "library" || record.benchmark == "save";
}

constexpr std::string_view kSpace = " \t\r\n";

std::string_view from_first_word(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
    return text;
}

std::string_view trimmed(std::string_view text) {
    text = from_first_word(text);
    return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// `said` goes on with this token after that text, or ends where the token stands for the end of the turn.
bool continues(std::string_view said, const std::string &text, const std::string &piece) {
    if (piece.empty() || piece.starts_with("<|")) return trimmed(text) == trimmed(said);
    const std::string both = text + piece;
    const std::string_view longer = from_first_word(both);
    return said.starts_with(longer) || (longer.starts_with(said) && trimmed(longer) == trimmed(said));
}

void lower(std::optional<double> &least, double gap) { least = std::min(least.value_or(gap), gap); }

}  // namespace

std::optional<double> gap_at_parting(std::string_view said, std::span<const TokenOdds> tokens) {
    said = from_first_word(said);
    std::string text;
    std::optional<double> least;
    for (const TokenOdds &token : tokens) {
        std::map<std::string, double> known{{token.said.piece, token.said.logprob}};
        for (const TokenOdds::Choice &other : token.others) {
            const auto [place, fresh] = known.try_emplace(other.piece, other.logprob);
            if (!fresh) place->second = std::max(place->second, other.logprob);
        }
        const auto best = std::ranges::max_element(known, {}, [](const auto &choice) { return choice.second; });
        for (const auto &[piece, logprob] : known) {
            if (piece != best->first && continues(said, text, piece)) lower(least, best->second - logprob);
        }
        if (token.said.piece != best->first || !continues(said, text, token.said.piece)) return least;
        text += token.said.piece;
    }
    return trimmed(text) == trimmed(said) ? std::nullopt : least;
}

void Agreement::add(const Side &side, const Answer &answer) {
    if (side.name() == kEngram) ours_.push_back(answer);
    if (side.name() == kPeer) theirs_.push_back(answer);
}

void Agreement::add(const Side &side, const std::string &text) {
    Answer answer;
    answer.text = text;
    add(side, answer);
}

Agreement::Counts Agreement::counted() const {
    Counts counts{.all = std::max(ours_.size(), theirs_.size())};
    const std::size_t both = std::min(ours_.size(), theirs_.size());
    for (std::size_t i = 0; i < both; ++i) {
        const Answer &ours = ours_[i];
        const Answer &theirs = theirs_[i];
        if (ours.asked != theirs.asked) {
            ++counts.parted_before;
        } else if (trimmed(ours.text) == trimmed(theirs.text)) {
            ++counts.equal;
        } else if (ours.prompt_tokens != theirs.prompt_tokens) {
            ++counts.other_tokens;
        } else if (const auto gap = gap_at_parting(ours.text, theirs.tokens); gap && *gap <= kNearTie) {
            ++counts.near_ties;
        } else {
            if (counts.n_wrong++ == 0)
                counts.wrong = std::format("\"{}\" here, \"{}\" there, {}", ours.text.substr(0, 200), theirs.text.substr(0, 200),
                                           gap ? std::format("{:.2f} nats apart", *gap) : "which is none of its alternatives");
        }
    }
    return counts;
}

std::string Agreement::told(const Counts &counts) {
    std::string text = std::format("{} of {} answers are equal", counts.equal, counts.all);
    const auto mention = [&](std::size_t n, std::string_view what) {
        if (n > 0) text += std::format(", {} {}", n, what);
    };
    mention(counts.near_ties, std::format("part where the peer found both within {} nats", kNearTie));
    mention(counts.parted_before, "follow such a place and are not compared");
    mention(counts.other_tokens, "differ where the prompt was read as other tokens");
    mention(counts.n_wrong, "differ otherwise");
    if (!counts.wrong.empty()) text += ": " + counts.wrong;
    return text;
}

void Agreement::check(Record &record, const std::string &where) const {
    if (theirs_.empty()) return;
    const Counts counts = counted();
    const bool all = counts.equal == counts.all;
    const std::string name = std::format("both answer alike, {}", where);
    const std::string model = record.configuration.value("model", std::string());
    if (model.ends_with(kRandomWeights) && !all && !(model.contains(kTinyWeights) && one_conversation(record))) {
        record.notes.push_back(
            std::format("{}: {} of {} answers are equal; with random weights, near-ties fall as cells and batches lie.", where,
                        counts.equal, counts.all));
        return;
    }
    // Prompts read as other tokens are left out, but not most of them: then nothing would be compared.
    const bool alike = counts.n_wrong == 0 && ours_.size() == theirs_.size() && counts.other_tokens * 3 <= counts.all * 2;
    record.check(name, alike, told(counts));
}

}  // namespace engram::bench
