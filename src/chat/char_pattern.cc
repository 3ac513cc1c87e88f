// CharAutomaton::pattern: ECMA 262's regular expressions, parsed into a tree, the tree into a nondeterministic automaton
// (Thompson), that one into a deterministic one.
#include <algorithm>
#include <format>
#include <map>
#include <utility>

#include "chat/char_automaton.h"

namespace engram {
namespace {

constexpr std::size_t kMaxPatternBytes = 2048;
constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxPositions = 4096;  // of the nondeterministic automaton
constexpr std::uint32_t kUnbounded = UINT32_MAX;
constexpr char32_t kLastCharacter = 0x10FFFF;

struct Node {
    enum class Kind : std::uint8_t { set, begin, end, sequence, choice, repeat };
    Kind kind = Kind::sequence;
    CharSet chars = {};
    std::vector<Node> children = {};
    std::uint32_t least = 0, most = 0;
};

std::unexpected<Error> unsupported(std::string_view what) { return fail(ErrorCode::unsupported, std::string(what)); }
std::unexpected<Error> malformed(std::string_view what) { return fail(ErrorCode::invalid_argument, std::string(what)); }

CharSet class_of(char32_t letter) {
    switch (letter) {
        case 'd': return {{.first = '0', .last = '9'}};
        case 'w':
            return {{.first = '0', .last = '9'},
                    {.first = 'A', .last = 'Z'},
                    {.first = '_', .last = '_'},
                    {.first = 'a', .last = 'z'}};
        case 's': return {{.first = '\t', .last = '\n'}, {.first = '\r', .last = '\r'}, {.first = ' ', .last = ' '}};
        case 'D': return others(class_of('d'));
        case 'W': return others(class_of('w'));
        case 'S': return others(class_of('s'));
        default: return {};
    }
}

class PatternParser {
  public:
    explicit PatternParser(std::u32string text) : text_(std::move(text)) {}

    Result<Node> parse() {
        ENGRAM_ASSIGN(Node node, choice(0));
        if (!done()) return malformed("it has a ) without a (");
        return node;
    }

