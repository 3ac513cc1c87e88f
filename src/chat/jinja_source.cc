#include "chat/jinja_source.h"

#include <array>
#include <cctype>
#include <format>
#include <vector>

namespace engram {
namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Walks the text as the library's own tokenizer does: text, comments, and tags whose strings and brackets are followed, since a
// closing mark inside a string or a dictionary doesn't end the tag.
class Checker {
  public:
    explicit Checker(std::string_view source) : source_(source) {}

    Result<std::string> run() {
        if (source_.size() > kMaxTemplateBytes) {
            return refuse(std::format("is {} bytes long; at most {} are accepted", source_.size(), kMaxTemplateBytes));
        }
        while (at_ < source_.size()) {
            const std::string_view mark = source_.substr(at_, 2);
            if (mark == "{#") {
                ENGRAM_TRY(comment());
            } else if (mark == "{{" || mark == "{%") {
                ENGRAM_TRY(tag(mark == "{%"));
            } else {
                ENGRAM_TRY(text());
            }
        }
        return std::move(out_);
    }

  private:
    struct Bracket {
        char open;
        std::size_t colons = 0;
        bool has_bounds = false;  // something stands before the second colon of a slice
    };

    std::unexpected<Error> refuse(std::string_view why) const {
        std::size_t line = 1;
        for (const char c : source_.substr(0, at_)) {
            line += c == '\n' ? 1 : 0;
        }
        return fail(ErrorCode::invalid_argument, std::format("the chat template is refused at line {}: it {}", line, why));
    }

