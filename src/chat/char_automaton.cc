#include "chat/char_automaton.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace engram {
namespace {

constexpr char32_t kLastCharacter = 0x10FFFF;
constexpr std::size_t kMaxEdgePairs = 1'000'000;  // that are compared to find what two automata have in common
// Every character of a text: see others().
constexpr std::array<CharRange, 5> kText{{{'\t', '\n'}, {'\r', '\r'}, {' ', '~'}, {0xA0, 0xD7FF}, {0xE000, kLastCharacter}}};

CharSet normalized(CharSet ranges) {
    std::ranges::sort(ranges, {}, &CharRange::first);
    CharSet result;
    for (const CharRange &range : ranges) {
        if (!result.empty() && range.first <= result.back().last + 1) {
            result.back().last = std::max(result.back().last, range.last);
        } else {
            result.push_back(range);
        }
    }
    return result;
}

bool holds(const CharSet &set, char32_t c) {
    return std::ranges::any_of(set, [c](const CharRange &range) { return range.first <= c && c <= range.last; });
}

void add_edge(CharAutomaton::State &state, CharSet chars, std::uint32_t to) {
    if (chars.empty()) return;
    for (CharAutomaton::Edge &edge : state.edges) {
        if (edge.to == to) {
            edge.chars = join(edge.chars, chars);
            return;
        }
    }
    state.edges.push_back({.chars = std::move(chars), .to = to});
}

std::unexpected<Error> too_large() { return fail(ErrorCode::unsupported, "it allows too many different texts to follow"); }

}  // namespace

CharSet join(const CharSet &a, const CharSet &b) {
    CharSet all = a;
    all.insert(all.end(), b.begin(), b.end());
    return normalized(std::move(all));
}

CharSet overlap(const CharSet &a, const CharSet &b) {
    CharSet result;
    for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
        const CharRange range{.first = std::max(a[i].first, b[j].first), .last = std::min(a[i].last, b[j].last)};
        if (range.first <= range.last) result.push_back(range);
        if (a[i].last < b[j].last) {
            ++i;
        } else {
            ++j;
        }
    }
    return result;
}

CharSet others(const CharSet &set) {
    CharSet outside;
    char32_t next = 0;
    for (const CharRange &range : set) {
        if (range.first > next) outside.push_back({.first = next, .last = range.first - 1});
        next = range.last + 1;
    }
    if (next <= kLastCharacter) outside.push_back({.first = next, .last = kLastCharacter});
    return overlap(outside, CharSet(kText.begin(), kText.end()));
}

std::u32string characters(std::string_view utf8) {
    std::u32string result;
    for (std::size_t i = 0; i < utf8.size();) {
        const auto first = static_cast<unsigned char>(utf8[i]);
        const std::size_t size = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
        if (size == 0 || i + size > utf8.size()) {
            ++i;
            continue;
        }
        char32_t c = size == 1 ? first : static_cast<char32_t>(first & (0xFFU >> (size + 1)));
        for (std::size_t k = 1; k < size; ++k) c = c << 6U | (static_cast<unsigned char>(utf8[i + k]) & 0x3FU);
        result += c;
        i += size;
    }
    return result;
}

CharAutomaton CharAutomaton::words(std::span<const std::string> words) {
    CharAutomaton result;
    result.states_.emplace_back();
    std::map<std::pair<std::uint32_t, char32_t>, std::uint32_t> known;  // edges: a state may have as many as there are words
    for (const std::string &word : words) {
        std::uint32_t at = 0;
        for (const char32_t c : characters(word)) {
            const auto next = static_cast<std::uint32_t>(result.states_.size());
            const auto [edge, added] = known.try_emplace({at, c}, next);
            if (added) {
                result.states_[at].edges.push_back({.chars = {{.first = c, .last = c}}, .to = next});
                result.states_.emplace_back();
            }
            at = edge->second;
        }
        result.states_[at].accepts = true;
    }
    result.drop_dead_ends();
    return result;
}

Result<CharAutomaton> CharAutomaton::lengths(std::uint64_t least, std::optional<std::uint64_t> most) {
    const std::uint64_t last = most.value_or(least);
    if (last >= kMaxStates) return too_large();
    CharAutomaton result;
    if (last < least) return result;
    result.states_.resize(last + 1);
    for (std::uint64_t i = 0; i <= last; ++i) {
        result.states_[i].accepts = i >= least;
        if (i < last || !most) add_edge(result.states_[i], others({}), static_cast<std::uint32_t>(std::min(i + 1, last)));
    }
    return result;
}

