// One Jinja template, parsed once and rendered many times: the only door to the Jinja library (minja).
//
// A template comes from a model file, so it is foreign code. Its text is checked first (jinja_source.h); a rendering has a budget
// of steps, of bytes put out and of stack, and a bounded `range`. Exceptions of the library become errors. What can't be bounded
// from outside the library: memory that a template makes by doubling a text in a loop's own variable, by multiplying a text with
// a number, indenting it by one, or splitting it at a computed empty separator; nested loops over literal lists only; lists and
// objects that were put into themselves; and functions that are kept longer than the loop in which something was computed with
// them. A model file that does that stops the process, as one with hostile tensors might.
//
// Thread-safe after parse: each rendering has its own variables.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engram/error.h"

namespace engram {

struct JinjaMessage {
    std::string_view role;
    std::string_view content;
    std::string_view tool_calls = {};  // a JSON list in OpenAI's shape; the template sees arguments as an object
    std::string_view thinking = {};    // of an answer; the template sees it as `reasoning_content` and `thinking`
};

struct JinjaInput {
    std::span<const JinjaMessage> messages = {};
    std::string_view tools = {};  // a JSON list; empty: `tools` is undefined
    std::string_view bos_token = {};
    std::string_view eos_token = {};
    bool add_generation_prompt = false;
    bool typed_content = false;    // content as a list with one text part, which some templates want
    std::optional<bool> thinks{};  // given: the switches that templates have for it, `enable_thinking`, `thinking` and
                                   // `reasoning_effort` ("low" for no), are set
};

class JinjaTemplate {
  public:
    static Result<JinjaTemplate> parse(std::string_view source);  // invalid_argument, with the place in the source
    ~JinjaTemplate();
    JinjaTemplate(JinjaTemplate &&) noexcept;
    JinjaTemplate &operator=(JinjaTemplate &&) noexcept;

    // What the template puts out for `input`. Calls get ids that follow from their places (some templates want them), and
    // messages of role tool, in order, the ids of the calls that they answer. `strftime_now` gives a fixed date (26 July 2024,
    // the one that Llama 3's template falls back to): a real one would change the prompt's first lines each day, and with them
    // every stored block after it. invalid_argument: the template raised an exception (its message is passed on), failed or
    // exceeded its budget, or the JSON can't be read.
    Result<std::string> render(const JinjaInput &input) const;

  private:
    struct Parsed;
    explicit JinjaTemplate(std::unique_ptr<Parsed> parsed);
    std::unique_ptr<Parsed> parsed_;
};

}  // namespace engram
