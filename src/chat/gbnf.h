// Writes grammars in GBNF, the dialect of libllama's grammar sampler. Rules are named by what they are and a number; a rule that
// was written before isn't written again. A grammar that grows too large is an error in the end (text()), so that whoever writes
// rules needn't look each time.
//
// libllama follows all ways through a grammar at once, for each token of the vocabulary: a grammar must not have many ways to
// read the same text. What is written here has one (texts are deterministic automata), or two at the ends of long repetitions.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "chat/char_automaton.h"
#include "engram/error.h"

namespace engram {

inline constexpr std::size_t kMaxGrammarBytes = 240UZ << 10U;
inline constexpr std::size_t kMaxPatterns = 128;

// How a text stands in an answer.
enum class Spelling : std::uint8_t {
    raw,   // as it is
    json,  // within a JSON text: ", \ and control characters are escaped
};

// "text" as a literal.
std::string gbnf_literal(std::string_view text);

class Grammar {
  public:
    // The name of a rule with that body: expressions of literals, classes and names of rules.
    std::string rule(std::string_view what, std::string body);
    // The same for a rule that refers to itself: the name first, the body later.
    std::string reserve(std::string_view what);
    void define(const std::string &name, std::string body);

    // `item` (a rule's name) so many times: an expression that can stand in a sequence.
    std::string repeated(const std::string &item, std::uint64_t least, std::optional<std::uint64_t> most);
    // The automaton of a pattern (CharAutomaton::pattern), made once. A grammar has so many different ones; unsupported.
    const Result<CharAutomaton> &pattern(const std::string &pattern);
    // A rule for the automaton's texts; it must have some.
    std::string texts(const CharAutomaton &automaton, Spelling spelling, std::string_view what);

    // One of JSON's own, as rules. White space is at most one line's end and an indentation, so that a model can't idle in it.
    std::string white_space();
    std::string json_char();
    std::string json_string();
    std::string json_number();
    std::string json_value();   // any, nested up to 16 deep
    std::string json_object();  // any

    bool too_large() const { return bytes_ > kMaxGrammarBytes; }
    // The grammar, with that expression as its root. unsupported: it is too large.
    Result<std::string> text(std::string_view root) const;

  private:
    std::pair<std::string, std::string> free_values();
    std::string up_to(const std::string &item, std::uint64_t most);

    std::map<std::string, std::string> names_;               // by body
    std::map<std::string, Result<CharAutomaton>> automata_;  // by pattern
    std::string rules_;
    std::size_t count_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace engram
