// Counts the tokens that a model thinks for, and says when it has had as many as it may have. Fed with the text of each token of
// an answer. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chat/answer_style.h"

namespace engram {

class ThinkingLimit {
  public:
    // `open`: the prompt has opened the thinking. Else it is what the answer begins with, white space aside, or there is none.
    ThinkingLimit(ThinkingMarks marks, bool open, std::uint32_t most_tokens);

    void add(std::string_view text);  // of the next token; empty: it shows nothing, and counts
    // Whether thinking has had its tokens and goes on. The marks don't count.
    bool due() const { return place_ == Place::within && tokens_ >= most_tokens_; }

  private:
    enum class Place : std::uint8_t { before, within, behind };

    ThinkingMarks marks_;
    std::uint32_t most_tokens_;
    Place place_;
    std::uint32_t tokens_ = 0;
    std::string text_;  // before: all of it; within: as much of its end as may begin the closing mark
};

}  // namespace engram