  private:
    bool done() const { return at_ == text_.size(); }
    bool take(char32_t c) {
        if (done() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    Result<Node> choice(std::size_t depth) {
        if (depth > kMaxDepth) return unsupported("its groups are nested too deeply");
        Node node{.kind = Node::Kind::choice};
        do {
            Node sequence;
            while (!done() && text_[at_] != '|' && text_[at_] != ')') {
                ENGRAM_ASSIGN(Node item, repeated(depth));
                sequence.children.push_back(std::move(item));
            }
            node.children.push_back(std::move(sequence));
        } while (take('|'));
        return node;
    }

    Result<Node> repeated(std::size_t depth) {
        ENGRAM_ASSIGN(Node item, atom(depth));
        std::uint32_t least = 1;
        std::uint32_t most = 1;
        if (take('*')) {
            least = 0;
            most = kUnbounded;
        } else if (take('+')) {
            most = kUnbounded;
        } else if (take('?')) {
            least = 0;
        } else if (!counts(least, most)) {
            return item;
        }
        take('?');  // which of several matches is found first makes no difference here
        if (item.kind == Node::Kind::begin || item.kind == Node::Kind::end) return malformed("it repeats an anchor");
        if (most < least) return malformed("a repetition ends below its beginning");
        Node node{.kind = Node::Kind::repeat, .least = least, .most = most};
        node.children.push_back(std::move(item));
        return node;
    }

    // {m}, {m,} or {m,n}; anything else in braces is a text.
    bool counts(std::uint32_t &least, std::uint32_t &most) {
        const std::size_t start = at_;
        const auto number = [this]() -> std::optional<std::uint32_t> {
            std::optional<std::uint32_t> value;
            while (!done() && text_[at_] >= '0' && text_[at_] <= '9') {
                value = std::min<std::uint32_t>(value.value_or(0) * 10 + (text_[at_++] - U'0'), 100'000);
            }
            return value;
        };
        if (take('{')) {
            if (const auto first = number()) {
                std::optional<std::uint32_t> last = first;
                if (take(',')) last = number().value_or(kUnbounded);
                if (take('}')) {
                    least = *first;
                    most = *last;
                    return true;
                }
            }
        }
        at_ = start;
        return false;
    }

    Result<Node> atom(std::size_t depth) {
        const char32_t c = text_[at_++];
        switch (c) {
            case '^': return Node{.kind = Node::Kind::begin};
            case '$': return Node{.kind = Node::Kind::end};
            case '.':
                return set(
                    others({{.first = '\n', .last = '\n'}, {.first = '\r', .last = '\r'}, {.first = 0x2028, .last = 0x2029}}));
            case '(': return group(depth);
            case '[': return bracket();
            case '*':
            case '+':
            case '?': return malformed("it repeats nothing");
            case '\\': {
                ENGRAM_ASSIGN(CharSet chars, escape(false));
                return set(std::move(chars));
            }
            default: return set({{.first = c, .last = c}});
        }
    }

    static Node set(CharSet chars) { return Node{.kind = Node::Kind::set, .chars = std::move(chars)}; }

    Result<Node> group(std::size_t depth) {
        if (take('?')) {
            if (take('<')) {
                if (!done() && (text_[at_] == '=' || text_[at_] == '!')) return unsupported("it looks behind");
                const std::size_t end = text_.find('>', at_);
                if (end == std::u32string::npos) return malformed("a group's name has no end");
                at_ = end + 1;
            } else if (!take(':')) {
                return unsupported("it looks ahead, or has options in a group");
            }
        }
        ENGRAM_ASSIGN(Node node, choice(depth + 1));
        if (!take(')')) return malformed("a group has no end");
        return node;
    }

    Result<char32_t> hexadecimal(std::size_t digits) {
        char32_t value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            const char32_t c = done() ? U' ' : text_[at_++];
            const char32_t lower = c | 0x20U;
            if (c >= '0' && c <= '9') {
                value = value * 16 + (c - U'0');
            } else if (lower >= 'a' && lower <= 'f') {
                value = value * 16 + (lower - U'a' + 10);
            } else {
                return malformed("an escaped character's number isn't hexadecimal");
            }
        }
        return value;
    }

    // After the backslash. One character, or a class of them.
    Result<CharSet> escape(bool in_brackets) {
        if (done()) return malformed("it ends with a backslash");
        char32_t c = text_[at_++];
        switch (c) {
            case 'd':
            case 'D':
            case 'w':
            case 'W':
            case 's':
            case 'S': return class_of(c);
            case 't': c = '\t'; break;
            case 'n': c = '\n'; break;
            case 'r': c = '\r'; break;
            case 'f': c = '\f'; break;
            case 'v': c = '\v'; break;
            case '0': c = 0; break;
            case 'x': {
                ENGRAM_ASSIGN(c, hexadecimal(2));
                break;
            }
            case 'u': {
                std::size_t digits = 4;
                const bool braces = take('{');
                if (braces) digits = std::min<std::size_t>(text_.find('}', at_), text_.size()) - at_;
                if (digits == 0 || digits > 6) return malformed("an escaped character's number isn't hexadecimal");
                ENGRAM_ASSIGN(c, hexadecimal(digits));
                if (braces) take('}');
                break;
            }
            case 'b':
                if (!in_brackets) return unsupported("it asks for a word's boundary");
                c = '\b';
                break;
            default:
                if ((c >= '1' && c <= '9') || c == 'k') return unsupported("it refers to a group");
                if (c == 'p' || c == 'P' || c == 'B' || c == 'c') return unsupported("it has an escape that isn't known here");
                break;
        }
        if (c > kLastCharacter || (c >= 0xD800 && c <= 0xDFFF)) return unsupported("it names half a character");
        return CharSet{{.first = c, .last = c}};
    }

    Result<Node> bracket() {
        const bool negated = take('^');
        CharSet chars;
        while (!take(']')) {
            if (done()) return malformed("a [ has no ]");
            ENGRAM_ASSIGN(CharSet item, bracket_item());
            const bool range = item.size() == 1 && item.front().first == item.front().last && at_ + 1 < text_.size() &&
                               text_[at_] == '-' && text_[at_ + 1] != ']';
            if (range) {
                ++at_;
                ENGRAM_ASSIGN(const CharSet last, bracket_item());
                if (last.size() != 1 || last.front().first < item.front().first)
                    return malformed("a range ends below its beginning");
                item.front().last = last.front().first;
            }
            chars = join(chars, item);
        }
        return set(negated ? others(chars)
                           : overlap(chars, {{.first = 0, .last = 0xD7FF}, {.first = 0xE000, .last = kLastCharacter}}));
    }

    Result<CharSet> bracket_item() {
        if (done()) return malformed("a [ has no ]");
        const char32_t c = text_[at_++];
        if (c == '\\') return escape(true);
        return CharSet{{.first = c, .last = c}};
    }

    std::u32string text_;
    std::size_t at_ = 0;
};

}  // namespace

class PatternCompiler {
  public:
    Result<CharAutomaton> compile(const Node &tree) {
        // Anything, the pattern, anything: it is to be found anywhere.
        const std::uint32_t before = position();
        const std::uint32_t after = position();
        const std::uint32_t start = position();
        reads_[before].push_back({others({}), before});
        reads_[after].push_back({others({}), after});
        moves_[before].push_back({start, Move::free});
        const std::uint32_t end = add(tree, start);
        moves_[end].push_back({after, Move::free});
        if (reads_.size() > kMaxPositions) return unsupported("it is too large");
        first_ = before;
        last_ = after;
        return determine();
    }

