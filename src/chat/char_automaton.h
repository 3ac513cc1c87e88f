// Sets of texts as deterministic finite automata over Unicode characters: what a JSON schema's patterns, formats and names, and
// the marks that a raw text must not hold, are put together from before they become rules of a grammar (gbnf.h).
//
// A deterministic automaton reads each text in one way only. A grammar made of it never has two ways to follow, which is what
// keeps sampling with it fast. Sizes are bounded: a pattern that would take more is an error. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engram/error.h"

namespace engram {

struct CharRange {
    char32_t first = 0, last = 0;  // both within
    bool operator==(const CharRange &) const = default;
};
using CharSet = std::vector<CharRange>;  // sorted, without overlaps

CharSet join(const CharSet &a, const CharSet &b);
CharSet overlap(const CharSet &a, const CharSet &b);
// The characters of a text that aren't in `set`. Control characters other than tab, newline and return are no part of any text
// that isn't asked for by name: a model has no business with them.
CharSet others(const CharSet &set);

// The characters of UTF-8 text. What isn't valid is left out.
std::u32string characters(std::string_view utf8);

class CharAutomaton {
  public:
    static constexpr std::size_t kMaxStates = 2048;

    struct Edge {
        CharSet chars;  // those of one state's edges don't overlap
        std::uint32_t to = 0;
    };
    struct State {
        bool accepts = false;
        std::vector<Edge> edges;
    };

    // The texts in which the pattern is found, as ECMA 262 (and so JSON schema) understands it: anywhere, unless it has anchors.
    // unsupported: what isn't regular (look-around, references to groups), word boundaries, Unicode properties, or too large; the
    // end of a sentence that begins with the pattern. invalid_argument: no pattern at all.
    static Result<CharAutomaton> pattern(std::string_view pattern);
    // Exactly these texts.
    static CharAutomaton words(std::span<const std::string> words);
    // Every text of this many characters.
    static Result<CharAutomaton> lengths(std::uint64_t least, std::optional<std::uint64_t> most);
    // Every text that doesn't hold `mark`, not even as far as the text's end reaches into it when the mark follows.
    static CharAutomaton without(std::string_view mark);

    // unsupported: too many states.
    static Result<CharAutomaton> both(const CharAutomaton &a, const CharAutomaton &b);
    CharAutomaton complement() const;

    bool accepts(std::string_view utf8) const;
    // Begins with state 0. From each state a text can still end; none: there is no such text at all.
    std::span<const State> states() const { return states_; }
    bool empty() const { return states_.empty(); }

  private:
    friend class PatternCompiler;
    void drop_dead_ends();
    std::vector<State> states_;
};

}  // namespace engram
