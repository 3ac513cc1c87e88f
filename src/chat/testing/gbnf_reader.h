// Grammars in GBNF, read as libllama reads them, for tests that have no engine: whether a grammar is one at all, and texts of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace engram::testing {

class GbnfGrammar {
  public:
    // nullopt: a grammar that libllama would refuse: not well-formed, a rule that isn't there, or one that begins with itself.
    static std::optional<GbnfGrammar> read(std::string_view text);

    // A text of the grammar; nullopt: it grew longer than `most_bytes`.
    std::optional<std::string> sample(std::mt19937_64 &random, std::size_t most_bytes) const;

  private:
    friend class GbnfReader;

    struct Item;
    using Sequence = std::vector<Item>;
    struct Item {
        enum class Kind : std::uint8_t { chars, rule, group };
        Kind kind = Kind::chars;
        std::vector<std::pair<char32_t, char32_t>> chars;  // ranges, one of which is meant
        std::size_t rule = 0;
        std::vector<Sequence> choices;  // of a group
        std::uint32_t least = 1;
        std::optional<std::uint32_t> most = 1;
    };
    struct Rule {
        std::vector<Sequence> choices;
        bool defined = false;
        bool may_be_empty = false;
        std::size_t depth = SIZE_MAX;  // of the flattest text; SIZE_MAX: none ends
    };

    std::size_t rule_of(const std::string &name);
    bool may_be_empty(const std::vector<Sequence> &choices) const;
    std::size_t depth_of(const std::vector<Sequence> &choices) const;
    std::size_t depth_of(const Sequence &sequence) const;
    std::size_t depth_of(const Item &item) const;
    void first_rules(const std::vector<Sequence> &choices, std::vector<std::size_t> &into) const;
    bool begins_with_itself() const;
    void measure();

    struct Sampling;
    bool put(const std::vector<Sequence> &choices, Sampling &sampling, std::size_t depth) const;

    std::map<std::string, std::size_t, std::less<>> names_;
    std::vector<Rule> rules_;
};

}  // namespace engram::testing