  private:
    enum class Move : std::uint8_t { free, at_begin, at_end };
    using Positions = std::vector<std::uint32_t>;  // sorted

    std::uint32_t position() {
        reads_.emplace_back();
        moves_.emplace_back();
        return static_cast<std::uint32_t>(reads_.size() - 1);
    }

    // Adds the ways from `from` through the node; returns where they end. Stops early when it grows too large.
    std::uint32_t add(const Node &node, std::uint32_t from) {
        if (reads_.size() > kMaxPositions) return from;
        switch (node.kind) {
            case Node::Kind::set: {
                const std::uint32_t to = position();
                reads_[from].push_back({node.chars, to});
                return to;
            }
            case Node::Kind::begin:
            case Node::Kind::end: {
                const std::uint32_t to = position();
                moves_[from].push_back({to, node.kind == Node::Kind::begin ? Move::at_begin : Move::at_end});
                return to;
            }
            case Node::Kind::sequence:
                for (const Node &child : node.children) from = add(child, from);
                return from;
            case Node::Kind::choice: {
                const std::uint32_t to = position();
                for (const Node &child : node.children) {
                    const std::uint32_t start = position();
                    moves_[from].push_back({start, Move::free});
                    moves_[add(child, start)].push_back({to, Move::free});
                }
                return to;
            }
            case Node::Kind::repeat: return add_repeat(node, from);
        }
        return from;
    }

    std::uint32_t add_repeat(const Node &node, std::uint32_t from) {
        const Node &child = node.children.front();
        for (std::uint32_t i = 0; i < node.least && reads_.size() <= kMaxPositions; ++i) from = add(child, from);
        const std::uint32_t to = position();
        if (node.most == kUnbounded) {
            const std::uint32_t loop = position();
            moves_[from].push_back({loop, Move::free});
            moves_[add(child, loop)].push_back({loop, Move::free});
            moves_[loop].push_back({to, Move::free});
            return to;
        }
        for (std::uint32_t i = node.least; i < node.most && reads_.size() <= kMaxPositions; ++i) {
            moves_[from].push_back({to, Move::free});
            const std::uint32_t start = position();
            moves_[from].push_back({start, Move::free});
            from = add(child, start);
        }
        moves_[from].push_back({to, Move::free});
        return to;
    }

    Positions closure(Positions todo, bool at_begin, bool at_end) const {
        Positions reached;
        std::vector<bool> seen(reads_.size());
        while (!todo.empty()) {
            const std::uint32_t at = todo.back();
            todo.pop_back();
            if (seen[at]) continue;
            seen[at] = true;
            reached.push_back(at);
            for (const auto &[to, move] : moves_[at]) {
                if (move == Move::free || (move == Move::at_begin && at_begin) || (move == Move::at_end && at_end))
                    todo.push_back(to);
            }
        }
        if (!at_end && seen[last_]) return {last_};  // found already: whatever follows
        std::ranges::sort(reached);
        return reached;
    }