    char peek(std::size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
    void take(std::size_t n) {
        out_ += source_.substr(at_, n);
        at_ += n;
    }

    Result<void> comment() {
        const std::size_t end = source_.find("#}", at_ + 2);
        if (end == std::string_view::npos) {
            return refuse("has a comment that doesn't end");
        }
        const std::string_view body = source_.substr(at_ + 2, end - at_ - 2);
        const auto trims = [](char c) { return c == '-' || c == '~'; };
        out_ += "{#";
        if (!body.empty() && trims(body.front())) {
            out_ += body.front();
        }
        out_ += ' ';
        if (body.size() > 1 && trims(body.back())) {
            out_ += body.back();
        }
        out_ += "#}";
        at_ = end + 2;
        return {};
    }

    Result<void> space() {
        std::size_t n = 0;
        while (at_ + n < source_.size() && is_space(source_[at_ + n])) {
            ++n;
        }
        if (n > kMaxRun) {
            return refuse(std::format("has {} characters of white space in a row; at most {} are accepted", n, kMaxRun));
        }
        take(n);
        return {};
    }

    Result<void> text() {
        do {
            if (is_space(peek())) {
                ENGRAM_TRY(space());
            } else {
                take(1);
            }
        } while (at_ < source_.size() && !(peek() == '{' && (peek(1) == '{' || peek(1) == '%' || peek(1) == '#')));
        return {};
    }

    bool at_tag_end(bool block) const {
        return block ? peek() == '%' && peek(1) == '}' : brackets_.empty() && peek() == '}' && peek(1) == '}';
    }

    Result<void> tag(bool block) {
        take(2);
        if (peek() == '-' || peek() == '~') {
            take(1);
        }
        brackets_.clear();
        tag_bytes_ = 0;
        first_word_ = true;
        while (at_ < source_.size()) {
            if (at_tag_end(block)) {
                take(2);
                return {};
            }
            ENGRAM_TRY(piece(block));
            if (tag_bytes_ > kMaxTagBytes) {
                return refuse(std::format("has a tag with more than {} bytes of code", kMaxTagBytes));
            }
        }
        return refuse("has a tag that doesn't end");
    }

    // One string, word, run of white space or other character of a tag.
    Result<void> piece(bool block) {
        const char c = peek();
        if (is_space(c)) {
            return space();
        }
        note_bound(c);
        if (c == '"' || c == '\'') {
            return string(c);
        }
        if (is_word(c)) {
            return word(block);
        }
        ++tag_bytes_;
        if (c == '(' || c == '[' || c == '{') {
            brackets_.push_back({.open = c});
            take(1);
            return brackets_.size() > kMaxNesting ? refuse(std::format("nests brackets deeper than {}", kMaxNesting))
                                                  : Result<void>{};
        }
        if (c == ')' || c == ']' || c == '}') {
            if (!brackets_.empty()) {
                if (brackets_.back().colons >= 2 && brackets_.back().has_bounds) {
                    return refuse("takes a slice with both bounds and a step");
                }
                brackets_.pop_back();
            }
        } else if (c == ':' && !brackets_.empty() && brackets_.back().open == '[') {
            ++brackets_.back().colons;
        } else if (c == '/' || c == '%') {
            return division();
        }
        take(1);
        return {};
    }

    Result<void> division() {
        take(peek() == '/' && peek(1) == '/' ? 2 : 1);
        ENGRAM_TRY(space());
        std::size_t digits = 0;
        while (is_digit(peek(digits))) {
            ++digits;
        }
        const char after = peek(digits);
        if (digits == 0 || digits > 9 || peek() == '0' || is_word(after) || after == '.') {
            return refuse("divides by something else than a positive whole number written there");
        }
        take(digits);
        return {};
    }

    // Anything before a slice's second colon is a bound; whether there is a second one shows only at the closing bracket.
    void note_bound(char c) {
        if (!brackets_.empty() && brackets_.back().open == '[' && brackets_.back().colons < 2 && c != ':' && c != ']') {
            brackets_.back().has_bounds = true;
        }
    }

    Result<void> string(char quote) {
        std::size_t end = at_ + 1;
        while (end < source_.size() && source_[end] != quote) {
            end += source_[end] == '\\' ? 2 : 1;
        }
        if (end >= source_.size()) {
            return refuse("has a string that doesn't end");
        }
        const std::size_t size = end + 1 - at_;
        if (size == 2 && ends_with("split(")) return refuse("splits a text at an empty separator");
        if (size == 2 && ends_with("replace(")) return refuse("replaces an empty text");
        take(size);
        ++tag_bytes_;
        return {};
    }

    // White space aside.
    bool ends_with(std::string_view code) const {
        std::size_t matched = code.size();
        for (std::size_t i = out_.size(); i > 0 && matched > 0; --i) {
            if (is_space(out_[i - 1])) {
                continue;
            }
            if (out_[i - 1] != code[matched - 1]) {
                return false;
            }
            --matched;
        }
        return matched == 0;
    }

    Result<void> word(bool block) {
        std::size_t n = 0;
        while (is_word(peek(n))) {
            ++n;
        }
        if (n > kMaxRun) {
            return refuse(std::format("has a name of {} characters; at most {} are accepted", n, kMaxRun));
        }
        const std::string_view name = source_.substr(at_, n);
        if (name == "cycle" || name == "recursive") {
            return refuse(std::format("uses '{}', which isn't supported", name));
        }
        if (block && first_word_) {
            ENGRAM_TRY(count_block(name));
        }
        first_word_ = false;
        tag_bytes_ += n;
        take(n);
        return {};
    }

    Result<void> count_block(std::string_view name) {
        constexpr std::array<std::string_view, 6> kOpening = {"if", "for", "macro", "call", "filter", "generation"};
        for (const std::string_view opening : kOpening) {
            if (name == opening && ++blocks_ > kMaxNesting) {
                return refuse(std::format("nests blocks deeper than {}", kMaxNesting));
            }
            if (name.size() == opening.size() + 3 && name.starts_with("end") && name.ends_with(opening) && blocks_ > 0) {
                --blocks_;
            }
        }
        return {};
    }

    std::string_view source_;
    std::size_t at_ = 0;
    std::string out_;
    std::vector<Bracket> brackets_;
    std::size_t tag_bytes_ = 0;
    std::size_t blocks_ = 0;
    bool first_word_ = true;
};

}  // namespace

Result<std::string> check_jinja_source(std::string_view source) { return Checker(source).run(); }

}  // namespace engram