// Knuth, Morris and Pratt: the state is how much of the mark the text's end is. All but the start would let the mark begin in the
// text and end in what follows it, unless that part is no beginning of the mark that follows: a text may end in every state from
// which the mark isn't found too early.
CharAutomaton CharAutomaton::without(std::string_view mark) {
    const std::u32string text = characters(mark);
    CharAutomaton result;
    result.states_.resize(text.size());
    const auto after = [&text](std::size_t state, char32_t c) {
        std::u32string read = text.substr(0, state) + c;
        while (!text.starts_with(read)) read.erase(0, 1);
        return static_cast<std::uint32_t>(read.size());
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        State &state = result.states_[i];
        CharSet special;
        for (const char32_t c : text) {
            const CharSet one{{.first = c, .last = c}};
            if (holds(special, c)) continue;
            special = join(special, one);
            if (const std::uint32_t next = after(i, c); next < text.size()) add_edge(state, one, next);
        }
        add_edge(state, others(special), 0);
        // With the mark after it, the first mark found must be that one.
        const std::u32string whole = text.substr(0, i) + text;
        state.accepts = whole.find(text) == i;
    }
    result.drop_dead_ends();
    return result;
}

Result<CharAutomaton> CharAutomaton::both(const CharAutomaton &a, const CharAutomaton &b) {
    CharAutomaton result;
    if (a.empty() || b.empty()) return result;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> known;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
    const auto state_of = [&](std::uint32_t x, std::uint32_t y) {
        const auto [at, added] = known.try_emplace({x, y}, static_cast<std::uint32_t>(pairs.size()));
        if (added) pairs.emplace_back(x, y);
        return at->second;
    };
    state_of(0, 0);
    std::size_t edge_pairs = 0;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto [x, y] = pairs[i];
        edge_pairs += a.states_[x].edges.size() * b.states_[y].edges.size();
        if (pairs.size() > kMaxStates || edge_pairs > kMaxEdgePairs) return too_large();
        State state{.accepts = a.states_[x].accepts && b.states_[y].accepts, .edges = {}};
        for (const Edge &left : a.states_[x].edges) {
            for (const Edge &right : b.states_[y].edges) {
                CharSet chars = overlap(left.chars, right.chars);
                if (!chars.empty()) add_edge(state, std::move(chars), state_of(left.to, right.to));
            }
        }
        result.states_.push_back(std::move(state));
    }
    result.drop_dead_ends();
    return result;
}

CharAutomaton CharAutomaton::complement() const {
    CharAutomaton result = *this;
    if (result.states_.empty()) result.states_.emplace_back();
    const auto anything = static_cast<std::uint32_t>(result.states_.size());
    result.states_.emplace_back();
    for (State &state : result.states_) {
        CharSet known;
        for (const Edge &edge : state.edges) known = join(known, edge.chars);
        state.accepts = !state.accepts;
        add_edge(state, others(known), anything);
    }
    result.drop_dead_ends();
    return result;
}

bool CharAutomaton::accepts(std::string_view utf8) const {
    if (empty()) return false;
    std::uint32_t at = 0;
    for (const char32_t c : characters(utf8)) {
        const auto &edges = states_[at].edges;
        const auto edge = std::ranges::find_if(edges, [c](const Edge &candidate) { return holds(candidate.chars, c); });
        if (edge == edges.end()) return false;
        at = edge->to;
    }
    return states_[at].accepts;
}

void CharAutomaton::drop_dead_ends() {
    std::vector<std::vector<std::uint32_t>> from(states_.size());
    std::vector<std::uint32_t> todo;
    std::vector<bool> alive(states_.size());
    for (std::uint32_t i = 0; i < states_.size(); ++i) {
        for (const Edge &edge : states_[i].edges) from[edge.to].push_back(i);
        if (states_[i].accepts) todo.push_back(i);
    }
    while (!todo.empty()) {
        const std::uint32_t at = todo.back();
        todo.pop_back();
        if (alive[at]) continue;
        alive[at] = true;
        todo.insert(todo.end(), from[at].begin(), from[at].end());
    }
    if (states_.empty() || !alive[0]) {
        states_.clear();
        return;
    }
    std::vector<std::uint32_t> renamed(states_.size());
    std::vector<State> kept;
    for (std::uint32_t i = 0; i < states_.size(); ++i) {
        renamed[i] = static_cast<std::uint32_t>(kept.size());
        if (alive[i]) kept.push_back(std::move(states_[i]));
    }
    for (State &state : kept) {
        std::erase_if(state.edges, [&](const Edge &edge) { return !alive[edge.to]; });
        for (Edge &edge : state.edges) edge.to = renamed[edge.to];
    }
    states_ = std::move(kept);
}

}  // namespace engram