    Result<CharAutomaton> determine() const {
        CharAutomaton result;
        // What an anchor at the beginning allows is in the first state only; a text that ends there is at both ends.
        std::map<Positions, std::uint32_t> known;
        std::vector<Positions> sets;
        const auto state_of = [&](Positions positions) {
            const auto [at, added] = known.try_emplace(positions, static_cast<std::uint32_t>(sets.size()));
            if (added) sets.push_back(std::move(positions));
            return at->second;
        };
        sets.push_back(closure({first_}, true, false));
        std::size_t work = 0;
        for (std::size_t i = 0; i < sets.size(); ++i) {
            const Positions here = sets[i];  // NOLINT(performance-unnecessary-copy-initialization): the list grows
            const CharSet ranges = ranges_of(here);
            work += here.size() * (ranges.size() + 1);
            if (sets.size() > CharAutomaton::kMaxStates || work > kMaxWork)
                return unsupported("it allows too many different texts to follow");
            CharAutomaton::State state;
            state.accepts = std::ranges::contains(closure(here, i == 0, true), last_);
            std::map<Positions, CharSet> targets;
            for (const CharRange &range : ranges) {
                Positions next = after(here, range.first);
                if (!next.empty()) targets[std::move(next)].push_back(range);
            }
            for (auto &[next, chars] : targets) {
                state.edges.push_back({.chars = join(chars, {}), .to = state_of(closure(next, false, false))});
            }
            result.states_.push_back(std::move(state));
        }
        merge_edges(result);
        result.drop_dead_ends();
        return result;
    }

    // The characters that are read from these positions, in ranges within which they all go the same ways.
    CharSet ranges_of(const Positions &positions) const {
        std::vector<char32_t> bounds;
        for (const std::uint32_t at : positions) {
            for (const auto &[chars, to] : reads_[at]) {
                for (const CharRange &range : chars) {
                    bounds.push_back(range.first);
                    bounds.push_back(range.last + 1);
                }
            }
        }
        std::ranges::sort(bounds);
        bounds.erase(std::ranges::unique(bounds).begin(), bounds.end());
        CharSet ranges;
        for (std::size_t i = 0; i + 1 < bounds.size(); ++i) ranges.push_back({.first = bounds[i], .last = bounds[i + 1] - 1});
        return ranges;
    }

    Positions after(const Positions &positions, char32_t c) const {
        Positions next;
        for (const std::uint32_t at : positions) {
            for (const auto &[chars, to] : reads_[at]) {
                const auto range = std::ranges::lower_bound(chars, c, {}, &CharRange::last);
                if (range != chars.end() && range->first <= c) next.push_back(to);
            }
        }
        std::ranges::sort(next);
        next.erase(std::ranges::unique(next).begin(), next.end());
        return next;
    }

    // Different positions may have the same closure.
    static void merge_edges(CharAutomaton &automaton) {
        for (CharAutomaton::State &state : automaton.states_) {
            std::map<std::uint32_t, CharSet> merged;
            for (const CharAutomaton::Edge &edge : state.edges) merged[edge.to] = join(merged[edge.to], edge.chars);
            state.edges.clear();
            for (auto &[to, chars] : merged) state.edges.push_back({.chars = std::move(chars), .to = to});
        }
    }

    static constexpr std::size_t kMaxWork = 1'000'000;  // looks at a position for a range of characters
    std::vector<std::vector<std::pair<CharSet, std::uint32_t>>> reads_;
    std::vector<std::vector<std::pair<std::uint32_t, Move>>> moves_;
    std::uint32_t first_ = 0, last_ = 0;
};

Result<CharAutomaton> CharAutomaton::pattern(std::string_view pattern) {
    if (pattern.size() > kMaxPatternBytes) return unsupported(std::format("it has more than {} bytes", kMaxPatternBytes));
    ENGRAM_ASSIGN(const Node tree, PatternParser(characters(pattern)).parse());
    return PatternCompiler().compile(tree);
}

}  // namespace engram
