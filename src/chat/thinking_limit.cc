#include "chat/thinking_limit.h"

#include <algorithm>
#include <utility>

#include "chat/answer_text.h"

namespace engram {

ThinkingLimit::ThinkingLimit(ThinkingMarks marks, bool open, std::uint32_t most_tokens)
    : marks_(std::move(marks)), most_tokens_(most_tokens), place_(open ? Place::within : Place::before) {}

void ThinkingLimit::add(std::string_view text) {
    if (place_ == Place::behind) return;
    text_ += text;
    if (place_ == Place::before) {
        text_.erase(0, answer_text::spaces(text_));
        if (!text_.starts_with(marks_.open)) {
            if (!marks_.open.starts_with(text_)) place_ = Place::behind;
            return;
        }
        text_.erase(0, marks_.open.size());
        place_ = Place::within;
        return;
    }
    ++tokens_;
    if (text_.contains(marks_.close)) {
        place_ = Place::behind;
        return;
    }
    text_.erase(0, text_.size() - std::min(text_.size(), marks_.close.size() - 1));
}

}  // namespace engram
