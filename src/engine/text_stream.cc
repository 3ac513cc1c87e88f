#include <algorithm>

#include "engine/model.h"
#include "engine/utf8.h"

namespace engram {

TextStream::TextStream(std::vector<std::string> stop_strings) : stops_(std::move(stop_strings)) {
    std::erase(stops_, std::string());  // an empty one would match everywhere
}

namespace {

struct Stop {
    std::size_t begin = std::string_view::npos;  // in the text; npos: there is none
    std::string_view string;
};

// The stop string that is complete first (the longest such one). By its end, not its beginning: the answer must not depend on how
// the text was split into pieces.
Stop find_stop(std::string_view text, const std::vector<std::string> &stops) {
    Stop first;
    std::size_t end = std::string_view::npos;
    for (const std::string &stop : stops) {
        const std::size_t found = text.find(stop);
        if (found == std::string_view::npos) continue;
        const std::size_t found_end = found + stop.size();
        if (found_end < end || (found_end == end && found < first.begin)) {
            first = {.begin = found, .string = stop};
            end = found_end;
        }
    }
    return first;
}

// Where the text's end begins that could still grow into a stop string; the text's size when it can't.
std::size_t find_possible_stop(std::string_view text, const std::vector<std::string> &stops) {
    std::size_t earliest = text.size();
    for (const std::string &stop : stops) {
        const std::size_t longest = std::min(stop.size() - 1, text.size());
        for (std::size_t length = longest; length > text.size() - earliest; --length) {
            if (text.ends_with(std::string_view(stop).substr(0, length))) {
                earliest = text.size() - length;
                break;
            }
        }
    }
    return earliest;
}

}  // namespace

std::string TextStream::add(std::string_view bytes) {
    if (stopped_) return {};
    held_ += bytes;
    const Stop stop = find_stop(held_, stops_);
    std::size_t limit = stop.begin;
    if (limit != std::string::npos) {
        stopped_ = true;
        stop_ = stop.string;
    } else {
        limit = find_possible_stop(held_, stops_);
    }

    std::string shown;
    std::string_view rest = std::string_view(held_).substr(0, limit);
    while (!rest.empty()) {
        const Utf8Unit unit = next_utf8_unit(rest);
        // Beyond the limit the text goes on, unless it stops there: what is unfinished now may be finished by the next piece.
        if (unit.kind == Utf8Unit::Kind::unfinished && !stopped_) break;
        shown += unit.kind == Utf8Unit::Kind::character ? rest.substr(0, unit.bytes) : kReplacementCharacter;
        rest.remove_prefix(unit.bytes);
    }
    if (stopped_) {
        held_.clear();
    } else {
        held_.erase(0, limit - rest.size());
    }
    text_ += shown;
    return shown;
}

std::string TextStream::finish() {
    std::string shown = repair_utf8(held_);
    held_.clear();
    text_ += shown;
    return shown;
}

}  // namespace engram
