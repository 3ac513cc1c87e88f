// Fuzz entry of the patterns of JSON schemas: the automaton of a pattern is bounded, deterministic, accepts what it leads to, and
// has no text in common with its complement.
#include "chat/char_automaton.h"
#include "core/testing/fuzz.h"
#include "core/testing/utf8.h"

namespace {

using namespace engram;
using fuzz::require;

// A text that the automaton accepts, by its shortest way there.
std::string accepted_text(const CharAutomaton &automaton) {
    const auto states = automaton.states();
    struct Way {
        std::uint32_t from = 0;
        char32_t c = 0;
        bool seen = false;
    };
    std::vector<Way> ways(states.size());
    std::vector<std::uint32_t> todo{0};
    ways[0].seen = true;
    for (std::size_t i = 0; i < todo.size(); ++i) {
        std::uint32_t at = todo[i];
        if (states[at].accepts) {
            std::u32string text;
            for (; at != 0; at = ways[at].from) text.insert(text.begin(), ways[at].c);
            std::string utf8;
            for (const char32_t c : text) add_utf8(utf8, c);
            return utf8;
        }
        for (const CharAutomaton::Edge &edge : states[at].edges) {
            if (ways[edge.to].seen) continue;
            ways[edge.to] = {.from = at, .c = edge.chars.front().first, .seen = true};
            todo.push_back(edge.to);
        }
    }
    std::abort();  // from each state a text can end
}

void check(const CharAutomaton &automaton) {
    require(automaton.states().size() <= CharAutomaton::kMaxStates);
    for (const CharAutomaton::State &state : automaton.states()) {
        CharSet known;
        for (const CharAutomaton::Edge &edge : state.edges) {
            require(!edge.chars.empty() && edge.to < automaton.states().size() && overlap(known, edge.chars).empty());
            known = join(known, edge.chars);
        }
    }
    const CharAutomaton others = automaton.complement();
    if (!automaton.empty()) {
        const std::string text = accepted_text(automaton);
        require(automaton.accepts(text) && !others.accepts(text));
    }
    if (const auto both = CharAutomaton::both(automaton, others)) require(both->empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
    const std::string_view pattern = fuzz::text_of(data, size);
    if (const auto automaton = CharAutomaton::pattern(pattern)) {
        check(*automaton);
    } else {
        require(!automaton.error().message.empty());
    }
    if (size > 0 && size <= 32 && !characters(pattern).empty()) check(CharAutomaton::without(pattern));
    return 0;
}
